//! The heat map of a picture that is drawn without the window: values, the ends of the scale, its name and colours.

use crate::engine::trace::{LevelReadout, Trace};
use crate::session::HeatKind;

/// One heat map, row-major over the patches. Unknown values are NaN.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatMap {
    pub values: Vec<f32>,
    /// The values that the ends of the colour scale stand for.
    pub range: (f32, f32),
    /// Where each value lies on the scale, 0..=1; NaN where it is unknown.
    pub places: Vec<f32>,
    /// The value in the middle of the scale.
    pub middle: f32,
    /// What it is, with its unit: `Entropy (nats)`.
    pub title: String,
    /// The colour scale, low to high.
    pub colors: Vec<[u8; 3]>,
}

impl HeatMap {
    /// A map on a linear scale in viridis.
    fn linear(values: Vec<f32>, range: (f32, f32), title: String) -> Self {
        let span = range.1 - range.0;
        let place = |value: &f32| match (value.is_finite(), span > 0.0) {
            (false, _) => f32::NAN,
            (true, true) => ((value - range.0) / span).clamp(0.0, 1.0),
            (true, false) => 0.0,
        };
        Self {
            places: values.iter().map(place).collect(),
            middle: (range.0 + range.1) / 2.0,
            values,
            range,
            title,
            colors: viridis(),
        }
    }

    /// Where on the scale a patch lies, 0..=1; `None` where its value is unknown.
    pub fn place(&self, patch: usize) -> Option<f32> {
        self.places.get(patch).copied().filter(|t| t.is_finite())
    }

    /// The colour at a place of the scale, 0..=1.
    pub fn color(&self, t: f32) -> [u8; 3] {
        let last = self.colors.len().saturating_sub(1);
        let index = (t.clamp(0.0, 1.0) * last as f32 + 0.5) as usize;
        self.colors.get(index).copied().unwrap_or_default()
    }
}

/// Viridis, 256 entries.
pub fn viridis() -> Vec<[u8; 3]> {
    let color = |i| colorous::VIRIDIS.eval_rational(i, 256);
    let rgb = |c: colorous::Color| [c.r, c.g, c.b];
    (0..256).map(|i| rgb(color(i))).collect()
}

/// The heat map of one level; `None` for what is not read off levels.
pub fn of_level(readout: &LevelReadout, trace: &Trace, kind: HeatKind) -> Option<HeatMap> {
    let n = trace.model.grid.len();
    let top = |patch| readout.top(patch).next().map_or(f32::NAN, |(_, p)| p);
    let word = trace.words.first();
    let (values, range, title) = match kind {
        HeatKind::TopProbability => (
            (0..n).map(top).collect(),
            (0.0, 1.0),
            "Probability of the top word".to_owned(),
        ),
        HeatKind::Entropy => {
            let uniform = (trace.model.vocabulary.pieces.len().max(2) as f32).ln();
            let title = "Entropy (nats)".to_owned();
            (readout.entropy.clone(), (0.0, uniform), title)
        }
        HeatKind::Norm => {
            let title = "L2 norm of the residual".to_owned();
            (readout.norm.clone(), extent(&readout.norm), title)
        }
        HeatKind::Word => {
            let title = format!("Probability of {:?}", word?.word);
            (readout.words.first()?.clone(), (0.0, 1.0), title)
        }
        HeatKind::Change => {
            let title = "Relative change against the clean run".to_owned();
            let top = extent(&readout.change).1;
            (readout.change.clone(), (0.0, top), title)
        }
        _ => return None,
    };
    Some(HeatMap::linear(values, range, title))
}

/// Smallest and largest known value; `(0, 0)` where there is none.
fn extent(values: &[f32]) -> (f32, f32) {
    let known = values.iter().copied().filter(|v| v.is_finite());
    let ends = known.fold(None, |ends: Option<(f32, f32)>, v| {
        Some(ends.map_or((v, v), |(low, high)| (low.min(v), high.max(v))))
    });
    ends.unwrap_or_default()
}
