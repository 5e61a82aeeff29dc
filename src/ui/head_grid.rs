//! The heads of all blocks as a grid of colours: what the watched token loses when attention is knocked out in one.
//!
//! Blocks go downwards, heads to the right; the legend says what the ends of the scale are. It sends nothing.

use egui::{Align2, FontId, Pos2, Rect, Sense, Stroke, StrokeKind, Ui, pos2, vec2};

use super::sweep_view::{lines, loss, loss_unit};
use super::theme::{GRID, over_picture};
use super::{ViewCtx, heat, labels, style};
use crate::engine::sweep::Sweep;
use crate::render::colormap::Palette;
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
    let cells = Cells {
        origin: rect.min + vec2(LEFT, LINE),
        cell,
        n_heads,
    };
    let values: Vec<f32> = (0..sweep.units.len())
        .map(|unit| loss(sweep, unit, measure).unwrap_or(f32::NAN))
        .collect();
    let range = heat::with_zero(&values, measure.of(&sweep.noise));
    cells.draw(ctx, ui, &values, range);
    names(ctx, ui, rect, cell, (n_layers, n_heads));
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
    let pointed = response.hover_pos().and_then(|pos| cells.at(pos));
    if let Some(unit) = pointed.filter(|unit| *unit < sweep.units.len()) {
        let edge = Stroke::new(1.5, ctx.theme.text);
        ui.painter()
            .rect_stroke(cells.place(unit), 0.0, edge, StrokeKind::Outside);
        let lines = lines(sweep, Some(unit)).map(|(name, value)| format!("{name}: {value}"));
        let name = sweep.units[unit].text(sweep.model.grid);
        response.on_hover_text_at_pointer(format!("{name}\n{}", lines.join("\n")));
    }
}

/// Where the cells lie; the units of such a sweep go head by head, block by block.
struct Cells {
    origin: Pos2,
    cell: f32,
    n_heads: usize,
}

impl Cells {
    fn place(&self, unit: usize) -> Rect {
        let n_heads = self.n_heads.max(1);
        let (layer, head) = ((unit / n_heads) as f32, (unit % n_heads) as f32);
        let min = self.origin + vec2(head, layer) * self.cell;
        Rect::from_min_size(min, vec2(self.cell, self.cell))
    }

    /// The unit at a point, perhaps below the last.
    fn at(&self, pos: Pos2) -> Option<usize> {
        let at = (pos - self.origin) / self.cell;
        let inside = at.x >= 0.0 && at.y >= 0.0 && at.x < self.n_heads as f32;
        inside.then(|| at.y as usize * self.n_heads + at.x as usize)
    }

    fn draw(&self, ctx: &ViewCtx<'_>, ui: &Ui, values: &[f32], range: (f32, f32)) {
        let gap = if self.cell > 8.0 { 0.5 } else { 0.0 };
        let unknown = ctx.theme.outline.gamma_multiply(0.4);
        for (unit, value) in values.iter().enumerate() {
            let color = Palette::from(ctx.session.view.reading.colours)
                .color(*value, range)
                .map_or(unknown, over_picture::rgb);
            let cell = self.place(unit).shrink(gap);
            ui.painter().rect_filled(cell, 0.0, color);
        }
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
    painter.add(heat::scale_mesh(
        bar,
        ctx.session.view.reading.colours.into(),
    ));
    if let Some(x) = heat::zero_in(range) {
        let x = bar.left() + x * bar.width();
        let tick = Stroke::new(1.0, ctx.theme.text);
        painter.vline(x, bar.y_range().expand(2.0), tick);
    }
    let font = FontId::proportional(style::SMALL);
    let at = pos2(bar.right() + 2.0 * GRID, y);
    let text = format!("{text} · blocks down, heads right");
    painter.text(at, Align2::LEFT_CENTER, text, font, ctx.theme.text_weak);
}
