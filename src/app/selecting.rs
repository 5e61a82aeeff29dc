//! Carrying out what changes the selection: sets are made here from the session, the trace and the panel's numbers.

use super::PatchglassApp;
use crate::index::{Patch, PatchGrid, PatchSet, choose};
use crate::session::Command;
use crate::ui::shortcuts::Action;

impl PatchglassApp {
    /// Changes the selection as the action says; without a grid there is nothing to select.
    pub(super) fn choose(&mut self, action: &Action) {
        use Action as A;
        let Some(grid) = self.session.grid else {
            return;
        };
        let now = &self.session.view.selection;
        let to = match action {
            A::SelectAll => PatchSet::All,
            A::InvertSelection => choose::invert(now, grid),
            A::GrowSelection => choose::grow(now, grid),
            A::ShrinkSelection => choose::shrink(now, grid),
            A::SelectLastRow => choose::last_row(grid),
            A::SelectRegisters => match self.registers(grid) {
                Some(registers) => registers,
                None => return,
            },
            A::SelectRandom => self.panels.selection.next_random(now, grid),
            A::SelectSimilar => return self.select_similar(grid),
            A::KeepSelection => {
                let name = self.panels.selection.take_name(&self.session.view);
                return self.commands.send(Command::KeepSelection(name));
            }
            _ => return,
        };
        self.commands.send(Command::SetSelection(to));
    }

    /// By the projector's output, which is level 0 of the clean run.
    fn registers(&self, grid: PatchGrid) -> Option<PatchSet> {
        let trace = self.runs.trace().or(self.runs.previous())?;
        let embeddings = trace.baseline.levels.first()?.as_ref()?;
        Some(choose::registers(&embeddings.norm, grid))
    }

    /// Reads a mask or annotations about the picture on screen.
    pub(super) fn select_from(&mut self, path: Option<String>) {
        if let Some(subject) = self.subject() {
            self.dialogs.select(path, subject);
        }
    }

    /// Asks for the comparison; the panel selects as soon as it is there.
    fn select_similar(&mut self, grid: PatchGrid) {
        if let Some(patch) = middle(&self.session.view.selection, grid) {
            self.panels.selection.want_similar(patch);
            self.commands.send(Command::SetSimilar(Some(patch)));
        }
    }
}

/// The selected patch that lies nearest to the middle of the selection.
fn middle(set: &PatchSet, grid: PatchGrid) -> Option<Patch> {
    let (row, col) = choose::centre(set, grid)?;
    let far = |p: &Patch| (f32::from(p.row) - row).powi(2) + (f32::from(p.col) - col).powi(2);
    let inside = grid.patches().filter(|patch| set.contains(*patch));
    inside.min_by(|a, b| far(a).total_cmp(&far(b)))
}
