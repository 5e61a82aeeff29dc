//! Models of the Hugging Face hub: where its cache lies on this machine, and downloads into it, only when asked for.
//!
//! The cache is laid out as `huggingface_hub` lays it out (`models--owner--name/{blobs,snapshots,refs}`), so that what one
//! program has fetched the other finds. Nothing else of Patchglass speaks to a network.

mod client;
mod download;
mod listing;
mod names;

use std::path::{Path, PathBuf};

pub use download::{Download, Progress};
pub use listing::{Listing, RemoteFile};

use crate::error::{Error, Result};

const ENDPOINT: &str = "https://huggingface.co";

/// A hub and its cache, as the environment names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hub {
    /// Address without a slash at its end.
    pub endpoint: String,
    pub token: Option<String>,
    /// The folder that holds `models--owner--name`.
    pub cache: PathBuf,
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// What `huggingface_hub` takes as true, in any case.
fn is_set(value: &str) -> bool {
    matches!(
        value.to_ascii_uppercase().as_str(),
        "1" | "ON" | "YES" | "TRUE"
    )
}

impl Hub {
    /// From `HF_ENDPOINT`, `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_HOME`, `HF_HUB_CACHE`.
    ///
    /// # Errors
    /// `HF_HUB_OFFLINE` is set.
    pub fn from_env() -> Result<Self> {
        if variable("HF_HUB_OFFLINE").is_some_and(|on| is_set(&on)) {
            return Err(Error::input(
                "HF_HUB_OFFLINE is set: take it away to download, or name a model that is already here",
            ));
        }
        let endpoint = variable("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
        let token_file =
            variable("HF_TOKEN_PATH").map_or_else(|| home().join("token"), PathBuf::from);
        let stored = || crate::files::read_text(&token_file, 1 << 16).ok();
        let token = variable("HF_TOKEN").or_else(stored);
        Ok(Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token: token.map(|t| t.trim().to_owned()).filter(|t| !t.is_empty()),
            cache: cache_folder(),
        })
    }

    /// Name of the host, for messages.
    fn host(&self) -> &str {
        let rest = self.endpoint.split("://").last().unwrap_or_default();
        rest.split('/').next().unwrap_or_default()
    }

    /// The folder of a model in the cache.
    fn repository(&self, id: &str) -> PathBuf {
        self.cache.join(folder_name(id))
    }
}

/// `HF_HOME`, or where it is by default.
fn home() -> PathBuf {
    let user = || {
        let home = variable("HOME").or_else(|| variable("USERPROFILE"));
        PathBuf::from(home.unwrap_or_default())
    };
    let cache = || variable("XDG_CACHE_HOME").map_or_else(|| user().join(".cache"), PathBuf::from);
    variable("HF_HOME").map_or_else(|| cache().join("huggingface"), PathBuf::from)
}

/// The folder that holds `models--owner--name`.
pub fn cache_folder() -> PathBuf {
    variable("HF_HUB_CACHE").map_or_else(|| home().join("hub"), PathBuf::from)
}

/// How the cache calls a model.
pub fn folder_name(id: &str) -> String {
    format!("models--{}", id.replace('/', "--"))
}

/// The folder of a model that is in the cache: the snapshot that its `main` names, or the newest.
pub fn snapshot(id: &str) -> Option<PathBuf> {
    snapshot_in(&cache_folder(), id)
}

fn snapshot_in(cache: &Path, id: &str) -> Option<PathBuf> {
    let repository = cache.join(folder_name(id));
    let snapshots = repository.join("snapshots");
    let main = crate::files::read_text(&repository.join("refs").join("main"), 1 << 10).ok();
    let named = main.map(|commit| snapshots.join(commit.trim()));
    if let Some(folder) = named.filter(|folder| folder.join("config.json").is_file()) {
        return Some(folder);
    }
    let entries = std::fs::read_dir(&snapshots).ok()?.flatten();
    let folders = entries.map(|entry| entry.path()).filter(|f| f.is_dir());
    let modified = |path: &Path| {
        std::fs::metadata(path)
            .and_then(|meta| meta.modified())
            .ok()
    };
    folders.map(|f| (modified(&f), f)).max().map(|(_, f)| f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offline_is_what_the_library_takes_for_true() {
        for on in ["1", "ON", "on", "yes", "True"] {
            assert!(is_set(on), "{on}");
        }
        for off in ["0", "false", "OFF", "no", "2", ""] {
            assert!(!is_set(off), "{off}");
        }
    }
}
