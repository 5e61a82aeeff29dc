//! The document: one experiment, how it is looked at, and its undo history.
//!
//! It cannot run anything and knows no window. All edits go through [`update`], which is pure; files are read and
//! written in [`file`] alone.

mod command;
pub mod file;
mod history;
mod inside_view;
mod reading;
pub mod recorded;
mod rows;
mod saved_runs;
mod selecting;
mod sweep_settings;
pub mod tour;
mod update;
mod view_state;

pub use command::{Command, GestureId};
pub use history::History;
pub use inside_view::InsideView;
pub use reading::{Colours, LensKind, ReadingView, Scale, TableRows, WordUnit};
pub use saved_runs::{RunChange, SavedRun, SavedRuns};
pub use selecting::Selecting;
pub use sweep_settings::{Measure, SweepSettings};
pub use update::{Effects, update};
pub use view_state::{HeatKind, NamedSelection, Tool, ViewState};

use crate::engine::protocol::{RunId, RunSpec};
use crate::index::{PatchGrid, PatchSet};
use crate::spec::{Experiment, Intervention, Readout};

/// Everything that a session file holds, and its history.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Session {
    /// Undoable.
    pub experiment: Experiment,
    pub readout: Readout,
    /// Saved, not undoable.
    pub view: ViewState,
    pub history: History<Experiment>,
    /// Runs that are kept by name, saved with the session.
    pub runs: SavedRuns,
    /// Steps of the selection have an undo of their own: they change no result.
    pub selecting: History<Selecting>,
    /// The grid of the loaded model, once known; painting needs it.
    pub grid: Option<PatchGrid>,
}

impl Session {
    /// A session about this experiment, with nothing to undo.
    pub fn new(experiment: Experiment) -> Self {
        Self {
            experiment,
            ..Self::default()
        }
    }

    /// What the window opens with: the demo model, its picture and its question.
    pub fn demo() -> Self {
        let prompt = "Describe the image.".to_owned();
        Self::new(Experiment {
            prompt,
            ..Experiment::default()
        })
    }

    /// The request that runs this session.
    pub fn run_spec(&self, id: RunId) -> RunSpec {
        RunSpec {
            id,
            experiment: self.experiment.clone(),
            readout: self.readout.clone(),
            shown_level: self.view.level,
            sweep: None,
            on_cpu: false,
            task: None,
        }
    }

    /// The request that sweeps over this session's clean run, as its view says.
    pub fn sweep_spec(&self, id: RunId) -> RunSpec {
        RunSpec {
            sweep: Some(self.view.sweep.spec()),
            ..self.run_spec(id)
        }
    }

    /// The patches that the row which the brush edits ablates.
    pub fn painted(&self) -> Option<(usize, &PatchSet)> {
        let row = self.brush_row()?;
        match &self.experiment.interventions[row] {
            Intervention::Ablation(a) => Some((row, &a.patches)),
            _ => None,
        }
    }

    /// The row that the ablation brush edits: the active one if it is an ablation, else the first ablation that is on.
    pub fn brush_row(&self) -> Option<usize> {
        let rows = &self.experiment.interventions;
        let is_ablation = |row: &usize| matches!(rows.get(*row), Some(Intervention::Ablation(_)));
        let first_on = || (0..rows.len()).find(|row| is_ablation(row) && rows[*row].enabled());
        self.view.active_row.filter(is_ablation).or_else(first_on)
    }
}
