//! llama.cpp's files: a language model and, beside it, the vision tower with the projector (`mmproj`).
//!
//! Their names and layouts differ from Hugging Face's, and this is where that ends: the rest of the model code sees a
//! [`Config`](super::config::Config), a tokenizer and tensors under the names that it knows.

mod config;
mod file;
mod names;
mod pair;
mod tokenizer;

pub(super) use self::file::GgufFile;
pub use self::pair::GgufFiles;
pub(super) use self::pair::GgufPair;
