//! Where a model's files are: what a session calls a model, as the files to load, and the folder for what is made of them.

use std::path::{Path, PathBuf};

use super::hub::hub_folder;
use super::picture::FileStamp;
use crate::error::Result;
use crate::model::{Checkpoint, GgufFiles};
use crate::spec::ModelSource;

/// Where quantised weights are kept from one start to the next.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum CacheFolder {
    /// The platform's folder for such files, or the one that `PATCHGLASS_CACHE_DIR` names.
    #[default]
    Platform,
    At(PathBuf),
    /// Nowhere.
    Off,
}

impl CacheFolder {
    /// The folder; it need not exist yet.
    pub fn path(&self) -> Option<PathBuf> {
        match self {
            Self::At(path) => Some(path.clone()),
            Self::Off => None,
            Self::Platform => {
                let named = std::env::var_os("PATCHGLASS_CACHE_DIR").filter(|v| !v.is_empty());
                let platform = || Some(dirs::cache_dir()?.join("patchglass"));
                named.map(PathBuf::from).or_else(platform)
            }
        }
    }
}

/// The files of a model.
///
/// # Errors
/// A hub id that is not in the local cache.
pub fn checkpoint(source: &ModelSource) -> Result<Checkpoint> {
    Ok(match source {
        ModelSource::Demo => Checkpoint::Demo,
        ModelSource::Folder(folder) => Checkpoint::Folder(folder.clone()),
        ModelSource::Hub(id) => Checkpoint::Folder(hub_folder(id)?),
        ModelSource::Gguf { model, mmproj } => Checkpoint::Gguf(GgufFiles {
            model: model.clone(),
            mmproj: mmproj.clone(),
        }),
    })
}

/// The files that a model is read from, with their stamps, by name; none of a built-in model and of one that is not there.
pub(super) fn stamps(source: &ModelSource) -> Vec<(PathBuf, FileStamp)> {
    let files = match checkpoint(source) {
        Ok(Checkpoint::Folder(folder)) => {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            entries.map(|entry| entry.path()).collect()
        }
        Ok(Checkpoint::Gguf(files)) => [Some(files.model), files.mmproj]
            .into_iter()
            .flatten()
            .collect(),
        _ => Vec::new(),
    };
    let mut files: Vec<PathBuf> = files;
    files.retain(|path| is_of_model(path));
    files.sort();
    let stamp = |path: PathBuf| FileStamp::of(&path).map(|stamp| (path, stamp));
    files.into_iter().filter_map(stamp).collect()
}

/// Whether a file of this name changes a model; sessions and results may lie beside it.
fn is_of_model(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let begins = [
        "config",
        "tokenizer",
        "preprocessor",
        "processor",
        "generation",
        "special_tokens",
        "added_tokens",
    ];
    let ends = [".safetensors", ".bin", ".gguf", ".model", ".index.json"];
    begins.iter().any(|begin| name.starts_with(begin)) || ends.iter().any(|end| name.ends_with(end))
}
