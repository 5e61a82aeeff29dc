//! The pane "Tour": the step that is told now, or which tours there are. What a step does is the shell's matter.

use egui::{RichText, Ui};

use super::ViewCtx;
use super::shortcuts::{Action, Actions, button, entry};
use super::theme::GRID;
use crate::session::tour::Tour;

/// The tour that is played and the step that it is at.
#[derive(Clone, Copy)]
pub struct Playing<'a> {
    pub tour: &'a Tour,
    pub at: usize,
}

pub fn ui(ctx: &ViewCtx<'_>, ui: &mut Ui, playing: Option<Playing<'_>>, actions: &Actions) {
    match playing {
        Some(playing) => step(ctx, ui, playing, actions),
        None => choose(ui, actions),
    }
}

fn choose(ui: &mut Ui, actions: &Actions) {
    ui.add(egui::Label::new(RichText::new("A tour leads through the window step by step. Teachers write their own as a Markdown file.").small().weak()).wrap());
    ui.add_space(GRID);
    ui.horizontal(|ui| {
        button(ui, actions, Action::PaperTour, true);
        button(ui, actions, Action::OpenTour, true);
    });
}

fn step(ctx: &ViewCtx<'_>, ui: &mut Ui, playing: Playing<'_>, actions: &Actions) {
    let Playing { tour, at } = playing;
    let Some(step) = tour.steps.get(at) else {
        return;
    };
    let place = format!("{} · step {} of {}", tour.title, at + 1, tour.steps.len());
    ui.label(RichText::new(place).small().weak());
    ui.label(RichText::new(&step.title).heading());
    for paragraph in &step.text {
        ui.add_space(GRID);
        ui.add(egui::Label::new(paragraph).wrap());
    }
    if !step.look_at.is_empty() {
        ui.add_space(GRID);
        let look = RichText::new(format!("▶ Look at {}", step.look_at)).color(ctx.theme.accent);
        ui.add(egui::Label::new(look).wrap());
    }
    ui.add_space(2.0 * GRID);
    ui.horizontal(|ui| {
        button(ui, actions, Action::TourBack, at > 0)
            .on_disabled_hover_text("This is the first step");
        let is_last = at + 1 == tour.steps.len();
        let why = if is_last {
            "This is the last step"
        } else {
            "Waits for the model"
        };
        let ready = !is_last && ctx.session.grid.is_some();
        let next = entry(&Action::TourNext).map_or_else(String::new, |e| e.full_tooltip(ui.ctx()));
        let clicked = ui
            .add_enabled(ready, egui::Button::new("Next (Space)"))
            .on_hover_text(next)
            .on_disabled_hover_text(why)
            .clicked();
        if clicked {
            actions.send(Action::TourNext);
        }
        button(ui, actions, Action::EndTour, true);
    });
}
