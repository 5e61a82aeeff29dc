//! What a sweep found, as plain data: the effect of each small intervention on one token of the clean answer.
//!
//! Like a trace it is immutable and shared; while a sweep goes on, ever fuller ones of the same id follow each other.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::protocol::RunId;
use super::trace::ModelFacts;
use crate::error::{Error, Result};
use crate::index::{PatchGrid, PatchSet};
use crate::spec::{Decode, Experiment, SweepKind, SweepOver, SweepSpec};

/// What one run of a sweep takes away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Patches that are ablated together, by row-major index, ascending.
    Patches(Vec<usize>),
    /// Decoder blocks in which attention is knocked out, both ends in.
    Blocks(RangeInclusive<usize>),
    /// A query head of one block in which attention is knocked out.
    Head { layer: usize, head: usize },
}

impl Unit {
    /// In the session file's words: `r3c4-r5c6`, `blocks 3..=5`, `block 3 head 7`.
    pub fn text(&self, grid: PatchGrid) -> String {
        match self {
            Self::Patches(patches) => {
                let set: PatchSet = patches.iter().map(|patch| grid.patch(*patch)).collect();
                set.to_string()
            }
            Self::Blocks(blocks) if blocks.start() == blocks.end() => {
                format!("block {}", blocks.start())
            }
            Self::Blocks(blocks) => format!("blocks {}..={}", blocks.start(), blocks.end()),
            Self::Head { layer, head } => format!("block {layer} head {head}"),
        }
    }
}

/// How the model rates the watched token.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Effect {
    pub prob: f32,
    /// Natural logarithm of the probability.
    pub log_prob: f32,
    pub logit: f32,
}

impl Effect {
    /// Of a token in a row of logits over the whole vocabulary.
    pub fn of(logits: &[f32], token: u32) -> Self {
        let logit = logits.get(token as usize).copied().unwrap_or(f32::NAN);
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().map(|x| f64::from(x - max).exp()).sum();
        let log_prob = f64::from(logit - max) - sum.ln();
        Self {
            prob: log_prob.exp() as f32,
            log_prob: log_prob as f32,
            logit,
        }
    }

    /// This minus another, number by number.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        Self {
            prob: self.prob - other.prob,
            log_prob: self.log_prob - other.log_prob,
            logit: self.logit - other.logit,
        }
    }

    /// The larger absolute value of each number.
    #[must_use]
    pub fn widest(&self, other: &Self) -> Self {
        let wider = |a: f32, b: f32| a.abs().max(b.abs());
        Self {
            prob: wider(self.prob, other.prob),
            log_prob: wider(self.log_prob, other.log_prob),
            logit: wider(self.logit, other.logit),
        }
    }
}

/// Everything known about one sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// The newest request that it was part of.
    pub id: RunId,
    pub spec: SweepSpec,
    /// What it is about: model, picture, question. Without interventions and without the answer's length.
    pub experiment: Experiment,
    /// Revision of the picture, as in the traces.
    pub picture: u64,
    pub model: Arc<ModelFacts>,
    /// The clean answer up to the watched token, which is the last.
    pub answer: Vec<u32>,
    /// The watched token in the clean run.
    pub baseline: Effect,
    /// The largest difference from `baseline` of sequences that nothing was done to but that were computed in the same
    /// way as the others: rounding alone. Smaller differences mean nothing.
    pub noise: Effect,
    /// In natural order: row by row, block by block, head by head.
    pub units: Arc<Vec<Unit>>,
    /// The watched token with each unit taken away, `None` until it is computed. `[unit]`
    pub effects: Vec<Option<Effect>>,
    /// Milliseconds that the batches took so far.
    pub ms: f64,
    /// Rows that were computed so far, over all blocks.
    pub n_rows: usize,
    /// The same for one run that computes every row of every block.
    pub n_rows_whole: usize,
}

impl Sweep {
    pub fn kind(&self) -> SweepKind {
        self.spec.over.kind()
    }

    /// The watched token's id.
    pub fn token_id(&self) -> u32 {
        self.answer.last().copied().unwrap_or(0)
    }

    pub fn n_done(&self) -> usize {
        self.effects.iter().flatten().count()
    }

    /// Share of the rows of whole runs that were computed, 0..=1.
    pub fn share(&self) -> f32 {
        self.n_rows as f32 / (self.n_done() * self.n_rows_whole).max(1) as f32
    }

    pub fn is_complete(&self) -> bool {
        self.n_done() == self.units.len()
    }

    /// Whether it is about the model, picture and question of an experiment, whatever else was done to that.
    pub fn is_about(&self, experiment: &Experiment) -> bool {
        self.experiment == subject(experiment)
    }

    /// What the watched token loses when a unit is taken away: positive where the unit helps the token.
    pub fn loss(&self, unit: usize) -> Option<Effect> {
        let effect = self.effects.get(unit)?.as_ref()?;
        Some(self.baseline.minus(effect))
    }

    /// The units by which the token loses most log-probability, the largest loss first.
    pub fn largest_losses(&self, n: usize) -> Vec<(usize, Effect)> {
        let known = (0..self.units.len()).filter_map(|unit| Some((unit, self.loss(unit)?)));
        let mut losses: Vec<(usize, Effect)> = known.collect();
        losses.sort_by(|a, b| b.1.log_prob.total_cmp(&a.1.log_prob));
        losses.truncate(n);
        losses
    }

    /// The losses of the patches, row-major; NaN where nothing is computed yet. `[patch]`
    pub fn patch_losses(&self, measure: impl Fn(&Effect) -> f32) -> Vec<f32> {
        let mut values = vec![f32::NAN; self.model.grid.len()];
        for (at, unit) in self.units.iter().enumerate() {
            if let (Unit::Patches(patches), Some(loss)) = (unit, self.loss(at)) {
                for patch in patches {
                    if let Some(value) = values.get_mut(*patch) {
                        *value = measure(&loss);
                    }
                }
            }
        }
        values
    }

    /// The unit that a patch belongs to.
    pub fn unit_of_patch(&self, patch: usize) -> Option<usize> {
        let has = |unit: &Unit| matches!(unit, Unit::Patches(patches) if patches.contains(&patch));
        self.units.iter().position(has)
    }
}

/// What of an experiment a sweep depends on: not its interventions, not how long the answer may be.
pub fn subject(experiment: &Experiment) -> Experiment {
    Experiment {
        decode: Decode::default(),
        ..experiment.clean()
    }
}

/// The units of a sweep over a model, in natural order.
///
/// # Errors
/// A square, level or window that the model has no room for.
pub fn units(over: &SweepOver, model: &ModelFacts) -> Result<Vec<Unit>> {
    let n_layers = model.n_layers;
    match over {
        SweepOver::Patches { layer, block, .. } => {
            let largest = model.grid.rows.max(model.grid.cols);
            if !(1..=largest).contains(block) {
                return Err(Error::input(format!(
                    "squares of {block} x {block} patches do not fit this model's {}x{} grid: write 1 to {largest}",
                    model.grid.rows, model.grid.cols
                )));
            }
            if *layer >= n_layers {
                return Err(Error::input(format!(
                    "level {layer} is no level that can be ablated; this model has the levels 0..={}",
                    n_layers - 1
                )));
            }
            Ok(squares(model.grid, *block))
        }
        SweepOver::Layers { window, .. } => {
            if !(1..=n_layers).contains(window) {
                return Err(Error::input(format!(
                    "a window of {window} blocks does not fit this model: write 1 to {n_layers}"
                )));
            }
            let windows = (0..=n_layers - window).map(|first| first..=first + window - 1);
            Ok(windows.map(Unit::Blocks).collect())
        }
        SweepOver::Heads { .. } => Ok((0..n_layers)
            .flat_map(|layer| (0..model.n_heads).map(move |head| Unit::Head { layer, head }))
            .collect()),
    }
}

/// Squares of patches, edge to edge; those at the right and the bottom are cut off by the grid's edge.
fn squares(grid: PatchGrid, side: usize) -> Vec<Unit> {
    let starts = |n: usize| (0..n).step_by(side).map(move |at| at..(at + side).min(n));
    starts(grid.rows)
        .flat_map(|rows| starts(grid.cols).map(move |cols| (rows.clone(), cols)))
        .map(|(rows, cols)| {
            let row = |row: usize| cols.clone().map(move |col| row * grid.cols + col);
            Unit::Patches(rows.flat_map(row).collect())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_cover_the_grid_once() {
        for (rows, cols, side) in [(24, 24, 1), (24, 24, 5), (3, 4, 2), (2, 7, 7)] {
            let units = squares(PatchGrid::new(rows, cols), side);
            assert_eq!(units.len(), rows.div_ceil(side) * cols.div_ceil(side));
            let mut all: Vec<usize> = units
                .iter()
                .flat_map(|unit| match unit {
                    Unit::Patches(patches) => patches.clone(),
                    other => panic!("{other:?}"),
                })
                .collect();
            all.sort_unstable();
            assert_eq!(all, (0..rows * cols).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_effect_is_a_log_softmax() {
        let effect = Effect::of(&[0.0, 2f32.ln(), 5f32.ln()], 2);
        assert!((effect.prob - 5.0 / 8.0).abs() < 1e-6, "{effect:?}");
        assert!((effect.log_prob - (5f32 / 8.0).ln()).abs() < 1e-6);
        assert_eq!(effect.logit, 5f32.ln());
        // Logits beyond the range of exp are no problem.
        let far = Effect::of(&[1000.0, 0.0], 1);
        assert_eq!((far.prob, far.log_prob), (0.0, -1000.0));
    }
}
