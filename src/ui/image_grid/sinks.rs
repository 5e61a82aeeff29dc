//! Marks of patches that often draw attention whatever is in them: rings for sinks, frames for high norms.
//!
//! They are drawn while attention or attribution is the heat map.

use egui::{Painter, Rect, Stroke, StrokeKind};

use super::viewport::Placed;
use crate::engine::trace::Trace;
use crate::session::HeatKind;
use crate::ui::theme::over_picture;
use crate::ui::{ViewCtx, inside_view};

pub fn draw(ctx: &ViewCtx<'_>, trace: &Trace, placed: &Placed, painter: &Painter) {
    let heat = ctx.session.view.heat;
    if !matches!(heat, HeatKind::Attention | HeatKind::Attribution) {
        return;
    }
    let marked = inside_view::marked(ctx, trace);
    let cell = |index: usize| placed.cell(placed.grid.patch(index));
    for index in marked.sinks {
        ring(cell(index), painter);
    }
    for index in marked.high_norm {
        frame(cell(index), painter);
    }
}

fn ring(cell: Rect, painter: &Painter) {
    let radius = cell.width() * 0.32;
    let dark = Stroke::new(3.0, over_picture::INK_DARK.gamma_multiply(0.8));
    painter.circle_stroke(cell.center(), radius, dark);
    let light = Stroke::new(1.5, over_picture::INK_LIGHT);
    painter.circle_stroke(cell.center(), radius, light);
}

fn frame(cell: Rect, painter: &Painter) {
    let inner = cell.shrink(cell.width() * 0.12);
    let dark = Stroke::new(3.0, over_picture::INK_DARK.gamma_multiply(0.6));
    painter.rect_stroke(inner, 1.0, dark, StrokeKind::Middle);
    let light = Stroke::new(1.0, over_picture::INK_LIGHT);
    painter.rect_stroke(inner, 1.0, light, StrokeKind::Middle);
}
