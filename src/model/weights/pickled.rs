//! Weights in PyTorch's own form (`pytorch_model*.bin`), read by candle's pickle reader, which runs no code.

use std::path::{Path, PathBuf};

use candle_core::pickle::PthTensors;
use candle_core::{DType, Tensor};

use super::source::{Stored, StoredKind};
use crate::error::{Error, Result};

/// The tensors of some files.
pub(super) struct Pickled(Vec<PthTensors>);

impl Pickled {
    /// Reads the lists of tensors.
    ///
    /// # Errors
    /// A file that is damaged or of another kind.
    pub fn open(paths: &[PathBuf]) -> Result<Self> {
        let open = |path: &PathBuf| {
            PthTensors::new(path, None).map_err(|e| {
                Error::input(format!(
                    "{} is not a whole PyTorch file: {e}; download it again",
                    path.display()
                ))
            })
        };
        Ok(Self(paths.iter().map(open).collect::<Result<_>>()?))
    }

    pub fn find(&self, name: &str) -> Option<Stored> {
        let info = self
            .0
            .iter()
            .find_map(|file| file.tensor_infos().get(name))?;
        let kind = match info.dtype {
            dtype @ (DType::F32 | DType::F16 | DType::BF16) => StoredKind::Float(dtype),
            other => StoredKind::Other(other.as_str().to_owned()),
        };
        Some(Stored {
            shape: info.layout.dims().to_vec(),
            n_bytes: (info.layout.shape().elem_count() * info.dtype.size_in_bytes()) as u64,
            kind,
        })
    }

    pub fn load(&self, name: &str) -> Result<Option<Tensor>> {
        for file in &self.0 {
            if let Some(tensor) = file.get(name)? {
                return Ok(Some(tensor));
            }
        }
        Ok(None)
    }

    /// Elements, bytes and type of every tensor.
    pub fn all(&self) -> Vec<(u64, u64, String)> {
        let infos = |file: &PthTensors| {
            let mut infos: Vec<_> = file.tensor_infos().values().cloned().collect();
            infos.sort_by(|a, b| a.name.cmp(&b.name));
            infos
        };
        let about = |info: candle_core::pickle::TensorInfo| {
            let n = info.layout.shape().elem_count();
            let bytes = (n * info.dtype.size_in_bytes()) as u64;
            (n as u64, bytes, info.dtype.as_str().to_uppercase())
        };
        self.0.iter().flat_map(infos).map(about).collect()
    }
}

/// The PyTorch files of a folder, in order.
pub(super) fn paths(folder: &Path) -> Vec<PathBuf> {
    let name = |path: &Path| {
        path.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let is_weights = |path: &PathBuf| {
        let name = name(path);
        name.starts_with("pytorch_model") && name.ends_with(".bin")
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(is_weights)
        .collect();
    paths.sort();
    paths
}
