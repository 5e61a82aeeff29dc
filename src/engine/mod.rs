//! The engine owns the model and its device; everything else talks to it in plain data.
//!
//! [`protocol`] and [`trace`] are that plain data and name no tensor. [`Engine::run`] blocks and has no thread of
//! its own; [`worker`] is the one thread around it. What a run can reuse (weights, picture, clean run) the engine keeps.

mod device;
mod dump;
mod hub;
mod job;
mod kept;
pub mod measure;
mod outside;
mod picture;
pub mod plan;
pub mod protocol;
mod run;
mod state;
pub mod trace;
pub mod worker;

pub use dump::Named;
pub use hub::hub_folder;
pub use run::{Engine, EngineOptions};
