//! One run as far as it has come: the forward pass, the levels read so far, the answer so far.
//!
//! It can be left at any point and taken up again, so that a cancelled run loses nothing. It does not decide what to
//! do next; `run` does.

mod room;
mod similar;
mod step;

use std::sync::Arc;

use crate::tensor::{Device, Tensor};

pub(super) use self::step::CancelCheck;
use self::step::StepRecorder;
use super::inside::Looked;
use super::insight::{Comparison, Control};
use super::plan::Plan;
use super::protocol::{Event, Monitor, RunId, Stage};
use super::trace::{LevelReadout, RunReadout};
use crate::error::{Error, Result};
use crate::intervene::CompiledSet;
use crate::lens;
use crate::model::hooks::{Chain, HookPoint, HookSite, Hooks};
use crate::model::{Base, KvCache, Llava, Prompt};

/// Candidates for the next token that are kept.
const N_NEXT: usize = 10;

/// A run, clean or edited.
pub(super) struct RunState {
    pub prompt: Arc<Prompt>,
    pub hooks: CompiledSet,
    /// Residual stream at every level after its ablations, never normed. `[level][n_prompt, d_model]`
    pub resid: Vec<Tensor>,
    /// The model's device, whatever holds the tensors.
    home: Device,
    /// At the last prompt position. `[vocab]`
    pub logits: Vec<f32>,
    pub readout: RunReadout,
    /// Share of all rows of all blocks that were computed, 0..=1.
    pub share: f32,
    /// What was read inside it.
    pub looked: Looked,
    /// What it does to the clean run's answer; of edited runs alone.
    pub comparison: Option<Arc<Comparison>>,
    /// The same edit on random patches, where it was asked for.
    pub control: Option<Arc<Control>>,
    /// First row of each level that is not a copy of the run that this one went on from. `[level]`
    pub changed_from: Vec<usize>,
    /// Keys and values of the prompt, for runs that go on from this one.
    prompt_cache: KvCache,
    /// The same with the generated tokens.
    cache: KvCache,
    /// Logits that the next token of the answer is chosen from.
    step_logits: Vec<f32>,
    /// Residual streams of the generated tokens that were run. `[token][level][1, d_model]`
    pub answer_resid: Vec<Vec<Tensor>>,
    /// The largest KL of every level of the same pass with nothing changed; `None` until it is measured.
    pub floors: Option<Vec<f32>>,
}

/// A level on its way: the first `same` patches are those of `known`, the rest is being read.
pub(super) struct StartedLevel {
    level: usize,
    known: Option<Arc<LevelReadout>>,
    same: usize,
    rest: Option<lens::LevelReading>,
}

/// What is told while the forward pass goes from block to block.
pub(super) struct Watch<'a> {
    pub id: RunId,
    pub stage: Stage,
    pub monitor: &'a mut dyn Monitor,
}

impl Watch<'_> {
    pub fn check(&self) -> Result<()> {
        if self.monitor.cancelled() {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    }

    pub fn tell(&mut self, fraction: f32) {
        let (id, stage) = (self.id, self.stage.clone());
        self.monitor.emit(Event::Progress {
            id,
            stage,
            fraction,
        });
    }
}

/// Keeps the residual stream of every level, tells the progress and stops when asked to.
struct Recorder<'a, 'b> {
    /// `[level]`, `None` where nothing was computed.
    resid: Vec<Option<Tensor>>,
    /// What is copied rather than computed: the stream of another run, and the first row of each level that can differ.
    copied: Option<(&'a [Tensor], &'a [usize])>,
    /// On a card, all levels from the first one that is computed, `[level, n, d_model]`: one piece, so that the memory does
    /// not crumble.
    memory: Option<(usize, Tensor)>,
    watch: &'a mut Watch<'b>,
}

impl<'a, 'b> Recorder<'a, 'b> {
    fn new(n_layers: usize, watch: &'a mut Watch<'b>) -> Self {
        Self {
            resid: vec![None; n_layers + 1],
            copied: None,
            memory: None,
            watch,
        }
    }

    fn n_layers(&self) -> usize {
        self.resid.len() - 1
    }

    /// All rows of a level, of which `x` are those from `first_pos` on.
    fn whole(&mut self, level: usize, first_pos: usize, x: &Tensor) -> Result<Tensor> {
        let n = first_pos + x.dim(0)?;
        let from = self.copied.map_or(0, |(_, changed)| changed[level]);
        let copied = self.copied.map(|(base, _)| &base[level]);
        match copied {
            Some(copied) if from >= n => return Ok(copied.clone()),
            None | Some(_) if from == 0 && x.device().has_pool() => return Ok(x.clone()),
            _ => {}
        }
        let computed = x.narrow(0, from - first_pos, n - from)?;
        let copied = match copied {
            Some(copied) if from > 0 => Some(copied.narrow(0, 0, from)?),
            _ => None,
        };
        if x.device().has_pool() {
            let parts: Vec<&Tensor> = copied.iter().chain([&computed]).collect();
            return Ok(Tensor::cat(&parts, 0)?);
        }
        let row = self.room(level, n, x)?;
        if let Some(copied) = copied {
            row.slice_set(&copied, 0, 0)?;
        }
        row.slice_set(&computed, 0, from)?;
        Ok(row)
    }

    /// Where a level of `n` rows like `x` is kept, `[n, d_model]`. Levels are asked for in order.
    fn room(&mut self, level: usize, n: usize, x: &Tensor) -> Result<Tensor> {
        let (first, memory) = match self.memory.take() {
            Some(memory) => memory,
            None => {
                let shape = (self.resid.len() - level, n, x.dim(1)?);
                (level, Tensor::zeros(shape, x.dtype(), x.device())?)
            }
        };
        let row = memory.get(level - first)?;
        self.memory = Some((first, memory));
        Ok(row)
    }
}

impl Hooks for Recorder<'_, '_> {
    fn wants(&self, at: HookPoint) -> bool {
        at.site == HookSite::ResidPre
            || (at.site == HookSite::ResidPost && at.layer + 1 == self.n_layers())
    }

    fn visit(&mut self, at: HookPoint, first_pos: usize, x: Tensor) -> Result<Tensor> {
        self.watch.check()?;
        let level = match at.site {
            HookSite::ResidPre => at.layer,
            _ => at.layer + 1,
        };
        self.watch.tell(level as f32 / self.n_layers() as f32);
        self.resid[level] = Some(self.whole(level, first_pos, &x)?);
        Ok(x)
    }
}

impl RunState {
    /// The forward pass over the prompt, with room for `n_new` tokens after it. `embeds` is what enters the decoder,
    /// `[n_prompt, d_model]`.
    pub fn forward(
        model: &Llava,
        prompt: Arc<Prompt>,
        embeds: Tensor,
        hooks: CompiledSet,
        n_new: usize,
        watch: &mut Watch<'_>,
    ) -> Result<Self> {
        let mut hooks = hooks;
        let n_layers = model.facts.n_layers;
        let mut cache = model.llama.new_cache(prompt.layout.n_prompt + n_new);
        let mut recorder = Recorder::new(n_layers, watch);
        let mut chain = Chain(vec![&mut hooks, &mut recorder]);
        let last = model.llama.forward(embeds, &mut cache, &mut chain)?;
        let resid = recorder.resid.into_iter().flatten().collect();
        let logits = last_logits(model, &last)?;
        Self::new(
            model,
            prompt,
            hooks,
            resid,
            logits,
            cache,
            vec![0; n_layers + 1],
        )
    }

    /// The same from another run over the same first positions: only what `plan` says can differ is computed, the rest
    /// is copied. Agrees with [`RunState::forward`] up to rounding.
    pub fn resume(
        model: &Llava,
        prompt: Arc<Prompt>,
        embeds: &Tensor,
        hooks: CompiledSet,
        (base, plan): (&Self, &Plan),
        n_new: usize,
        watch: &mut Watch<'_>,
    ) -> Result<Self> {
        let mut hooks = hooks;
        hooks.set_prefix(base.resid.clone());
        let mut recorder = Recorder::new(model.facts.n_layers, watch);
        recorder.copied = Some((&base.resid, &plan.changed_from));
        let mut chain = Chain(vec![&mut hooks, &mut recorder]);
        let (last, cache) =
            (model.llama).resume(embeds, &base.base(n_new), &plan.rows_from, &mut chain)?;
        hooks.set_prefix(Vec::new());
        let computed = recorder.resid.into_iter().enumerate();
        let resid = computed
            .map(|(level, x)| x.unwrap_or_else(|| base.resid[level].clone()))
            .collect();
        let logits = match last {
            Some(last) => last_logits(model, &last)?,
            None => base.logits.clone(),
        };
        let changed_from = plan.changed_from.clone();
        let mut state = Self::new(model, prompt, hooks, resid, logits, cache, changed_from)?;
        state.share = plan.share();
        for (level, known) in base.readout.levels.iter().enumerate() {
            // The base is a clean run: its words stand, and nothing has changed.
            if state.changed_from[level] >= state.prompt.layout.patches().end {
                state.readout.levels[level] = known.clone();
            }
        }
        Ok(state)
    }

    fn new(
        model: &Llava,
        prompt: Arc<Prompt>,
        hooks: CompiledSet,
        resid: Vec<Tensor>,
        logits: Vec<f32>,
        cache: KvCache,
        changed_from: Vec<usize>,
    ) -> Result<Self> {
        let next_token = lens::next_token(&logits, &model.tokenizer, N_NEXT)?;
        let levels = vec![None; resid.len()];
        let readout = RunReadout {
            levels,
            next_token,
            ..RunReadout::default()
        };
        let prompt_cache = cache.first(prompt.layout.n_prompt)?;
        let step_logits = logits.clone();
        Ok(Self {
            prompt,
            hooks,
            resid,
            home: model.llama.device().clone(),
            logits,
            readout,
            share: 1.0,
            looked: Looked::default(),
            comparison: None,
            control: None,
            changed_from,
            prompt_cache,
            cache,
            step_logits,
            answer_resid: Vec::new(),
            floors: None,
        })
    }

    /// Lets go of its own streams, keys and values for those of a run that went on from this one and copied them.
    pub fn become_rows_of(&mut self, longer: &Self) -> Result<()> {
        let n = self.prompt.layout.n_prompt;
        if longer.changed_from.iter().any(|row| *row < n) {
            return Ok(());
        }
        let rows = longer.resid.iter().map(|x| x.narrow(0, 0, n));
        self.resid = rows.collect::<crate::tensor::Result<_>>()?;
        self.prompt_cache = longer.prompt_cache.first(n)?;
        self.cache = self.prompt_cache.clone();
        Ok(())
    }

    /// Keys and values of the prompt.
    pub fn prompt_cache(&self) -> &KvCache {
        &self.prompt_cache
    }

    /// Keys and values of the prompt and the tokens that were generated so far, without the last.
    pub fn cache(&self) -> &KvCache {
        &self.cache
    }

    /// What other passes over the same first positions can go on from, that have room for `n_new` tokens after them.
    pub fn base(&self, n_new: usize) -> Base<'_> {
        Base {
            resid: &self.resid,
            cache: self.prompt_cache.clone(),
            n_new,
        }
    }

    /// Rows of the patches at a level, `[patch, d_model]`.
    pub fn patch_rows(&self, level: usize) -> Result<Tensor> {
        let layout = &self.prompt.layout;
        let rows = self.resid[level].narrow(0, layout.patches().start, layout.grid.len())?;
        self.at_home(&rows)
    }

    /// The same on the model's device.
    pub fn at_home(&self, rows: &Tensor) -> Result<Tensor> {
        Ok(rows.to_device(&self.home)?)
    }

    /// Starts to read a level. `clean` is the run to tell the change against, and to copy from what cannot differ.
    pub fn start_level(
        &self,
        model: &Llava,
        level: usize,
        top_k: usize,
        clean: Option<&Self>,
    ) -> Result<StartedLevel> {
        let known = clean.and_then(|clean| clean.readout.levels[level].clone());
        let same = match known {
            Some(_) => self.n_same_patches(level),
            None => 0,
        };
        let patches = self.prompt.layout.grid.len();
        let rest = if same == patches {
            None
        } else {
            let changed = |state: &Self| -> Result<Tensor> {
                Ok(state.patch_rows(level)?.narrow(0, same, patches - same)?)
            };
            let (rows, clean) = (changed(self)?, clean.map(changed).transpose()?);
            let n_words = model.tokenizer.n_words();
            let clean = clean.as_ref();
            Some(lens::start_level(
                &model.llama,
                &rows,
                clean,
                top_k,
                n_words,
            )?)
        };
        Ok(StartedLevel {
            level,
            known,
            same,
            rest,
        })
    }

    /// Waits for a level and keeps it.
    pub fn finish_level(&mut self, started: StartedLevel) -> Result<()> {
        let read = started.rest.map(lens::LevelReading::finish).transpose()?;
        let readout = match (started.known, read) {
            (Some(known), None) => known,
            (Some(known), Some(read)) if started.same > 0 => {
                Arc::new(known.first(started.same).followed_by(read))
            }
            (_, read) => Arc::new(read.unwrap_or_default()),
        };
        self.readout.levels[started.level] = Some(readout);
        Ok(())
    }

    /// How many patches, from the first on, are copies of the clean run's at a level.
    pub fn n_same_patches(&self, level: usize) -> usize {
        let patches = self.prompt.layout.patches();
        self.changed_from[level].clamp(patches.start, patches.end) - patches.start
    }

    /// Reads the words in every level that is read; `ids` are their tokens.
    pub fn read_words(&mut self, model: &Llava, ids: &[u32]) -> Result<()> {
        for level in 0..self.readout.levels.len() {
            self.read_words_at(model, level, ids)?;
        }
        Ok(())
    }

    /// Reads the words in one level, if it is read.
    pub fn read_words_at(&mut self, model: &Llava, level: usize, ids: &[u32]) -> Result<()> {
        let rows = self.patch_rows(level)?;
        if let Some(readout) = &mut self.readout.levels[level] {
            let (llama, lse) = (&model.llama, &readout.log_sum_exp);
            let word_log_probs = lens::word_log_probabilities(llama, &rows, lse, ids)?;
            if readout.word_log_probs != word_log_probs {
                let probs = |row: &Vec<f32>| row.iter().map(|p| p.exp()).collect();
                *readout = Arc::new(LevelReadout {
                    words: word_log_probs.iter().map(probs).collect(),
                    word_log_probs,
                    word_ranks: Vec::new(),
                    ..LevelReadout::clone(readout)
                });
            }
        }
        Ok(())
    }

    /// Goes on with the answer by one token; `true` when it is complete.
    pub fn decode_step(
        &mut self,
        model: &Llava,
        max_new_tokens: usize,
        watch: &Watch<'_>,
    ) -> Result<bool> {
        let answer = &mut self.readout.answer;
        if answer.complete {
            return Ok(true);
        }
        if answer.ids.len() < max_new_tokens {
            let (token, prob) = greedy(&self.step_logits);
            answer.ids.push(token);
            answer.probs.push(prob);
            let is_end = model.config.text.eos_token_ids.contains(&token);
            let shown = &answer.ids[..answer.ids.len() - usize::from(is_end)];
            answer.text = model.tokenizer.decode(shown)?.trim().to_owned();
            answer.complete = is_end;
        }
        answer.complete |= answer.ids.len() >= max_new_tokens
            || self.cache.len() >= model.config.text.max_position_embeddings;
        match (answer.complete, answer.ids.last().copied()) {
            (false, Some(token)) => self.append(model, token, watch).map(|()| false),
            _ => Ok(true),
        }
    }

    /// Runs one generated token. The cache is replaced only when the pass is through, so a cancel loses nothing.
    fn append(&mut self, model: &Llava, token: u32, watch: &Watch<'_>) -> Result<()> {
        let mut cache = self.cache.clone();
        let x = model.llama.embed(&[token])?; // [1, d_model]
        let mut step = StepRecorder {
            watch,
            resid: Vec::new(),
        };
        let mut chain = Chain(vec![&mut self.hooks, &mut step]);
        let last = model.llama.forward(x, &mut cache, &mut chain)?;
        self.step_logits = last_logits(model, &last)?;
        self.cache = cache;
        step.resid.push(last);
        self.answer_resid.push(step.resid);
        Ok(())
    }
}

/// Logits of the last row of a stream, `[n, d_model] -> [vocab]`.
fn last_logits(model: &Llava, x: &Tensor) -> Result<Vec<f32>> {
    let last = x.narrow(0, x.dim(0)? - 1, 1)?;
    let logits = model.llama.unembed(&model.llama.final_norm(&last)?)?; // [1, vocab]
    Ok(logits.flatten_all()?.to_vec1::<f32>()?)
}

/// The largest logit of all rows of the vocabulary (the first of equals) and its probability.
pub(super) fn greedy(logits: &[f32]) -> (u32, f32) {
    let mut best = 0;
    for (id, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = id;
        }
    }
    let max = logits.get(best).copied().unwrap_or(0.0);
    let sum: f32 = logits.iter().map(|logit| (logit - max).exp()).sum();
    (best as u32, 1.0 / sum)
}
