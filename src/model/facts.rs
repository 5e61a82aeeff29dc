//! What a loaded model is, as plain data for people and for bounds checks: no tensors.

use std::sync::Arc;

use crate::index::PatchGrid;

/// What a loaded model is, for people and for bounds checks.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelFacts {
    /// `demo`, the folder's name, or the hub id.
    pub name: String,
    pub grid: PatchGrid,
    /// Decoder blocks; there are `n_layers + 1` levels.
    pub n_layers: usize,
    /// Query heads of a block.
    pub n_heads: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Side of the square picture that the model sees, in pixels.
    pub image_size: usize,
    pub n_params: u64,
    /// `CPU`, `CUDA 0`, `Metal`.
    pub device: String,
    /// Of the decoder's maps: `f32`, `f16`, `bf16`, `q8_0`; several where a file mixes them, the commonest first.
    pub dtype: String,
    /// What a person should know about how it was loaded, a sentence each.
    pub notes: Vec<String>,
    /// The template that is used where the session names none.
    pub template: String,
    pub vocabulary: Arc<Vocabulary>,
    /// The level at which the window opens.
    pub default_level: usize,
}

/// Text of every token id, made visible: spaces as `␣`, bytes as `⟨0x0A⟩`, the end token as `⟨end⟩`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Vocabulary {
    /// As in the vocabulary, made visible.
    pub pieces: Vec<String>,
    /// Whether it is a word or the start of one: letters, at least two of them or a single CJK character.
    pub is_word: Vec<bool>,
}

impl Vocabulary {
    /// The visible text of a token; ids beyond the tokenizer print as a number.
    pub fn piece(&self, id: u32) -> std::borrow::Cow<'_, str> {
        match self.pieces.get(id as usize) {
            Some(text) => text.as_str().into(),
            None => format!("⟨{id}⟩").into(),
        }
    }

    /// The token as it is written into a cell of the picture: without the leading space mark.
    pub fn short(&self, id: u32) -> std::borrow::Cow<'_, str> {
        match self.piece(id) {
            std::borrow::Cow::Borrowed(text) if text != "␣" => {
                text.trim_start_matches('␣').into()
            }
            text => text,
        }
    }

    pub fn is_word(&self, id: u32) -> bool {
        self.is_word.get(id as usize).copied().unwrap_or(false)
    }
}

/// A word whose probability is read, and the token that stands for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordToken {
    pub word: String,
    pub id: u32,
    /// How many tokens the word has; only one of them is read.
    pub n_tokens: usize,
    /// All of them, in order.
    pub ids: Vec<u32>,
}
