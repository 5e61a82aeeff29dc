//! The section "Sweep": what to take away one at a time, start and stop, and what was found.
//!
//! The settings leave as a command, the wish to start as an action; patches are shown over the picture, blocks and
//! heads here.

use egui::{RichText, Ui};

use super::forms::facts;
use super::shortcuts::{Action, Actions, button, entry};
use super::sweep_form::SweepForm;
use super::sweep_view::{SweepState, loss, measure_explanation, measure_label, progress};
use super::theme::GRID;
use super::wording::describe_sweep;
use super::{ViewCtx, head_grid, labels, sweep_curve};
use crate::engine::sweep::Sweep;
use crate::session::{Command, HeatKind, Measure, SweepSettings};
use crate::spec::SweepKind;

/// Units that are named as the most important.
const N_BEST: usize = 3;

/// Scratch of the section.
#[derive(Default)]
pub struct SweepPanel {
    form: SweepForm,
}

impl SweepPanel {
    pub fn ui(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui, actions: &Actions) {
        let text = "What a word of the answer depends on: the clean run, without the interventions of the session, each time with one thing taken away.";
        weak(ui, text);
        let mut settings = self.form.ui(ctx, ui);
        ui.add_space(GRID);
        buttons(ctx, ui, actions, &settings);
        result(ctx, ui, &mut settings);
        if settings != ctx.session.view.sweep {
            ctx.commands.send(Command::SetSweep(settings));
        }
        ui.add_space(2.0 * GRID);
    }
}

fn weak(ui: &mut Ui, text: &str) {
    ui.add(egui::Label::new(RichText::new(text).small().weak()).wrap());
}

fn buttons(ctx: &ViewCtx<'_>, ui: &mut Ui, actions: &Actions, settings: &SweepSettings) {
    let same = ctx
        .sweep(settings.kind)
        .filter(|sweep| sweep.spec == settings.spec());
    ui.horizontal(|ui| {
        let note = match (ctx.sweeps.state, same) {
            (SweepState::Idle, Some(sweep)) if sweep.is_complete() => {
                format!("{} in {:.1} s", progress(sweep), sweep.ms / 1e3)
            }
            (SweepState::Idle, Some(sweep)) => format!("stopped at {}", progress(sweep)),
            (SweepState::Idle, None) => String::new(),
            (SweepState::Waiting, _) => "waits for the run".to_owned(),
            (SweepState::Running, _) => ctx.sweeps.current().map_or_else(String::new, progress),
        };
        if ctx.sweeps.state == SweepState::Idle {
            start_button(ctx, ui, actions, settings.token, same);
        } else {
            let tip = entry(&Action::Stop).map_or_else(String::new, |e| e.full_tooltip(ui.ctx()));
            let stop = ui.button("Stop sweep");
            if stop.on_hover_text(tip).clicked() {
                actions.send(Action::Stop);
            }
        }
        ui.label(RichText::new(note).small().color(ctx.theme.text_weak));
    });
}

/// Starts the sweep of the settings, or goes on with it.
fn start_button(
    ctx: &ViewCtx<'_>,
    ui: &mut Ui,
    actions: &Actions,
    token: usize,
    same: Option<&Sweep>,
) {
    let n_tokens = ctx.trace.map(|trace| trace.baseline.answer.ids.len());
    let begun = same.is_some_and(|sweep| !sweep.is_complete());
    let done = same.is_some_and(Sweep::is_complete);
    if !begun {
        let why_not = match n_tokens {
            None => Some("There is no run to sweep over yet"),
            Some(n) if token >= n && ctx.progress.is_none() => {
                Some("The answer has no such token: choose another one to watch")
            }
            _ if done => Some("This sweep is complete; change its settings for another"),
            _ => None,
        };
        button(ui, actions, Action::Sweep, why_not.is_none())
            .on_disabled_hover_text(why_not.unwrap_or_default());
        return;
    }
    let tip = entry(&Action::Sweep).map_or_else(String::new, |e| {
        format!("Compute what is missing. {}", e.full_tooltip(ui.ctx()))
    });
    if ui.button("Go on").on_hover_text(tip).clicked() {
        actions.send(Action::Sweep);
    }
}

/// What the newest sweep of the chosen kind found.
fn result(ctx: &ViewCtx<'_>, ui: &mut Ui, settings: &mut SweepSettings) {
    let kind = settings.kind;
    let Some(sweep) = ctx.sweep(kind) else {
        if ctx.sweeps.newest(kind).is_some() {
            weak(
                ui,
                "The last sweep was of another model, picture or question.",
            );
        }
        return;
    };
    let token = sweep.model.vocabulary.piece(sweep.token_id());
    let title = format!(
        "{token} (token {}, {}) · {}",
        sweep.spec.token,
        labels::probability(sweep.baseline.prob),
        describe_sweep(&sweep.spec.over, facts(ctx))
    );
    ui.add_space(GRID);
    ui.add(egui::Label::new(RichText::new(title).small().strong()).wrap());
    measures(ui, settings);
    match kind {
        SweepKind::Patches => on_picture(ctx, ui),
        SweepKind::Layers => sweep_curve::ui(ctx, ui, sweep, settings.measure),
        SweepKind::Heads => head_grid::ui(ctx, ui, sweep, settings.measure),
    }
    best(ui, sweep, settings.measure);
}

fn measures(ui: &mut Ui, settings: &mut SweepSettings) {
    ui.horizontal(|ui| {
        ui.label(RichText::new("Loss of").small());
        for measure in Measure::ALL {
            let name = measure_label(measure);
            let label = ui
                .selectable_label(settings.measure == measure, RichText::new(name).small())
                .on_hover_text(measure_explanation(measure));
            if label.accessible_name(format!("Loss of {name}")).clicked() {
                settings.measure = measure;
            }
        }
    });
}

/// Where the result over patches is to be seen.
fn on_picture(ctx: &ViewCtx<'_>, ui: &mut Ui) {
    if ctx.session.view.heat == HeatKind::Importance {
        return;
    }
    let show = ui
        .button("Show over the picture")
        .on_hover_text("Make the importance of the patches the heat map");
    if show.clicked() {
        ctx.commands.send(Command::SetHeat(HeatKind::Importance));
    }
}

/// The units with the largest losses, in words.
fn best(ui: &mut Ui, sweep: &Sweep, measure: Measure) {
    let known = (0..sweep.units.len()).filter_map(|unit| Some((unit, loss(sweep, unit, measure)?)));
    let mut losses: Vec<(usize, f32)> = known.filter(|(_, loss)| *loss > 0.0).collect();
    losses.sort_by(|a, b| b.1.total_cmp(&a.1));
    let words: Vec<String> = losses
        .iter()
        .take(N_BEST)
        .map(|(unit, loss)| {
            let name = sweep.units[*unit].text(sweep.model.grid);
            format!("{name} {}", labels::number(*loss))
        })
        .collect();
    let noise = labels::number(measure.of(&sweep.noise));
    let text = match words.is_empty() {
        true => format!("No loss above rounding ({noise})."),
        false => format!("Most: {} · rounding {noise}", words.join(", ")),
    };
    weak(ui, &text);
}
