//! The original LLaVA-1.5 layout (liuhaotian/llava-v1.5-*): LLaMA's own tensor names, a projector called `mm_projector`, one
//! flat config, and the CLIP tower in a folder of its own.
//!
//! The configuration is rewritten in the form of transformers; the tower's folder is found, never downloaded.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::{files, hub};

const MAX_TEXT_BYTES: u64 = 128 << 20;
/// A folder of this name inside the model's own is its tower.
const BESIDE: &str = "vision_tower";
const IMAGE: &str = "<image>";

/// A folder in this layout.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Original {
    folder: PathBuf,
    config: Map<String, Value>,
    /// The folder of the CLIP tower.
    pub tower: PathBuf,
}

impl Original {
    /// Looks whether a folder is in this layout; `None` where it is not.
    ///
    /// # Errors
    /// It is, but its tower is nowhere to be found.
    pub fn of(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join("config.json");
        let Ok(text) = files::read_text(&path, MAX_TEXT_BYTES) else {
            return Ok(None);
        };
        let Ok(Value::Object(config)) = serde_json::from_str(&text) else {
            return Ok(None);
        };
        if config.contains_key("text_config") || !config.contains_key("mm_vision_tower") {
            return Ok(None);
        }
        let name = config["mm_vision_tower"].as_str().unwrap_or_default();
        let tower = tower(folder, name)?;
        Ok(Some(Self {
            folder: folder.to_owned(),
            config,
            tower,
        }))
    }

    /// `config.json` as transformers would write it.
    ///
    /// # Errors
    /// A projector or a selection that LLaVA-1.5 does not have; a tower without its own `config.json`.
    pub fn config(&self, image_token_id: u32) -> Result<String> {
        let shown = self.folder.join("config.json");
        let bad = |field: &str, wanted: &str| {
            Error::input(format!(
                "{}, field {field}: {} is not supported, only {wanted}",
                shown.display(),
                self.config.get(field).unwrap_or(&Value::Null)
            ))
        };
        let text = |field: &str, default: &str| {
            let value = self.config.get(field).and_then(Value::as_str);
            value.unwrap_or(default).to_owned()
        };
        if text("mm_projector_type", "linear") != "mlp2x_gelu" {
            return Err(bad("mm_projector_type", "\"mlp2x_gelu\""));
        }
        if self.config.get("mm_use_im_start_end") == Some(&Value::Bool(true)) {
            return Err(bad("mm_use_im_start_end", "false"));
        }
        let strategy = match text("mm_vision_select_feature", "patch").as_str() {
            "patch" => "default",
            "cls_patch" => "full",
            _ => {
                return Err(bad(
                    "mm_vision_select_feature",
                    "\"patch\" or \"cls_patch\"",
                ));
            }
        };
        let mut llama = self.config.clone();
        llama.insert("model_type".to_owned(), json!("llama"));
        let tied = llama.get("tie_word_embeddings").cloned();
        Ok(json!({
            "model_type": "llava",
            "text_config": llama,
            "vision_config": self.vision()?,
            "image_token_index": image_token_id,
            "vision_feature_layer": self.config.get("mm_vision_select_layer").unwrap_or(&json!(-2)),
            "vision_feature_select_strategy": strategy,
            "tie_word_embeddings": tied.unwrap_or(json!(false)),
        })
        .to_string())
    }

    /// The tower's part of its configuration, which may be that of a whole CLIP.
    fn vision(&self) -> Result<Value> {
        let path = self.tower.join("config.json");
        let text = files::read_text(&path, MAX_TEXT_BYTES)?;
        let config: Value = serde_json::from_str(&text)
            .map_err(|e| Error::input(format!("{} is not JSON: {e}", path.display())))?;
        let mut vision = config.get("vision_config").cloned().unwrap_or(config);
        if let Some(fields) = vision.as_object_mut() {
            fields.insert("model_type".to_owned(), json!("clip_vision_model"));
        }
        Ok(vision)
    }

    /// `preprocessor_config.json` of the tower.
    pub fn preprocessor(&self) -> PathBuf {
        self.tower.join("preprocessor_config.json")
    }

    /// `tokenizer.json`, with a token for the picture after its last where it has none.
    ///
    /// # Errors
    /// It is missing or damaged.
    pub fn tokenizer(&self) -> Result<(Vec<u8>, u32)> {
        let path = self.folder.join("tokenizer.json");
        if !path.exists() {
            return Err(Error::input(format!(
                "{} is missing: put the tokenizer.json of the LLaMA model there (that of llava-hf/llava-1.5-7b-hf fits); \
                 SentencePiece's tokenizer.model is not read",
                path.display()
            )));
        }
        let text = files::read_text(&path, MAX_TEXT_BYTES)?;
        let bad = |why: &str| Error::input(format!("{} is no tokenizer: {why}", path.display()));
        let mut json: Value = serde_json::from_str(&text).map_err(|e| bad(&e.to_string()))?;
        let vocabulary = json["model"]["vocab"].as_object();
        let vocabulary = vocabulary.ok_or_else(|| bad("it has no vocabulary"))?;
        let mut next = vocabulary.values().filter_map(Value::as_u64).max();
        let known = vocabulary.get(IMAGE).and_then(Value::as_u64);
        let added = json["added_tokens"].as_array_mut();
        let added = added.ok_or_else(|| bad("it has no added tokens"))?;
        next = next.max(added.iter().filter_map(|t| t["id"].as_u64()).max());
        let listed = added.iter().find(|token| token["content"] == IMAGE);
        let id = listed.and_then(|token| token["id"].as_u64()).or(known);
        let id = id.unwrap_or_else(|| {
            let id = next.map_or(0, |last| last + 1);
            added.push(json!({
                "id": id, "content": IMAGE, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true
            }));
            id
        });
        Ok((json.to_string().into_bytes(), id as u32))
    }
}

/// The folder of the tower: `vision_tower` in the model's folder, the folder that the configuration names, or the model of
/// that name in the Hugging Face cache.
fn tower(folder: &Path, name: &str) -> Result<PathBuf> {
    let cached = || hub::snapshot(name).filter(|_| name.matches('/').count() == 1);
    let named = Some(folder.join(name)).filter(|_| !name.is_empty());
    let places = [Some(folder.join(BESIDE)), named];
    let is_there = |path: &PathBuf| path.join("config.json").is_file();
    let found = places.into_iter().flatten().find(is_there).or_else(cached);
    found.ok_or_else(|| {
        Error::input(format!(
            "{} is in LLaVA's original layout, whose vision tower {name} is a model of its own: put its folder into it as \
             {BESIDE}, or name it in config.json as mm_vision_tower",
            folder.display()
        ))
    })
}
