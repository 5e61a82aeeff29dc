//! The colour scale of the heat map: viridis, as bytes for the shader and as a function for everything on the CPU.
//!
//! Both go through the same 256 entries, so that the legend, the tests and the shader agree bit for bit.

/// Entries of the scale.
pub const N_COLORS: usize = 256;

/// The scale as `N_COLORS` RGBA texels.
pub fn texels() -> Vec<u8> {
    (0..N_COLORS)
        .flat_map(|index| {
            let [r, g, b] = entry(index);
            [r, g, b, 255]
        })
        .collect()
}

/// The colour of `value` on a scale from `range.0` to `range.1`; `None` where the value is unknown.
pub fn color(value: f32, range: (f32, f32)) -> Option<[u8; 3]> {
    let t = position(value, range)?;
    Some(entry((t * 255.0 + 0.5) as usize))
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

fn entry(index: usize) -> [u8; 3] {
    let c = colorous::VIRIDIS.eval_rational(index.min(N_COLORS - 1), N_COLORS);
    [c.r, c.g, c.b]
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
        assert_eq!(texels().len(), N_COLORS * 4);
    }
}
