//! Where a model's files are: what a session calls a model, as the files to load, and the folder for what is made of them.

use std::path::PathBuf;

use super::hub::hub_folder;
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
