//! One run as far as it has come: the forward pass, the levels read so far, the answer so far.
//!
//! It can be left at any point and taken up again, so that a cancelled run loses nothing. It does not decide what to
//! do next; `run` does.

use std::sync::Arc;

use candle_core::Tensor;

use super::protocol::{Event, Monitor, RunId, Stage};
use super::trace::{Answer, LevelReadout, RunReadout};
use crate::error::{Error, Result};
use crate::intervene::CompiledSet;
use crate::lens;
use crate::model::hooks::{Chain, HookPoint, HookSite, Hooks};
use crate::model::{KvCache, Llava, Prompt};

/// Candidates for the next token that are kept.
const N_NEXT: usize = 10;

/// A run, clean or edited.
pub(super) struct RunState {
    pub prompt: Arc<Prompt>,
    pub hooks: CompiledSet,
    /// Residual stream at every level after its ablations, never normed. `[level][n_prompt, d_model]`
    pub resid: Vec<Tensor>,
    /// At the last prompt position. `[vocab]`
    pub logits: Vec<f32>,
    pub readout: RunReadout,
    cache: KvCache,
    /// Logits that the next token of the answer is chosen from.
    step_logits: Vec<f32>,
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
    n_layers: usize,
    resid: Vec<Tensor>,
    watch: &'a mut Watch<'b>,
}

impl Hooks for Recorder<'_, '_> {
    fn wants(&self, at: HookPoint) -> bool {
        at.site == HookSite::ResidPre
            || (at.site == HookSite::ResidPost && at.layer + 1 == self.n_layers)
    }

    fn visit(&mut self, at: HookPoint, _first_pos: usize, x: Tensor) -> Result<Tensor> {
        self.watch.check()?;
        if at.site == HookSite::ResidPre {
            self.watch.tell(at.layer as f32 / self.n_layers as f32);
        }
        self.resid.push(x.clone());
        Ok(x)
    }
}

/// Stops a pass that nothing else is to be told of.
struct CancelCheck<'a, 'b>(&'a Watch<'b>);

impl Hooks for CancelCheck<'_, '_> {
    fn wants(&self, at: HookPoint) -> bool {
        at.site == HookSite::ResidPre
    }

    fn visit(&mut self, _at: HookPoint, _first_pos: usize, x: Tensor) -> Result<Tensor> {
        self.0.check()?;
        Ok(x)
    }
}

impl RunState {
    /// The forward pass over the prompt. `embeds` is what enters the decoder, `[n_prompt, d_model]`.
    pub fn forward(
        model: &Llava,
        prompt: Arc<Prompt>,
        embeds: Tensor,
        hooks: CompiledSet,
        watch: &mut Watch<'_>,
    ) -> Result<Self> {
        let mut hooks = hooks;
        let n_layers = model.facts.n_layers;
        let mut cache = KvCache::new(n_layers);
        let mut recorder = Recorder {
            n_layers,
            resid: Vec::with_capacity(n_layers + 1),
            watch,
        };
        let mut chain = Chain(vec![&mut hooks, &mut recorder]);
        let last = model.llama.forward(embeds, &mut cache, &mut chain)?;
        let resid = recorder.resid;
        let logits = last_logits(model, &last)?;
        let next_token = lens::next_token(&logits, &model.tokenizer, N_NEXT)?;
        let readout = RunReadout {
            levels: vec![None; n_layers + 1],
            next_token,
            answer: Answer::default(),
        };
        Ok(Self {
            prompt,
            hooks,
            resid,
            step_logits: logits.clone(),
            logits,
            readout,
            cache,
        })
    }

    /// Rows of the patches at a level, `[patch, d_model]`.
    pub fn patch_rows(&self, level: usize) -> Result<Tensor> {
        let layout = &self.prompt.layout;
        Ok(self.resid[level].narrow(0, layout.patches().start, layout.grid.len())?)
    }

    /// Reads a level; `clean` is the run to tell the change against.
    pub fn read_level(
        &mut self,
        model: &Llava,
        level: usize,
        top_k: usize,
        clean: Option<&Self>,
    ) -> Result<()> {
        let rows = self.patch_rows(level)?;
        let mut readout = lens::read_level(&model.llama, &rows, top_k, model.tokenizer.n_words())?;
        readout.change = match clean {
            Some(clean) => lens::relative_change(&rows, &clean.patch_rows(level)?)?,
            None => vec![0.0; rows.dim(0)?],
        };
        self.readout.levels[level] = Some(Arc::new(readout));
        Ok(())
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
            let words = lens::word_probabilities(&model.llama, &rows, &readout.log_sum_exp, ids)?;
            if readout.words != words {
                *readout = Arc::new(LevelReadout {
                    words,
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
        let mut cancel = CancelCheck(watch);
        let mut chain = Chain(vec![&mut self.hooks, &mut cancel]);
        let last = model.llama.forward(x, &mut cache, &mut chain)?;
        self.step_logits = last_logits(model, &last)?;
        self.cache = cache;
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
fn greedy(logits: &[f32]) -> (u32, f32) {
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
