//! Sequences of equal length side by side, each with keys and values of its own: edited runs that go on to be asked and
//! to answer together.

use crate::tensor::Tensor;

use super::Llama;
use super::block::Positions;
use crate::error::Result;
use crate::model::hooks::Hooks;
use crate::model::kv_cache::KvCache;

/// Which rows are wanted after the last block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    Every,
    /// The last of each sequence; the last block then computes little else than keys and values.
    Last,
}

impl Llama {
    /// Runs the same number of further rows of each of `batch` sequences, `[batch * n, d_model]`, whose keys and values
    /// so far are in `cache`. Gives the rows after the last block, never normed: `[batch * n or batch, d_model]`. Agrees
    /// with [`Llama::forward`] of each alone up to rounding.
    ///
    /// # Errors
    /// What `hooks` meets; a failing device.
    pub fn extend_batch(
        &self,
        x: Tensor,
        batch: usize,
        cache: &mut KvCache,
        wanted: Wanted,
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor> {
        let n = x.dim(0)? / batch.max(1);
        let pos = Positions {
            batch,
            ..self.positions(cache.len(), n)?
        };
        let mut x = x;
        for (layer, block) in self.layers.iter().enumerate() {
            let is_last = layer + 1 == self.layers.len();
            x = match is_last && wanted == Wanted::Last {
                true => block.forward_last(x, layer, (&pos, n), &self.config, cache, hooks)?,
                false => block.forward(x, layer, &pos, &self.config, cache, hooks)?,
            };
        }
        Ok(x)
    }

    /// Keys and values of some of `n_sequences` sequences, in the order of `wanted`, which may name one several times.
    ///
    /// # Errors
    /// A failing device.
    pub fn pick(&self, cache: &KvCache, n_sequences: usize, wanted: &[usize]) -> Result<KvCache> {
        cache.pick(n_sequences, wanted)
    }
}
