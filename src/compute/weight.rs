//! Weights on the card, in the formats of checkpoints: built from their bytes piece by piece, never whole in memory.
//!
//! A row lies in pieces of 16 values, padded with zeros to a multiple of 32. Quants and scales lie apart, so that a piece is
//! an aligned load; see `shaders/compute/weights`. A weight that one binding cannot hold is several parts, each some rows.

use rayon::prelude::*;
use std::borrow::Cow;

use super::repack::{repack_q4k, repack_q8_0};
use super::{ComputeError, Gpu, Result, Slice};

/// How a weight is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    F32,
    F16,
    /// ggml's Q8_0: blocks of 32 with one scale.
    Q8_0,
    /// ggml's Q4_K: blocks of 256 with 8 scales and 8 offsets.
    Q4K,
}

impl Kind {
    /// Values in a block; rows are whole blocks.
    pub fn block(self) -> usize {
        match self {
            Self::F32 | Self::F16 => 1,
            Self::Q8_0 => 32,
            Self::Q4K => 256,
        }
    }

    /// Bytes of a block in a checkpoint.
    pub fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
            Self::Q8_0 => 34,
            Self::Q4K => 144,
        }
    }

    /// Words of a piece of 16 values on the card, without scales.
    fn piece_words(self) -> usize {
        match self {
            Self::F32 => 16,
            Self::F16 => 8,
            Self::Q8_0 => 4,
            Self::Q4K => 2,
        }
    }

    /// Words of the scales of a row of so many pieces.
    fn scale_words(self, pieces: usize) -> usize {
        match self {
            Self::F32 | Self::F16 => 0,
            Self::Q8_0 => pieces.div_ceil(4),
            Self::Q4K => pieces / 16 * 5,
        }
    }
}

/// Bytes of a part at most, and of what is repacked at a time.
const PART: u64 = 1 << 30;
const AT_ONCE: usize = 16 << 20;

/// A weight `[n_out, n_in]` on the card. Clones share it.
#[derive(Clone, Debug)]
pub struct Weight {
    kind: Kind,
    n_out: usize,
    n_in: usize,
    pub(super) pieces: usize,
    pub(super) scale_row: usize,
    pub(super) parts: Vec<Part>,
}

/// Some rows of a weight.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub first_row: usize,
    pub rows: usize,
    pub quants: Slice,
    /// The quants again where the kind has no scales.
    pub scales: Slice,
}

impl Weight {
    /// Takes the bytes of a weight of this shape as checkpoints or ggml files hold them, row by row.
    pub fn builder(gpu: &Gpu, kind: Kind, n_out: usize, n_in: usize) -> Result<WeightBuilder> {
        if n_in == 0 || n_out == 0 || !n_in.is_multiple_of(kind.block()) {
            let what = format!("a weight of {n_out} x {n_in} cannot be {kind:?}");
            return Err(ComputeError::Failed(what));
        }
        let pieces = n_in.div_ceil(32) * 2;
        let scale_row = kind.scale_words(pieces);
        let parts = parts(gpu, kind, n_out, pieces)?;
        let weight = Self {
            kind,
            n_out,
            n_in,
            pieces,
            scale_row,
            parts,
        };
        Ok(WeightBuilder {
            gpu: gpu.clone(),
            weight,
            rows: 0,
            pending: Vec::new(),
        })
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn n_out(&self) -> usize {
        self.n_out
    }

    pub fn n_in(&self) -> usize {
        self.n_in
    }

    /// Bytes on the card.
    pub fn n_bytes(&self) -> u64 {
        (self.n_out * (self.quant_row() + self.scale_row)) as u64 * 4
    }

    /// Words of a row without its scales.
    fn quant_row(&self) -> usize {
        self.pieces * self.kind.piece_words()
    }

    /// Rows `first..first + rows` of a part, as a part.
    pub(super) fn rows_of(&self, part: &Part, first: usize, rows: usize) -> Result<Part> {
        let quants = part
            .quants
            .slice(first * self.quant_row(), rows * self.quant_row())?;
        let scales = match self.scale_row {
            0 => quants.clone(),
            words => part.scales.slice(first * words, rows * words)?,
        };
        Ok(Part {
            first_row: part.first_row + first,
            rows,
            quants,
            scales,
        })
    }
}

fn parts(gpu: &Gpu, kind: Kind, n_out: usize, pieces: usize) -> Result<Vec<Part>> {
    let (quant_row, scale_row) = (pieces * kind.piece_words(), kind.scale_words(pieces));
    let most = (gpu.facts().max_binding.min(PART) / (quant_row as u64 * 4)) as usize;
    let step = if most > 128 {
        most / 128 * 128
    } else {
        most / 16 * 16
    };
    if step == 0 {
        let wanted = quant_row as u64 * 64;
        return Err(ComputeError::TooLarge {
            wanted,
            limit: gpu.facts().max_binding,
        });
    }
    let mut parts = Vec::new();
    for first_row in (0..n_out).step_by(step) {
        let rows = step.min(n_out - first_row);
        let quants = gpu.alloc(rows * quant_row)?;
        let scales = if scale_row == 0 {
            quants.clone()
        } else {
            gpu.alloc(rows * scale_row)?
        };
        parts.push(Part {
            first_row,
            rows,
            quants,
            scales,
        });
    }
    Ok(parts)
}

/// A weight whose bytes are still coming.
pub struct WeightBuilder {
    gpu: Gpu,
    weight: Weight,
    /// Rows written so far.
    rows: usize,
    /// The start of a row whose end is still to come.
    pending: Vec<u8>,
}

impl WeightBuilder {
    /// The next bytes, as many as there are at hand.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        let row = self.row_bytes();
        let left = (self.weight.n_out - self.rows) * row - self.pending.len();
        if bytes.len() > left {
            let what = format!(
                "{} bytes are more than the {left} that are missing",
                bytes.len()
            );
            return Err(ComputeError::Failed(what));
        }
        let mut bytes = bytes;
        if !self.pending.is_empty() {
            let (end, rest) = bytes.split_at(bytes.len().min(row - self.pending.len()));
            self.pending.extend_from_slice(end);
            bytes = rest;
            if self.pending.len() == row {
                let pending = std::mem::take(&mut self.pending);
                self.write_rows(&pending)?;
            }
        }
        let whole = bytes.len() / row * row;
        let (rows, rest) = bytes.split_at(whole);
        for rows in rows.chunks((AT_ONCE / row).max(1) * row) {
            self.write_rows(rows)?;
        }
        self.pending.extend_from_slice(rest);
        Ok(())
    }

    pub fn finish(self) -> Result<Weight> {
        if self.rows < self.weight.n_out {
            let what = format!(
                "only {} of {} rows of a weight came",
                self.rows, self.weight.n_out
            );
            return Err(ComputeError::Failed(what));
        }
        Ok(self.weight)
    }

    fn row_bytes(&self) -> usize {
        self.weight.n_in / self.weight.kind.block() * self.weight.kind.block_bytes()
    }

    /// Writes whole rows, part by part.
    fn write_rows(&mut self, mut bytes: &[u8]) -> Result<()> {
        let row = self.row_bytes();
        while !bytes.is_empty() {
            let end = |part: &&Part| self.rows < part.first_row + part.rows;
            let Some(part) = self.weight.parts.iter().find(end) else {
                break;
            };
            let first = self.rows - part.first_row;
            let rows = (bytes.len() / row).min(part.rows - first);
            let (these, rest) = bytes.split_at(rows * row);
            let target = self.weight.rows_of(part, first, rows)?;
            self.write_part(&target, these)?;
            self.rows += rows;
            bytes = rest;
        }
        Ok(())
    }

    fn write_part(&self, target: &Part, bytes: &[u8]) -> Result<()> {
        let (weight, n_in, row) = (&self.weight, self.weight.n_in, self.row_bytes());
        let repack = |bytes: &[u8]| match weight.kind {
            Kind::Q8_0 => repack_q8_0(bytes, n_in),
            _ => repack_q4k(bytes),
        };
        if let Kind::F32 | Kind::F16 = weight.kind {
            let bytes = match n_in.is_multiple_of(32) {
                true => Cow::Borrowed(bytes),
                false => pad(bytes, row, weight.quant_row() * 4),
            };
            return self.gpu.write(&target.quants, &words(&bytes));
        }
        let mut first = 0;
        for (quants, scales) in in_parallel(bytes, row, repack) {
            let rows = scales.len() / weight.scale_row;
            let target = weight.rows_of(target, first, rows)?;
            self.gpu.write(&target.quants, &quants)?;
            self.gpu.write(&target.scales, &scales)?;
            first += rows;
        }
        Ok(())
    }
}

/// What `repack` makes of some rows after the other, on several threads where there are many bytes.
fn in_parallel<T: Send>(
    bytes: &[u8],
    row: usize,
    repack: impl Fn(&[u8]) -> T + Copy + Send + Sync,
) -> Vec<T> {
    let rows = 1 + (1 << 20) / row;
    bytes.par_chunks(rows * row).map(repack).collect()
}

/// Rows of `from` bytes as rows of `to`, with zeros.
fn pad(bytes: &[u8], from: usize, to: usize) -> Cow<'_, [u8]> {
    let mut padded = vec![0; bytes.len() / from * to];
    for (target, row) in padded.chunks_exact_mut(to).zip(bytes.chunks_exact(from)) {
        target[..from].copy_from_slice(row);
    }
    padded.into()
}

/// Bytes as words; copied where they do not lie as words do.
fn words(bytes: &[u8]) -> Cow<'_, [u32]> {
    match bytemuck::try_cast_slice(bytes) {
        Ok(words) => Cow::Borrowed(words),
        Err(_) => Cow::Owned(bytemuck::pod_collect_to_vec(bytes)),
    }
}
