//! Tensors of a checkpoint by part and name, from a memory-mapped Hugging Face folder or from the binary itself.
//!
//! It knows the layouts in which LLaVA is published and hides them: callers ask for `layers.0.mlp.up_proj.weight` of
//! the decoder. It checks shape and type of everything it hands out and keeps nothing that it handed out.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};

use candle_core::safetensors::{MmapedSafetensors, SliceSafetensors};
use candle_core::{DType, Device, Tensor};
use safetensors::tensor::{Dtype, TensorView};

use super::random;
use crate::error::{Error, Result};
use crate::files;

/// The parts of the model, whose names carry different prefixes in different layouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Decoder,
    Head,
    Tower,
    Projector,
}

impl Part {
    const ALL: [Self; 4] = [Self::Decoder, Self::Head, Self::Tower, Self::Projector];

    /// Prefixes in the order in which they are tried: first the published files, then the module names of
    /// transformers since 4.52, then those of late version 5, which drop a level of the tower.
    fn prefixes(self) -> &'static [&'static str] {
        match self {
            Self::Decoder => &["language_model.model.", "model.language_model."],
            Self::Head => &["language_model.", ""],
            Self::Tower => &[
                "vision_tower.vision_model.",
                "model.vision_tower.vision_model.",
                "model.vision_tower.",
                "vision_tower.",
            ],
            Self::Projector => &["multi_modal_projector.", "model.multi_modal_projector."],
        }
    }

    /// A tensor that the part always has.
    fn probe(self) -> &'static str {
        match self {
            Self::Decoder => "embed_tokens.weight",
            Self::Head => "lm_head.weight",
            Self::Tower => "embeddings.class_embedding",
            Self::Projector => "linear_1.weight",
        }
    }
}

enum Source {
    Mapped(MmapedSafetensors),
    Embedded(SliceSafetensors<'static>),
    /// Nothing is read: see `random`.
    Random,
}

impl Source {
    fn get(&self, name: &str) -> candle_core::Result<TensorView<'_>> {
        match self {
            Self::Mapped(files) => files.get(name),
            Self::Embedded(file) => file.get(name),
            Self::Random => Err(candle_core::Error::msg("random weights are not stored")),
        }
    }

    fn load(&self, name: &str, device: &Device) -> candle_core::Result<Tensor> {
        match self {
            Self::Mapped(files) => files.load(name, device),
            Self::Embedded(file) => file.load(name, device),
            Self::Random => Err(candle_core::Error::msg("random weights are not stored")),
        }
    }

    fn inventory(&self) -> Inventory {
        let tensors = match self {
            Self::Mapped(files) => files.tensors(),
            Self::Embedded(file) => file.tensors(),
            Self::Random => return Inventory::of_random(),
        };
        let dtypes: std::collections::BTreeSet<String> = tensors
            .iter()
            .map(|(_, t)| format!("{:?}", t.dtype()))
            .collect();
        Inventory {
            n_params: tensors
                .iter()
                .map(|(_, t)| t.shape().iter().product::<usize>() as u64)
                .sum(),
            n_bytes: tensors.iter().map(|(_, t)| t.data().len() as u64).sum(),
            n_tensors: tensors.len(),
            dtypes: dtypes.into_iter().collect(),
        }
    }
}

/// Called with the share of the bytes that are loaded, 0..=1; an error stops the loading.
pub type Progress<'a> = dyn FnMut(f32) -> Result<()> + 'a;

/// A checkpoint that is being read.
pub struct Weights<'a> {
    source: Source,
    /// How messages call the checkpoint.
    name: String,
    prefixes: [&'static str; 4],
    device: Device,
    dtype: DType,
    inventory: Inventory,
    n_loaded: Cell<u64>,
    progress: RefCell<&'a mut Progress<'a>>,
}

impl<'a> Weights<'a> {
    /// Maps the safetensors files of a folder.
    ///
    /// # Errors
    /// No safetensors file, a shard missing, a file damaged, no LLaVA tensors.
    pub fn open(
        folder: &Path,
        device: &Device,
        dtype: DType,
        progress: &'a mut Progress<'a>,
    ) -> Result<Self> {
        let paths = shard_paths(folder)?;
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
        Self::new(
            Source::Mapped(mapped),
            folder.display().to_string(),
            device,
            dtype,
            progress,
        )
    }

    /// Reads weights that are part of the binary.
    ///
    /// # Errors
    /// A damaged binary.
    pub fn embedded(
        bytes: &'static [u8],
        device: &Device,
        dtype: DType,
        progress: &'a mut Progress<'a>,
    ) -> Result<Self> {
        let file = SliceSafetensors::new(bytes)?;
        Self::new(
            Source::Embedded(file),
            "the demo model".to_owned(),
            device,
            dtype,
            progress,
        )
    }

    /// Makes random weights of the shape of LLaVA-1.5-7B.
    pub fn random(device: &Device, dtype: DType, progress: &'a mut Progress<'a>) -> Result<Self> {
        Self::new(
            Source::Random,
            "random-7b".to_owned(),
            device,
            dtype,
            progress,
        )
    }

    fn new(
        source: Source,
        name: String,
        device: &Device,
        dtype: DType,
        progress: &'a mut Progress<'a>,
    ) -> Result<Self> {
        let mut prefixes = [""; 4];
        for (slot, part) in prefixes.iter_mut().zip(Part::ALL) {
            let has = |prefix: &&&str| source.get(&format!("{prefix}{}", part.probe())).is_ok();
            *slot = part
                .prefixes()
                .iter()
                .find(has)
                .copied()
                .unwrap_or(part.prefixes()[0]);
        }
        let inventory = source.inventory();
        Ok(Self {
            source,
            name,
            prefixes,
            device: device.clone(),
            dtype,
            inventory,
            n_loaded: Cell::new(0),
            progress: RefCell::new(progress),
        })
    }

    /// What the files hold.
    pub fn inventory(&self) -> Inventory {
        self.inventory.clone()
    }

    /// Loads a tensor of the model's dtype onto its device.
    ///
    /// # Errors
    /// The tensor is missing, has another shape than `shape`, or is not of a float type; the person cancels.
    pub fn get(&self, part: Part, name: &str, shape: &[usize]) -> Result<Tensor> {
        if let Source::Random = self.source {
            let tensor = random::tensor(part, name, shape, self.dtype, &self.device)?;
            self.tell(2 * shape.iter().product::<usize>() as u64)?;
            return Ok(tensor);
        }
        let full_name = format!("{}{name}", self.prefixes[part as usize]);
        let view = self
            .source
            .get(&full_name)
            .map_err(|_not_there| self.missing(part, &full_name))?;
        if !matches!(view.dtype(), Dtype::F32 | Dtype::F16 | Dtype::BF16) {
            return Err(Error::input(format!(
                "tensor {full_name} of {} has the type {:?}; only F32, F16 and BF16 weights can be read",
                self.name,
                view.dtype()
            )));
        }
        if view.shape() != shape {
            return Err(Error::input(format!(
                "tensor {full_name} of {} has the shape {:?}, but its config.json asks for {shape:?}: \
                 a size in config.json is missing or belongs to another model",
                self.name,
                view.shape()
            )));
        }
        let n_bytes = view.data().len() as u64;
        let tensor = self
            .source
            .load(&full_name, &self.device)?
            .to_dtype(self.dtype)?;
        self.tell(n_bytes)?;
        Ok(tensor)
    }

    fn tell(&self, n_bytes: u64) -> Result<()> {
        self.n_loaded.set(self.n_loaded.get() + n_bytes);
        let fraction = self.n_loaded.get() as f32 / self.inventory.n_bytes.max(1) as f32;
        (self.progress.borrow_mut())(fraction.min(1.0))
    }

    fn missing(&self, part: Part, full_name: &str) -> Error {
        let tried = part
            .prefixes()
            .iter()
            .map(|p| format!("{p}…"))
            .collect::<Vec<_>>()
            .join(" or ");
        Error::input(format!(
            "tensor {full_name} is missing from {} (names may start with {tried}): \
             a complete LLaVA-1.5 checkpoint in Hugging Face form is needed",
            self.name
        ))
    }
}

/// What the files of a checkpoint hold, without loading them.
#[derive(Clone, Debug, PartialEq)]
pub struct Inventory {
    pub n_params: u64,
    pub n_bytes: u64,
    pub n_tensors: usize,
    /// Types of the tensors, e.g. `F16`.
    pub dtypes: Vec<String>,
}

impl Inventory {
    fn of_random() -> Self {
        Self {
            n_params: random::N_PARAMS,
            n_bytes: 2 * random::N_PARAMS,
            n_tensors: 0,
            dtypes: Vec::new(),
        }
    }

    /// Of a checkpoint folder.
    ///
    /// # Errors
    /// As [`Weights::open`].
    pub fn of_folder(folder: &Path) -> Result<Self> {
        Ok(Weights::open(folder, &Device::Cpu, DType::F32, &mut |_| Ok(()))?.inventory())
    }

    /// Of the demo model.
    ///
    /// # Errors
    /// A damaged binary.
    pub fn of_demo() -> Result<Self> {
        let bytes = crate::demo::WEIGHTS;
        Ok(Weights::embedded(bytes, &Device::Cpu, DType::F32, &mut |_| Ok(()))?.inventory())
    }
}

/// The safetensors files of a folder: the single one, those of the index, or all that are there.
pub(super) fn shard_paths(folder: &Path) -> Result<Vec<PathBuf>> {
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
