//! Patchglass: an explorer of what a vision-language model makes of a picture.

#[cfg(feature = "gui")]
pub mod app;
pub mod cli;
pub mod demo;
#[cfg(feature = "gui")]
pub mod dialogs;
pub mod engine;
pub mod error;
pub mod files;
pub mod index;
pub mod intervene;
pub mod lens;
pub mod model;
#[cfg(feature = "gui")]
pub mod render;
pub mod session;
pub mod spec;
#[cfg(feature = "gui")]
pub mod ui;
pub mod words_png;
