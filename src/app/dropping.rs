//! Files that are dropped onto the window: opened one after the other, by what they are and what they are dropped for.

use std::path::Path;

use egui::Context;

use super::PatchglassApp;
use crate::dialogs::PICTURES;
use crate::dialogs::mask::Subject;
use crate::session::Command;
use crate::spec::{Intervention, Swap};

impl PatchglassApp {
    pub(super) fn take_dropped_files(&mut self, ctx: &Context) {
        let dropped = ctx.input(|i| i.raw.dropped_files.clone());
        for file in dropped {
            if !self.take_second_picture(file.path()) {
                let text = file.path().to_string_lossy().into_owned();
                let subject = self.subject();
                self.dialogs.open_dropped(text, subject);
            }
        }
    }

    /// The picture on screen, about which a mask may be.
    pub(super) fn subject(&self) -> Option<Subject> {
        let trace = self.runs.trace().or(self.runs.previous())?;
        Some(Subject {
            name: trace.picture.name.clone(),
            size: trace.picture.original_size,
            seen: trace.picture.seen_in_original,
            grid: trace.model.grid,
        })
    }

    /// While a swap is being edited, a picture is its second one; tells whether the file was taken so.
    fn take_second_picture(&self, path: &Path) -> bool {
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        let is_picture = PICTURES.contains(&ending.to_lowercase().as_str());
        let rows = &self.session.experiment.interventions;
        let active = self.session.view.active_row;
        let Some((row, Intervention::Swap(swap))) =
            active.and_then(|row| Some((row, rows.get(row)?)))
        else {
            return false;
        };
        if is_picture {
            let to = Intervention::Swap(Swap {
                image: path.to_owned(),
                // A row that waited for its picture starts.
                enabled: swap.enabled || swap.image.as_os_str().is_empty(),
                ..swap.clone()
            });
            self.commands.send(Command::SetIntervention {
                row,
                to,
                gesture: None,
            });
        }
        is_picture
    }
}
