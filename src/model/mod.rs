//! The network with its hook points: CLIP tower, projector, LLaMA decoder, and loading them.
//!
//! It knows nothing of interventions, lenses or windows. Sizes come from the checkpoint's config alone. candle's own
//! LLaVA has no place to look in or reach in, so it is not used here; it serves as a second oracle in the tests.

mod activation;
mod clip;
pub mod config;
pub mod facts;
mod gguf;
pub mod hooks;
mod kv_cache;
mod linear;
mod liuhaotian;
mod llama;
mod llava;
mod matrix;
pub mod numbers;
mod ops;
pub mod preprocess;
mod projector;
mod prompt;
mod quantised;
mod random;
mod rotary;
mod tokenizer;
mod weights;

pub use gguf::GgufFiles;
pub use kv_cache::KvCache;
pub use llama::{Base, Llama, MAX_POSITIONS, SideBySide, Wanted};
pub(crate) use llava::device_name;
pub use llava::{Description, Llava};
#[cfg(feature = "cuda")]
pub(crate) use ops::cuda;
pub(crate) use ops::{Norms, RowNorms, exp, read_logits, row_norms, with_vectors};
pub use prompt::{DEFAULT_TEMPLATE, Prompt, PromptRules};
pub use tokenizer::Tokenizer;
pub use weights::{Checkpoint, Inventory, LoadOptions};

use crate::compute::ComputeError;
use crate::error::Error;

const OUT_OF_MEMORY: &str = "the device has not enough memory: close other programs, choose --dtype q8_0 or q4k, which \
    need a half or a third of f16's (`patchglass info MODEL` says how much), or --device cpu";

impl From<candle_core::Error> for Error {
    /// Candle's messages may carry backtraces; only the first line is for people.
    fn from(error: candle_core::Error) -> Self {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or("unknown").to_owned();
        let lower = text.to_lowercase();
        if lower.contains("graphics card was lost") {
            return Self::OutOfMemory {
                message: format!("{first}; the CPU can go on"),
                can_use_cpu: true,
            };
        }
        let signs = [
            "out of memory",
            "out_of_memory",
            "graphics card has no room",
        ];
        if signs.iter().any(|sign| lower.contains(sign)) {
            return Self::OutOfMemory {
                message: OUT_OF_MEMORY.to_owned(),
                can_use_cpu: true,
            };
        }
        Self::internal(format!("the computation failed: {first}"))
    }
}

impl From<ComputeError> for Error {
    fn from(error: ComputeError) -> Self {
        candle_core::Error::from(error).into()
    }
}

impl From<preprocess::PictureError> for Error {
    fn from(error: preprocess::PictureError) -> Self {
        Self::input(error.to_string())
    }
}
