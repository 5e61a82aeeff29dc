//! Where tensors come from: what [`Weights`](super::Weights) asks of a Hugging Face folder and of a pair of GGUF files.

use std::borrow::Cow;
use std::path::PathBuf;

use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device, Tensor};

use super::Part;
use crate::error::{Error, Result};
use crate::model::quantised;

/// A checkpoint's tensors by name.
pub(in crate::model) trait Source {
    /// How messages call the checkpoint.
    fn title(&self) -> String;

    /// What this kind of checkpoint calls a tensor of a part, whose Hugging Face name within the part is `name`.
    fn name(&self, part: Part, name: &str) -> String;

    /// What is stored under a full name. `shape` is what is asked for, of use to a source that makes what it is asked for.
    fn find(&self, name: &str, shape: &[usize]) -> Option<Stored>;

    /// A tensor of a float type as it is stored, or a quantised one as f32.
    ///
    /// # Errors
    /// A damaged file, a failing device.
    fn float(&self, name: &str, shape: &[usize], device: &Device) -> Result<Tensor>;

    /// The blocks that a matrix of floats becomes when it is quantised, `[out, in]`, row after row.
    ///
    /// # Errors
    /// A damaged file.
    fn quantise(&self, name: &str, shape: (usize, usize), dtype: GgmlDType) -> Result<Vec<u8>> {
        let matrix = self.float(name, &[shape.0, shape.1], &Device::Cpu)?;
        quantised::quantise(&matrix, dtype)
    }

    /// The blocks of a quantised tensor, row after row.
    ///
    /// # Errors
    /// A damaged file.
    fn blocks(&self, name: &str) -> Result<Cow<'_, [u8]>>;

    /// What to say when a tensor is not there.
    fn missing(&self, part: Part, name: &str) -> Error;

    /// Where the sizes stand that shapes are checked against.
    fn sizes_from(&self) -> &'static str;

    fn inventory(&self) -> Inventory;

    /// The files of the weights, to tell one checkpoint from another; empty for weights that are part of the binary.
    fn files(&self) -> Vec<PathBuf>;
}

/// A tensor in a file.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::model) struct Stored {
    pub shape: Vec<usize>,
    pub n_bytes: u64,
    pub kind: StoredKind,
}

#[derive(Clone, Debug, PartialEq)]
pub(in crate::model) enum StoredKind {
    Float(DType),
    Quantised(GgmlDType),
    /// Nothing that weights can be; the name is for messages.
    Other(String),
}

/// What the files of a checkpoint hold, without loading them.
#[derive(Clone, Debug, PartialEq)]
pub struct Inventory {
    pub n_params: u64,
    pub n_bytes: u64,
    pub n_tensors: usize,
    /// Of the parameters, those that are stored as floats.
    pub n_floats: u64,
    /// Of the bytes, those of quantised tensors.
    pub n_block_bytes: u64,
    /// Types of the tensors, e.g. `F16`.
    pub dtypes: Vec<String>,
}

impl Inventory {
    /// Bytes of a number that is stored as a float.
    pub fn stored_bytes(&self) -> usize {
        let is_half = |dtype: &String| dtype == "F16" || dtype == "BF16";
        if self.dtypes.iter().any(is_half) {
            2
        } else {
            4
        }
    }

    /// From the number of elements, bytes and the type of every tensor, and whether it is stored as floats.
    pub(in crate::model) fn count(tensors: impl Iterator<Item = (u64, u64, String, bool)>) -> Self {
        let mut out = Self {
            n_params: 0,
            n_bytes: 0,
            n_tensors: 0,
            n_floats: 0,
            n_block_bytes: 0,
            dtypes: Vec::new(),
        };
        let mut dtypes = std::collections::BTreeSet::new();
        for (n, n_bytes, dtype, is_float) in tensors {
            out.n_params += n;
            out.n_bytes += n_bytes;
            out.n_tensors += 1;
            out.n_floats += if is_float { n } else { 0 };
            out.n_block_bytes += if is_float { 0 } else { n_bytes };
            dtypes.insert(dtype);
        }
        out.dtypes = dtypes.into_iter().collect();
        out
    }

    /// Of two files together.
    #[must_use]
    pub(in crate::model) fn and(self, other: Self) -> Self {
        let dtypes: std::collections::BTreeSet<_> =
            self.dtypes.into_iter().chain(other.dtypes).collect();
        Self {
            n_params: self.n_params + other.n_params,
            n_bytes: self.n_bytes + other.n_bytes,
            n_tensors: self.n_tensors + other.n_tensors,
            n_floats: self.n_floats + other.n_floats,
            n_block_bytes: self.n_block_bytes + other.n_block_bytes,
            dtypes: dtypes.into_iter().collect(),
        }
    }
}
