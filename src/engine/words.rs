//! What stands for a word in the residual stream: a row of the unembedding or of the embeddings, or what the model makes
//! of the word alone.

use crate::tensor::{DType, Tensor};

use crate::error::{Error, Result};
use crate::model::hooks::{HookPoint, HookSite, Hooks};
use crate::model::{KvCache, Llava};
use crate::spec::WordVector;

/// Checks that there is such a vector, and gives a stand-in of its width.
///
/// # Errors
/// A word of no token; a level that the model does not have.
pub(super) fn check(model: &Llava, word: &str, vector: WordVector) -> Result<Tensor> {
    model.tokenizer.word_token(word)?;
    if let WordVector::Text(level) = vector {
        check_level(level, model.facts.n_layers)?;
    }
    let width = model.facts.d_model;
    Ok(Tensor::zeros(width, DType::F32, model.llama.device())?)
}

fn check_level(level: usize, n_layers: usize) -> Result<()> {
    match level <= n_layers {
        true => Ok(()),
        false => Err(Error::input(format!(
            "vector: level {level} is beyond the model, which has the levels 0..={n_layers}"
        ))),
    }
}

/// The vector of a word, `[d_model]` in f32. Of several tokens the first stands for the word; read as text, all are read
/// and the last one's row is taken.
///
/// # Errors
/// As [`check`]; a failing device.
pub(super) fn vector(model: &Llava, word: &str, vector: WordVector) -> Result<Tensor> {
    let token = model.tokenizer.word_token(word)?;
    let row = match vector {
        WordVector::Unembedding => model.llama.word_direction(token.id)?,
        WordVector::Embedding => model.llama.embed(&[token.id])?,
        WordVector::Text(level) => text(model, word, level)?,
    };
    Ok(row.to_dtype(DType::F32)?.flatten_all()?)
}

/// The residual row of the word's last token at a level, where the model reads the word and nothing else.
fn text(model: &Llava, word: &str, level: usize) -> Result<Tensor> {
    let n_layers = model.facts.n_layers;
    check_level(level, n_layers)?;
    let ids = model.tokenizer.encode(word)?;
    let mut capture = Capture { level, row: None };
    let mut cache = KvCache::new(n_layers);
    let embeds = model.llama.embed(&ids)?;
    let last = model.llama.forward(embeds, &mut cache, &mut capture)?;
    match capture.row {
        Some(row) => Ok(row),
        None => Ok(last.narrow(0, ids.len() - 1, 1)?),
    }
}

/// Keeps the last row of a level.
struct Capture {
    level: usize,
    row: Option<Tensor>,
}

impl Hooks for Capture {
    fn wants(&self, at: HookPoint) -> bool {
        at.site == HookSite::ResidPre && at.layer == self.level
    }

    fn visit(&mut self, _at: HookPoint, _first_pos: usize, x: Tensor) -> Result<Tensor> {
        self.row = Some(x.narrow(0, x.dim(0)? - 1, 1)?);
        Ok(x)
    }
}
