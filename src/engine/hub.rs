//! Models of the local Hugging Face cache. Nothing is downloaded.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The newest snapshot of a model in the local Hugging Face cache.
pub fn hub_folder(id: &str) -> Result<PathBuf> {
    let home = |name: &str| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    let user = home("HOME")
        .or_else(|| home("USERPROFILE"))
        .unwrap_or_default();
    let hub = home("HF_HUB_CACHE")
        .or_else(|| home("HF_HOME").map(|h| h.join("hub")))
        .unwrap_or_else(|| user.join(".cache").join("huggingface").join("hub"));
    let snapshots = hub
        .join(format!("models--{}", id.replace('/', "--")))
        .join("snapshots");
    let folders = std::fs::read_dir(&snapshots)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let with_time = folders.filter(|f| f.is_dir()).map(|f| (modified(&f), f));
    with_time.max().map(|(_, folder)| folder).ok_or_else(|| {
        Error::input(format!(
            "model {id} is neither a folder here nor in the Hugging Face cache ({}): \
             download it with `hf download {id}`, or name a folder",
            hub.display()
        ))
    })
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    std::fs::metadata(path)
        .and_then(|meta| meta.modified())
        .ok()
}
