//! Tensors in Hugging Face form: a memory-mapped folder of safetensors, or safetensors that are part of the binary.
//!
//! It knows the layouts in which LLaVA is published and hides them.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use candle_core::safetensors::{MmapedSafetensors, SliceSafetensors};
use candle_core::{DType, Device, Tensor};
use safetensors::tensor::{Dtype, TensorView};

use super::Part;
use super::pickled::{self, Pickled};
use super::source::{Inventory, Source, Stored, StoredKind};
use crate::error::{Error, Result};
use crate::files;
use crate::model::liuhaotian::Original;

pub(super) struct HuggingFace {
    tensors: Tensors,
    /// What lies in PyTorch's own form.
    pickled: Pickled,
    /// How messages call the checkpoint.
    title: String,
    paths: Vec<PathBuf>,
    prefixes: [&'static str; 4],
}

enum Tensors {
    Mapped(MmapedSafetensors),
    Embedded(SliceSafetensors<'static>),
}

/// The original layout numbers the projector's parts: two maps with an activation between them.
const ORIGINAL_PROJECTOR: &str = "model.mm_projector.";

fn full_name(prefix: &str, name: &str) -> String {
    let name = match prefix {
        ORIGINAL_PROJECTOR => name.replace("linear_1", "0").replace("linear_2", "2"),
        _ => name.to_owned(),
    };
    format!("{prefix}{name}")
}

/// Prefixes in the order in which they are tried: first the published files, then the module names of transformers since
/// 4.52, then those of late version 5, which drop a level of the tower.
fn prefixes(part: Part) -> &'static [&'static str] {
    match part {
        Part::Decoder => &["language_model.model.", "model.language_model.", "model."],
        Part::Head => &["language_model.", ""],
        Part::Tower => &[
            "vision_tower.vision_model.",
            "model.vision_tower.vision_model.",
            "model.vision_tower.",
            "vision_tower.",
            "vision_model.",
        ],
        Part::Projector => &[
            "multi_modal_projector.",
            "model.multi_modal_projector.",
            ORIGINAL_PROJECTOR,
        ],
    }
}

/// A tensor that the part always has.
fn probe(part: Part) -> &'static str {
    match part {
        Part::Decoder => "embed_tokens.weight",
        Part::Head => "lm_head.weight",
        Part::Tower => "embeddings.class_embedding",
        Part::Projector => "linear_1.weight",
    }
}

impl HuggingFace {
    /// Maps the safetensors files of a folder.
    ///
    /// # Errors
    /// No safetensors file, a shard missing, a file damaged.
    pub fn open(folder: &Path) -> Result<Self> {
        let (mut paths, mut bins) = (Vec::new(), Vec::new());
        let original = Original::of(folder)?;
        let tower = original.as_ref().map(|original| &*original.tower);
        for part in [Some(folder), tower].into_iter().flatten() {
            let pickled = pickled::paths(part);
            match shard_paths(part) {
                Err(_) if original.is_some() && !pickled.is_empty() => bins.extend(pickled),
                shards => paths.extend(shards?),
            }
        }
        let pickled = Pickled::open(&bins)?;
        for path in &paths {
            check_header(path)?;
        }
        // SAFETY: the map is read-only and lives as long as the load. If another program truncates the file while it
        // is read, the process may be stopped by the system; nothing short of copying every file avoids that.
        #[expect(unsafe_code, reason = "memory-mapping weights")]
        let mapped = unsafe { MmapedSafetensors::multi(&paths) };
        let mapped = mapped.map_err(|e| {
            Error::input(format!(
                "the weights in {} are damaged: {e}; download them again",
                folder.display()
            ))
        })?;
        let title = folder.display().to_string();
        paths.extend(bins);
        Ok(Self::new(Tensors::Mapped(mapped), pickled, title, paths))
    }

    /// Reads weights that are part of the binary.
    ///
    /// # Errors
    /// A damaged binary.
    pub fn embedded(bytes: &'static [u8]) -> Result<Self> {
        let tensors = Tensors::Embedded(SliceSafetensors::new(bytes)?);
        let title = "the demo model".to_owned();
        Ok(Self::new(tensors, Pickled::open(&[])?, title, Vec::new()))
    }

    fn new(tensors: Tensors, pickled: Pickled, title: String, paths: Vec<PathBuf>) -> Self {
        let mut found = [""; 4];
        for (slot, part) in found.iter_mut().zip(Part::ALL) {
            let known = prefixes(part);
            let has = |prefix: &&&str| {
                let name = full_name(prefix, probe(part));
                tensors.get(&name).is_ok() || pickled.find(&name).is_some()
            };
            *slot = known.iter().find(has).copied().unwrap_or(known[0]);
        }
        Self {
            tensors,
            pickled,
            title,
            paths,
            prefixes: found,
        }
    }
}

impl Tensors {
    fn get(&self, name: &str) -> candle_core::Result<TensorView<'_>> {
        match self {
            Self::Mapped(files) => files.get(name),
            Self::Embedded(file) => file.get(name),
        }
    }
}

impl Source for HuggingFace {
    fn title(&self) -> String {
        self.title.clone()
    }

    fn name(&self, part: Part, name: &str) -> String {
        full_name(self.prefixes[part as usize], name)
    }

    fn find(&self, name: &str, _shape: &[usize]) -> Option<Stored> {
        let Ok(view) = self.tensors.get(name) else {
            return self.pickled.find(name);
        };
        let kind = match view.dtype() {
            Dtype::F32 => StoredKind::Float(DType::F32),
            Dtype::F16 => StoredKind::Float(DType::F16),
            Dtype::BF16 => StoredKind::Float(DType::BF16),
            other => StoredKind::Other(format!("{other:?}")),
        };
        Some(Stored {
            shape: view.shape().to_vec(),
            n_bytes: view.data().len() as u64,
            kind,
        })
    }

    fn float(&self, name: &str, _shape: &[usize], device: &Device) -> Result<Tensor> {
        if self.tensors.get(name).is_err()
            && let Some(tensor) = self.pickled.load(name)?
        {
            return Ok(tensor.to_device(device)?);
        }
        Ok(match &self.tensors {
            Tensors::Mapped(files) => files.load(name, device)?,
            Tensors::Embedded(file) => file.load(name, device)?,
        })
    }

    fn blocks(&self, name: &str) -> Result<Cow<'_, [u8]>> {
        Err(Error::internal(format!("tensor {name} is not quantised")))
    }

    fn missing(&self, part: Part, name: &str) -> Error {
        let tried: Vec<_> = prefixes(part).iter().map(|p| format!("{p}…")).collect();
        Error::input(format!(
            "tensor {name} is missing from {} (names may start with {}): \
             a complete LLaVA-1.5 checkpoint in Hugging Face form is needed",
            self.title,
            tried.join(" or ")
        ))
    }

    fn sizes_from(&self) -> &'static str {
        "config.json"
    }

    fn inventory(&self) -> Inventory {
        let tensors = match &self.tensors {
            Tensors::Mapped(files) => files.tensors(),
            Tensors::Embedded(file) => file.tensors(),
        };
        let mapped = tensors.iter().map(|(_, t)| {
            let n = t.shape().iter().product::<usize>() as u64;
            (n, t.data().len() as u64, format!("{:?}", t.dtype()), true)
        });
        let pickled = self.pickled.all().into_iter();
        Inventory::count(mapped.chain(pickled.map(|(n, bytes, dtype)| (n, bytes, dtype, true))))
    }

    fn files(&self) -> Vec<PathBuf> {
        self.paths.clone()
    }
}

/// The safetensors files of a folder: the single one, those of the index, or all that are there.
fn shard_paths(folder: &Path) -> Result<Vec<PathBuf>> {
    let single = folder.join("model.safetensors");
    if single.exists() {
        return Ok(vec![single]);
    }
    let index = folder.join("model.safetensors.index.json");
    if index.exists() {
        return indexed_paths(folder, &index);
    }
    let is_weights = |path: &PathBuf| path.extension().is_some_and(|e| e == "safetensors");
    let entries = std::fs::read_dir(folder).map_err(|e| Error::read(folder, &e))?;
    let mut paths: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(is_weights)
        .collect();
    paths.sort();
    match paths.is_empty() {
        false => Ok(paths),
        true => Err(Error::input(format!(
            "{} has no model.safetensors and no model.safetensors.index.json: \
             a checkpoint in safetensors form is needed (pickled .bin files are not read)",
            folder.display()
        ))),
    }
}

fn indexed_paths(folder: &Path, index: &Path) -> Result<Vec<PathBuf>> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: std::collections::BTreeMap<String, String>,
    }
    let text = files::read_text(index, 64 << 20)?;
    let read: Index = serde_json::from_str(&text).map_err(|e| {
        Error::input(format!(
            "{} is not a weight index: {e}; download it again",
            index.display()
        ))
    })?;
    let names: std::collections::BTreeSet<String> = read.weight_map.into_values().collect();
    let paths: Vec<_> = names.iter().map(|name| folder.join(name)).collect();
    match paths.iter().find(|path| !path.exists()) {
        None => Ok(paths),
        Some(path) => Err(Error::input(format!(
            "the shard {} is missing, which {} names: download it again",
            path.display(),
            index.display()
        ))),
    }
}

/// A truncated or foreign file is found here, where its name is known.
fn check_header(path: &Path) -> Result<()> {
    use std::io::Read as _;
    let damaged = |why: String| {
        Error::input(format!(
            "{} is not a whole safetensors file: {why}; download it again",
            path.display()
        ))
    };
    let mut file = std::fs::File::open(path).map_err(|e| Error::read(path, &e))?;
    let n_file = file.metadata().map_err(|e| Error::read(path, &e))?.len();
    let mut n_header = [0u8; 8];
    file.read_exact(&mut n_header)
        .map_err(|e| damaged(format!("it has only {n_file} bytes ({e})")))?;
    let n_header = u64::from_le_bytes(n_header);
    if n_header > (100 << 20) || n_header + 8 > n_file {
        return Err(damaged("its header does not fit into it".to_owned()));
    }
    let mut header = vec![0; n_header as usize];
    file.read_exact(&mut header)
        .map_err(|e| damaged(e.to_string()))?;
    let header: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&header)
        .map_err(|e| damaged(format!("its header is not JSON ({e})")))?;
    let end = |tensor: &serde_json::Value| tensor.get("data_offsets")?.get(1)?.as_u64();
    let n_data = header
        .iter()
        .filter(|(name, _)| *name != "__metadata__")
        .filter_map(|(_, t)| end(t))
        .max();
    let n_whole = n_data.unwrap_or(0).saturating_add(8 + n_header);
    match n_whole == n_file {
        true => Ok(()),
        false => Err(damaged(format!(
            "it should have {n_whole} bytes and has {n_file}"
        ))),
    }
}
