//! The words in the cells: the top word of every patch, and more of them where the cells are large.
//!
//! Probability is the strength of the text; what is no word is dimmed. Colour and halo follow the ground beneath.

use std::collections::HashMap;
use std::sync::Arc;

use egui::text::LayoutJob;
use egui::{Color32, FontId, Galley, Painter, Pos2, Rect, Shape, Vec2, vec2};

use super::ground::Ground;
use super::viewport::Placed;
use crate::engine::trace::{LevelReadout, Vocabulary};
use crate::ui::glyphs::drawable;
use crate::ui::greyed::Greyed;
use crate::ui::labels;
use crate::ui::theme::over_picture;

/// Below this size words cannot be read, in points.
const MIN_SIZE: f32 = 7.0;
const MAX_SIZE: f32 = 15.0;
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
    #[expect(
        clippy::too_many_arguments,
        reason = "what is drawn, where, and on what ground"
    )]
    /// Draws the words of all cells in sight. `strength` dims them all.
    pub fn draw(
        &mut self,
        readout: &LevelReadout,
        greyed: &Greyed,
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
            if layout.rows > 1 {
                shapes.push(list_plate(cell, layout, dark_ground));
            }
            for (row, (id, prob)) in readout.top(index).take(layout.rows).enumerate() {
                let dim = if greyed.is(id, vocabulary) { 0.3 } else { 1.0 };
                let entry = self.entry(id, prob, strength * dim, vocabulary, painter);
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
        Entry {
            text: text.clone(),
            alpha: by_prob * strength,
            bold: is_word && prob >= 0.5,
            is_word,
            prob,
        }
    }
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

/// What sets a list of words off from the picture.
fn list_plate(cell: Rect, layout: CellText, dark_ground: bool) -> Shape {
    let first = row_slot(cell, 0, layout);
    let rect = first.union(row_slot(cell, layout.rows - 1, layout));
    let color = if dark_ground {
        over_picture::INK_DARK
    } else {
        over_picture::INK_LIGHT
    };
    Shape::rect_filled(
        rect.expand2(vec2(4.0, 2.0)),
        4.0,
        color.gamma_multiply(0.22),
    )
}

/// The part of a cell that belongs to one of its lines.
fn row_slot(cell: Rect, row: usize, layout: CellText) -> Rect {
    if layout.rows == 1 {
        return cell;
    }
    let height = layout.size * 1.35;
    let top = cell.center().y - height * layout.rows as f32 / 2.0;
    let min = egui::pos2(cell.left() + 6.0, top + row as f32 * height);
    Rect::from_min_size(min, vec2(cell.width() - 12.0, height))
}

fn draw_entry(
    entry: &Entry,
    slot: Rect,
    layout: CellText,
    dark_ground: bool,
    painter: &Painter,
    shapes: &mut Vec<Shape>,
) {
    let with_plate = layout.rows == 1 && entry.is_word;
    let ink = Ink::new(dark_ground, entry, with_plate);
    if layout.rows == 1 {
        let room = slot.size() - Vec2::splat(2.0 * MARGIN);
        let galley = fitted(entry, layout.size, room, painter);
        let pos = slot.center() - galley.rect.center().to_vec2();
        ink.text(pos, &galley, shapes);
        return;
    }
    let number = FontId::monospace(layout.size * 0.85);
    let number = line(&labels::probability(entry.prob), number, painter);
    let room = vec2(slot.width() - number.size().x - 4.0, slot.height());
    let galley = fitted(entry, layout.size, room, painter);
    let top = |galley: &Galley| slot.center().y - galley.size().y / 2.0;
    ink.text(egui::pos2(slot.left(), top(&galley)), &galley, shapes);
    let right = egui::pos2(slot.right() - number.size().x, top(&number));
    // Digits thickened in the same way could be misread.
    let ink = Ink { bold: false, ..ink };
    ink.text(right, &number, shapes);
}

/// Colour of a text, and of what sets it off from the ground.
struct Ink {
    color: Color32,
    plate: Option<Color32>,
    bold: bool,
}

impl Ink {
    fn new(dark_ground: bool, entry: &Entry, with_plate: bool) -> Self {
        let (color, plate) = if dark_ground {
            (over_picture::INK_LIGHT, over_picture::INK_DARK)
        } else {
            (over_picture::INK_DARK, over_picture::INK_LIGHT)
        };
        let plate_alpha = 0.06 + 0.2 * entry.alpha;
        Self {
            color: color.gamma_multiply(entry.alpha),
            plate: with_plate.then(|| plate.gamma_multiply(plate_alpha)),
            bold: entry.bold,
        }
    }

    /// A soft plate first: a halo would fill the counters of such small letters.
    fn text(&self, pos: Pos2, galley: &Arc<Galley>, shapes: &mut Vec<Shape>) {
        if let Some(plate) = self.plate {
            let rect = galley.rect.translate(pos.to_vec2());
            let rect = rect.expand2(vec2(1.5, -0.5));
            shapes.push(Shape::rect_filled(rect, 2.0, plate));
        }
        shapes.push(Shape::galley(pos, galley.clone(), self.color));
        if self.bold {
            let offset = vec2(0.4, 0.0);
            shapes.push(Shape::galley(pos + offset, galley.clone(), self.color));
        }
    }
}

/// The text as large as asked, else smaller, else broken into two lines, else elided.
fn fitted(entry: &Entry, size: f32, room: Vec2, painter: &Painter) -> Arc<Galley> {
    let text = &*entry.text;
    let whole = line(text, FontId::proportional(size), painter);
    let needed = whole.size().x;
    if needed <= room.x {
        return whole;
    }
    // Half points keep the number of sizes, and so the font atlas, small.
    let smaller = (size * room.x / needed * 2.0).floor() / 2.0;
    if smaller >= MIN_SIZE {
        return line(text, FontId::proportional(smaller), painter);
    }
    if entry.is_word {
        let broken = broken(text, painter);
        if broken.size().x <= room.x && broken.size().y <= room.y {
            return broken;
        }
    }
    let font = FontId::proportional(MIN_SIZE);
    let mut job = LayoutJob::simple_singleline(text.to_owned(), font, Color32::PLACEHOLDER);
    job.wrap = egui::text::TextWrapping::truncate_at_width(room.x.max(1.0));
    painter.layout_job(job)
}

/// The text in two lines of the smallest size, centred, with a hyphen.
fn broken(text: &str, painter: &Painter) -> Arc<Galley> {
    let half = text.chars().count().div_ceil(2);
    let first: String = text.chars().take(half).collect();
    let second: String = text.chars().skip(half).collect();
    let font = FontId::proportional(MIN_SIZE);
    let text = format!("{first}-\n{second}");
    let mut job = LayoutJob::simple(text, font, Color32::PLACEHOLDER, f32::INFINITY);
    job.halign = egui::Align::Center;
    painter.layout_job(job)
}

fn line(text: &str, font: FontId, painter: &Painter) -> Arc<Galley> {
    let color = Color32::PLACEHOLDER;
    painter.layout_job(LayoutJob::simple_singleline(text.to_owned(), font, color))
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
