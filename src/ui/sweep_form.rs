//! How a sweep is set up: over what, which token is watched, and the details of the kind. It sends no command: it gives
//! the settings as they should be.

use egui::Ui;

use super::ViewCtx;
use super::draft::{Draft, Gesture};
use super::forms::{facts, labelled};
use super::knockout_form::token_set;
use super::labels::{level_label, probability};
use crate::engine::sweep::units;
use crate::engine::trace::Trace;
use crate::session::SweepSettings;
use crate::spec::{Replacement, SweepKind};

/// Scratch of the form.
#[derive(Default)]
pub struct SweepForm {
    queries: Draft,
    keys: Draft,
    gesture: Gesture,
}

/// The kind as the switch names it, and what it means.
pub fn kind_words(kind: SweepKind) -> (&'static str, &'static str) {
    match kind {
        SweepKind::Patches => ("Patches", "Ablate every patch, or square of patches, alone"),
        SweepKind::Layers => (
            "Blocks",
            "Knock out attention in every decoder block, or window of blocks, alone",
        ),
        SweepKind::Heads => (
            "Heads",
            "Knock out attention in every head of every block alone",
        ),
    }
}

impl SweepForm {
    /// Draws the form; gives the settings after it.
    pub fn ui(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui) -> SweepSettings {
        let mut settings = ctx.session.view.sweep.clone();
        labelled(ui, "Over", |ui| {
            ui.horizontal(|ui| {
                for kind in SweepKind::ALL {
                    let (name, tip) = kind_words(kind);
                    let chosen = settings.kind == kind;
                    let label = ui
                        .selectable_label(chosen, name)
                        .on_hover_text(format!("Sweep over {}: {tip}", name.to_lowercase()));
                    if label
                        .accessible_name(format!("Sweep over {name}"))
                        .clicked()
                    {
                        settings.kind = kind;
                    }
                }
            });
        });
        labelled(ui, "Watch", |ui| token(ctx, ui, &mut settings));
        match settings.kind {
            SweepKind::Patches => self.patches(ctx, ui, &mut settings),
            SweepKind::Layers | SweepKind::Heads => self.knockout(ctx, ui, &mut settings),
        }
        settings
    }

    fn patches(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui, settings: &mut SweepSettings) {
        labelled(ui, "Replace by", |ui| {
            ui.horizontal(|ui| self.replacement(ctx, ui, settings))
        });
        let facts = facts(ctx);
        labelled(ui, "At level", |ui| {
            ui.horizontal(|ui| {
                let last = facts.n_layers.saturating_sub(1);
                let level = Number {
                    name: "Sweep level",
                    tip: "The level whose rows are replaced: 0 is what enters the decoder, n is after n blocks",
                    range: 0..=last,
                };
                self.number(ctx, ui, &level, &mut settings.level);
                let words = level_label(settings.level, facts.n_layers.max(settings.level + 1));
                ui.label(egui::RichText::new(words).small().weak());
                ui.label(egui::RichText::new("Squares").small());
                let side = facts.grid.map_or(1, |grid| grid.rows.max(grid.cols));
                let block = Number {
                    name: "Side of the squares",
                    tip: "Patches that are ablated together lie in squares of this side, edge to edge; larger squares are fewer runs",
                    range: 1..=side,
                };
                self.number(ctx, ui, &block, &mut settings.block);
                runs(ctx, ui, settings);
            });
        });
    }

    fn replacement(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui, settings: &mut SweepSettings) {
        let text = |with: &Replacement| match with {
            Replacement::Mean => "mean of this picture's patches",
            Replacement::Zero => "zero",
            Replacement::Noise(_) => "noise like this picture's patches",
            _ => "as the session file says",
        };
        let is_noise = matches!(settings.with, Replacement::Noise(_));
        let room = if is_noise { 96.0 } else { 0.0 };
        let combo = egui::ComboBox::from_id_salt("replacement of the sweep")
            .selected_text(text(&settings.with))
            .width(ui.available_width() - room)
            .show_ui(ui, |ui| {
                for with in [Replacement::Mean, Replacement::Zero, Replacement::Noise(0)] {
                    let chosen = text(&with) == text(&settings.with);
                    if ui.selectable_label(chosen, text(&with)).clicked() && !chosen {
                        settings.with = with;
                    }
                }
            });
        combo
            .response
            .accessible_name("Replacement in the sweep")
            .on_hover_text("What stands in the place of the patch that is taken away");
        if let Replacement::Noise(seed) = &mut settings.with {
            let value = egui::DragValue::new(seed)
                .prefix("seed ")
                .update_while_editing(false);
            let response = ui
                .add(value)
                .accessible_name("Noise seed of the sweep")
                .on_hover_text("The same seed gives the same noise");
            let _gesture = self.gesture.of(&response, ctx.commands);
        }
    }

    fn knockout(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui, settings: &mut SweepSettings) {
        labelled(ui, "Queries", |ui| {
            let (draft, set) = (&mut self.queries, &settings.queries);
            if let Some(queries) = token_set(ctx, ui, draft, "Queries of the sweep", set) {
                settings.queries = queries;
            }
        });
        labelled(ui, "Keys", |ui| {
            let (draft, set) = (&mut self.keys, &settings.keys);
            if let Some(keys) = token_set(ctx, ui, draft, "Keys of the sweep", set) {
                settings.keys = keys;
            }
        });
        if settings.kind == SweepKind::Heads {
            return labelled(ui, "", |ui| runs(ctx, ui, settings));
        }
        labelled(ui, "Window", |ui| {
            ui.horizontal(|ui| {
                let window = Number {
                    name: "Blocks of a window",
                    tip: "Attention is knocked out in this many blocks in a row at once; 1 for single blocks",
                    range: 1..=facts(ctx).n_layers.max(1),
                };
                self.number(ctx, ui, &window, &mut settings.window);
                runs(ctx, ui, settings);
            });
        });
    }

    fn number(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui, number: &Number, value: &mut usize) {
        let drag = egui::DragValue::new(value)
            .range(number.range.clone())
            .clamp_existing_to_range(false)
            .speed(0.05)
            .update_while_editing(false);
        let response = ui
            .add_enabled(facts(ctx).n_layers > 0, drag)
            .accessible_name(number.name)
            .on_hover_text(number.tip);
        let _gesture = self.gesture.of(&response, ctx.commands);
    }
}

/// A number that can be dragged or typed.
struct Number {
    name: &'static str,
    tip: &'static str,
    range: std::ops::RangeInclusive<usize>,
}

/// How many runs the settings ask for.
fn runs(ctx: &ViewCtx<'_>, ui: &mut Ui, settings: &SweepSettings) {
    let model = ctx.trace.or(ctx.previous).map(|trace| &trace.model);
    let text = match model.map(|model| units(&settings.spec().over, model)) {
        Some(Ok(units)) => format!("{} runs", units.len()),
        Some(Err(error)) => error.to_string(),
        None => String::new(),
    };
    let text = egui::RichText::new(text).small().weak();
    ui.add(egui::Label::new(text).wrap());
}

/// A menu of the clean answer's tokens.
fn token(ctx: &ViewCtx<'_>, ui: &mut Ui, settings: &mut SweepSettings) {
    let trace = ctx.trace.or(ctx.previous);
    let n = trace.map_or(0, |trace| trace.baseline.answer.ids.len());
    let shown = match trace {
        Some(trace) if settings.token < n => token_text(trace, settings.token),
        _ => format!("token {}", settings.token),
    };
    let combo = egui::ComboBox::from_id_salt("watched token")
        .selected_text(shown)
        .width(ui.available_width())
        .show_ui(ui, |ui| {
            for at in 0..n {
                let text = trace.map_or_else(String::new, |trace| token_text(trace, at));
                if ui.selectable_label(at == settings.token, text).clicked() {
                    settings.token = at;
                }
            }
        });
    combo
        .response
        .accessible_name("Watched token")
        .on_hover_text("The token of the answer before whose probability is watched; click it in the answer, or choose it here. The answer up to it is given");
}

fn token_text(trace: &Trace, at: usize) -> String {
    let answer = &trace.baseline.answer;
    let piece = answer
        .ids
        .get(at)
        .map(|id| trace.model.vocabulary.piece(*id));
    let prob = answer.probs.get(at).copied().unwrap_or(f32::NAN);
    format!(
        "{at} · {} · {}",
        piece.unwrap_or_default(),
        probability(prob)
    )
}
