//! KL divergence between what two residual rows say through the logit lens, in nats.
//!
//! Σ p (ln p − ln q) over the whole vocabulary, p of the first row and q of the second; the rows are those of one patch
//! in two runs. Full logits exist for a chunk of rows at a time.

use crate::tensor::{D, Tensor};
use rayon::prelude::*;

use super::logit_lens::chunk_rows;
use crate::error::Result;
use crate::model::{Llama, exp, with_vectors};

/// KL of each pair of rows of `p` and `q`, both `[n, d_model]`. Never negative.
pub fn divergences(llama: &Llama, p: &Tensor, q: &Tensor) -> Result<Vec<f32>> {
    let n = p.dim(0)?;
    let mut out = Vec::with_capacity(n);
    let mut start = 0;
    while start < n {
        let rows = (chunk_rows(2 * n, llama) / 2).max(1).min(n - start);
        let logits = |x: &Tensor| -> Result<Tensor> {
            llama.unembed(&llama.final_norm(&x.narrow(0, start, rows)?)?)
        };
        let (a, b) = (logits(p)?, logits(q)?);
        out.extend(if a.device().is_cpu() {
            here(&a, &b)?
        } else {
            there(&a, &b)?
        });
        start += rows;
    }
    Ok(out)
}

/// Of f32 logits `[n, vocab]` in memory.
fn here(a: &Tensor, b: &Tensor) -> Result<Vec<f32>> {
    let vocab = a.dim(1)?.max(1);
    let values = |x: &Tensor| x.flatten_all()?.to_vec1::<f32>();
    let (a, b) = (values(a)?, values(b)?);
    let rows = a.par_chunks(vocab).zip(b.par_chunks(vocab));
    let row = |(a, b): (&[f32], &[f32])| {
        with_vectors(
            #[inline(always)]
            || divergence(a, b),
        )
    };
    Ok(rows.map(row).collect())
}

/// The same where the logits are.
fn there(a: &Tensor, b: &Tensor) -> Result<Vec<f32>> {
    let log_softmax = |x: &Tensor| -> crate::tensor::Result<Tensor> {
        let x = x.broadcast_sub(&x.max_keepdim(D::Minus1)?)?;
        x.broadcast_sub(&x.exp()?.sum_keepdim(D::Minus1)?.log()?)
    };
    let (a, b) = (log_softmax(a)?, log_softmax(b)?);
    let terms = (a.exp()? * (a - b)?)?;
    let sums = terms.sum(D::Minus1)?.to_vec1::<f32>()?;
    Ok(sums.into_iter().map(|kl| kl.max(0.0)).collect())
}

/// Sums run in lanes, so that the loops become vector code.
const LANES: usize = 16;

#[inline(always)]
fn divergence(a: &[f32], b: &[f32]) -> f32 {
    let (lse_a, lse_b) = (log_sum_exp(a), log_sum_exp(b));
    let mut sums = [0f32; LANES];
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            let (ln_p, ln_q) = (a - lse_a, b - lse_b);
            // What has no weight counts for nothing, even where both are −∞.
            *sum += exp(ln_p) * (ln_p.max(f32::MIN) - ln_q.max(f32::MIN));
        }
    }
    sums.iter().sum::<f32>().max(0.0)
}

#[inline(always)]
fn log_sum_exp(row: &[f32]) -> f32 {
    let mut maxima = [f32::NEG_INFINITY; LANES];
    for chunk in row.chunks(LANES) {
        for (max, x) in maxima.iter_mut().zip(chunk) {
            *max = if *x > *max { *x } else { *max };
        }
    }
    let max = maxima.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sums = [0f32; LANES];
    for chunk in row.chunks(LANES) {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *sum += exp(x - max);
        }
    }
    max + sums.iter().sum::<f32>().ln()
}

#[cfg(test)]
mod tests {
    use crate::tensor::Device;

    use super::*;

    /// The definition, in f64.
    fn naive(a: &[f32], b: &[f32]) -> f64 {
        let softmax = |x: &[f32]| -> Vec<f64> {
            let e: Vec<f64> = x.iter().map(|x| f64::from(*x).exp()).collect();
            let sum: f64 = e.iter().sum();
            e.into_iter().map(|e| e / sum).collect()
        };
        let (p, q) = (softmax(a), softmax(b));
        p.iter().zip(q).map(|(p, q)| p * (p / q).ln()).sum()
    }

    #[test]
    fn all_ways_agree_with_the_definition() {
        for (vocab, spread) in [(5, 0.1f32), (64, 1.0), (1003, 4.0), (2048, 0.01)] {
            let a = Tensor::randn(0f32, 3.0, (7, vocab), &Device::Cpu).unwrap();
            let noise = Tensor::randn(0f32, spread, (7, vocab), &Device::Cpu).unwrap();
            let b = (&a + noise).unwrap();
            let (fast, ops) = (here(&a, &b).unwrap(), there(&a, &b).unwrap());
            let rows = |x: &Tensor| x.to_vec2::<f32>().unwrap();
            for (i, (a, b)) in rows(&a).iter().zip(rows(&b)).enumerate() {
                let slow = naive(a, &b);
                assert!(slow > 0.0 && fast[i] >= 0.0 && ops[i] >= 0.0);
                for ours in [fast[i], ops[i]] {
                    let gap = (f64::from(ours) - slow).abs();
                    assert!(gap < 1e-5 + 1e-4 * slow, "{vocab} {spread}: {ours} {slow}");
                }
            }
        }
    }

    #[test]
    fn equal_rows_are_nothing_apart_and_others_are_not() {
        let a = Tensor::randn(0f32, 3.0, (4, 300), &Device::Cpu).unwrap();
        assert_eq!(here(&a, &a).unwrap(), [0.0; 4]);
        assert_eq!(there(&a, &a).unwrap(), [0.0; 4]);
        let b = (&a * 0.9).unwrap();
        assert!(here(&a, &b).unwrap().iter().all(|kl| *kl > 1e-3));
        // A constant that is added to all logits says the same.
        let moved = here(&a, &(&a + 2.0).unwrap()).unwrap();
        assert!(moved.iter().all(|kl| *kl < 1e-5), "{moved:?}");
    }
}
