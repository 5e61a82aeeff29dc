//! The heads of all blocks as a grid of colours: what a sweep, attention or an attribution says of each.
//!
//! Blocks go downwards, heads to the right; the legend says what the ends of the scale are. A cell can be chosen
//! by click or with the arrow keys; what that means is the caller's matter.

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

/// A number for every head of every block.
pub struct HeadGrid<'a> {
    /// Its name in the accessibility tree.
    pub name: &'a str,
    /// `[layer, head]`; not a number where unknown.
    pub values: &'a [f32],
    pub n_layers: usize,
    pub n_heads: usize,
    /// The values of the ends of the colour scale.
    pub range: (f32, f32),
    pub unit: &'a str,
    /// The cell that is chosen; `None` where none can be.
    pub chosen: Option<Option<(usize, usize)>>,
}

/// What a sweep over heads found.
pub fn ui(ctx: &ViewCtx<'_>, ui: &mut Ui, sweep: &Sweep, measure: Measure) {
    let values: Vec<f32> = (0..sweep.units.len())
        .map(|unit| loss(sweep, unit, measure).unwrap_or(f32::NAN))
        .collect();
    let grid = HeadGrid {
        name: "Loss over blocks and heads",
        values: &values,
        n_layers: sweep.model.n_layers,
        n_heads: sweep.model.n_heads,
        range: heat::with_zero(&values, measure.of(&sweep.noise)),
        unit: loss_unit(measure),
        chosen: None,
    };
    grid.show(ctx, ui, |unit| {
        let lines = lines(sweep, Some(unit)).map(|(name, value)| format!("{name}: {value}"));
        let name = sweep.units[unit].text(sweep.model.grid);
        format!("{name}\n{}", lines.join("\n"))
    });
}

impl HeadGrid<'_> {
    /// Draws the grid; `tip` describes a cell. Gives the cell that was just chosen, by click or with the arrow keys.
    pub fn show(
        &self,
        ctx: &ViewCtx<'_>,
        ui: &mut Ui,
        tip: impl Fn(usize) -> String,
    ) -> Option<(usize, usize)> {
        let width = ui.available_width();
        let cell = ((width - LEFT) / self.n_heads.max(1) as f32).min(LARGEST);
        let size = vec2(width, 2.0 * LINE + cell * self.n_layers as f32);
        let sense = match self.chosen {
            Some(_) => Sense::click(),
            None => Sense::hover(),
        };
        let (rect, response) = ui.allocate_exact_size(size, sense);
        let cells = Cells {
            origin: rect.min + vec2(LEFT, LINE),
            cell,
            n_heads: self.n_heads,
        };
        cells.draw(ctx, ui, self.values, self.range);
        names(ctx, ui, rect, cell, (self.n_layers, self.n_heads));
        let legend = format!(
            "{} to {} {}",
            labels::number(self.range.0),
            labels::number(self.range.1),
            self.unit
        );
        legend_line(ctx, ui, rect, &legend, self.range);
        self.describe(ui, &response, &legend);
        let edge = |color| Stroke::new(1.5, color);
        if let Some(Some((layer, head))) = self.chosen {
            let at = cells.place(layer * self.n_heads + head);
            let painter = ui.painter();
            painter.rect_stroke(at, 0.0, edge(ctx.theme.accent), StrokeKind::Outside);
        }
        if response.has_focus() {
            let painter = ui.painter();
            painter.rect_stroke(rect, 2.0, edge(ctx.theme.text_weak), StrokeKind::Inside);
        }
        let pointed = response.hover_pos().and_then(|pos| cells.at(pos));
        let pointed = pointed.filter(|unit| *unit < self.values.len());
        let mut taken = self.arrows(ui, &response);
        if let Some(unit) = pointed {
            let at = cells.place(unit);
            let painter = ui.painter();
            painter.rect_stroke(at, 0.0, edge(ctx.theme.text), StrokeKind::Outside);
            if response.clicked() {
                taken = Some((unit / self.n_heads, unit % self.n_heads));
            }
            response.on_hover_text_at_pointer(tip(unit));
        }
        taken
    }

    fn describe(&self, ui: &Ui, response: &egui::Response, legend: &str) {
        let role = match self.chosen {
            Some(_) => egui::Role::Button,
            None => egui::Role::Image,
        };
        response.widget_info(|| egui::WidgetInfo::labeled(role, true, self.name));
        let chosen = match self.chosen.flatten() {
            Some((layer, head)) => {
                let value = self.values.get(layer * self.n_heads + head);
                let value = labels::number(value.copied().unwrap_or(f32::NAN));
                format!("; block {layer} head {head}: {value}")
            }
            None => String::new(),
        };
        let text = format!("{legend}{chosen}");
        ui.ctx()
            .accesskit_node_builder(response.id, |node| node.set_value(text));
    }

    /// With the keyboard focus, arrows move the chosen cell.
    fn arrows(&self, ui: &Ui, response: &egui::Response) -> Option<(usize, usize)> {
        let chosen = self.chosen?;
        if !response.has_focus() {
            return None;
        }
        let filter = egui::EventFilter {
            horizontal_arrows: true,
            vertical_arrows: true,
            ..egui::EventFilter::default()
        };
        ui.memory_mut(|m| m.set_focus_lock_filter(response.id, filter));
        let pressed = |key| ui.input(|i| i.num_presses(key));
        let step = |at: usize, n: usize, less: egui::Key, more: egui::Key| {
            (at + pressed(more))
                .min(n.saturating_sub(1))
                .saturating_sub(pressed(less))
        };
        use egui::Key::{ArrowDown, ArrowLeft, ArrowRight, ArrowUp};
        let (layer, head) = chosen.unwrap_or_default();
        let to = (
            step(layer, self.n_layers, ArrowUp, ArrowDown),
            step(head, self.n_heads, ArrowLeft, ArrowRight),
        );
        (to != (layer, head)).then_some(to)
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
    let text = format!("{text} · block × head");
    painter.text(at, Align2::LEFT_CENTER, text, font, ctx.theme.text_weak);
}
