//! Sets of patches made from other sets, from numbers, from shapes and by chance: pure, on a [`PatchGrid`].
//!
//! What leaves here lies in the grid; cells outside it are dropped, and a full grid is [`PatchSet::All`]. Where the
//! numbers come from is not known here.

use std::collections::BTreeSet;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

use super::{Patch, PatchGrid, PatchSet};

/// How many standard deviations above the mean the norm of a register lies.
const REGISTER_SDS: f64 = 2.0;

/// The cells of row-major indices.
pub fn of_indices(indices: impl IntoIterator<Item = usize>, grid: PatchGrid) -> PatchSet {
    let inside = indices.into_iter().filter(|index| *index < grid.len());
    of_cells(inside.map(|index| grid.patch(index)).collect(), grid)
}

fn of_cells(cells: BTreeSet<Patch>, grid: PatchGrid) -> PatchSet {
    match !grid.is_empty() && cells.len() == grid.len() {
        true => PatchSet::All,
        false => PatchSet::Cells(cells),
    }
}

/// The set's cells that the grid has, as `keep` wants them.
fn filtered(grid: PatchGrid, keep: impl Fn(Patch) -> bool) -> PatchSet {
    of_cells(grid.patches().filter(|patch| keep(*patch)).collect(), grid)
}

/// The set and the ring of 8 neighbours around it: once is the paper's "+1", twice its "+2" (section 3).
#[must_use]
pub fn grow(set: &PatchSet, grid: PatchGrid) -> PatchSet {
    filtered(grid, |patch| {
        neighbourhood(patch).any(|other| grid.index(other).is_some() && set.contains(other))
    })
}

/// The set without its outermost ring; the edge of the picture is no outside. What grows of the rest shrinks here.
#[must_use]
pub fn shrink(set: &PatchSet, grid: PatchGrid) -> PatchSet {
    filtered(grid, |patch| {
        neighbourhood(patch).all(|other| grid.index(other).is_none() || set.contains(other))
    })
}

/// A patch and its 8 neighbours, as far as numbers from 0 name them.
fn neighbourhood(patch: Patch) -> impl Iterator<Item = Patch> {
    let around = |at: u16| at.saturating_sub(1)..=at.saturating_add(1);
    around(patch.row).flat_map(move |row| around(patch.col).map(move |col| Patch::new(row, col)))
}

/// Every patch that is not in the set.
#[must_use]
pub fn invert(set: &PatchSet, grid: PatchGrid) -> PatchSet {
    filtered(grid, |patch| !set.contains(patch))
}

/// What either has.
#[must_use]
pub fn union(a: &PatchSet, b: &PatchSet, grid: PatchGrid) -> PatchSet {
    filtered(grid, |patch| a.contains(patch) || b.contains(patch))
}

/// What `a` has and `b` has not.
#[must_use]
pub fn minus(a: &PatchSet, b: &PatchSet, grid: PatchGrid) -> PatchSet {
    filtered(grid, |patch| a.contains(patch) && !b.contains(patch))
}

/// `n` patches of the grid by chance, every set of `n` as likely as any other; all of them if there are fewer.
pub fn random(n: usize, seed: u64, grid: PatchGrid) -> PatchSet {
    random_among(&PatchSet::All, n, seed, grid)
}

/// `n` patches of `pool` by chance, every set of `n` as likely as any other; the whole pool if it has fewer. The same
/// seed gives the same set on every machine (ChaCha8, a Fisher-Yates shuffle that stops after `n`).
pub fn random_among(pool: &PatchSet, n: usize, seed: u64, grid: PatchGrid) -> PatchSet {
    let mut cells: Vec<Patch> = grid.patches().filter(|p| pool.contains(*p)).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let n = n.min(cells.len());
    for at in 0..n {
        let other = at + below(&mut rng, (cells.len() - at) as u64) as usize;
        cells.swap(at, other);
    }
    cells.truncate(n);
    of_cells(cells.into_iter().collect(), grid)
}

/// A number below `end`, each as likely as any other: draws beyond the last whole multiple are thrown away.
fn below(rng: &mut ChaCha8Rng, end: u64) -> u64 {
    let whole = u64::MAX - u64::MAX % end.max(1);
    loop {
        let draw = rng.next_u64();
        if draw < whole {
            return draw % end.max(1);
        }
    }
}

/// The lowest row of the picture.
pub fn last_row(grid: PatchGrid) -> PatchSet {
    filtered(grid, |patch| usize::from(patch.row) + 1 == grid.rows)
}

/// Which side of a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Side {
    /// At the threshold or above it.
    #[default]
    Above,
    /// At the threshold or below it.
    Below,
}

/// The patches whose value lies on that side of the threshold; a value that is no number lies on neither. `[patch]`
pub fn threshold(values: &[f32], at: f32, side: Side, grid: PatchGrid) -> PatchSet {
    let chosen = values.iter().enumerate().filter(|(_, value)| match side {
        Side::Above => **value >= at,
        Side::Below => **value <= at,
    });
    of_indices(chosen.map(|(index, _)| index), grid)
}

/// The register set: patches whose norm after the projector lies more than 2 sample standard deviations above the
/// mean (paper, section 3). `norms` of all patches, `[patch]`; none of fewer than two.
pub fn registers(norms: &[f32], grid: PatchGrid) -> PatchSet {
    let n = norms.len() as f64;
    if norms.len() < 2 {
        return PatchSet::default();
    }
    let mean = norms.iter().map(|norm| f64::from(*norm)).sum::<f64>() / n;
    let spread: f64 = norms.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum();
    let limit = mean + REGISTER_SDS * (spread / (n - 1.0)).sqrt();
    let high = norms.iter().enumerate();
    let high = high.filter(|(_, norm)| f64::from(**norm) > limit);
    of_indices(high.map(|(index, _)| index), grid)
}

/// The rectangle between two corners, in any order, both in.
pub fn rectangle(a: Patch, b: Patch, grid: PatchGrid) -> PatchSet {
    let rows = a.row.min(b.row)..=a.row.max(b.row);
    let cols = a.col.min(b.col)..=a.col.max(b.col);
    filtered(grid, |patch| {
        rows.contains(&patch.row) && cols.contains(&patch.col)
    })
}

/// The patches whose centres lie inside a closed line, by the even-odd rule. Corners are (column, row) in patches: the
/// centre of `r0c0` is (0.5, 0.5).
pub fn lasso(corners: &[(f32, f32)], grid: PatchGrid) -> PatchSet {
    filtered(grid, |patch| {
        let centre = (f32::from(patch.col) + 0.5, f32::from(patch.row) + 0.5);
        is_inside(centre, corners)
    })
}

fn is_inside((x, y): (f32, f32), corners: &[(f32, f32)]) -> bool {
    let next = corners.iter().cycle().skip(1);
    let crossed = corners.iter().zip(next).filter(|((ax, ay), (bx, by))| {
        let spans = (*ay > y) != (*by > y);
        spans && x < ax + (y - ay) / (by - ay) * (bx - ax)
    });
    crossed.count() % 2 == 1
}

/// The middle of a set, (row, column), for a line of text; `None` of an empty one.
pub fn centre(set: &PatchSet, grid: PatchGrid) -> Option<(f32, f32)> {
    let cells: Vec<Patch> = grid.patches().filter(|p| set.contains(*p)).collect();
    let n = cells.len() as f32;
    let mean = |of: fn(&Patch) -> u16| cells.iter().map(|p| f32::from(of(p))).sum::<f32>() / n;
    (!cells.is_empty()).then(|| (mean(|p| p.row), mean(|p| p.col)))
}

#[cfg(test)]
mod tests;
