//! The two files of a LLaVA in llama.cpp's form, found, checked for being what they should be, and read as one source.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};

use super::file::GgufFile;
use super::names;
use crate::error::{Error, Result};
use crate::model::numbers::type_name;
use crate::model::quantised;
use crate::model::weights::Part;
use crate::model::weights::source::{Inventory, Source, Stored, StoredKind};

/// The language model's file, and the vision file if it is not to be looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GgufFiles {
    pub model: PathBuf,
    pub mmproj: Option<PathBuf>,
}

/// Both files, open.
pub(in crate::model) struct GgufPair {
    pub text: GgufFile,
    pub vision: GgufFile,
    /// Width of a head of the decoder.
    d_head: usize,
    has_swapped_fc: bool,
}

const ARCHITECTURE: &str = "general.architecture";

impl GgufPair {
    /// Opens both files.
    ///
    /// # Errors
    /// A file missing or damaged, no vision file, two of them, or a file of another kind of model.
    pub fn open(files: &GgufFiles) -> Result<Self> {
        let text = GgufFile::open(&files.model)?;
        let shown = text.path().display();
        match text.text(ARCHITECTURE) {
            Some("llama") => {}
            Some("clip") => {
                return Err(Error::input(format!(
                    "{shown} is the vision half of a model (mmproj): name the file of the language model, which lies beside it"
                )));
            }
            other => {
                return Err(Error::input(format!(
                    "{shown} holds a model of the architecture {:?}: only LLaVA-1.5 is read, whose language model is \"llama\"",
                    other.unwrap_or("unknown")
                )));
            }
        }
        let vision = match &files.mmproj {
            Some(path) => GgufFile::open(path)?,
            None => GgufFile::open(&find_mmproj(&files.model)?)?,
        };
        check_vision(&vision)?;
        let heads = text.number("llama.attention.head_count").unwrap_or(0);
        let width = text.number("llama.embedding_length").unwrap_or(0);
        let d_head = text.number("llama.attention.key_length");
        let d_head = d_head.unwrap_or(width.checked_div(heads).unwrap_or(0));
        let has_swapped_fc = has_swapped_fc(&vision)?;
        Ok(Self {
            text,
            vision,
            d_head: d_head as usize,
            has_swapped_fc,
        })
    }

    fn file(&self, name: &str) -> &GgufFile {
        match name.starts_with("v.") || name.starts_with("mm.") {
            true => &self.vision,
            false => &self.text,
        }
    }

    /// Type, shape and bytes of a tensor, rows in Hugging Face's order.
    fn rows(&self, name: &str) -> Result<(GgmlDType, Vec<usize>, Cow<'_, [u8]>)> {
        let tensor = self.file(name).tensor(name)?;
        let tensor = tensor.ok_or_else(|| Error::internal(format!("tensor {name} is missing")))?;
        let n_rows = tensor.shape.first().copied().unwrap_or(0);
        let bytes = match names::is_permuted(name) {
            true => names::in_halves(tensor.bytes, n_rows, self.d_head),
            false => Cow::Borrowed(tensor.bytes),
        };
        Ok((tensor.dtype, tensor.shape, bytes))
    }
}

impl Source for GgufPair {
    fn title(&self) -> String {
        self.text.path().display().to_string()
    }

    fn name(&self, part: Part, name: &str) -> String {
        names::translate(part, name, self.has_swapped_fc)
    }

    fn find(&self, name: &str, _shape: &[usize]) -> Option<Stored> {
        let tensor = self.file(name).tensor(name).ok().flatten()?;
        let kind = match (tensor.dtype, float_type(tensor.dtype)) {
            (_, Some(dtype)) => StoredKind::Float(dtype),
            (dtype @ (GgmlDType::Q8_1 | GgmlDType::Q8K), _) => StoredKind::Other(type_name(dtype)),
            (dtype, None) => StoredKind::Quantised(dtype),
        };
        Some(Stored {
            shape: tensor.shape,
            n_bytes: tensor.bytes.len() as u64,
            kind,
        })
    }

    fn float(&self, name: &str, _shape: &[usize], device: &Device) -> Result<Tensor> {
        let (dtype, shape, bytes) = self.rows(name)?;
        if let Some(dtype) = float_type(dtype) {
            return Ok(Tensor::from_raw_buffer(&bytes, dtype, &shape, device)?);
        }
        let n_in = shape.last().copied().unwrap_or(1);
        let n_out = shape.iter().product::<usize>() / n_in.max(1);
        let blocks: QTensor = quantised::place(&bytes, dtype, (n_out, n_in), &Device::Cpu)?;
        let values = blocks.dequantize(&Device::Cpu)?.reshape(shape)?;
        Ok(values.to_device(device)?)
    }

    fn blocks(&self, name: &str) -> Result<Cow<'_, [u8]>> {
        Ok(self.rows(name)?.2)
    }

    fn missing(&self, _part: Part, name: &str) -> Error {
        Error::input(format!(
            "tensor {name} is missing from {}: a complete LLaVA-1.5 in llama.cpp's form is needed",
            self.file(name).path().display()
        ))
    }

    fn sizes_from(&self) -> &'static str {
        "metadata"
    }

    fn inventory(&self) -> Inventory {
        let of = |file: &GgufFile| {
            let names = file.names();
            let tensors = names
                .iter()
                .filter_map(|name| file.tensor(name).ok().flatten());
            Inventory::count(tensors.map(|t| {
                let n = t.shape.iter().product::<usize>() as u64;
                let is_float = float_type(t.dtype).is_some();
                (n, t.bytes.len() as u64, format!("{:?}", t.dtype), is_float)
            }))
        };
        of(&self.text).and(of(&self.vision))
    }

    fn files(&self) -> Vec<PathBuf> {
        [&self.text, &self.vision]
            .map(|file| file.path().to_owned())
            .to_vec()
    }
}

fn float_type(dtype: GgmlDType) -> Option<DType> {
    match dtype {
        GgmlDType::F32 => Some(DType::F32),
        GgmlDType::F16 => Some(DType::F16),
        GgmlDType::BF16 => Some(DType::BF16),
        _ => None,
    }
}

/// The vision file beside a language model: the one .gguf in the same folder with "mmproj" in its name.
fn find_mmproj(model: &Path) -> Result<PathBuf> {
    let folder = match model.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let is_mmproj = |path: &PathBuf| {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        name.contains("mmproj") && name.ends_with(".gguf")
    };
    let entries = std::fs::read_dir(folder).map_err(|e| Error::read(folder, &e))?;
    let mut found: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(is_mmproj)
        .collect();
    found.sort();
    match found.as_slice() {
        [path] => Ok(path.clone()),
        [] => Err(Error::input(format!(
            "{} is a language model alone, with no vision tower: put the file that belongs to it (mmproj-….gguf) beside it, \
             or name it with --mmproj FILE",
            model.display()
        ))),
        [first, second, ..] => Err(Error::input(format!(
            "there are several vision files beside {}, {} and {}: name one with --mmproj FILE",
            model.display(),
            first.file_name().unwrap_or_default().to_string_lossy(),
            second.file_name().unwrap_or_default().to_string_lossy()
        ))),
    }
}

fn check_vision(file: &GgufFile) -> Result<()> {
    let shown = file.path().display();
    let architecture = file.text(ARCHITECTURE).unwrap_or("unknown");
    if architecture != "clip" || file.flag("clip.has_vision_encoder") == Some(false) {
        return Err(Error::input(format!(
            "{shown} has no vision tower (its architecture is {architecture:?}): name the mmproj file that belongs to the model"
        )));
    }
    let projector = file.text("clip.projector_type");
    match projector
        .or_else(|| file.text("clip.vision.projector_type"))
        .unwrap_or("mlp")
    {
        "mlp" => Ok(()),
        other => Err(Error::input(format!(
            "{shown} has a projector of type {other:?}: only LLaVA-1.5's is read, which is \"mlp\""
        ))),
    }
}

/// LLaVA's conversion script wrote fc1 as `ffn_down` and fc2 as `ffn_up`; other scripts do not. The shapes tell, and where
/// they are alike, the script's order is taken, as llama.cpp does.
fn has_swapped_fc(vision: &GgufFile) -> Result<bool> {
    let width = vision.number("clip.vision.embedding_length");
    let down = vision.tensor("v.blk.0.ffn_down.weight")?;
    let down = down.and_then(|t| t.shape.last().copied());
    Ok(down.is_none_or(|n_in| Some(n_in as u64) == width))
}
