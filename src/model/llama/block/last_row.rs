//! The last block of a batch of sequences of which only the last row is wanted: keys and values of all rows, the rest
//! of that row alone.

use crate::tensor::Tensor;

use super::{Attention, Block, Positions};
use crate::error::Result;
use crate::model::config::TextConfig;
use crate::model::hooks::{HookSite as Site, Hooks, pass};
use crate::model::kv_cache::KvCache;
use crate::model::ops::{self, AttentionShape};

impl Block {
    /// [`Block::forward`] of sequences of `n` rows, for their last rows: `[sequences * n, d_model] ->
    /// [sequences, d_model]`.
    pub fn forward_last(
        &self,
        x: Tensor,
        layer: usize,
        (pos, n): (&Positions, usize),
        config: &TextConfig,
        cache: &mut KvCache,
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor> {
        let eps = config.rms_norm_eps;
        let x = pass(hooks, layer, Site::ResidPre, pos.first_pos, x)?;
        let normed = ops::rms_norm(&x, &self.input_layernorm, eps)?;
        let qkv = self.self_attn.qkv_proj.forward(&normed)?;
        let attention = &self.self_attn;
        let attn_out = attention.last_rows(&qkv, layer, (pos, n), config, cache, hooks)?;
        let x = every_last(&x, n, 0)?;
        let norm = &self.post_attention_layernorm;
        let (x, normed) = ops::add_rms_norm(&x, &attn_out, norm, eps)?;
        Ok(ops::add(&x, &self.mlp.forward(&normed)?)?)
    }
}

impl Attention {
    /// What attention gives to the last row of each sequence, `[sequences, d_model]`.
    fn last_rows(
        &self,
        qkv: &Tensor, // [sequences * n, (heads + 2 * kv_heads) * d_head]
        layer: usize,
        (pos, n): (&Positions, usize),
        config: &TextConfig,
        cache: &mut KvCache,
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor> {
        let n_rows = pos.n()?; // of one sequence, or of all that are packed
        let shape = AttentionShape {
            batch: pos.batch,
            n: n_rows,
            heads: config.num_attention_heads,
            kv_heads: config.num_key_value_heads,
            d_head: config.head_dim,
            first_pos: pos.first_pos,
        };
        let (q, k, v) = ops::split_rotated_heads(qkv, &pos.cos, &pos.sin, &shape)?;
        let (k, v) = cache.append(layer, k, v)?;
        let n_keys = k.dim(1)?;
        let blocked = hooks.blocked(layer, (pos.first_pos, n_rows, n_keys), q.device())?;
        let blocked = match blocked {
            Some(blocked) => Some(every_last(&blocked, n, 1)?),
            None => None,
        };
        // Every key is behind the last row or blocked from it, so nothing is hidden by its position.
        let last = AttentionShape {
            n: n_rows / n,
            first_pos: n_keys - 1,
            ..shape
        };
        let z = ops::attention(&every_last(&q, n, 1)?, &k, &v, blocked.as_ref(), &last)?;
        self.o_proj.forward(&z)
    }
}

/// Every `n`-th index of a dimension, from the `n`-th on.
fn every_last(x: &Tensor, n: usize, dim: usize) -> Result<Tensor> {
    if n == 1 {
        return Ok(x.clone());
    }
    let index: Vec<u32> = (0..x.dim(dim)? / n)
        .map(|i| ((i + 1) * n - 1) as u32)
        .collect();
    Ok(x.contiguous()?
        .index_select(&Tensor::new(index, x.device())?, dim)?)
}
