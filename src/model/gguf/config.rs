//! The metadata of a pair of GGUF files as the configuration that Hugging Face's files would hold.
//!
//! The values are put into the form of `config.json` and `preprocessor_config.json` and checked there, so that both ways
//! refuse the same. What the metadata leaves out has llama.cpp's defaults.

use serde_json::{Value, json};

use super::file::GgufFile;
use super::pair::GgufPair;
use crate::error::{Error, Result};
use crate::model::config::Config;
use crate::model::preprocess::PictureConfig;

impl GgufPair {
    /// Sizes and numbers of tower, projector and decoder. `image_token_id` stands for the picture in a prompt; the
    /// embeddings of the picture are put in its place, so it need not have a row of its own.
    ///
    /// # Errors
    /// A value that is missing, or that this model code cannot do.
    pub fn config(&self, image_token_id: u32) -> Result<Config> {
        let (text, vision) = (&self.text, &self.vision);
        if let Some(kind) = text
            .text("llama.rope.scaling.type")
            .filter(|kind| *kind != "none")
        {
            return Err(bad(
                text,
                "llama.rope.scaling.type",
                &format!("RoPE of type {kind:?} is not supported"),
            ));
        }
        if text.tensor("rope_freqs.weight")?.is_some() {
            return Err(bad(
                text,
                "rope_freqs.weight",
                "scaled RoPE is not supported",
            ));
        }
        let embeddings = text.tensor("token_embd.weight")?;
        let n_rows = embeddings.and_then(|t| t.shape.first().copied());
        let Some(n_rows) = n_rows else {
            return Err(bad(text, "token_embd.weight", "this tensor is missing"));
        };
        let heads = needed(text, "llama.attention.head_count")?;
        let n_blocks = needed(vision, "clip.vision.block_count")?;
        let is_there = |name: &str| text.tensor(name).map(|t| t.is_some());
        let config = json!({
            "model_type": "llava",
            "image_token_index": image_token_id,
            "projector_hidden_act": "gelu",
            "multimodal_projector_bias": vision.tensor("mm.0.bias")?.is_some(),
            // The conversion leaves the last block out, so that all that are there are run.
            "vision_feature_layer": n_blocks,
            "tie_word_embeddings": !is_there("output.weight")?,
            "text_config": {
                "vocab_size": n_rows,
                "hidden_size": needed(text, "llama.embedding_length")?,
                "intermediate_size": needed(text, "llama.feed_forward_length")?,
                "num_hidden_layers": needed(text, "llama.block_count")?,
                "num_attention_heads": heads,
                "num_key_value_heads": text.number("llama.attention.head_count_kv").unwrap_or(heads),
                "head_dim": text.number("llama.attention.key_length"),
                "max_position_embeddings": needed(text, "llama.context_length")?,
                "rms_norm_eps": text.float("llama.attention.layer_norm_rms_epsilon").unwrap_or(1e-5),
                "rope_theta": text.float("llama.rope.freq_base").unwrap_or(10000.0),
                "attention_bias": is_there("blk.0.attn_q.bias")?,
                "mlp_bias": is_there("blk.0.ffn_up.bias")?,
                "eos_token_id": text.number("tokenizer.ggml.eos_token_id").unwrap_or(2),
            },
            "vision_config": {
                "hidden_size": needed(vision, "clip.vision.embedding_length")?,
                "intermediate_size": needed(vision, "clip.vision.feed_forward_length")?,
                "num_hidden_layers": n_blocks,
                "num_attention_heads": needed(vision, "clip.vision.attention.head_count")?,
                "image_size": needed(vision, "clip.vision.image_size")?,
                "patch_size": needed(vision, "clip.vision.patch_size")?,
                "hidden_act": match vision.flag("clip.use_gelu") {
                    Some(true) => "gelu",
                    _ => "quick_gelu",
                },
                "layer_norm_eps": vision.float("clip.vision.attention.layer_norm_epsilon").unwrap_or(1e-5),
            },
        });
        Config::from_json(
            &without_nulls(config).to_string(),
            &text.path().display().to_string(),
        )
    }

    /// How pictures are prepared.
    ///
    /// # Errors
    /// A mean or deviation that is none.
    pub fn picture_config(&self) -> Result<PictureConfig> {
        let vision = &self.vision;
        let config = json!({
            "size": needed(vision, "clip.vision.image_size")?,
            "image_mean": vision.floats("clip.vision.image_mean"),
            "image_std": vision.floats("clip.vision.image_std"),
        });
        let name = vision.path().display().to_string();
        Ok(PictureConfig::from_json(&config.to_string(), &name)?)
    }
}

fn needed(file: &GgufFile, key: &str) -> Result<u64> {
    file.number(key)
        .ok_or_else(|| bad(file, key, "this value is missing from its metadata"))
}

fn bad(file: &GgufFile, key: &str, why: &str) -> Error {
    Error::input(format!(
        "{}, {key}: {why}; a LLaVA-1.5 in llama.cpp's form is needed",
        file.path().display()
    ))
}

/// A field that is left out has its default; one that is null has not.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let fields = map.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(
                fields
                    .map(|(key, value)| (key, without_nulls(value)))
                    .collect(),
            )
        }
        value => value,
    }
}
