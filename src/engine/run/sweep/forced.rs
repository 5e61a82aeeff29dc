//! The clean pass over the prompt and the answer up to the watched token: the base that every run of a sweep leaves.
//!
//! The prompt's part is the kept clean run; only the answer's tokens are computed, and given rather than generated
//! (teacher forcing).

use crate::tensor::Tensor;

use super::super::super::job::Job;
use super::super::super::state::{CancelCheck, RunState, Watch};
use super::super::super::sweep::Effect;
use crate::error::Result;
use crate::model::hooks::{Chain, HookPoint, HookSite, Hooks};
use crate::model::{Base, KvCache, Llava};

pub(super) struct Forced<'a> {
    model: &'a Llava,
    clean: &'a RunState,
    /// The answer up to the watched token, which is the last and not part of the pass.
    pub answer: Vec<u32>,
    /// Positions of the pass: the prompt's and those of the answer before the watched token.
    pub n: usize,
    /// Rows of the answer's tokens at every level, `[level][n - n_prompt, d_model]`; empty where there is none.
    tail: Vec<Tensor>,
    /// Keys and values of all positions.
    pub cache: KvCache,
    /// The watched token after this pass.
    pub baseline: Effect,
}

/// Keeps what enters every block.
struct Streams(Vec<Tensor>);

impl Hooks for Streams {
    fn wants(&self, at: HookPoint) -> bool {
        at.site == HookSite::ResidPre
    }

    fn visit(&mut self, _at: HookPoint, _first_pos: usize, x: Tensor) -> Result<Tensor> {
        self.0.push(x.clone());
        Ok(x)
    }
}

impl<'a> Forced<'a> {
    /// `clean` has the watched token in its answer.
    pub fn new(
        job: &'a Job<'_>,
        clean: &'a RunState,
        token: usize,
        watch: &Watch<'_>,
    ) -> Result<Self> {
        let model = &*job.model;
        let answer = clean.readout.answer.ids[..=token].to_vec();
        let n_prompt = clean.prompt.layout.n_prompt;
        let base = clean.base(0);
        let mut forced = Self {
            model,
            clean,
            n: n_prompt + token,
            tail: Vec::new(),
            cache: base.cache.clone(),
            baseline: Effect::of(&clean.logits, answer[token]),
            answer,
        };
        if token > 0 {
            forced.run_answer(job, &base, watch)?;
        }
        Ok(forced)
    }

    /// Runs the answer's tokens before the watched one.
    fn run_answer(&mut self, job: &Job<'_>, base: &Base<'_>, watch: &Watch<'_>) -> Result<()> {
        let (model, token) = (self.model, self.answer.len() - 1);
        let prompt = model.embed_prompt(&job.prompt, &job.picture.visual)?;
        let n_prompt = prompt.dim(0)?;
        let embeds = Tensor::cat(&[&prompt, &model.llama.embed(&self.answer[..token])?], 0)?;
        let mut streams = Streams(Vec::new());
        let mut cancel = CancelCheck(watch);
        let mut chain = Chain(vec![&mut streams, &mut cancel]);
        let rows_from = vec![n_prompt; model.facts.n_layers];
        let (last, cache) = (model.llama).resume(&embeds, base, &rows_from, &mut chain)?;
        if let Some(last) = last {
            let logits = logits(model, &last.narrow(0, token - 1, 1)?)?;
            self.baseline = Effect::of(&logits[0], self.answer[token]);
        }
        (self.tail, self.cache) = (streams.0, cache);
        Ok(())
    }

    /// The residual stream at a level below the last, rows from `first` on, `[n - first, d_model]`.
    pub fn rows(&self, level: usize, first: usize) -> Result<Tensor> {
        let prompt = &self.clean.resid[level];
        let n_prompt = prompt.dim(0)?;
        match self.tail.get(level) {
            None => Ok(prompt.narrow(0, first, n_prompt - first)?),
            Some(tail) if first >= n_prompt => {
                let from = first - n_prompt;
                Ok(tail.narrow(0, from, tail.dim(0)? - from)?)
            }
            Some(tail) => {
                let prompt = prompt.narrow(0, first, n_prompt - first)?;
                Ok(Tensor::cat(&[&prompt, tail], 0)?)
            }
        }
    }

    /// Rows of the patches at a level, `[patch, d_model]`.
    pub fn patch_rows(&self, level: usize) -> Result<Tensor> {
        self.clean.patch_rows(level)
    }
}

/// Logits after the last block, `[n, d_model] -> [n][vocab]`.
pub(super) fn logits(model: &Llava, x: &Tensor) -> Result<Vec<Vec<f32>>> {
    let logits = model.llama.unembed(&model.llama.final_norm(x)?)?;
    Ok(logits.to_vec2::<f32>()?)
}
