//! RMSNorm, alone or after a sum.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{contiguous, has_body, with_vectors};

/// RMSNorm over the last dimension. `[n, d]`
pub(super) fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    let x = x.contiguous()?;
    match has_body(&x) {
        true => x.apply_op2_no_bwd(weight, &RmsNorm(eps as f32)),
        false => candle_nn::ops::rms_norm(&x, weight, eps as f32),
    }
}

/// `x + delta` and its RMSNorm. `[n, d]` each.
pub(super) fn add_rms_norm(
    x: &Tensor,
    delta: &Tensor,
    weight: &Tensor,
    eps: f64,
) -> Result<(Tensor, Tensor)> {
    if !has_body(x) {
        let sum = (x + delta)?;
        let normed = rms_norm(&sum, weight, eps)?;
        return Ok((sum, normed));
    }
    let op = AddRmsNorm(eps as f32);
    let both = (x.contiguous()?).apply_op3_no_bwd(&delta.contiguous()?, weight, &op)?;
    Ok((both.get(0)?, both.get(1)?))
}

/// `[n, d] -> [n, d]`
struct RmsNorm(f32);

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let x = &x.as_slice::<f32>()?[contiguous(x_layout)?];
        let weight = &weight.as_slice::<f32>()?[contiguous(weight_layout)?];
        let mut out = vec![0f32; x.len()];
        let rows = out
            .par_chunks_mut(weight.len())
            .zip(x.par_chunks(weight.len()));
        rows.for_each(|(out, x)| normalise(x, weight, self.0, out));
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        x_layout: &Layout,
        weight: &CudaStorage,
        weight_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        super::cuda::add_rms_norm((x, x_layout), None, (weight, weight_layout), self.0)
    }
}

/// `[n, d]` twice `-> [2, n, d]`: the sum and its norm.
struct AddRmsNorm(f32);

impl CustomOp3 for AddRmsNorm {
    fn name(&self) -> &'static str {
        "add-rms-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        delta: &CpuStorage,
        delta_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let x = &x.as_slice::<f32>()?[contiguous(x_layout)?];
        let delta = &delta.as_slice::<f32>()?[contiguous(delta_layout)?];
        let weight = &weight.as_slice::<f32>()?[contiguous(weight_layout)?];
        let d = weight.len();
        let mut out = vec![0f32; 2 * x.len()];
        let (sums, normed) = out.split_at_mut(x.len());
        let rows = (sums.par_chunks_mut(d).zip(normed.par_chunks_mut(d)))
            .zip(x.par_chunks(d).zip(delta.par_chunks(d)));
        rows.for_each(|((sum, normed), (x, delta))| {
            for ((sum, x), delta) in sum.iter_mut().zip(x).zip(delta) {
                *sum = x + delta;
            }
            normalise(sum, weight, self.0, normed);
        });
        Ok((CpuStorage::F32(out), (2, x.len() / d, d).into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        x_layout: &Layout,
        delta: &CudaStorage,
        delta_layout: &Layout,
        weight: &CudaStorage,
        weight_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let delta = Some((delta, delta_layout));
        super::cuda::add_rms_norm((x, x_layout), delta, (weight, weight_layout), self.0)
    }
}

/// Squares are summed in lanes, so that the loop becomes vector code.
const LANES: usize = 16;

fn normalise(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    with_vectors(
        #[inline(always)]
        || {
            let mut squares = [0f32; LANES];
            for chunk in x.chunks(LANES) {
                for (sum, x) in squares.iter_mut().zip(chunk) {
                    *sum += x * x;
                }
            }
            let scale = 1.0 / (squares.iter().sum::<f32>() / x.len() as f32 + eps).sqrt();
            for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
                *out = x * scale * weight;
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::super::testing::{random, worst};
    use super::*;

    #[test]
    fn norms_agree_with_their_slow_twin() {
        for (n, d) in [(1, 8), (7, 33), (20, 256)] {
            let (x, delta, weight) = (
                random(&[n, d], 3.0),
                random(&[n, d], 1.0),
                random(&[d], 1.0),
            );
            let slow = |x: &Tensor| candle_nn::ops::rms_norm(x, &weight, 1e-5).unwrap();
            assert!(worst(&rms_norm(&x, &weight, 1e-5).unwrap(), &slow(&x)) < 1e-5);
            let (sum, normed) = add_rms_norm(&x, &delta, &weight, 1e-5).unwrap();
            assert_eq!(worst(&sum, &(&x + &delta).unwrap()), 0.0);
            assert!(worst(&normed, &slow(&sum)) < 1e-5);
            assert!(worst(&normed, &slow(&x)) > 1e-3, "a lost sum must show");
        }
    }
}
