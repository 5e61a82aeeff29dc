//! How to read a run: the logit lens, and cosines beside it. They turn residual rows into words, change nothing and keep
//! nothing.

mod cosine;
mod divergence;
mod logit_lens;
mod readout;
mod rows;
mod similar;
mod words;

pub use cosine::{cosine_level, embedding_norms};
pub use divergence::divergences;
pub use logit_lens::{LevelReading, next_token, start_level};
pub use readout::{LevelReadout, TokenScore};
pub use similar::cosines;
pub use words::{word_log_probabilities, word_ranks};
