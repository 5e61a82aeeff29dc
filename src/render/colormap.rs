//! The colour scales of the heat map: viridis and cividis, as bytes for the shader and as functions for the CPU.
//!
//! Both go through the same 256 entries, so that the legend, the tests and the shader agree bit for bit.

/// Entries of the scale.
pub const N_COLORS: usize = 256;

/// A colour scale whose lightness rises evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Palette {
    #[default]
    Viridis,
    Cividis,
}

impl Palette {
    pub const ALL: [Self; 2] = [Self::Viridis, Self::Cividis];

    /// The scale as `N_COLORS` RGBA texels.
    pub fn texels(self) -> Vec<u8> {
        (0..N_COLORS)
            .flat_map(|index| {
                let [r, g, b] = self.entry(index);
                [r, g, b, 255]
            })
            .collect()
    }

    /// The colour of `value` on a scale from `range.0` to `range.1`; `None` where the value is unknown.
    pub fn color(self, value: f32, range: (f32, f32)) -> Option<[u8; 3]> {
        let t = position(value, range)?;
        Some(self.entry((t * 255.0 + 0.5) as usize))
    }

    fn entry(self, index: usize) -> [u8; 3] {
        let index = index.min(N_COLORS - 1);
        let c = match self {
            Self::Viridis => colorous::VIRIDIS.eval_rational(index, N_COLORS),
            Self::Cividis => colorous::CIVIDIS.eval_rational(index, N_COLORS),
        };
        [c.r, c.g, c.b]
    }
}

/// [`Palette::color`] of the usual scale.
pub fn color(value: f32, range: (f32, f32)) -> Option<[u8; 3]> {
    Palette::Viridis.color(value, range)
}

/// How much of the heat map's opacity a value gets: low values let more of the picture through.
/// Keep in sync with `shaders/heatmap.wgsl`.
pub fn weight(value: f32, range: (f32, f32)) -> f32 {
    position(value, range).map_or(0.0, |t| 0.3 + 0.7 * t)
}

/// Where on the scale a value lies, 0..=1.
fn position(value: f32, range: (f32, f32)) -> Option<f32> {
    let span = range.1 - range.0;
    let t = if span > 0.0 {
        ((value - range.0) / span).clamp(0.0, 1.0)
    } else {
        0.0
    };
    value.is_finite().then_some(t)
}

/// Contrast of two colours of sRGB by WCAG 2: 1 for equal ones, 21 for black on white.
pub fn contrast(a: [u8; 3], b: [u8; 3]) -> f32 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// Relative luminance by WCAG 2, 0..=1.
fn luminance(rgb: [u8; 3]) -> f32 {
    let linear = |c: u8| {
        let c = f32::from(c) / 255.0;
        if c <= 0.04045 {
            c / 12.92
        } else {
            ((c + 0.055) / 1.055).powf(2.4)
        }
    };
    let [r, g, b] = rgb.map(linear);
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

/// Whether black text is easier to read than white on this ground.
pub fn wants_dark_text(ground: [u8; 3]) -> bool {
    contrast(ground, [0; 3]) >= contrast(ground, [255; 3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_and_unknown() {
        assert_eq!(color(0.0, (0.0, 1.0)), Some([68, 1, 84]));
        assert_eq!(color(9.0, (0.0, 1.0)), color(1.0, (0.0, 1.0)));
        assert_eq!(color(f32::NAN, (0.0, 1.0)), None);
        assert_eq!(color(3.0, (3.0, 3.0)), Some([68, 1, 84]));
        assert_eq!(Palette::Cividis.texels().len(), N_COLORS * 4);
    }

    #[test]
    fn lightness_rises_along_every_scale() {
        for palette in Palette::ALL {
            let steps: Vec<f32> = (0..N_COLORS).map(|i| luminance(palette.entry(i))).collect();
            assert!(steps.windows(2).all(|w| w[1] >= w[0] - 2e-3), "{palette:?}");
            assert!(steps[N_COLORS - 1] > 10.0 * steps[0]);
        }
        // Rainbows do not: red is darker than the yellow before it.
        assert!(luminance([255, 0, 0]) < luminance([255, 255, 0]));
    }

    /// Every colour of both scales, at every strength, over both panels: the text's contrast is what WCAG asks for.
    #[test]
    fn text_on_the_scale_can_always_be_read() {
        for palette in Palette::ALL {
            for index in 0..N_COLORS {
                for (panel, strength) in [(29, 0.0), (29, 0.5), (246, 0.5), (246, 1.0)] {
                    let mix =
                        |c: u8| (panel as f32 + (f32::from(c) - panel as f32) * strength) as u8;
                    let ground = palette.entry(index).map(mix);
                    let ink = if wants_dark_text(ground) {
                        [0; 3]
                    } else {
                        [255; 3]
                    };
                    assert!(
                        contrast(ground, ink) >= 4.5,
                        "{palette:?} {index} {ground:?}"
                    );
                }
            }
        }
        assert!(contrast([128; 3], [96; 3]) < 4.5);
    }
}
