//! The section "Attribution": what the logit of a token of the answer is made of, by block, by head and by patch.
//!
//! What is read leaves as a command, and so does how it is looked at; the picture's heat map shows the patches.

use egui::{RichText, Ui};
use egui_plot::{Bar, BarChart, HLine, Plot};

use super::attention_panel::{send_view, why_nothing};
use super::forms::{color_keys, labelled};
use super::head_grid::HeadGrid;
use super::heat::with_zero;
use super::inside_view::{self, Found, map_text};
use super::shortcuts::Actions;
use super::sweep_curve::marks;
use super::theme::GRID;
use super::{ViewCtx, labels};
use crate::engine::insight::Attribution;
use crate::session::{Command, HeatKind, InsideView};
use crate::spec::{AttributionSpec, HeadMap};

const HEIGHT: f32 = 156.0;

/// The section has no scratch of its own.
#[derive(Default)]
pub struct AttributionPanel;

impl AttributionPanel {
    pub fn ui(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui, _actions: &Actions) {
        let Some(spec) = &ctx.session.readout.attribution else {
            return ask(ctx, ui);
        };
        let mut wanted = spec.clone();
        choose_token(ctx, ui, &mut wanted);
        let mut inside = ctx.session.view.inside.clone();
        ui.add_space(GRID);
        match inside_view::attribution(ctx) {
            Some(found) => show(ctx, ui, &found, &mut inside),
            None => weak(ui, &why_none(ctx)),
        }
        if *spec != wanted {
            ctx.commands.send(Command::ReadAttribution(Some(wanted)));
        }
        send_view(ctx, inside);
        if ui
            .button("Stop attributing")
            .on_hover_text("Runs no longer take logits apart; they take a little less time")
            .clicked()
        {
            ctx.commands.send(Command::ReadAttribution(None));
        }
        ui.add_space(2.0 * GRID);
    }
}

fn weak(ui: &mut Ui, text: &str) {
    ui.add(egui::Label::new(RichText::new(text).small().weak()).wrap());
}

fn ask(ctx: &ViewCtx<'_>, ui: &mut Ui) {
    let text = "What the score of a word of the answer is made of: the part that every block, every head and every patch writes into it directly. The parts sum to the score.";
    weak(ui, text);
    ui.add_space(GRID);
    let button = ui
        .button("Take a logit apart")
        .on_hover_text("Every run then attributes the logit of one token of the answer as well");
    if button.clicked() {
        // The token that sweeps watch is the one of interest.
        let token = ctx.session.view.sweep.token;
        let spec = AttributionSpec { token, maps: false };
        ctx.commands.send(Command::ReadAttribution(Some(spec)));
    }
}

fn why_none(ctx: &ViewCtx<'_>) -> String {
    let missing = ctx.trace.filter(|trace| trace.complete).and_then(|trace| {
        let n = trace.baseline.answer.ids.len();
        trace.insight.why_no_attribution(n).map(|_| n)
    });
    match missing {
        Some(n) => {
            format!("The answer has {n} tokens, and this is not one of them: choose another one.")
        }
        None => why_nothing(ctx),
    }
}

fn choose_token(ctx: &ViewCtx<'_>, ui: &mut Ui, wanted: &mut AttributionSpec) {
    let trace = ctx.trace.or(ctx.previous);
    let name_of = |token: usize| {
        let id = trace.and_then(|trace| trace.baseline.answer.ids.get(token));
        let piece = trace.zip(id).map(|(t, id)| t.model.vocabulary.piece(*id));
        format!("{token} {}", piece.unwrap_or_default())
    };
    labelled(ui, "Token", |ui| {
        let shown = name_of(wanted.token);
        let combo = egui::ComboBox::from_id_salt("attributed token")
            .width(160.0)
            .selected_text(shown.clone())
            .show_ui(ui, |ui| {
                let n = trace.map_or(0, |trace| trace.baseline.answer.ids.len());
                for token in 0..n {
                    let item = ui.selectable_label(token == wanted.token, name_of(token));
                    if item.clicked() {
                        wanted.token = token;
                    }
                }
            });
        let tip = "The token of the clean answer whose logit is taken apart; the tokens before it are given";
        let response = combo.response.on_hover_text(tip);
        response.widget_info(|| {
            let mut info =
                egui::WidgetInfo::labeled(egui::Role::ComboBox, true, "Attributed token");
            info.current_text_value = Some(shown.clone());
            info
        });
    });
}

fn show(ctx: &ViewCtx<'_>, ui: &mut Ui, found: &Found<'_, Attribution>, inside: &mut InsideView) {
    if found.stale {
        ui.multiply_opacity(0.6);
    }
    let made = found.what;
    summary(ui, found);
    bars(ctx, ui, made);
    let heads = made.heads();
    let n_heads = made.n_heads.max(1);
    let chosen = match inside.attribution {
        HeadMap::Head(layer, head) => Some((layer, head)),
        _ => None,
    };
    let grid = HeadGrid {
        name: "Attribution to blocks and heads",
        values: &heads,
        n_layers: made.mlp.len(),
        n_heads,
        range: with_zero(&heads, 0.0),
        unit: "of the logit",
        chosen: Some(chosen),
    };
    let clicked = grid.show(ctx, ui, |unit| {
        let (layer, head) = (unit / n_heads, unit % n_heads);
        let part = labels::number(heads[unit]);
        format!("block {layer} head {head}\n{part} of the logit\nClick for its map on the picture")
    });
    if let Some((layer, head)) = clicked {
        inside.attribution = HeadMap::Head(layer, head);
        ctx.commands.send(Command::SetHeat(HeatKind::Attribution));
    }
    maps(ctx, ui, inside);
}

/// The sum in words, and where attention's part comes from.
fn summary(ui: &mut Ui, found: &Found<'_, Attribution>) {
    let made = found.what;
    let total = |values: &[f32]| labels::number(values.iter().sum());
    let id = found.trace.model.vocabulary.piece(made.id);
    let sum = format!(
        "Logit of {id}: {} = embedding {} + attention {} + MLPs {} + other {}",
        labels::number(made.logit),
        labels::number(made.embedding),
        total(&made.attention),
        total(&made.mlp),
        labels::number(made.other),
    );
    ui.add(egui::Label::new(RichText::new(sum).small()).wrap())
        .on_hover_text(
            "The final norm is linear at its own scale, so the parts add up to the logit. Other: what interventions wrote \
             into the stream at this position, and rounding",
        );
    let tokens = made.tokens();
    let image = found.trace.layout.image.clone();
    let picture = tokens.get(image).unwrap_or_default();
    let of_text = labels::number(tokens.iter().sum::<f32>() - picture.iter().sum::<f32>());
    let from = format!(
        "Attention brings {} from the picture, {of_text} from the text.",
        total(picture)
    );
    weak(ui, &from);
    ui.add_space(GRID);
}

/// Attention and MLP of every block side by side.
fn bars(ctx: &ViewCtx<'_>, ui: &mut Ui, made: &Attribution) {
    let n_layers = made.mlp.len();
    let keys = [("attention", ctx.theme.added), ("MLP", ctx.theme.text_weak)];
    color_keys(ui, &keys, "");
    let chart = |name: &str, values: &[f32], offset: f64, color| {
        let bar = |(layer, value): (usize, &f32)| {
            let text = format!("block {layer} {name}: {}", labels::number(*value));
            Bar::new(layer as f64 + offset, f64::from(*value))
                .width(0.36)
                .name(text)
        };
        let bars = values.iter().enumerate().map(bar).collect();
        BarChart::new(name.to_owned(), bars).color(color)
    };
    let response = Plot::new("attribution of blocks")
        .height(HEIGHT)
        .allow_zoom(false)
        .allow_drag(false)
        .allow_scroll(false)
        .allow_boxed_zoom(false)
        .allow_axis_zoom_drag(false)
        .allow_double_click_reset(false)
        .show_background(false)
        .include_x(-0.5)
        .include_x(n_layers as f64 - 0.5)
        .include_y(0.0)
        .x_axis_label("block")
        .y_axis_label("of the logit")
        .grid_color(ctx.theme.outline)
        .x_grid_spacer(move |_| marks(n_layers))
        .x_axis_formatter(|mark, _| match mark.value.fract() == 0.0 {
            true => format!("{}", mark.value),
            false => String::new(),
        })
        .y_axis_formatter(|mark, _| labels::number(mark.value as f32))
        .show(ui, |plot| {
            let line = HLine::new("", 0.0).color(ctx.theme.text_weak);
            plot.hline(line.allow_hover(false));
            plot.bar_chart(chart("attention", &made.attention, -0.2, ctx.theme.added));
            plot.bar_chart(chart("MLP", &made.mlp, 0.2, ctx.theme.text_weak));
        })
        .response;
    let name = "Attribution to the blocks";
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, name));
    let part = |(layer, (a, m)): (usize, (&f32, &f32))| {
        let (a, m) = (labels::number(*a), labels::number(*m));
        format!("block {layer}: attention {a}, MLP {m}")
    };
    let parts = made.attention.iter().zip(&made.mlp).enumerate().map(part);
    let text = parts.collect::<Vec<_>>().join("; ");
    ui.ctx()
        .accesskit_node_builder(response.id, |node| node.set_value(text));
}

/// What lies over the picture.
fn maps(ctx: &ViewCtx<'_>, ui: &mut Ui, inside: &mut InsideView) {
    labelled(ui, "Picture", |ui| {
        ui.horizontal_wrapped(|ui| {
            let mut choices = vec![HeadMap::All];
            if let HeadMap::Head(layer, head) = inside.attribution {
                choices.extend([HeadMap::Layer(layer), HeadMap::Head(layer, head)]);
            } else if let HeadMap::Layer(layer) = inside.attribution {
                choices.push(HeadMap::Layer(layer));
            }
            let is_shown = ctx.session.view.heat == HeatKind::Attribution;
            for map in choices {
                let label = ui
                    .selectable_label(is_shown && inside.attribution == map, map_text(map))
                    .on_hover_text(
                        "What comes from every patch through these heads straight into the logit",
                    );
                if label.clicked() {
                    inside.attribution = map;
                    ctx.commands.send(Command::SetHeat(HeatKind::Attribution));
                }
            }
        });
    });
}
