//! The window "Verify": the table of a verification, with a button to start it and one to stop it. It computes nothing.

use egui::{Grid, RichText, Ui};

use super::shortcuts::{Action, Actions};
use super::theme::{GRID, Theme};
use crate::engine::protocol::Stage;
use crate::engine::verification::{Check, Outcome, Verification};

/// What is known of the verification.
pub struct Verifying<'a> {
    pub found: Option<&'a Verification>,
    pub running: bool,
    pub stage: Option<(Stage, f32)>,
}

/// Shows the window while `open`.
pub fn window(
    ctx: &egui::Context,
    theme: &Theme,
    now: &Verifying<'_>,
    open: &mut bool,
    actions: &Actions,
) {
    egui::Window::new("Verify")
        .open(open)
        .collapsible(false)
        .resizable(false)
        .default_width(720.0)
        .pivot(egui::Align2::CENTER_CENTER)
        .default_pos(ctx.content_rect().center())
        .show(ctx, |ui| contents(ui, theme, now, actions));
}

fn contents(ui: &mut Ui, theme: &Theme, now: &Verifying<'_>, actions: &Actions) {
    let intro = "Checks whether this model computes what it should on this machine, in this number type. An edit of the \
                 experiment stops it.";
    ui.label(RichText::new(intro).color(theme.text_weak));
    ui.add_space(GRID);
    ui.horizontal(|ui| {
        let tip = "Run all checks with the model of this session";
        let start = ui.add_enabled(!now.running, egui::Button::new("Start checks"));
        if start.on_hover_text(tip).clicked() {
            actions.send(Action::StartVerify);
        }
        let stop = ui.add_enabled(now.running, egui::Button::new("Stop checks"));
        if stop
            .on_hover_text("Stop, and keep what was found")
            .clicked()
        {
            actions.send(Action::Stop);
        }
        ui.label(summary(now));
    });
    ui.add_space(2.0 * GRID);
    let Some(found) = now.found else {
        return;
    };
    ui.label(RichText::new(&found.title).strong());
    ui.add_space(GRID);
    Grid::new("checks")
        .num_columns(5)
        .spacing([4.0 * GRID, GRID])
        .striped(true)
        .show(ui, |ui| {
            for head in ["", "check", "worst", "allowed", "compared"] {
                ui.label(RichText::new(head).color(theme.text_weak));
            }
            ui.end_row();
            for check in &found.checks {
                row(ui, theme, check);
            }
        });
}

fn row(ui: &mut Ui, theme: &Theme, check: &Check) {
    let (word, color) = match check.outcome() {
        Outcome::Passed => ("pass", theme.added),
        Outcome::Failed => ("FAIL", theme.error),
        Outcome::Skipped => ("skip", theme.text_weak),
    };
    ui.label(RichText::new(word).color(color).strong());
    ui.label(check.name);
    let worst = check.worst.map_or_else(|| "–".to_owned(), number);
    ui.label(RichText::new(worst).monospace());
    ui.label(RichText::new(number(check.allowed)).monospace());
    ui.add(egui::Label::new(RichText::new(&check.compared).color(theme.text_weak)).wrap());
    ui.end_row();
}

/// How it stands, in one line that is there from the start.
fn summary(now: &Verifying<'_>) -> String {
    match (now.running, &now.stage, now.found) {
        (true, Some((stage, fraction)), _) => {
            format!("{} {:.0} %", stage.text(), fraction * 100.0)
        }
        (true, None, _) => "waiting for the run".to_owned(),
        (false, _, None) => "not checked yet".to_owned(),
        (false, _, Some(found)) if !found.complete => "stopped".to_owned(),
        (false, _, Some(found)) => match found.n_failed() {
            0 => format!("all {} checks passed", found.checks.len()),
            n => format!("{n} of {} checks failed", found.checks.len()),
        },
    }
}

fn number(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        value => format!("{value:.1e}"),
    }
}
