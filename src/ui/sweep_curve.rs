//! The curve over the decoder blocks: what the watched token loses when attention is knocked out there.
//!
//! One point a window, at its middle block. It reads a sweep and sends nothing.

use egui::Ui;
use egui_plot::{GridMark, HLine, HoverPosition, Line, Plot, PlotPoints, Points};

use super::sweep_view::{lines, loss, loss_unit};
use super::{ViewCtx, labels};
use crate::engine::sweep::{Sweep, Unit};
use crate::session::Measure;

const HEIGHT: f32 = 156.0;

pub fn ui(ctx: &ViewCtx<'_>, ui: &mut Ui, sweep: &Sweep, measure: Measure) {
    let points = points(sweep, measure);
    let at: Vec<usize> = points.iter().map(|(unit, _)| *unit).collect();
    let values: Vec<[f64; 2]> = points.iter().map(|(_, point)| *point).collect();
    let last = sweep.model.n_layers.saturating_sub(1) as f64;
    let plot = Plot::new("sweep over blocks")
        .height(HEIGHT)
        .allow_zoom(false)
        .allow_drag(false)
        .allow_scroll(false)
        .allow_boxed_zoom(false)
        .allow_axis_zoom_drag(false)
        .allow_double_click_reset(false)
        .sense(egui::Sense::hover())
        .show_crosshair(false)
        .show_background(false)
        .include_x(-0.5)
        .include_x(last + 0.5)
        .include_y(0.0)
        .x_axis_label("block")
        .y_axis_label(loss_unit(measure))
        .grid_color(ctx.theme.outline)
        .x_grid_spacer(|_| marks(sweep.model.n_layers))
        .x_axis_formatter(|mark, _| match mark.value.fract() == 0.0 {
            true => format!("{}", mark.value),
            false => String::new(),
        })
        .y_axis_formatter(|mark, _| labels::number(mark.value as f32))
        .label_formatter(|position| match position {
            HoverPosition::NearDataPoint { index, .. } => {
                at.get(*index).map(|unit| hover_text(sweep, *unit))
            }
            HoverPosition::Elsewhere { .. } => None,
        });
    let theme = ctx.theme;
    let response = plot
        .show(ui, |plot| {
            plot.hline(
                HLine::new("no loss", 0.0)
                    .color(theme.outline)
                    .allow_hover(false),
            );
            let line = Line::new("loss", PlotPoints::from(values.clone()));
            plot.line(line.color(theme.text_weak).width(1.5).allow_hover(false));
            let dots = Points::new("loss", PlotPoints::from(values.clone()));
            plot.points(dots.color(theme.text).radius(3.0));
        })
        .response;
    response
        .widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, "Loss over the blocks"));
    let text = summary(sweep, &points);
    ui.ctx()
        .accesskit_node_builder(response.id, |node| node.set_value(text));
}

/// Blocks that are named at the axis.
const N_MARKS: usize = 12;

/// The blocks that are named: all of them, or every so many.
pub(super) fn marks(n_layers: usize) -> Vec<GridMark> {
    let fits = |step: &usize| n_layers.div_ceil(*step) <= N_MARKS;
    let step = [1, 2, 4, 5, 8].into_iter().find(fits).unwrap_or(10);
    let mark = |block: usize| GridMark {
        value: block as f64,
        // Far from each other, so that every one gets its number.
        step_size: n_layers as f64,
    };
    (0..n_layers).step_by(step).map(mark).collect()
}

/// Unit and place of every window that is computed.
fn points(sweep: &Sweep, measure: Measure) -> Vec<(usize, [f64; 2])> {
    let point = |(at, unit): (usize, &Unit)| {
        let Unit::Blocks(blocks) = unit else {
            return None;
        };
        let middle = (blocks.start() + blocks.end()) as f64 / 2.0;
        let loss = loss(sweep, at, measure)?;
        Some((at, [middle, f64::from(loss)]))
    };
    sweep.units.iter().enumerate().filter_map(point).collect()
}

fn hover_text(sweep: &Sweep, unit: usize) -> String {
    let lines = lines(sweep, Some(unit)).map(|(name, value)| format!("{name}: {value}"));
    let name = sweep.units[unit].text(sweep.model.grid);
    format!("{name}\n{}", lines.join("\n"))
}

/// Every point in words.
fn summary(sweep: &Sweep, points: &[(usize, [f64; 2])]) -> String {
    let word = |(unit, [_, loss]): &(usize, [f64; 2])| {
        let name = sweep.units[*unit].text(sweep.model.grid);
        format!("{name}: {}", labels::number(*loss as f32))
    };
    points.iter().map(word).collect::<Vec<_>>().join(", ")
}
