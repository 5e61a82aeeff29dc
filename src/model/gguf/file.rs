//! One GGUF file, memory-mapped: its metadata and its tensors' bytes, checked against the file's size.
//!
//! candle parses the header. What the names and values mean is not known here.

use std::path::{Path, PathBuf};

use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::{Content, Value};

use crate::error::{Error, Result};

pub(in crate::model) struct GgufFile {
    path: PathBuf,
    map: memmap2::Mmap,
    content: Content,
}

/// A tensor of a file. Shapes are in the usual order, rows first; ggml writes them the other way round.
pub(in crate::model) struct GgufTensor<'a> {
    pub dtype: GgmlDType,
    pub shape: Vec<usize>,
    pub bytes: &'a [u8],
}

impl GgufFile {
    /// Maps a file and reads its header.
    ///
    /// # Errors
    /// A file that is missing, no GGUF, damaged, cut off, or of types that cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Err(Error::input(format!(
                "{} is a folder: name the .gguf file of the language model",
                path.display()
            )));
        }
        let file = std::fs::File::open(path).map_err(|e| Error::read(path, &e))?;
        // SAFETY: the map is read-only and lives as long as the load. If another program truncates the file while it
        // is read, the process may be stopped by the system; nothing short of copying every file avoids that.
        #[expect(unsafe_code, reason = "memory-mapping weights")]
        let map = unsafe { memmap2::Mmap::map(&file) };
        let map = map.map_err(|e| Error::read(path, &e))?;
        let content = read_header(&map, path)?;
        let file = Self {
            path: path.to_owned(),
            map,
            content,
        };
        let names = file.names();
        names
            .into_iter()
            .try_for_each(|name| file.tensor(&name).map(drop))?;
        Ok(file)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names of all tensors, in order.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.content.tensor_infos.keys().cloned().collect();
        names.sort();
        names
    }

    /// A tensor; `None` where there is none of this name.
    ///
    /// # Errors
    /// A tensor that does not lie in the file.
    pub fn tensor(&self, name: &str) -> Result<Option<GgufTensor<'_>>> {
        let Some(info) = self.content.tensor_infos.get(name) else {
            return Ok(None);
        };
        let shape = info.shape.dims().to_vec();
        let n = shape.iter().try_fold(1usize, |n, dim| n.checked_mul(*dim));
        let (block, size) = (info.ggml_dtype.block_size(), info.ggml_dtype.type_size());
        let n_bytes = n.filter(|n| n.is_multiple_of(block));
        let n_bytes = n_bytes.and_then(|n| (n / block).checked_mul(size));
        let start = self.content.tensor_data_offset.checked_add(info.offset);
        let start = start.and_then(|start| usize::try_from(start).ok());
        let range = start
            .zip(n_bytes)
            .and_then(|(start, n)| Some(start..start.checked_add(n)?));
        match range.and_then(|range| self.map.get(range)) {
            Some(bytes) => Ok(Some(GgufTensor {
                dtype: info.ggml_dtype,
                shape,
                bytes,
            })),
            None => Err(damaged(
                &self.path,
                &format!(
                    "it has only {} bytes, and tensor {name} does not lie in it",
                    self.map.len()
                ),
            )),
        }
    }

    /// A text of the metadata.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.content
            .metadata
            .get(key)?
            .to_string()
            .ok()
            .map(String::as_str)
    }

    /// A whole number that is not negative, of any width.
    pub fn number(&self, key: &str) -> Option<u64> {
        number(self.content.metadata.get(key)?)
    }

    /// A number with a fraction, or a whole one.
    pub fn float(&self, key: &str) -> Option<f64> {
        float(self.content.metadata.get(key)?)
    }

    pub fn flag(&self, key: &str) -> Option<bool> {
        self.content.metadata.get(key)?.to_bool().ok()
    }

    /// The values of a list.
    pub fn list(&self, key: &str) -> Option<&[Value]> {
        self.content
            .metadata
            .get(key)?
            .to_vec()
            .ok()
            .map(Vec::as_slice)
    }

    /// A list of texts; `None` if it has anything else in it.
    pub fn texts(&self, key: &str) -> Option<Vec<&str>> {
        let values = self.list(key)?.iter();
        values
            .map(|value| Some(value.to_string().ok()?.as_str()))
            .collect()
    }

    /// A list of numbers; `None` if it has anything else in it.
    pub fn floats(&self, key: &str) -> Option<Vec<f64>> {
        self.list(key)?.iter().map(float).collect()
    }
}

fn number(value: &Value) -> Option<u64> {
    let unsigned = value.to_u64().ok();
    unsigned.or_else(|| match value {
        Value::I8(n) => u64::try_from(*n).ok(),
        Value::I16(n) => u64::try_from(*n).ok(),
        Value::I32(n) => u64::try_from(*n).ok(),
        Value::I64(n) => u64::try_from(*n).ok(),
        _ => None,
    })
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::F32(x) => Some(f64::from(*x)),
        Value::F64(x) => Some(*x),
        value => number(value).map(|n| n as f64),
    }
}

fn read_header(map: &[u8], path: &Path) -> Result<Content> {
    if map.get(..4) != Some(b"GGUF".as_slice()) {
        return Err(Error::input(format!(
            "{} is not a GGUF file: it does not start with the letters GGUF; name a llama.cpp model, or download it again",
            path.display()
        )));
    }
    match map.get(4..8) {
        None | Some(&[1..=3, 0, 0, 0]) => {}
        Some(version) => {
            let version = version
                .iter()
                .rev()
                .fold(0u32, |n, byte| n << 8 | u32::from(*byte));
            return Err(Error::input(format!(
                "{} is a GGUF file of version {version}, but this Patchglass reads 1 to 3: use a newer Patchglass",
                path.display()
            )));
        }
    }
    if has_no_alignment(map) {
        return Err(damaged(path, "its tensors are aligned to 0 bytes"));
    }
    Content::read(&mut std::io::Cursor::new(map)).map_err(|e| {
        let text = e.to_string();
        let text = text.lines().next().unwrap_or_default();
        match text.strip_prefix("unknown dtype for tensor ") {
            Some(dtype) => Error::input(format!(
                "{} has tensors of ggml's type {dtype}, which is not read here: \
                 use a file in f32, f16, bf16, q4_0 to q8_0 or q2_K to q6_K",
                path.display()
            )),
            None => damaged(path, text),
        }
    })
}

/// candle would divide by this. The key stands near the start.
fn has_no_alignment(map: &[u8]) -> bool {
    const KEY: &[u8] = b"general.alignment";
    let head = &map[..map.len().min(1 << 20)];
    let value = |at: usize| head.get(at + KEY.len() + 4..at + KEY.len() + 8);
    let found = head.windows(KEY.len()).position(|window| window == KEY);
    found.and_then(value) == Some(&[0; 4])
}

fn damaged(path: &Path, why: &str) -> Error {
    Error::input(format!(
        "{} is not a whole GGUF file: {why}; download it again",
        path.display()
    ))
}
