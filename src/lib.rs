//! Patchglass: an explorer of what a vision-language model makes of a picture.

pub mod demo;
pub mod engine;
pub mod error;
pub mod files;
pub mod index;
#[cfg(feature = "gui")]
pub mod render;
pub mod session;
pub mod spec;
#[cfg(feature = "gui")]
pub mod ui;
pub mod words_png;
