//! Pixels to draw an export on: rectangles and lines of text, no layout of its own.

use ab_glyph::{Font, FontRef, GlyphId, PxScale, ScaleFont, point};
use image::{Rgb, RgbImage};

/// A picture that is being drawn.
pub struct Canvas {
    pub image: RgbImage,
    fonts: Vec<FontRef<'static>>,
}

/// The second has what the first lacks, arrows for example.
const FONTS: [&[u8]; 2] = [
    epaint_default_fonts::UBUNTU_LIGHT,
    epaint_default_fonts::HACK_REGULAR,
];

/// Left, top, width and height in pixels.
pub type Area = (usize, usize, usize, usize);

impl Canvas {
    pub fn new(width: usize, height: usize, ground: [u8; 3]) -> Self {
        Self {
            image: RgbImage::from_pixel(width as u32, height as u32, Rgb(ground)),
            fonts: FONTS
                .iter()
                .filter_map(|bytes| FontRef::try_from_slice(bytes).ok())
                .collect(),
        }
    }

    /// Fills what of the rectangle lies inside; `alpha` 0..=1.
    pub fn fill(&mut self, (left, top, width, height): Area, color: [u8; 3], alpha: f32) {
        for y in top..top + height {
            for x in left..left + width {
                self.blend(x, y, color, alpha);
            }
        }
    }

    /// Mixes a colour into one pixel; outside, nothing happens.
    pub fn blend(&mut self, x: usize, y: usize, color: [u8; 3], alpha: f32) {
        if let Some(pixel) = self.image.get_pixel_mut_checked(x as u32, y as u32) {
            for (channel, to) in pixel.0.iter_mut().zip(color) {
                let from = f32::from(*channel);
                *channel = (from + (f32::from(to) - from) * alpha).round() as u8;
            }
        }
    }

    /// The font that has a character, and its glyph there.
    fn glyph(&self, c: char) -> Option<(&FontRef<'static>, GlyphId)> {
        let c = visible(c);
        let has = |font: &&FontRef<'static>| font.glyph_id(c).0 != 0;
        let font = self.fonts.iter().find(has).or(self.fonts.first())?;
        Some((font, font.glyph_id(c)))
    }

    /// Width of a line of text of this height, in pixels.
    pub fn text_width(&self, text: &str, size: f32) -> f32 {
        let glyphs = text.chars().filter_map(|c| self.glyph(c));
        let advance = |(font, id): (&FontRef<'static>, GlyphId)| {
            font.as_scaled(PxScale::from(size)).h_advance(id)
        };
        glyphs.map(advance).sum()
    }

    /// One line of text, its box beginning at `(left, top)`.
    pub fn text(&mut self, (left, top): (usize, usize), text: &str, size: f32, color: [u8; 3]) {
        let scale = PxScale::from(size);
        let Some(ascent) = self.fonts.first().map(|f| f.as_scaled(scale).ascent()) else {
            return;
        };
        let mut x = left as f32;
        for c in text.chars() {
            let Some((font, id)) = self.glyph(c).map(|(font, id)| (font.clone(), id)) else {
                continue;
            };
            let glyph = id.with_scale_and_position(scale, point(x, top as f32 + ascent));
            if let Some(outline) = font.outline_glyph(glyph) {
                let min = outline.px_bounds().min;
                outline.draw(|dx, dy, covered| {
                    let (px, py) = (min.x + dx as f32, min.y + dy as f32);
                    if px >= 0.0 && py >= 0.0 {
                        self.blend(px as usize, py as usize, color, covered.min(1.0));
                    }
                });
            }
            x += font.as_scaled(scale).h_advance(id);
        }
    }

    /// Breaks a text into lines that fit into `width`, at spaces where there are some.
    pub fn wrapped(&self, text: &str, size: f32, width: f32) -> Vec<String> {
        let mut lines = vec![String::new()];
        for word in text.split_whitespace() {
            let line = lines.last().cloned().unwrap_or_default();
            let longer = match line.is_empty() {
                true => word.to_owned(),
                false => format!("{line} {word}"),
            };
            match self.text_width(&longer, size) > width && !line.is_empty() {
                true => lines.push(word.to_owned()),
                false => {
                    lines.pop();
                    lines.push(longer);
                }
            }
        }
        lines
    }
}

/// The font has no open box for a space and no angle brackets of mathematics.
fn visible(c: char) -> char {
    match c {
        '␣' => '_',
        '⟨' => '<',
        '⟩' => '>',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_inside_its_width_and_wraps() {
        let mut canvas = Canvas::new(200, 40, [255; 3]);
        let width = canvas.text_width("camel", 20.0);
        canvas.text((0, 0), "camel", 20.0, [0; 3]);
        let dark = |x: u32| (0..40).any(|y| canvas.image.get_pixel(x, y).0[0] < 128);
        assert!((0..width as u32).any(dark));
        assert!(!(width as u32 + 2..200).any(dark));
        let lines = canvas.wrapped("one two three four", 20.0, width * 1.5);
        assert!(lines.len() > 1);
        assert_eq!(lines.join(" "), "one two three four");
    }

    #[test]
    fn nothing_is_drawn_outside() {
        let mut canvas = Canvas::new(4, 4, [9; 3]);
        canvas.fill((2, 2, 9, 9), [1; 3], 1.0);
        canvas.text((3, 3), "Wide text", 30.0, [9; 3]);
        assert_eq!(canvas.image.get_pixel(0, 0).0, [9; 3]);
        assert!(canvas.image.get_pixel(3, 3).0[0] < 9);
    }
}
