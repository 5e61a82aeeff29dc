//! In which order the units of a sweep are computed, and which of them go through one forward together.
//!
//! A batch computes the rows from its earliest patch on, for every unit in it; so units of one batch should start at
//! nearly the same row. Pure arithmetic; no tensors.

/// A batch may compute this share of rows in vain, so that it is full.
const IN_VAIN: f64 = 0.1;

/// Squares in rows of `n_cols`, coarse to fine: first every fourth of every fourth row, then every second, then the
/// rest; row by row within each, so that neighbours in the order start at nearly the same row.
pub fn coarse_to_fine(n_units: usize, n_cols: usize) -> Vec<usize> {
    let pass = |unit: &usize| {
        let (row, col) = (unit / n_cols.max(1), unit % n_cols.max(1));
        let on = |step: usize| row.is_multiple_of(step) && col.is_multiple_of(step);
        match (on(4), on(2)) {
            (true, _) => 0,
            (_, true) => 1,
            _ => 2,
        }
    };
    let mut order: Vec<usize> = (0..n_units).collect();
    order.sort_by_key(pass);
    order
}

/// Cuts `order` into batches, without changing it. `first_row[unit]` is the first row that a unit computes, up to `n`.
/// A batch has at most `most_rows` rows and `most_units` units, but at least one unit.
pub fn by_rows(
    order: &[usize],
    first_row: &[usize],
    n: usize,
    (most_rows, most_units): (usize, usize),
) -> Vec<Vec<usize>> {
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let (mut first, mut needed) = (n, 0);
    for &unit in order {
        let own = n - first_row[unit];
        if let Some(batch) = batches.last_mut() {
            let rows = (n - first.min(first_row[unit])) * (batch.len() + 1);
            let in_vain = rows - (needed + own);
            // Below this the device is not busy anyway.
            let allowed = (rows as f64 * IN_VAIN).max(most_rows as f64 / 8.0);
            let fits = rows <= most_rows && batch.len() < most_units;
            if fits && in_vain as f64 <= allowed {
                batch.push(unit);
                (first, needed) = (first.min(first_row[unit]), needed + own);
                continue;
            }
        }
        batches.push(vec![unit]);
        (first, needed) = (first_row[unit], own);
    }
    batches
}

/// Cuts `order` into batches of `most` units, but at least one.
pub fn of_equal(order: &[usize], most: usize) -> Vec<Vec<usize>> {
    order.chunks(most.max(1)).map(<[usize]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: usize = 593;

    /// The patches of a 24x24 grid at the positions from 5 on.
    fn first_rows() -> Vec<usize> {
        (0..576).map(|patch| 5 + patch).collect()
    }

    /// Rows that a batch computes.
    fn rows(batch: &[usize], first_row: &[usize]) -> usize {
        let first = batch.iter().map(|unit| first_row[*unit]).min().unwrap();
        (N - first) * batch.len()
    }

    /// Rows that all batches compute together.
    fn cost(batches: &[Vec<usize>], first_row: &[usize]) -> usize {
        let of = |batch: &Vec<usize>| rows(batch, first_row);
        batches.iter().map(of).sum()
    }

    #[test]
    fn every_unit_is_computed_once_and_batches_keep_to_the_limit() {
        let first_row = first_rows();
        for most in [1, 600, 1200, 4096] {
            let batches = by_rows(&coarse_to_fine(576, 24), &first_row, N, (most, 20));
            let mut all = batches.concat();
            all.sort_unstable();
            assert_eq!(all, (0..576).collect::<Vec<_>>());
            for batch in &batches {
                let rows = rows(batch, &first_row);
                assert!(rows <= most || batch.len() == 1, "{most}: {batch:?}");
                assert!(batch.len() <= 20);
            }
        }
    }

    #[test]
    fn coarse_to_fine_costs_little() {
        let first_row = first_rows();
        let top_down: Vec<usize> = (0..576).collect();
        let needed: usize = first_row.iter().map(|first| N - first).sum();
        for most in [600, 1200, 4096, 8192] {
            let coarse = by_rows(&coarse_to_fine(576, 24), &first_row, N, (most, 64));
            let plain = by_rows(&top_down, &first_row, N, (most, 64));
            let (coarse_cost, plain_cost) = (cost(&coarse, &first_row), cost(&plain, &first_row));
            println!(
                "{most} rows: {} batches coarse to fine compute {:.3} of the rows needed, {} from the top {:.3}",
                coarse.len(),
                coarse_cost as f64 / needed as f64,
                plain.len(),
                plain_cost as f64 / needed as f64
            );
            assert!(coarse_cost as f64 <= 1.1 * plain_cost as f64);
            assert!(coarse.len() as f64 <= 1.15 * plain.len() as f64 + 4.0);
        }
    }

    #[test]
    fn the_first_pass_shows_the_whole_picture() {
        let order = coarse_to_fine(576, 24);
        let first: Vec<usize> = order[..36].to_vec();
        assert!(first.contains(&0) && first.contains(&(20 * 24 + 20)));
        assert!(first.iter().all(|unit| unit % 4 == 0 && unit / 24 % 4 == 0));
    }
}
