//! The window: it joins the session, the engine and the panels. Glue only.
//!
//! A frame drains the engine's events, draws the panels from a `ViewCtx`, applies the commands that they sent, and
//! asks for one run if any of them needs one. Nothing here computes or waits.

mod dock;
mod dropping;
mod exports;
mod habits;
mod keeper;
mod layout;
mod lost;
mod models;
mod open;
mod perform;
mod reading;
mod remember;
mod runs;
mod selecting;
mod sweeps;
mod tasks;
mod touring;

use std::path::PathBuf;
use std::sync::Arc;

use egui::{Context, Ui};

pub use keeper::Folders;
pub use open::{OpenOptions, open};
pub use remember::Memory;

use crate::dialogs::Dialogs;
use crate::engine::protocol::Runner;
use crate::engine::sweep::Sweep;
use crate::engine::trace::Trace;
use crate::error::Result;
use crate::session::{Command, Session, recorded, update};
use crate::spec::{PictureSource, SweepKind};
use crate::ui::answer::AnswerPanel;
use crate::ui::attention_panel::AttentionPanel;
use crate::ui::attribution_panel::AttributionPanel;
use crate::ui::compare::ComparePanes;
use crate::ui::difference_panel::DifferencePanel;
use crate::ui::image_grid::ImageGrid;
use crate::ui::interventions::InterventionsPanel;
use crate::ui::legend_panel::LegendPanel;
use crate::ui::lens_table::LensTable;
use crate::ui::level_strip::{LevelStrip, slider_id};
use crate::ui::models_window::ModelsWindow;
use crate::ui::palette::Palette;
use crate::ui::pane::Pane;
use crate::ui::path_prompt::PathPrompt;
use crate::ui::question::QuestionPanel;
use crate::ui::run_list::RunList;
use crate::ui::selection_panel::SelectionPanel;
use crate::ui::shortcuts::{Action, Actions, pressed};
use crate::ui::sweep_panel::SweepPanel;
use crate::ui::sweep_view::SweepState;
use crate::ui::theme::Theme;
use crate::ui::word_panel::WordPanel;
use crate::ui::{CommandSender, style};
use dock::Dock;
use runs::Runs;

/// The panels with their scratch.
struct Panels {
    picture: ImageGrid,
    question: QuestionPanel,
    answer: AnswerPanel,
    interventions: InterventionsPanel,
    sweep: SweepPanel,
    selection: SelectionPanel,
    words: WordPanel,
    table: LensTable,
    difference: DifferencePanel,
    legend: LegendPanel,
    attention: AttentionPanel,
    attribution: AttributionPanel,
    run_list: RunList,
    compare: ComparePanes,
    level_strip: LevelStrip,
    path_prompt: PathPrompt,
    palette: Palette,
    show_keys: bool,
    show_about: bool,
    show_verify: bool,
    models: ModelsWindow,
    show_models: bool,
}

impl Panels {
    /// Closes the windows "Keys", "About", "Verify" and "Models"; tells whether one was open.
    fn close_windows(&mut self) -> bool {
        let open = self.show_keys || self.show_about || self.show_verify || self.show_models;
        (self.show_keys, self.show_about) = (false, false);
        (self.show_verify, self.show_models) = (false, false);
        open
    }
}

/// The application of the window.
pub struct PatchglassApp {
    session: Session,
    /// The session as it lies in its file.
    saved: Session,
    file: Option<PathBuf>,
    runs: Runs,
    panels: Panels,
    dock: Dock,
    memory: Memory,
    tour: Option<touring::Play>,
    presenting: bool,
    preferences_applied: bool,
    commands: CommandSender,
    actions: Actions,
    dialogs: Dialogs,
    /// Where the tensors that the engine was asked for are to lie.
    tensors_to: Option<PathBuf>,
    /// What is done with the path that is typed for a file to be written.
    where_to: Option<crate::dialogs::WhereTo>,
    models: models::Models,
    dark: Theme,
    light: Theme,
    title: String,
}

impl PatchglassApp {
    /// Sets up the window's parts and asks for the first run. `make_runner` is called on the engine's thread.
    pub fn new<R: Runner>(
        cc: &eframe::CreationContext<'_>,
        session: Session,
        make_runner: impl Fn() -> Result<R> + Send + 'static,
    ) -> Self {
        style::install(&cc.egui_ctx);
        let ctx = cc.egui_ctx.clone();
        let mut runs = Runs::new(make_runner, Arc::new(move || ctx.request_repaint()));
        runs.request(&session);
        Self {
            saved: session.clone(),
            session,
            file: None,
            runs,
            panels: Panels {
                picture: ImageGrid::new(cc.wgpu_render_state.as_ref()),
                question: QuestionPanel::default(),
                answer: AnswerPanel::default(),
                interventions: InterventionsPanel::default(),
                sweep: SweepPanel::default(),
                selection: SelectionPanel::default(),
                words: WordPanel::default(),
                table: LensTable::default(),
                difference: DifferencePanel::default(),
                legend: LegendPanel::default(),
                attention: AttentionPanel,
                attribution: AttributionPanel,
                run_list: RunList::default(),
                compare: ComparePanes::default(),
                level_strip: LevelStrip::default(),
                path_prompt: PathPrompt::default(),
                palette: Palette::default(),
                show_keys: false,
                show_about: false,
                show_verify: false,
                models: ModelsWindow::default(),
                show_models: false,
            },
            dock: Dock::default(),
            memory: Memory::default(),
            tour: None,
            presenting: false,
            preferences_applied: false,
            commands: CommandSender::default(),
            actions: Actions::default(),
            dialogs: Dialogs::new(cc.egui_ctx.clone()),
            tensors_to: None,
            where_to: None,
            models: models::Models::default(),
            dark: Theme::dark(),
            light: Theme::light(),
            title: String::new(),
        }
    }

    /// The file that the session was read from; results that were saved with it are shown, and nothing is run.
    #[must_use]
    pub fn with_file(mut self, file: Option<PathBuf>) -> Self {
        if let Some(path) = &file {
            match recorded::load(&self.session, path) {
                Ok(Some(trace)) => self.runs.show_recorded(trace),
                Ok(None) => {}
                Err(error) => self.runs.show_error(error.to_string()),
            }
        }
        self.file = file;
        self
    }

    /// Remembers in these folders what is kept between starts, and begins with what was remembered there.
    #[must_use]
    pub fn with_folders(mut self, folders: Folders) -> Self {
        self.memory = Memory::read(folders);
        self.memory.is_safe(&self.session);
        if let Some(dock) = self.memory.layout() {
            self.dock = dock;
        }
        self
    }

    /// Asks for paths in the window alone, never in a dialog of the desktop.
    #[must_use]
    pub fn without_file_dialogs(mut self) -> Self {
        self.dialogs.in_window = true;
        self
    }

    /// Writes what has changed of what is remembered; the session a moment after an edit.
    fn remember(&mut self, ctx: &Context) {
        self.memory.keep(&mut self.dock);
        let now = ctx.input(|i| i.time);
        if let Some(wait) = self
            .memory
            .autosave(&self.session, self.file.as_deref(), now)
        {
            ctx.request_repaint_after(std::time::Duration::from_secs_f64(wait));
        }
    }

    /// Whether a session that was lost in a crash can be brought back.
    pub fn can_bring_back(&self) -> bool {
        self.memory.can_bring_back()
    }

    /// Whether a pane is open, be it in front or behind another tab.
    pub fn is_open(&self, pane: Pane) -> bool {
        self.dock.is_open(pane)
    }

    /// Hands a command over, as a panel does; it is applied at the end of the next frame.
    pub fn send(&self, command: Command) {
        self.commands.send(command);
    }

    pub fn session(&self) -> &Session {
        &self.session
    }

    pub fn trace(&self) -> Option<&Trace> {
        self.runs.trace()
    }

    /// What was found by the newest sweep of a kind, whatever it was about.
    pub fn sweep(&self, kind: SweepKind) -> Option<&Sweep> {
        self.runs.sweeps().newest(kind)
    }

    pub fn previous(&self) -> Option<&Trace> {
        self.runs.previous()
    }

    /// Whether nothing runs or is swept, and no file is being chosen, read or written.
    pub fn is_idle(&self) -> bool {
        let sweeping = self.runs.sweeps().state != SweepState::Idle;
        let task = self.runs.tasks().is_busy();
        !self.runs.running() && !sweeping && !task && !self.dialogs.busy()
    }

    pub fn error(&self) -> Option<&str> {
        self.runs.error()
    }

    /// What the engine and the file threads have sent since the last frame.
    fn take_news(&mut self, ctx: &Context) {
        self.runs.drain();
        self.runs.start_wanted_sweep(&self.session);
        self.runs.start_wanted_task(&self.session);
        self.take_tensors();
        self.models.poll();
        self.take_dropped_files(ctx);
        self.take_pasted_pictures(ctx);
        self.take_files();
        if let Some(trace) = self.runs.result() {
            self.panels.run_list.take_in(&self.session, trace);
        }
        let grid = self.runs.trace().map(|t| t.model.grid);
        if let Some(grid) = grid.filter(|grid| self.session.grid != Some(*grid)) {
            update(&mut self.session, Command::SetGrid(grid));
        }
        self.begin_step();
    }

    /// Applies the frame's commands in order; of all that need a run, the last state is run, once.
    fn apply_commands(&mut self) {
        let mut rerun = false;
        for command in self.commands.take() {
            if let Command::SetLevel(level) = command {
                self.runs.set_shown_level(level);
            }
            rerun |= update(&mut self.session, command).rerun;
        }
        if rerun {
            self.memory.note(&self.session, self.file.as_deref());
            self.panels.level_strip.stop();
            if let Some(trace) = self.panels.run_list.result_of(&self.session.experiment) {
                self.runs.recall(trace);
            }
            self.runs.request(&self.session);
        }
    }

    fn unsaved(&self) -> bool {
        self.session.experiment != self.saved.experiment
            || self.session.readout != self.saved.readout
            || self.session.runs.list != self.saved.runs.list
    }

    /// Before another session takes the place of this one: what was not saved can be brought back.
    fn set_aside(&mut self) {
        if self.unsaved() {
            self.memory.set_aside(&self.session, self.file.as_deref());
        }
    }

    fn name(&self) -> String {
        let stem = |path: &std::path::Path| {
            path.file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        };
        match (&self.file, &self.session.experiment.picture) {
            (Some(file), _) => stem(file),
            (None, PictureSource::File(path)) => stem(path),
            (None, PictureSource::Demo) => "demo".to_owned(),
        }
    }

    fn show_title(&mut self, ctx: &Context, name: &str, unsaved: bool) {
        let title = format!("Patchglass – {name}{}", if unsaved { " •" } else { "" });
        if title != self.title {
            ctx.send_viewport_cmd(egui::ViewportCommand::Title(title.clone()));
            self.title = title;
        }
    }
}

impl eframe::App for PatchglassApp {
    fn logic(&mut self, ctx: &Context, _frame: &mut eframe::Frame) {
        self.take_news(ctx);
    }

    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        let ctx = ui.ctx().clone();
        self.apply_preferences(&ctx);
        self.take_numbers(&ctx);
        let in_field = self.panels.palette.is_open() || self.panels.path_prompt.is_open();
        for action in pressed(&ctx, slider_id(), in_field) {
            match action {
                // Open in this very frame, so that what is typed next is theirs.
                Action::Palette | Action::OpenPath => self.perform(&ctx, action),
                _ => self.actions.send(action),
            }
        }
        let (name, unsaved) = (self.name(), self.unsaved());
        self.show_title(&ctx, &name, unsaved);
        self.draw(ui, &name, unsaved);
        for action in self.actions.take() {
            self.perform(&ctx, action);
        }
        let changed = self.commands.any();
        self.apply_commands();
        self.runs.start_wanted_sweep(&self.session);
        self.runs.start_wanted_task(&self.session);
        self.remember(&ctx);
        if changed {
            // What was sent in this frame is seen in the next one.
            ctx.request_repaint();
        }
    }

    fn on_exit(&mut self) {
        let unsaved = self.unsaved();
        let unsaved = unsaved.then_some((&self.session, self.file.as_deref()));
        self.memory.end(unsaved);
    }

    fn clear_color(&self, visuals: &egui::Visuals) -> [f32; 4] {
        visuals.panel_fill.to_normalized_gamma_f32()
    }
}
