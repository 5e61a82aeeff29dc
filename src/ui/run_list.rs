//! The pane "Runs": experiments that are kept by name, with a thumbnail and their answer, to come back to exactly.
//!
//! The list is the session's; the results live here, as long as the window does. A run without its result, as after
//! opening a session, gets it when it is shown.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use egui::{Rect, RichText, Sense, Stroke, StrokeKind, TextureHandle, Ui, vec2};

use super::ViewCtx;
use super::shortcuts::{Action, Actions, button};
use super::theme::{GRID, over_picture};
use crate::engine::trace::{SeenPicture, Trace};
use crate::session::{Command, RunChange, SavedRun, Session};
use crate::spec::{Experiment, Intervention};

/// Side of a thumbnail, in points and in pixels.
const THUMB: f32 = 48.0;
const PIXELS: usize = 96;
/// Letters of an answer that make a name.
const NAME: usize = 32;

/// Results of kept runs, and the name that is being typed.
#[derive(Default)]
pub struct RunList {
    results: Vec<KeptResult>,
    renaming: Option<(usize, String)>,
}

struct KeptResult {
    experiment: Experiment,
    trace: Arc<Trace>,
    thumbnail: Option<TextureHandle>,
}

/// The command that keeps the session's experiment, named after its answer.
pub fn keep(session: &Session, trace: Option<&Trace>) -> Command {
    let made = SystemTime::now().duration_since(UNIX_EPOCH);
    let answer = trace.map_or("", |trace| trace.edited.answer.text.as_str());
    let name: String = answer.chars().take(NAME).collect();
    let name = match name.trim() {
        "" => format!("Run {}", session.runs.list.len() + 1),
        name if answer.chars().count() > NAME => format!("{name}…"),
        name => name.to_owned(),
    };
    Command::KeepRun {
        name,
        made: made.map_or(0, |since| since.as_secs()),
    }
}

impl RunList {
    /// The result of a kept run.
    pub fn result_of(&self, experiment: &Experiment) -> Option<Arc<Trace>> {
        let mut results = self.results.iter();
        let found = results.find(|kept| kept.experiment == *experiment)?;
        Some(found.trace.clone())
    }

    /// Keeps the result of the session as it is, if that is a kept run; lets results of deleted runs go.
    pub fn take_in(&mut self, session: &Session, trace: &Arc<Trace>) {
        if !session.runs.holds(&session.experiment) {
            return;
        }
        let mut results = self.results.iter();
        let known = results.any(|k| k.experiment == session.experiment && k.trace.id == trace.id);
        if known {
            return;
        }
        let deleted = session.runs.deleted().map(|run| &run.experiment);
        self.results.retain(|kept| {
            let is_listed = session.runs.holds(&kept.experiment);
            kept.experiment != session.experiment
                && (is_listed || deleted == Some(&kept.experiment))
        });
        self.results.push(KeptResult {
            experiment: session.experiment.clone(),
            trace: trace.clone(),
            thumbnail: None,
        });
    }

    pub fn ui(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui, actions: &Actions) {
        ui.horizontal(|ui| {
            button(ui, actions, Action::KeepRun, true);
            let (label, tip) = match ctx.session.runs.change() {
                Some(RunChange::Deleted(_, run)) => (
                    "Bring back",
                    format!("Bring back the deleted run “{}”", run.name),
                ),
                Some(RunChange::Renamed(at, before)) => (
                    "Undo renaming",
                    format!("Call run {} “{before}” again", at + 1),
                ),
                None => return,
            };
            if ui.button(label).on_hover_text(tip).clicked() {
                ctx.commands.send(Command::BringBackRun);
            }
        });
        let runs = &ctx.session.runs.list;
        if runs.is_empty() {
            let text = "Keep runs that you want to come back to: the whole experiment with its name and its result. They are saved with the session.";
            ui.add_space(GRID);
            ui.add(egui::Label::new(RichText::new(text).small().weak()).wrap());
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |since| since.as_secs());
        for (at, run) in runs.iter().enumerate() {
            ui.add_space(2.0 * GRID);
            self.row(ctx, ui, (at, run), now);
        }
        ui.add_space(2.0 * GRID);
    }

    fn row(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui, (at, run): (usize, &SavedRun), now: u64) {
        let is_shown = run.experiment == ctx.session.experiment;
        ui.horizontal(|ui| {
            let (place, thumb) = ui.allocate_exact_size(vec2(THUMB, THUMB), Sense::click());
            let name = format!("Show run {}: {}", at + 1, run.name);
            thumb.widget_info(|| {
                egui::WidgetInfo::selected(egui::Role::Button, true, is_shown, &name)
            });
            self.thumbnail(ctx, ui, run, place);
            let (width, color) = match (is_shown, thumb.has_focus()) {
                (true, _) => (2.0, ctx.theme.accent),
                (false, true) => (2.0, ctx.theme.text),
                (false, false) => (1.0, ctx.theme.outline),
            };
            let edge = Stroke::new(width, color);
            ui.painter()
                .rect_stroke(place, 2.0, edge, StrokeKind::Outside);
            let tip = "Go back to this run: picture, question and interventions. It can be undone";
            if thumb.on_hover_text(tip).clicked() {
                ctx.commands.send(Command::ShowRun(at));
            }
            ui.vertical(|ui| {
                self.name(ctx, ui, at, run);
                ui.add(
                    egui::Label::new(RichText::new(self.about(run, now)).small().weak()).truncate(),
                );
                self.buttons(ctx, ui, at, run);
            });
        });
    }

    /// The name, or the field in which it is changed.
    fn name(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui, at: usize, run: &SavedRun) {
        if let Some((renamed, text)) = &mut self.renaming
            && *renamed == at
        {
            let edit = egui::TextEdit::singleline(text).desired_width(f32::INFINITY);
            let field = ui
                .add(edit)
                .on_hover_text("Enter takes the name, Escape leaves it");
            field.widget_info(|| {
                egui::WidgetInfo::labeled(egui::Role::TextInput, true, "Name of the run")
            });
            field.request_focus();
            let (enter, escape) = ui.input(|i| {
                (
                    i.key_pressed(egui::Key::Enter),
                    i.key_pressed(egui::Key::Escape),
                )
            });
            if enter || field.clicked_elsewhere() {
                let name = text.clone();
                ctx.commands.send(Command::RenameRun { at, name });
            }
            if enter || escape || field.clicked_elsewhere() {
                self.renaming = None;
            }
            return;
        }
        let text = format!("{} {}", at + 1, run.name);
        ui.add(egui::Label::new(RichText::new(text).strong()).truncate());
    }

    /// The answer, how old the run is, what was done.
    fn about(&self, run: &SavedRun, now: u64) -> String {
        let n = run.experiment.active().count();
        let done = match n {
            0 => "clean".to_owned(),
            1 => "1 intervention".to_owned(),
            n => format!("{n} interventions"),
        };
        let when = age(now.saturating_sub(run.made));
        let answer = self.result_of(&run.experiment);
        let answer = answer.map_or_else(
            || "result comes when it is shown".to_owned(),
            |trace| trace.edited.answer.text.clone(),
        );
        format!("{when} · {done} · {answer}")
    }

    fn buttons(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui, at: usize, run: &SavedRun) {
        let small = |ui: &mut Ui, what: &str, tip: &str| {
            let name = format!("{what} run {}", at + 1);
            let response = ui.small_button(what).on_hover_text(tip);
            response.accessible_name(name).clicked()
        };
        ui.horizontal(|ui| {
            if small(ui, "Show", "Go back to this run; it can be undone") {
                ctx.commands.send(Command::ShowRun(at));
            }
            if small(ui, "Rename", "Give it another name") {
                self.renaming = Some((at, run.name.clone()));
            }
            if small(
                ui,
                "Delete",
                "Take it out of the list; it can be brought back",
            ) {
                self.renaming = None;
                ctx.commands.send(Command::DeleteRun(at));
            }
        });
    }

    fn thumbnail(&mut self, ctx: &ViewCtx<'_>, ui: &Ui, run: &SavedRun, place: Rect) {
        ui.painter().rect_filled(place, 2.0, ctx.theme.canvas);
        let mut results = self.results.iter_mut();
        let Some(kept) = results.find(|kept| kept.experiment == run.experiment) else {
            return;
        };
        let texture = kept.thumbnail.get_or_insert_with(|| {
            let image = small_picture(&kept.trace.picture, &kept.trace, &run.experiment);
            let options = egui::TextureOptions::LINEAR;
            ui.ctx().load_texture("thumbnail", image, options)
        });
        let whole = Rect::from_min_max(egui::pos2(0.0, 0.0), egui::pos2(1.0, 1.0));
        ui.painter()
            .image(texture.id(), place, whole, over_picture::INK_LIGHT);
    }
}

/// `just now`, `5 min ago`, `2 h ago`, `3 days ago`.
fn age(seconds: u64) -> String {
    match seconds {
        0..60 => "just now".to_owned(),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        86_400..172_800 => "a day ago".to_owned(),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// The picture made small, ablated patches dark.
fn small_picture(
    picture: &SeenPicture,
    trace: &Trace,
    experiment: &Experiment,
) -> egui::ColorImage {
    let grid = trace.model.grid;
    let mut ablated = vec![false; grid.len()];
    for row in experiment.active() {
        if let Intervention::Ablation(a) = row {
            for index in a.patches.indices(grid).unwrap_or_default() {
                ablated[index] = true;
            }
        }
    }
    let pixel = |i: usize| {
        let (x, y) = (i % PIXELS, i / PIXELS);
        let cell = y * grid.rows / PIXELS * grid.cols + x * grid.cols / PIXELS;
        let at = (y * picture.size / PIXELS * picture.size + x * picture.size / PIXELS) * 3;
        let rgb = picture.rgb.get(at..at + 3).unwrap_or(&[0; 3]);
        let dim = if ablated.get(cell).copied().unwrap_or(false) {
            4
        } else {
            1
        };
        [rgb[0] / dim, rgb[1] / dim, rgb[2] / dim]
    };
    let rgb: Vec<u8> = (0..PIXELS * PIXELS).flat_map(pixel).collect();
    egui::ColorImage::from_rgb([PIXELS; 2], &rgb)
}

#[cfg(test)]
mod tests {
    use super::age;

    #[test]
    fn ages_in_words() {
        for (seconds, text) in [
            (5, "just now"),
            (61, "1 min ago"),
            (7_300, "2 h ago"),
            (90_000, "a day ago"),
            (300_000, "3 days ago"),
        ] {
            assert_eq!(age(seconds), text);
        }
    }
}
