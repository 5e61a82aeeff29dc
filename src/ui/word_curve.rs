//! The curves of a word over the levels: mean and best over some patches, of one run or of both.

use egui::Ui;
use egui_plot::{Line, LineStyle, Plot, PlotPoints, VLine};

use super::ViewCtx;
use super::forms::color_keys;
use super::heat::{is_better, word_values};
use super::sweep_curve::marks;
use crate::engine::trace::{RunReadout, Trace};
use crate::labels;
use crate::session::{Command, WordUnit};

const HEIGHT: f32 = 160.0;

/// Mean and best of a run, level by level; not a number where a level is not read.
pub struct Curve {
    name: &'static str,
    pub mean: Vec<f32>,
    pub best: Vec<f32>,
}

impl Curve {
    pub fn new(name: &'static str, run: &RunReadout, patches: &[usize], unit: WordUnit) -> Self {
        let mut curve = Self {
            name,
            mean: Vec::new(),
            best: Vec::new(),
        };
        for readout in &run.levels {
            let values = readout.as_ref().map(|r| word_values(r, unit));
            let values = values.unwrap_or_default();
            let known: Vec<f32> = patches
                .iter()
                .filter_map(|patch| values.get(*patch).copied())
                .collect();
            let better = |a: f32, b: &f32| if is_better(*b, a, unit) { *b } else { a };
            curve.best.push(known.iter().fold(f32::NAN, better));
            curve
                .mean
                .push(known.iter().sum::<f32>() / known.len() as f32);
        }
        curve
    }
}

/// A click sets the level.
pub fn ui(ctx: &ViewCtx<'_>, ui: &mut Ui, trace: &Trace, curves: &[Curve]) {
    let unit = ctx.session.view.reading.unit;
    let theme = ctx.theme;
    let last = trace.model.n_layers;
    let color = |at| if at == 0 { theme.text } else { theme.added };
    let keys = curves
        .iter()
        .enumerate()
        .filter(|(_, c)| !c.name.is_empty());
    let keys: Vec<_> = keys.map(|(at, curve)| (curve.name, color(at))).collect();
    color_keys(ui, &keys, "solid: best, dashed: mean");
    let mut plot = Plot::new("word over levels")
        .height(HEIGHT)
        .allow_zoom(false)
        .allow_drag(false)
        .allow_scroll(false)
        .allow_boxed_zoom(false)
        .allow_axis_zoom_drag(false)
        .allow_double_click_reset(false)
        .sense(egui::Sense::click())
        .show_crosshair(false)
        .show_background(false)
        .include_x(0.0)
        .include_x(last as f64)
        .x_axis_label("level")
        .y_axis_label(match unit {
            WordUnit::Probability => "probability",
            WordUnit::LogProbability => "ln p",
            WordUnit::Rank => "log10 of rank",
        })
        .grid_color(theme.outline)
        .x_grid_spacer(move |_| marks(last + 1))
        .x_axis_formatter(|mark, _| match mark.value.fract() == 0.0 {
            true => format!("{}", mark.value),
            false => String::new(),
        })
        .y_axis_formatter(|mark, _| labels::number(mark.value as f32));
    if unit == WordUnit::Probability {
        plot = plot.include_y(0.0);
    }
    let level = ctx.level();
    let shown = plot.show(ui, |plot| {
        plot.vline(
            VLine::new("", level as f64)
                .color(theme.accent)
                .allow_hover(false),
        );
        for (at, curve) in curves.iter().enumerate() {
            for (values, kind, style) in [
                (&curve.best, "best", LineStyle::Solid),
                (&curve.mean, "mean", LineStyle::dashed_loose()),
            ] {
                let name = format!("{} {kind}", curve.name);
                let line = Line::new(name.trim().to_owned(), points(values, unit));
                plot.line(line.color(color(at)).style(style).width(1.5));
            }
        }
        plot.pointer_coordinate()
    });
    if shown.response.clicked()
        && let Some(at) = shown.inner
    {
        let to = at.x.round().clamp(0.0, last as f64) as usize;
        ctx.commands.send(Command::SetLevel(to));
    }
    let name = "Word over the levels; click sets the level";
    shown
        .response
        .widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, name));
    let text = summary(curves);
    let id = shown.response.id;
    ui.ctx()
        .accesskit_node_builder(id, |node| node.set_value(text));
}

fn points(values: &[f32], unit: WordUnit) -> PlotPoints<'static> {
    let known = values.iter().enumerate().filter(|(_, v)| v.is_finite());
    let point = |(level, value): (usize, &f32)| {
        let value = f64::from(*value);
        let height = if unit == WordUnit::Rank {
            value.log10()
        } else {
            value
        };
        [level as f64, height]
    };
    known.map(point).collect()
}

/// Every point in words.
fn summary(curves: &[Curve]) -> String {
    let line = |curve: &Curve| {
        let numbers: Vec<String> = (curve.best.iter().zip(&curve.mean))
            .map(|(best, mean)| format!("{}/{}", labels::number(*best), labels::number(*mean)))
            .collect();
        format!("{} best/mean: {}", curve.name, numbers.join(", "))
    };
    curves.iter().map(line).collect::<Vec<_>>().join("; ")
}
