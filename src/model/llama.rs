//! The LLaMA decoder, written out with its hook points (agrees with `LlamaModel` of transformers).
//!
//! Activations are 2-D, `[position, d_model]`: one sequence at a time. It knows nothing of pictures, interventions
//! or lenses. Names are the checkpoint's.

mod batch;
mod block;
mod inside;
mod many;
mod reverse;

use crate::tensor::{DType, Device, Tensor};

pub use self::batch::SideBySide;
use self::block::{Block, Positions};
pub use self::many::Wanted;
use super::config::TextConfig;
use super::hooks::Hooks;
use super::kv_cache::KvCache;
use super::matrix::Matrix;
use super::ops;
use super::rotary::Rotary;
use super::weights::{Part, Weights};
use crate::error::Result;

/// Positions that rotary tables are made for, whatever a config promises.
pub const MAX_POSITIONS: usize = 1 << 15;

/// Immutable weights of the decoder.
pub struct Llama {
    embed_tokens: Matrix, // [vocab, d_model]
    layers: Vec<Block>,
    norm: Tensor,    // [d_model]
    lm_head: Matrix, // [vocab, d_model]
    config: TextConfig,
    rotary: Rotary,
}

impl Llama {
    pub(super) fn load(w: &Weights<'_>, config: &TextConfig) -> Result<Self> {
        let (d, vocab) = (config.hidden_size, config.vocab_size);
        let embed_tokens = w.table(Part::Decoder, "embed_tokens.weight", (vocab, d))?;
        let layers = (0..config.num_hidden_layers).map(|layer| Block::load(w, config, layer));
        let layers = layers.collect::<Result<Vec<_>>>()?;
        let norm = w.get(Part::Decoder, "norm.weight", &[d])?;
        let is_tied = config.tie_word_embeddings;
        let lm_head = match embed_tokens.can_unembed(w.numbers()) {
            true if is_tied => embed_tokens.clone(),
            _ => w.unembedding(is_tied, (vocab, d))?,
        };
        // The lens takes it for every level: made float each time it would need twice its place, and longer.
        let lm_head = lm_head.float_on_card(norm.dtype())?;
        let n_positions = config.max_position_embeddings.min(MAX_POSITIONS);
        let rotary = Rotary::new(
            config.rope_theta,
            config.head_dim,
            n_positions,
            norm.device(),
        )?;
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
        self.norm.device()
    }

    /// The type of the activations.
    pub fn dtype(&self) -> DType {
        self.norm.dtype()
    }

    /// The types of the maps, the one with the most bytes first.
    pub fn map_types(&self) -> Vec<String> {
        let mut n_bytes = std::collections::BTreeMap::<String, u64>::new();
        for matrix in self.maps() {
            *n_bytes.entry(matrix.type_name()).or_default() += matrix.n_bytes();
        }
        let mut types: Vec<_> = n_bytes.into_iter().collect();
        types.sort_by_key(|(_, n_bytes)| std::cmp::Reverse(*n_bytes));
        types.into_iter().map(|(name, _)| name).collect()
    }

    /// Memory of the maps and the embeddings.
    pub fn n_bytes(&self) -> u64 {
        let table = if self.lm_head.shares(&self.embed_tokens) {
            0
        } else {
            self.embed_tokens.n_bytes()
        };
        table + self.map_bytes()
    }

    /// Memory of the maps alone, which is what a generated token reads.
    pub fn map_bytes(&self) -> u64 {
        self.maps().map(Matrix::n_bytes).sum()
    }

    /// All linear maps, the unembedding among them.
    fn maps(&self) -> impl Iterator<Item = &Matrix> {
        self.layers
            .iter()
            .flat_map(Block::weights)
            .chain([&self.lm_head])
    }

    /// Rows of the unembedding, padding included.
    pub fn vocab_size(&self) -> usize {
        self.config.vocab_size
    }

    /// Rows of the input embeddings, `[n, d_model]`. Ids must be below the vocabulary size.
    pub fn embed(&self, ids: &[u32]) -> Result<Tensor> {
        self.embed_tokens.rows(ids, self.dtype())
    }

    /// An empty cache for a sequence that grows to `n` positions.
    pub fn new_cache(&self, n: usize) -> KvCache {
        // On the CPU attention takes keys that follow each other, and memory does not crumble.
        match self.device().is_cuda() {
            true => KvCache::with_room(self.layers.len(), n),
            false => KvCache::new(self.layers.len()),
        }
    }

    /// Products with every row of the input embeddings: `[n, d_model] -> [n, vocab]`, as f32.
    pub fn embedding_products(&self, x: &Tensor) -> Result<Tensor> {
        self.embed_tokens.product_f32(x)
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
        let mut cache = self.new_cache(n + base.n_new);
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
        let (cos, sin) = self.rotary.rows(first_pos, n)?;
        Ok(Positions {
            first_pos,
            batch: 1,
            cos,
            sin,
        })
    }

    /// The final norm: `[n, d_model] -> [n, d_model]`. A lens applies it exactly once.
    pub fn final_norm(&self, x: &Tensor) -> Result<Tensor> {
        Ok(ops::rms_norm(x, &self.norm, self.config.rms_norm_eps)?)
    }

    /// Unembeds normed rows: `[n, d_model] -> [n, vocab]`, as f32.
    pub fn unembed(&self, normed: &Tensor) -> Result<Tensor> {
        self.lm_head.product_f32(normed)
    }

    /// The way along which a token's logit rises fastest in a residual row of a given length, but for the norm itself:
    /// its row of the unembedding times the final norm's weight, `[1, d_model]` in f32.
    pub fn word_direction(&self, id: u32) -> Result<Tensor> {
        let row = self.lm_head.rows(&[id], DType::F32)?;
        Ok(row.broadcast_mul(&self.norm.to_dtype(DType::F32)?)?)
    }

    /// Logits of some tokens in normed rows, `[n, d_model] -> [token, n]`, as f32.
    pub fn logits_of(&self, ids: &[u32], normed: &Tensor) -> Result<Tensor> {
        let rows = self.lm_head.rows(ids, normed.dtype())?; // [token, d_model]
        Ok(ops::product_f32(&rows, normed)?)
    }
}

/// A pass over the same first positions, to go on from.
pub struct Base<'a> {
    /// The residual stream at every level, `[level][n, d_model]`.
    pub resid: &'a [Tensor],
    /// Keys and values of the prompt.
    pub cache: KvCache,
    /// Tokens that will be generated after the pass: its cache has room for them.
    pub n_new: usize,
}
