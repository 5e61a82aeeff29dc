//! `config.json` of a LLaVA checkpoint, with the defaults of transformers where a field is left out.
//!
//! Published files write only what differs from `LlamaConfig` and `CLIPVisionConfig`, so the defaults are part of
//! the format. What this model code cannot do (another family, scaled RoPE) is refused here by name.

use serde::Deserialize;

use super::activation::Activation;
use crate::error::{Error, Result};
use crate::index::PatchGrid;

/// A checked configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub text: TextConfig,
    pub vision: VisionConfig,
    /// Id of `<image>`.
    pub image_token_id: u32,
    pub projector_hidden_act: Activation,
    pub multimodal_projector_bias: bool,
    /// Blocks of the tower that are run: the feature layer as a count.
    pub n_vision_layers: usize,
    /// Whether the class token is among the visual tokens (strategy `full`).
    pub keeps_class_token: bool,
}

/// The decoder (`LlamaConfig`).
#[derive(Clone, Debug, PartialEq)]
pub struct TextConfig {
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub num_key_value_heads: usize,
    pub head_dim: usize,
    pub max_position_embeddings: usize,
    pub rms_norm_eps: f64,
    pub rope_theta: f64,
    pub attention_bias: bool,
    pub mlp_bias: bool,
    pub tie_word_embeddings: bool,
    pub eos_token_ids: Vec<u32>,
}

/// The tower (`CLIPVisionConfig`).
#[derive(Clone, Debug, PartialEq)]
pub struct VisionConfig {
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub image_size: usize,
    pub patch_size: usize,
    pub hidden_act: Activation,
    pub layer_norm_eps: f64,
}

impl VisionConfig {
    pub fn grid(&self) -> PatchGrid {
        let side = self.image_size / self.patch_size;
        PatchGrid::new(side, side)
    }
}

/// `config.json` as it is written.
#[derive(Deserialize)]
struct RawConfig {
    model_type: Option<String>,
    text_config: RawText,
    vision_config: RawVision,
    #[serde(alias = "image_token_id", default = "default_image_token")]
    image_token_index: u32,
    #[serde(default = "default_projector_act")]
    projector_hidden_act: Activation,
    #[serde(default = "yes")]
    multimodal_projector_bias: bool,
    #[serde(default = "default_feature_layer")]
    vision_feature_layer: serde_json::Value,
    #[serde(default = "default_strategy")]
    vision_feature_select_strategy: String,
    #[serde(default)]
    tie_word_embeddings: bool,
}

#[derive(Deserialize)]
struct RawText {
    model_type: Option<String>,
    #[serde(default = "n::<32000>")]
    vocab_size: usize,
    #[serde(default = "n::<4096>")]
    hidden_size: usize,
    #[serde(default = "n::<11008>")]
    intermediate_size: usize,
    #[serde(default = "n::<32>")]
    num_hidden_layers: usize,
    #[serde(default = "n::<32>")]
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    #[serde(default = "n::<2048>")]
    max_position_embeddings: usize,
    #[serde(default = "default_text_eps")]
    rms_norm_eps: f64,
    rope_theta: Option<f64>,
    rope_parameters: Option<RawRope>,
    rope_scaling: Option<RawRope>,
    #[serde(default = "default_text_act")]
    hidden_act: String,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(default)]
    eos_token_id: Option<OneOrMany>,
}

#[derive(Deserialize)]
struct RawVision {
    model_type: Option<String>,
    #[serde(default = "n::<768>")]
    hidden_size: usize,
    #[serde(default = "n::<3072>")]
    intermediate_size: usize,
    #[serde(default = "n::<12>")]
    num_hidden_layers: usize,
    #[serde(default = "n::<12>")]
    num_attention_heads: usize,
    #[serde(default = "n::<224>")]
    image_size: usize,
    #[serde(default = "n::<32>")]
    patch_size: usize,
    #[serde(default = "default_vision_act")]
    hidden_act: Activation,
    #[serde(default = "default_vision_eps")]
    layer_norm_eps: f64,
}

#[derive(Deserialize)]
struct RawRope {
    #[serde(alias = "type")]
    rope_type: Option<String>,
    rope_theta: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(u32),
    Many(Vec<u32>),
}

fn n<const N: usize>() -> usize {
    N
}
fn yes() -> bool {
    true
}
fn default_image_token() -> u32 {
    32000
}
fn default_projector_act() -> Activation {
    Activation::Gelu
}
fn default_vision_act() -> Activation {
    Activation::QuickGelu
}
fn default_text_act() -> String {
    "silu".to_owned()
}
fn default_strategy() -> String {
    "default".to_owned()
}
fn default_feature_layer() -> serde_json::Value {
    (-2).into()
}
fn default_text_eps() -> f64 {
    1e-6
}
fn default_vision_eps() -> f64 {
    1e-5
}

impl Config {
    /// Reads `config.json`; `name` is how messages call the file.
    ///
    /// # Errors
    /// Not JSON, a part missing, a field of the wrong form, sizes that do not fit together, another model family.
    pub fn from_json(text: &str, name: &str) -> Result<Self> {
        let mut json = serde_json::Deserializer::from_str(text);
        let raw: RawConfig = serde_path_to_error::deserialize(&mut json).map_err(|e| {
            let path = e.path().to_string();
            let field = if path == "." {
                String::new()
            } else {
                format!(", field {path}")
            };
            Error::input(format!(
                "{name}{field}: {}; a LLaVA config.json is needed",
                e.into_inner()
            ))
        })?;
        let bad = |field: &str, why: String| Error::input(format!("{name}, field {field}: {why}"));
        let family = |found: &Option<String>, wanted: &str, field: &str| match found.as_deref() {
            Some(found) if found != wanted => Err(bad(
                field,
                format!("{found:?} is not supported; only LLaVA-1.5 is, with {wanted:?} here"),
            )),
            _ => Ok(()),
        };
        family(&raw.model_type, "llava", "model_type")?;
        family(
            &raw.text_config.model_type,
            "llama",
            "text_config.model_type",
        )?;
        family(
            &raw.vision_config.model_type,
            "clip_vision_model",
            "vision_config.model_type",
        )?;

        let text = raw.text_config.check(raw.tie_word_embeddings, &bad)?;
        let vision = raw.vision_config.check(&bad)?;
        let n_vision_layers = feature_layer(&raw.vision_feature_layer, vision.num_hidden_layers)
            .map_err(|why| bad("vision_feature_layer", why))?;
        let keeps_class_token = match raw.vision_feature_select_strategy.as_str() {
            "default" => false,
            "full" => true,
            other => {
                let why = format!("{other:?} is unknown; write \"default\" or \"full\"");
                return Err(bad("vision_feature_select_strategy", why));
            }
        };
        Ok(Self {
            text,
            vision,
            image_token_id: raw.image_token_index,
            projector_hidden_act: raw.projector_hidden_act,
            multimodal_projector_bias: raw.multimodal_projector_bias,
            n_vision_layers,
            keeps_class_token,
        })
    }

    /// Visual tokens of a picture.
    pub fn n_visual_tokens(&self) -> usize {
        self.vision.grid().len() + usize::from(self.keeps_class_token)
    }
}

/// How many blocks give `hidden_states[layer]`; negative counts from the end, the embeddings are entry 0.
fn feature_layer(value: &serde_json::Value, n_layers: usize) -> std::result::Result<usize, String> {
    let layer = value
        .as_i64()
        .ok_or_else(|| format!("{value} is not supported; it must be one number, e.g. -2"))?;
    let entries = n_layers as i64 + 1;
    let at = if layer < 0 { entries + layer } else { layer };
    match (0..entries).contains(&at) {
        true => Ok(at as usize),
        false => Err(format!(
            "{layer} lies outside the tower's {n_layers} layers"
        )),
    }
}

impl RawText {
    fn check(self, tied: bool, bad: &dyn Fn(&str, String) -> Error) -> Result<TextConfig> {
        let at = |field: &str| format!("text_config.{field}");
        if self.hidden_act != "silu" {
            let why = format!(
                "{:?} is not supported; LLaMA uses \"silu\"",
                self.hidden_act
            );
            return Err(bad(&at("hidden_act"), why));
        }
        for (field, rope) in [
            ("rope_parameters", &self.rope_parameters),
            ("rope_scaling", &self.rope_scaling),
        ] {
            match rope.as_ref().and_then(|r| r.rope_type.as_deref()) {
                None | Some("default") => {}
                Some(other) => {
                    let why = format!("RoPE of type {other:?} is not supported, only \"default\"");
                    return Err(bad(&at(field), why));
                }
            }
        }
        let heads = self.num_attention_heads;
        let kv_heads = self.num_key_value_heads.unwrap_or(heads);
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", heads),
            ("num_key_value_heads", kv_heads),
            ("head_dim", self.head_dim.unwrap_or(2)),
        ];
        positive(&sizes, "text_config", bad)?;
        if !heads.is_multiple_of(kv_heads) {
            let why = format!("{kv_heads} key/value heads do not divide {heads} query heads");
            return Err(bad(&at("num_key_value_heads"), why));
        }
        let head_dim = match self.head_dim {
            None if !self.hidden_size.is_multiple_of(heads) => {
                let why = format!(
                    "{heads} heads do not divide hidden_size {}",
                    self.hidden_size
                );
                return Err(bad(&at("num_attention_heads"), why));
            }
            None => self.hidden_size / heads,
            Some(dim) => dim,
        };
        if head_dim % 2 != 0 {
            return Err(bad(
                &at("head_dim"),
                format!("{head_dim} is odd; RoPE needs pairs"),
            ));
        }
        let theta = self
            .rope_theta
            .or(self.rope_parameters.and_then(|r| r.rope_theta));
        Ok(TextConfig {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: heads,
            num_key_value_heads: kv_heads,
            head_dim,
            max_position_embeddings: self.max_position_embeddings,
            rms_norm_eps: self.rms_norm_eps,
            rope_theta: theta.unwrap_or(10000.0),
            attention_bias: self.attention_bias,
            mlp_bias: self.mlp_bias,
            tie_word_embeddings: self.tie_word_embeddings || tied,
            eos_token_ids: match self.eos_token_id {
                None => vec![2],
                Some(OneOrMany::One(id)) => vec![id],
                Some(OneOrMany::Many(ids)) => ids,
            },
        })
    }
}

impl RawVision {
    fn check(self, bad: &dyn Fn(&str, String) -> Error) -> Result<VisionConfig> {
        let sizes = [
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("image_size", self.image_size),
            ("patch_size", self.patch_size),
        ];
        positive(&sizes, "vision_config", bad)?;
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            let why = format!(
                "{} heads do not divide {}",
                self.num_attention_heads, self.hidden_size
            );
            return Err(bad("vision_config.num_attention_heads", why));
        }
        if self.patch_size > self.image_size {
            let why = format!(
                "a patch of {} px is larger than the picture",
                self.patch_size
            );
            return Err(bad("vision_config.patch_size", why));
        }
        Ok(VisionConfig {
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
            image_size: self.image_size,
            patch_size: self.patch_size,
            hidden_act: self.hidden_act,
            layer_norm_eps: self.layer_norm_eps,
        })
    }
}

/// Sizes are at least 1 and small enough that no product of two of them overflows or asks for absurd memory.
fn positive(
    sizes: &[(&str, usize)],
    part: &str,
    bad: &dyn Fn(&str, String) -> Error,
) -> Result<()> {
    match sizes.iter().find(|(_, size)| !(1..=1 << 22).contains(size)) {
        None => Ok(()),
        Some((field, size)) => Err(bad(
            &format!("{part}.{field}"),
            format!("{size} is not a possible size"),
        )),
    }
}
