//! A model of the shape of LLaVA-1.5-7B with random weights, made on the device: for timing without a download.
//!
//! Its words mean nothing. Norms are 1, biases 0, matrices normal with the spread that keeps the residual stream finite.

use std::borrow::Cow;
use std::path::PathBuf;

use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device, Tensor};

use super::llava::Description;
use super::quantised;
use super::weights::Part;
use super::weights::source::{Inventory, Source, Stored, StoredKind};
use crate::demo;
use crate::error::{Error, Result};

/// Sizes of llava-hf/llava-1.5-7b-hf (its config.json with the defaults of transformers filled in).
const CONFIG: &str = r#"{
  "model_type": "llava", "image_token_index": 32000, "vision_feature_layer": -2,
  "vision_feature_select_strategy": "default", "projector_hidden_act": "gelu", "tie_word_embeddings": false,
  "text_config": {
    "model_type": "llama", "vocab_size": 32064, "hidden_size": 4096, "intermediate_size": 11008,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32,
    "max_position_embeddings": 4096, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
    "bos_token_id": 1, "eos_token_id": 2
  },
  "vision_config": {
    "model_type": "clip_vision_model", "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
    "num_attention_heads": 16, "image_size": 336, "patch_size": 14, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-05
  }
}"#;

const N_WORDS: usize = 32_000;

/// Parameters of the shape, for progress and messages.
pub(super) const N_PARAMS: u64 = 7_063_427_072;

/// What the shape is, with a tokenizer that has as many words as the real one.
///
/// # Errors
/// Only a damaged binary.
pub(super) fn description() -> Result<Description> {
    Description::from_parts(
        "random-7b".to_owned(),
        CONFIG,
        demo::PREPROCESSOR_CONFIG,
        &tokenizer()?,
    )
}

/// The demo model's tokenizer with words added up to the size of LLaMA's vocabulary.
fn tokenizer() -> Result<Vec<u8>> {
    let mut json: serde_json::Value =
        serde_json::from_slice(demo::TOKENIZER).map_err(Error::internal)?;
    let moved = [("<image>", N_WORDS), ("<pad>", N_WORDS + 1)];
    if let Some(vocabulary) = json["model"]["vocab"].as_object_mut() {
        let used = vocabulary.len() - moved.len();
        for id in used..N_WORDS {
            vocabulary.insert(format!("▁random{id}"), id.into());
        }
        for (token, id) in moved {
            vocabulary.insert(token.to_owned(), id.into());
        }
    }
    if let Some(added) = json["added_tokens"].as_array_mut() {
        for token in added {
            let id = moved.iter().find(|(name, _)| token["content"] == *name);
            if let Some((_, id)) = id {
                token["id"] = (*id).into();
            }
        }
    }
    serde_json::to_vec(&json).map_err(Error::internal)
}

/// Random tensors in place of a checkpoint's.
pub(super) struct Weights;

impl Source for Weights {
    fn title(&self) -> String {
        "random-7b".to_owned()
    }

    fn name(&self, part: Part, name: &str) -> String {
        match part {
            Part::Decoder | Part::Head => format!("{DECODER}{name}"),
            Part::Tower | Part::Projector => name.to_owned(),
        }
    }

    fn find(&self, _name: &str, shape: &[usize]) -> Option<Stored> {
        Some(Stored {
            shape: shape.to_vec(),
            n_bytes: 2 * shape.iter().product::<usize>() as u64,
            kind: StoredKind::Float(DType::F16),
        })
    }

    fn float(&self, name: &str, shape: &[usize], device: &Device) -> Result<Tensor> {
        if name.ends_with("bias") {
            return Ok(Tensor::zeros(shape, DType::F32, device)?);
        }
        if name.contains("norm") || name.contains("layrnorm") {
            return Ok(Tensor::ones(shape, DType::F32, device)?);
        }
        match shape {
            &[n_out, n_in] if device.is_cpu() && n_out > FEW_ROWS => {
                let rows = Tensor::randn(0f32, spread(name), (FEW_ROWS, n_in), device)?;
                let ids: Vec<_> = (0..n_out).map(|row| (row % FEW_ROWS) as u32).collect();
                Ok(rows
                    .to_dtype(DType::F16)?
                    .index_select(&Tensor::new(ids, device)?, 0)?)
            }
            _ => Ok(Tensor::randn(0f32, spread(name), shape, device)?),
        }
    }

    fn quantise(
        &self,
        name: &str,
        (n_out, n_in): (usize, usize),
        dtype: GgmlDType,
    ) -> Result<Vec<u8>> {
        let n_rows = n_out.min(FEW_ROWS);
        let rows = self.float(name, &[n_rows, n_in], &Device::Cpu)?;
        let blocks = quantised::quantise(&rows, dtype)?;
        let n_bytes = blocks.len() / n_rows * n_out;
        Ok(blocks.into_iter().cycle().take(n_bytes).collect())
    }

    fn blocks(&self, name: &str) -> Result<Cow<'_, [u8]>> {
        Err(Error::internal(format!("tensor {name} is not quantised")))
    }

    fn missing(&self, _part: Part, name: &str) -> Error {
        Error::internal(format!("tensor {name} is missing"))
    }

    fn sizes_from(&self) -> &'static str {
        "config.json"
    }

    fn inventory(&self) -> Inventory {
        Inventory::count([(N_PARAMS, 2 * N_PARAMS, "F16".to_owned(), true)].into_iter())
    }

    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}

/// On the CPU, rows that are repeated: numbers take long to make there, and what they are does not matter.
const FEW_ROWS: usize = 64;

/// Before the names of the decoder's tensors.
const DECODER: &str = "decoder.";

fn spread(name: &str) -> f32 {
    let outputs = ["o_proj", "down_proj", "out_proj", "fc2"];
    match outputs.iter().any(|end| name.contains(end)) {
        true => 0.004,
        false if name.starts_with(DECODER) => 0.02,
        false => 0.03,
    }
}
