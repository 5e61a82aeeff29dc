//! The words in the cells: the top word of every patch, and more of them where the cells are large.
//!
//! Probability is the strength of the text; what is no word is dimmed. Colour and halo follow the ground beneath.

use std::collections::HashMap;
use std::sync::Arc;

use egui::{Color32, FontId, Galley, Painter, Pos2, Rect, Shape, Vec2, vec2};

use super::ground::Ground;
use super::viewport::Placed;
use crate::engine::trace::{LevelReadout, Vocabulary};
use crate::ui::labels;
use crate::ui::theme::over_picture;

/// Below this size words cannot be read, in points.
const MIN_SIZE: f32 = 7.0;
const MAX_SIZE: f32 = 15.0;
/// Stands for a character that no font has.
const UNKNOWN_GLYPH: char = '□';
/// Room on both sides of a word, in points.
const MARGIN: f32 = 1.5;

/// Texts of tokens, as far as the fonts can draw them.
#[derive(Default)]
pub struct Words {
    vocabulary: Option<Arc<Vocabulary>>,
    texts: HashMap<u32, Arc<str>>,
}

/// How a cell of some size is filled.
#[derive(Clone, Copy, Debug, PartialEq)]
struct CellText {
    size: f32,
    /// Lines; with more than one, each has its probability beside it.
    rows: usize,
}

/// One token to be drawn.
struct Entry {
    text: Arc<str>,
    alpha: f32,
    bold: bool,
    is_word: bool,
    prob: f32,
}

impl Words {
    /// Draws the words of all cells in sight. `strength` dims them all.
    pub fn draw(
        &mut self,
        readout: &LevelReadout,
        vocabulary: &Arc<Vocabulary>,
        placed: &Placed,
        ground: &Ground,
        strength: f32,
        painter: &Painter,
    ) {
        let Some(layout) = cell_text(placed.cell_size(), readout.top_k) else {
            return;
        };
        self.keep_for(vocabulary);
        let mut shapes = Vec::new();
        for (index, patch) in placed.grid.patches().enumerate() {
            let cell = placed.cell(patch);
            if !cell.intersects(placed.area) {
                continue;
            }
            let dark_ground = ground.is_dark(index);
            for (row, (id, prob)) in readout.top(index).take(layout.rows).enumerate() {
                let entry = self.entry(id, prob, strength, vocabulary, painter);
                let slot = row_slot(cell, row, layout);
                draw_entry(&entry, slot, layout, dark_ground, painter, &mut shapes);
            }
        }
        painter.extend(shapes);
    }

    /// Forgets the texts of another model.
    fn keep_for(&mut self, vocabulary: &Arc<Vocabulary>) {
        let same = |kept: &Arc<Vocabulary>| Arc::ptr_eq(kept, vocabulary);
        if !self.vocabulary.as_ref().is_some_and(same) {
            self.texts.clear();
            self.vocabulary = Some(vocabulary.clone());
        }
    }

    fn entry(
        &mut self,
        id: u32,
        prob: f32,
        strength: f32,
        vocabulary: &Vocabulary,
        painter: &Painter,
    ) -> Entry {
        let text = self.texts.entry(id).or_insert_with(|| {
            let text = vocabulary.short(id);
            drawable(&text, &FontId::proportional(MIN_SIZE), painter).into()
        });
        let is_word = vocabulary.is_word(id);
        let prob = if prob.is_finite() { prob } else { 0.0 };
        let by_prob = 0.35 + 0.65 * prob.clamp(0.0, 1.0).sqrt();
        let alpha = if is_word { by_prob } else { 0.3 * by_prob };
        Entry {
            text: text.clone(),
            alpha: alpha * strength,
            bold: is_word && prob >= 0.5,
            is_word,
            prob,
        }
    }
}

/// The text with every character that no font has replaced.
pub fn drawable(text: &str, font: &FontId, painter: &Painter) -> String {
    painter.fonts_mut(|fonts| {
        let known = |c: char| {
            if fonts.has_glyph(font, c) {
                c
            } else {
                UNKNOWN_GLYPH
            }
        };
        text.chars().map(known).collect()
    })
}

fn cell_text(cell: Vec2, top_k: usize) -> Option<CellText> {
    let list_size = (cell.x * 0.15).clamp(9.5, 13.0);
    let lines = ((cell.y - 6.0) / (list_size * 1.35)) as usize;
    if cell.x >= 68.0 && lines >= 3 && top_k >= 2 {
        return Some(CellText {
            size: list_size,
            rows: lines.min(top_k),
        });
    }
    let size = cell.min_elem() * 0.32;
    (size >= MIN_SIZE - 1.0).then_some(CellText {
        size: size.clamp(MIN_SIZE, MAX_SIZE),
        rows: 1,
    })
}

/// The part of a cell that belongs to one of its lines.
fn row_slot(cell: Rect, row: usize, layout: CellText) -> Rect {
    if layout.rows == 1 {
        return cell;
    }
    let height = layout.size * 1.35;
    let top = cell.center().y - height * layout.rows as f32 / 2.0;
    let min = egui::pos2(cell.left() + 3.0, top + row as f32 * height);
    Rect::from_min_size(min, vec2(cell.width() - 6.0, height))
}

fn draw_entry(
    entry: &Entry,
    slot: Rect,
    layout: CellText,
    dark_ground: bool,
    painter: &Painter,
    shapes: &mut Vec<Shape>,
) {
    let ink = Ink::new(dark_ground, entry);
    if layout.rows == 1 {
        let galley = fitted(
            &entry.text,
            layout.size,
            slot.width() - 2.0 * MARGIN,
            painter,
        );
        ink.text(slot.center() - galley.size() / 2.0, &galley, shapes);
        return;
    }
    let number = FontId::monospace(layout.size * 0.85);
    let number = line(
        &labels::probability(entry.prob),
        number,
        f32::INFINITY,
        painter,
    );
    let room = slot.width() - number.size().x - 4.0;
    let galley = fitted(&entry.text, layout.size, room, painter);
    let top = |galley: &Galley| slot.center().y - galley.size().y / 2.0;
    ink.text(egui::pos2(slot.left(), top(&galley)), &galley, shapes);
    let right = egui::pos2(slot.right() - number.size().x, top(&number));
    ink.text(right, &number, shapes);
}

/// Colour of a text and of its halo.
struct Ink {
    color: Color32,
    halo: Option<Color32>,
    bold: bool,
}

impl Ink {
    fn new(dark_ground: bool, entry: &Entry) -> Self {
        let (color, halo) = if dark_ground {
            (over_picture::INK_LIGHT, over_picture::INK_DARK)
        } else {
            (over_picture::INK_DARK, over_picture::INK_LIGHT)
        };
        Self {
            color: color.gamma_multiply(entry.alpha),
            halo: entry
                .is_word
                .then(|| halo.gamma_multiply(0.42 * entry.alpha)),
            bold: entry.bold,
        }
    }

    /// The halo first: the same text around the text.
    fn text(&self, pos: Pos2, galley: &Arc<Galley>, shapes: &mut Vec<Shape>) {
        if let Some(halo) = self.halo {
            for offset in [
                vec2(-0.8, 0.0),
                vec2(0.8, 0.0),
                vec2(0.0, -0.8),
                vec2(0.0, 0.8),
            ] {
                shapes.push(Shape::galley(pos + offset, galley.clone(), halo));
            }
        }
        shapes.push(Shape::galley(pos, galley.clone(), self.color));
        if self.bold {
            let offset = vec2(0.4, 0.0);
            shapes.push(Shape::galley(pos + offset, galley.clone(), self.color));
        }
    }
}

/// The text in one line: as large as asked, smaller down to what can be read, and elided where that is not enough.
fn fitted(text: &str, size: f32, width: f32, painter: &Painter) -> Arc<Galley> {
    let whole = line(text, FontId::proportional(size), f32::INFINITY, painter);
    let needed = whole.size().x;
    if needed <= width {
        return whole;
    }
    // Half points keep the number of sizes, and so the font atlas, small.
    let smaller = (size * width / needed * 2.0).floor() / 2.0;
    let font = FontId::proportional(smaller.max(MIN_SIZE));
    line(text, font, width.max(1.0), painter)
}

fn line(text: &str, font: FontId, width: f32, painter: &Painter) -> Arc<Galley> {
    let mut job =
        egui::text::LayoutJob::simple_singleline(text.to_owned(), font, Color32::PLACEHOLDER);
    if width.is_finite() {
        job.wrap = egui::text::TextWrapping::truncate_at_width(width);
    }
    painter.layout_job(job)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_shows_in_larger_cells() {
        assert_eq!(cell_text(vec2(14.0, 14.0), 5), None);
        assert_eq!(cell_text(vec2(27.0, 27.0), 5).unwrap().rows, 1);
        assert!(cell_text(vec2(27.0, 27.0), 5).unwrap().size > 8.0);
        assert!(cell_text(vec2(80.0, 80.0), 5).unwrap().rows >= 3);
        assert_eq!(cell_text(vec2(200.0, 200.0), 5).unwrap().rows, 5);
        assert_eq!(cell_text(vec2(200.0, 200.0), 1).unwrap().rows, 1);
    }
}
