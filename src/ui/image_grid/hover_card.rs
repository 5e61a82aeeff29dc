//! The card beside the hovered patch: its best words with probabilities, and what else is on screen about it.
//!
//! It lies beside the cell, never over it, and takes no pointer. Its size depends on nothing but what is shown.

use egui::{Align2, Color32, FontId, Id, Order, Painter, Pos2, Rect, Sense, Vec2, pos2, vec2};

use crate::engine::trace::LevelReadout;
use crate::index::Patch;
use crate::session::{HeatKind, WordUnit};
use crate::spec::SweepKind;
use crate::ui::glyphs::drawable;
use crate::ui::theme::{GRID, Theme};
use crate::ui::{ShownLevel, ViewCtx, heat, labels, sweep_view};

const WIDTH: f32 = 236.0;
const LINE: f32 = 19.0;
const PADDING: f32 = 10.0;
/// Distance from the cell.
const GAP: f32 = 10.0;
/// Lines for words.
const N_WORDS: usize = 5;

/// Shows the card for a patch that lies at `cell` on the screen.
pub fn show(
    ctx: &ViewCtx<'_>,
    shown: Option<&ShownLevel<'_>>,
    patch: Patch,
    cell: Rect,
    ui: &egui::Ui,
) {
    let card = Card::new(ctx, shown, patch);
    let size = vec2(WIDTH, 2.0 * PADDING + LINE * card.n_lines() as f32 + GRID);
    let window = ui.ctx().content_rect().shrink(GRID);
    let pos = beside(cell, size, window);
    egui::Area::new(Id::unique("patch card"))
        .order(Order::Tooltip)
        .fixed_pos(pos)
        .constrain(false)
        .interactable(false)
        .fade_in(false)
        .show(ui.ctx(), |ui| card.ui(ctx.theme, size, ui));
}

/// Everything on the card, in words.
struct Card {
    title: String,
    note: &'static str,
    /// `None` where nothing is read yet: the lines stay empty.
    words: Vec<Option<(String, f32)>>,
    /// Name and value.
    extra: Vec<(String, String)>,
}

impl Card {
    fn new(ctx: &ViewCtx<'_>, shown: Option<&ShownLevel<'_>>, patch: Patch) -> Self {
        let trace = ctx.trace.or(ctx.previous);
        let n_layers = trace.map_or(0, |t| t.model.n_layers);
        let level = labels::level_label(ctx.level(), n_layers);
        let index = trace.and_then(|t| t.model.grid.index(patch)).unwrap_or(0);
        let note = match shown {
            Some(shown) if !shown.stale => "",
            _ => "reading…",
        };
        Self {
            title: format!("{patch} · {level}"),
            note,
            words: words(shown, index),
            extra: extra(ctx, shown, index),
        }
    }

    fn n_lines(&self) -> usize {
        1 + N_WORDS + self.extra.len()
    }

    fn ui(&self, theme: &Theme, size: Vec2, ui: &mut egui::Ui) {
        let (rect, _) = ui.allocate_exact_size(size, Sense::hover());
        let painter = ui.painter().clone();
        frame(rect, theme, &painter);
        let mut lines = Lines {
            next: rect.shrink(PADDING),
            painter,
            theme,
        };
        let line = lines.take();
        lines.name(ui, line, &format!("{} {}", self.title, self.note));
        let title = FontId::monospace(12.0);
        lines.text(line, Align2::LEFT_CENTER, &self.title, title, theme.text);
        let small = FontId::proportional(12.0);
        lines.text(
            line,
            Align2::RIGHT_CENTER,
            self.note,
            small,
            theme.text_weak,
        );
        lines.next.min.y += GRID;
        for word in &self.words {
            let line = lines.take();
            if let Some((piece, prob)) = word {
                lines.name(ui, line, &format!("{piece} {}", labels::probability(*prob)));
                lines.word(line, piece, *prob);
            }
        }
        for (name, value) in &self.extra {
            let line = lines.take();
            lines.name(ui, line, &format!("{name} {value}"));
            lines.pair(line, name, value);
        }
    }
}

fn words(shown: Option<&ShownLevel<'_>>, index: usize) -> Vec<Option<(String, f32)>> {
    let mut words: Vec<_> = shown
        .map(|s| {
            let piece = |(id, p)| Some((s.trace.model.vocabulary.piece(id).into_owned(), p));
            s.words.top(index).take(N_WORDS).map(piece).collect()
        })
        .unwrap_or_default();
    words.resize(N_WORDS, None);
    words
}

/// The clean run's word where it differs, and the value of the heat map where the words do not say it.
/// Which lines there are depends on the view alone, so that the card keeps its size from cell to cell.
fn extra(ctx: &ViewCtx<'_>, shown: Option<&ShownLevel<'_>>, index: usize) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    let view = &ctx.session.view;
    if let Some(shown) = shown
        && shown.trace.has_edits
        && !view.show_clean
    {
        lines.push(was(shown, ctx.level(), index));
    }
    if view.heat == HeatKind::Importance {
        if let Some(sweep) = ctx.sweep(SweepKind::Patches) {
            lines.extend(sweep_view::lines(sweep, sweep.unit_of_patch(index)));
        }
    } else if !matches!(view.heat, HeatKind::Off | HeatKind::TopProbability) {
        let value = heat::of_view(ctx)
            .and_then(|h| h.values.get(index).copied())
            .unwrap_or(f32::NAN);
        lines.push(heat_line(ctx, view.heat, value));
    }
    lines
}

fn was(shown: &ShownLevel<'_>, level: usize, index: usize) -> (String, String) {
    let top = |readout: &LevelReadout| readout.top(index).next();
    let clean = shown.trace.baseline.levels.get(level).cloned().flatten();
    match (clean.and_then(|c| top(&c)), top(shown.readout)) {
        (Some((was, p)), Some((is, _))) if was != is => {
            let piece = shown.trace.model.vocabulary.piece(was);
            (format!("was: {piece}"), labels::probability(p))
        }
        (Some((_, p)), Some(_)) => ("same word before".to_owned(), labels::probability(p)),
        _ => ("was:".to_owned(), "–".to_owned()),
    }
}

fn heat_line(ctx: &ViewCtx<'_>, kind: HeatKind, value: f32) -> (String, String) {
    if kind == HeatKind::Word {
        let word = ctx.session.readout.words.first();
        let name = word.map_or_else(|| "no word chosen".to_owned(), |w| format!("“{w}”"));
        let value = match ctx.session.view.reading.unit {
            WordUnit::Probability => labels::probability(value),
            _ => heat::number_text(&ctx.session.view, value),
        };
        return (name, value);
    }
    let unit = match kind {
        HeatKind::Entropy | HeatKind::Divergence => " nats",
        _ => "",
    };
    (
        heat::label(kind).to_owned(),
        format!("{}{unit}", labels::number(value)),
    )
}

/// The lines of a card, from the top.
struct Lines<'a> {
    next: Rect,
    painter: Painter,
    theme: &'a Theme,
}

impl Lines<'_> {
    fn take(&mut self) -> Rect {
        let line = Rect::from_min_size(self.next.min, vec2(self.next.width(), LINE));
        self.next.min.y += LINE;
        line
    }

    /// Tells assistive technology what the line says.
    fn name(&self, ui: &egui::Ui, line: Rect, text: &str) {
        let id = ui.scope_id().with(line.min.y.to_bits());
        let response = ui.interact(line, id, Sense::hover());
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, text));
    }

    fn text(&self, line: Rect, align: Align2, text: &str, font: FontId, color: Color32) {
        let pos = align.pos_in_rect(&line);
        let text = drawable(text, &font, &self.painter);
        self.painter.text(pos, align, text, font, color);
    }

    /// Piece, bar, number.
    fn word(&self, line: Rect, piece: &str, prob: f32) {
        let theme = self.theme;
        let number = FontId::monospace(12.0);
        self.text(
            line,
            Align2::RIGHT_CENTER,
            &labels::probability(prob),
            number,
            theme.text,
        );
        let bar = Rect::from_min_size(
            pos2(line.left() + 108.0, line.center().y - 3.0),
            vec2(line.width() - 108.0 - 42.0, 6.0),
        );
        self.painter
            .rect_filled(bar, 2.0, theme.outline.gamma_multiply(0.6));
        let mut filled = bar;
        filled.set_width(bar.width() * prob.clamp(0.0, 1.0));
        self.painter.rect_filled(filled, 2.0, theme.text_weak);
        let room = line.with_max_x(bar.left() - 6.0);
        let clipped = self.painter.with_clip_rect(room);
        let font = FontId::proportional(13.5);
        let text = drawable(piece, &font, &self.painter);
        let pos = line.left_center();
        clipped.text(pos, Align2::LEFT_CENTER, text, font, theme.text);
    }

    fn pair(&self, line: Rect, name: &str, value: &str) {
        let weak = self.theme.text_weak;
        let font = FontId::proportional(12.0);
        self.text(line, Align2::LEFT_CENTER, name, font, weak);
        let number = FontId::monospace(12.0);
        self.text(line, Align2::RIGHT_CENTER, value, number, self.theme.text);
    }
}

fn frame(rect: Rect, theme: &Theme, painter: &Painter) {
    let shadow = egui::Shadow {
        offset: [0, 3],
        blur: 12,
        spread: 0,
        color: crate::ui::theme::over_picture::INK_DARK.gamma_multiply(0.45),
    };
    painter.add(shadow.as_shape(rect, 6.0));
    painter.rect(
        rect,
        6.0,
        theme.panel,
        egui::Stroke::new(1.0, theme.outline),
        egui::StrokeKind::Inside,
    );
}

/// A place for the card beside the cell: right, left, below or above, wherever it fits into the window.
fn beside(cell: Rect, size: Vec2, window: Rect) -> Pos2 {
    let x = |at: f32| at.min(window.right() - size.x).max(window.left());
    let y = |at: f32| at.min(window.bottom() - size.y).max(window.top());
    let right = pos2(cell.right() + GAP, y(cell.top()));
    let left = pos2(cell.left() - GAP - size.x, y(cell.top()));
    let below = pos2(x(cell.left()), cell.bottom() + GAP);
    let above = pos2(x(cell.left()), cell.top() - GAP - size.y);
    let fits = |pos: &Pos2| window.contains_rect(Rect::from_min_size(*pos, size));
    let places = [right, left, below, above];
    let corner = pos2(window.right() - size.x, window.top());
    places.into_iter().find(fits).unwrap_or(corner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_card_stays_inside_and_off_the_cell() {
        let window = Rect::from_min_size(Pos2::ZERO, vec2(900.0, 600.0));
        let size = vec2(WIDTH, 160.0);
        for row in 0..24 {
            for col in 0..24 {
                let min = pos2(col as f32 * 37.0, row as f32 * 25.0);
                let cell = Rect::from_min_size(min, vec2(37.0, 25.0));
                let card = Rect::from_min_size(beside(cell, size, window), size);
                assert!(window.contains_rect(card), "{cell:?} {card:?}");
                assert!(!card.intersects(cell), "{cell:?} {card:?}");
            }
        }
    }
}
