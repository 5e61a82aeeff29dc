//! Looking into a pass that is through: blocks once more over some of its rows, each from the stream that entered it, and
//! the directions along which a logit is linear.
//!
//! Nothing is changed and nothing is propagated: what leaves a block here is dropped. The hooks see it.

use crate::tensor::{D, DType, Tensor};

use super::Llama;
use crate::error::Result;
use crate::model::hooks::Hooks;
use crate::model::kv_cache::KvCache;

impl Llama {
    /// Runs one block over rows of a finished pass, `[n, d_model]`, the positions from `first` on, with keys and values
    /// of the positions before from `cache`. With `attention_only` the block stops at the output of attention.
    pub fn look_inside(
        &self,
        layer: usize,
        rows: &Tensor,
        first: usize,
        cache: &KvCache,
        hooks: &mut dyn Hooks,
        attention_only: bool,
    ) -> Result<()> {
        let pos = self.positions(first, rows.dim(0)?)?;
        let mut own = KvCache::new(self.layers.len());
        own.start_from(layer, cache, first)?;
        let (block, rows) = (&self.layers[layer], rows.contiguous()?);
        if attention_only {
            block.attend(&rows, layer, &pos, &self.config, &mut own, hooks)?;
        } else {
            block.forward(rows, layer, &pos, &self.config, &mut own, hooks)?;
        }
        Ok(())
    }

    /// The direction in the stream along which a token's logit grows: the token's row of the unembedding times the final
    /// norm's weight, divided by the norm's scale for this row, `[1, d_model]`. Gives `[d_model, 1]`, f32; the row's
    /// product with it is the logit.
    pub fn logit_direction(&self, id: u32, row: &Tensor) -> Result<Tensor> {
        let row = row.to_dtype(DType::F32)?;
        let scale = (row.sqr()?.mean(D::Minus1)? + self.config.rms_norm_eps)?.sqrt()?; // [1]
        let unembedding = self.lm_head.rows(&[id], DType::F32)?; // [1, d_model]
        let weight = self.norm.to_dtype(DType::F32)?;
        let direction = unembedding.broadcast_mul(&weight)?.broadcast_div(&scale)?;
        Ok(direction.t()?.contiguous()?)
    }

    /// What a direction in the stream, `[d_model, 1]`, is before a block's output map: `[kv_head, d_head, group]`, f32.
    /// The value of a head has the same product with its slice as its part of the block's output has with the direction.
    pub fn before_output_map(&self, layer: usize, direction: &Tensor) -> Result<Tensor> {
        let weight = self.layers[layer].output_map()?; // [d_model, heads * d_head]
        let slices = direction.t()?.matmul(&weight.to_dtype(DType::F32)?)?; // [1, heads * d_head]
        let kv_heads = self.config.num_key_value_heads;
        let groups = self.config.num_attention_heads / kv_heads;
        let slices = slices.reshape((kv_heads, groups, self.config.head_dim))?;
        Ok(slices.transpose(1, 2)?.contiguous()?)
    }
}
