//! The likeliest first tokens of the answer, before and after, with their difference. It sends nothing.

use egui::{Align2, FontId, Rect, Sense, Ui, pos2, vec2};

use super::labels::probability;
use super::theme::{GRID, Theme};
use super::{ViewCtx, style};
use crate::engine::trace::{TokenScore, Trace};

const ROWS: usize = 5;
const ROW: f32 = 20.0;
/// Width of the column of differences, and of a number beside its bar.
const DELTA: f32 = 52.0;
const NUMBER: f32 = 40.0;

/// A candidate in both runs; `None` where it is not among the ten likeliest.
#[derive(Clone, Debug, PartialEq)]
struct Candidate {
    id: u32,
    before: Option<f32>,
    after: Option<f32>,
}

/// A small table; its place is kept while there is nothing to show.
pub fn ui(ctx: &ViewCtx<'_>, ui: &mut Ui) {
    let trace = [ctx.trace, ctx.previous]
        .into_iter()
        .flatten()
        .find(|t| !t.edited.next_token.is_empty());
    let rows = trace.map_or_else(Vec::new, |t| {
        best(&t.baseline.next_token, &t.edited.next_token)
    });
    let columns = Columns::new(ui.available_width());
    header(ui, ctx.theme, &columns);
    let stale = ctx.progress.is_some() && trace.is_some_and(|t| t.complete);
    ui.scope(|ui| {
        if stale {
            ui.set_opacity(0.55);
        }
        ui.spacing_mut().item_spacing.y = 0.0;
        for at in 0..ROWS {
            let (rect, response) =
                ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::hover());
            if let (Some(row), Some(trace)) = (rows.get(at), trace) {
                draw(ui, ctx.theme, &columns, trace, row, rect);
                response.on_hover_text(explain(trace, row));
            }
        }
    });
}

/// The tokens with the greatest probability in either run.
fn best(before: &[TokenScore], after: &[TokenScore]) -> Vec<Candidate> {
    let prob = |list: &[TokenScore], id| list.iter().find(|s| s.id == id).map(|s| s.prob);
    let mut rows: Vec<Candidate> = Vec::new();
    for score in before.iter().chain(after) {
        if !rows.iter().any(|row| row.id == score.id) {
            let (before, after) = (prob(before, score.id), prob(after, score.id));
            rows.push(Candidate {
                id: score.id,
                before,
                after,
            });
        }
    }
    let weight = |c: &Candidate| c.before.unwrap_or(0.0).max(c.after.unwrap_or(0.0));
    rows.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
    rows.truncate(ROWS);
    rows
}

/// Where the columns start, from the left edge.
struct Columns {
    word: f32,
    before: f32,
    after: f32,
    bar: f32,
    delta: f32,
}

impl Columns {
    fn new(width: f32) -> Self {
        let word = (width * 0.26).floor();
        let pair = ((width - word - DELTA) / 2.0).floor();
        Self {
            word,
            before: word,
            after: word + pair,
            bar: pair - NUMBER - 4.0 * GRID,
            delta: width,
        }
    }
}

fn header(ui: &mut Ui, theme: &Theme, columns: &Columns) {
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::hover());
    let font = FontId::proportional(style::SMALL);
    let y = rect.center().y;
    let text = |x: f32, align, text: &str| {
        ui.painter().text(
            pos2(rect.min.x + x, y),
            align,
            text,
            font.clone(),
            theme.text_weak,
        );
    };
    text(0.0, Align2::LEFT_CENTER, "first token");
    text(columns.before, Align2::LEFT_CENTER, "before");
    text(columns.after, Align2::LEFT_CENTER, "after");
    text(columns.delta, Align2::RIGHT_CENTER, "Δ");
}

fn draw(ui: &Ui, theme: &Theme, columns: &Columns, trace: &Trace, row: &Candidate, rect: Rect) {
    let font = FontId::monospace(style::SMALL);
    let y = rect.center().y;
    let word = trace.model.vocabulary.piece(row.id);
    let clip = Rect::from_min_max(
        rect.min,
        pos2(rect.min.x + columns.word - 2.0 * GRID, rect.max.y),
    );
    ui.painter()
        .with_clip_rect(clip.intersect(ui.clip_rect()))
        .text(
            pos2(rect.min.x, y),
            Align2::LEFT_CENTER,
            word,
            font.clone(),
            theme.text,
        );
    for (x, prob) in [(columns.before, row.before), (columns.after, row.after)] {
        let left = rect.min.x + x;
        let track =
            Rect::from_center_size(pos2(left + columns.bar / 2.0, y), vec2(columns.bar, 6.0));
        ui.painter().rect_filled(track, 1.0, theme.outline);
        let filled = vec2(columns.bar * prob.unwrap_or(0.0).clamp(0.0, 1.0), 6.0);
        ui.painter()
            .rect_filled(Rect::from_min_size(track.min, filled), 1.0, theme.text_weak);
        let text = prob.map_or_else(|| "–".to_owned(), probability);
        let at = pos2(left + columns.bar + 2.0 * GRID, y);
        ui.painter().text(
            at,
            Align2::LEFT_CENTER,
            format!("{text:>5}"),
            font.clone(),
            theme.text,
        );
    }
    let delta = delta_text(row);
    let color = if delta.starts_with('0') || delta == "–" {
        theme.text_weak
    } else {
        theme.text
    };
    ui.painter().text(
        pos2(rect.max.x, y),
        Align2::RIGHT_CENTER,
        delta,
        font,
        color,
    );
}

fn delta_text(row: &Candidate) -> String {
    match (row.before, row.after) {
        (Some(before), Some(after)) if (after - before).abs() < 0.0005 => "0".to_owned(),
        (Some(before), Some(after)) => format!("{:+.3}", after - before).replace('-', "−"),
        _ => "–".to_owned(),
    }
}

fn explain(trace: &Trace, row: &Candidate) -> String {
    let text = |prob: Option<f32>| match prob {
        Some(prob) => probability(prob),
        None => "not among the ten likeliest".to_owned(),
    };
    let word = trace.model.vocabulary.piece(row.id);
    format!(
        "{word} as the first token of the answer\nbefore: {}\nafter: {}",
        text(row.before),
        text(row.after)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(id: u32, prob: f32) -> TokenScore {
        TokenScore {
            id,
            text: String::new(),
            prob,
            logit: 0.0,
        }
    }

    #[test]
    fn a_token_of_one_run_only_has_no_difference() {
        let rows = best(
            &[score(1, 0.9), score(2, 0.05)],
            &[score(3, 0.7), score(1, 0.2)],
        );
        assert_eq!(rows.iter().map(|r| r.id).collect::<Vec<_>>(), [1, 3, 2]);
        assert_eq!(
            rows.iter().map(delta_text).collect::<Vec<_>>(),
            ["−0.700", "–", "–"]
        );
    }
}
