//! The CLIP vision tower up to the feature layer (agrees with `CLIPVisionModel` of transformers).
//!
//! Blocks above the feature layer and `post_layernorm` are never needed and never loaded.

use crate::tensor::Tensor;

use super::config::VisionConfig;
use super::linear::Linear;
use super::ops::{self, AttentionShape};
use super::weights::{Part, Weights};
use crate::error::Result;

/// Immutable weights of the tower.
pub struct VisionTower {
    class_embedding: Tensor,    // [d]
    patch_embedding: Tensor,    // [d, 3 * patch * patch]
    position_embedding: Tensor, // [1 + patches, d]
    pre_layrnorm: LayerNorm,
    layers: Vec<EncoderLayer>,
    config: VisionConfig,
}

struct EncoderLayer {
    layer_norm1: LayerNorm,
    qkv_proj: Linear, // [3 * d, d]
    out_proj: Linear,
    layer_norm2: LayerNorm,
    fc1: Linear, // [d_ff, d]
    fc2: Linear, // [d, d_ff]
}

struct LayerNorm {
    weight: Tensor, // [d]
    bias: Tensor,   // [d]
    eps: f32,
}

impl LayerNorm {
    fn load(w: &Weights<'_>, name: &str, config: &VisionConfig) -> Result<Self> {
        let vector = |field: &str| {
            w.get(
                Part::Tower,
                &format!("{name}.{field}"),
                &[config.hidden_size],
            )
        };
        Ok(Self {
            weight: vector("weight")?,
            bias: vector("bias")?,
            eps: config.layer_norm_eps as f32,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(ops::layer_norm(x, &self.weight, &self.bias, self.eps)?)
    }
}

impl VisionTower {
    /// Loads the first `n_layers` blocks.
    pub(super) fn load(w: &Weights<'_>, config: &VisionConfig, n_layers: usize) -> Result<Self> {
        let (d, p) = (config.hidden_size, config.patch_size);
        let n_positions = 1 + config.grid().len();
        let get = |name: &str, shape: &[usize]| w.get(Part::Tower, name, shape);
        let patch_embedding = get("embeddings.patch_embedding.weight", &[d, 3, p, p])?;
        let layers = (0..n_layers).map(|layer| EncoderLayer::load(w, config, layer));
        Ok(Self {
            class_embedding: get("embeddings.class_embedding", &[d])?,
            patch_embedding: patch_embedding.reshape((d, 3 * p * p))?,
            position_embedding: get("embeddings.position_embedding.weight", &[n_positions, d])?,
            pre_layrnorm: LayerNorm::load(w, "pre_layrnorm", config)?,
            layers: layers.collect::<Result<_>>()?,
            config: config.clone(),
        })
    }

    /// `pixel_values [3, size, size] -> [1 + patches, d]`, the class token first; the stream after the last loaded
    /// block, without `post_layernorm`.
    pub fn forward(&self, pixel_values: &Tensor) -> Result<Tensor> {
        let patches = ops::product(&self.unfold(pixel_values)?, &self.patch_embedding)?; // [patches, d]
        let x = Tensor::cat(&[&self.class_embedding.unsqueeze(0)?, &patches], 0)?; // [1 + patches, d]
        let x = ops::add(&x, &self.position_embedding)?;
        let mut x = self.pre_layrnorm.forward(&x)?;
        for layer in &self.layers {
            x = layer.forward(&x, &self.config)?;
        }
        Ok(x)
    }

    /// The strided convolution as a product: `[3, size, size] -> [patches, 3 * patch * patch]`.
    fn unfold(&self, pixel_values: &Tensor) -> Result<Tensor> {
        let (grid, p) = (self.config.grid(), self.config.patch_size);
        let x = pixel_values
            .narrow(1, 0, grid.rows * p)?
            .narrow(2, 0, grid.cols * p)?;
        let x = x.reshape((3, grid.rows, p, grid.cols, p))?;
        let x = x.permute((1, 3, 0, 2, 4))?; // [row, col, channel, y, x]
        Ok(x.reshape((grid.len(), 3 * p * p))?)
    }
}

impl EncoderLayer {
    fn load(w: &Weights<'_>, config: &VisionConfig, layer: usize) -> Result<Self> {
        let (d, ff) = (config.hidden_size, config.intermediate_size);
        let name = |field: &str| format!("encoder.layers.{layer}.{field}");
        let linear = |field: &str, shape| Linear::load(w, Part::Tower, &name(field), shape, true);
        let qkv = ["q_proj", "k_proj", "v_proj"].map(|field| name(&format!("self_attn.{field}")));
        let qkv = qkv.each_ref().map(|name| (name.as_str(), d));
        Ok(Self {
            layer_norm1: LayerNorm::load(w, &name("layer_norm1"), config)?,
            qkv_proj: Linear::load_stacked(w, Part::Tower, &qkv, d, true)?,
            out_proj: linear("self_attn.out_proj", (d, d))?,
            layer_norm2: LayerNorm::load(w, &name("layer_norm2"), config)?,
            fc1: linear("mlp.fc1", (ff, d))?,
            fc2: linear("mlp.fc2", (d, ff))?,
        })
    }

    /// `[n, d] -> [n, d]`
    fn forward(&self, x: &Tensor, config: &VisionConfig) -> Result<Tensor> {
        let x = ops::add(x, &self.attend(&self.layer_norm1.forward(x)?, config)?)?;
        let hidden = self.fc1.forward(&self.layer_norm2.forward(&x)?)?; // [n, d_ff]
        let hidden = config.hidden_act.forward(&hidden)?;
        Ok(ops::add(&x, &self.fc2.forward(&hidden)?)?)
    }

    /// Attention without a mask: every patch sees every other.
    fn attend(&self, x: &Tensor, config: &VisionConfig) -> Result<Tensor> {
        let (n, d) = x.dims2()?;
        let heads = config.num_attention_heads;
        let shape = AttentionShape {
            batch: 1,
            n,
            heads,
            kv_heads: heads,
            d_head: d / heads,
            first_pos: 0,
        };
        let (q, k, v) = ops::split_heads(&self.qkv_proj.forward(x)?, &shape)?;
        let z = ops::full_attention(&q, &k, &v, &shape)?;
        self.out_proj.forward(&z)
    }
}
