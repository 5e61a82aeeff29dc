//! What a heat map shows: from a level's readout or a sweep and a kind to values, the ends of the scale and a name.
//!
//! Unknown values are NaN. It draws nothing but the colour scale of the legends.

mod text;

use egui::{Mesh, Rect, pos2};

pub use self::text::{explanation, label, note, number_text, short_unit, unit};
use super::scale::Placing;
use super::sweep_view::above_noise;
use super::theme::over_picture;
use super::{ShownLevel, ViewCtx};
use crate::engine::sweep::Sweep;
use crate::engine::trace::{Divergence, LevelReadout, ModelFacts};
use crate::render::colormap::Palette;
use crate::session::{HeatKind, Measure, ReadingView, Scale, WordUnit};
use crate::spec::SweepKind;

/// One heat map, row-major over the patches.
#[derive(Clone, Debug, PartialEq)]
pub struct Heat {
    pub kind: HeatKind,
    pub values: Vec<f32>,
    /// The values that the ends of the colour scale stand for.
    pub range: (f32, f32),
    /// Where each value lies on the colour scale, 0..=1.
    pub places: Vec<f32>,
    /// The value in the middle of the colour scale.
    pub middle: f32,
    /// Where 0 lies on the colour scale; `None` at its ends, where the numbers say it.
    pub zero: Option<f32>,
    axis: Axis,
}

/// What of a value the colour scale is linear in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
enum Axis {
    #[default]
    Plain,
    /// −ln: ranks, of which the smallest is the best.
    LogDown,
}

impl Axis {
    fn of(self, value: f32) -> f32 {
        match self {
            Self::Plain => value,
            Self::LogDown => -value.ln(),
        }
    }

    fn back(self, place: f32) -> f32 {
        match self {
            Self::Plain => place,
            Self::LogDown => (-place).exp(),
        }
    }
}

impl Heat {
    /// A map on a linear scale.
    pub fn new(kind: HeatKind, values: Vec<f32>, range: (f32, f32)) -> Self {
        Self::on_axis(kind, values, range, Axis::Plain)
    }

    fn on_axis(kind: HeatKind, values: Vec<f32>, range: (f32, f32), axis: Axis) -> Self {
        let heat = Self {
            kind,
            values,
            range,
            places: Vec::new(),
            middle: 0.0,
            zero: None,
            axis,
        };
        heat.placed(Scale::Linear)
    }

    /// The same on the scale that the view asks for.
    #[must_use]
    pub fn on_scale_of(mut self, reading: &ReadingView) -> Self {
        let axis = self.axis;
        let on_axis: Vec<f32> = self.values.iter().map(|v| axis.of(*v)).collect();
        let (low, high) = extent(&on_axis);
        let spans = (reading.normalised && low < high) || reading.scale == Scale::Percentile;
        if spans {
            self.range = (axis.back(low), axis.back(high));
        }
        self.placed(reading.scale)
    }

    fn placed(mut self, scale: Scale) -> Self {
        let axis = self.axis;
        let on_axis: Vec<f32> = self.values.iter().map(|v| axis.of(*v)).collect();
        let range = (axis.of(self.range.0), axis.of(self.range.1));
        let placing = Placing::new(scale, range, &on_axis);
        self.places = on_axis.iter().map(|v| placing.place(*v)).collect();
        self.middle = axis.back(placing.middle());
        self.zero = (range.0 < 0.0 && range.1 > 0.0).then(|| placing.place(0.0));
        self
    }
}

/// The heat map of the level on screen; `None` when it is off or nothing is read yet.
pub fn of_view(ctx: &ViewCtx<'_>) -> Option<Heat> {
    let view = &ctx.session.view;
    if view.heat == HeatKind::Importance {
        let sweep = ctx.sweep(SweepKind::Patches)?;
        return Some(of_sweep(sweep, view.sweep.measure).on_scale_of(&view.reading));
    }
    if matches!(view.heat, HeatKind::Attention | HeatKind::Attribution) {
        let heat = super::inside_view::heat(ctx)?;
        return Some(heat.on_scale_of(&view.reading));
    }
    let shown = ctx.shown()?;
    let heat = match view.heat {
        HeatKind::Word => of_word(&shown, &view.reading),
        HeatKind::Divergence => of_divergence(&shown, ctx.level()),
        HeatKind::TopProbability => of_level(shown.words, &shown.trace.model, view.heat)?,
        kind => of_level(shown.readout, &shown.trace.model, kind)?,
    };
    Some(heat.on_scale_of(&view.reading))
}

/// The values of the readout's word in one level, in a unit; empty where they are not read.
pub fn word_values(readout: &LevelReadout, unit: WordUnit) -> Vec<f32> {
    let first = |words: &[Vec<f32>]| words.first().cloned().unwrap_or_default();
    match unit {
        WordUnit::Probability => first(&readout.words),
        WordUnit::LogProbability => first(&readout.word_log_probs),
        WordUnit::Rank => {
            let ranks = readout.word_ranks.first().map_or(&[][..], Vec::as_slice);
            ranks.iter().map(|rank| *rank as f32).collect()
        }
    }
}

/// Whether `a` says more of the word than `b`; what is not known says nothing.
pub fn is_better(a: f32, b: f32, unit: WordUnit) -> bool {
    match unit {
        WordUnit::Rank => a < b || (b.is_nan() && !a.is_nan()),
        _ => a > b || (b.is_nan() && !a.is_nan()),
    }
}

/// The map of the word, at the level or at each patch's best level.
fn of_word(shown: &ShownLevel<'_>, reading: &ReadingView) -> Heat {
    let (n, unit) = (shown.trace.model.grid.len(), reading.unit);
    let mut values = word_values(shown.readout, unit);
    values.resize(n, f32::NAN);
    if reading.over_levels {
        for level in shown.run.levels.iter().flatten() {
            for (best, value) in values.iter_mut().zip(word_values(level, unit)) {
                if is_better(value, *best, unit) {
                    *best = value;
                }
            }
        }
    }
    let n_words = shown.trace.model.vocabulary.pieces.len().max(2) as f32;
    let (range, axis) = match unit {
        WordUnit::Probability => ((0.0, 1.0), Axis::Plain),
        // The middle is the chance of a uniform distribution.
        WordUnit::LogProbability => ((-2.0 * n_words.ln(), 0.0), Axis::Plain),
        WordUnit::Rank => ((n_words, 1.0), Axis::LogDown),
    };
    Heat::on_axis(HeatKind::Word, values, range, axis)
}

/// KL from the clean run; what lies at or below the noise floor is 0.
fn of_divergence(shown: &ShownLevel<'_>, level: usize) -> Heat {
    let n = shown.trace.model.grid.len();
    let read = shown.run.divergence.get(level).and_then(Option::as_ref);
    let mut values = read.map_or_else(Vec::new, |read| above_floor(read).collect());
    if !shown.trace.has_edits {
        values = vec![0.0; n];
    }
    values.resize(n, f32::NAN);
    let top = extent(&values).1.max(read.map_or(0.0, |read| read.floor));
    Heat::new(HeatKind::Divergence, values, (0.0, top))
}

/// The values of a level without rounding.
pub fn above_floor(read: &Divergence) -> impl Iterator<Item = f32> + '_ {
    let floor = read.floor;
    (read.values.iter()).map(move |kl| if *kl > floor { *kl } else { 0.0 })
}

/// The importance of the patches: what the watched token loses without them.
pub fn of_sweep(sweep: &Sweep, measure: Measure) -> Heat {
    let losses = sweep.patch_losses(|effect| measure.of(effect));
    let values: Vec<f32> = losses
        .into_iter()
        .map(|loss| above_noise(loss, sweep, measure))
        .collect();
    let range = with_zero(&values, measure.of(&sweep.noise));
    Heat::new(HeatKind::Importance, values, range)
}

/// The scale of losses: from the lowest to the highest, with 0 in it; never so narrow that rounding would fill it.
pub fn with_zero(values: &[f32], noise: f32) -> (f32, f32) {
    let (low, high) = extent(values);
    (low.min(0.0), high.max(noise))
}

/// Where 0 lies on a scale, 0..=1; `None` at its ends, where the numbers say it.
pub fn zero_in((low, high): (f32, f32)) -> Option<f32> {
    (low < 0.0 && high > 0.0).then(|| -low / (high - low))
}

/// The heat map of one level; `None` for what is not read off levels.
pub fn of_level(readout: &LevelReadout, model: &ModelFacts, kind: HeatKind) -> Option<Heat> {
    let n = model.grid.len();
    let padded = |values: &[f32]| -> Vec<f32> {
        let mut values = values.to_vec();
        values.resize(n, f32::NAN);
        values
    };
    let (values, range) = match kind {
        HeatKind::Off
        | HeatKind::Importance
        | HeatKind::Attention
        | HeatKind::Attribution
        | HeatKind::Divergence => return None,
        HeatKind::TopProbability => {
            let top = |patch| readout.top(patch).next().map_or(f32::NAN, |(_, p)| p);
            ((0..n).map(top).collect(), (0.0, 1.0))
        }
        HeatKind::Entropy => {
            // Fixed for a model, so that levels can be compared: a uniform distribution is the upper end.
            let uniform = (model.vocabulary.pieces.len().max(2) as f32).ln();
            (padded(&readout.entropy), (0.0, uniform))
        }
        HeatKind::Norm => {
            let values = padded(&readout.norm);
            let range = extent(&values);
            (values, range)
        }
        HeatKind::Word => {
            let word = readout.words.first().map_or(&[][..], Vec::as_slice);
            (padded(word), (0.0, 1.0))
        }
        HeatKind::Change => {
            let values = padded(&readout.change);
            let top = extent(&values).1;
            (values, (0.0, top))
        }
    };
    Some(Heat::new(kind, values, range))
}

/// Smallest and largest known value; `(0, 0)` where there is none.
fn extent(values: &[f32]) -> (f32, f32) {
    let known = values.iter().copied().filter(|v| v.is_finite());
    let (low, high) = known.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), v| {
        (low.min(v), high.max(v))
    });
    if low <= high { (low, high) } else { (0.0, 0.0) }
}

/// The colour scale from left to right.
pub fn scale_mesh(bar: Rect, palette: Palette) -> Mesh {
    let mut mesh = Mesh::default();
    let n = 48;
    for i in 0..=n {
        let t = i as f32 / n as f32;
        let color = over_picture::rgb(palette.color(t, (0.0, 1.0)).unwrap_or_default());
        let x = bar.left() + t * bar.width();
        mesh.colored_vertex(pos2(x, bar.top()), color);
        mesh.colored_vertex(pos2(x, bar.bottom()), color);
        if i > 0 {
            let k = 2 * i;
            mesh.add_triangle(k - 2, k - 1, k);
            mesh.add_triangle(k - 1, k, k + 1);
        }
    }
    mesh
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::trace::Vocabulary;
    use crate::index::PatchGrid;

    fn model() -> ModelFacts {
        ModelFacts {
            name: "test".to_owned(),
            grid: PatchGrid::new(1, 3),
            n_layers: 2,
            n_heads: 1,
            d_model: 4,
            image_size: 3,
            n_params: 0,
            device: String::new(),
            dtype: String::new(),
            notes: Vec::new(),
            template: String::new(),
            vocabulary: Arc::new(Vocabulary {
                pieces: vec!["a".to_owned(), "b".to_owned()],
                is_word: vec![true; 2],
            }),
            default_level: 1,
        }
    }

    fn readout() -> LevelReadout {
        LevelReadout {
            top_k: 2,
            ids: vec![0, 1, 1, 0, 0, 1],
            probs: vec![0.9, 0.1, 0.6, 0.4, 0.5, 0.5],
            entropy: vec![0.1, 0.2, 0.3],
            norm: vec![4.0, f32::NAN, 9.0],
            log_sum_exp: vec![0.0; 3],
            change: vec![0.0, 0.25, 0.5],
            words: vec![vec![0.2, 0.3, 0.4]],
            ..LevelReadout::default()
        }
    }

    fn heat(kind: HeatKind) -> Heat {
        of_level(&readout(), &model(), kind).unwrap()
    }

    #[test]
    fn probabilities_have_a_fixed_scale() {
        assert_eq!(heat(HeatKind::TopProbability).values, [0.9, 0.6, 0.5]);
        assert_eq!(heat(HeatKind::TopProbability).range, (0.0, 1.0));
        assert_eq!(heat(HeatKind::Word).values, [0.2, 0.3, 0.4]);
        assert_eq!(heat(HeatKind::Word).range, (0.0, 1.0));
    }

    #[test]
    fn the_other_scales_tell_the_truth() {
        assert_eq!(heat(HeatKind::Norm).range, (4.0, 9.0));
        assert_eq!(heat(HeatKind::Change).range, (0.0, 0.5));
        assert!((heat(HeatKind::Entropy).range.1 - 2.0f32.ln()).abs() < 1e-6);
    }

    #[test]
    fn what_is_not_read_is_unknown() {
        let mut empty = readout();
        empty.words.clear();
        empty.change.truncate(1);
        let word = of_level(&empty, &model(), HeatKind::Word).unwrap();
        assert!(word.values.iter().all(|v| v.is_nan()) && word.values.len() == 3);
        let change = of_level(&empty, &model(), HeatKind::Change).unwrap();
        assert!(change.values[1].is_nan());
        assert_eq!(change.range, (0.0, 0.0));
        let nothing = LevelReadout::default();
        for kind in HeatKind::ALL {
            let heat = of_level(&nothing, &model(), kind);
            let is_elsewhere = matches!(
                kind,
                HeatKind::Off
                    | HeatKind::Importance
                    | HeatKind::Attention
                    | HeatKind::Attribution
                    | HeatKind::Divergence
            );
            assert_eq!(heat.is_none(), is_elsewhere);
        }
        assert!(
            of_level(&nothing, &model(), HeatKind::TopProbability)
                .unwrap()
                .values[2]
                .is_nan()
        );
    }
}
