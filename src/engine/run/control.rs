//! The control of an edit: the same interventions on as many patches by chance. Each run computes only what it can reach,
//! from the clean run on; of its answer only the clean one's tokens are read.

use std::sync::Arc;

use super::super::insight::Control;
use super::super::job::Job;
use super::super::outside;
use super::super::plan::Plan;
use super::super::protocol::{Monitor, Stage};
use super::super::state::Watch;
use super::Engine;
use crate::error::{Error, Result};

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
        let known = self
            .edited
            .as_ref()
            .and_then(|kept| kept.state.control.as_ref());
        if known.is_some_and(|known| known.seeds == asked.seeds) {
            return Ok(());
        }
        let mut runs = Vec::with_capacity(asked.seeds.len());
        for seed in &asked.seeds {
            let Some(experiment) = job.spec.experiment.control(*seed, job.model.facts.grid) else {
                return Ok(());
            };
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
            runs.push(found.forced);
        }
        let (Some(clean), Some(edited)) = (&self.clean, &mut self.edited) else {
            return Ok(());
        };
        if let Some(comparison) = &edited.state.comparison {
            let probs = &clean.state.readout.answer.probs;
            let control = Control::new(asked.seeds.clone(), runs, &comparison.forced, probs);
            edited.state.control = Some(Arc::new(control));
        }
        self.emit(job, false, monitor);
        Ok(())
    }
}
