//! The colour scale under the picture with true numbers at its ends, and the menu of scales behind it.
//!
//! It reads the view and sends commands; the numbers are those of the heat map on screen.

use egui::{
    Align2, FontId, Popup, PopupCloseBehavior, Rect, Response, Sense, Ui, Vec2, pos2, vec2,
};

use super::controls::ROW;
use crate::session::{Colours, Command, ReadingView, Scale};
use crate::ui::heat::{self, Heat};
use crate::ui::{ViewCtx, scale, style};

/// Its room stays reserved where there is no heat map.
pub fn legend(ctx: &ViewCtx<'_>, heat: Option<&Heat>, narrow: bool, ui: &mut Ui) {
    let (width, bar_width) = if narrow { (156.0, 52.0) } else { (236.0, 96.0) };
    let (rect, response) = ui.allocate_exact_size(vec2(width, ROW), Sense::click());
    let Some(heat) = heat else {
        return;
    };
    let view = &ctx.session.view;
    let [low, high] = [heat.range.0, heat.range.1].map(|v| heat::number_text(view, v));
    let painter = ui.painter();
    let number = FontId::monospace(11.5);
    let weak = ctx.theme.text_weak;
    // A number with a sign needs more room than most.
    let room = (7.0 * low.chars().count() as f32 + 8.0).max(32.0);
    let is_linear = view.reading.scale == Scale::Linear;
    let up = if is_linear { 0.0 } else { 5.0 };
    let bar = Rect::from_min_size(
        pos2(rect.left() + room, rect.center().y - 5.0 - up),
        Vec2::new(bar_width, 10.0),
    );
    let at = |x: f32| pos2(x, bar.center().y);
    let left = at(bar.left() - 6.0);
    painter.text(left, Align2::RIGHT_CENTER, &low, number.clone(), weak);
    let right = at(bar.right() + 6.0);
    painter.text(right, Align2::LEFT_CENTER, &high, number, weak);
    let unit = FontId::proportional(12.0);
    let high_end = bar.right() + 12.0 + 7.0 * high.chars().count() as f32;
    let unit_text = if narrow {
        heat::short_unit(view)
    } else {
        heat::unit(view)
    };
    painter.text(at(high_end), Align2::LEFT_CENTER, unit_text, unit, weak);
    painter.add(heat::scale_mesh(bar, view.reading.colours.into()));
    if !is_linear {
        middle(ctx, heat, bar, narrow, ui);
    }
    if let Some(zero) = heat.zero {
        let x = bar.left() + zero * bar.width();
        let tick = egui::Stroke::new(1.0, ctx.theme.text);
        ui.painter().vline(x, bar.y_range().expand(3.0), tick);
    }
    let edge = if response.hovered() || response.has_focus() {
        ctx.theme.text
    } else {
        ctx.theme.outline
    };
    let edge = egui::Stroke::new(1.0, edge);
    ui.painter()
        .rect_stroke(bar, 0.0, edge, egui::StrokeKind::Outside);
    name(ctx, (&low, &high), heat, response);
}

/// The number in the middle of a scale that is not linear, and what the scale is.
fn middle(ctx: &ViewCtx<'_>, heat: &Heat, bar: Rect, narrow: bool, ui: &Ui) {
    let view = &ctx.session.view;
    let x = bar.center().x;
    let tick = egui::Stroke::new(1.0, ctx.theme.text);
    ui.painter()
        .vline(x, bar.bottom() - 2.0..=bar.bottom() + 3.0, tick);
    let number = heat::number_text(view, heat.middle);
    let text = match (narrow, view.reading.scale) {
        (true, _) | (_, Scale::Linear) => number,
        (false, Scale::Sqrt) => format!("{number} (square root)"),
        (false, Scale::Percentile) => format!("{number} (median)"),
    };
    let at = pos2(x, bar.bottom() + 9.0);
    let font = FontId::proportional(style::SMALL);
    ui.painter()
        .text(at, Align2::CENTER_CENTER, text, font, ctx.theme.text_weak);
}

/// What assistive technology is told, the tooltip, and the menu.
fn name(ctx: &ViewCtx<'_>, (low, high): (&str, &str), heat: &Heat, response: Response) {
    let view = &ctx.session.view;
    let mut text = format!(
        "Legend: {} from {low} to {high}, {}",
        heat::label(heat.kind),
        heat::unit(view)
    );
    if view.reading.scale != Scale::Linear {
        let scale = scale::label(view.reading.scale).to_lowercase();
        let middle = heat::number_text(view, heat.middle);
        text = format!("{text}, {scale} scale, {middle} in the middle");
    }
    if let Some(note) = heat::note(ctx) {
        text = format!("{text}; {note}");
    }
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &text));
    Popup::menu(&response)
        .close_behavior(PopupCloseBehavior::CloseOnClickOutside)
        .show(|ui| menu(ctx, ui));
    let mut tip = heat::explanation(heat.kind).to_owned();
    if let Some(note) = heat::note(ctx) {
        tip = format!("{tip} {note}.");
    }
    response.on_hover_text(format!("{tip} Click for scale and colours."));
}

fn menu(ctx: &ViewCtx<'_>, ui: &mut Ui) {
    let reading = &ctx.session.view.reading;
    let send = |change: &dyn Fn(&mut ReadingView)| {
        let mut reading = reading.clone();
        change(&mut reading);
        ctx.commands.send(Command::SetReading(reading));
    };
    ui.set_min_width(168.0);
    ui.label("Scale");
    for kind in Scale::ALL {
        let item = ui.radio(reading.scale == kind, scale::label(kind));
        if item.on_hover_text(scale::explanation(kind)).clicked() {
            send(&|r| r.scale = kind);
        }
    }
    let mut normalised = reading.normalised;
    let tip = "The scale spans the values on screen; off, all values that are possible, so that levels can be compared";
    let item = ui.checkbox(&mut normalised, "Normalised to this map");
    if item.on_hover_text(tip).changed() {
        send(&|r| r.normalised = normalised);
    }
    ui.separator();
    ui.label("Colours");
    for (colours, name, tip) in [
        (
            Colours::Viridis,
            "Viridis",
            "Lightness rises evenly from violet to yellow",
        ),
        (
            Colours::Cividis,
            "Cividis",
            "The same from blue to yellow, for people who see red and green alike",
        ),
    ] {
        let item = ui.radio(reading.colours == colours, name);
        if item.on_hover_text(tip).clicked() {
            send(&|r| r.colours = colours);
        }
    }
}
