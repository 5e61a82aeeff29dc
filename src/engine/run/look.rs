//! Of a request: comparing the edited run with the clean one, and reading inside both where that was asked for.

use std::sync::Arc;

use super::super::job::{Job, Which};
use super::super::protocol::{Monitor, Stage};
use super::super::state::Watch;
use super::Engine;
use crate::error::Result;

impl Engine {
    /// Compares the answers, once both are there.
    pub(super) fn compare(&mut self, job: &Job<'_>, monitor: &mut dyn Monitor) -> Result<()> {
        let is_there = (self.edited.as_ref()).is_none_or(|kept| kept.state.comparison.is_some());
        if !job.has_edits || is_there {
            return Ok(());
        }
        self.bring(Which::Edited)?;
        let (Some(clean), Some(edited)) = (&self.clean, &mut self.edited) else {
            return Ok(());
        };
        let watch = Watch {
            id: job.spec.id,
            stage: Stage::Answer,
            monitor,
        };
        let found = edited
            .state
            .compare_with(&job.model, &clean.state, &watch)?;
        edited.state.comparison = Some(Arc::new(found));
        Ok(())
    }

    /// Reads inside the runs, where the readout asks for that.
    pub(super) fn look_inside(&mut self, job: &Job<'_>, monitor: &mut dyn Monitor) -> Result<()> {
        let readout = &job.spec.readout;
        if readout.attention.is_none() && readout.attribution.is_none() {
            return Ok(());
        }
        let answer = self.clean_answer();
        for &which in job.runs() {
            self.bring(which)?;
            let mut watch = Watch {
                id: job.spec.id,
                stage: Stage::Inside,
                monitor: &mut *monitor,
            };
            let state = &mut self.kept(which)?.state;
            state.look_inside(&job.model, readout, &answer, &mut watch)?;
            self.emit(job, false, monitor);
        }
        Ok(())
    }

    /// The clean run's answer; where none was asked for, the likeliest next token.
    fn clean_answer(&self) -> Vec<u32> {
        let Some(kept) = &self.clean else {
            return Vec::new();
        };
        let readout = &kept.state.readout;
        match readout.answer.ids.is_empty() {
            true => readout.next_token.iter().take(1).map(|t| t.id).collect(),
            false => readout.answer.ids.clone(),
        }
    }
}
