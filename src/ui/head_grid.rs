//! The heads of all blocks as a grid of colours: what the watched token loses when attention is knocked out in one.
//!
//! Blocks go downwards, heads to the right; the legend says what the ends of the scale are. It sends nothing.

use egui::{Align2, FontId, Rect, Sense, Ui, pos2, vec2};

use super::sweep_view::{lines, loss, loss_unit};
use super::theme::{GRID, over_picture};
use super::{ViewCtx, heat, labels, style};
use crate::engine::sweep::{Sweep, Unit};
use crate::render::colormap;
use crate::session::Measure;

/// Room for the names of the blocks at the left and for a line of text.
const LEFT: f32 = 24.0;
const LINE: f32 = 18.0;
/// Cells are at most this large.
const LARGEST: f32 = 22.0;

pub fn ui(ctx: &ViewCtx<'_>, ui: &mut Ui, sweep: &Sweep, measure: Measure) {
    let (n_layers, n_heads) = (sweep.model.n_layers, sweep.model.n_heads);
    let width = ui.available_width();
    let cell = ((width - LEFT) / n_heads.max(1) as f32).min(LARGEST);
    let size = vec2(width, 2.0 * LINE + cell * n_layers as f32);
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    let origin = rect.min + vec2(LEFT, LINE);
    let place = |layer: usize, head: usize| {
        let min = origin + vec2(head as f32 * cell, layer as f32 * cell);
        Rect::from_min_size(min, vec2(cell, cell))
    };
    let values: Vec<f32> = (0..sweep.units.len())
        .map(|unit| loss(sweep, unit, measure).unwrap_or(f32::NAN))
        .collect();
    let range = heat::with_zero(&values, measure.of(&sweep.noise));
    let painter = ui.painter();
    for (unit, value) in sweep.units.iter().zip(&values) {
        let Unit::Head { layer, head } = unit else {
            continue;
        };
        let gap = if cell > 8.0 { 0.5 } else { 0.0 };
        let cell = place(*layer, *head).shrink(gap);
        match colormap::color(*value, range) {
            Some(rgb) => painter.rect_filled(cell, 0.0, over_picture::rgb(rgb)),
            None => painter.rect_filled(cell, 0.0, ctx.theme.outline.gamma_multiply(0.4)),
        };
    }
    names(ctx, ui, rect, cell, (n_layers, n_heads));
    let unit_of = |layer: usize, head: usize| {
        let unit = Unit::Head { layer, head };
        sweep.units.iter().position(|other| *other == unit)
    };
    let pointed = response.hover_pos().and_then(|pos| {
        let at = (pos - origin) / cell;
        let inside = at.x >= 0.0 && at.y >= 0.0;
        let (layer, head) = (at.y as usize, at.x as usize);
        inside.then(|| unit_of(layer, head).map(|unit| (unit, place(layer, head))))?
    });
    let legend = format!(
        "{} to {} {}",
        labels::number(range.0),
        labels::number(range.1),
        loss_unit(measure)
    );
    legend_line(ctx, ui, rect, &legend, range);
    response.widget_info(|| {
        egui::WidgetInfo::labeled(egui::Role::Image, true, "Loss over blocks and heads")
    });
    ui.ctx()
        .accesskit_node_builder(response.id, |node| node.set_value(legend));
    if let Some((unit, cell)) = pointed {
        let edge = egui::Stroke::new(1.5, ctx.theme.text);
        ui.painter()
            .rect_stroke(cell, 0.0, edge, egui::StrokeKind::Outside);
        let lines = lines(sweep, Some(unit)).map(|(name, value)| format!("{name}: {value}"));
        let name = sweep.units[unit].text(sweep.model.grid);
        response.on_hover_text_at_pointer(format!("{name}\n{}", lines.join("\n")));
    }
}

/// Numbers of blocks and heads at the edges, as many as fit.
fn names(ctx: &ViewCtx<'_>, ui: &Ui, rect: Rect, cell: f32, (n_layers, n_heads): (usize, usize)) {
    let font = FontId::monospace(10.5);
    let weak = ctx.theme.text_weak;
    let painter = ui.painter();
    let top = rect.top() + LINE;
    let step = |room: f32| (room / cell).ceil().max(1.0) as usize;
    for layer in (0..n_layers).step_by(step(12.0)) {
        let at = pos2(rect.left() + LEFT - GRID, top + (layer as f32 + 0.5) * cell);
        painter.text(at, Align2::RIGHT_CENTER, layer, font.clone(), weak);
    }
    for head in (0..n_heads).step_by(step(18.0)) {
        let x = rect.left() + LEFT + (head as f32 + 0.5) * cell;
        let at = pos2(x, top - 2.0);
        painter.text(at, Align2::CENTER_BOTTOM, head, font.clone(), weak);
    }
}

/// Below the grid: what is where, and what the colours mean.
fn legend_line(ctx: &ViewCtx<'_>, ui: &Ui, rect: Rect, text: &str, range: (f32, f32)) {
    let painter = ui.painter();
    let y = rect.bottom() - LINE / 2.0;
    let bar = Rect::from_min_size(pos2(rect.left() + LEFT, y - 4.0), vec2(64.0, 8.0));
    painter.add(heat::scale_mesh(bar));
    if let Some(x) = heat::zero_in(range) {
        let x = bar.left() + x * bar.width();
        let tick = egui::Stroke::new(1.0, ctx.theme.text);
        painter.vline(x, bar.y_range().expand(2.0), tick);
    }
    let font = FontId::proportional(style::SMALL);
    let at = pos2(bar.right() + 2.0 * GRID, y);
    let text = format!("{text} · blocks down, heads right");
    painter.text(at, Align2::LEFT_CENTER, text, font, ctx.theme.text_weak);
}
