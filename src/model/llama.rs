//! The LLaMA decoder, written out with its hook points (agrees with `LlamaModel` of transformers).
//!
//! Activations are 2-D, `[position, d_model]`: one sequence at a time. It knows nothing of pictures, interventions
//! or lenses. Names are the checkpoint's.

use candle_core::{D, DType, Device, Tensor};

use super::config::TextConfig;
use super::hooks::{HookPoint, HookSite as Site, Hooks, pass};
use super::kv_cache::KvCache;
use super::ops;
use super::weights::{Part, Weights};
use crate::error::Result;

/// Immutable weights of the decoder.
pub struct Llama {
    embed_tokens: Tensor, // [vocab, d_model]
    layers: Vec<Block>,
    norm: Tensor,    // [d_model]
    lm_head: Tensor, // [vocab, d_model]
    config: TextConfig,
    rotary: Rotary,
}

struct Block {
    input_layernorm: Tensor, // [d_model]
    self_attn: Attention,
    post_attention_layernorm: Tensor, // [d_model]
    mlp: Mlp,
}

struct Attention {
    q_proj: Linear, // [heads * d_head, d_model]
    k_proj: Linear, // [kv_heads * d_head, d_model]
    v_proj: Linear, // [kv_heads * d_head, d_model]
    o_proj: Linear, // [d_model, heads * d_head]
}

struct Mlp {
    gate_proj: Linear, // [d_ff, d_model]
    up_proj: Linear,   // [d_ff, d_model]
    down_proj: Linear, // [d_model, d_ff]
}

/// A weight `[out, in]` and perhaps a bias `[out]`.
pub(super) struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    pub(super) fn load(
        w: &Weights<'_>,
        part: Part,
        name: &str,
        shape: (usize, usize),
        bias: bool,
    ) -> Result<Self> {
        let weight = w.get(part, &format!("{name}.weight"), &[shape.0, shape.1])?;
        let bias = match bias {
            true => Some(w.get(part, &format!("{name}.bias"), &[shape.0])?),
            false => None,
        };
        Ok(Self { weight, bias })
    }

    /// `[n, in] -> [n, out]`
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = x.matmul(&self.weight.t()?)?;
        Ok(match &self.bias {
            Some(bias) => y.broadcast_add(bias)?,
            None => y,
        })
    }
}

impl Llama {
    pub(super) fn load(w: &Weights<'_>, config: &TextConfig) -> Result<Self> {
        let (d, vocab) = (config.hidden_size, config.vocab_size);
        let embed_tokens = w.get(Part::Decoder, "embed_tokens.weight", &[vocab, d])?;
        let layers = (0..config.num_hidden_layers).map(|layer| Block::load(w, config, layer));
        let layers = layers.collect::<Result<Vec<_>>>()?;
        let norm = w.get(Part::Decoder, "norm.weight", &[d])?;
        let lm_head = match config.tie_word_embeddings {
            true => embed_tokens.clone(),
            false => w.get(Part::Head, "lm_head.weight", &[vocab, d])?,
        };
        let rotary = Rotary {
            theta: config.rope_theta,
            d_head: config.head_dim,
        };
        Ok(Self {
            embed_tokens,
            layers,
            norm,
            lm_head,
            config: config.clone(),
            rotary,
        })
    }

    pub fn device(&self) -> &Device {
        self.embed_tokens.device()
    }

    pub fn dtype(&self) -> DType {
        self.embed_tokens.dtype()
    }

    /// Rows of the unembedding, padding included.
    pub fn vocab_size(&self) -> usize {
        self.config.vocab_size
    }

    /// Rows of the input embeddings, `[n, d_model]`. Ids must be below the vocabulary size.
    pub fn embed(&self, ids: &[u32]) -> Result<Tensor> {
        let ids = Tensor::new(ids, self.device())?;
        Ok(self.embed_tokens.index_select(&ids, 0)?)
    }

    /// Runs all blocks over `x`, `[n, d_model]`, the rows at the positions that follow those in `cache`.
    /// Gives the residual stream after the last block, never normed, `[n, d_model]`.
    pub fn forward(&self, x: Tensor, cache: &mut KvCache, hooks: &mut dyn Hooks) -> Result<Tensor> {
        let pos = self.positions(cache.len(), x.dim(0)?)?;
        let mut x = x;
        for (layer, block) in self.layers.iter().enumerate() {
            x = block.forward(x, layer, &pos, &self.config, cache, hooks)?;
        }
        Ok(x)
    }

    /// Runs only the rows that can differ from another pass over the same first positions: from row `rows_from[block]`
    /// on in each block (never rising; `n` for none). Rows before come from `base`, keys and values likewise.
    ///
    /// `embeds` is what enters the decoder, all rows, `[n, d_model]`. Gives the rows of the last block that were
    /// computed, `None` where none were, and the cache of the whole pass. Agrees with [`Llama::forward`] up to rounding.
    pub fn resume(
        &self,
        embeds: &Tensor,
        base: &Base<'_>,
        rows_from: &[usize],
        hooks: &mut dyn Hooks,
    ) -> Result<(Option<Tensor>, KvCache)> {
        let n = embeds.dim(0)?;
        let mut cache = KvCache::new(self.layers.len());
        let mut rows: Option<(usize, Tensor)> = None; // the first row and what follows, [n - first, d_model]
        let mut pos: Option<Positions> = None;
        for (layer, block) in self.layers.iter().enumerate() {
            let first = rows_from[layer];
            cache.start_from(layer, &base.cache, first)?;
            if first >= n {
                continue;
            }
            let stream = if layer == 0 {
                embeds
            } else {
                &base.resid[layer]
            };
            let x = match rows.take() {
                None => stream.narrow(0, first, n - first)?.contiguous()?,
                Some((before, x)) if before == first => x,
                Some((before, x)) => {
                    Tensor::cat(&[&stream.narrow(0, first, before - first)?, &x], 0)?
                }
            };
            if pos.as_ref().is_none_or(|pos| pos.first_pos != first) {
                pos = Some(self.positions(first, n - first)?);
            }
            if let Some(pos) = &pos {
                let x = block.forward(x, layer, pos, &self.config, &mut cache, hooks)?;
                rows = Some((first, x));
            }
        }
        Ok((rows.map(|(_, x)| x), cache))
    }

    /// What all blocks share that compute `n` rows from position `first_pos` on.
    fn positions(&self, first_pos: usize, n: usize) -> Result<Positions> {
        let (cos, sin) = self
            .rotary
            .tables(first_pos, n, self.dtype(), self.device())?;
        let mask = causal_mask(n, first_pos, self.dtype(), self.device())?;
        Ok(Positions {
            first_pos,
            cos,
            sin,
            mask,
        })
    }

    /// The final norm: `[n, d_model] -> [n, d_model]`. A lens applies it exactly once.
    pub fn final_norm(&self, x: &Tensor) -> Result<Tensor> {
        rms_norm(x, &self.norm, self.config.rms_norm_eps)
    }

    /// Unembeds normed rows: `[n, d_model] -> [n, vocab]`, as f32.
    pub fn unembed(&self, normed: &Tensor) -> Result<Tensor> {
        Ok(normed.matmul(&self.lm_head.t()?)?.to_dtype(DType::F32)?)
    }

    /// Unembedding rows of some tokens, `[n, d_model]`.
    pub fn unembedding_rows(&self, ids: &[u32]) -> Result<Tensor> {
        let ids = Tensor::new(ids, self.device())?;
        Ok(self.lm_head.index_select(&ids, 0)?)
    }
}

/// A pass over the same first positions, to go on from.
pub struct Base<'a> {
    /// The residual stream at every level, `[level][n, d_model]`.
    pub resid: &'a [Tensor],
    /// Keys and values of the prompt.
    pub cache: KvCache,
}

/// What all blocks of one pass share.
struct Positions {
    first_pos: usize,
    cos: Tensor, // [n, d_head / 2]
    sin: Tensor, // [n, d_head / 2]
    /// 0 where a query may attend, −∞ after it; `None` for one row, which sees everything. `[n, first_pos + n]`
    mask: Option<Tensor>,
}

impl Block {
    fn load(w: &Weights<'_>, c: &TextConfig, layer: usize) -> Result<Self> {
        let (d, ff) = (c.hidden_size, c.intermediate_size);
        let (q, kv) = (
            c.num_attention_heads * c.head_dim,
            c.num_key_value_heads * c.head_dim,
        );
        let linear = |name: &str, shape, bias| {
            Linear::load(
                w,
                Part::Decoder,
                &format!("layers.{layer}.{name}"),
                shape,
                bias,
            )
        };
        let vector = |name: &str| {
            w.get(
                Part::Decoder,
                &format!("layers.{layer}.{name}.weight"),
                &[d],
            )
        };
        let block = Self {
            input_layernorm: vector("input_layernorm")?,
            self_attn: Attention {
                q_proj: linear("self_attn.q_proj", (q, d), c.attention_bias)?,
                k_proj: linear("self_attn.k_proj", (kv, d), c.attention_bias)?,
                v_proj: linear("self_attn.v_proj", (kv, d), c.attention_bias)?,
                o_proj: linear("self_attn.o_proj", (d, q), c.attention_bias)?,
            },
            post_attention_layernorm: vector("post_attention_layernorm")?,
            mlp: Mlp {
                gate_proj: linear("mlp.gate_proj", (ff, d), c.mlp_bias)?,
                up_proj: linear("mlp.up_proj", (ff, d), c.mlp_bias)?,
                down_proj: linear("mlp.down_proj", (d, ff), c.mlp_bias)?,
            },
        };
        Ok(block)
    }

    fn forward(
        &self,
        x: Tensor,
        layer: usize,
        pos: &Positions,
        config: &TextConfig,
        cache: &mut KvCache,
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor> {
        let at = pos.first_pos;
        let x = pass(hooks, layer, Site::ResidPre, at, x)?;
        let normed = rms_norm(&x, &self.input_layernorm, config.rms_norm_eps)?;
        let attn_out = self
            .self_attn
            .forward(&normed, layer, pos, config, cache, hooks)?;
        let attn_out = pass(hooks, layer, Site::AttnOut, at, attn_out)?;
        let x = pass(hooks, layer, Site::ResidMid, at, (x + attn_out)?)?;
        let normed = rms_norm(&x, &self.post_attention_layernorm, config.rms_norm_eps)?;
        let mlp_out = pass(hooks, layer, Site::MlpOut, at, self.mlp.forward(&normed)?)?;
        pass(hooks, layer, Site::ResidPost, at, (x + mlp_out)?)
    }
}

impl Attention {
    fn forward(
        &self,
        x: &Tensor, // [n, d_model]
        layer: usize,
        pos: &Positions,
        config: &TextConfig,
        cache: &mut KvCache,
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor> {
        let (n, at) = (x.dim(0)?, pos.first_pos);
        let (heads, kv_heads) = (config.num_attention_heads, config.num_key_value_heads);
        let split = |x: Tensor, heads: usize| -> Result<Tensor> {
            Ok(x.reshape((n, heads, config.head_dim))?
                .transpose(0, 1)?
                .contiguous()?)
        };
        let q = split(self.q_proj.forward(x)?, heads)?; // [head, n, d_head]
        let k = split(self.k_proj.forward(x)?, kv_heads)?; // [kv_head, n, d_head]
        let v = split(self.v_proj.forward(x)?, kv_heads)?; // [kv_head, n, d_head]
        let q = pass(hooks, layer, Site::Q, at, q)?;
        let k = pass(hooks, layer, Site::K, at, k)?;
        let v = pass(hooks, layer, Site::V, at, v)?;
        let (q, k) = (rotate(&q, pos)?, rotate(&k, pos)?);
        let (k, v) = cache.append(layer, k, v)?; // [kv_head, keys, d_head]
        let k = repeat_heads(k, heads / kv_heads)?; // [head, keys, d_head]
        let v = repeat_heads(v, heads / kv_heads)?;

        let scale = 1.0 / (config.head_dim as f32).sqrt();
        let scores = q.matmul(&k.t()?)?; // [head, query, key]
        let pattern = attend(scores, scale, layer, pos, hooks)?;
        let pattern = pass(hooks, layer, Site::Pattern, at, pattern)?;
        let z = pass(hooks, layer, Site::Z, at, pattern.matmul(&v)?)?; // [head, query, d_head]
        let z = z.transpose(0, 1)?.reshape((n, heads * config.head_dim))?;
        self.o_proj.forward(&z)
    }
}

/// Products of queries and keys to the pattern, `[head, query, key]` both.
fn attend(
    scores: Tensor,
    scale: f32,
    layer: usize,
    pos: &Positions,
    hooks: &mut dyn Hooks,
) -> Result<Tensor> {
    let is_looked_at = hooks.wants(HookPoint {
        layer,
        site: Site::AttnScores,
    });
    if ops::is_fast(&scores) && !is_looked_at {
        ops::causal_softmax(&scores, pos.first_pos, scale)?;
        return Ok(scores);
    }
    let scores = (scores * f64::from(scale))?;
    let scores = match &pos.mask {
        Some(mask) => scores.broadcast_add(mask)?,
        None => scores,
    };
    let scores = pass(hooks, layer, Site::AttnScores, pos.first_pos, scores)?;
    if ops::is_fast(&scores) {
        let pattern = scores.contiguous()?.copy()?;
        ops::softmax(&pattern)?;
        return Ok(pattern);
    }
    let pattern = candle_nn::ops::softmax_last_dim(&scores.to_dtype(DType::F32)?)?;
    Ok(pattern.to_dtype(scores.dtype())?)
}

impl Mlp {
    /// `[n, d_model] -> [n, d_model]`
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let gate = self.gate_proj.forward(x)?; // [n, d_ff]
        let up = self.up_proj.forward(x)?;
        let hidden = match ops::is_fast(&gate) {
            true => ops::silu_mul(&gate, &up)?,
            false => (gate.silu()? * up)?,
        };
        self.down_proj.forward(&hidden)
    }
}

/// Rotary position embedding, rotate-half form (`LlamaRotaryEmbedding`, rope type `default`).
struct Rotary {
    theta: f64,
    d_head: usize,
}

impl Rotary {
    /// cos and sin of the positions `first..first + n`, each `[n, d_head / 2]`.
    fn tables(
        &self,
        first: usize,
        n: usize,
        dtype: DType,
        device: &Device,
    ) -> Result<(Tensor, Tensor)> {
        let half = self.d_head / 2;
        let inverse =
            |i: usize| 1f32 / (self.theta as f32).powf(2.0 * i as f32 / self.d_head as f32);
        let inverse: Vec<f32> = (0..half).map(inverse).collect();
        let angles: Vec<f32> = (first..first + n)
            .flat_map(|pos| inverse.iter().map(move |f| pos as f32 * f))
            .collect();
        let table = |values: Vec<f32>| -> Result<Tensor> {
            Ok(Tensor::from_vec(values, (n, half), device)?.to_dtype(dtype)?)
        };
        let cos = table(angles.iter().map(|a| a.cos()).collect())?;
        Ok((cos, table(angles.iter().map(|a| a.sin()).collect())?))
    }
}

/// `[head, n, d_head] -> [head, n, d_head]`
fn rotate(x: &Tensor, pos: &Positions) -> Result<Tensor> {
    let x = x.contiguous()?.unsqueeze(0)?; // [1, head, n, d_head]
    Ok(candle_nn::rotary_emb::rope(&x, &pos.cos, &pos.sin)?.squeeze(0)?)
}

/// Grouped-query attention: each key/value head serves `groups` query heads that follow each other.
fn repeat_heads(x: Tensor, groups: usize) -> Result<Tensor> {
    Ok(candle_transformers::utils::repeat_kv(x.unsqueeze(0)?, groups)?.squeeze(0)?)
}

/// `[n, first_pos + n]`, additive; `None` where nothing is masked.
fn causal_mask(
    n: usize,
    first_pos: usize,
    dtype: DType,
    device: &Device,
) -> Result<Option<Tensor>> {
    if n == 1 {
        return Ok(None);
    }
    let keys = first_pos + n;
    let value = |query: usize, key: usize| {
        if key > first_pos + query {
            f32::NEG_INFINITY
        } else {
            0.0
        }
    };
    let values: Vec<f32> = (0..n)
        .flat_map(|q| (0..keys).map(move |k| value(q, k)))
        .collect();
    Ok(Some(
        Tensor::from_vec(values, (n, keys), device)?.to_dtype(dtype)?,
    ))
}

fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    debug_assert_eq!(x.dim(D::Minus1).ok(), weight.dim(0).ok());
    Ok(candle_nn::ops::rms_norm(
        &x.contiguous()?,
        weight,
        eps as f32,
    )?)
}
