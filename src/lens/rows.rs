//! Rows of logits on the CPU: log-sum-exp, entropy and the k best, row by row in parallel. No tensors here.

use rayon::prelude::*;

/// What is kept of one row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RowReadout {
    /// Best first; ties by the smaller id.
    pub best: Vec<(u32, f32)>,
    pub log_sum_exp: f32,
    /// In nats.
    pub entropy: f32,
}

/// Reads `[n, vocab]` logits. The softmax runs over all of `vocab`; ids from `n_words` on are padding and never
/// among the best.
pub(super) fn read_rows(logits: &[f32], vocab: usize, n_words: usize, k: usize) -> Vec<RowReadout> {
    logits
        .par_chunks(vocab.max(1))
        .map(|row| read_row(row, n_words, k))
        .collect()
}

fn read_row(row: &[f32], n_words: usize, k: usize) -> RowReadout {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (mut sum, mut weighted) = (0f32, 0f32);
    for &logit in row {
        let e = (logit - max).exp();
        sum += e;
        weighted += e * (logit - max);
    }
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

/// The k largest of a row, by insertion into a short list: k is small and most values lose at the first comparison.
pub(super) fn best(row: &[f32], k: usize) -> Vec<(u32, f32)> {
    let mut list: Vec<(u32, f32)> = Vec::with_capacity(k + 1);
    for (id, &value) in row.iter().enumerate() {
        let worst = if list.len() < k {
            f32::NEG_INFINITY
        } else {
            list[k - 1].1
        };
        if value > worst || list.len() < k {
            let at = list.partition_point(|(_, other)| *other >= value);
            list.insert(at, (id as u32, value));
            list.truncate(k);
        }
    }
    list
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
