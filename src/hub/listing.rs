//! What a model on the hub consists of, and which of its files are needed.

use serde::Deserialize;

use super::client::Client;
use super::{Hub, names};
use crate::error::{Error, Result};

/// Files other than weights that a model is read from.
const NEEDED: [&str; 4] = [
    "config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "model.safetensors.index.json",
];

/// A file on the hub that is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFile {
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of its content, or the SHA-1 by which git knows it: also its name among the blobs.
    pub digest: String,
}

/// What is to be fetched of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    pub id: String,
    pub commit: String,
    /// Small ones first.
    pub files: Vec<RemoteFile>,
}

#[derive(Deserialize)]
struct RawModel {
    sha: String,
    siblings: Vec<RawFile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFile {
    rfilename: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<RawLfs>,
}

#[derive(Deserialize)]
struct RawLfs {
    sha256: String,
    size: u64,
}

impl Hub {
    /// Asks the hub what a model consists of; downloads nothing else.
    ///
    /// # Errors
    /// A name that is none, a hub that does not answer or does not give the model, names that leave their folder, files
    /// that are missing.
    pub fn list(&self, id: &str) -> Result<Listing> {
        names::check_id(id)?;
        let path = format!("api/models/{id}/revision/main?blobs=true");
        let text = Client::new(self).text(&path, &format!("model {id}"))?;
        let raw: RawModel = serde_json::from_str(&text).map_err(|e| {
            Error::internal(format!(
                "{} describes {id} in an unknown form: {e}",
                self.host()
            ))
        })?;
        self.needed(id, raw)
    }

    fn needed(&self, id: &str, raw: RawModel) -> Result<Listing> {
        let odd = |what: &str| {
            Error::input(format!(
                "{} gives {id} {what}: nothing is downloaded",
                self.host()
            ))
        };
        if !names::is_digest(&raw.sha) {
            return Err(odd("a commit that is none"));
        }
        if let Some(file) = raw
            .siblings
            .iter()
            .find(|f| !names::is_inside(&f.rfilename))
        {
            return Err(odd(&format!(
                "a file {:?}, whose name leaves its folder",
                file.rfilename
            )));
        }
        let has_index = raw.siblings.iter().any(|f| f.rfilename == NEEDED[3]);
        let is_needed = |name: &str| {
            let is_shard = name.starts_with("model-") && name.ends_with(".safetensors");
            NEEDED.contains(&name)
                || (if has_index {
                    is_shard
                } else {
                    name == "model.safetensors"
                })
        };
        let mut files = Vec::new();
        for file in raw.siblings.into_iter().filter(|f| is_needed(&f.rfilename)) {
            let (digest, size) = match file.lfs {
                Some(lfs) => (Some(lfs.sha256), Some(lfs.size)),
                None => (file.blob_id, file.size),
            };
            let (Some(digest), Some(size)) = (digest.filter(|d| names::is_digest(d)), size) else {
                return Err(odd(&format!("{} without size and hash", file.rfilename)));
            };
            files.push(RemoteFile {
                name: file.rfilename,
                size,
                digest,
            });
        }
        for name in NEEDED.iter().take(3) {
            if !files.iter().any(|file| file.name == *name) {
                return Err(odd(&format!(
                    "without {name}: it is not LLaVA-1.5 in Hugging Face form"
                )));
            }
        }
        if !files.iter().any(|file| file.name.ends_with(".safetensors")) {
            return Err(odd("without safetensors: it cannot be read"));
        }
        files.sort_by(|a, b| (a.size, &a.name).cmp(&(b.size, &b.name)));
        Ok(Listing {
            id: id.to_owned(),
            commit: raw.sha,
            files,
        })
    }
}

impl Listing {
    /// Bytes of all files.
    pub fn n_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }
}
