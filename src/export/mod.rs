//! What leaves the program: files made of a trace, the same for the window's menu and the command line.
//!
//! Every export is a pure function of what the engine has computed; nothing here runs a model, opens a file or draws a
//! window.

mod base64;
pub mod canvas;
pub mod csv;
pub mod gif;
pub mod heat;
pub mod html;
pub mod insight;
pub mod map;
mod marks;
pub mod picture;
pub mod python;
pub mod result;
pub mod scale;
pub mod tensors;

use crate::engine::trace::Trace;
use crate::error::{Error, Result};

/// `result.json` of a complete trace, as `patchglass run` writes it.
///
/// # Errors
/// A trace that is not complete.
pub fn json(trace: &Trace) -> Result<String> {
    complete(trace)?;
    serde_json::to_string(&result::ResultFile::new(trace)).map_err(Error::internal)
}

/// Whether everything of a run is there; half a run is not exported.
fn complete(trace: &Trace) -> Result<()> {
    match trace.complete {
        true => Ok(()),
        false => Err(Error::input(
            "the run is not complete yet: wait until it is through, then export",
        )),
    }
}
