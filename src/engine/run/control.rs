//! The control of an edit: the same interventions on as many patches by chance. Each run computes only what it can reach,
//! from the clean run on; of its answer only the clean one's tokens are read.

use std::sync::Arc;

use super::super::insight::{Control, Forced};
use super::super::job::Job;
use super::super::outside;
use super::super::plan::Plan;
use super::super::protocol::{Event, Monitor, Stage};
use super::super::state::Watch;
use super::Engine;
use crate::error::{Error, Result};
use crate::spec::Experiment;

/// More runs than this are refused: nobody waits for them.
const MAX_SEEDS: usize = 1000;

impl Engine {
    /// Runs the controls, where the readout asks for them and they are not there yet.
    pub(super) fn control(&mut self, job: &Job<'_>, monitor: &mut dyn Monitor) -> Result<()> {
        let Some(asked) = job.spec.readout.control.as_ref().filter(|_| job.has_edits) else {
            return Ok(());
        };
        if !(1..=MAX_SEEDS).contains(&asked.seeds.len()) {
            return Err(Error::input(format!(
                "readout.control.seeds: {} seeds; 1 to {MAX_SEEDS} are possible",
                asked.seeds.len()
            )));
        }
        let n = asked.seeds.len();
        let mut runs = self.known_controls(&asked.seeds);
        if runs.len() < n {
            self.set_both_aside()?;
        }
        for (done, seed) in asked.seeds.iter().enumerate().skip(runs.len()) {
            let Some(experiment) = job.spec.experiment.control(*seed, job.model.facts.grid) else {
                return Ok(());
            };
            let mut part = Part {
                monitor: &mut *monitor,
                done,
                n,
            };
            runs.push(self.one_control(job, experiment, &mut part)?);
            // What is done is kept, so that a control that was stopped goes on where it was.
            self.keep_controls(asked.seeds[..=done].to_vec(), &runs);
        }
        self.keep_controls(asked.seeds.clone(), &runs);
        self.emit(job, false, monitor);
        Ok(())
    }

    /// The controls of the first seeds, as far as they are there.
    fn known_controls(&self, seeds: &[u64]) -> Vec<Forced> {
        let control = (self.edited.as_ref()).and_then(|kept| kept.state.control.as_ref());
        let Some(control) = control else {
            return Vec::new();
        };
        let both = control.seeds.iter().zip(seeds).zip(&control.runs);
        let same = both.take_while(|((known, asked), _)| known == asked);
        same.map(|(_, run)| run.clone()).collect()
    }

    fn one_control(
        &self,
        job: &Job<'_>,
        experiment: Experiment,
        monitor: &mut dyn Monitor,
    ) -> Result<Forced> {
        let rows = &experiment.interventions;
        let (layout, n_layers) = (&job.prompt.layout, job.model.facts.n_layers);
        let plan = Plan::of_edits(rows, layout, n_layers)?;
        let Some(clean) = self.clean.as_ref() else {
            return Err(Error::internal("a run is missing"));
        };
        let base = Some((&clean.state, plan));
        let stamps = outside::stamps(&experiment);
        let stage = Stage::Control;
        let mut kept = self.forward(job, experiment, stamps, base, stage.clone(), monitor)?;
        let watch = Watch {
            id: job.spec.id,
            stage,
            monitor,
        };
        let found = kept.state.compare_with(&job.model, &clean.state, &watch)?;
        Ok(found.forced)
    }

    fn keep_controls(&mut self, seeds: Vec<u64>, runs: &[Forced]) {
        let (Some(clean), Some(edited)) = (&self.clean, &mut self.edited) else {
            return;
        };
        if let Some(comparison) = &edited.state.comparison {
            let probs = &clean.state.readout.answer.probs;
            let control = Control::new(seeds, runs.to_vec(), &comparison.forced, probs);
            edited.state.control = Some(Arc::new(control));
        }
    }
}

/// Tells the progress of one of several passes as that of all.
struct Part<'a> {
    monitor: &'a mut dyn Monitor,
    done: usize,
    n: usize,
}

impl Monitor for Part<'_> {
    fn cancelled(&self) -> bool {
        self.monitor.cancelled()
    }

    fn shown_level(&self) -> Option<usize> {
        self.monitor.shown_level()
    }

    fn emit(&mut self, event: Event) {
        self.monitor.emit(match event {
            Event::Progress {
                id,
                stage,
                fraction,
            } => Event::Progress {
                id,
                stage,
                fraction: (self.done as f32 + fraction) / self.n as f32,
            },
            other => other,
        });
    }
}
