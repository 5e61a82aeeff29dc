//! The picture with the word of every patch, as an image file's pixels: for the command line, without a window.
//!
//! It knows no trace and no tokenizer; it draws the texts that it is given.

use ab_glyph::{Font, FontRef, Glyph, PxScale, ScaleFont, point};
use image::{Rgb, RgbImage};

use crate::engine::trace::SeenPicture;
use crate::index::PatchGrid;

/// Brightness that is left of the picture, so that words stand out.
const DARKENED: f32 = 0.62;
/// Brightness of a grid line against the picture beneath it.
const GRID_LINE: f32 = 0.7;
/// Shares of the cell's height.
const TEXT_SIZE: f32 = 0.27;
const MIN_TEXT_SIZE: f32 = 0.165;
/// Pixels around the text that the dark halo covers.
const HALO: i32 = 2;

/// Draws the picture so that each cell is `cell_px` pixels wide and high, with a word and its probability per patch,
/// row-major. Patches beyond the list, and empty words, stay without one.
pub fn draw(
    picture: &SeenPicture,
    grid: PatchGrid,
    words: &[(String, f32)],
    cell_px: usize,
) -> RgbImage {
    let mut out = background(picture, grid, cell_px);
    draw_words(&mut out, (0, 0), grid, words, cell_px);
    out
}

/// Draws the words alone over a grid whose first cell begins at `origin`.
pub fn draw_words(
    out: &mut RgbImage,
    origin: (usize, usize),
    grid: PatchGrid,
    words: &[(String, f32)],
    cell_px: usize,
) {
    let bytes = epaint_default_fonts::HACK_REGULAR;
    if let Ok(font) = FontRef::try_from_slice(bytes) {
        for (patch, (word, prob)) in grid.patches().zip(words) {
            let left = origin.0 + usize::from(patch.col) * cell_px;
            let top = origin.1 + usize::from(patch.row) * cell_px;
            let alpha = 0.35 + 0.65 * prob.clamp(0.0, 1.0).sqrt();
            draw_word(out, &font, word, (left, top, cell_px), alpha);
        }
    }
}

/// The picture at its new size, darkened, with lines at the first pixel of every cell.
fn background(picture: &SeenPicture, grid: PatchGrid, cell_px: usize) -> RgbImage {
    let (width, height) = ((grid.cols * cell_px) as u32, (grid.rows * cell_px) as u32);
    let side = picture.size as u32;
    let seen = RgbImage::from_raw(side, side, picture.rgb.clone()).unwrap_or_default();
    let mut out = if side == 0 || width == 0 || height == 0 || seen.width() == 0 {
        RgbImage::new(width, height)
    } else {
        image::imageops::resize(&seen, width, height, image::imageops::FilterType::Triangle)
    };
    for (x, y, pixel) in out.enumerate_pixels_mut() {
        let on_line = |at: u32| at > 0 && (at as usize).is_multiple_of(cell_px);
        let line = if on_line(x) || on_line(y) {
            GRID_LINE
        } else {
            1.0
        };
        for channel in &mut pixel.0 {
            *channel = (f32::from(*channel) * DARKENED * line).round() as u8;
        }
    }
    out
}

/// Draws one word in the middle of its cell: the halo first, then white.
fn draw_word(
    out: &mut RgbImage,
    font: &FontRef<'_>,
    word: &str,
    (left, top, cell): (usize, usize, usize),
    alpha: f32,
) {
    let room = cell as f32 - 6.0;
    // The font has no open box; this is the tokenizer's own mark of a space.
    let word = word.replace('␣', "▁");
    let (text, scale) = fit(font, &word, cell as f32, room);
    let scaled = font.as_scaled(scale);
    let width = text_width(font, &text, scale);
    let mut x = left as f32 + (cell as f32 - width) / 2.0;
    let baseline = top as f32 + (cell as f32 + scaled.ascent() + scaled.descent()) / 2.0;
    let mut coverage = Coverage::new(cell);
    for c in text.chars() {
        let id = font.glyph_id(c);
        let at = point(x - left as f32, baseline - top as f32);
        coverage.add(font, id.with_scale_and_position(scale, at));
        x += scaled.h_advance(id);
    }
    coverage.paint(out, (left, top), alpha);
}

/// The word as large as fits; at the smallest size it ends with an ellipsis.
fn fit(font: &FontRef<'_>, word: &str, cell: f32, room: f32) -> (String, PxScale) {
    let full = PxScale::from(cell * TEXT_SIZE);
    let needed = text_width(font, word, full);
    if needed <= room {
        return (word.to_owned(), full);
    }
    let scale = PxScale::from((full.x * room / needed).max(cell * MIN_TEXT_SIZE));
    let mut text = word.to_owned();
    while text_width(font, &text, scale) > room && text.chars().count() > 2 {
        let kept = text.chars().count() - 2;
        text = text.chars().take(kept).collect::<String>() + "…";
    }
    (text, scale)
}

fn text_width(font: &FontRef<'_>, text: &str, scale: PxScale) -> f32 {
    let scaled = font.as_scaled(scale);
    text.chars()
        .map(|c| scaled.h_advance(font.glyph_id(c)))
        .sum()
}

/// How much of every pixel of one cell the text covers.
struct Coverage {
    side: usize,
    values: Vec<f32>,
}

impl Coverage {
    fn new(side: usize) -> Self {
        Self {
            side,
            values: vec![0.0; side * side],
        }
    }

    fn add(&mut self, font: &FontRef<'_>, glyph: Glyph) {
        let Some(outlined) = font.outline_glyph(glyph) else {
            return;
        };
        let bounds = outlined.px_bounds();
        let (left, top) = (bounds.min.x as i32, bounds.min.y as i32);
        outlined.draw(|x, y, c| {
            let (x, y) = (left + x as i32, top + y as i32);
            if let Some(index) = self.index(x, y) {
                self.values[index] = (self.values[index] + c).min(1.0);
            }
        });
    }

    fn index(&self, x: i32, y: i32) -> Option<usize> {
        let inside = |at: i32| (0..self.side as i32).contains(&at);
        (inside(x) && inside(y)).then(|| y as usize * self.side + x as usize)
    }

    /// The largest coverage within the halo's reach.
    fn halo(&self, x: i32, y: i32) -> f32 {
        let near = (-HALO..=HALO).flat_map(|dy| (-HALO..=HALO).map(move |dx| (dx, dy)));
        let covered = |(dx, dy)| self.index(x + dx, y + dy).map_or(0.0, |i| self.values[i]);
        near.map(covered).fold(0.0, f32::max)
    }

    fn paint(&self, out: &mut RgbImage, (left, top): (usize, usize), alpha: f32) {
        if self.values.iter().all(|c| *c == 0.0) {
            return;
        }
        for y in 0..self.side {
            for x in 0..self.side {
                let pixel = out.get_pixel_mut((left + x) as u32, (top + y) as u32);
                let halo = self.halo(x as i32, y as i32) * 0.6 * alpha;
                blend(pixel, 0.0, halo);
                blend(pixel, 255.0, self.values[y * self.side + x] * alpha);
            }
        }
    }
}

fn blend(pixel: &mut Rgb<u8>, to: f32, alpha: f32) {
    for channel in &mut pixel.0 {
        let from = f32::from(*channel);
        *channel = (from + (to - from) * alpha).round().clamp(0.0, 255.0) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> SeenPicture {
        SeenPicture {
            revision: 0,
            name: "test".to_owned(),
            size: 8,
            rgb: vec![128; 8 * 8 * 3],
            original_size: (8, 8),
            seen_in_original: crate::model::preprocess::SeenRect::whole(8, 8),
        }
    }

    fn cell(image: &RgbImage, col: u32) -> Vec<u8> {
        image::imageops::crop_imm(image, col * 40, 0, 40, 40)
            .to_image()
            .into_raw()
    }

    #[test]
    fn a_word_is_drawn_in_its_cell_and_nowhere_else() {
        let grid = PatchGrid::new(1, 3);
        let nothing = draw(&picture(), grid, &[], 40);
        let long = "a very long word indeed".to_owned();
        let words = [("dog".to_owned(), 0.9), (String::new(), 1.0), (long, 0.5)];
        let drawn = draw(&picture(), grid, &words, 40);
        assert_eq!(drawn.dimensions(), (120, 40));
        assert_ne!(cell(&drawn, 0), cell(&nothing, 0));
        assert_eq!(cell(&drawn, 1), cell(&nothing, 1));
        assert_ne!(cell(&drawn, 2), cell(&nothing, 2));
        assert!(cell(&drawn, 0).iter().any(|c| *c > 200));
    }

    #[test]
    fn probability_is_strength() {
        let grid = PatchGrid::new(1, 1);
        let brightest = |p: f32| {
            let image = draw(&picture(), grid, &[("dog".to_owned(), p)], 40);
            image.into_raw().into_iter().max().unwrap()
        };
        assert!(brightest(1.0) > brightest(0.05) + 40);
    }
}
