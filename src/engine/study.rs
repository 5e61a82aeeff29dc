//! One picture under many questions and many edits: what experiments over data sets are made of.
//!
//! A picture is encoded and run through the decoder once; every question goes on from there, and edits of the picture go
//! through in batches, each asked all questions. Plain data comes in and goes out; nothing is kept between pictures.
//! What an experiment asks, and what it makes of the answers, is not known here.

mod edited;
mod gradients;
mod knockouts;
mod seen;

use std::path::Path;
use std::sync::Arc;

use crate::tensor::{DType, Device, Tensor};

pub use self::edited::Edited;
pub use self::gradients::Attribution;
pub use self::knockouts::KnockedOut;
pub use self::seen::{Answered, Asked, Seen};
use super::outside::load_vector;
use super::picture;
use super::run::Engine;
use crate::error::{Error, Result};
use crate::intervene::Donor;
use crate::model::facts::{ModelFacts, WordToken};
use crate::model::preprocess::{self, PreparedPicture, Rgb8};
use crate::model::{Llava, Prompt};
use crate::spec::{Crop, Experiment, ModelSource, PictureSource, Replacement};

/// A question and how its answer starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub prompt: String,
    /// Text right after the template, as in the session file.
    pub answer_prefix: String,
    /// Tokens of the answer.
    pub most: usize,
}

/// A model that pictures are shown to.
pub struct Study {
    model: Arc<Llava>,
    device: Device,
    dtype: DType,
}

impl Study {
    /// Loads the model, or takes it as it is loaded.
    ///
    /// # Errors
    /// As [`Engine::model`].
    pub fn open(
        engine: &mut Engine,
        source: &ModelSource,
        progress: &mut dyn FnMut(f32) -> Result<()>,
    ) -> Result<Self> {
        let model = engine.model(source, progress)?;
        Ok(Self {
            model,
            device: engine.device.clone(),
            dtype: engine.numbers.float,
        })
    }

    pub fn facts(&self) -> &Arc<ModelFacts> {
        &self.model.facts
    }

    /// Reads a picture file and prepares it as the model sees it.
    ///
    /// # Errors
    /// A file that is missing, no picture, or beyond the limits.
    pub fn picture(&self, path: &Path, crop: Crop) -> Result<PreparedPicture> {
        let source = PictureSource::File(path.to_owned());
        Ok(picture::prepare(&self.model, &source, crop)?.1)
    }

    /// The numbers of a picture of the model's size, `[3, size, size]`.
    pub fn pixel_values(&self, seen: &Rgb8) -> Vec<f32> {
        preprocess::pixel_values(seen, &self.model.picture_config)
    }

    /// What takes an ablated patch's place.
    ///
    /// # Errors
    /// A file that is missing or does not fit; a replacement that is another picture's.
    pub fn donor(&self, with: &Replacement) -> Result<Donor> {
        Ok(match with {
            Replacement::Mean => Donor::Mean,
            Replacement::Zero => Donor::Zero,
            Replacement::MeanOf(path) => {
                let width = self.model.facts.d_model;
                Donor::Vector(load_vector(path, width, &self.device, self.dtype)?)
            }
            _ => {
                return Err(Error::input(
                    "an experiment replaces by mean, zero or mean_of:FILE",
                ));
            }
        })
    }

    /// The sum of a picture's visual tokens at the patches, `[d_model]`, in f64, and how many they are.
    ///
    /// # Errors
    /// A failing device.
    pub fn sum_of_visual_tokens(&self, pixel_values: &[f32]) -> Result<(Vec<f64>, usize)> {
        let rows = self.patch_rows(&self.model.encode(pixel_values)?)?;
        let rows = rows.to_dtype(DType::F32)?.to_vec2::<f32>()?;
        let mut sum = vec![0f64; self.model.facts.d_model];
        for row in &rows {
            for (sum, x) in sum.iter_mut().zip(row) {
                *sum += f64::from(*x);
            }
        }
        Ok((sum, rows.len()))
    }

    /// Encodes a picture and runs the decoder up to its end.
    ///
    /// # Errors
    /// A failing device.
    pub fn look(&self, pixel_values: &[f32]) -> Result<Seen<'_>> {
        Seen::new(self, pixel_values)
    }

    /// The token that stands for a word in a lens, as in the readout.
    ///
    /// # Errors
    /// A word of no token.
    pub fn word(&self, word: &str) -> Result<WordToken> {
        self.model.tokenizer.word_token(word)
    }

    /// The first tokens of a word after a space and without one.
    ///
    /// # Errors
    /// A word of no token.
    pub fn tokens_of_word(&self, word: &str) -> Result<Vec<u32>> {
        let mut ids = vec![self.word(word)?.id];
        ids.extend(
            self.model
                .tokenizer
                .piece(word)
                .filter(|id| !ids.contains(id)),
        );
        Ok(ids)
    }

    /// The first token of the answer if `word` follows the question and its prefix.
    ///
    /// # Errors
    /// Text that cannot be tokenised.
    pub fn token_in_context(&self, question: &Question, word: &str) -> Result<u32> {
        let without = self.prompt(question)?;
        let longer = Question {
            answer_prefix: format!("{} {word}", question.answer_prefix),
            ..question.clone()
        };
        let with = self.prompt(&longer)?;
        let at = (without.ids.iter().zip(&with.ids))
            .take_while(|(a, b)| a == b)
            .count();
        let bare_space = self
            .model
            .tokenizer
            .is_bare_space(with.ids.get(at).copied());
        let id = with.ids.get(at + usize::from(bare_space)).copied();
        id.ok_or_else(|| Error::input(format!("the word {word:?} has no token: type letters")))
    }

    /// Text of tokens without special ones.
    ///
    /// # Errors
    /// Ids that have no text.
    pub fn text(&self, ids: &[u32]) -> Result<String> {
        self.model.tokenizer.decode(ids)
    }

    fn prompt(&self, question: &Question) -> Result<Prompt> {
        self.model.prompt(&Experiment {
            prompt: question.prompt.clone(),
            answer_prefix: question.answer_prefix.clone(),
            ..Experiment::default()
        })
    }

    /// The rows of the patches, without a class token before them: `[visual tokens, d_model] -> [patch, d_model]`.
    fn patch_rows(&self, visual: &Tensor) -> Result<Tensor> {
        let n = self.model.facts.grid.len();
        Ok(visual.narrow(0, visual.dim(0)? - n, n)?)
    }

    /// Logits after the last block, `[n, d_model] -> [n, vocab]`, f32.
    fn logits(&self, x: &Tensor) -> Result<Tensor> {
        self.model.llama.unembed(&self.model.llama.final_norm(x)?)
    }
}
