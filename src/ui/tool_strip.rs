//! The tools at the left: what a click on a patch does, and below them what changes the selection.
//!
//! The icons are drawn, so that no font is needed.

use egui::{Align2, FontId, Rect, Sense, Stroke, Ui, pos2, vec2};

use super::selection_panel::step;
use super::shortcuts::{Action, Actions, entry};
use super::theme::{GRID, Theme};
use super::{ViewCtx, style};
use crate::session::Tool;

/// Width of the strip's contents.
pub const WIDTH: f32 = 56.0;

pub fn ui(ctx: &ViewCtx<'_>, ui: &mut Ui, actions: &Actions) {
    for (tool, action) in [
        (Tool::Ablate, Action::AblateTool),
        (Tool::Select, Action::SelectTool),
        (Tool::Lasso, Action::LassoTool),
    ] {
        tool_button(ctx, ui, actions, tool, action);
    }
    selection(ctx, ui, actions);
}

/// How many patches are selected, and the steps from one selection to the next.
fn selection(ctx: &ViewCtx<'_>, ui: &mut Ui, actions: &Actions) {
    let selection = &ctx.session.view.selection;
    let (some, ready) = (!selection.is_empty(), ctx.session.grid.is_some());
    let n = ctx.session.grid.map_or(0, |grid| selection.count(grid));
    ui.add_space(GRID);
    ui.separator();
    ui.spacing_mut().item_spacing.y = GRID / 2.0;
    ui.spacing_mut().button_padding.x = 1.0;
    ui.vertical_centered(|ui| {
        let count = egui::RichText::new(format!("{n}\nselected")).size(style::SMALL);
        ui.label(count.color(ctx.theme.text_weak))
            .on_hover_text("How many patches are selected");
    });
    let steps = [
        (Action::SelectAll, "All", ready),
        (Action::ClearSelection, "None", some),
        (Action::InvertSelection, "Invert", ready),
        (Action::GrowSelection, "Grow", some),
        (Action::ShrinkSelection, "Shrink", some),
        (Action::SelectRandom, "Random", ready),
        (Action::SelectLastRow, "Last row", ready),
        (Action::SelectRegisters, "Registers", ctx.trace.is_some()),
    ];
    ui.vertical_centered(|ui| {
        for (action, text, enabled) in steps {
            let size = vec2(WIDTH, 22.0);
            step(ui, actions, &action, text, (size, enabled));
        }
    });
}

fn tool_button(ctx: &ViewCtx<'_>, ui: &mut Ui, actions: &Actions, tool: Tool, action: Action) {
    let Some(entry) = entry(&action) else {
        return;
    };
    let chosen = ctx.session.view.tool == tool;
    let (rect, response) = ui.allocate_exact_size(vec2(WIDTH, 52.0), Sense::click());
    let name = format!("{} tool", entry.label);
    response.widget_info(|| egui::WidgetInfo::selected(egui::Role::Button, true, chosen, &name));
    let widgets = &ui.visuals().widgets;
    if chosen || response.hovered() || response.has_focus() {
        let fill = if chosen {
            widgets.active
        } else {
            widgets.inactive
        };
        ui.painter().rect_filled(rect, 4.0, fill.weak_bg_fill);
    }
    if chosen {
        let mark = Rect::from_min_size(rect.min, vec2(3.0, rect.height()));
        ui.painter().rect_filled(mark, 1.0, ctx.theme.accent);
    }
    let color = if chosen {
        ctx.theme.text
    } else {
        ctx.theme.text_weak
    };
    let icon = Rect::from_center_size(rect.center() - vec2(0.0, 8.0), vec2(20.0, 20.0));
    match tool {
        Tool::Ablate => hatched(ui, icon, Stroke::new(1.5, color)),
        Tool::Select => dashed(ui, icon, Stroke::new(1.5, color), ctx.theme),
        Tool::Lasso => looped(ui, icon, Stroke::new(1.5, color)),
    }
    let at = pos2(rect.center().x, rect.max.y - 6.0);
    ui.painter().text(
        at,
        Align2::CENTER_BOTTOM,
        entry.label,
        FontId::proportional(style::SMALL),
        color,
    );
    if response
        .on_hover_text(entry.full_tooltip(ui.ctx()))
        .clicked()
    {
        actions.send(action);
    }
}

/// A square with slanted lines, as an ablated patch has them.
fn hatched(ui: &Ui, rect: Rect, stroke: Stroke) {
    let painter = ui
        .painter()
        .with_clip_rect(rect.expand(1.0).intersect(ui.clip_rect()));
    painter.rect_stroke(rect, 2.0, stroke, egui::StrokeKind::Inside);
    let inner = ui
        .painter()
        .with_clip_rect(rect.shrink(1.0).intersect(ui.clip_rect()));
    for step in 1..6 {
        let d = step as f32 * 6.7;
        inner.line_segment(
            [
                pos2(rect.min.x + d, rect.min.y),
                pos2(rect.min.x, rect.min.y + d),
            ],
            stroke,
        );
    }
}

/// A dashed square with a filled middle, as a selection.
fn dashed(ui: &Ui, rect: Rect, stroke: Stroke, theme: &Theme) {
    let rect = rect.shrink(1.0);
    let corners = [
        rect.left_top(),
        rect.right_top(),
        rect.right_bottom(),
        rect.left_bottom(),
        rect.left_top(),
    ];
    ui.painter()
        .rect_filled(rect.shrink(5.0), 1.0, theme.text_weak);
    ui.painter()
        .extend(egui::Shape::dashed_line(&corners, stroke, 4.0, 3.0));
}

/// A dashed loop with its end hanging out, as a lasso.
fn looped(ui: &Ui, rect: Rect, stroke: Stroke) {
    let centre = rect.center() - vec2(0.0, 2.0);
    let at = |turn: f32| {
        let angle = turn * std::f32::consts::TAU;
        centre + vec2(9.0 * angle.cos(), 6.5 * angle.sin())
    };
    let line: Vec<_> = (0..=32).map(|i| at(i as f32 / 32.0)).collect();
    ui.painter()
        .extend(egui::Shape::dashed_line(&line, stroke, 4.0, 3.0));
    let end = [
        at(0.35),
        at(0.35) + vec2(1.0, 4.0),
        at(0.35) + vec2(5.0, 7.0),
    ];
    ui.painter().add(egui::Shape::line(end.to_vec(), stroke));
}
