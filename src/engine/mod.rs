//! The engine owns the model and its device; everything else talks to it in plain data.
//!
//! [`protocol`] and [`trace`] are that plain data and name no tensor. [`Engine::run`] blocks and has no thread of
//! its own; [`worker`] is the one thread around it. What a run can reuse (weights, picture, clean run) the engine keeps.

mod batches;
pub mod budget;
mod checkpoint;
mod compare;
mod device;
mod dump;
mod fits;
mod free_memory;
mod hub;
mod inside;
pub mod insight;
mod job;
mod kept;
pub mod measure;
pub mod memory;
mod outside;
mod picture;
mod place;
pub mod plan;
pub mod protocol;
mod pt;
mod run;
mod state;
pub mod study;
pub mod sweep;
pub mod trace;
pub mod verification;
mod verify;
mod words;
pub mod worker;

pub use checkpoint::{CacheFolder, checkpoint};
pub use dump::Named;
pub use fits::fits;
pub use free_memory::free_memory;
pub use place::Place;
pub use run::{Engine, EngineOptions};
