//! The bar at the top: name, menus, undo and redo, the session's name, the model and the device.
//!
//! It sends actions; what they do is the shell's matter.

use egui::{Align, Layout, RichText, Ui};

use super::ViewCtx;
use super::pane::Pane;
use super::shortcuts::{Action, Actions, button, menu_check, menu_item};
use super::sweep_view::SweepState;
use crate::demo::SAMPLES;
use crate::session::{Colours, Command, LensKind, TableRows};
use crate::spec::ModelSource;

/// What the bar shows and the session does not know.
pub struct FileState<'a> {
    pub name: &'a str,
    pub unsaved: bool,
    pub theme: egui::ThemePreference,
    /// The panes that are open.
    pub open: &'a [Pane],
    /// Kinds and paths of recent files.
    pub recent: &'a [(&'a str, &'a str)],
}

pub fn ui(ctx: &ViewCtx<'_>, ui: &mut Ui, file: &FileState<'_>, actions: &Actions) {
    egui::MenuBar::new().ui(ui, |ui| {
        ui.label(RichText::new("Patchglass").strong());
        ui.menu_button("File", |ui| file_menu(ctx, ui, file, actions));
        ui.menu_button("Edit", |ui| edit_menu(ctx, ui, actions));
        ui.menu_button("Select", |ui| select_menu(ctx, ui, actions));
        ui.menu_button("View", |ui| view_menu(ctx, ui, file, actions));
        ui.menu_button("Help", |ui| {
            menu_item(ui, actions, Action::Palette, true);
            menu_item(ui, actions, Action::Verify, true);
            menu_item(ui, actions, Action::Keys, true);
            ui.menu_button("Tours", |ui| {
                menu_item(ui, actions, Action::PaperTour, true);
                menu_item(ui, actions, Action::OpenTour, true);
            });
            menu_item(ui, actions, Action::About, true);
        });
        ui.separator();
        let history = &ctx.session.history;
        button(ui, actions, Action::Undo, history.can_undo())
            .on_disabled_hover_text("There is nothing to undo");
        button(ui, actions, Action::Redo, history.can_redo())
            .on_disabled_hover_text("There is nothing to redo");
        ui.separator();
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            chips(ctx, ui);
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                session_name(ui, file)
            });
        });
    });
}

fn session_name(ui: &mut Ui, file: &FileState<'_>) {
    let mark = if file.unsaved { " •" } else { "" };
    let text = RichText::new(format!("{}{mark}", file.name)).weak();
    let tip = if file.unsaved {
        "The session has changes that are not saved"
    } else {
        "The session"
    };
    ui.add(egui::Label::new(text).truncate()).on_hover_text(tip);
}

/// Model and device, right to left.
fn chips(ctx: &ViewCtx<'_>, ui: &mut Ui) {
    let trace = ctx.trace.or(ctx.previous);
    let device = trace.map_or_else(
        || "no device yet".to_owned(),
        |t| format!("{} · {}", t.model.device, t.model.dtype),
    );
    let tip = "Where the model runs, and the type of its numbers";
    let notes = trace.map(|t| t.model.notes.join("\n"));
    let notes = notes.filter(|notes| !notes.is_empty());
    chip(
        ctx,
        ui,
        &device,
        &notes.map_or_else(|| tip.to_owned(), |notes| format!("{tip}.\n{notes}")),
    );
    let source = &ctx.session.experiment.model;
    let name = match source {
        ModelSource::Demo => "demo · drawn scenes".to_owned(),
        ModelSource::Folder(path) | ModelSource::Gguf { model: path, .. } => path
            .file_name()
            .unwrap_or(path.as_os_str())
            .to_string_lossy()
            .into_owned(),
        ModelSource::Hub(id) => id.clone(),
    };
    let tip = trace.map_or_else(
        || "The model".to_owned(),
        |t| {
            let m = &t.model;
            format!(
                "The model: {:.2} million parameters, {} blocks, {} heads, width {}, {}×{} patches",
                m.n_params as f64 / 1e6,
                m.n_layers,
                m.n_heads,
                m.d_model,
                m.grid.rows,
                m.grid.cols
            )
        },
    );
    chip(ctx, ui, &name, &tip);
}

fn chip(ctx: &ViewCtx<'_>, ui: &mut Ui, text: &str, tip: &str) {
    egui::Frame::new()
        .stroke(egui::Stroke::new(1.0, ctx.theme.outline))
        .corner_radius(9)
        .inner_margin(egui::Margin::symmetric(8, 2))
        .show(ui, |ui| ui.label(RichText::new(text).small()))
        .response
        .on_hover_text(tip);
}

fn file_menu(ctx: &ViewCtx<'_>, ui: &mut Ui, file: &FileState<'_>, actions: &Actions) {
    for action in [
        Action::OpenPicture,
        Action::Models,
        Action::OpenModel,
        Action::OpenPath,
        Action::OpenDemo,
    ] {
        menu_item(ui, actions, action, true);
    }
    samples_menu(ui, actions);
    recent_menu(ui, file, actions);
    ui.separator();
    for action in [
        Action::OpenSession,
        Action::Save,
        Action::SaveAs,
        Action::SaveRecorded,
    ] {
        menu_item(ui, actions, action, true);
    }
    ui.separator();
    let complete = ctx.trace.is_some_and(|trace| trace.complete);
    ui.menu_button("Export", |ui| {
        for action in [
            Action::ExportPng,
            Action::ExportGif,
            Action::ExportHtml,
            Action::ExportCsv,
            Action::ExportJson,
            Action::ExportSafetensors,
            Action::ExportPython,
        ] {
            menu_item(ui, actions, action, complete);
        }
    })
    .response
    .on_hover_text("Files made of the run on screen");
    menu_item(ui, actions, Action::CopyPicture, complete);
    menu_item(ui, actions, Action::CopyTable, complete);
    ui.separator();
    menu_item(ui, actions, Action::Quit, true);
}

fn edit_menu(ctx: &ViewCtx<'_>, ui: &mut Ui, actions: &Actions) {
    let session = ctx.session;
    let selected = !session.view.selection.is_empty();
    menu_item(ui, actions, Action::Undo, session.history.can_undo());
    menu_item(ui, actions, Action::Redo, session.history.can_redo());
    ui.separator();
    menu_item(ui, actions, Action::AblateSelection, selected);
    menu_item(ui, actions, Action::KnockOutSelection, selected);
    menu_item(
        ui,
        actions,
        Action::ClearInterventions,
        !session.experiment.interventions.is_empty(),
    );
    ui.separator();
    menu_item(ui, actions, Action::Rerun, true);
    menu_item(ui, actions, Action::KeepRun, true);
    menu_item(ui, actions, Action::Sweep, ctx.trace.is_some());
    let controlled = session.readout.control.is_some();
    menu_check(ui, actions, Action::Control, controlled);
    let busy = ctx.progress.is_some() || ctx.sweeps.state != SweepState::Idle;
    menu_item(ui, actions, Action::Stop, busy);
}

fn select_menu(ctx: &ViewCtx<'_>, ui: &mut Ui, actions: &Actions) {
    let view = &ctx.session.view;
    let (some, ready) = (!view.selection.is_empty(), ctx.session.grid.is_some());
    for (action, enabled) in [
        (Action::SelectAll, ready),
        (Action::ClearSelection, some),
        (Action::InvertSelection, ready),
        (Action::GrowSelection, some),
        (Action::ShrinkSelection, some),
    ] {
        menu_item(ui, actions, action, enabled);
    }
    ui.separator();
    for (action, enabled) in [
        (Action::SelectLastRow, ready),
        (Action::SelectRegisters, ctx.trace.is_some()),
        (Action::SelectRandom, ready),
        (Action::SelectSimilar, some),
        (Action::SelectFromFile, ctx.trace.is_some()),
    ] {
        menu_item(ui, actions, action, enabled);
    }
    ui.separator();
    menu_item(ui, actions, Action::KeepSelection, some);
    for (at, kept) in view.selections.iter().enumerate() {
        let item = egui::Button::new(RichText::new(&kept.name)).truncate();
        if ui
            .add(item)
            .on_hover_text("Select what is kept under this name")
            .clicked()
        {
            ctx.commands.send(Command::RestoreSelection(at));
            ui.close();
        }
    }
    ui.separator();
    let steps = &ctx.session.selecting;
    menu_item(ui, actions, Action::UndoSelection, steps.can_undo());
    menu_item(ui, actions, Action::RedoSelection, steps.can_redo());
}

fn view_menu(ctx: &ViewCtx<'_>, ui: &mut Ui, file: &FileState<'_>, actions: &Actions) {
    let view = &ctx.session.view;
    menu_check(ui, actions, Action::ShowGrid, view.show_grid);
    menu_check(ui, actions, Action::ShowWords, view.show_words);
    menu_check(ui, actions, Action::ShowClean, view.show_clean);
    menu_check(ui, actions, Action::Compare, view.compare);
    ui.separator();
    let reading = &view.reading;
    let is_cosine = reading.lens == LensKind::Cosine;
    menu_check(ui, actions, Action::CosineLens, is_cosine);
    let all_tokens = reading.rows == TableRows::AllTokens;
    menu_check(ui, actions, Action::TableOfAllTokens, all_tokens);
    menu_check(ui, actions, Action::GreyShared, reading.grey_shared);
    let measured = ctx.session.readout.divergence;
    menu_check(ui, actions, Action::MeasureKl, measured);
    menu_item(ui, actions, Action::NextScale, true);
    menu_check(ui, actions, Action::Normalise, reading.normalised);
    let is_cividis = reading.colours == Colours::Cividis;
    menu_check(ui, actions, Action::SwapColours, is_cividis);
    ui.separator();
    panes_menu(ui, file, actions);
    ui.separator();
    for action in [
        Action::Present,
        Action::ZoomIn,
        Action::ZoomOut,
        Action::ZoomReset,
    ] {
        menu_item(ui, actions, action, true);
    }
    ui.separator();
    use egui::ThemePreference as P;
    for (preference, name) in [
        (P::Dark, "Dark"),
        (P::Light, "Light"),
        (P::System, "As the system"),
    ] {
        if ui
            .radio(file.theme == preference, name)
            .on_hover_text("Colours of the window")
            .clicked()
        {
            actions.send(Action::Theme(preference));
            ui.close();
        }
    }
}

/// A check mark for every pane but the picture, and the way back to the first layout.
fn panes_menu(ui: &mut Ui, file: &FileState<'_>, actions: &Actions) {
    let panes = Pane::ALL.iter().filter(|pane| **pane != Pane::Picture);
    for pane in panes {
        let mut open = file.open.contains(pane);
        let check = ui.checkbox(&mut open, pane.title());
        if check.on_hover_text(pane.tooltip()).clicked() {
            actions.send(Action::TogglePane(*pane));
            ui.close();
        }
    }
    menu_item(ui, actions, Action::ResetLayout, true);
}

fn samples_menu(ui: &mut Ui, actions: &Actions) {
    let menu = ui.menu_button("Samples", |ui| {
        for sample in SAMPLES {
            let button = ui.button(sample.name);
            if button.on_hover_text(sample.what).clicked() {
                actions.send(Action::OpenSample(sample.name));
                ui.close();
            }
        }
    });
    menu.response
        .on_hover_text("Scenes that the demo model was not trained on");
}

fn recent_menu(ui: &mut Ui, file: &FileState<'_>, actions: &Actions) {
    let menu = ui.add_enabled_ui(!file.recent.is_empty(), |ui| {
        ui.menu_button("Recent", |ui| {
            for (kind, path) in file.recent {
                let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
                let button = ui.button(format!("{name} ({kind})"));
                if button.on_hover_text(*path).clicked() {
                    actions.send(Action::OpenTyped((*path).to_owned()));
                    ui.close();
                }
            }
        });
    });
    menu.response
        .on_hover_text("Pictures, sessions and models that were opened last");
}
