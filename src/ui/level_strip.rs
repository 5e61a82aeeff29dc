//! The level on screen: a slider with a mark per level, its name, and a slow play through all levels.
//!
//! Levels are only looked at here: moving sends `SetLevel` and never leads to a run.

use egui::{Align2, EventFilter, FontId, Id, Pos2, Rect, Response, Sense, Stroke, Ui, pos2, vec2};

use super::labels::level_label;
use super::shortcuts::{Action, Actions, entry};
use super::theme::{GRID, Theme};
use super::{ViewCtx, style};
use crate::session::Command;

/// Seconds per level while playing.
const STEP: f64 = 1.0 / 3.0;
/// Height of the strip's contents.
pub const HEIGHT: f32 = 40.0;

/// Scratch: when the next step of the play is due.
#[derive(Default)]
pub struct LevelStrip {
    next_step: Option<f64>,
}

/// The slider's id, so that its focus does not switch the arrow keys off.
pub fn slider_id() -> Id {
    Id::unique("the level slider")
}

impl LevelStrip {
    pub fn playing(&self) -> bool {
        self.next_step.is_some()
    }

    pub fn stop(&mut self) {
        self.next_step = None;
    }

    /// Starts or stops the play.
    pub fn toggle(&mut self, now: f64) {
        self.next_step = match self.next_step {
            Some(_) => None,
            None => Some(now + STEP),
        };
    }

    pub fn ui(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui, actions: &Actions) {
        let n_layers = ctx.trace.or(ctx.previous).map(|t| t.model.n_layers);
        let level = ctx.level();
        ui.horizontal_centered(|ui| {
            ui.set_height(HEIGHT);
            self.play_button(ui, actions, n_layers.is_some());
            let label = 236.0;
            let width = (ui.available_width() - label - 2.0 * GRID).max(120.0);
            if let Some(to) = slider(ctx, ui, width, level, n_layers) {
                self.stop();
                ctx.commands.send(Command::SetLevel(to));
            }
            let text = n_layers.map_or_else(
                || "no level yet".to_owned(),
                |n| format!("level {level} of {n} · {}", level_label(level, n)),
            );
            let (rect, _) = ui.allocate_exact_size(vec2(label, HEIGHT), Sense::hover());
            let font = FontId::proportional(style::BODY);
            ui.painter().text(
                rect.right_center(),
                Align2::RIGHT_CENTER,
                text,
                font,
                ctx.theme.text,
            );
        });
        if let Some(n_layers) = n_layers {
            self.play(ctx, ui, level, n_layers);
        }
    }

    fn play_button(&self, ui: &mut Ui, actions: &Actions, enabled: bool) {
        let (text, name) = if self.playing() {
            ("Pause", "Pause levels")
        } else {
            ("Play", "Play levels")
        };
        let tip = entry(&Action::Play).map_or_else(String::new, |e| e.full_tooltip(ui.ctx()));
        let button = egui::Button::new(text).min_size(vec2(56.0, 0.0));
        let response = ui
            .add_enabled(enabled, button)
            .accessible_name(name)
            .on_hover_text(tip);
        if response.clicked() {
            actions.send(Action::Play);
        }
    }

    /// Steps when the time has come, and asks for a frame only while playing.
    fn play(&mut self, ctx: &ViewCtx<'_>, ui: &Ui, level: usize, n_layers: usize) {
        let Some(due) = self.next_step else {
            return;
        };
        let now = ui.input(|i| i.time);
        if now >= due {
            ctx.commands.send(Command::SetLevel(if level >= n_layers {
                0
            } else {
                level + 1
            }));
            self.next_step = Some(now + STEP);
        }
        let wait = self.next_step.unwrap_or(now) - now;
        ui.ctx()
            .request_repaint_after(std::time::Duration::from_secs_f64(wait.max(0.0)));
    }
}

/// Draws the slider and gives the level that was chosen on it.
fn slider(
    ctx: &ViewCtx<'_>,
    ui: &mut Ui,
    width: f32,
    level: usize,
    n_layers: Option<usize>,
) -> Option<usize> {
    let (_, rect) = ui.allocate_space(vec2(width, HEIGHT));
    let last = n_layers.unwrap_or(0);
    let sense = if last > 0 {
        Sense::click_and_drag()
    } else {
        Sense::hover()
    };
    let response = ui.interact(rect, slider_id(), sense);
    let rail = Rail {
        rect: rect.shrink2(vec2(12.0, 0.0)),
        last,
    };
    let chosen = chosen(ui, &response, &rail, level);
    response.widget_info(|| egui::WidgetInfo::slider(last > 0, level as f64, "Level"));
    ui.ctx().accesskit_node_builder(response.id, |node| {
        node.set_min_numeric_value(0.0);
        node.set_max_numeric_value(last as f64);
        node.set_numeric_value_step(1.0);
        node.add_action(egui::accesskit::Action::SetValue);
        node.add_action(egui::accesskit::Action::Increment);
        node.add_action(egui::accesskit::Action::Decrement);
    });
    draw(ui, ctx.theme, &response, &rail, level);
    let tip = "Drag to another level; 0 is what enters the decoder (Left, Right, Home, End)";
    response.on_hover_text(tip);
    chosen.filter(|to| *to != level)
}

/// Where the levels lie.
struct Rail {
    rect: Rect,
    last: usize,
}

impl Rail {
    fn x(&self, level: usize) -> f32 {
        self.rect.min.x + self.rect.width() * level as f32 / self.last.max(1) as f32
    }

    fn y(&self) -> f32 {
        self.rect.min.y + 14.0
    }

    fn level_at(&self, at: Pos2) -> usize {
        let t = (at.x - self.rect.min.x) / self.rect.width().max(1.0);
        (t.clamp(0.0, 1.0) * self.last as f32).round() as usize
    }
}

fn chosen(ui: &Ui, response: &Response, rail: &Rail, level: usize) -> Option<usize> {
    use egui::accesskit::{Action, ActionData};
    let id = response.id;
    if response.has_focus() {
        let filter = EventFilter {
            horizontal_arrows: true,
            ..EventFilter::default()
        };
        ui.memory_mut(|m| m.set_focus_lock_filter(id, filter));
    }
    let pointer = response.interact_pointer_pos().map(|at| rail.level_at(at));
    let asked = ui.input(|i| {
        let set = i
            .accesskit_action_requests(id, Action::SetValue)
            .filter_map(|request| match request.data {
                Some(ActionData::NumericValue(value)) => {
                    Some((value.round().max(0.0) as usize).min(rail.last))
                }
                _ => None,
            });
        let set = set.last();
        let up = i.num_accesskit_action_requests(id, Action::Increment);
        let down = i.num_accesskit_action_requests(id, Action::Decrement);
        let moved = (level + up).saturating_sub(down).min(rail.last);
        set.or((up + down > 0).then_some(moved))
    });
    asked.or(pointer)
}

fn draw(ui: &Ui, theme: &Theme, response: &Response, rail: &Rail, level: usize) {
    let painter = ui.painter();
    let y = rail.y();
    let line = |from: f32, to: f32, color, width| {
        painter.hline(from..=to, y, Stroke::new(width, color));
    };
    line(rail.rect.min.x, rail.rect.max.x, theme.outline, 3.0);
    if rail.last == 0 {
        return;
    }
    line(rail.rect.min.x, rail.x(level), theme.text_weak, 3.0);
    let font = FontId::monospace(style::SMALL - 1.0);
    let every = label_step(rail);
    for at in 0..=rail.last {
        let x = rail.x(at);
        let labelled = at % every == 0 && (at == 0 || at + every <= rail.last) || at == rail.last;
        let bottom = if labelled { y + 9.0 } else { y + 7.0 };
        painter.vline(x, y + 4.0..=bottom, Stroke::new(1.0, theme.text_weak));
        if labelled {
            let color = if at == level {
                theme.text
            } else {
                theme.text_weak
            };
            painter.text(
                pos2(x, y + 10.0),
                Align2::CENTER_TOP,
                at,
                font.clone(),
                color,
            );
        }
    }
    let radius = if response.hovered() || response.dragged() {
        8.0
    } else {
        7.0
    };
    let center = pos2(rail.x(level), y);
    painter.circle_filled(center, radius, theme.text);
    painter.circle_stroke(center, radius, Stroke::new(2.0, theme.panel));
    if response.has_focus() {
        painter.circle_stroke(center, radius + 2.0, Stroke::new(1.0, theme.accent));
    }
}

/// Numbers stand at every mark where they have 24 points each, else at every second, fifth or tenth.
fn label_step(rail: &Rail) -> usize {
    let per_level = rail.rect.width() / rail.last.max(1) as f32;
    let fits = |step: &usize| per_level * *step as f32 >= 24.0;
    [1, 2, 4, 5, 10].into_iter().find(fits).unwrap_or(20)
}

/// The level that an arrow key leads to.
pub fn level_after(action: &Action, level: usize, last: usize) -> Option<usize> {
    match action {
        Action::LevelDown => Some(level.saturating_sub(1)),
        Action::LevelUp => Some((level + 1).min(last)),
        Action::LevelFirst => Some(0),
        Action::LevelLast => Some(last),
        _ => None,
    }
}
