//! Pieces that the forms of the interventions share: a labelled row, a field for patches. They send nothing.

use egui::{Color32, RichText, Sense, Ui, vec2};

use super::ViewCtx;
use super::draft::{Draft, Field};
use super::theme::GRID;
use super::wording::Facts;
use crate::index::PatchSet;

/// Width of the labels at the left.
const LABEL: f32 = 64.0;

/// What the trace tells about the model.
pub fn facts(ctx: &ViewCtx<'_>) -> Facts {
    let model = ctx.trace.or(ctx.previous).map(|t| &t.model);
    Facts {
        grid: model.map(|m| m.grid).or(ctx.session.grid),
        n_layers: model.map_or(0, |m| m.n_layers),
        n_heads: model.map_or(0, |m| m.n_heads),
    }
}

/// A label at the left and controls beside it.
pub fn labelled<R>(ui: &mut Ui, label: &str, add: impl FnOnce(&mut Ui) -> R) -> R {
    ui.horizontal(|ui| {
        let size = egui::vec2(LABEL, ui.spacing().interact_size.y);
        let layout = egui::Layout::left_to_right(egui::Align::Center);
        ui.allocate_ui_with_layout(size, layout, |ui| {
            ui.set_min_size(size);
            ui.label(RichText::new(label).small());
        });
        ui.vertical(add).inner
    })
    .inner
}

/// Patches as text, and a button that takes the selection in.
pub fn patch_field(
    ui: &mut Ui,
    ctx: &ViewCtx<'_>,
    draft: &mut Draft,
    name: &str,
    current: &PatchSet,
) -> Option<PatchSet> {
    let grid = ctx.session.grid;
    let selection = &ctx.session.view.selection;
    ui.horizontal(|ui| {
        let button = 104.0;
        let field = Field {
            name,
            hint: "r3c4, r5c6-r8c9",
            tooltip: "Patches as r3c4 (row 3, column 4, from 0), rectangles as r5c6-r8c9, or all",
            width: (ui.available_width() - button - 2.0 * GRID).max(80.0),
            monospace: true,
        };
        let parse = |text: &str| {
            let set: PatchSet = text.parse()?;
            if let Some(grid) = grid {
                set.indices(grid)?;
            }
            Ok(set)
        };
        let typed = ui
            .vertical(|ui| draft.show(ui, &current.to_string(), &field, parse))
            .inner;
        let enabled = !selection.is_empty() && selection != current;
        let taken = ui
            .add_enabled(enabled, egui::Button::new("Use selection"))
            .on_hover_text("Put the selected patches here")
            .on_disabled_hover_text("Select other patches first, with the select tool");
        if taken.clicked() {
            draft.reset();
            return Some(selection.clone());
        }
        typed
    })
    .inner
}

/// What the colours of a plot stand for, in a line above it that covers none of it; then a remark.
pub fn color_keys(ui: &mut Ui, keys: &[(&str, Color32)], remark: &str) {
    ui.horizontal(|ui| {
        for (name, color) in keys {
            let (rect, _) = ui.allocate_exact_size(vec2(8.0, 8.0), Sense::hover());
            ui.painter().rect_filled(rect, 2.0, *color);
            ui.label(RichText::new(*name).small());
            ui.add_space(GRID);
        }
        ui.label(RichText::new(remark).small().weak());
    });
}
