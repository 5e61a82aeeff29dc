//! Carrying out what was asked by menu, button or key, and what came back from files.
//!
//! Everything that changes the session goes through a command.

use std::path::PathBuf;

use egui::Context;

use super::{PatchglassApp, reading};
use crate::dialogs::{Outcome, Pick};
use crate::engine::verification::Task;
use crate::index::PatchSet;
use crate::session::{Command, HeatKind, Session, Tool};
use crate::spec::{Ablation, Intervention, ModelSource, PictureSource, SweepKind};
use crate::ui::level_strip::level_after;
use crate::ui::pane::Pane;
use crate::ui::run_list;
use crate::ui::shortcuts::Action;

impl PatchglassApp {
    pub(super) fn perform(&mut self, ctx: &Context, action: Action) {
        use Action as A;
        if action == A::ClearSelection && self.escape() {
            return;
        }
        let view = &self.session.view;
        let command = match action {
            A::Undo => Command::Undo,
            A::Redo => Command::Redo,
            A::ClearInterventions => Command::ClearInterventions,
            A::ClearSelection => Command::SetSelection(PatchSet::default()),
            A::AblateTool => Command::SetTool(Tool::Ablate),
            A::SelectTool => Command::SetTool(Tool::Select),
            A::LassoTool => Command::SetTool(Tool::Lasso),
            A::UndoSelection => Command::UndoSelection,
            A::RedoSelection => Command::RedoSelection,
            A::ShowGrid => Command::ShowGrid(!view.show_grid),
            A::ShowWords => Command::ShowWords(!view.show_words),
            A::ShowClean => Command::ShowClean(!view.show_clean),
            A::Compare => Command::Compare(!view.compare),
            A::KeepRun if self.session.runs.is_full() => {
                let most = self.session.runs.list.len();
                return self.runs.show_error(format!(
                    "{most} runs are kept already, and no more can be: delete one of them first"
                ));
            }
            A::KeepRun => run_list::keep(&self.session, self.runs.trace()),
            A::Rerun => Command::Rerun,
            A::MeasureKl => Command::MeasureDivergence(!self.session.readout.divergence),
            A::CosineLens
            | A::TableOfAllTokens
            | A::GreyShared
            | A::NextScale
            | A::Normalise
            | A::SwapColours => reading::command(&view.reading, &action),
            A::AblateSelection if !view.selection.is_empty() => Command::AddIntervention(
                Intervention::Ablation(Ablation::of(view.selection.clone())),
            ),
            A::LevelDown | A::LevelUp | A::LevelFirst | A::LevelLast => {
                return self.step_level(&action);
            }
            A::OpenDemo => {
                self.commands.send(Command::SetPicture(PictureSource::Demo));
                Command::SetModel(ModelSource::Demo)
            }
            other => return self.perform_aside(ctx, other),
        };
        self.commands.send(command);
    }

    /// What is no command of the session.
    fn perform_aside(&mut self, ctx: &Context, action: Action) {
        use Action as A;
        match action {
            A::OpenPicture => self.dialogs.pick(Pick::Picture),
            A::OpenModel => self.dialogs.pick(Pick::Model),
            A::OpenSession => self.dialogs.pick(Pick::Session),
            A::OpenPath => self.panels.path_prompt.open(),
            A::OpenTyped(text) => self.dialogs.open(text),
            A::SaveTo(text) => {
                if let Some(question) = self.where_to.take() {
                    self.dialogs.answer(question, &text);
                }
            }
            A::Save => self.dialogs.save(&self.session, self.file.clone()),
            A::SaveAs => self.dialogs.save(&self.session, None),
            A::SaveRecorded => self.save_recorded(),
            A::BrowseReplacement(row) => self.browse_replacement(row),
            A::KnockOutSelection if !self.session.view.selection.is_empty() => {
                self.dock.show(Pane::Interventions);
                self.panels
                    .interventions
                    .begin_knockout(&self.session.view.selection);
            }
            A::Control => {
                let on = self.session.readout.control.is_some();
                let control = (!on).then(crate::spec::ControlSpec::default);
                self.commands.send(Command::SetControl(control));
            }
            A::SelectFromFile => self.select_from(None),
            A::SelectFromPath(path) => self.select_from(Some(path)),
            A::SoloRow
            | A::DuplicateRow
            | A::RenameRow
            | A::DeleteRow
            | A::MoveRowUp
            | A::MoveRowDown => self.change_row(&action),
            A::SelectAll
            | A::InvertSelection
            | A::GrowSelection
            | A::ShrinkSelection
            | A::SelectLastRow
            | A::SelectRegisters
            | A::SelectRandom
            | A::SelectSimilar
            | A::KeepSelection => self.choose(&action),
            A::ExportPng
            | A::ExportGif
            | A::ExportHtml
            | A::ExportCsv
            | A::ExportJson
            | A::ExportSafetensors
            | A::ExportPython
            | A::CopyPicture
            | A::CopyTable => self.export(ctx, &action),
            A::Models => self.panels.show_models = true,
            A::UseModel(_) | A::LookUpModel(_) | A::FetchModel | A::PauseFetch => {
                self.ask_hub(ctx, action);
            }
            A::Verify => self.panels.show_verify = true,
            A::StartVerify => self.runs.want_task(Task::Verify),
            A::Play if self.tour.is_some() => self.next_step(),
            A::Play => self.panels.level_strip.toggle(ctx.input(|i| i.time)),
            A::Stop => self.runs.cancel(),
            A::Sweep => self.start_sweep(),
            A::DismissError => self.runs.dismiss_error(),
            A::UseCpu => {
                self.runs.dismiss_error();
                self.runs.use_cpu();
                self.commands.send(Command::Rerun);
            }
            A::Keys => self.panels.show_keys = !self.panels.show_keys,
            A::About => self.panels.show_about = !self.panels.show_about,
            A::ResetLayout => self.dock.reset(),
            A::TogglePane(pane) => self.dock.toggle(pane),
            A::ShowPane(pane) => self.dock.show(pane),
            A::Quit => ctx.send_viewport_cmd(egui::ViewportCommand::Close),
            other => self.habit(ctx, other),
        }
    }

    /// Starts the sweep, or goes on with it; one over patches is watched on the picture.
    fn start_sweep(&mut self) {
        let view = &self.session.view;
        if view.sweep.kind == SweepKind::Patches && view.heat != HeatKind::Importance {
            self.commands.send(Command::SetHeat(HeatKind::Importance));
        }
        self.dock.show(Pane::Sweep);
        self.runs.want_sweep();
    }

    fn step_level(&mut self, action: &Action) {
        let Some(trace) = self.runs.trace().or(self.runs.previous()) else {
            return;
        };
        let last = trace.model.n_layers;
        let level = self
            .session
            .view
            .level
            .unwrap_or(trace.model.default_level)
            .min(last);
        self.panels.level_strip.stop();
        if let Some(to) = level_after(action, level, last).filter(|to| *to != level) {
            self.commands.send(Command::SetLevel(to));
        }
    }

    fn browse_replacement(&mut self, row: usize) {
        if let Some(Intervention::Ablation(a)) = self.session.experiment.interventions.get(row) {
            let mean = self.panels.interventions.wants_mean_file(a);
            self.dialogs.pick(Pick::Replacement { row, mean });
        }
    }

    /// Applies what the file threads have sent.
    pub(super) fn take_files(&mut self) {
        while let Some(outcome) = self.dialogs.take() {
            match outcome {
                Outcome::Picture(picture) => self.commands.send(Command::SetPicture(picture)),
                Outcome::Model(model) => self.commands.send(Command::SetModel(model)),
                Outcome::Session(session, path) => self.replace_session(*session, path),
                Outcome::Recorded(session, path, trace) => {
                    self.replace_session(*session, path);
                    self.runs.show_recorded(*trace);
                }
                Outcome::Replacement(row, with) => self.set_replacement(row, with),
                Outcome::Tour(tour) => self.start_tour(*tour),
                Outcome::Saved(session, path) => {
                    self.memory.is_safe(&session);
                    self.saved = *session;
                    self.file = Some(path);
                }
                Outcome::Selections(found) => self.commands.send(Command::TakeSelections(found)),
                Outcome::TensorsTo(path) => self.want_tensors(path),
                Outcome::Hub(news) => self.take_hub_news(news),
                Outcome::WhichFile => self.panels.path_prompt.open(),
                Outcome::WhereTo(question) => {
                    self.panels.path_prompt.ask_where(&question.name);
                    self.where_to = Some(question);
                }
                Outcome::Exported(_) | Outcome::Nothing => {}
                Outcome::Failed(error) => self.runs.show_error(error.to_string()),
            }
        }
    }

    /// Another document takes the place of this one, which can be brought back where it was not saved; the undo history
    /// starts afresh.
    fn replace_session(&mut self, session: Session, path: PathBuf) {
        self.set_aside();
        let grid = self.session.grid;
        self.session = Session { grid, ..session };
        self.saved = self.session.clone();
        self.memory.is_safe(&self.session);
        self.file = Some(path);
        self.runs.request(&self.session);
    }

    fn set_replacement(&self, row: usize, with: crate::spec::Replacement) {
        if let Some(Intervention::Ablation(a)) = self.session.experiment.interventions.get(row) {
            let to = Intervention::Ablation(Ablation { with, ..a.clone() });
            self.commands.send(Command::SetIntervention {
                row,
                to,
                gesture: None,
            });
        }
    }

    /// Changes the chosen row as a whole.
    fn change_row(&mut self, action: &Action) {
        let n = self.session.experiment.interventions.len();
        let Some(row) = self.session.view.active_row.filter(|row| *row < n) else {
            return;
        };
        self.commands.send(match action {
            Action::SoloRow => Command::SoloIntervention(row),
            Action::DuplicateRow => Command::DuplicateIntervention(row),
            Action::DeleteRow => Command::RemoveIntervention(row),
            Action::MoveRowUp if row > 0 => Command::MoveIntervention { row, to: row - 1 },
            Action::MoveRowDown if row + 1 < n => Command::MoveIntervention { row, to: row + 1 },
            Action::RenameRow => return self.panels.interventions.begin_rename(row),
            _ => return,
        });
    }
}
