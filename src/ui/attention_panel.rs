//! The section "Attention": where a token looks, head by head, and which head's map lies over the picture.
//!
//! What is read leaves as a command, and so does how it is looked at; the picture's heat map shows the rest.

use egui::{RichText, Ui};

use super::forms::labelled;
use super::head_grid::HeadGrid;
use super::inside_view::{self, Found, map_text, query_text};
use super::shortcuts::Actions;
use super::theme::GRID;
use super::{ViewCtx, labels};
use crate::engine::insight::Attention;
use crate::engine::trace::Trace;
use crate::index::QueryToken;
use crate::session::{Command, HeatKind, InsideView};
use crate::spec::{AttentionSpec, HeadMap};

/// Heads that are named as those that look most.
const N_MOST: usize = 3;

/// The section has no scratch of its own.
#[derive(Default)]
pub struct AttentionPanel;

impl AttentionPanel {
    pub fn ui(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui, _actions: &Actions) {
        let Some(spec) = &ctx.session.readout.attention else {
            return ask(ctx, ui);
        };
        let mut wanted = spec.clone();
        let trace = ctx.trace.or(ctx.previous);
        choose_query(ctx, ui, trace, &mut wanted);
        let mut inside = ctx.session.view.inside.clone();
        choose_target(ctx, ui, &mut inside);
        ui.add_space(GRID);
        match inside_view::attention(ctx) {
            Some(found) => show(ctx, ui, &found, &mut wanted, &mut inside),
            None => weak(ui, &why_none(ctx)),
        }
        if *spec != wanted {
            ctx.commands.send(Command::ReadAttention(Some(wanted)));
        }
        send_view(ctx, inside);
        if ui
            .button("Stop reading attention")
            .on_hover_text("Runs no longer read attention; they take a little less time")
            .clicked()
        {
            ctx.commands.send(Command::ReadAttention(None));
        }
        ui.add_space(2.0 * GRID);
    }
}

fn weak(ui: &mut Ui, text: &str) {
    ui.add(egui::Label::new(RichText::new(text).small().weak()).wrap());
}

/// Nothing was asked for yet.
fn ask(ctx: &ViewCtx<'_>, ui: &mut Ui) {
    let text = "Where a token of the question or the answer looks: how much of every head's attention goes to the picture, and to which patch.";
    weak(ui, text);
    ui.add_space(GRID);
    let button = ui
        .button("Read attention")
        .on_hover_text("Every run then reads the attention of one token as well");
    if button.clicked() {
        let spec = AttentionSpec::default();
        ctx.commands.send(Command::ReadAttention(Some(spec)));
        ctx.commands.send(Command::SetHeat(HeatKind::Attention));
    }
}

fn why_none(ctx: &ViewCtx<'_>) -> String {
    let missing = ctx.trace.filter(|trace| trace.complete).and_then(|trace| {
        let n = trace.baseline.answer.ids.len();
        trace.insight.why_no_attention(&trace.layout, n)
    });
    match missing {
        Some(_) => "This token is not in the prompt or the answer of this run: choose another one."
            .to_owned(),
        None => why_nothing(ctx),
    }
}

pub(super) fn why_nothing(ctx: &ViewCtx<'_>) -> String {
    match (ctx.error, ctx.progress.is_some()) {
        (Some(error), _) => format!("Nothing was read, because the run failed: {error}"),
        (None, true) => "Reading, once the answer is there…".to_owned(),
        (None, false) => "Nothing is read yet: run again.".to_owned(),
    }
}

/// The token that looks.
fn choose_query(ctx: &ViewCtx<'_>, ui: &mut Ui, trace: Option<&Trace>, wanted: &mut AttentionSpec) {
    labelled(ui, "From", |ui| {
        let shown = trace.map_or_else(|| wanted.query.to_string(), |t| query_text(t, wanted.query));
        let name = "Token that looks";
        let combo = egui::ComboBox::from_id_salt(name)
            .width((ui.available_width() - 2.0 * GRID).clamp(120.0, 260.0))
            .selected_text(shown.clone())
            .show_ui(ui, |ui| {
                let Some(trace) = trace else { return };
                for query in queries(ctx, trace) {
                    let text = query_text(trace, query);
                    if ui.selectable_label(query == wanted.query, text).clicked() {
                        wanted.query = query;
                    }
                }
            });
        let response = combo.response.on_hover_text(
            "The token whose attention is read: of the prompt, of the clean answer, or the first selected patch",
        );
        response.widget_info(|| {
            let mut info = egui::WidgetInfo::labeled(egui::Role::ComboBox, true, name);
            info.current_text_value = Some(shown.clone());
            info
        });
    });
}

/// The tokens to choose from: the last one first, the answer's, the text's, a patch.
fn queries(ctx: &ViewCtx<'_>, trace: &Trace) -> Vec<QueryToken> {
    let layout = &trace.layout;
    let mut all = vec![QueryToken::Last];
    let answer = trace.baseline.answer.ids.len();
    all.extend((0..answer).map(QueryToken::Answer));
    all.extend(inside_view::first_patch(&ctx.session.view.selection, trace));
    all.extend((layout.image.end..layout.last()).map(QueryToken::Position));
    all.extend((0..layout.image.start).map(QueryToken::Position));
    all
}

/// What the heads' numbers are about.
fn choose_target(ctx: &ViewCtx<'_>, ui: &mut Ui, inside: &mut InsideView) {
    let has_selection = !ctx.session.view.selection.is_empty();
    labelled(ui, "Into", |ui| {
        ui.horizontal(|ui| {
            for (into_selection, name, tip) in [
                (false, "the picture", "All visual tokens together"),
                (true, "the selection", "The selected patches together"),
            ] {
                let is_chosen = inside.into_selection == into_selection;
                let enabled = !into_selection || has_selection || is_chosen;
                let label = egui::Button::selectable(is_chosen, name);
                let label = ui
                    .add_enabled(enabled, label)
                    .on_hover_text(tip)
                    .on_disabled_hover_text("Select patches first");
                if label
                    .accessible_name(format!("Attention into {name}"))
                    .clicked()
                {
                    inside.into_selection = into_selection;
                }
            }
        });
    });
}

fn show(
    ctx: &ViewCtx<'_>,
    ui: &mut Ui,
    found: &Found<'_, Attention>,
    wanted: &mut AttentionSpec,
    inside: &mut InsideView,
) {
    if found.stale {
        ui.multiply_opacity(0.6);
    }
    let attention = found.what;
    let targets = inside_view::targets(ctx, found.trace);
    let mass = attention.mass(&targets);
    let chosen = match inside.attention {
        HeadMap::Head(layer, head) => Some((layer, head)),
        _ => None,
    };
    let grid = HeadGrid {
        name: "Attention of blocks and heads",
        values: &mass,
        n_layers: attention.n_layers,
        n_heads: attention.n_heads,
        range: (0.0, mass.iter().copied().fold(0.0, f32::max)),
        unit: "share of attention",
        chosen: Some(chosen),
    };
    let n_heads = attention.n_heads.max(1);
    let clicked = grid.show(ctx, ui, |unit| {
        let (layer, head) = (unit / n_heads, unit % n_heads);
        let share = labels::probability(mass[unit]);
        format!(
            "block {layer} head {head}\n{share} of its attention\nClick for its map on the picture"
        )
    });
    if let Some((layer, head)) = clicked {
        inside.attention = HeadMap::Head(layer, head);
        ctx.commands.send(Command::SetHeat(HeatKind::Attention));
    }
    weak(ui, &most(&mass, n_heads));
    ui.add_space(GRID);
    maps(ctx, ui, attention, wanted, inside);
    leave_out(ctx, ui, found.trace, inside);
}

/// The heads that look most, in words.
fn most(mass: &[f32], n_heads: usize) -> String {
    let mut order: Vec<usize> = (0..mass.len()).collect();
    order.sort_by(|a, b| mass[*b].total_cmp(&mass[*a]));
    let name = |unit: &usize| {
        let (layer, head) = (unit / n_heads, unit % n_heads);
        format!(
            "block {layer} head {head} {}",
            labels::probability(mass[*unit])
        )
    };
    let words: Vec<String> = order.iter().take(N_MOST).map(name).collect();
    let mean = mass.iter().sum::<f32>() / mass.len().max(1) as f32;
    format!(
        "Most: {} · mean {}",
        words.join(", "),
        labels::probability(mean)
    )
}

/// Which map lies over the picture.
fn maps(
    ctx: &ViewCtx<'_>,
    ui: &mut Ui,
    attention: &Attention,
    wanted: &mut AttentionSpec,
    inside: &mut InsideView,
) {
    labelled(ui, "Picture", |ui| {
        ui.horizontal_wrapped(|ui| {
            let layer = match inside.attention {
                HeadMap::Head(layer, _) | HeadMap::Layer(layer) => layer,
                _ => attention.n_layers.saturating_sub(1),
            };
            let mut choices = vec![HeadMap::All, HeadMap::Rollout, HeadMap::Layer(layer)];
            if let head @ HeadMap::Head(..) = inside.attention {
                choices.push(head);
            }
            let is_shown = ctx.session.view.heat == HeatKind::Attention;
            for map in choices {
                let label = ui
                    .selectable_label(is_shown && inside.attention == map, map_name(map))
                    .on_hover_text(map_tip(map));
                if label.clicked() {
                    inside.attention = map;
                    wanted.rollout |= map == HeadMap::Rollout;
                    ctx.commands.send(Command::SetHeat(HeatKind::Attention));
                }
            }
        });
    });
}

fn map_name(map: HeadMap) -> String {
    match map {
        HeadMap::All => "mean of heads".to_owned(),
        map => map_text(map),
    }
}

fn map_tip(map: HeadMap) -> &'static str {
    match map {
        HeadMap::All => "The mean over all heads of all blocks",
        HeadMap::Layer(_) => "The mean over the heads of this block",
        HeadMap::Head(..) => "The map of this head alone",
        HeadMap::Rollout => {
            "Attention rollout (Abnar and Zuidema): heads averaged, half of the stream passed on as it is, block upon block"
        }
    }
}

/// Sinks and patches of high norm: marked on the picture, and left out of the scale if wanted.
fn leave_out(ctx: &ViewCtx<'_>, ui: &mut Ui, trace: &Trace, inside: &mut InsideView) {
    let marked = inside_view::marked(ctx, trace);
    let text = format!(
        "Scale without {} sinks and {} high-norm patches",
        marked.sinks.len(),
        marked.high_norm.len()
    );
    ui.checkbox(&mut inside.without_sinks, text).on_hover_text(
        "Sinks (ringed) stand out by two standard deviations for nine in ten tokens of the text; high-norm patches \
         (framed) do so by their norm after the projector. Both often draw attention whatever is in them: without them \
         the colours span the rest",
    );
}

/// Sends the settings where they differ from the session's.
pub(super) fn send_view(ctx: &ViewCtx<'_>, inside: InsideView) {
    if inside != ctx.session.view.inside {
        ctx.commands.send(Command::SetInside(inside));
    }
}
