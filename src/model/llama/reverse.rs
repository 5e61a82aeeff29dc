//! The gradient of one logit of the last row with respect to what enters the decoder: the forward pass with every step
//! kept, then the same steps backwards, written out.
//!
//! Fast operations have no derivative in candle, and its own backward pass would also make gradients of every weight.
//! The tests compare with candle's backward pass over plain operations, and with differences.

use crate::tensor::{D, DType, Tensor};

use super::Llama;
use super::block::{Block, Positions};
use crate::error::Result;
use crate::model::config::TextConfig;
use crate::model::ops;

/// What the way back needs of a block.
pub(super) struct Steps {
    x: Tensor, // [n, d_model]
    /// Rotated. `[head, n, d_head]`
    q: Tensor,
    /// Rotated, one for each query head.
    k: Tensor,
    v: Tensor,
    pattern: Tensor, // [head, query, key]
    mid: Tensor,     // [n, d_model]
    gate_up: Tensor, // [n, 2 * d_ff]
}

/// Gradients are computed this much larger and made smaller at the end, so that f16 holds them.
const SCALE: f64 = 256.0;

impl Llama {
    /// The logit of `token` at the last row and its gradient. `embeds` is what enters the decoder, `[n, d_model]`, all
    /// of it; the gradient is f32, `[n, d_model]`.
    ///
    /// # Errors
    /// A failing device.
    pub fn gradient_of_logit(&self, embeds: &Tensor, token: u32) -> Result<(f32, Tensor)> {
        let n = embeds.dim(0)?;
        let pos = self.positions(0, n)?;
        let mut x = embeds.clone();
        let mut steps = Vec::with_capacity(self.layers.len());
        for block in &self.layers {
            let (kept, out) = block.forward_kept(x, &pos, &self.config)?;
            steps.push(kept);
            x = out;
        }
        let eps = self.config.rms_norm_eps;
        let last = x.narrow(0, n - 1, 1)?.contiguous()?;
        let normed = self.final_norm(&last)?;
        let logit = self.logits_of(&[token], &normed)?.flatten_all()?;
        let logit = logit.to_vec1::<f32>()?.first().copied().unwrap_or(0.0);
        let unembedding = (self.lm_head.rows(&[token], x.dtype())? * SCALE)?; // [1, d_model]
        let d_last = ops::rms_norm_back(&last, &self.norm, eps, &unembedding)?;
        let mut dx = match n {
            1 => d_last,
            _ => d_last.pad_with_zeros(0, n - 1, 0)?,
        };
        for (block, kept) in self.layers.iter().zip(&steps).rev() {
            dx = block.back(&dx, kept, &pos, &self.config)?;
        }
        Ok((logit, (dx.to_dtype(DType::F32)? / SCALE)?))
    }
}

impl Block {
    /// `[n, d_model] -> [n, d_model]`, and every step of it.
    fn forward_kept(
        &self,
        x: Tensor,
        pos: &Positions,
        config: &TextConfig,
    ) -> Result<(Steps, Tensor)> {
        let eps = config.rms_norm_eps;
        let normed = ops::rms_norm(&x, &self.input_layernorm, eps)?;
        let shape = self.self_attn.shape(pos, config)?;
        let qkv = self.self_attn.qkv_proj.forward(&normed)?;
        let (q, k, v) = ops::split_rotated_heads(&qkv, &pos.cos, &pos.sin, &shape)?;
        let (k, v) = (
            ops::repeat_heads(&k, &shape)?,
            ops::repeat_heads(&v, &shape)?,
        );
        let pattern = ops::softmax(&ops::masked_scores(&q, &k, None, &shape)?)?;
        let z = ops::merge_heads(&pattern.matmul(&v.contiguous()?)?, &shape)?;
        let mid = ops::add(&x, &self.self_attn.o_proj.forward(&z)?)?;
        let normed = ops::rms_norm(&mid, &self.post_attention_layernorm, eps)?;
        let gate_up = self.mlp.gate_up_proj.forward(&normed)?;
        let out = self.mlp.down_proj.forward(&ops::silu_mul(&gate_up)?)?;
        let out = ops::add(&mid, &out)?;
        let steps = Steps {
            x,
            q,
            k,
            v,
            pattern,
            mid,
            gate_up,
        };
        Ok((steps, out))
    }

    /// From the gradient of what leaves the block to that of what enters it, `[n, d_model]`.
    fn back(
        &self,
        dx: &Tensor,
        kept: &Steps,
        pos: &Positions,
        config: &TextConfig,
    ) -> Result<Tensor> {
        let eps = config.rms_norm_eps;
        let d_act = self.mlp.down_proj.back(dx)?;
        let d_normed = (self.mlp.gate_up_proj).back(&ops::silu_mul_back(&kept.gate_up, &d_act)?)?;
        let norm = &self.post_attention_layernorm;
        let d_mid = (dx + ops::rms_norm_back(&kept.mid, norm, eps, &d_normed)?)?;
        let d_qkv = self.attention_back(&d_mid, kept, pos, config)?;
        let d_normed = self.self_attn.qkv_proj.back(&d_qkv)?;
        let d_x = ops::rms_norm_back(&kept.x, &self.input_layernorm, eps, &d_normed)?;
        Ok((d_mid + d_x)?)
    }

    /// From the gradient of what attention gives to that of queries, keys and values, `[n, (heads + 2 * kv_heads) *
    /// d_head]`.
    fn attention_back(
        &self,
        d_out: &Tensor,
        kept: &Steps,
        pos: &Positions,
        config: &TextConfig,
    ) -> Result<Tensor> {
        let shape = self.self_attn.shape(pos, config)?;
        let (n, heads, d_head) = (shape.n, shape.heads, shape.d_head);
        let d_z = self.self_attn.o_proj.back(d_out)?; // [n, heads * d_head]
        let d_z = d_z
            .reshape((n, heads, d_head))?
            .transpose(0, 1)?
            .contiguous()?;
        let d_pattern = d_z.matmul(&kept.v.t()?)?;
        let d_v = kept.pattern.t()?.matmul(&d_z)?;
        let d_scores = ops::softmax_back(&kept.pattern, &d_pattern)?;
        let d_scores = (d_scores / (d_head as f64).sqrt())?;
        let d_q = d_scores.matmul(&kept.k.contiguous()?)?;
        let d_k = d_scores.t()?.matmul(&kept.q.contiguous()?)?;
        // Turned back: the transpose of a rotation.
        let sin = pos.sin.neg()?;
        let d_q = ops::rotate(&d_q, &pos.cos, &sin)?;
        let d_k = ops::rotate(&ops::sum_of_groups(&d_k, &shape)?, &pos.cos, &sin)?;
        let d_v = ops::sum_of_groups(&d_v, &shape)?;
        let all = Tensor::cat(&[&d_q, &d_k, &d_v], 0)?; // [heads + 2 * kv_heads, n, d_head]
        Ok(all.transpose(0, 1)?.contiguous()?.flatten_from(D::Minus2)?)
    }
}
