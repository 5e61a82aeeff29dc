//! Patches of the picture: the cell, the grid, and sets of cells with their text form `r3c4, r5c6-r8c9`.
//!
//! It does not know where a patch lies in the token sequence; [`super::TokenLayout`] does.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// Rows and columns beyond this are refused when a set is read: no vision tower has such a grid.
const MAX_SIDE: u16 = 512;

/// One cell of the grid, 0-based, row first. Prints as `r7c19`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Patch {
    pub row: u16,
    pub col: u16,
}

impl Patch {
    pub const fn new(row: u16, col: u16) -> Self {
        Self { row, col }
    }
}

impl fmt::Display for Patch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}c{}", self.row, self.col)
    }
}

impl FromStr for Patch {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || {
            Error::input(format!(
                "{text:?} is not a patch: write it as r3c4 (row 3, column 4, from 0)"
            ))
        };
        let (row, col) = text
            .trim()
            .strip_prefix('r')
            .and_then(|t| t.split_once('c'))
            .ok_or_else(bad)?;
        let number = |t: &str| -> Option<u16> {
            let digits = !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| t.parse().unwrap_or(u16::MAX))
        };
        let (row, col) = (number(row).ok_or_else(bad)?, number(col).ok_or_else(bad)?);
        if row >= MAX_SIDE || col >= MAX_SIDE {
            return Err(Error::input(format!(
                "patch {text:?} lies beyond any grid: rows and columns start at 0"
            )));
        }
        Ok(Self { row, col })
    }
}

super::serde_as_text!(Patch);

/// The grid of visual tokens, e.g. 24x24. Row-major.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct PatchGrid {
    pub rows: usize,
    pub cols: usize,
}

impl PatchGrid {
    pub const fn new(rows: usize, cols: usize) -> Self {
        Self { rows, cols }
    }

    /// How many patches the grid has.
    pub const fn len(self) -> usize {
        self.rows * self.cols
    }

    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Row-major index of a patch, `None` outside the grid.
    pub fn index(self, patch: Patch) -> Option<usize> {
        let (row, col) = (usize::from(patch.row), usize::from(patch.col));
        (row < self.rows && col < self.cols).then(|| row * self.cols + col)
    }

    /// The patch at a row-major index.
    pub fn patch(self, index: usize) -> Patch {
        let cols = self.cols.max(1);
        Patch::new((index / cols) as u16, (index % cols) as u16)
    }

    /// All patches, row by row.
    pub fn patches(self) -> impl Iterator<Item = Patch> {
        (0..self.len()).map(move |index| self.patch(index))
    }
}

/// A set of patches. `All` stays symbolic, so that it fits any grid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatchSet {
    All,
    Cells(BTreeSet<Patch>),
}

impl Default for PatchSet {
    fn default() -> Self {
        Self::Cells(BTreeSet::new())
    }
}

impl FromIterator<Patch> for PatchSet {
    fn from_iter<I: IntoIterator<Item = Patch>>(patches: I) -> Self {
        Self::Cells(patches.into_iter().collect())
    }
}

impl PatchSet {
    pub fn contains(&self, patch: Patch) -> bool {
        match self {
            Self::All => true,
            Self::Cells(cells) => cells.contains(&patch),
        }
    }

    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Cells(cells) if cells.is_empty())
    }

    /// How many patches it has on `grid`; cells outside the grid count too, running them is an error.
    pub fn count(&self, grid: PatchGrid) -> usize {
        match self {
            Self::All => grid.len(),
            Self::Cells(cells) => cells.len(),
        }
    }

    /// Puts a patch in or takes it out. `All` becomes explicit on `grid` first.
    pub fn set(&mut self, patch: Patch, on: bool, grid: PatchGrid) {
        if *self == Self::All {
            *self = grid.patches().collect();
        }
        if let Self::Cells(cells) = self {
            if on {
                cells.insert(patch);
            } else {
                cells.remove(&patch);
            }
        }
    }

    /// Row-major indices, ascending.
    ///
    /// # Errors
    /// A cell outside the grid, by name.
    pub fn indices(&self, grid: PatchGrid) -> Result<Vec<usize>> {
        match self {
            Self::All => Ok((0..grid.len()).collect()),
            Self::Cells(cells) => cells.iter().map(|&patch| inside(patch, grid)).collect(),
        }
    }
}

fn inside(patch: Patch, grid: PatchGrid) -> Result<usize> {
    grid.index(patch).ok_or_else(|| {
        Error::input(format!(
            "patch {patch} lies outside this model's {}x{} grid: rows are 0..={}, columns 0..={}",
            grid.rows,
            grid.cols,
            grid.rows.saturating_sub(1),
            grid.cols.saturating_sub(1)
        ))
    })
}

impl FromStr for PatchSet {
    type Err = Error;

    /// Reads `all`, `none`, or comma-separated `rNcM` and `rNcM-rNcM` (both corners in).
    fn from_str(text: &str) -> Result<Self> {
        match text.trim() {
            "all" => return Ok(Self::All),
            "" | "none" => return Ok(Self::default()),
            _ => {}
        }
        let mut cells = BTreeSet::new();
        for part in text.split(',') {
            let (first, last) = match part.split_once('-') {
                Some((a, b)) => (a.parse::<Patch>()?, b.parse::<Patch>()?),
                None => (part.parse()?, part.parse()?),
            };
            if first.row > last.row || first.col > last.col {
                return Err(Error::input(format!(
                    "patches {:?}: write the top left corner first, then the bottom right one",
                    part.trim()
                )));
            }
            for row in first.row..=last.row {
                cells.extend((first.col..=last.col).map(|col| Patch::new(row, col)));
            }
        }
        Ok(Self::Cells(cells))
    }
}

impl fmt::Display for PatchSet {
    /// The shortest list of rectangles that a row-by-row greedy pass finds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cells = match self {
            Self::All => return f.write_str("all"),
            Self::Cells(cells) if cells.is_empty() => return f.write_str("none"),
            Self::Cells(cells) => cells,
        };
        for (i, (first, last)) in rectangles(cells).into_iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            match first == last {
                true => write!(f, "{first}")?,
                false => write!(f, "{first}-{last}")?,
            }
        }
        Ok(())
    }
}

/// Covers the cells with disjoint rectangles: runs along a row, extended down while the next row holds the same run.
fn rectangles(cells: &BTreeSet<Patch>) -> Vec<(Patch, Patch)> {
    let mut left = cells.clone();
    let mut out = Vec::new();
    while let Some(&first) = left.first() {
        let mut col = first.col;
        while left.contains(&Patch::new(first.row, col + 1)) {
            col += 1;
        }
        let mut row = first.row;
        while (first.col..=col).all(|c| left.contains(&Patch::new(row + 1, c))) {
            row += 1;
        }
        left.retain(|p| !(p.row <= row && (first.col..=col).contains(&p.col)));
        out.push((first, Patch::new(row, col)));
    }
    out
}

super::serde_as_text!(PatchSet);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        for (text, back, n) in [
            ("r3c4", "r3c4", 1),
            ("r5c6-r8c9", "r5c6-r8c9", 16),
            ("r0c0, r0c1,r1c0 , r1c1", "r0c0-r1c1", 4),
            ("r0c0-r0c2, r1c1", "r0c0-r0c2, r1c1", 4),
            ("none", "none", 0),
            ("", "none", 0),
        ] {
            let set: PatchSet = text.parse().unwrap();
            assert_eq!(set.to_string(), back);
            assert_eq!(set.count(PatchGrid::new(24, 24)), n);
            assert_eq!(set.to_string().parse::<PatchSet>().unwrap(), set);
        }
        assert_eq!("all".parse::<PatchSet>().unwrap(), PatchSet::All);
    }

    #[test]
    fn refuses() {
        for text in [
            "r3",
            "c4",
            "r3c",
            "r-1c2",
            "r3c4-r2c5",
            "r9999c0",
            "r1c1;r2c2",
            "r1c1,",
        ] {
            assert!(text.parse::<PatchSet>().is_err(), "{text}");
        }
        let error = "r24c0"
            .parse::<PatchSet>()
            .unwrap()
            .indices(PatchGrid::new(24, 24))
            .unwrap_err();
        assert!(error.to_string().contains("r24c0"), "{error}");
    }

    #[test]
    fn all_becomes_explicit_when_edited() {
        let grid = PatchGrid::new(3, 4);
        let mut set = PatchSet::All;
        set.set(Patch::new(1, 1), false, grid);
        assert_eq!(set.count(grid), 11);
        assert!(!set.contains(Patch::new(1, 1)));
    }
}
