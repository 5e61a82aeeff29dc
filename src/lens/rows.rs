//! Rows of logits: log-sum-exp, entropy and the k best, on the device that holds them where it has a kernel for that, else
//! on the CPU, row by row in parallel.

use crate::tensor::Tensor;
use rayon::prelude::*;

use crate::error::Result;
use crate::model::{exp, read_logits, with_vectors};

/// What is kept of one row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RowReadout {
    /// Best first; ties by the smaller id.
    pub best: Vec<(u32, f32)>,
    pub log_sum_exp: f32,
    /// In nats.
    pub entropy: f32,
}

/// Rows that may still be on their way from the device.
pub(super) enum Reading {
    Ready(Vec<RowReadout>),
    /// `[n, 2 * kept + 2]` of [`read_logits`], of which `k` candidates are wanted.
    OnDevice {
        rows: Tensor,
        k: usize,
    },
}

impl Reading {
    /// Waits for them.
    pub fn get(self) -> Result<Vec<RowReadout>> {
        match self {
            Self::Ready(rows) => Ok(rows),
            Self::OnDevice { rows, k } => {
                let width = rows.dim(1)?;
                let rows = rows.flatten_all()?.to_vec1::<f32>()?;
                let rows = rows.chunks_exact(width).map(|row| unpack(row, k));
                Ok(rows.collect())
            }
        }
    }
}

/// Reads `[n, vocab]` f32 logits. The softmax runs over all of `vocab`; ids from `n_words` on are padding and never
/// among the best.
pub(super) fn read_rows(logits: &Tensor, n_words: usize, k: usize) -> Result<Reading> {
    if let Some(rows) = read_logits(logits, k, n_words)? {
        return Ok(Reading::OnDevice { rows, k });
    }
    let vocab = logits.dims2()?.1;
    let rows = logits.with_floats(|logits| read_rows_here(logits, vocab, n_words, k))?;
    Ok(Reading::Ready(rows))
}

/// A row of [`read_logits`], which may hold more candidates than were asked for.
fn unpack(row: &[f32], k: usize) -> RowReadout {
    let kept = row.len() / 2 - 1;
    let best = (0..k).map(|i| (row[i].to_bits(), row[kept + i]));
    RowReadout {
        best: best.collect(),
        log_sum_exp: row[2 * kept],
        entropy: row[2 * kept + 1],
    }
}

/// [`read_rows`] of logits that are in memory, `[n * vocab]`.
pub(super) fn read_rows_here(
    logits: &[f32],
    vocab: usize,
    n_words: usize,
    k: usize,
) -> Vec<RowReadout> {
    let rows = logits.par_chunks(vocab.max(1));
    rows.map(|row| read_row(row, n_words, k)).collect()
}

/// Sums and maxima run in lanes, so that the loops become vector code.
const LANES: usize = 16;

fn read_row(row: &[f32], n_words: usize, k: usize) -> RowReadout {
    let (max, sum, weighted) = with_vectors(
        #[inline(always)]
        || statistics(row),
    );
    let log_sum_exp = max + sum.ln();
    let best = best(&row[..n_words.min(row.len())], k);
    RowReadout {
        best: best
            .into_iter()
            .map(|(id, logit)| (id, (logit - max).exp() / sum))
            .collect(),
        log_sum_exp,
        // −Σ p ln p with p = e / sum; rounding must not make it negative.
        entropy: (sum.ln() - weighted / sum).max(0.0),
    }
}

/// The maximum m, Σ e^(x − m), and Σ e^(x − m) (x − m).
#[inline(always)]
fn statistics(row: &[f32]) -> (f32, f32, f32) {
    let max = maximum(row);
    let (mut sums, mut weighted) = ([0f32; LANES], [0f32; LANES]);
    let mut add = |lane: usize, x: f32| {
        let below = x - max;
        let e = exp(below);
        sums[lane] += e;
        // What is −∞ has no weight; 0 * −∞ would be no number.
        weighted[lane] += e * below.max(f32::MIN);
    };
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        (0..LANES).for_each(|lane| add(lane, chunk[lane]));
    }
    rest.iter().enumerate().for_each(|(lane, x)| add(lane, *x));
    (max, sums.iter().sum(), weighted.iter().sum())
}

#[inline(always)]
fn maximum(row: &[f32]) -> f32 {
    let mut maxima = [f32::NEG_INFINITY; LANES];
    let mut take = |lane: usize, x: f32| {
        maxima[lane] = if x > maxima[lane] { x } else { maxima[lane] };
    };
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        (0..LANES).for_each(|lane| take(lane, chunk[lane]));
    }
    rest.iter().enumerate().for_each(|(lane, x)| take(lane, *x));
    maxima.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

/// Values that are passed over at once when none of them can be among the best.
const BLOCK: usize = 128;

/// The k largest of a row, by insertion into a short list: k is small and most values lose at the first comparison.
pub(super) fn best(row: &[f32], k: usize) -> Vec<(u32, f32)> {
    let mut list: Vec<(u32, f32)> = Vec::with_capacity(k + 1);
    for (i, block) in row.chunks(BLOCK).enumerate() {
        let is_full = list.len() == k;
        let highest = with_vectors(
            #[inline(always)]
            || maximum(block),
        );
        if is_full && list.last().is_some_and(|(_, worst)| highest <= *worst) {
            continue;
        }
        for (j, &value) in block.iter().enumerate() {
            insert(&mut list, k, ((i * BLOCK + j) as u32, value));
        }
    }
    list
}

/// Of equal values the one that came first stays ahead.
fn insert(list: &mut Vec<(u32, f32)>, k: usize, (id, value): (u32, f32)) {
    if list.len() == k && list.last().is_none_or(|(_, worst)| value <= *worst) {
        return;
    }
    let at = list.partition_point(|(_, other)| *other >= value);
    list.insert(at, (id, value));
    list.truncate(k);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn best_agrees_with_a_sort() {
        let row: Vec<f32> = (0..500).map(|i| ((i * 7919) % 251) as f32).collect();
        let mut sorted: Vec<(u32, f32)> = row
            .iter()
            .enumerate()
            .map(|(i, v)| (i as u32, *v))
            .collect();
        sorted.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        assert_eq!(best(&row, 12), sorted[..12]);
        assert_eq!(best(&row[..3], 12).len(), 3);
    }

    #[test]
    fn padding_counts_in_the_softmax_but_is_not_shown() {
        let row = read_row(&[0.0, 1.0, 50.0], 2, 5);
        assert_eq!(row.best.iter().map(|b| b.0).collect::<Vec<_>>(), [1, 0]);
        assert!(row.best[0].1 < 1e-10);
    }

    #[test]
    fn uniform_entropy() {
        let row = read_row(&[3.0; 64], 64, 1);
        assert!((row.entropy - 64f32.ln()).abs() < 1e-5, "{}", row.entropy);
        assert!((row.log_sum_exp - (3.0 + 64f32.ln())).abs() < 1e-5);
    }
}
