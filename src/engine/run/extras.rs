//! What a readout asks for beyond the words of the patches: ranks, the other tokens, KL from the clean run, cosines.
//!
//! Read after all levels of the patches, the level nearest to the one on screen first. Nothing here runs unless it is
//! asked for; only the noise floor of the KL needs a forward pass.

use std::sync::Arc;
use std::time::Instant;

use crate::tensor::Tensor;

use super::super::job::{Job, Which, ms};
use super::super::plan::Plan;
use super::super::protocol::{Event, Monitor, Stage};
use super::super::state::{RunState, Watch};
use super::super::trace::{Divergence, LevelReadout, TokenReadout};
use super::Engine;
use super::noise::NoiseMeter;
use crate::error::{Error, Result};
use crate::lens;
use crate::model::hooks::Chain;
use crate::spec::Readout;

/// One thing to be read at one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extra {
    Ranks,
    Tokens,
    Cosine,
    /// Of the tokens that are no patches.
    TokenCosine,
    Divergence,
}

impl Extra {
    const ALL: [Self; 5] = [
        Self::Divergence,
        Self::Ranks,
        Self::Cosine,
        Self::Tokens,
        Self::TokenCosine,
    ];

    fn is_asked(self, readout: &Readout, which: Which) -> bool {
        match self {
            Self::Ranks => readout.ranks && !readout.words.is_empty(),
            Self::Tokens => readout.all_tokens,
            Self::Cosine => readout.cosine,
            Self::TokenCosine => readout.cosine && readout.all_tokens,
            Self::Divergence => readout.divergence && which == Which::Edited,
        }
    }

    fn is_read(self, state: &RunState, level: usize, n_words: usize) -> bool {
        let there = |levels: &[Option<_>]| levels.get(level).is_some_and(Option::is_some);
        match self {
            Self::Ranks => {
                let readout = state.readout.levels[level].as_ref();
                readout.is_some_and(|readout| readout.word_ranks.len() == n_words)
            }
            Self::Tokens => (state.readout.tokens.as_ref()).is_some_and(|t| there(&t.levels)),
            Self::Cosine => there(&state.readout.cosine),
            Self::TokenCosine => (state.readout.tokens.as_ref()).is_some_and(|t| there(&t.cosine)),
            Self::Divergence => {
                let divergence = &state.readout.divergence;
                divergence.get(level).is_some_and(Option::is_some)
            }
        }
    }
}

impl Engine {
    /// Reads everything that is asked for and not read yet.
    pub(super) fn read_extras(
        &mut self,
        job: &mut Job<'_>,
        shown: &dyn Fn(&dyn Monitor) -> usize,
        monitor: &mut dyn Monitor,
    ) -> Result<()> {
        let since = Instant::now();
        for &which in job.runs() {
            self.kept(which)?.state.expect_tokens(job);
        }
        let mut left = self.unread_extras(job);
        let n = left.len();
        while !left.is_empty() {
            if monitor.cancelled() {
                return Err(Error::Cancelled);
            }
            let at = shown(monitor);
            let nearest = (0..left.len()).min_by_key(|i| left[*i].2.abs_diff(at));
            let (extra, which, level) = left.remove(nearest.unwrap_or(0));
            let fraction = (n - left.len()) as f32 / n as f32;
            let (id, stage) = (job.spec.id, Stage::Lens);
            monitor.emit(Event::Progress {
                id,
                stage,
                fraction,
            });
            self.read_extra(job, extra, which, level, monitor)?;
            self.emit(job, false, monitor);
        }
        job.timing.lens += ms(since);
        Ok(())
    }

    fn unread_extras(&self, job: &Job<'_>) -> Vec<(Extra, Which, usize)> {
        let mut left = Vec::new();
        for &which in job.runs() {
            let kept = match which {
                Which::Clean => &self.clean,
                Which::Edited => &self.edited,
            };
            let Some(state) = kept.as_ref().map(|kept| &kept.state) else {
                continue;
            };
            for extra in Extra::ALL {
                let levels = 0..state.readout.levels.len();
                let is_left = |level: &usize| {
                    extra.is_asked(&job.spec.readout, which)
                        && !extra.is_read(state, *level, job.words.len())
                };
                left.extend(levels.filter(is_left).map(|level| (extra, which, level)));
            }
        }
        left
    }

    fn read_extra(
        &mut self,
        job: &Job<'_>,
        extra: Extra,
        which: Which,
        level: usize,
        monitor: &mut dyn Monitor,
    ) -> Result<()> {
        match extra {
            Extra::Ranks => self.kept(which)?.state.read_ranks(job, level),
            Extra::Tokens => self.kept(which)?.state.read_tokens(job, level),
            Extra::Cosine => self.read_cosine(job, which, level),
            Extra::TokenCosine => self.read_token_cosine(job, which, level),
            Extra::Divergence => self.read_divergence(job, level, monitor),
        }
    }

    fn embedding_norms(&mut self, job: &Job<'_>) -> Result<Tensor> {
        Ok(match &self.embedding_norms {
            Some(norms) => norms.clone(),
            None => {
                let norms = lens::embedding_norms(&job.model.llama)?;
                self.embedding_norms.insert(norms).clone()
            }
        })
    }

    fn read_token_cosine(&mut self, job: &Job<'_>, which: Which, level: usize) -> Result<()> {
        let norms = self.embedding_norms(job)?;
        let state = &mut self.kept(which)?.state;
        let (rows, k) = (state.token_rows(level)?, job.spec.readout.top_k);
        let (llama, n_words) = (&job.model.llama, job.model.tokenizer.n_words());
        let readout = lens::cosine_level(llama, &rows, &norms, k, n_words)?;
        let n_levels = state.readout.levels.len();
        if let Some(tokens) = &mut state.readout.tokens {
            tokens.cosine.resize(n_levels, None);
            tokens.cosine[level] = Some(Arc::new(readout));
        }
        Ok(())
    }

    fn read_cosine(&mut self, job: &Job<'_>, which: Which, level: usize) -> Result<()> {
        let norms = self.embedding_norms(job)?;
        let n_levels = job.model.facts.n_layers + 1;
        let clean = self.clean.as_ref().map(|kept| &kept.state);
        let copied = clean.and_then(|clean| clean.readout.cosine.get(level).cloned().flatten());
        let state = &mut self.kept(which)?.state;
        let is_same = which == Which::Edited && state.n_same_patches(level) == job.n_patches();
        let readout = match copied.filter(|_| is_same) {
            Some(readout) => readout,
            None => {
                let (rows, k) = (state.patch_rows(level)?, job.spec.readout.top_k);
                let n_words = job.model.tokenizer.n_words();
                Arc::new(lens::cosine_level(
                    &job.model.llama,
                    &rows,
                    &norms,
                    k,
                    n_words,
                )?)
            }
        };
        state.readout.cosine.resize(n_levels, None);
        state.readout.cosine[level] = Some(readout);
        Ok(())
    }

    fn read_divergence(
        &mut self,
        job: &Job<'_>,
        level: usize,
        monitor: &mut dyn Monitor,
    ) -> Result<()> {
        if self.kept(Which::Edited)?.state.floors.is_none() {
            self.bring(Which::Clean)?;
            let floors = self.measure_noise(job, monitor)?;
            self.kept(Which::Edited)?.state.floors = Some(floors);
        }
        let missing = || Error::internal("a run is missing");
        let clean = &self.clean.as_ref().ok_or_else(missing)?.state;
        let edited = &mut self.edited.as_mut().ok_or_else(missing)?.state;
        let (same, n) = (edited.n_same_patches(level), job.n_patches());
        let mut values = vec![0.0; same];
        if same < n {
            let rows = |state: &RunState| -> Result<Tensor> {
                Ok(state.patch_rows(level)?.narrow(0, same, n - same)?)
            };
            let (p, q) = (rows(clean)?, rows(edited)?);
            values.extend(lens::divergences(&job.model.llama, &p, &q)?);
        }
        let floor = edited.floors.as_ref().map_or(0.0, |floors| floors[level]);
        let readout = &mut edited.readout;
        readout.divergence.resize(readout.levels.len(), None);
        readout.divergence[level] = Some(Arc::new(Divergence { values, floor }));
        Ok(())
    }

    /// The largest KL of every level when the edited run's pass is made with nothing changed: the same rows by the same
    /// kernels, masks of the same shapes with nothing in them.
    fn measure_noise(&self, job: &Job<'_>, monitor: &mut dyn Monitor) -> Result<Vec<f32>> {
        let experiment = &job.spec.experiment;
        let (layout, n_layers) = (&job.prompt.layout, job.model.facts.n_layers);
        let mut plan = Plan::of_edits(&experiment.interventions, layout, n_layers)?;
        if self.computes_whole() {
            plan.rows_from.fill(0);
            plan.changed_from.fill(0);
        }
        let mut inner = self.compile(job, &experiment.interventions, monitor)?;
        let missing = || Error::internal("a run is missing");
        let clean = &self.clean.as_ref().ok_or_else(missing)?.state;
        inner.set_prefix(clean.resid.clone());
        let embeds = job.model.embed_prompt(&job.prompt, &job.picture.visual)?;
        let watch = Watch {
            id: job.spec.id,
            stage: Stage::Lens,
            monitor,
        };
        let llama = &job.model.llama;
        let mut meter = NoiseMeter::new(&mut inner, &watch, llama, clean, &plan);
        let mut chain = Chain(vec![&mut meter]);
        llama.resume(&embeds, &clean.base(0), &plan.rows_from, &mut chain)?;
        Ok(meter.floors)
    }
}

impl Job<'_> {
    fn n_patches(&self) -> usize {
        self.prompt.layout.grid.len()
    }
}

impl RunState {
    fn read_ranks(&mut self, job: &Job<'_>, level: usize) -> Result<()> {
        let rows = self.patch_rows(level)?;
        let n_words = job.model.tokenizer.n_words();
        let word_ranks = lens::word_ranks(&job.model.llama, &rows, &job.word_ids(), n_words)?;
        if let Some(readout) = &mut self.readout.levels[level] {
            *readout = Arc::new(LevelReadout {
                word_ranks,
                ..LevelReadout::clone(readout)
            });
        }
        Ok(())
    }

    /// Makes room for the tokens that are no patches; what was read with a shorter answer is read again.
    fn expect_tokens(&mut self, job: &Job<'_>) {
        if !job.spec.readout.all_tokens {
            return;
        }
        let layout = &self.prompt.layout;
        let patches = layout.patches();
        let n = layout.n_prompt;
        let prompt = (0..n).filter(|at| !patches.contains(at));
        let positions: Vec<usize> = prompt.chain(n..n + self.answer_resid.len()).collect();
        if (self.readout.tokens.as_ref()).is_some_and(|t| t.positions == positions) {
            return;
        }
        let answer = &self.readout.answer.ids;
        let token = |at: &usize| match self.prompt.ids.get(*at) {
            Some(id) => *id,
            None => answer.get(at - n).copied().unwrap_or_default(),
        };
        self.readout.tokens = Some(TokenReadout {
            ids: positions.iter().map(token).collect(),
            positions,
            levels: vec![None; self.resid.len()],
            cosine: Vec::new(),
        });
    }

    /// The stream of the positions that are no patches, in the order of [`TokenReadout::positions`].
    fn token_rows(&self, level: usize) -> Result<Tensor> {
        let layout = &self.prompt.layout;
        let (patches, n) = (layout.patches(), layout.n_prompt);
        let stream = &self.resid[level];
        // They are few; the run may have been set aside.
        let mut rows = vec![
            self.at_home(&stream.narrow(0, 0, patches.start)?)?,
            self.at_home(&stream.narrow(0, patches.end, n - patches.end)?)?,
        ];
        rows.retain(|x| x.dims()[0] > 0);
        rows.extend(self.answer_resid.iter().map(|token| token[level].clone()));
        Ok(Tensor::cat(&rows, 0)?)
    }

    fn read_tokens(&mut self, job: &Job<'_>, level: usize) -> Result<()> {
        let rows = self.token_rows(level)?;
        let (model, k) = (&job.model, job.spec.readout.top_k);
        let started = lens::start_level(&model.llama, &rows, None, k, model.tokenizer.n_words())?;
        let readout = Arc::new(started.finish()?);
        if let Some(tokens) = &mut self.readout.tokens {
            tokens.levels[level] = Some(readout);
        }
        Ok(())
    }
}
