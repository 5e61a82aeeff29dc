//! What a run depends on, as plain data: the experiment and its interventions.
//!
//! Nothing here runs anything or touches a file. The session edits it, the engine reads it, and the session file
//! is made of it: the serde forms below are the contract's words.

mod control;
mod inside;
mod intervention;
mod sweep;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::index::Patch;

pub use control::ControlSpec;
pub use inside::{AttentionSpec, AttributionSpec, HeadMap};
pub use intervention::{
    Ablation, AttentionKnockout, Erase, Intervention, Replacement, Scale, Steer, Swap, WordVector,
};
pub use sweep::{SweepKind, SweepOver, SweepSpec};

/// Which weights.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub enum ModelSource {
    /// The small model inside the binary.
    #[default]
    Demo,
    /// A folder in Hugging Face form.
    Folder(PathBuf),
    /// A language model in llama.cpp's form, and its vision file if that is not the one beside it.
    Gguf {
        model: PathBuf,
        mmproj: Option<PathBuf>,
    },
    /// A hub id `owner/name`, looked up in the local Hugging Face cache; nothing is downloaded.
    Hub(String),
}

/// Which picture.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub enum PictureSource {
    /// The sample scene inside the binary.
    #[default]
    Demo,
    File(PathBuf),
}

/// How a picture that is not square is made square.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Crop {
    /// Shortest edge to the model's size, then the centre.
    #[default]
    Center,
    /// Padded to a square with the mean colour, then resized.
    Pad,
}

/// Greedy decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Decode {
    pub max_new_tokens: usize,
}

impl Default for Decode {
    fn default() -> Self {
        Self { max_new_tokens: 32 }
    }
}

/// What is read off a run. It never changes the run itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Readout {
    /// Words per cell of the lens, 1 to 100.
    pub top_k: usize,
    /// Words whose probability is read in every cell; of a word with several tokens, one.
    pub words: Vec<String>,
    /// The patch that all others are compared with, by the cosine of their residual rows at every level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similar_to: Option<Patch>,
    /// Attention from a token, where it is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention: Option<AttentionSpec>,
    /// What a logit is made of, where it is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribution: Option<AttributionSpec>,
    /// Which token of each word is read, from 0; the first where none is named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub word_tokens: Vec<usize>,
    /// Also the words' rank in every cell. Costs as much as the lens.
    #[serde(skip_serializing_if = "is_off")]
    pub ranks: bool,
    /// Also the lens of the tokens that are no patches, those of the answer among them.
    #[serde(skip_serializing_if = "is_off")]
    pub all_tokens: bool,
    /// Also KL(clean ‖ edited) in every cell, with its noise floor. Costs twice the lens.
    #[serde(skip_serializing_if = "is_off")]
    pub divergence: bool,
    /// Also the cosine to the input embeddings. Costs as much as the lens.
    #[serde(skip_serializing_if = "is_off")]
    pub cosine: bool,
    /// Also the same interventions on random patches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control: Option<ControlSpec>,
}

fn is_off(on: &bool) -> bool {
    !on
}

impl Default for Readout {
    fn default() -> Self {
        Self {
            top_k: 5,
            words: Vec::new(),
            similar_to: None,
            attention: None,
            attribution: None,
            word_tokens: Vec::new(),
            ranks: false,
            all_tokens: false,
            divergence: false,
            cosine: false,
            control: None,
        }
    }
}

/// One experiment: with the weights and the picture behind its names, a run is a pure function of this.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Experiment {
    pub model: ModelSource,
    pub picture: PictureSource,
    pub crop: Crop,
    /// Text with `<image>` once and `{prompt}` once; `None` for the model's own.
    pub template: Option<String>,
    pub prompt: String,
    /// Text that starts the answer, right after the template.
    pub answer_prefix: String,
    pub interventions: Vec<Intervention>,
    pub decode: Decode,
}

impl Experiment {
    /// The same experiment with nothing done to it.
    pub fn clean(&self) -> Self {
        Self {
            interventions: Vec::new(),
            ..self.clone()
        }
    }

    /// The interventions that are switched on and not empty.
    pub fn active(&self) -> impl Iterator<Item = &Intervention> {
        self.interventions
            .iter()
            .filter(|i| i.enabled() && !i.is_empty())
    }
}
