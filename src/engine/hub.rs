//! Models of the local Hugging Face cache. Nothing is downloaded here.

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::hub;

/// The snapshot of a model in the local Hugging Face cache.
pub fn hub_folder(id: &str) -> Result<PathBuf> {
    hub::snapshot(id).ok_or_else(|| {
        Error::input(format!(
            "model {id} is neither a folder here nor in the Hugging Face cache ({}): \
             download it with `patchglass download {id}`, or name a folder",
            hub::cache_folder().display()
        ))
    })
}
