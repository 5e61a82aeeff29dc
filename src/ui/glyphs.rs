//! Characters that vocabularies need and no built-in font has, drawn by rule: the mark of a space and angle brackets.

use egui::epaint::text::{GlyphBitmap, GlyphRasterizer, GlyphRasterizerRequest, RasterizedGlyph};
use egui::{Color32, ColorImage, FontId, Painter, Vec2, vec2};

/// Stands for a character that can be drawn by nothing.
const UNKNOWN: char = '□';

/// Asked only about characters that no font has.
pub fn rasterizer() -> GlyphRasterizer {
    GlyphRasterizer::new(
        "patchglass::marks",
        |request: &GlyphRasterizerRequest<'_>| {
            let em = request.font_size_px;
            match request.cluster {
                "␣" => Some(space(em)),
                "⟨" => Some(bracket(em, false)),
                "⟩" => Some(bracket(em, true)),
                _ => None,
            }
        },
    )
}

/// The text with every character replaced that neither a font nor the rasterizer has.
pub fn drawable(text: &str, font: &FontId, painter: &Painter) -> String {
    painter.fonts_mut(|fonts| {
        let mut known = |c| matches!(c, '␣' | '⟨' | '⟩') || fonts.has_glyph(font, c);
        let chars = text.chars();
        chars.map(|c| if known(c) { c } else { UNKNOWN }).collect()
    })
}

/// A flat tray below the baseline's height, as wide as a letter.
fn space(em: f32) -> RasterizedGlyph {
    let size = vec2((em * 0.46).round(), (em * 0.26).round().max(3.0));
    let line = (em / 14.0).round().max(1.0);
    let on = |x: f32, y: f32| y >= size.y - line || x < line || x >= size.x - line;
    let advance = (em * 0.6).round();
    let left = ((advance - size.x) / 2.0).round();
    glyph(
        size,
        vec2(left, -(em * 0.06).round() - size.y + line),
        advance,
        on,
    )
}

/// Two strokes that meet half-way up.
fn bracket(em: f32, mirrored: bool) -> RasterizedGlyph {
    let size = vec2((em * 0.26).round().max(3.0), (em * 0.96).round());
    let line = (em / 12.0).round().max(1.0);
    let on = |x: f32, y: f32| {
        let half = size.y / 2.0;
        let tip = (y + 0.5 - half).abs() / half * (size.x - line);
        let x = if mirrored { size.x - 1.0 - x } else { x };
        x >= tip - 0.5 && x < tip + line
    };
    glyph(
        size,
        vec2((em * 0.06).round(), -(em * 0.78).round()),
        (em * 0.4).round(),
        on,
    )
}

fn glyph(size: Vec2, offset: Vec2, advance: f32, on: impl Fn(f32, f32) -> bool) -> RasterizedGlyph {
    let (width, height) = (size.x as usize, size.y as usize);
    let pixel = |at: usize| match on((at % width.max(1)) as f32, (at / width.max(1)) as f32) {
        true => Color32::WHITE,
        false => Color32::TRANSPARENT,
    };
    RasterizedGlyph {
        bitmap: GlyphBitmap {
            image: ColorImage::new([width, height], (0..width * height).map(pixel).collect()),
            offset_px: offset,
            is_color: false,
        },
        advance_px: advance,
    }
}
