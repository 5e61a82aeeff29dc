//! How to read a run: the logit lens. It turns residual rows into words; it changes nothing and keeps nothing.

mod logit_lens;
mod readout;
mod rows;
mod similar;

pub use logit_lens::{LevelReading, next_token, start_level, word_probabilities};
pub use readout::{LevelReadout, TokenScore};
pub use similar::cosines;
