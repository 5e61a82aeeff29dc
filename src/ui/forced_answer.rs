//! The answer before, given to the edited run word by word: how likely each of its words still is, and whether it flips.
//!
//! It reads the comparison of a trace and sends nothing.

use egui::{Color32, FontId, Rect, RichText, Sense, Stroke, Ui, pos2, vec2};

use super::inside_view::{self, Found};
use super::theme::GRID;
use super::{ViewCtx, labels, style};
use crate::engine::insight::Comparison;

/// Height of a column of bars, of the words below, and the least width of a column.
const BAR: f32 = 40.0;
const WORD: f32 = 16.0;
const LEAST: f32 = 24.0;

/// Where anything is switched on; without interventions there is nothing to compare.
pub fn ui(ctx: &ViewCtx<'_>, ui: &mut Ui) {
    if ctx.session.experiment.active().next().is_none()
        || ctx.session.experiment.decode.max_new_tokens == 0
    {
        return;
    }
    ui.add_space(GRID);
    let found = inside_view::comparison(ctx);
    let state = found
        .as_ref()
        .map_or_else(|| waiting(ctx), |f| verdict(f.what));
    ui.horizontal_wrapped(|ui| {
        ui.label(RichText::new("before, under the edit").small().strong());
        ui.label(RichText::new(state).small().color(ctx.theme.text_weak))
            .on_hover_text(
                "KL: how far the distribution of the first answer token moves, in nats (clean from edited); 0 for no change",
            );
    });
    let n = found
        .as_ref()
        .map_or(0, |found| found.what.forced.ids.len());
    let (places, rows) = places(ui, found.as_ref());
    let size = vec2(ui.available_width(), rows as f32 * (BAR + WORD + GRID));
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    let name = "Answer before, under the edit";
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, name));
    let Some(found) = found else { return };
    if found.stale {
        ui.multiply_opacity(0.6);
    }
    let text = (0..n).map(|at| line(&found, at)).collect::<Vec<_>>();
    ui.ctx()
        .accesskit_node_builder(response.id, |node| node.set_value(text.join("; ")));
    for (at, place) in places.into_iter().enumerate() {
        let place = place.translate(rect.min.to_vec2());
        column_of(ctx, ui, &found, at, place);
        let id = response.id.with(at);
        ui.interact(place, id, Sense::hover())
            .on_hover_text(line(&found, at));
    }
}

/// Where the columns lie, each as wide as its word, and the number of rows.
fn places(ui: &Ui, found: Option<&Found<'_, Comparison>>) -> (Vec<Rect>, usize) {
    let (mut places, mut x, mut row) = (Vec::new(), 0.0, 0);
    let Some(found) = found else {
        return (places, 1);
    };
    let (painter, width) = (ui.painter(), ui.available_width());
    for id in &found.what.forced.ids {
        let font = FontId::proportional(style::SMALL);
        let word = found.trace.model.vocabulary.short(*id).into_owned();
        let word = super::glyphs::drawable(&word, &font, painter);
        let galley = painter.layout_no_wrap(word, font, Color32::PLACEHOLDER);
        let w = (galley.size().x + 1.0).clamp(LEAST, width.max(LEAST));
        if x > 0.0 && x + w > width {
            (x, row) = (0.0, row + 1);
        }
        let min = pos2(x, row as f32 * (BAR + WORD + GRID));
        places.push(Rect::from_min_size(min, vec2(w, BAR + WORD)));
        x += w + 2.0 * GRID;
    }
    (places, row + 1)
}

fn waiting(ctx: &ViewCtx<'_>) -> String {
    match (ctx.error, ctx.progress.is_some()) {
        (Some(_), _) => "the run failed".to_owned(),
        (None, true) => "waiting for the answers".to_owned(),
        (None, false) => "no run yet".to_owned(),
    }
}

/// `flipped · KL .271 nats`
fn verdict(comparison: &Comparison) -> String {
    let flipped = match comparison.flipped {
        true => "flipped",
        false => "not flipped",
    };
    let kl = labels::number(comparison.next_token_kl);
    format!("{flipped} · KL of the first token {kl} nats")
}

/// One token in words.
fn line(found: &Found<'_, Comparison>, at: usize) -> String {
    let forced = &found.what.forced;
    let vocabulary = &found.trace.model.vocabulary;
    let before = found.trace.baseline.answer.probs.get(at).copied();
    let mut text = format!(
        "{}: {} → {}",
        vocabulary.piece(forced.ids[at]),
        labels::probability(before.unwrap_or(f32::NAN)),
        labels::probability(forced.probs[at])
    );
    if forced.best_ids[at] != forced.ids[at] {
        let best = vocabulary.piece(forced.best_ids[at]);
        let prob = labels::probability(forced.best_probs[at]);
        text.push_str(&format!(", the edited run would say {best} {prob}"));
    }
    text
}

/// Two bars, before and under the edit, and the word.
fn column_of(ctx: &ViewCtx<'_>, ui: &Ui, found: &Found<'_, Comparison>, at: usize, place: Rect) {
    let (forced, theme, painter) = (&found.what.forced, ctx.theme, ui.painter());
    let flips = forced.best_ids[at] != forced.ids[at];
    let before = found.trace.baseline.answer.probs.get(at).copied();
    let base = place.top() + BAR;
    let middle = place.left() + ((place.width() - GRID) / 2.0).min(12.0);
    let bar = |x: f32, prob: f32, color: Color32| {
        let height = (BAR - 2.0) * prob.clamp(0.0, 1.0);
        let bar = Rect::from_min_max(pos2(x, base - height), pos2(x + 10.0, base));
        painter.rect_filled(bar, 1.0, color);
    };
    bar(
        middle - 11.0,
        before.unwrap_or(0.0),
        theme.outline.lerp_to_gamma(theme.text_weak, 0.5),
    );
    let color = if flips { theme.removed } else { theme.text };
    bar(middle, forced.probs[at], color);
    let line = Stroke::new(1.0, theme.outline);
    painter.hline(place.left()..=place.right(), base, line);
    let font = FontId::proportional(style::SMALL);
    let word = found
        .trace
        .model
        .vocabulary
        .short(forced.ids[at])
        .into_owned();
    let word = super::glyphs::drawable(&word, &font, painter);
    let clip = painter.with_clip_rect(place.expand2(vec2(1.0, 2.0)));
    let ink = if flips {
        theme.removed
    } else {
        theme.text_weak
    };
    let galley = clip.layout_no_wrap(word, font, ink);
    let corner = pos2(place.left(), base + 1.0);
    if flips {
        let y = corner.y + galley.size().y / 2.0 + 1.0;
        let end = (corner.x + galley.size().x).min(place.right());
        clip.hline(corner.x..=end, y, Stroke::new(1.0, ink));
    }
    clip.galley(corner, galley, ink);
}
