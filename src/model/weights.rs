//! Tensors of a checkpoint by part and name, onto the device and into the number types that the model is to have.
//!
//! Callers ask for `layers.0.mlp.up_proj.weight` of the decoder, whatever the file calls it. Shape and type of everything
//! handed out are checked, and nothing that was handed out is kept, except what is to go into the cache on disk.

mod cache;
mod hugging_face;
mod onto_gpu;
mod pickled;
pub(super) mod source;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::tensor::{DType, Device, Tensor};
use candle_core::quantized::{GgmlDType, QTensor};

use self::cache::Cache;
use self::hugging_face::HuggingFace;
pub use self::source::Inventory;
use self::source::{Source, Stored, StoredKind};
use super::gguf::{GgufFiles, GgufPair};
use super::linear::stack;
use super::matrix::Matrix;
use super::numbers::{Maps, Numbers, type_name};
use super::{quantised, random};
use crate::error::{Error, Result};

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
}

/// Which weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checkpoint {
    /// The small model inside the binary.
    Demo,
    /// A folder in Hugging Face form.
    Folder(PathBuf),
    Gguf(GgufFiles),
    /// Random weights of the shape of LLaVA-1.5-7B, for timing.
    Random,
}

/// Where weights are loaded to, and as what.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    pub device: Device,
    pub numbers: Numbers,
    /// Where quantised weights are kept for the next time; `None` to make them anew every time.
    pub cache: Option<PathBuf>,
}

/// Called with the share of the bytes that are loaded, 0..=1; an error stops the loading.
pub type Progress<'a> = dyn FnMut(f32) -> Result<()> + 'a;

/// The share of the work that is left for writing the cache, where there is none yet.
const SHARE_OF_WRITING: f32 = 0.2;

/// A checkpoint that is being read.
pub struct Weights<'a> {
    source: Box<dyn Source + 'a>,
    device: Device,
    numbers: Numbers,
    cache: Option<RefCell<Cache>>,
    inventory: Inventory,
    n_loaded: Cell<u64>,
    /// Maps that are not of the type asked for: their row length and the type that they have, and how many.
    fallbacks: RefCell<BTreeMap<(usize, String), usize>>,
    progress: RefCell<&'a mut Progress<'a>>,
}

/// One of the matrices that make up a map.
struct Piece {
    name: String,
    n_out: usize,
    n_bytes: u64,
    /// What it is to be; `None` for the float type.
    held: Option<GgmlDType>,
    is_made: bool,
}

impl<'a> Weights<'a> {
    /// Opens a checkpoint; maps its files and reads their headers.
    ///
    /// # Errors
    /// No weights, a file missing or damaged.
    pub fn open(
        checkpoint: &Checkpoint,
        options: &LoadOptions,
        progress: &'a mut Progress<'a>,
    ) -> Result<Self> {
        let (source, stored): (Box<dyn Source>, _) = match checkpoint {
            Checkpoint::Demo => (
                Box::new(HuggingFace::embedded(crate::demo::WEIGHTS)?),
                Maps::Float,
            ),
            Checkpoint::Folder(folder) => (Box::new(HuggingFace::open(folder)?), Maps::Float),
            Checkpoint::Gguf(files) => (Box::new(GgufPair::open(files)?), Maps::AsStored),
            Checkpoint::Random => (Box::new(random::Weights), Maps::Float),
        };
        let maps = match options.numbers.maps {
            Maps::AsStored => stored,
            maps => maps,
        };
        let numbers = Numbers {
            maps,
            ..options.numbers
        };
        let makes = matches!(maps, Maps::Q8_0 | Maps::Q4K) && !source.files().is_empty();
        let cache = options.cache.as_deref().filter(|_| makes);
        let cache = cache.map(|folder| RefCell::new(Cache::open(folder, source.as_ref(), maps)));
        Ok(Self {
            inventory: source.inventory(),
            source,
            device: options.device.clone(),
            numbers,
            cache,
            n_loaded: Cell::new(0),
            fallbacks: RefCell::default(),
            progress: RefCell::new(progress),
        })
    }

    /// What the files hold.
    pub fn inventory(&self) -> Inventory {
        self.inventory.clone()
    }

    pub fn numbers(&self) -> Numbers {
        self.numbers
    }

    /// Loads a tensor of the float type onto the device.
    ///
    /// # Errors
    /// The tensor is missing, has another shape than `shape`, or is not of a float type; the person cancels.
    pub fn get(&self, part: Part, name: &str, shape: &[usize]) -> Result<Tensor> {
        let name = self.source.name(part, name);
        let stored = self.check(part, &name, shape)?;
        self.float(&name, shape, stored.n_bytes)
    }

    /// Loads a linear map: matrices of the same input, their outputs side by side, `names` with the width of each. One
    /// matrix, unless the file holds them in different quantised types.
    ///
    /// # Errors
    /// As [`Weights::get`].
    pub fn map(&self, part: Part, names: &[(String, usize)], n_in: usize) -> Result<Vec<Matrix>> {
        let pieces =
            (names.iter()).map(|(name, n_out)| self.piece(part, name, (*n_out, n_in), false));
        let pieces = pieces.collect::<Result<Vec<_>>>()?;
        let groups = pieces.chunk_by(|a, b| a.held == b.held);
        groups.map(|group| self.load(group, n_in)).collect()
    }

    /// Loads the unembedding `[vocab, d_model]`: one of its own, or the embeddings once more.
    ///
    /// # Errors
    /// As [`Weights::get`].
    pub fn unembedding(&self, is_tied: bool, shape: (usize, usize)) -> Result<Matrix> {
        let (part, name) = match is_tied {
            true => (Part::Decoder, "embed_tokens.weight"),
            false => (Part::Head, "lm_head.weight"),
        };
        let piece = self.piece(part, name, shape, true)?;
        self.load(&[piece], shape.1)
    }

    /// Loads a matrix whose rows are looked up, `[vocab, d_model]`: never rounded, but left as it is stored where that
    /// takes less memory and the maps are quantised.
    ///
    /// # Errors
    /// As [`Weights::get`].
    pub fn table(&self, part: Part, name: &str, shape: (usize, usize)) -> Result<Matrix> {
        let name = self.source.name(part, name);
        let stored = self.check(part, &name, &[shape.0, shape.1])?;
        match stored.kind {
            _ if self.numbers.maps == Maps::Float => {}
            StoredKind::Quantised(dtype) => {
                let piece = Piece {
                    name,
                    n_out: shape.0,
                    n_bytes: stored.n_bytes,
                    held: Some(dtype),
                    is_made: false,
                };
                return self.load(&[piece], shape.1);
            }
            StoredKind::Float(dtype)
                if dtype.size_in_bytes() < self.numbers.float.size_in_bytes() =>
            {
                return self.floats(&[(&name, shape.0, stored.n_bytes)], shape.1, dtype);
            }
            _ => {}
        }
        self.floats(
            &[(&name, shape.0, stored.n_bytes)],
            shape.1,
            self.numbers.float,
        )
    }

    /// Writes the cache, if something was made that is not in it, and gives what a person should know about the load.
    ///
    /// # Errors
    /// The person cancels. A cache that cannot be written is only told.
    pub fn finish(&self) -> Result<Vec<String>> {
        let wanted = match self.numbers.maps {
            Maps::Q4K => "q4k",
            _ => "q8_0",
        };
        let told = |((n_in, dtype), n): (&(usize, String), &usize)| {
            let maps = if *n == 1 { "map" } else { "maps" };
            format!(
                "{n} {maps} with rows of {n_in} are held as {dtype}: no block of {wanted} fits them"
            )
        };
        let mut notes: Vec<_> = self.fallbacks.borrow().iter().map(told).collect();
        if let Some(cache) = &self.cache {
            let mut progress = self.progress.borrow_mut();
            let mut tell = |part: f32| progress(1.0 - SHARE_OF_WRITING * (1.0 - part));
            notes.extend(cache.borrow_mut().finish(&mut tell)?);
        }
        Ok(notes)
    }

    /// What is to become of a matrix.
    fn piece(
        &self,
        part: Part,
        name: &str,
        (n_out, n_in): (usize, usize),
        is_unembedding: bool,
    ) -> Result<Piece> {
        let name = self.source.name(part, name);
        let stored = self.check(part, &name, &[n_out, n_in])?;
        let is_map = matches!(part, Part::Decoder | Part::Head);
        let made = self.numbers.maps.type_for(n_in, is_unembedding);
        let (held, is_made) = match stored.kind {
            _ if !is_map || self.numbers.maps == Maps::Float => (None, false),
            StoredKind::Quantised(dtype) => (Some(dtype), false),
            _ => (made, made.is_some()),
        };
        let wanted = self.numbers.maps.type_for(1 << 12, is_unembedding);
        if is_map && held != wanted && !matches!(stored.kind, StoredKind::Quantised(_)) {
            let dtype = held.map_or_else(|| self.numbers.float.as_str().to_owned(), type_name);
            *self
                .fallbacks
                .borrow_mut()
                .entry((n_in, dtype))
                .or_default() += 1;
        }
        Ok(Piece {
            name,
            n_out,
            n_bytes: stored.n_bytes,
            held,
            is_made,
        })
    }

    /// Matrices of one type as one.
    fn load(&self, pieces: &[Piece], n_in: usize) -> Result<Matrix> {
        match pieces.first().and_then(|piece| piece.held) {
            Some(dtype) => self.quantised(pieces, dtype, n_in),
            None => {
                let pieces =
                    (pieces.iter()).map(|piece| (piece.name.as_str(), piece.n_out, piece.n_bytes));
                let pieces: Vec<_> = pieces.collect();
                self.floats(&pieces, n_in, self.numbers.float)
            }
        }
    }

    /// Matrices of a float type, by name, height and bytes in the file, as one.
    fn floats(&self, pieces: &[(&str, usize, u64)], n_in: usize, dtype: DType) -> Result<Matrix> {
        let device = self.device.candle();
        let read = |&(name, n_out, n_bytes): &(&str, usize, u64)| -> Result<candle_core::Tensor> {
            let tensor = self.source.float(name, &[n_out, n_in], &device)?;
            self.advance(n_bytes)?;
            Ok(tensor)
        };
        if let Some(gpu) = self.device.wgpu() {
            let n_out = pieces.iter().map(|piece| piece.1).sum();
            let mut upload = onto_gpu::Upload::of_floats(gpu, dtype, (n_out, n_in))?;
            for piece in pieces {
                upload.push(&read(piece)?)?;
            }
            return upload.finish();
        }
        let parts = pieces
            .iter()
            .map(|piece| Ok(Tensor::from(read(piece)?.to_dtype(dtype)?)));
        Ok(Matrix::Float(stack(parts.collect::<Result<Vec<_>>>()?)?))
    }

    /// The same of a quantised type: from the file, from the cache, or made here.
    fn quantised(&self, pieces: &[Piece], dtype: GgmlDType, n_in: usize) -> Result<Matrix> {
        let shape = (pieces.iter().map(|piece| piece.n_out).sum(), n_in);
        let names: Vec<_> = pieces.iter().map(|piece| piece.name.as_str()).collect();
        let key = names.join("+");
        let is_made = pieces.iter().any(|piece| piece.is_made);
        let cache = self.cache.as_ref().filter(|_| is_made);
        let device = self.device.candle();
        let kept = cache.map(|cache| cache.borrow_mut().get(&key, dtype, shape, &device));
        if let Some(blocks) = kept.transpose()?.flatten() {
            self.advance(pieces.iter().map(|piece| piece.n_bytes).sum())?;
            return self.placed(blocks);
        }
        let mut bytes = Vec::new();
        for piece in pieces {
            if piece.is_made {
                let shape = (piece.n_out, n_in);
                bytes.extend(self.source.quantise(&piece.name, shape, dtype)?);
            } else {
                bytes.extend_from_slice(&self.source.blocks(&piece.name)?);
            }
            self.advance(piece.n_bytes)?;
        }
        let blocks = Arc::new(quantised::place(&bytes, dtype, shape, &device)?);
        if let Some(cache) = cache {
            cache.borrow_mut().put(key, &bytes, blocks.clone());
        }
        self.placed(blocks)
    }

    /// Blocks that are on candle's device, where the model is to have them.
    fn placed(&self, blocks: Arc<QTensor>) -> Result<Matrix> {
        match self.device.wgpu() {
            Some(gpu) => onto_gpu::quantised(gpu, &blocks),
            None => Ok(Matrix::quantised(blocks)),
        }
    }

    fn float(&self, name: &str, shape: &[usize], n_bytes: u64) -> Result<Tensor> {
        let tensor = self.source.float(name, shape, &self.device.candle())?;
        self.advance(n_bytes)?;
        Ok(Tensor::put(
            tensor.to_dtype(self.numbers.float)?,
            &self.device,
        )?)
    }

    fn check(&self, part: Part, name: &str, shape: &[usize]) -> Result<Stored> {
        let stored = self.source.find(name, shape);
        let stored = stored.ok_or_else(|| self.source.missing(part, name))?;
        let (title, sizes) = (self.source.title(), self.source.sizes_from());
        if let StoredKind::Other(kind) = &stored.kind {
            return Err(Error::input(format!(
                "tensor {name} of {title} has the type {kind}; only F32, F16 and BF16 weights can be read",
            )));
        }
        if stored.shape != shape {
            return Err(Error::input(format!(
                "tensor {name} of {title} has the shape {:?}, but its {sizes} asks for {shape:?}: \
                 a size in {sizes} is missing or belongs to another model",
                stored.shape
            )));
        }
        Ok(stored)
    }

    /// Tells that so many bytes of the files are done with.
    fn advance(&self, n_bytes: u64) -> Result<()> {
        self.n_loaded.set(self.n_loaded.get() + n_bytes);
        let part = self.n_loaded.get() as f32 / self.inventory.n_bytes.max(1) as f32;
        let share = match &self.cache {
            Some(cache) if !cache.borrow().is_there() => 1.0 - SHARE_OF_WRITING,
            _ => 1.0,
        };
        (self.progress.borrow_mut())(share * part.min(1.0))
    }
}

impl Inventory {
    /// Of a checkpoint, from the headers of its files.
    ///
    /// # Errors
    /// As [`Weights::open`].
    pub fn of(checkpoint: &Checkpoint) -> Result<Self> {
        let options = LoadOptions {
            device: Device::Cpu,
            numbers: crate::tensor::DType::F32.into(),
            cache: None,
        };
        Ok(Weights::open(checkpoint, &options, &mut |_| Ok(()))?.inventory())
    }
}
