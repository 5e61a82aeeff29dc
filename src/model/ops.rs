//! Fast paths of the forward pass on the CPU: causal softmax in place, SiLU times up, quick GELU.
//!
//! Each has a slow twin in plain candle operations, which every other device and type uses; the tests below compare
//! them. No hooks here: who wants to look at the scores gets the slow path.

use candle_core::backend::BackendStorage as _;
use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, DType, InplaceOp1, Layout, Result, Shape, Tensor,
};
use rayon::prelude::*;

/// Whether the fast paths take this tensor.
pub(super) fn is_fast(x: &Tensor) -> bool {
    x.device().is_cpu() && x.dtype() == DType::F32
}

/// Scales and masks scores and takes their softmax, in place; keys after a query become exactly 0.
/// `[head, query, key]`, f32; query row 0 stands at position `first_pos`.
pub(super) fn causal_softmax(scores: &Tensor, first_pos: usize, scale: f32) -> Result<()> {
    scores.inplace_op1(&CausalSoftmax { first_pos, scale })
}

/// Softmax over all keys, in place, of scores that are scaled and masked already. `[head, query, key]`, f32.
///
/// The arithmetic is that of [`causal_softmax`]: whoever only looks at the scores gets the same bits.
pub(super) fn softmax(scores: &Tensor) -> Result<()> {
    scores.inplace_op1(&CausalSoftmax {
        first_pos: scores.dim(2)?,
        scale: 1.0,
    })
}

/// silu(gate) * up, elementwise, f32.
pub(super) fn silu_mul(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    gate.apply_op2_no_bwd(up, &SiluMul)
}

/// x * sigmoid(1.702 x), elementwise, f32.
pub(super) fn quick_gelu(x: &Tensor) -> Result<Tensor> {
    x.apply_op1_no_bwd(&QuickGelu)
}

/// e^x to about 1e-7 relative, in a form that compilers turn into vector code; below −87 it is 0.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding and taking away 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, the first exact in few bits, so that the remainder loses nothing.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let x_bounded = x.max(-87.0);
    let rounded = x_bounded * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let f = (x_bounded - n * LN_2[0]) - n * LN_2[1]; // |f| <= ln 2 / 2
    let p = 1.0
        + f * (1.0
            + f * (0.5
                + f * (1.0 / 6.0 + f * (1.0 / 24.0 + f * (1.0 / 120.0 + f * (1.0 / 720.0))))));
    let n_bits = rounded.to_bits().wrapping_sub(ROUND.to_bits());
    let power = f32::from_bits(n_bits.wrapping_add(127) << 23);
    if x < -87.0 { 0.0 } else { p * power }
}

struct CausalSoftmax {
    first_pos: usize,
    scale: f32,
}

impl InplaceOp1 for CausalSoftmax {
    fn name(&self) -> &'static str {
        "causal-softmax"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let (_, n_queries, n_keys) = layout.shape().dims3()?;
        let range = contiguous(layout)?;
        let CpuStorage::F32(values) = storage else {
            candle_core::bail!("causal softmax needs f32, not {:?}", storage.dtype())
        };
        values[range]
            .par_chunks_mut(n_keys)
            .enumerate()
            .for_each(|(i, row)| {
                let seen = (self.first_pos + i % n_queries + 1).min(n_keys);
                let (seen, later) = row.split_at_mut(seen);
                softmax_row(seen, self.scale);
                later.fill(0.0);
            });
        Ok(())
    }
}

/// Sums and maxima run in lanes, so that the loops become vector code.
const LANES: usize = 16;

fn softmax_row(row: &mut [f32], scale: f32) {
    row.iter_mut().for_each(|x| *x *= scale);
    let mut maxima = [f32::NEG_INFINITY; LANES];
    for chunk in row.chunks(LANES) {
        for (max, x) in maxima.iter_mut().zip(chunk) {
            *max = if *x > *max { *x } else { *max };
        }
    }
    let max = maxima.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sums = [0f32; LANES];
    for chunk in row.chunks_mut(LANES) {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *x = exp(*x - max);
            *sum += *x;
        }
    }
    let inverse = 1.0 / sums.iter().sum::<f32>();
    row.iter_mut().for_each(|x| *x *= inverse);
}

/// Elements that one task handles.
const TASK: usize = 1 << 14;

struct SiluMul;

impl CustomOp2 for SiluMul {
    fn name(&self) -> &'static str {
        "silu-mul"
    }

    fn cpu_fwd(
        &self,
        gate: &CpuStorage,
        gate_layout: &Layout,
        up: &CpuStorage,
        up_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let gate = &gate.as_slice::<f32>()?[contiguous(gate_layout)?];
        let up = &up.as_slice::<f32>()?[contiguous(up_layout)?];
        let mut out = vec![0f32; gate.len()];
        let tasks = out
            .par_chunks_mut(TASK)
            .zip(gate.par_chunks(TASK))
            .zip(up.par_chunks(TASK));
        tasks.for_each(|((out, gate), up)| {
            for ((out, g), u) in out.iter_mut().zip(gate).zip(up) {
                *out = *g / (1.0 + exp(-*g)) * *u;
            }
        });
        Ok((CpuStorage::F32(out), gate_layout.shape().clone()))
    }
}

struct QuickGelu;

impl CustomOp1 for QuickGelu {
    fn name(&self) -> &'static str {
        "quick-gelu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = &x.as_slice::<f32>()?[contiguous(layout)?];
        let mut out = vec![0f32; x.len()];
        out.par_chunks_mut(TASK)
            .zip(x.par_chunks(TASK))
            .for_each(|(out, x)| {
                for (out, x) in out.iter_mut().zip(x) {
                    *out = *x / (1.0 + exp(-1.702 * *x));
                }
            });
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }
}

fn contiguous(layout: &Layout) -> Result<std::ops::Range<usize>> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(start..end),
        None => candle_core::bail!("a fast path needs a contiguous tensor"),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn random(shape: &[usize], spread: f32) -> Tensor {
        (Tensor::randn(0f32, spread, shape, &Device::Cpu)).unwrap()
    }

    fn worst(a: &Tensor, b: &Tensor) -> f32 {
        (a - b)
            .unwrap()
            .abs()
            .unwrap()
            .flatten_all()
            .unwrap()
            .max(0)
            .unwrap()
            .to_scalar()
            .unwrap()
    }

    #[test]
    fn exp_is_exact_enough() {
        for i in -8700..=8700 {
            let x = i as f32 / 100.0;
            let (found, expected) = (f64::from(exp(x)), f64::from(x).exp());
            assert!(
                (found / expected - 1.0).abs() < 2e-6,
                "{x}: {found} {expected}"
            );
        }
        assert_eq!(
            (exp(f32::NEG_INFINITY), exp(-100.0), exp(0.0)),
            (0.0, 0.0, 1.0)
        );
    }

    /// The slow twin: scale, additive mask, candle's softmax.
    fn slow_softmax(scores: &Tensor, first_pos: usize, scale: f64) -> Tensor {
        let (_, queries, keys) = scores.dims3().unwrap();
        let mask = (0..queries * keys).map(|i| {
            if i % keys > first_pos + i / keys {
                f32::NEG_INFINITY
            } else {
                0.0
            }
        });
        let mask =
            Tensor::from_vec(mask.collect::<Vec<_>>(), (queries, keys), &Device::Cpu).unwrap();
        let masked = (scores * scale).unwrap().broadcast_add(&mask).unwrap();
        candle_nn::ops::softmax_last_dim(&masked).unwrap()
    }

    #[test]
    fn causal_softmax_agrees_with_its_slow_twin() {
        for (heads, queries, first_pos, spread) in [
            (1, 1, 0, 1.0),
            (3, 7, 0, 30.0),
            (2, 33, 5, 4.0),
            (4, 1, 40, 9.0),
        ] {
            let scores = random(&[heads, queries, first_pos + queries], spread);
            let expected = slow_softmax(&scores, first_pos, 0.35);
            let wrong = slow_softmax(&scores, first_pos + 1, 0.35);
            causal_softmax(&scores, first_pos, 0.35).unwrap();
            assert!(worst(&scores, &expected) < 1e-6);
            // A mask that is one key too wide must show, where there is such a key.
            assert!(queries == 1 || worst(&scores, &wrong) > 1e-3);
        }
    }

    /// Scaled and masked by hand, as for a hook that looks at the scores: the same bits.
    #[test]
    fn looking_at_the_scores_changes_no_bit() {
        let scores = random(&[3, 21, 25], 7.0);
        let by_hand = (&scores * 0.35).unwrap();
        let mask = (0..21 * 25).map(|i| {
            if i % 25 > 4 + i / 25 {
                f32::NEG_INFINITY
            } else {
                0.0
            }
        });
        let mask = Tensor::from_vec(mask.collect::<Vec<_>>(), (21, 25), &Device::Cpu).unwrap();
        let by_hand = by_hand.broadcast_add(&mask).unwrap();
        softmax(&by_hand).unwrap();
        causal_softmax(&scores, 4, 0.35).unwrap();
        assert_eq!(worst(&scores, &by_hand), 0.0);
    }

    #[test]
    fn activations_agree_with_their_slow_twins() {
        let (gate, up) = (random(&[37, 53], 6.0), random(&[37, 53], 2.0));
        let slow = (gate.silu().unwrap() * &up).unwrap();
        assert!(worst(&silu_mul(&gate, &up).unwrap(), &slow) < 1e-5);
        let slow = (&gate * candle_nn::ops::sigmoid(&(&gate * 1.702).unwrap()).unwrap()).unwrap();
        assert!(worst(&quick_gelu(&gate).unwrap(), &slow) < 1e-5);
    }
}
