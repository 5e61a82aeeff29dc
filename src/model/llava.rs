//! LLaVA: tower, projector and decoder together, and loading them from a checkpoint of any kind.
//!
//! It runs what it is told and keeps no state between runs. Pictures come prepared, prompts tokenised.

use std::path::Path;
use std::sync::Arc;

use crate::tensor::{Device, Tensor};

use super::clip::VisionTower;
use super::config::Config;
use super::facts::ModelFacts;
use super::gguf::{GgufFiles, GgufPair};
use super::liuhaotian::Original;
use super::llama::Llama;
use super::numbers::Numbers;
use super::preprocess::PictureConfig;
use super::projector::Projector;
use super::prompt::{DEFAULT_TEMPLATE, Prompt, PromptRules};
use super::random;
use super::tokenizer::Tokenizer;
use super::weights::{Checkpoint, LoadOptions, Progress, Weights};
use crate::error::{Error, Result};
use crate::{demo, files};

/// Configuration and tokenizer files are small; larger ones are not what they should be.
const MAX_TEXT_BYTES: u64 = 128 << 20;

/// A loaded model.
pub struct Llava {
    pub config: Config,
    pub picture_config: PictureConfig,
    pub tokenizer: Tokenizer,
    pub llama: Llama,
    pub facts: Arc<ModelFacts>,
    tower: VisionTower,
    projector: Projector,
}

/// The small files of a checkpoint, read and checked.
pub struct Description {
    pub name: String,
    pub config: Config,
    pub picture_config: PictureConfig,
    pub tokenizer: Tokenizer,
    /// `None` for the usual one: about three quarters up.
    default_level: Option<usize>,
}

impl Description {
    /// Reads `config.json`, `preprocessor_config.json` and `tokenizer.json` of a folder.
    ///
    /// # Errors
    /// A file that is missing or cannot be followed.
    pub fn of_folder(folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            let what = if folder.exists() {
                "is a file"
            } else {
                "does not exist"
            };
            return Err(Error::input(format!(
                "model {} {what}: name the folder that holds config.json, a .gguf file, or \"demo\"",
                folder.display()
            )));
        }
        let path = |name: &str| folder.join(name);
        let text = |name: &str| files::read_text(&path(name), MAX_TEXT_BYTES);
        let name = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let name = name
            .file_name()
            .map_or_else(|| "model".into(), |n| n.to_string_lossy().into_owned());
        if let Some(original) = Original::of(folder)? {
            return Self::of_original(name, &original);
        }
        let tokenizer = files::read_bytes(&path("tokenizer.json"), MAX_TEXT_BYTES)?;
        let shown = |name: &str| path(name).display().to_string();
        Self::new(
            name,
            Config::from_json(&text("config.json")?, &shown("config.json"))?,
            PictureConfig::from_json(
                &text("preprocessor_config.json")?,
                &shown("preprocessor_config.json"),
            )
            .map_err(Error::from)?,
            Tokenizer::from_bytes(&tokenizer, &shown("tokenizer.json"))?,
            None,
        )
    }

    /// A folder in the original layout.
    fn of_original(name: String, original: &Original) -> Result<Self> {
        let (tokenizer, image_token_id) = original.tokenizer()?;
        let config = original.config(image_token_id)?;
        let config = Config::from_json(&config, &format!("config.json of {name}"))?;
        let preprocessor = original.preprocessor();
        let picture = files::read_text(&preprocessor, MAX_TEXT_BYTES)?;
        let picture = PictureConfig::from_json(&picture, &preprocessor.display().to_string())?;
        let tokenizer = Tokenizer::from_bytes(&tokenizer, &format!("tokenizer.json of {name}"))?;
        // Rows beyond the embeddings are no words: the picture's own token is one.
        let tokenizer = tokenizer.of_at_most(config.text.vocab_size);
        Self::new(name, config, picture, tokenizer, None)
    }

    /// The demo model's.
    ///
    /// # Errors
    /// Only a damaged binary.
    pub fn of_demo() -> Result<Self> {
        Self::new(
            "demo · drawn scenes".to_owned(),
            Config::from_json(demo::CONFIG, "the demo model's config.json")?,
            PictureConfig::from_json(
                demo::PREPROCESSOR_CONFIG,
                "the demo model's preprocessor_config.json",
            )?,
            Tokenizer::from_bytes(demo::TOKENIZER, "the demo model's tokenizer.json")?,
            Some(demo::DEFAULT_LEVEL),
        )
    }

    /// From the texts of its files.
    pub(super) fn from_parts(
        name: String,
        config: &str,
        preprocessor: &str,
        tokenizer: &[u8],
    ) -> Result<Self> {
        let shown = |file: &str| format!("{file} of {name}");
        Self::new(
            name.clone(),
            Config::from_json(config, &shown("config.json"))?,
            PictureConfig::from_json(preprocessor, &shown("preprocessor_config.json"))?,
            Tokenizer::from_bytes(tokenizer, &shown("tokenizer.json"))?,
            None,
        )
    }

    /// The description of a pair of GGUF files, from their metadata.
    ///
    /// # Errors
    /// A file that is missing, damaged or of another kind of model.
    pub fn of_gguf(files: &GgufFiles) -> Result<Self> {
        let pair = GgufPair::open(files)?;
        let (tokenizer, image_token_id) = pair.tokenizer()?;
        let name = files.model.file_stem().unwrap_or_default();
        Self::new(
            name.to_string_lossy().into_owned(),
            pair.config(image_token_id)?,
            pair.picture_config()?,
            tokenizer,
            None,
        )
    }

    /// The description of any checkpoint.
    ///
    /// # Errors
    /// As of its kind.
    pub fn of(checkpoint: &Checkpoint) -> Result<Self> {
        match checkpoint {
            Checkpoint::Demo => Self::of_demo(),
            Checkpoint::Folder(folder) => Self::of_folder(folder),
            Checkpoint::Gguf(files) => Self::of_gguf(files),
            Checkpoint::Random => random::description(),
        }
    }

    fn new(
        name: String,
        config: Config,
        picture_config: PictureConfig,
        tokenizer: Tokenizer,
        default_level: Option<usize>,
    ) -> Result<Self> {
        if picture_config.size != config.vision.image_size {
            return Err(Error::input(format!(
                "preprocessor_config.json of {name} makes pictures of {} px, but config.json says \
                 vision_config.image_size {}: they must agree",
                picture_config.size, config.vision.image_size
            )));
        }
        Ok(Self {
            name,
            config,
            picture_config,
            tokenizer,
            default_level,
        })
    }

    fn facts(&self, llama: &Llama, n_params: u64, notes: Vec<String>) -> ModelFacts {
        let text = &self.config.text;
        // The paper's words read best at level 25.7 of 32; other depths are scaled.
        let usual_level = (text.num_hidden_layers * 25).div_ceil(32);
        ModelFacts {
            name: self.name.clone(),
            grid: self.config.vision.grid(),
            n_layers: text.num_hidden_layers,
            n_heads: text.num_attention_heads,
            d_model: text.hidden_size,
            image_size: self.config.vision.image_size,
            n_params,
            device: device_name(llama.device()),
            dtype: llama.map_types().join(" + "),
            notes,
            template: DEFAULT_TEMPLATE.to_owned(),
            vocabulary: Arc::new(self.tokenizer.vocabulary(&text.eos_token_ids)),
            default_level: self
                .default_level
                .unwrap_or(usual_level)
                .min(text.num_hidden_layers),
        }
    }
}

fn without_cache(device: &Device, numbers: Numbers) -> LoadOptions {
    LoadOptions {
        device: device.clone(),
        numbers,
        cache: None,
    }
}

/// `CPU`, `CUDA 0`, `Metal`, or the card's name with what wgpu reaches it by.
pub(crate) fn device_name(device: &Device) -> String {
    if let Some(gpu) = device.wgpu() {
        return format!("{} ({})", gpu.facts().name, gpu.facts().backend);
    }
    match device.candle().location() {
        candle_core::DeviceLocation::Cpu => "CPU".to_owned(),
        candle_core::DeviceLocation::Cuda { gpu_id } => format!("CUDA {gpu_id}"),
        candle_core::DeviceLocation::Metal { .. } => "Metal".to_owned(),
    }
}

impl Llava {
    /// Loads a checkpoint.
    ///
    /// # Errors
    /// Files that are missing, damaged or of another model; not enough memory; the person cancels.
    pub fn open(
        checkpoint: &Checkpoint,
        options: &LoadOptions,
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        let description = Description::of(checkpoint)?;
        let mut progress = |fraction| progress(fraction);
        let weights = Weights::open(checkpoint, options, &mut progress)?;
        Self::new(description, &weights)
    }

    /// Loads a checkpoint folder in Hugging Face form, without a cache.
    ///
    /// # Errors
    /// As [`Llava::open`].
    pub fn load(
        folder: &Path,
        device: &Device,
        numbers: impl Into<Numbers>,
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        let folder = Checkpoint::Folder(folder.to_owned());
        Self::open(&folder, &without_cache(device, numbers.into()), progress)
    }

    /// Loads the demo model from the binary.
    ///
    /// # Errors
    /// Not enough memory; the person cancels.
    pub fn load_demo(
        device: &Device,
        numbers: impl Into<Numbers>,
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        let options = without_cache(device, numbers.into());
        Self::open(&Checkpoint::Demo, &options, progress)
    }

    /// Makes a model of the shape of LLaVA-1.5-7B with random weights, for timing.
    ///
    /// # Errors
    /// Not enough memory; the person cancels.
    pub fn random_7b(
        device: &Device,
        numbers: impl Into<Numbers>,
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        let options = without_cache(device, numbers.into());
        Self::open(&Checkpoint::Random, &options, progress)
    }

    fn new(description: Description, w: &Weights<'_>) -> Result<Self> {
        let config = &description.config;
        let widths = (config.vision.hidden_size, config.text.hidden_size);
        let llama = Llama::load(w, &config.text)?;
        let tower = VisionTower::load(w, &config.vision, config.n_vision_layers)?;
        let (act, bias) = (
            config.projector_hidden_act,
            config.multimodal_projector_bias,
        );
        let projector = Projector::load(w, widths, act, bias)?;
        let notes = w.finish()?;
        let facts = Arc::new(description.facts(&llama, w.inventory().n_params, notes));
        let Description {
            config,
            picture_config,
            tokenizer,
            ..
        } = description;
        Ok(Self {
            config,
            picture_config,
            tokenizer,
            llama,
            facts,
            tower,
            projector,
        })
    }

    /// Visual tokens of a prepared picture: `[3, size, size] -> [visual tokens, d_model]`.
    pub fn encode(&self, pixel_values: &[f32]) -> Result<Tensor> {
        let size = self.config.vision.image_size;
        let pixels = Tensor::from_slice(pixel_values, (3, size, size), self.llama.device())?;
        let features = self.tower.forward(&pixels.to_dtype(self.llama.dtype())?)?; // [1 + patches, d_vision]
        let features = match self.config.keeps_class_token {
            true => features,
            false => features.narrow(0, 1, features.dim(0)? - 1)?,
        };
        self.projector.forward(&features.contiguous()?)
    }

    /// Tokenises an experiment's text.
    ///
    /// # Errors
    /// As [`Prompt::new`].
    pub fn prompt(&self, experiment: &crate::spec::Experiment) -> Result<Prompt> {
        let rules = PromptRules {
            image_token_id: self.config.image_token_id,
            n_visual_tokens: self.config.n_visual_tokens(),
            grid: self.config.vision.grid(),
            vocab_size: self.config.text.vocab_size,
            max_position_embeddings: self.config.text.max_position_embeddings,
        };
        Prompt::new(experiment, &self.tokenizer, &rules)
    }

    /// What enters the decoder: text embeddings with the visual tokens in their place, `[n_prompt, d_model]`.
    pub fn embed_prompt(&self, prompt: &Prompt, visual: &Tensor) -> Result<Tensor> {
        let image = &prompt.layout.image;
        let mut parts = Vec::with_capacity(3);
        if image.start > 0 {
            parts.push(self.llama.embed(&prompt.ids[..image.start])?);
        }
        parts.push(visual.clone());
        if image.end < prompt.ids.len() {
            parts.push(self.llama.embed(&prompt.ids[image.end..])?);
        }
        Ok(Tensor::cat(&parts, 0)?)
    }
}
