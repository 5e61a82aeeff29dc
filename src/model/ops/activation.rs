//! Elementwise functions between two projections.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, D, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{contiguous, exp, has_body, with_vectors};

/// silu(gate) * up of rows that hold both side by side. `[n, 2 * d] -> [n, d]`
pub(super) fn silu_mul(gate_up: &Tensor) -> Result<Tensor> {
    match has_body(gate_up) {
        true => gate_up.contiguous()?.apply_op1_no_bwd(&SiluMul),
        false => silu_mul_by_steps(gate_up),
    }
}

fn silu_mul_by_steps(gate_up: &Tensor) -> Result<Tensor> {
    let d = gate_up.dim(D::Minus1)? / 2;
    let (gate, up) = (
        gate_up.narrow(D::Minus1, 0, d)?,
        gate_up.narrow(D::Minus1, d, d)?,
    );
    gate.contiguous()?.silu()? * up.contiguous()?
}

/// x * sigmoid(1.702 x), any shape.
pub(super) fn quick_gelu(x: &Tensor) -> Result<Tensor> {
    match has_body(x) {
        true => x.contiguous()?.apply_op1_no_bwd(&QuickGelu),
        false => quick_gelu_by_steps(x),
    }
}

fn quick_gelu_by_steps(x: &Tensor) -> Result<Tensor> {
    x * candle_nn::ops::sigmoid(&(x * 1.702)?)?
}

struct SiluMul;

impl CustomOp1 for SiluMul {
    fn name(&self) -> &'static str {
        "silu-mul"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = &x.as_slice::<f32>()?[contiguous(layout)?];
        let (n, both) = layout.shape().dims2()?;
        let d = both / 2;
        let mut out = vec![0f32; n * d];
        let rows = out.par_chunks_mut(d).zip(x.par_chunks(both));
        rows.for_each(|(out, row)| {
            let (gate, up) = row.split_at(d);
            with_vectors(
                #[inline(always)]
                || {
                    for ((out, g), u) in out.iter_mut().zip(gate).zip(up) {
                        *out = *g / (1.0 + exp(-*g)) * *u;
                    }
                },
            );
        });
        Ok((CpuStorage::F32(out), (n, d).into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        super::cuda::silu_mul(x, layout)
    }
}

/// Elements that one task handles.
const TASK: usize = 1 << 13;

struct QuickGelu;

impl CustomOp1 for QuickGelu {
    fn name(&self) -> &'static str {
        "quick-gelu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = &x.as_slice::<f32>()?[contiguous(layout)?];
        let mut out = vec![0f32; x.len()];
        let tasks = out.par_chunks_mut(TASK).zip(x.par_chunks(TASK));
        tasks.for_each(|(out, x)| {
            with_vectors(
                #[inline(always)]
                || {
                    for (out, x) in out.iter_mut().zip(x) {
                        *out = *x / (1.0 + exp(-1.702 * *x));
                    }
                },
            );
        });
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        super::cuda::quick_gelu(x, layout)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{random, worst};
    use super::*;

    #[test]
    fn activations_agree_with_their_slow_twins() {
        let x = random(&[37, 106], 6.0);
        let (fast, slow) = (silu_mul(&x).unwrap(), silu_mul_by_steps(&x).unwrap());
        assert!(worst(&fast, &slow) < 1e-5);
        let swapped = Tensor::cat(
            &[x.narrow(1, 53, 53).unwrap(), x.narrow(1, 0, 53).unwrap()],
            1,
        );
        assert!(worst(&fast, &silu_mul_by_steps(&swapped.unwrap()).unwrap()) > 1e-2);
        let (fast, slow) = (quick_gelu(&x).unwrap(), quick_gelu_by_steps(&x).unwrap());
        assert!(worst(&fast, &slow) < 1e-5);
    }
}
