//! One decoder block: RMSNorm, causal self-attention, RMSNorm, gated MLP, with their hook points.
//!
//! Points that nobody looks at are fused into larger operations (`ops`); a point that someone wants is computed by
//! itself. Both ways agree up to rounding.

mod last_row;

use crate::tensor::Tensor;

use crate::error::Result;
use crate::model::config::TextConfig;
use crate::model::hooks::{HookPoint, HookSite as Site, Hooks, pass};
use crate::model::kv_cache::KvCache;
use crate::model::linear::Linear;
use crate::model::matrix::Matrix;
use crate::model::ops::{self, AttentionShape};
use crate::model::weights::{Part, Weights};

pub(super) struct Block {
    pub(super) input_layernorm: Tensor, // [d_model]
    pub(super) self_attn: Attention,
    pub(super) post_attention_layernorm: Tensor, // [d_model]
    pub(super) mlp: Mlp,
}

pub(super) struct Attention {
    pub(super) qkv_proj: Linear, // [(heads + 2 * kv_heads) * d_head, d_model]
    pub(super) o_proj: Linear,   // [d_model, heads * d_head]
}

pub(super) struct Mlp {
    pub(super) gate_up_proj: Linear, // [2 * d_ff, d_model]
    pub(super) down_proj: Linear,    // [d_model, d_ff]
}

/// What all blocks of one pass share. The rows are those of `batch` sequences one after the other, each with the
/// positions from `first_pos` on.
pub(super) struct Positions {
    pub first_pos: usize,
    pub batch: usize,
    /// f32, `[n, d_head / 2]`
    pub cos: Tensor,
    pub sin: Tensor,
}

impl Positions {
    /// Rows of one sequence.
    fn n(&self) -> Result<usize> {
        Ok(self.cos.dim(0)?)
    }
}

impl Block {
    pub fn load(w: &Weights<'_>, c: &TextConfig, layer: usize) -> Result<Self> {
        let (d, ff) = (c.hidden_size, c.intermediate_size);
        let (q, kv) = (
            c.num_attention_heads * c.head_dim,
            c.num_key_value_heads * c.head_dim,
        );
        let linear = |names: &[(&str, usize)], n_in, bias| {
            let names: Vec<_> = (names.iter())
                .map(|(name, n)| (format!("layers.{layer}.{name}"), *n))
                .collect();
            let names: Vec<_> = names.iter().map(|(name, n)| (name.as_str(), *n)).collect();
            Linear::load_stacked(w, Part::Decoder, &names, n_in, bias)
        };
        let vector = |name: &str| {
            let name = format!("layers.{layer}.{name}.weight");
            w.get(Part::Decoder, &name, &[d])
        };
        let qkv = [
            ("self_attn.q_proj", q),
            ("self_attn.k_proj", kv),
            ("self_attn.v_proj", kv),
        ];
        let gate_up = [("mlp.gate_proj", ff), ("mlp.up_proj", ff)];
        Ok(Self {
            input_layernorm: vector("input_layernorm")?,
            self_attn: Attention {
                qkv_proj: linear(&qkv, d, c.attention_bias)?,
                o_proj: linear(&[("self_attn.o_proj", d)], q, c.attention_bias)?,
            },
            post_attention_layernorm: vector("post_attention_layernorm")?,
            mlp: Mlp {
                gate_up_proj: linear(&gate_up, d, c.mlp_bias)?,
                down_proj: linear(&[("mlp.down_proj", d)], ff, c.mlp_bias)?,
            },
        })
    }

    /// The matrices of all its maps.
    pub fn weights(&self) -> impl Iterator<Item = &Matrix> {
        let (attn, mlp) = (&self.self_attn, &self.mlp);
        let maps = [
            &attn.qkv_proj,
            &attn.o_proj,
            &mlp.gate_up_proj,
            &mlp.down_proj,
        ];
        maps.into_iter().flat_map(Linear::weights)
    }

    /// The output map of attention in a float type, `[d_model, heads * d_head]`.
    pub fn output_map(&self) -> Result<Tensor> {
        let maps = self.self_attn.o_proj.weights();
        let maps = maps.iter().map(Matrix::float).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&maps, 0)?)
    }

    /// What attention makes of rows of the stream that have met the hooks of their level already, `[n, d_model] ->
    /// [n, d_model]`.
    pub fn attend(
        &self,
        x: &Tensor,
        layer: usize,
        pos: &Positions,
        config: &TextConfig,
        cache: &mut KvCache,
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor> {
        let normed = ops::rms_norm(x, &self.input_layernorm, config.rms_norm_eps)?;
        let attention = &self.self_attn;
        attention.forward(&normed, layer, pos, config, cache, hooks)
    }

    /// `[batch * n, d_model] -> [batch * n, d_model]`
    pub fn forward(
        &self,
        x: Tensor,
        layer: usize,
        pos: &Positions,
        config: &TextConfig,
        cache: &mut KvCache,
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor> {
        let (at, eps) = (pos.first_pos, config.rms_norm_eps);
        let x = pass(hooks, layer, Site::ResidPre, at, x)?;
        let normed = ops::rms_norm(&x, &self.input_layernorm, eps)?;
        let attn_out = self
            .self_attn
            .forward(&normed, layer, pos, config, cache, hooks)?;
        let attn_out = pass(hooks, layer, Site::AttnOut, at, attn_out)?;
        let norm = &self.post_attention_layernorm;
        let (x, normed) = if wants(hooks, layer, &[Site::ResidMid]) {
            let x = pass(hooks, layer, Site::ResidMid, at, ops::add(&x, &attn_out)?)?;
            let normed = ops::rms_norm(&x, norm, eps)?;
            (x, normed)
        } else {
            ops::add_rms_norm(&x, &attn_out, norm, eps)?
        };
        let mlp_out = pass(hooks, layer, Site::MlpOut, at, self.mlp.forward(&normed)?)?;
        pass(hooks, layer, Site::ResidPost, at, ops::add(&x, &mlp_out)?)
    }
}

impl Attention {
    /// Sizes of the attention of one pass.
    pub fn shape(&self, pos: &Positions, config: &TextConfig) -> Result<AttentionShape> {
        Ok(AttentionShape {
            batch: pos.batch,
            n: pos.n()?,
            heads: config.num_attention_heads,
            kv_heads: config.num_key_value_heads,
            d_head: config.head_dim,
            first_pos: pos.first_pos,
        })
    }

    fn forward(
        &self,
        x: &Tensor, // [batch * n, d_model]
        layer: usize,
        pos: &Positions,
        config: &TextConfig,
        cache: &mut KvCache,
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor> {
        let shape = self.shape(pos, config)?;
        let qkv = self.qkv_proj.forward(x)?; // [batch * n, (heads + 2 * kv_heads) * d_head]
        let (q, k, v) = if wants(hooks, layer, &[Site::Q, Site::K, Site::V]) {
            let (q, k, v) = ops::split_heads(&qkv, &shape)?;
            let q = pass(hooks, layer, Site::Q, pos.first_pos, q)?;
            let k = pass(hooks, layer, Site::K, pos.first_pos, k)?;
            let v = pass(hooks, layer, Site::V, pos.first_pos, v)?;
            let rotate = |x: &Tensor| ops::rotate(x, &pos.cos, &pos.sin);
            (rotate(&q)?, rotate(&k)?, v)
        } else {
            ops::split_rotated_heads(&qkv, &pos.cos, &pos.sin, &shape)?
        };
        let (k, v) = cache.append(layer, k, v)?; // [batch * kv_head, keys, d_head]
        let (n_queries, n_keys) = (shape.n, k.dim(1)?);
        let blocked = hooks.blocked(layer, (pos.first_pos, n_queries, n_keys), q.device())?;
        let z = if wants(hooks, layer, &[Site::AttnScores, Site::Pattern, Site::Z]) {
            attend_by_steps(&q, &k, &v, blocked.as_ref(), layer, &shape, hooks)?
        } else {
            ops::attention(&q, &k, &v, blocked.as_ref(), &shape)?
        };
        self.o_proj.forward(&z)
    }
}

/// [`ops::attention`] with its hook points. Gives `[batch * n, heads * d_head]`.
fn attend_by_steps(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    blocked: Option<&Tensor>,
    layer: usize,
    shape: &AttentionShape,
    hooks: &mut dyn Hooks,
) -> Result<Tensor> {
    let at = shape.first_pos;
    let v = ops::repeat_heads(v, shape)?;
    let scores = ops::masked_scores(q, &ops::repeat_heads(k, shape)?, blocked, shape)?;
    let scores = pass(hooks, layer, Site::AttnScores, at, scores)?;
    let pattern = pass(hooks, layer, Site::Pattern, at, ops::softmax(&scores)?)?;
    let z = pass(hooks, layer, Site::Z, at, pattern.matmul(&v)?)?; // [batch * head, query, d_head]
    Ok(ops::merge_heads(&z, shape)?)
}

/// Whether someone looks at one of these points.
fn wants(hooks: &dyn Hooks, layer: usize, sites: &[Site]) -> bool {
    (sites.iter()).any(|&site| hooks.wants(HookPoint { layer, site }))
}

impl Mlp {
    /// `[n, d_model] -> [n, d_model]`
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let gate_up = self.gate_up_proj.forward(x)?; // [n, 2 * d_ff]
        self.down_proj.forward(&ops::silu_mul(&gate_up)?)
    }
}
