//! `Engine::verify`: whether a loaded model computes what it should, on this machine, in this number type.
//!
//! Every fast way is compared with its slow twin, and what must be exact is compared bit for bit. The picture is the
//! built-in one, which any model can look at; the edits are drawn from a fixed seed.

mod allowed;
mod attention;
mod edits;
mod recorded;

use std::sync::Arc;

use self::allowed::Allowed;
use super::dump::Named;
use super::protocol::{Event, Monitor, RunId, RunSpec, Stage};
use super::run::Engine;
use super::trace::Trace;
use super::verification::{Check, Verification};
use crate::error::{Error, Result};
use crate::lens;
use crate::spec::{Decode, Experiment, Intervention, ModelSource, Readout};

/// Random edits that are computed in both ways.
const N_EDITS: u64 = 6;
/// Checks in all, for the progress.
const N_CHECKS: f32 = 11.0;

/// A verification on its way.
struct Work<'a> {
    engine: &'a mut Engine,
    monitor: &'a mut dyn Monitor,
    experiment: Experiment,
    found: Verification,
    allowed: Allowed,
}

impl Engine {
    /// Checks the model that a request names; tells every result as it comes.
    ///
    /// # Errors
    /// A model that cannot be loaded, a failing device, the monitor's wish to stop. A check that fails is no error.
    pub fn verify(
        &mut self,
        spec: &RunSpec,
        monitor: &mut dyn Monitor,
    ) -> Result<Arc<Verification>> {
        let whole_runs = self.whole_runs;
        let numbers = self.numbers;
        let mut work = Work {
            engine: self,
            monitor,
            experiment: experiment(&spec.experiment.model),
            found: Verification {
                id: spec.id,
                title: String::new(),
                checks: Vec::new(),
                complete: false,
            },
            allowed: Allowed::of(numbers),
        };
        let outcome = work.all();
        let found = Arc::new(work.found);
        self.whole_runs = whole_runs;
        // What a window asks for next must not meet runs of another kind.
        (self.prefix, self.clean, self.edited) = (None, None, None);
        outcome.map(|()| found)
    }
}

fn experiment(model: &ModelSource) -> Experiment {
    Experiment {
        model: model.clone(),
        prompt: "Describe the image.".to_owned(),
        decode: Decode { max_new_tokens: 0 },
        ..Experiment::default()
    }
}

impl Work<'_> {
    fn all(&mut self) -> Result<()> {
        // Runs of other kinds, from before, are no part of it.
        (self.engine.prefix, self.engine.clean, self.engine.edited) = (None, None, None);
        let (trace, _) = self.observe(&[], false)?;
        let model = &trace.model;
        self.found.title = format!("{} · {} · {}", model.name, model.device, model.dtype);
        self.identity(&trace)?;
        self.attention(&trace)?;
        self.lens_at_the_top()?;
        self.fast_path(&trace)?;
        self.recorded(&trace)?;
        self.found.complete = true;
        self.tell();
        Ok(())
    }

    /// One run of these edits, whole or by the fast path, and its tensors.
    fn observe(&mut self, edits: &[Intervention], whole: bool) -> Result<(Arc<Trace>, Vec<Named>)> {
        let experiment = Experiment {
            interventions: edits.to_vec(),
            ..self.experiment.clone()
        };
        self.observe_experiment(experiment, whole)
    }

    fn observe_experiment(
        &mut self,
        experiment: Experiment,
        whole: bool,
    ) -> Result<(Arc<Trace>, Vec<Named>)> {
        self.engine.whole_runs = whole;
        self.engine.edited = None;
        let spec = RunSpec {
            id: self.found.id,
            experiment,
            readout: Readout::default(),
            ..RunSpec::default()
        };
        let mut quiet = Quiet {
            id: self.found.id,
            fraction: self.found.checks.len() as f32 / N_CHECKS,
            inner: self.monitor,
        };
        let trace = self.engine.run(&spec, &mut quiet)?;
        Ok((trace, self.engine.dump(false)?))
    }

    /// Edits that do nothing leave every number as it is.
    fn identity(&mut self, trace: &Trace) -> Result<()> {
        let nothing = edits::without_effect(trace);
        // Both sides by the same way: products of other shapes round differently.
        (self.engine.prefix, self.engine.clean) = (None, None);
        let (clean, before) = self.observe(&[], true)?;
        let (edited, after) = self.observe(&nothing, true)?;
        let worst = edits::largest_gap(&before, &after);
        (self.engine.prefix, self.engine.clean) = (None, None);
        let same = clean.baseline.levels == edited.edited.levels;
        self.add(
            "Identity",
            format!(
                "{} edits that do nothing against the clean run: residuals, logits, words",
                nothing.len()
            ),
            if same {
                worst
            } else {
                worst.max(f64::INFINITY)
            },
            0.0,
        );
        Ok(())
    }

    /// The lens of the last position at the top level is what the model answers with.
    fn lens_at_the_top(&mut self) -> Result<()> {
        self.observe(&[], false)?;
        let missing = || Error::internal("there is no run to read");
        let (_, model) = self.engine.model.as_ref().ok_or_else(missing)?;
        let state = &self.engine.clean.as_ref().ok_or_else(missing)?.state;
        let last = state.prompt.layout.last();
        let top = state.resid.last().ok_or_else(missing)?;
        let row = top.narrow(0, last, 1)?; // [1, d_model]
        let n_words = model.tokenizer.n_words();
        let k = state.readout.next_token.len();
        let read = lens::start_level(&model.llama, &row, None, k, n_words)?.finish()?;
        let own = &state.readout.next_token;
        let gap = |((_, p), own): ((u32, f32), &lens::TokenScore)| f64::from((p - own.prob).abs());
        let worst = read.top(0).zip(own).map(gap).fold(0.0, edits::larger);
        let found = format!("probabilities of the {k} likeliest next tokens");
        self.add("Lens at the top = output", found, worst, self.allowed.lens);
        Ok(())
    }

    /// What an edit computes anew and what it copies, against everything computed.
    fn fast_path(&mut self, trace: &Trace) -> Result<()> {
        let (mut residual, mut probability) = (0.0, 0.0);
        let mut share = 0.0;
        for seed in 0..N_EDITS {
            let rows = edits::random(trace, seed);
            let (fast_trace, fast) = self.observe(&rows, false)?;
            let (slow_trace, slow) = self.observe(&rows, true)?;
            residual = edits::larger(residual, edits::relative_gap(&fast, &slow));
            let gap = edits::probability_gap(&fast_trace, &slow_trace);
            probability = edits::larger(probability, gap);
            share += f64::from(fast_trace.recomputed.unwrap_or(1.0)) / N_EDITS as f64;
        }
        let compared = format!(
            "residuals of {N_EDITS} random edits, all rows and levels; {:.0} % of the rows were computed",
            100.0 * share
        );
        let allowed = self.allowed.residual;
        self.add("Fast path = whole run", compared, residual, allowed);
        let compared = "next-token probabilities of the same edits".to_owned();
        let allowed = self.allowed.lens;
        self.add("Fast path = whole run", compared, probability, allowed);
        Ok(())
    }

    fn add(&mut self, name: &'static str, compared: String, worst: f64, allowed: f64) {
        self.push(Check {
            name,
            compared,
            worst: Some(worst),
            allowed,
        });
    }

    fn push(&mut self, check: Check) {
        self.found.checks.push(check);
        self.tell();
    }

    fn tell(&mut self) {
        let found = Arc::new(self.found.clone());
        self.monitor.emit(Event::Verified(found));
    }
}

/// Passes on the wish to stop and how far it is; the runs themselves are nobody's to see.
struct Quiet<'a> {
    id: RunId,
    fraction: f32,
    inner: &'a mut dyn Monitor,
}

impl Monitor for Quiet<'_> {
    fn cancelled(&self) -> bool {
        self.inner.cancelled()
    }

    fn shown_level(&self) -> Option<usize> {
        None
    }

    fn emit(&mut self, event: Event) {
        let Event::Progress {
            stage, fraction, ..
        } = event
        else {
            return;
        };
        let (stage, fraction) = match stage {
            Stage::PreparingDevice | Stage::LoadingModel => (stage, fraction),
            _ => (Stage::Verify, self.fraction),
        };
        self.inner.emit(Event::Progress {
            id: self.id,
            stage,
            fraction,
        });
    }
}

#[cfg(test)]
mod tests;
