//! Several passes that leave one base at the same row, side by side in one forward: what a sweep is made of.
//!
//! Up to row `first` every sequence is the base, whose keys and values are used; from there on it has rows of its own.
//! Sequences may leave the base at different blocks. Only the last row of each comes out; no residual stream and no
//! keys are kept.

use std::ops::Range;

use crate::tensor::Tensor;

use super::Llama;
use super::block::Positions;
use crate::error::{Error, Result};
use crate::model::hooks::Hooks;
use crate::model::kv_cache::KvCache;

/// How the sequences lie in one forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SideBySide {
    /// Each attends by itself; the base's keys and values are repeated for each. Hooks see the rows of all, one
    /// sequence after the other. For sequences with many rows.
    Apart,
    /// All are one in attention, over one copy of the base's keys and values: [`Hooks::blocked`] must keep each from
    /// the rows of all others, later ones too. For many sequences with few rows.
    Packed,
}

/// Sequences that leave the base at a block: the rows that enter it, `[sequences * rows, d_model]`.
pub type Join<'a> = dyn FnMut(usize) -> Result<Option<Tensor>> + 'a;

impl Llama {
    /// Runs the positions `rows` of several sequences, whose positions before are those of `base`. `join` is asked at
    /// every block, from the first on, which sequences join there; they come after those that joined before.
    ///
    /// Gives the last row of each after the last block, never normed, `[sequences, d_model]`; it agrees with
    /// [`Llama::forward`] up to rounding. The last block computes only what that row needs, so none of its hook points
    /// after `hook_resid_pre` is visited; `blocked` is asked in every block.
    ///
    /// # Errors
    /// What `join` and `hooks` meet; a failing device; no sequence at all.
    pub fn resume_batch(
        &self,
        base: &KvCache,
        rows: Range<usize>,
        side: SideBySide,
        join: &mut Join<'_>,
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor> {
        let mut cache = KvCache::new(self.layers.len());
        let mut side_by_side: Option<(Positions, Tensor)> = None;
        for (layer, block) in self.layers.iter().enumerate() {
            let joining = join(layer)?;
            let (pos, x) = match (side_by_side.take(), joining) {
                (None, None) => continue,
                (Some(both), None) => both,
                (before, Some(joining)) => {
                    let x = match before {
                        Some((_, x)) => Tensor::cat(&[&x, &joining], 0)?,
                        None => joining,
                    };
                    (self.batch_positions(&rows, x.dim(0)?, side)?, x)
                }
            };
            cache.start_batch_from(layer, base, rows.start, pos.batch)?;
            let last = layer + 1 == self.layers.len();
            let x = match last {
                true => block.forward_last(
                    x,
                    layer,
                    (&pos, rows.len()),
                    &self.config,
                    &mut cache,
                    hooks,
                )?,
                false => block.forward(x, layer, &pos, &self.config, &mut cache, hooks)?,
            };
            cache.forget(layer);
            side_by_side = Some((pos, x));
        }
        side_by_side
            .map(|(_, x)| x)
            .ok_or_else(|| Error::internal("a batch without a sequence"))
    }

    /// The positions of `n_all` rows, which are those of several sequences.
    fn batch_positions(
        &self,
        rows: &Range<usize>,
        n_all: usize,
        side: SideBySide,
    ) -> Result<Positions> {
        let n_sequences = n_all / rows.len().max(1);
        let one = self.positions(rows.start, rows.len())?;
        Ok(match side {
            SideBySide::Apart => Positions {
                batch: n_sequences,
                ..one
            },
            SideBySide::Packed => Positions {
                cos: one.cos.repeat((n_sequences, 1))?,
                sin: one.sin.repeat((n_sequences, 1))?,
                ..one
            },
        })
    }
}
