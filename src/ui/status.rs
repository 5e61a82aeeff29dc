//! The line at the bottom: the model, the last run's times and what goes on now; a thin line shows how far.
//!
//! It reads and sends nothing but the wish to stop.

use egui::{Rect, RichText, Sense, Stroke, Ui, pos2, vec2};

use super::ViewCtx;
use super::shortcuts::{Action, Actions, entry};
use super::sweep_view::{SweepState, progress};
use crate::engine::budget::size;
use crate::engine::protocol::Stage;
use crate::engine::trace::{Caches, Timing, Trace};

/// Height of the line's contents.
pub const HEIGHT: f32 = 24.0;

/// How the last run ended, for the time between two runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LastRun {
    #[default]
    None,
    Done,
    Failed,
    Cancelled,
    /// Nothing was run: the results were saved with the session.
    Recorded,
}

/// `task` is what the engine does besides a run and a sweep, and how far it is.
pub fn ui(
    ctx: &ViewCtx<'_>,
    ui: &mut Ui,
    last_run: LastRun,
    task: Option<(Stage, f32)>,
    actions: &Actions,
) {
    let now = ctx.progress.clone().or(task);
    progress_line(ctx, now.as_ref(), ui);
    let trace = ctx.trace.or(ctx.previous);
    let (left, right) = (run_text(trace), state_text(ctx, now.as_ref(), last_run));
    let all = [left.as_str(), right.as_str()]
        .into_iter()
        .filter(|t| !t.is_empty())
        .collect::<Vec<_>>()
        .join(" · ");
    let room = vec2(ui.available_width(), HEIGHT);
    let (rect, response) = ui.allocate_exact_size(room, Sense::hover());
    let response = match trace {
        Some(trace) => response.on_hover_text(caches_text(&trace.caches)),
        None => response,
    };
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Status, true, "Status"));
    ui.ctx()
        .accesskit_node_builder(response.id, |node| node.set_value(all));
    let mut ui = ui.new_child(
        egui::UiBuilder::new()
            .max_rect(rect)
            .layout(egui::Layout::right_to_left(egui::Align::Center)),
    );
    if now.is_some() || ctx.sweeps.state != SweepState::Idle {
        let tip = entry(&Action::Stop).map_or_else(String::new, |e| e.full_tooltip(ui.ctx()));
        let stop = ui.add(egui::Button::new("Stop").small()).on_hover_text(tip);
        if stop.clicked() {
            actions.send(Action::Stop);
        }
    }
    let color = if last_run == LastRun::Failed && now.is_none() {
        ctx.theme.error
    } else {
        ctx.theme.text
    };
    ui.label(RichText::new(right).small().color(color));
    ui.with_layout(egui::Layout::left_to_right(egui::Align::Center), |ui| {
        ui.add(egui::Label::new(RichText::new(left).small().color(ctx.theme.text_weak)).truncate());
    });
}

/// Two points at the top edge, always kept free.
fn progress_line(ctx: &ViewCtx<'_>, now: Option<&(Stage, f32)>, ui: &Ui) {
    let sweep = ctx
        .sweeps
        .current()
        .map(|sweep| sweep.n_done() as f32 / sweep.units.len().max(1) as f32);
    let Some(fraction) = now.map(|(_, done)| *done).or(sweep) else {
        return;
    };
    let area = ui.max_rect().expand2(vec2(8.0, 0.0));
    let y = area.min.y;
    let full = Rect::from_min_max(area.min, pos2(area.max.x, y + 2.0));
    ui.painter().rect_filled(full, 0.0, ctx.theme.outline);
    let x = area.min.x + area.width() * fraction.clamp(0.02, 1.0);
    ui.painter()
        .hline(area.min.x..=x, y + 1.0, Stroke::new(2.0, ctx.theme.accent));
}

fn run_text(trace: Option<&Trace>) -> String {
    let Some(trace) = trace else {
        return String::new();
    };
    let model = &trace.model;
    let mut text = format!(
        "{} · {} · {} · {} tokens",
        model.name,
        model.device,
        model.dtype,
        trace.input_ids.len()
    );
    if trace.complete {
        text += &format!(" · last run {}", timing_text(&trace.timing));
        if let Some(share) = trace.recomputed {
            text += &format!(" · recomputed {:.0} %", share * 100.0);
        }
        if trace.caches.keeps_one {
            text += " · little memory: every run is computed whole";
        }
    }
    text
}

/// What is kept for the next run.
fn caches_text(caches: &Caches) -> String {
    let kept = size(caches.n_bytes);
    let allowed = match caches.allowed {
        Some(allowed) => format!(
            " Weights, runs and work may take {} together.",
            size(allowed)
        ),
        None => String::new(),
    };
    let how = match caches.keeps_one {
        true => "There is room for one run only, so each is computed whole",
        false => "Edits go on from them and compute only what they can reach",
    };
    format!("Kept runs take {kept}.{allowed} {how}.")
}

/// `312 ms: forward 180, lens 90, answer 42`; parts that took no time are left out.
fn timing_text(t: &Timing) -> String {
    let parts = [
        ("load", t.load),
        ("encode", t.encode),
        ("clean", t.baseline),
        ("forward", t.edited),
        ("lens", t.lens),
        ("answer", t.decode),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(_, ms)| *ms >= 0.5)
        .map(|(name, ms)| format!("{name} {}", ms.round() as u64))
        .collect();
    let total = format!("{} ms", t.total.round() as u64);
    if parts.is_empty() {
        total
    } else {
        format!("{total}: {}", parts.join(", "))
    }
}

fn state_text(ctx: &ViewCtx<'_>, now: Option<&(Stage, f32)>, last_run: LastRun) -> String {
    match (now, last_run) {
        (Some((stage, fraction)), _) => format!(
            "{} {:>3} %",
            stage.text(),
            (fraction * 100.0).round() as u32
        ),
        (None, _) if ctx.sweeps.state == SweepState::Running => match ctx.sweeps.current() {
            Some(sweep) => format!("sweeping {}", progress(sweep)),
            None => "sweeping".to_owned(),
        },
        (None, LastRun::Failed) => "failed".to_owned(),
        (None, LastRun::Cancelled) => "stopped".to_owned(),
        (None, LastRun::Done) => "idle".to_owned(),
        (None, LastRun::Recorded) => "recorded".to_owned(),
        (None, LastRun::None) => "ready".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_without_time_are_left_out() {
        let timing = Timing {
            edited: 180.4,
            lens: 90.0,
            decode: 41.6,
            total: 312.0,
            ..Timing::default()
        };
        assert_eq!(
            timing_text(&timing),
            "312 ms: forward 180, lens 90, answer 42"
        );
        assert_eq!(
            timing_text(&Timing {
                total: 3.0,
                ..Timing::default()
            }),
            "3 ms"
        );
    }
}
