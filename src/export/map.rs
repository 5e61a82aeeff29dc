//! What a heat map of a run shows, on screen and in exports: values, the ends of the scale, places on it.
//!
//! Unknown values are NaN. Pure; it draws nothing. Maps of sweeps are the window's.

use super::scale::Placing;
use crate::engine::insight::Inside;
use crate::engine::trace::{Divergence, LevelReadout, ModelFacts, RunReadout, Trace};
use crate::index::choose;
use crate::session::{HeatKind, LensKind, ReadingView, Scale, ViewState, WordUnit};

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

/// The heat map of a level of a run, as a view asks for it; `None` for what is not read off runs, or is not read yet.
pub fn of_run(view: &ViewState, trace: &Trace, run: &RunReadout, level: usize) -> Option<Heat> {
    let readout = run.levels.get(level)?.as_deref()?;
    let wants_cosine = view.reading.lens == LensKind::Cosine;
    let cosine = run.cosine.get(level).and_then(Option::as_deref);
    let heat = match view.heat {
        HeatKind::Attention | HeatKind::Attribution => return None,
        HeatKind::Word => of_word(trace, (run, readout), &view.reading),
        HeatKind::Divergence => of_divergence(trace, run, level),
        HeatKind::TopProbability => {
            let words = cosine.filter(|_| wants_cosine).unwrap_or(readout);
            of_level(words, &trace.model, view.heat)?
        }
        kind => of_level(readout, &trace.model, kind)?,
    };
    Some(heat.on_scale_of(&view.reading))
}

/// The heat map of what was read inside a run; `None` for other kinds and where it was not read.
pub fn of_inside(view: &ViewState, trace: &Trace, found: &Inside) -> Option<Heat> {
    let settings = &view.inside;
    let values = match view.heat {
        HeatKind::Attention => found.attention.as_ref()?.map(settings.attention),
        HeatKind::Attribution => found.attribution.as_ref()?.map(settings.attribution),
        _ => return None,
    };
    let patches = trace.layout.patches();
    let values: Vec<f32> = patches
        .map(|at| values.get(at).copied().unwrap_or(f32::NAN))
        .collect();
    let mut scale = values.clone();
    if settings.without_sinks {
        for index in Marked::of(trace, found).all() {
            scale[index] = f32::NAN;
        }
    }
    let range = with_zero(&scale, 0.0);
    Some(Heat::new(view.heat, values, range).on_scale_of(&view.reading))
}

/// Patches that often draw attention for what they are rather than for what is in them.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Marked {
    /// They stand out for nearly every token of the text.
    pub sinks: Vec<usize>,
    /// Their norm after the projector lies above the mean by two standard deviations.
    pub high_norm: Vec<usize>,
}

impl Marked {
    /// The marked patches of a run, by row-major index.
    pub fn of(trace: &Trace, found: &Inside) -> Self {
        let grid = trace.model.grid;
        let sinks = found.attention.as_ref();
        let embeddings = trace.baseline.levels.first().and_then(Option::as_ref);
        let high = embeddings.map(|level| choose::registers(&level.norm, grid));
        Self {
            sinks: sinks.map_or_else(Vec::new, |attention| attention.sinks.clone()),
            high_norm: high.map_or_else(Vec::new, |set| set.indices(grid).unwrap_or_default()),
        }
    }

    /// Both, perhaps twice.
    pub fn all(&self) -> impl Iterator<Item = usize> + '_ {
        self.sinks.iter().chain(&self.high_norm).copied()
    }
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
fn of_word(
    trace: &Trace,
    (run, readout): (&RunReadout, &LevelReadout),
    reading: &ReadingView,
) -> Heat {
    let (n, unit) = (trace.model.grid.len(), reading.unit);
    let mut values = word_values(readout, unit);
    values.resize(n, f32::NAN);
    if reading.over_levels {
        for level in run.levels.iter().flatten() {
            for (best, value) in values.iter_mut().zip(word_values(level, unit)) {
                if is_better(value, *best, unit) {
                    *best = value;
                }
            }
        }
    }
    let n_words = trace.model.vocabulary.pieces.len().max(2) as f32;
    let (range, axis) = match unit {
        WordUnit::Probability => ((0.0, 1.0), Axis::Plain),
        // The middle is the chance of a uniform distribution.
        WordUnit::LogProbability => ((-2.0 * n_words.ln(), 0.0), Axis::Plain),
        WordUnit::Rank => ((n_words, 1.0), Axis::LogDown),
    };
    Heat::on_axis(HeatKind::Word, values, range, axis)
}

/// KL from the clean run; what lies at or below the noise floor is 0.
fn of_divergence(trace: &Trace, run: &RunReadout, level: usize) -> Heat {
    let n = trace.model.grid.len();
    let read = run.divergence.get(level).and_then(Option::as_ref);
    let mut values = read.map_or_else(Vec::new, |read| above_floor(read).collect());
    if !trace.has_edits {
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
