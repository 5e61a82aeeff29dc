//! The panel "Word search": a word, its tokens, its curve over the levels, where it is strongest.
//!
//! Typing a word reads one product of rows that are kept; nothing is run. The numbers are those of the trace.

use egui::{RichText, Ui};

use super::draft::{Draft, Field};
use super::forms::labelled;
use super::heat::{is_better, number_text, word_values};
use super::theme::GRID;
use super::word_curve::{self, Curve};
use super::{ViewCtx, link};
use crate::engine::trace::{RunReadout, Trace};
use crate::index::PatchGrid;
use crate::labels;
use crate::session::{Command, HeatKind, ReadingView, ViewState, WordUnit};

/// What is being typed.
#[derive(Default)]
pub struct WordPanel {
    word: Draft,
}

/// Where the word is strongest in a run.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Best {
    value: f32,
    level: usize,
    patch: usize,
}

impl WordPanel {
    pub fn ui(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui) {
        self.field(ctx, ui);
        let reading = &ctx.session.view.reading;
        let Some(word) = ctx.session.readout.words.first() else {
            return weak(
                ui,
                "Type a word to see where and at which level the patches say it",
            );
        };
        let trace = ctx
            .trace
            .into_iter()
            .chain(ctx.previous)
            .find(|trace| trace.words.first().is_some_and(|w| w.word == *word));
        tokens(ctx, ui, trace);
        unit(ctx, ui);
        let Some(trace) = trace else {
            return weak(
                ui,
                super::why_empty(ctx, "The word is read with the next run"),
            );
        };
        ui.add_space(GRID);
        let unit = reading.unit;
        let selected = selected(ctx, trace.model.grid);
        let shown = if ctx.session.view.show_clean {
            &trace.baseline
        } else {
            &trace.edited
        };
        let mut curves = vec![Curve::new("", shown, &selected, unit)];
        if trace.has_edits && !ctx.session.view.show_clean {
            curves = vec![
                Curve::new("edited", &trace.edited, &selected, unit),
                Curve::new("clean", &trace.baseline, &selected, unit),
            ];
        }
        let n_selected = if ctx.session.view.selection.is_empty() {
            format!("all {} patches", selected.len())
        } else {
            format!("{} selected patches", selected.len())
        };
        weak(
            ui,
            &format!("Mean and best over {n_selected}, level by level"),
        );
        word_curve::ui(ctx, ui, trace, &curves);
        if trace.has_edits {
            strongest(ctx, ui, "Clean run", trace, &trace.baseline);
            strongest(ctx, ui, "Edited run", trace, &trace.edited);
        } else {
            strongest(ctx, ui, "Confidence", trace, &trace.baseline);
        }
    }

    fn field(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui) {
        ui.horizontal(|ui| {
            let field = Field {
                name: "Search word",
                hint: "e.g. dog",
                tooltip: "The word that is looked for in every patch at every level (Enter reads it; no run is needed)",
                width: (ui.available_width() - 136.0).clamp(96.0, 240.0),
                monospace: false,
            };
            let words = &ctx.session.readout.words;
            let current = words.first().map_or("", String::as_str);
            let typed = ui
                .vertical(|ui| self.word.show(ui, current, &field, |t| Ok(t.to_owned())))
                .inner;
            if let Some(word) = typed {
                ctx.commands.send(Command::SetWord(word));
            }
            let is_shown = ctx.session.view.heat == HeatKind::Word;
            let button = egui::Button::new("Show as heat map");
            let response = ui
                .add_enabled(!is_shown, button)
                .on_hover_text("Lay the word over the picture; the panel Selection then selects by it")
                .on_disabled_hover_text("The heat map shows the word");
            if response.clicked() {
                ctx.commands.send(Command::SetHeat(HeatKind::Word));
            }
        });
    }
}

/// The tokens of the word; one of them is read.
fn tokens(ctx: &ViewCtx<'_>, ui: &mut Ui, trace: Option<&Trace>) {
    let found = trace.and_then(|trace| Some((trace, trace.words.first()?)));
    labelled(ui, "Token", |ui| {
        ui.horizontal_wrapped(|ui| {
            let Some((trace, word)) = found else {
                let goes_on = ctx.progress.is_some();
                let text = if goes_on {
                    "reading…"
                } else {
                    "not read yet"
                };
                ui.label(RichText::new(text).weak());
                return;
            };
            let chosen = ctx
                .session
                .readout
                .word_tokens
                .first()
                .copied()
                .unwrap_or(0);
            for (at, id) in word.ids.iter().enumerate() {
                let piece = trace.model.vocabulary.piece(*id);
                let item = ui.selectable_label(at == chosen, &*piece).on_hover_text(
                    "The token of the word that is read; a lens gives one token at a time",
                );
                if item.clicked() && at != chosen {
                    ctx.commands.send(Command::SetWordToken(at));
                }
            }
        });
    });
}

/// Which number stands for the word.
fn unit(ctx: &ViewCtx<'_>, ui: &mut Ui) {
    let before = &ctx.session.view.reading;
    let mut reading: ReadingView = before.clone();
    labelled(ui, "Shown as", |ui| {
        ui.horizontal_wrapped(|ui| {
            for (unit, name, tip) in [
                (WordUnit::Probability, "Probability", "Share of the lens' softmax"),
                (
                    WordUnit::LogProbability,
                    "Log-probability",
                    "Natural logarithm of the probability, in nats",
                ),
                (
                    WordUnit::Rank,
                    "Rank",
                    "How many words are likelier, plus one; reads every level once more",
                ),
            ] {
                let item = ui.selectable_label(reading.unit == unit, name);
                if item.on_hover_text(tip).clicked() {
                    reading.unit = unit;
                }
            }
            ui.checkbox(&mut reading.over_levels, "Best level")
                .on_hover_text("The heat map of the word shows every patch's best level instead of the level on screen");
        });
    });
    if reading != *before {
        ctx.commands.send(Command::SetReading(reading));
    }
}

/// Indices of the selected patches; of all where none is selected.
fn selected(ctx: &ViewCtx<'_>, grid: PatchGrid) -> Vec<usize> {
    let selection = &ctx.session.view.selection;
    match selection.indices(grid) {
        Ok(found) if !found.is_empty() => found,
        _ => (0..grid.len()).collect(),
    }
}

/// The best value over all levels and patches: the confidence of Jiang et al. (2410.02762) where it is a probability.
fn best(run: &RunReadout, unit: WordUnit) -> Option<Best> {
    let mut best: Option<Best> = None;
    for (level, readout) in run.levels.iter().enumerate() {
        let values = readout.as_ref().map(|r| word_values(r, unit));
        for (patch, value) in values.unwrap_or_default().into_iter().enumerate() {
            if best.is_none_or(|best| is_better(value, best.value, unit)) {
                best = Some(Best {
                    value,
                    level,
                    patch,
                });
            }
        }
    }
    best
}

/// A line that says where the word is strongest, and goes there.
fn strongest(ctx: &ViewCtx<'_>, ui: &mut Ui, name: &str, trace: &Trace, run: &RunReadout) {
    let unit = ctx.session.view.reading.unit;
    let Some(best) = best(run, unit) else {
        return weak(ui, &format!("{name}: reading…"));
    };
    let patch = trace.model.grid.patch(best.patch);
    let level = labels::level_label(best.level, trace.model.n_layers);
    let as_word = ViewState {
        heat: HeatKind::Word,
        reading: ctx.session.view.reading.clone(),
        ..ViewState::default()
    };
    let value = number_text(&as_word, best.value);
    let text = format!("{name}: {value} at {patch}, {level}");
    let response = ui
        .link(RichText::new(text).small())
        .on_hover_text("The strongest of all levels and patches; click goes there");
    if response.clicked() {
        ctx.commands.send(Command::SetLevel(best.level));
        link::reveal(ui.ctx(), best.patch);
    }
}

fn weak(ui: &mut Ui, text: &str) {
    ui.add(egui::Label::new(RichText::new(text).small().weak()).wrap());
}
