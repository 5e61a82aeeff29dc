//! COCO's run lengths, plain and compressed: column by column, zeros first.

use super::bitmap::Bitmap;
use crate::error::{Error, Result};

/// A mask as run lengths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rle {
    height: usize,
    width: usize,
    /// Runs of zeros and ones in turn, zeros first, down the columns.
    counts: Vec<usize>,
}

impl Rle {
    /// From plain counts.
    ///
    /// # Errors
    /// Counts that do not add up to the size.
    pub fn new([height, width]: [usize; 2], counts: Vec<usize>) -> Result<Self> {
        let total = counts.iter().try_fold(0usize, |sum, n| sum.checked_add(*n));
        match total == height.checked_mul(width) && total.is_some() {
            true => Ok(Self {
                height,
                width,
                counts,
            }),
            false => Err(Error::input(format!(
                "the run lengths do not add up to {height}x{width} pixels"
            ))),
        }
    }

    /// From COCO's compressed text: numbers of 5 bits a character from `0` on, least first, with a bit for more and a
    /// sign; from the fourth on each is the difference to the one two before (`rleFrString` of pycocotools).
    ///
    /// # Errors
    /// Text that is no such code; counts that do not add up to the size.
    pub fn from_compressed(size: [usize; 2], text: &str) -> Result<Self> {
        let bad = || Error::input("the compressed run lengths cannot be read");
        let mut counts: Vec<i64> = Vec::new();
        let mut bytes = text.bytes();
        while let Some(first) = bytes.next() {
            let (mut value, mut shift, mut byte) = (0i64, 0u32, first);
            loop {
                let digit = i64::from(byte.checked_sub(48).filter(|d| *d < 64).ok_or_else(bad)?);
                if shift > 55 {
                    return Err(bad());
                }
                value |= (digit & 0x1f) << shift;
                shift += 5;
                if digit & 0x20 == 0 {
                    if digit & 0x10 != 0 {
                        value |= -1 << shift;
                    }
                    break;
                }
                byte = bytes.next().ok_or_else(bad)?;
            }
            let before = counts.len().checked_sub(2).filter(|_| counts.len() > 2);
            counts.push(value + before.map_or(0, |at| counts[at]));
        }
        let counts = counts
            .iter()
            .map(|n| usize::try_from(*n).map_err(|_negative| bad()));
        Self::new(size, counts.collect::<Result<_>>()?)
    }

    /// Pixel by pixel.
    pub fn bitmap(&self) -> Bitmap {
        let mut inside = vec![false; self.width * self.height];
        let mut at = 0;
        for (i, &n) in self.counts.iter().enumerate() {
            if i % 2 == 1 {
                for place in at..at + n {
                    let (x, y) = (place / self.height, place % self.height);
                    inside[y * self.width + x] = true;
                }
            }
            at += n;
        }
        Bitmap::of(self.width, self.height, inside)
    }
}
