//! What a run left behind, as plain data: all that the window and the result file may show.
//!
//! A trace is immutable and shared. While a run goes on, ever fuller traces of the same id follow each other.
//! Token ids become text only through [`ModelFacts::vocabulary`].

use std::sync::Arc;

use super::protocol::RunId;
use crate::index::TokenLayout;
pub use crate::model::facts::{ModelFacts, Vocabulary, WordToken};

/// The picture as the model sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenPicture {
    /// Counts up whenever another picture or crop is prepared, so that a view knows when to upload it again.
    pub revision: u64,
    /// File name, for titles.
    pub name: String,
    /// Side of the square, in pixels.
    pub size: usize,
    /// RGB, `size * size * 3`, row-major.
    pub rgb: Vec<u8>,
    /// Width and height of the file.
    pub original_size: (usize, usize),
}

/// One level of one run, read through the logit lens. All vectors are row-major over the patches.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct LevelReadout {
    /// Words per patch.
    pub top_k: usize,
    /// `[patch, k]`, best first.
    pub ids: Vec<u32>,
    /// `[patch, k]`.
    pub probs: Vec<f32>,
    /// Entropy of the whole distribution, in nats. `[patch]`
    pub entropy: Vec<f32>,
    /// L2 norm of the residual row. `[patch]`
    pub norm: Vec<f32>,
    /// Logarithm of the sum of the exponentials of all logits. `[patch]`
    pub log_sum_exp: Vec<f32>,
    /// ‖edited − clean‖ / ‖clean‖ of the residual row; all 0 for the clean run. `[patch]`
    pub change: Vec<f32>,
    /// Probability of each of the readout's words. `[word][patch]`
    pub words: Vec<Vec<f32>>,
}

impl LevelReadout {
    /// The `(id, probability)` pairs of a patch, best first.
    pub fn top(&self, patch_idx: usize) -> impl Iterator<Item = (u32, f32)> + '_ {
        let range = patch_idx * self.top_k..(patch_idx + 1) * self.top_k;
        let ids = self.ids.get(range.clone()).unwrap_or_default();
        let probs = self.probs.get(range).unwrap_or_default();
        ids.iter().copied().zip(probs.iter().copied())
    }
}

/// A candidate for the next token.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenScore {
    pub id: u32,
    /// The tokenizer's decoding, as in the result file; for screens use [`Vocabulary::piece`].
    pub text: String,
    pub prob: f32,
    pub logit: f32,
}

/// A greedy answer.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Answer {
    pub text: String,
    /// Ends with the end token where one was produced.
    pub ids: Vec<u32>,
    /// Probability of each chosen token.
    pub probs: Vec<f32>,
    /// `false` while tokens are still coming.
    pub complete: bool,
}

/// What is known of one run, clean or edited.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct RunReadout {
    /// `[level]`, `None` until it is read.
    pub levels: Vec<Option<Arc<LevelReadout>>>,
    /// Ten, best first; empty until the forward pass is through.
    pub next_token: Vec<TokenScore>,
    pub answer: Answer,
}

/// Milliseconds of each part; 0 where the part was reused from before.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Timing {
    pub load: f64,
    pub encode: f64,
    pub baseline: f64,
    pub edited: f64,
    pub lens: f64,
    pub decode: f64,
    /// From the request to this trace.
    pub total: f64,
}

/// Everything known about one request.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    pub id: RunId,
    pub model: Arc<ModelFacts>,
    pub picture: Arc<SeenPicture>,
    pub layout: Arc<TokenLayout>,
    /// The merged sequence; every visual token has the id of `<image>`.
    pub input_ids: Arc<Vec<u32>>,
    pub words: Vec<WordToken>,
    pub baseline: Arc<RunReadout>,
    /// The same as `baseline` where nothing is switched on.
    pub edited: Arc<RunReadout>,
    /// Whether any intervention was switched on.
    pub has_edits: bool,
    pub timing: Timing,
    /// `false` while more is coming.
    pub complete: bool,
}
