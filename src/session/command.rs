//! Everything that a person can ask of the session: one closed enum.
//!
//! Names, tooltips and keys of the commands are the window's matter and live in its table.

use super::inside_view::InsideView;
use super::reading::ReadingView;
use super::sweep_settings::SweepSettings;
use super::view_state::{HeatKind, NamedSelection, Tool, ViewState};
use crate::index::{Patch, PatchGrid, PatchSet};
use crate::spec::{
    AttentionSpec, AttributionSpec, ControlSpec, Crop, Experiment, Intervention, ModelSource,
    PictureSource, Readout,
};

/// Edits with the same gesture are one undo step, e.g. all patches of one drag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GestureId(pub u64);

/// One edit of the document or of the view.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    // The experiment: undoable, leads to a run.
    SetModel(ModelSource),
    SetPicture(PictureSource),
    SetCrop(Crop),
    SetPrompt(String),
    SetTemplate(Option<String>),
    SetAnswerPrefix(String),
    SetMaxNewTokens(usize),
    /// Ablates a patch or restores it, in the row that the brush edits; makes that row where there is none.
    Paint {
        patch: Patch,
        on: bool,
        gesture: GestureId,
    },
    AddIntervention(Intervention),
    SetIntervention {
        row: usize,
        to: Intervention,
        gesture: Option<GestureId>,
    },
    SetEnabled {
        row: usize,
        on: bool,
    },
    RemoveIntervention(usize),
    /// Switches every other row off; where they are off already, all on.
    SoloIntervention(usize),
    DuplicateIntervention(usize),
    RenameIntervention {
        row: usize,
        name: String,
    },
    /// Moves a row to another place of the list.
    MoveIntervention {
        row: usize,
        to: usize,
    },
    ClearInterventions,
    /// Back to how the session was at an earlier time; what was kept by name since then stays.
    Restore(Box<(Experiment, Readout, ViewState)>),
    Undo,
    Redo,
    /// A run again with nothing changed, e.g. after a file was mended.
    Rerun,
    // Runs that are kept by name.
    /// Keeps the experiment as it is; `made` is the time, in seconds since 1970.
    KeepRun {
        name: String,
        made: u64,
    },
    RenameRun {
        at: usize,
        name: String,
    },
    DeleteRun(usize),
    /// Takes the last deletion or renaming in the list of kept runs back.
    BringBackRun,
    /// Goes back to a kept run, from 0; undoable, leads to a run.
    ShowRun(usize),
    // What is read.
    SetWord(String),
    /// Which token of the word is read, from 0.
    SetWordToken(usize),
    /// Reads KL(clean ‖ edited) in every cell, or no longer.
    MeasureDivergence(bool),
    /// Compares all patches with this one.
    SetSimilar(Option<Patch>),
    /// The same interventions on random patches beside every result, or not.
    SetControl(Option<ControlSpec>),
    /// Reads attention from a token, or no longer.
    ReadAttention(Option<AttentionSpec>),
    /// Reads what a logit is made of, or no longer.
    ReadAttribution(Option<AttributionSpec>),
    // The view.
    SetLevel(usize),
    SetTool(Tool),
    SetHeat(HeatKind),
    SetOpacity(f32),
    ShowGrid(bool),
    ShowWords(bool),
    ShowClean(bool),
    /// Before, after and difference side by side.
    Compare(bool),
    SelectPatch {
        patch: Patch,
        on: bool,
    },
    SetSelection(PatchSet),
    /// Puts all of these patches into the selection or takes them out.
    SelectPatches {
        patches: PatchSet,
        on: bool,
        gesture: GestureId,
    },
    /// Replaces the selection; all of one drag of a slider are one step.
    DragSelection {
        to: PatchSet,
        gesture: Option<GestureId>,
    },
    /// Keeps the selection under a name; of that name there is one.
    KeepSelection(String),
    /// Selects what is kept at this place of the list.
    RestoreSelection(usize),
    RenameSelection {
        at: usize,
        name: String,
    },
    DeleteSelection(usize),
    /// Keeps these and selects the first; one alone is only selected.
    TakeSelections(Vec<NamedSelection>),
    UndoSelection,
    RedoSelection,
    SetActiveRow(Option<usize>),
    SetSweep(SweepSettings),
    /// Scale, colours, lens, and what else reading is set to.
    SetReading(ReadingView),
    SetInside(InsideView),
    /// The engine told the grid of the loaded model.
    SetGrid(PatchGrid),
}
