//! The list of interventions: what is done to the run, row by row; the chosen row opens its editor.
//!
//! All edits leave as commands. A knockout that is being set up is scratch until "Add".

use egui::{Align, Button, Frame, Layout, Margin, RichText, Stroke, Ui, vec2};

use super::ViewCtx;
use super::ablation_form::AblationForm;
use super::edit_form::{EditForm, more_rows};
use super::forms::facts;
use super::knockout_form::KnockoutForm;
use super::row_drag;
use super::shortcuts::{Action, Actions, entry};
use super::theme::GRID;
use super::wording::{cannot_change, describe};
use crate::index::{HeadSet, LayerRange, TokenSet};
use crate::session::Command;
use crate::spec::{Ablation, AttentionKnockout, Intervention};

/// Scratch of the list.
#[derive(Default)]
pub struct InterventionsPanel {
    ablation: AblationForm,
    knockout: KnockoutForm,
    /// The row that the forms' scratch belongs to.
    edited: Option<usize>,
    /// A knockout that is being set up.
    new_knockout: Option<AttentionKnockout>,
    new_form: KnockoutForm,
    edit: EditForm,
    /// The row that is being renamed, and its new name.
    renamed: Option<(usize, String)>,
    /// The blocks of the next knockout by a preset.
    window: LayerRange,
}

impl InterventionsPanel {
    pub fn ui(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui, actions: &Actions) {
        if self.edited != ctx.session.view.active_row {
            self.edited = ctx.session.view.active_row;
            self.ablation = AblationForm::default();
            self.knockout = KnockoutForm::default();
            self.edit = EditForm::default();
        }
        let rows = &ctx.session.experiment.interventions;
        selection_buttons(ctx, ui, actions);
        more_rows(ctx, ui, &mut self.window);
        self.new_knockout(ctx, ui);
        if rows.is_empty() && self.new_knockout.is_none() {
            let text = "Nothing is ablated or knocked out. Click a patch of the picture, or select patches and use the buttons above.";
            ui.add(egui::Label::new(RichText::new(text).small().weak()).wrap());
        }
        for (at, row) in rows.iter().enumerate() {
            let shown = ui.push_id(("row", at), |ui| self.row(ctx, ui, actions, at, row));
            row_drag::drop_on(ctx, ui, at, shown.inner);
        }
    }

    /// Opens the form for a knockout of the selection.
    pub fn begin_knockout(&mut self, selection: &crate::index::PatchSet) {
        self.new_form = KnockoutForm::default();
        self.new_knockout = Some(AttentionKnockout {
            queries: TokenSet::Last,
            keys: TokenSet::Patches(selection.clone()),
            layers: LayerRange::All,
            heads: HeadSet::All,
            enabled: true,
            name: None,
        });
    }

    /// Whether a file that was chosen for the edited row is a mean rather than a picture.
    pub fn wants_mean_file(&self, a: &Ablation) -> bool {
        self.ablation.wants_mean_file(a)
    }

    /// Opens the field for the name of a row.
    pub fn begin_rename(&mut self, row: usize) {
        self.renamed = Some((row, String::new()));
    }

    /// The field for the name, in the place of the row; `false` where the row is not being renamed.
    fn rename(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui, at: usize) -> bool {
        let Some((_, name)) = self.renamed.as_mut().filter(|(row, _)| *row == at) else {
            return false;
        };
        let edit = egui::TextEdit::singleline(name).hint_text("name; empty for none");
        let response = ui
            .add(edit.desired_width(f32::INFINITY))
            .accessible_name(format!("Name of intervention {}", at + 1));
        if response.lost_focus() {
            let name = std::mem::take(name);
            if !ui.input(|i| i.key_pressed(egui::Key::Escape)) {
                ctx.commands
                    .send(Command::RenameIntervention { row: at, name });
            }
            self.renamed = None;
        } else {
            response.request_focus();
        }
        true
    }

    fn new_knockout(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui) {
        let Some(knockout) = self.new_knockout.clone() else {
            return;
        };
        card(ctx, true).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.label("New knockout");
            if let Some((edited, _)) = self.new_form.ui(ctx, ui, &knockout) {
                self.new_knockout = Some(edited);
            }
            let row = Intervention::AttentionKnockout(knockout);
            limits(ctx, ui, &row);
            ui.horizontal(|ui| {
                let add = ui.add_enabled(!row.is_empty(), Button::new("Add knockout"));
                if add.on_hover_text("Add it to the list and run").clicked() {
                    ctx.commands.send(Command::AddIntervention(row));
                    self.new_knockout = None;
                }
                if ui.button("Cancel").on_hover_text("Do not add it").clicked() {
                    self.new_knockout = None;
                }
            });
        });
    }

    fn row(
        &mut self,
        ctx: &ViewCtx<'_>,
        ui: &mut Ui,
        actions: &Actions,
        at: usize,
        row: &Intervention,
    ) -> egui::Rect {
        let active = ctx.session.view.active_row == Some(at);
        let shown = card(ctx, active).show(ui, |ui| {
            ui.set_width(ui.available_width());
            if self.rename(ctx, ui, at) {
                return;
            }
            title(ctx, ui, at, row, active);
            limits(ctx, ui, row);
            if active {
                ui.add_space(GRID);
                self.editor(ctx, ui, actions, at, row);
            }
        });
        shown.response.rect
    }

    fn editor(
        &mut self,
        ctx: &ViewCtx<'_>,
        ui: &mut Ui,
        actions: &Actions,
        at: usize,
        row: &Intervention,
    ) {
        let edit = match row {
            Intervention::Ablation(a) => {
                let edit = self.ablation.ui(ctx, ui, actions, at, a);
                edit.map(|(a, gesture)| (Intervention::Ablation(a), gesture))
            }
            Intervention::AttentionKnockout(k) => {
                let edit = self.knockout.ui(ctx, ui, k);
                edit.map(|(k, gesture)| (Intervention::AttentionKnockout(k), gesture))
            }
            row => self.edit.ui(ctx, ui, row),
        };
        if let Some((to, gesture)) = edit {
            ctx.commands.send(Command::SetIntervention {
                row: at,
                to,
                gesture,
            });
        }
    }
}

fn selection_buttons(ctx: &ViewCtx<'_>, ui: &mut Ui, actions: &Actions) {
    let some = !ctx.session.view.selection.is_empty();
    ui.horizontal(|ui| {
        for action in [Action::AblateSelection, Action::KnockOutSelection] {
            super::shortcuts::button(ui, actions, action.clone(), some).on_disabled_hover_text(
                entry(&action).map_or_else(String::new, |e| {
                    format!(
                        "{}. First select patches: press S, then drag over the picture",
                        e.full_tooltip(ui.ctx())
                    )
                }),
            );
        }
    });
}

/// What can be done with a row as a whole.
fn row_menu(ctx: &ViewCtx<'_>, ui: &mut Ui, at: usize) {
    let n = ctx.session.experiment.interventions.len();
    let button = ui.menu_button("…", |ui| {
        let mut item = |action: Action, enabled: bool, command: Command| {
            let entry = entry(&action);
            let label = entry.map_or("", |e| e.label);
            let key = entry.map_or_else(String::new, |e| e.key_text(ui.ctx()));
            let button = ui.add_enabled(enabled, Button::new(label).shortcut_text(key));
            let tip = entry.map_or("", |e| e.tooltip);
            if button.on_hover_text(tip).clicked() {
                ctx.commands.send(command);
                ui.close();
            }
        };
        let moved = |to| Command::MoveIntervention { row: at, to };
        item(Action::SoloRow, n > 1, Command::SoloIntervention(at));
        item(
            Action::DuplicateRow,
            true,
            Command::DuplicateIntervention(at),
        );
        item(Action::MoveRowUp, at > 0, moved(at.saturating_sub(1)));
        item(Action::MoveRowDown, at + 1 < n, moved(at + 1));
    });
    button
        .response
        .accessible_name(format!("More about intervention {}", at + 1))
        .on_hover_text("Alone, twice, up or down; a name by F2");
}

/// The frame of a row; the chosen one is outlined in the accent.
fn card(ctx: &ViewCtx<'_>, active: bool) -> Frame {
    let theme = ctx.theme;
    let stroke = if active { theme.accent } else { theme.outline };
    Frame::new()
        .stroke(Stroke::new(1.0, stroke))
        .corner_radius(4)
        .inner_margin(Margin::symmetric(8, 6))
}

fn title(ctx: &ViewCtx<'_>, ui: &mut Ui, at: usize, row: &Intervention, active: bool) {
    ui.horizontal_top(|ui| {
        row_drag::handle(ctx, ui, at);
        let mut on = row.enabled();
        let check = egui::Checkbox::without_text(&mut on);
        let check = ui
            .add(check)
            .accessible_name(format!("Intervention {} on", at + 1));
        if check
            .on_hover_text("Switch this row on or off; it keeps its place")
            .changed()
        {
            ctx.commands.send(Command::SetEnabled { row: at, on });
        }
        ui.with_layout(Layout::right_to_left(Align::Min), |ui| {
            let remove = Button::new("×").frame(false).min_size(vec2(24.0, 24.0));
            let remove = ui
                .add(remove)
                .accessible_name(format!("Remove intervention {}", at + 1));
            if remove.on_hover_text("Remove this row").clicked() {
                ctx.commands.send(Command::RemoveIntervention(at));
            }
            row_menu(ctx, ui, at);
            ui.with_layout(Layout::top_down(Align::Min), |ui| {
                words(ctx, ui, at, row, active);
            });
        });
    });
}

/// What the row does, as text that chooses the row when it is clicked.
fn words(ctx: &ViewCtx<'_>, ui: &mut Ui, at: usize, row: &Intervention, active: bool) {
    let said = describe(row, facts(ctx));
    let text = RichText::new(match row.name() {
        Some(name) => format!("{name}: {said}"),
        None => said,
    });
    let text = if row.enabled() { text } else { text.weak() };
    // As high as the check box beside it.
    ui.add_space(3.0);
    let label = egui::Label::new(text).wrap().sense(egui::Sense::click());
    let tip = if active {
        "Click to close the editor"
    } else {
        "Click to edit; the brush then paints into this row"
    };
    if ui.add(label).on_hover_text(tip).clicked() {
        let row = (!active).then_some(at);
        ctx.commands.send(Command::SetActiveRow(row));
    }
}

fn limits(ctx: &ViewCtx<'_>, ui: &mut Ui, row: &Intervention) {
    if let Some(text) = cannot_change(row) {
        ui.add(egui::Label::new(RichText::new(text).small().color(ctx.theme.text_weak)).wrap());
    }
}
