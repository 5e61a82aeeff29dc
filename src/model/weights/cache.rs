//! Quantised weights on disk, so that they are made once: a GGUF file per checkpoint and type in the cache folder.
//!
//! The file says which checkpoint it was made from (names, sizes, times and headers of its files) and has a checksum for
//! every tensor. What is stale or damaged is made again and replaced; a cache that cannot be written is done without.
//! Only quantised maps are in it: everything else comes from the checkpoint.

use std::collections::BTreeMap;
use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use candle_core::Device;
use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};

use super::source::Source;
use crate::error::{Error, Result};
use crate::files;
use crate::model::gguf::GgufFile;
use crate::model::numbers::Maps;
use crate::model::quantised;

/// Goes up when the same checkpoint would be quantised otherwise.
const VERSION: u32 = 1;
/// The keys of the metadata.
const IDENTITY: &str = "patchglass.checkpoint";
const CHECKSUM: &str = "patchglass.crc32.";

pub(super) struct Cache {
    path: PathBuf,
    /// What the weights are made from, and how.
    identity: String,
    /// The file of an earlier load, if it is of this identity.
    old: Option<GgufFile>,
    /// Everything that was handed out, with its checksum.
    tensors: BTreeMap<String, (Arc<QTensor>, u32)>,
    /// Whether something of it is not in the file.
    is_stale: bool,
}

impl Cache {
    /// Looks for the file in `folder`.
    pub fn open(folder: &Path, source: &dyn Source, maps: Maps) -> Self {
        let identity = identity(&source.files(), maps);
        let path = folder.join(file_name(&source.title(), maps));
        let is_it = |file: &GgufFile| file.text(IDENTITY) == Some(identity.as_str());
        let old = GgufFile::open(&path).ok().filter(is_it);
        Self {
            path,
            identity,
            old,
            tensors: BTreeMap::new(),
            is_stale: false,
        }
    }

    /// Whether there is a file to read from.
    pub fn is_there(&self) -> bool {
        self.old.is_some()
    }

    /// A tensor from the file, on the device; `None` if it is not there or damaged.
    ///
    /// # Errors
    /// A failing device.
    pub fn get(
        &mut self,
        key: &str,
        dtype: GgmlDType,
        shape: (usize, usize),
        device: &Device,
    ) -> Result<Option<Arc<QTensor>>> {
        let Some(file) = &self.old else {
            return Ok(None);
        };
        let found = file.tensor(key).ok().flatten();
        let found = found.filter(|t| t.dtype == dtype && t.shape == [shape.0, shape.1]);
        let Some(found) = found else {
            return Ok(None);
        };
        let checksum = crc32fast::hash(found.bytes);
        if file.number(&format!("{CHECKSUM}{key}")) != Some(u64::from(checksum)) {
            return Ok(None);
        }
        let blocks = Arc::new(quantised::place(found.bytes, dtype, shape, device)?);
        let kept = (blocks.clone(), checksum);
        self.tensors.insert(key.to_owned(), kept);
        Ok(Some(blocks))
    }

    /// Takes a tensor that was made.
    pub fn put(&mut self, key: String, bytes: &[u8], blocks: Arc<QTensor>) {
        self.is_stale = true;
        self.tensors.insert(key, (blocks, crc32fast::hash(bytes)));
    }

    /// Writes the file if something new was made, and gives a sentence if that was not possible.
    ///
    /// # Errors
    /// Only what `progress` says: the person cancels.
    pub fn finish(
        &mut self,
        progress: &mut dyn FnMut(f32) -> Result<()>,
    ) -> Result<Option<String>> {
        if !self.is_stale {
            return Ok(None);
        }
        self.old = None; // Some systems do not replace a file that is mapped.
        match self.write(progress) {
            Ok(()) => {
                self.is_stale = false;
                self.tensors.clear();
                Ok(None)
            }
            Err(Error::Cancelled) => Err(Error::Cancelled),
            Err(error) => Ok(Some(format!(
                "the quantised weights are made anew at every start, because their cache cannot be kept: {error}"
            ))),
        }
    }

    fn write(&self, progress: &mut dyn FnMut(f32) -> Result<()>) -> Result<()> {
        let failed = |e: &dyn std::fmt::Display| {
            Error::internal(format!("{} could not be written: {e}", self.path.display()))
        };
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder).map_err(|e| failed(&e))?;
        }
        let mut metadata = vec![(IDENTITY.to_owned(), Value::String(self.identity.clone()))];
        metadata.extend(
            (self.tensors.iter())
                .map(|(name, (_, checksum))| (format!("{CHECKSUM}{name}"), Value::U32(*checksum))),
        );
        let metadata: Vec<_> = metadata.iter().map(|(k, v)| (k.as_str(), v)).collect();
        let tensors: Vec<_> = (self.tensors.iter())
            .map(|(name, (blocks, _))| (name.as_str(), blocks.as_ref()))
            .collect();
        let n_bytes = tensors
            .iter()
            .map(|(_, t)| t.storage_size_in_bytes() as u64);
        let n_bytes = n_bytes.sum::<u64>();
        let mut stopped = None;
        let written = files::replace(&self.path, |file| {
            let mut told = Told {
                inner: std::io::BufWriter::new(file),
                n_written: 0,
                tell: &mut |n| match progress(n as f32 / n_bytes.max(1) as f32) {
                    Ok(()) => true,
                    Err(error) => {
                        stopped = Some(error);
                        false
                    }
                },
            };
            gguf_file::write(&mut told, &metadata, &tensors).map_err(std::io::Error::other)?;
            told.inner.flush()
        });
        match stopped {
            Some(error) => Err(error),
            None => written.map_err(|e| failed(&e)),
        }
    }
}

/// Tells how far it is, every few megabytes, and fails when told to stop.
struct Told<'a, W> {
    inner: W,
    n_written: u64,
    /// `false` to stop.
    tell: &'a mut dyn FnMut(u64) -> bool,
}

/// Bytes between two tellings; larger pieces are cut to this.
const STEP: u64 = 16 << 20;

impl<W: Write> Write for Told<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = self.inner.write(&bytes[..bytes.len().min(STEP as usize)])?;
        let before = self.n_written / STEP;
        self.n_written += n as u64;
        if self.n_written / STEP > before && !(self.tell)(self.n_written) {
            return Err(std::io::Error::other("stopped"));
        }
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

impl<W: std::io::Seek> std::io::Seek for Told<'_, W> {
    fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
        self.inner.seek(to)
    }
}

/// Where the checkpoint lies, in 8 digits, so that a changed checkpoint replaces its own cache.
fn file_name(title: &str, maps: Maps) -> String {
    let path = std::path::absolute(title).unwrap_or_else(|_| PathBuf::from(title));
    let path = path.canonicalize().unwrap_or(path);
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "-_.".contains(c) {
            c
        } else {
            '_'
        }
    };
    let name: String = name.chars().map(plain).take(60).collect();
    let place = crc32fast::hash(path.to_string_lossy().as_bytes());
    format!("{name}-{place:08x}-{}.gguf", maps_name(maps))
}

fn maps_name(maps: Maps) -> &'static str {
    match maps {
        Maps::Q4K => "q4k",
        _ => "q8_0",
    }
}

/// Bytes at the start of a file that are looked at: the header of all but very large files.
const HEAD: u64 = 1 << 20;

/// Names, sizes, times of change and first megabyte of the files, and what is made of them.
fn identity(files: &[PathBuf], maps: Maps) -> String {
    let of = |path: &PathBuf| {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let meta = std::fs::metadata(path).ok();
        let time = meta.as_ref().and_then(|meta| meta.modified().ok());
        let time = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let mut head = Vec::new();
        let read = std::fs::File::open(path).map(|file| file.take(HEAD).read_to_end(&mut head));
        let head = read.map_or(0, |_| crc32fast::hash(&head));
        let size = meta.map_or(0, |meta| meta.len());
        format!(
            "{name} {size} {} {head:08x}",
            time.unwrap_or_default().as_nanos()
        )
    };
    let files: Vec<_> = files.iter().map(of).collect();
    format!("{VERSION} {} | {}", maps_name(maps), files.join(" | "))
}
