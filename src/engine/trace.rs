//! What a run left behind, as plain data: all that the window and the result file may show.
//!
//! A trace is immutable and shared. While a run goes on, ever fuller traces of the same id follow each other.
//! Token ids become text only through [`ModelFacts::vocabulary`].

use std::sync::Arc;

use super::insight::Insight;
use super::protocol::RunId;
use crate::index::TokenLayout;
pub use crate::lens::{LevelReadout, TokenScore};
pub use crate::model::facts::{ModelFacts, Vocabulary, WordToken};
use crate::model::preprocess::SeenRect;

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
    /// Which part of the file is seen, in its pixels.
    pub seen_in_original: SeenRect,
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
    /// The tokens that are no patches, where the readout asks for all.
    pub tokens: Option<TokenReadout>,
    /// `[level]`, by cosine to the input embeddings: `probs` holds cosines; empty unless asked for.
    pub cosine: Vec<Option<Arc<LevelReadout>>>,
    /// `[level]`, of the edited run; empty unless asked for.
    pub divergence: Vec<Option<Arc<Divergence>>>,
}

/// The lens of the positions that are no patches: system, question, and what was generated and run.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct TokenReadout {
    /// Positions in the sequence, ascending; those from the prompt's length on are the answer's.
    pub positions: Vec<usize>,
    /// The token at each.
    pub ids: Vec<u32>,
    /// `[level]`, rows as `positions`.
    pub levels: Vec<Option<Arc<LevelReadout>>>,
    /// `[level]`, rows as `positions`, by cosine to the input embeddings; empty unless asked for.
    pub cosine: Vec<Option<Arc<LevelReadout>>>,
}

/// How far one level's words are from the clean run's.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Divergence {
    /// KL(clean ‖ edited) in nats. `[patch]`
    pub values: Vec<f32>,
    /// The largest KL of the same pass with nothing changed: what lies at or below it is rounding.
    pub floor: f32,
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

/// What is kept of runs so that the next one can go on from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Caches {
    /// Residual streams, keys and values of the clean and the edited run.
    pub n_bytes: u64,
    /// Bytes that weights, kept runs and work may take together; `None` for no limit.
    pub allowed: Option<u64>,
    /// There is room for one run only: each is computed whole.
    pub keeps_one: bool,
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
    /// The patch that the levels' `similar` compares the others with, row-major.
    pub similar_to: Option<usize>,
    pub baseline: Arc<RunReadout>,
    /// The same as `baseline` where nothing is switched on.
    pub edited: Arc<RunReadout>,
    /// Whether any intervention was switched on.
    pub has_edits: bool,
    /// What was asked for beyond the words.
    pub insight: Arc<Insight>,
    /// Share of the edited run's rows, over all blocks, that had to be computed, 0..=1; the rest is the clean run's.
    pub recomputed: Option<f32>,
    pub timing: Timing,
    pub caches: Caches,
    /// `false` while more is coming.
    pub complete: bool,
}
