//! Closed outlines and the share of every patch inside them.
//!
//! An outline is clipped, never thinned out: corners outside of what the model sees still shape the part inside.

use super::Cells;
use crate::error::{Error, Result};

/// A closed outline of at least three corners, (x, y) in pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Polygon(Vec<(f64, f64)>);

impl Polygon {
    /// From COCO's flat list `x0, y0, x1, y1, …`.
    ///
    /// # Errors
    /// Fewer than three corners, an odd count, a number that is not finite.
    pub fn from_flat(flat: &[f64]) -> Result<Self> {
        let is_good = flat.len() >= 6 && flat.len().is_multiple_of(2);
        if !is_good || flat.iter().any(|x| !x.is_finite()) {
            return Err(Error::input(format!(
                "a polygon of {} numbers: at least three corners x, y are needed",
                flat.len()
            )));
        }
        Ok(Self(flat.chunks_exact(2).map(|p| (p[0], p[1])).collect()))
    }

    /// Adds the share of each patch that lies inside.
    pub(super) fn add_shares(&self, cells: &Cells, shares: &mut [f64]) {
        let outline: Vec<_> = self.0.iter().map(|corner| cells.to_grid(*corner)).collect();
        let (rows, cols) = (cells.grid.rows, cells.grid.cols);
        for row in span(outline.iter().map(|p| p.1), rows) {
            let band = clip(&outline, Axis::Y, row as f64);
            for col in span(band.iter().map(|p| p.0), cols) {
                let inside = clip(&band, Axis::X, col as f64);
                shares[row * cols + col] += area(&inside);
            }
        }
    }
}

/// The cells 0..n that an outline reaches along one axis.
fn span(values: impl Iterator<Item = f64>, n: usize) -> std::ops::Range<usize> {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values {
        (low, high) = (low.min(value), high.max(value));
    }
    // Casts saturate: what lies before the grid becomes 0.
    let first = (low.floor().max(0.0) as usize).min(n);
    let end = (high.ceil().max(0.0) as usize).min(n);
    first..end.max(first)
}

#[derive(Clone, Copy)]
enum Axis {
    X,
    Y,
}

impl Axis {
    fn of(self, (x, y): (f64, f64)) -> f64 {
        match self {
            Self::X => x,
            Self::Y => y,
        }
    }
}

/// The part between `low` and `low + 1` along an axis (Sutherland-Hodgman, two half planes). Pieces that fall apart stay
/// joined by edges on the border, which have no area.
fn clip(outline: &[(f64, f64)], axis: Axis, low: f64) -> Vec<(f64, f64)> {
    let above = clip_half(outline, axis, low, 1.0);
    clip_half(&above, axis, low + 1.0, -1.0)
}

/// Keeps where `sign * (value - at) >= 0`.
fn clip_half(outline: &[(f64, f64)], axis: Axis, at: f64, sign: f64) -> Vec<(f64, f64)> {
    let mut kept = Vec::with_capacity(outline.len() + 4);
    for (i, &to) in outline.iter().enumerate() {
        let from = outline[(i + outline.len() - 1) % outline.len()];
        let (a, b) = (sign * (axis.of(from) - at), sign * (axis.of(to) - at));
        if (a >= 0.0) != (b >= 0.0) {
            let t = a / (a - b);
            kept.push((from.0 + t * (to.0 - from.0), from.1 + t * (to.1 - from.1)));
        }
        if b >= 0.0 {
            kept.push(to);
        }
    }
    kept
}

/// Of a closed outline, whichever way round.
fn area(outline: &[(f64, f64)]) -> f64 {
    let next = outline.iter().cycle().skip(1);
    let twice: f64 = (outline.iter().zip(next))
        .map(|(a, b)| a.0 * b.1 - b.0 * a.1)
        .sum();
    twice.abs() / 2.0
}
