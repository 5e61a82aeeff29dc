//! Some words in rows that were read before: log-probability from the kept log-sum-exp, and the rank.

use crate::tensor::{DType, Tensor};
use rayon::prelude::*;

use super::logit_lens::chunk_rows;
use crate::error::Result;
use crate::model::Llama;

/// Natural logarithm of the probability of some tokens in every patch of a level that was read before: `[word][patch]`.
///
/// `resid` is `[patch, d_model]`, `log_sum_exp` that of the level's readout: one small product, no softmax.
pub fn word_log_probabilities(
    llama: &Llama,
    resid: &Tensor,
    log_sum_exp: &[f32],
    ids: &[u32],
) -> Result<Vec<Vec<f32>>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let normed = llama.final_norm(resid)?;
    let logits = llama.logits_of(ids, &normed)?; // [word, patch]
    let below = |(logit, lse): (&f32, &f32)| logit - lse;
    let rows = logits.to_vec2::<f32>()?;
    Ok(rows
        .iter()
        .map(|row| row.iter().zip(log_sum_exp).map(below).collect())
        .collect())
}

/// Rank of some tokens among the first `n_words` in every row of `resid`, `[patch, d_model]`: `[word][patch]`, 1 for the
/// likeliest; equal tokens share the better rank. Costs as much as reading the level.
pub fn word_ranks(
    llama: &Llama,
    resid: &Tensor,
    ids: &[u32],
    n_words: usize,
) -> Result<Vec<Vec<u32>>> {
    let mut ranks = vec![Vec::new(); ids.len()];
    if ids.is_empty() {
        return Ok(ranks);
    }
    let n = resid.dim(0)?;
    let mut start = 0;
    while start < n {
        let rows = chunk_rows(n, llama).min(n - start);
        let normed = llama.final_norm(&resid.narrow(0, start, rows)?)?;
        let logits = llama.unembed(&normed)?; // [rows, vocab]
        let n_words = n_words.min(logits.dim(1)?);
        for (out, &id) in ranks.iter_mut().zip(ids) {
            out.extend(if logits.device().is_cpu() {
                ranks_here(&logits, id as usize, n_words)?
            } else {
                ranks_there(&logits, id as usize, n_words)?
            });
        }
        start += rows;
    }
    Ok(ranks)
}

fn ranks_here(logits: &Tensor, id: usize, n_words: usize) -> Result<Vec<u32>> {
    let vocab = logits.dim(1)?;
    let logits = logits.flatten_all()?.to_vec1::<f32>()?;
    let rank = |row: &[f32]| {
        let own = row[id];
        1 + row[..n_words].iter().filter(|logit| **logit > own).count() as u32
    };
    Ok(logits.par_chunks(vocab.max(1)).map(rank).collect())
}

/// The same where the logits are.
fn ranks_there(logits: &Tensor, id: usize, n_words: usize) -> Result<Vec<u32>> {
    let own = logits.narrow(1, id, 1)?;
    let better = logits.narrow(1, 0, n_words)?.broadcast_gt(&own)?;
    // As f32 the count is exact up to 2^24; as bytes it would run over.
    let n = better.to_dtype(DType::F32)?.sum(1)?.to_vec1::<f32>()?;
    Ok(n.into_iter().map(|n| 1 + n as u32).collect())
}

#[cfg(test)]
mod tests {
    use crate::tensor::Device;

    use super::*;

    #[test]
    fn both_ways_of_ranking_agree() {
        let logits = Tensor::randn(0f32, 1.0, (9, 70), &Device::Cpu).unwrap();
        for id in [0, 33, 69] {
            let here = ranks_here(&logits, id, 60).unwrap();
            assert_eq!(here, ranks_there(&logits, id, 60).unwrap());
            assert!(here.iter().all(|rank| (1..=61).contains(rank)));
        }
        let flat = Tensor::zeros((2, 5), DType::F32, &Device::Cpu).unwrap();
        assert_eq!(ranks_here(&flat, 3, 5).unwrap(), [1, 1]);
    }
}
