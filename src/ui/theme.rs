//! The only place that names colours, sizes and spacing; dark and light are both designed.
//!
//! It holds no widget. Panels take colours from here by what they mean.

use egui::Color32;

/// Spacing grid, in points: margins are multiples of this.
pub const GRID: f32 = 4.0;

/// Colours by meaning.
#[derive(Clone, Debug, PartialEq)]
pub struct Theme {
    pub dark: bool,
    /// The space around the picture.
    pub canvas: Color32,
    pub panel: Color32,
    pub outline: Color32,
    pub text: Color32,
    pub text_weak: Color32,
    /// What the person did: selection, ablated, knocked out. The only accent.
    pub accent: Color32,
    pub accent_weak: Color32,
    /// What changed in the answer for the worse and the better; always with a mark of form as well.
    pub removed: Color32,
    pub added: Color32,
    pub error: Color32,
}

impl Theme {
    pub fn dark() -> Self {
        Self {
            dark: true,
            canvas: Color32::from_rgb(0x14, 0x15, 0x18),
            panel: Color32::from_rgb(0x1d, 0x1f, 0x23),
            outline: Color32::from_rgb(0x35, 0x38, 0x3f),
            text: Color32::from_rgb(0xe6, 0xe7, 0xea),
            text_weak: Color32::from_rgb(0x9a, 0x9e, 0xa8),
            accent: Color32::from_rgb(0xff, 0x9f, 0x45),
            accent_weak: Color32::from_rgb(0x7a, 0x52, 0x2c),
            removed: Color32::from_rgb(0xf0, 0x7a, 0x7a),
            added: Color32::from_rgb(0x6c, 0xc4, 0xe8),
            error: Color32::from_rgb(0xff, 0x8a, 0x80),
        }
    }

    pub fn light() -> Self {
        Self {
            dark: false,
            canvas: Color32::from_rgb(0xe4, 0xe5, 0xe8),
            panel: Color32::from_rgb(0xf6, 0xf6, 0xf7),
            outline: Color32::from_rgb(0xc6, 0xc8, 0xce),
            text: Color32::from_rgb(0x1c, 0x1e, 0x22),
            text_weak: Color32::from_rgb(0x5d, 0x61, 0x6b),
            accent: Color32::from_rgb(0xc2, 0x5a, 0x00),
            accent_weak: Color32::from_rgb(0xf3, 0xd3, 0xb3),
            removed: Color32::from_rgb(0xb3, 0x26, 0x1e),
            added: Color32::from_rgb(0x0b, 0x66, 0x96),
            error: Color32::from_rgb(0xb3, 0x26, 0x1e),
        }
    }
}

/// Colours over the picture: the same in dark and light, because the picture is.
pub mod over_picture {
    use egui::Color32;

    /// Words on dark ground, and the halo of words on light ground.
    pub const INK_LIGHT: Color32 = Color32::from_rgb(0xff, 0xff, 0xff);
    /// Words on light ground, the halo of words on dark ground, the underlay of lines.
    pub const INK_DARK: Color32 = Color32::from_rgb(0x0c, 0x0d, 0x10);
    /// What the person did, over the picture: the accent, always with dark beneath it.
    pub const ACCENT: Color32 = Color32::from_rgb(0xff, 0x9f, 0x45);
    /// Lies over an ablated patch, under its hatching: the model does not see what is there.
    pub const SCRIM: Color32 = Color32::from_rgba_premultiplied(0x08, 0x09, 0x0b, 0x78);
    /// Lies over everything outside the light around the pointer, in a talk.
    pub const SHADE: Color32 = Color32::from_rgba_premultiplied(0, 0, 0, 0x58);
    /// Grid lines: straight colour and alpha, for the shader.
    pub const GRID: [f32; 4] = [0.0, 0.0, 0.0, 0.18];

    /// An opaque colour of the picture or of a colour scale.
    pub const fn rgb([r, g, b]: [u8; 3]) -> Color32 {
        Color32::from_rgb(r, g, b)
    }
}

/// Text on a colour of a colour scale: the two whose contrast is high enough on every colour.
pub mod over_scale {
    use egui::Color32;

    pub const LIGHT: Color32 = Color32::WHITE;
    pub const DARK: Color32 = Color32::BLACK;
}
