//! A mask pixel by pixel, and the share of every patch inside it.

use super::Cells;
use crate::error::{Error, Result};

/// Which pixels of a picture belong to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bitmap {
    width: usize,
    height: usize,
    /// `[height, width]`, row-major.
    inside: Vec<bool>,
}

impl Bitmap {
    /// From `[height, width]` pixels.
    ///
    /// # Errors
    /// Another number of pixels than width times height.
    pub fn new(width: usize, height: usize, inside: Vec<bool>) -> Result<Self> {
        match width.checked_mul(height) == Some(inside.len()) {
            true => Ok(Self::of(width, height, inside)),
            false => Err(Error::input(format!(
                "a mask of {width}x{height} pixels has {} values",
                inside.len()
            ))),
        }
    }

    /// The same where the number of pixels is known to be right.
    pub(super) fn of(width: usize, height: usize, inside: Vec<bool>) -> Self {
        Self {
            width,
            height,
            inside,
        }
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Pixels inside.
    pub fn area(&self) -> usize {
        self.inside.iter().filter(|inside| **inside).count()
    }

    /// Every pixel is a unit square; its area goes to the patches that it lies on. `[patch]`
    pub(super) fn shares(&self, cells: &Cells) -> Vec<f64> {
        let (rows, cols) = (cells.grid.rows, cells.grid.cols);
        let mut shares = vec![0.0; rows * cols];
        let columns: Vec<_> = (0..self.width)
            .map(|x| {
                parts(
                    cells.to_grid((x as f64, 0.0)).0,
                    cells.to_grid((x as f64 + 1.0, 0.0)).0,
                    cols,
                )
            })
            .collect();
        for (y, line) in self.inside.chunks_exact(self.width.max(1)).enumerate() {
            let (top, bottom) = (
                cells.to_grid((0.0, y as f64)).1,
                cells.to_grid((0.0, y as f64 + 1.0)).1,
            );
            for (row, high) in parts(top, bottom, rows) {
                for (x, _) in line.iter().enumerate().filter(|(_, inside)| **inside) {
                    for (col, wide) in &columns[x] {
                        shares[row * cols + col] += high * wide;
                    }
                }
            }
        }
        shares.into_iter().map(|share| share.min(1.0)).collect()
    }
}

/// The cells 0..n that low..high lies on, and the length in each.
fn parts(low: f64, high: f64, n: usize) -> Vec<(usize, f64)> {
    let first = low.floor().max(0.0) as usize;
    let end = (high.ceil().max(0.0) as usize).min(n);
    let part = |cell: usize| {
        let length = high.min(cell as f64 + 1.0) - low.max(cell as f64);
        (cell, length.max(0.0))
    };
    (first..end.max(first)).map(part).collect()
}
