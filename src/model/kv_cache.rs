//! Keys and values of the positions that a sequence has so far, per decoder block.
//!
//! It only appends. Cloning is cheap: tensors are shared.

use candle_core::Tensor;

use super::ops;
use crate::error::Result;

/// Rotated keys and values, `[kv_head, position, d_head]` per block; of several sequences `[batch * kv_head, ..]`.
#[derive(Clone, Debug)]
pub struct KvCache {
    blocks: Vec<Option<(Tensor, Tensor)>>,
}

impl KvCache {
    pub fn new(n_layers: usize) -> Self {
        Self {
            blocks: vec![None; n_layers],
        }
    }

    /// Positions held so far.
    pub fn len(&self) -> usize {
        let first = self.blocks.first().and_then(Option::as_ref);
        first.and_then(|(k, _)| k.dim(1).ok()).unwrap_or(0)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first `n` positions, without copying them.
    ///
    /// # Errors
    /// Fewer positions than that.
    pub fn first(&self, n: usize) -> Result<Self> {
        let first = |(k, v): &(Tensor, Tensor)| Ok((k.narrow(1, 0, n)?, v.narrow(1, 0, n)?));
        let blocks = self.blocks.iter().map(|block| block.as_ref().map(first));
        Ok(Self {
            blocks: blocks.map(Option::transpose).collect::<Result<_>>()?,
        })
    }

    /// Takes the first `n` positions of a block over from another cache.
    pub(super) fn start_from(&mut self, layer: usize, other: &Self, n: usize) -> Result<()> {
        self.blocks[layer] = match &other.blocks[layer] {
            Some((k, v)) if n > 0 => Some((k.narrow(1, 0, n)?, v.narrow(1, 0, n)?)),
            _ => None,
        };
        Ok(())
    }

    /// Takes the first `n` positions of a block over from another cache, once for each of `batch` sequences.
    pub(super) fn start_batch_from(
        &mut self,
        layer: usize,
        other: &Self,
        n: usize,
        batch: usize,
    ) -> Result<()> {
        self.start_from(layer, other, n)?;
        if let (Some((k, v)), true) = (&mut self.blocks[layer], batch > 1) {
            (*k, *v) = (k.repeat((batch, 1, 1))?, v.repeat((batch, 1, 1))?);
        }
        Ok(())
    }

    /// Lets the keys and values of a block go.
    pub(super) fn forget(&mut self, layer: usize) {
        self.blocks[layer] = None;
    }

    /// Appends the new rows of a block and gives all keys and values back.
    pub(super) fn append(
        &mut self,
        layer: usize,
        k: Tensor,
        v: Tensor,
    ) -> Result<(Tensor, Tensor)> {
        let slot = &mut self.blocks[layer];
        let both = match slot.take() {
            Some((old_k, old_v)) => (
                ops::append_positions(&old_k, &k)?,
                ops::append_positions(&old_v, &v)?,
            ),
            None => (k, v),
        };
        Ok(slot.insert(both).clone())
    }
}
