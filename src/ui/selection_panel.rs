//! The selection: how large it is, what changes it, and the selections that are kept in the session.
//!
//! What is done with the selection (ablate, knock out, compare) is other panels' matter.

use egui::{RichText, Ui};

use super::ViewCtx;
use super::draft::{Draft, Field, Gesture};
use super::forms::labelled;
use super::heat::{self, Heat};
use super::shortcuts::{Action, Actions, entry};
use crate::error::Error;
use crate::index::choose::Side;
use crate::index::{Patch, PatchGrid, PatchSet, choose};
use crate::labels;
use crate::session::{Command, NamedSelection, ViewState};

/// Patches that are drawn by chance where nothing is selected.
const N_RANDOM: usize = 12;
/// Where the slider of the cosine starts.
const COSINE: f32 = 0.8;

/// Scratch of the panel.
#[derive(Default)]
pub struct SelectionPanel {
    side: Side,
    /// Threshold of the heat map, once the slider was moved.
    heat_at: Option<f32>,
    /// Threshold of the cosine, once the slider was moved.
    cosine_at: Option<f32>,
    similar: Draft,
    /// The patch whose likes are selected as soon as they are known.
    wanted: Option<Patch>,
    /// How many patches are drawn; `None` for as many as are selected.
    n_random: Option<usize>,
    seed: u64,
    name: String,
    /// Path of a mask.
    mask: String,
    /// The kept selection that is being renamed, and its new name.
    renamed: Option<(usize, String)>,
    gesture: Gesture,
}

impl SelectionPanel {
    pub fn ui(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui, actions: &Actions) {
        summary(ctx, ui);
        egui::CollapsingHeader::new("Select by heat, likeness or chance")
            .id_salt("select by")
            .show_unindented(ui, |ui| {
                self.by_heat(ctx, ui);
                self.by_likeness(ctx, ui, actions);
                self.by_chance(ctx, ui, actions);
                self.by_file(ctx, ui, actions);
            });
        self.kept(ctx, ui, actions);
        self.select_wanted(ctx);
    }

    /// Selects the likes of a patch when they come.
    pub fn want_similar(&mut self, patch: Patch) {
        self.wanted = Some(patch);
    }

    /// As many patches as were asked for, by the seed; by the next one if that is what is selected already.
    pub fn next_random(&mut self, now: &PatchSet, grid: PatchGrid) -> PatchSet {
        let n = self.n_random.unwrap_or(match now.count(grid) {
            0 => N_RANDOM.min(grid.len()),
            n => n,
        });
        let drawn = choose::random(n, self.seed, grid);
        if drawn != *now || n == grid.len() {
            return drawn;
        }
        self.seed = self.seed.wrapping_add(1);
        choose::random(n, self.seed, grid)
    }

    /// The name that was typed, or one that is free.
    pub fn take_name(&mut self, view: &ViewState) -> String {
        let typed = std::mem::take(&mut self.name);
        if !typed.trim().is_empty() {
            return typed;
        }
        let is_taken = |name: &str| view.selections.iter().any(|kept| kept.name == name);
        (1..)
            .map(|n| format!("selection {n}"))
            .find(|name| !is_taken(name))
            .unwrap_or_default()
    }

    fn by_heat(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui) {
        let heat = heat::of_view(ctx);
        let name = heat::label(ctx.session.view.heat);
        labelled(ui, "Heat map", |ui| {
            ui.horizontal(|ui| {
                for (side, text) in [(Side::Above, "above"), (Side::Below, "below")] {
                    let tip = format!("Patches whose value lies {text} the threshold");
                    let button = ui.selectable_label(self.side == side, text);
                    if button.on_hover_text(tip).clicked() {
                        self.side = side;
                        self.select_heat(ctx, heat.as_ref(), None);
                    }
                }
                let (low, high) = heat.as_ref().map_or((0.0, 1.0), |heat| heat.range);
                let at = self.heat_at.unwrap_or(low + 0.5 * (high - low));
                let mut at = at.clamp(low, high.max(low));
                let slider = egui::Slider::new(&mut at, low..=high.max(low))
                    .custom_formatter(|value, _| labels::number(value as f32));
                let response = ui
                    .add_enabled(heat.is_some(), slider)
                    .accessible_name("Heat threshold")
                    .on_hover_text(format!("Select by the heat map on screen: {name}"))
                    .on_disabled_hover_text("Choose a heat map below the picture first");
                if response.changed() {
                    self.heat_at = Some(at);
                    let gesture = self.gesture.of(&response, ctx.commands);
                    self.select_heat(ctx, heat.as_ref(), gesture);
                }
            });
        });
    }

    fn select_heat(
        &self,
        ctx: &ViewCtx<'_>,
        heat: Option<&Heat>,
        gesture: Option<crate::session::GestureId>,
    ) {
        if let (Some(heat), Some(grid), Some(at)) = (heat, ctx.session.grid, self.heat_at) {
            let to = choose::threshold(&heat.values, at, self.side, grid);
            ctx.commands.send(Command::DragSelection { to, gesture });
        }
    }

    fn by_likeness(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui, actions: &Actions) {
        let current = ctx.session.readout.similar_to;
        labelled(ui, "Similar to", |ui| {
            ui.horizontal(|ui| {
                let field = Field {
                    name: "Similar to",
                    hint: "r3c4",
                    tooltip: "The patch that the others are compared with, as r3c4",
                    width: 56.0,
                    monospace: true,
                };
                let grid = ctx.session.grid;
                let shown = current.map_or_else(String::new, |patch| patch.to_string());
                let parse = |text: &str| match (text.trim(), grid) {
                    ("", _) => Ok(None),
                    (text, grid) => {
                        let patch: Patch = text.parse()?;
                        match grid.is_none_or(|grid| grid.index(patch).is_some()) {
                            true => Ok(Some(patch)),
                            false => Err(Error::input("it lies outside the grid")),
                        }
                    }
                };
                let typed = ui.vertical(|ui| self.similar.show(ui, &shown, &field, parse));
                if let Some(patch) = typed.inner {
                    self.wanted = patch;
                    ctx.commands.send(Command::SetSimilar(patch));
                }
                self.cosine(ctx, ui);
                small(ui, actions, &Action::SelectSimilar, "Selected", {
                    !ctx.session.view.selection.is_empty()
                });
            });
        });
    }

    fn cosine(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui) {
        let values = cosines(ctx);
        let mut at = self.cosine_at.unwrap_or(COSINE);
        let slider = egui::Slider::new(&mut at, -1.0..=1.0).fixed_decimals(2);
        let response = ui
            .add_enabled(values.is_some(), slider)
            .accessible_name("Least cosine")
            .on_hover_text("Select the patches whose residual at the level on screen has at least this cosine with the patch's")
            .on_disabled_hover_text("Name a patch first, or select one and press M");
        if response.changed() {
            self.cosine_at = Some(at);
            let gesture = self.gesture.of(&response, ctx.commands);
            self.select_cosine(ctx, values, gesture);
        }
    }

    fn select_cosine(
        &self,
        ctx: &ViewCtx<'_>,
        values: Option<&[f32]>,
        gesture: Option<crate::session::GestureId>,
    ) {
        if let (Some(values), Some(grid)) = (values, ctx.session.grid) {
            let at = self.cosine_at.unwrap_or(COSINE);
            let to = choose::threshold(values, at, Side::Above, grid);
            ctx.commands.send(Command::DragSelection { to, gesture });
        }
    }

    fn select_wanted(&mut self, ctx: &ViewCtx<'_>) {
        if self.wanted.is_some() && self.wanted == ctx.session.readout.similar_to {
            let values = cosines(ctx);
            if values.is_some() {
                self.wanted = None;
                self.select_cosine(ctx, values, None);
            }
        }
    }

    fn by_chance(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui, actions: &Actions) {
        let n_patches = ctx.session.grid.map_or(0, PatchGrid::len);
        let selected = ctx
            .session
            .grid
            .map_or(0, |grid| ctx.session.view.selection.count(grid));
        labelled(ui, "By chance", |ui| {
            ui.horizontal(|ui| {
                let mut n =
                    self.n_random
                        .unwrap_or(if selected == 0 { N_RANDOM } else { selected });
                let drag = egui::DragValue::new(&mut n).range(1..=n_patches.max(1));
                let drag = ui.add_enabled(n_patches > 0, drag);
                if drag
                    .accessible_name("Random patches")
                    .on_hover_text(
                        "How many; as many as are selected unless another number is set here",
                    )
                    .changed()
                {
                    self.n_random = Some(n);
                }
                ui.label("of seed");
                let seed = egui::DragValue::new(&mut self.seed).speed(0.1);
                ui.add(seed)
                    .accessible_name("Random seed")
                    .on_hover_text("The same seed draws the same patches");
                small(ui, actions, &Action::SelectRandom, "Draw", n_patches > 0);
            });
        });
    }

    fn by_file(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui, actions: &Actions) {
        labelled(ui, "From a file", |ui| {
            ui.horizontal(|ui| {
                let edit = egui::TextEdit::singleline(&mut self.mask)
                    .hint_text("path of a mask or COCO file")
                    .margin(egui::Margin::symmetric(8, 4))
                    .desired_width(184.0);
                let response = ui
                    .add_enabled(ctx.trace.is_some(), edit)
                    .accessible_name("Mask file")
                    .on_hover_text("A picture whose white is selected, or COCO annotations of this picture; Enter reads it");
                let entered = response.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter));
                if entered && !self.mask.trim().is_empty() {
                    actions.send(Action::SelectFromPath(self.mask.trim().to_owned()));
                }
                let ready = ctx.trace.is_some();
                small(ui, actions, &Action::SelectFromFile, "Browse…", ready);
            });
        });
    }

    fn kept(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui, actions: &Actions) {
        let view = &ctx.session.view;
        ui.horizontal(|ui| {
            let edit = egui::TextEdit::singleline(&mut self.name)
                .hint_text("name")
                .margin(egui::Margin::symmetric(8, 4))
                .desired_width(160.0);
            let response = ui
                .add_enabled(!view.selection.is_empty(), edit)
                .accessible_name("Name of the selection")
                .on_hover_text("The name to keep the selection under");
            let entered = response.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter));
            if entered {
                actions.send(Action::KeepSelection);
            }
            small(
                ui,
                actions,
                &Action::KeepSelection,
                "Keep",
                !view.selection.is_empty(),
            );
        });
        for (at, kept) in view.selections.iter().enumerate() {
            ui.push_id(("kept", at), |ui| self.kept_row(ctx, ui, at, kept));
        }
    }

    fn kept_row(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui, at: usize, kept: &NamedSelection) {
        ui.horizontal(|ui| {
            if let Some((_, name)) = self.renamed.as_mut().filter(|(row, _)| *row == at) {
                let response = ui
                    .add(egui::TextEdit::singleline(name).desired_width(160.0))
                    .accessible_name(format!("New name of {}", kept.name));
                if response.lost_focus() {
                    let name = std::mem::take(name);
                    ctx.commands.send(Command::RenameSelection { at, name });
                    self.renamed = None;
                } else {
                    response.request_focus();
                }
                return;
            }
            let chosen = ctx.session.view.selection == kept.patches;
            let n = ctx.session.grid.map_or(0, |grid| kept.patches.count(grid));
            let name = format!("{}  ({n})", kept.name);
            let label = ui.selectable_label(chosen, name);
            if label
                .on_hover_text("Select what is kept under this name")
                .clicked()
            {
                ctx.commands.send(Command::RestoreSelection(at));
            }
            let rename = ui
                .small_button("Rename")
                .accessible_name(format!("Rename {}", kept.name));
            if rename.on_hover_text("Give it another name").clicked() {
                self.renamed = Some((at, kept.name.clone()));
            }
            let delete = ui
                .small_button("Delete")
                .accessible_name(format!("Delete {}", kept.name));
            if delete
                .on_hover_text("Forget what is kept under this name (Ctrl+U brings it back)")
                .clicked()
            {
                ctx.commands.send(Command::DeleteSelection(at));
            }
        });
    }
}

/// `24 patches around r7c19`.
fn summary(ctx: &ViewCtx<'_>, ui: &mut Ui) {
    let selection = &ctx.session.view.selection;
    let text = match ctx.session.grid {
        None => "no model is loaded yet".to_owned(),
        Some(grid) => summary_of(selection, grid),
    };
    ui.label(RichText::new(text).small().color(ctx.theme.text_weak))
        .on_hover_text("How many patches are selected, and the middle of them, by row and column");
}

fn summary_of(selection: &PatchSet, grid: PatchGrid) -> String {
    match (selection.count(grid), choose::centre(selection, grid)) {
        (0, _) | (_, None) => {
            "No patch is selected. Press S and drag over the picture, or L and draw around something."
                .to_owned()
        }
        (1, _) => format!("1 patch: {selection}"),
        (n, Some((row, col))) => {
            let share = 100.0 * n as f32 / grid.len().max(1) as f32;
            format!("{n} patches, {share:.0} % of the picture, around row {row:.1}, column {col:.1}")
        }
    }
}

/// A button for an action under a shorter name.
fn small(ui: &mut Ui, actions: &Actions, action: &Action, text: &str, enabled: bool) {
    step(ui, actions, action, text, (egui::Vec2::ZERO, enabled));
}

/// The same, of at least some size.
pub(super) fn step(
    ui: &mut Ui,
    actions: &Actions,
    action: &Action,
    text: &str,
    (size, enabled): (egui::Vec2, bool),
) {
    let entry = entry(action);
    let tip = entry.map_or_else(String::new, |e| e.full_tooltip(ui.ctx()));
    let name = entry.map_or(text, |e| e.label);
    let button = egui::Button::new(RichText::new(text).small()).min_size(size);
    let button = ui
        .add_enabled(enabled, button)
        .accessible_name(name)
        .on_hover_text(&tip)
        .on_disabled_hover_text(&tip);
    if button.clicked() {
        actions.send(action.clone());
    }
}

/// The cosines of the level on screen, if they are those with the readout's patch.
fn cosines<'a>(ctx: &'a ViewCtx<'_>) -> Option<&'a [f32]> {
    let patch = ctx.session.readout.similar_to?;
    let shown = ctx.shown()?;
    let is_of = shown.trace.similar_to == shown.trace.model.grid.index(patch);
    (is_of && !shown.readout.similar.is_empty()).then_some(&shown.readout.similar)
}
