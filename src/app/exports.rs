//! Exports from the window: what is on screen as files and on the clipboard. The files are made beside the window.

use std::path::PathBuf;

use egui::Context;

use super::PatchglassApp;
use crate::engine::trace::Trace;
use crate::engine::verification::Task;
use crate::error::Error;
use crate::export::picture::{self, View};
use crate::export::{self, csv, gif, heat::HeatMap, html, python, tensors};
use crate::session::HeatKind;
use crate::ui::shortcuts::Action;
use crate::ui::{ViewCtx, heat};

/// How many times as large as the screen's a picture is.
const SCALE: usize = 2;

impl PatchglassApp {
    pub(super) fn export(&mut self, ctx: &Context, action: &Action) {
        let Some(trace) = self.runs.result().cloned() else {
            return self.runs.show_error(
                "there is no complete run of this session to export: wait for it, or run it again"
                    .to_owned(),
            );
        };
        let name = |ending: &str| format!("{}.{ending}", self.name());
        let session = self.session.clone();
        match action {
            Action::ExportPng => {
                let view = self.exported_view(&trace);
                let make = move || picture::png(&trace, &view, SCALE);
                self.dialogs.export(name("png"), make);
            }
            Action::ExportGif => {
                let of_sweep = self.map_of_sweep();
                self.dialogs.export(name("gif"), move || {
                    gif::levels(&trace, 1, |level| {
                        let view = View::of(&session, &trace, Some(level));
                        let heat = of_sweep.clone().or_else(|| view.heat.clone());
                        View { heat, ..view }
                    })
                });
            }
            Action::ExportHtml => self.dialogs.export(name("html"), move || {
                html::page(&session, &trace).map(String::into_bytes)
            }),
            Action::ExportCsv => self.dialogs.export(name("csv"), move || {
                csv::of_trace(&trace).map(String::into_bytes)
            }),
            Action::ExportJson => self.dialogs.export(name("result.json"), move || {
                export::json(&trace).map(String::into_bytes)
            }),
            Action::ExportPython => self.dialogs.export(name("py"), move || {
                python::script(&session, &trace).map(String::into_bytes)
            }),
            Action::ExportSafetensors => self.dialogs.ask_for_tensors(name("safetensors")),
            Action::CopyPicture => self.copy_picture(ctx, &trace),
            Action::CopyTable => {
                let level = self.exported_view(&trace).level;
                let clean = self.session.view.show_clean;
                if let Some(table) = csv::level_for_clipboard(&trace, level, clean) {
                    ctx.copy_text(table);
                }
            }
            _ => {}
        }
    }

    fn copy_picture(&mut self, ctx: &Context, trace: &Trace) {
        match picture::draw(trace, &self.exported_view(trace), SCALE) {
            Ok(image) => {
                let size = [image.width() as usize, image.height() as usize];
                ctx.copy_image(egui::ColorImage::from_rgb(size, image.as_raw()));
            }
            Err(error) => self.runs.show_error(error.to_string()),
        }
    }

    /// What is on screen, with the heat map that the window shows.
    fn exported_view(&self, trace: &Trace) -> View {
        let mut view = View::of(&self.session, trace, None);
        view.heat = self.map_of_sweep().or(view.heat);
        view
    }

    /// The heat map of a sweep, which is no part of a trace; `None` where another one is shown.
    fn map_of_sweep(&self) -> Option<HeatMap> {
        let view = &self.session.view;
        if view.heat != HeatKind::Importance {
            return None;
        }
        let on_screen = ViewCtx {
            session: &self.session,
            trace: self.runs.trace(),
            previous: self.runs.previous(),
            progress: self.runs.progress(),
            sweeps: self.runs.sweeps(),
            error: None,
            theme: &self.light,
            commands: &self.commands,
        };
        let title = format!("{} ({})", heat::label(view.heat), heat::unit(view));
        heat::of_view(&on_screen).map(|heat| HeatMap::new(heat, title, view.reading.colours))
    }

    /// Asks the engine for the tensors of the run; they are written when they come.
    pub(super) fn want_tensors(&mut self, path: PathBuf) {
        self.tensors_to = Some(path);
        self.runs.want_task(Task::Dump);
    }

    pub(super) fn take_tensors(&mut self) {
        let Some(dump) = self.runs.take_tensors() else {
            return;
        };
        match self.tensors_to.take() {
            Some(path) => {
                self.dialogs.write(path, move || tensors::to_bytes(&dump));
            }
            None => self
                .runs
                .show_error(Error::internal("nobody asked for these tensors").to_string()),
        }
    }
}
