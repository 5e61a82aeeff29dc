//! Products with weights as checkpoints store them, and sums with repeated rows.

use candle_core::{DType, Result, Tensor};

#[cfg(feature = "cuda")]
use super::on_card;

/// `x [n, in]` times the transpose of `weight [out, in]`: `[n, out]`.
pub(super) fn product(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if super::is_cuda(x) && x.dtype() == weight.dtype() {
        let (x, weight) = (x.contiguous()?, weight.contiguous()?);
        return on_card::apply2(&x, &weight, |x, w| super::cuda::product(x, w, false));
    }
    x.matmul(&weight.t()?)
}

/// The same with an f32 result: on CUDA straight out of the product, which rounding to f16 would make ties of.
pub(super) fn product_f32(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if super::is_cuda(x) && x.dtype() == weight.dtype() {
        let (x, weight) = (x.contiguous()?, weight.contiguous()?);
        return on_card::apply2(&x, &weight, |x, w| super::cuda::product(x, w, true));
    }
    x.matmul(&weight.t()?)?.to_dtype(DType::F32)
}

/// `x + y`, y repeated along the first dimensions of x.
pub(super) fn add(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if super::is_cuda(x) {
        return on_card::apply2(&x.contiguous()?, &y.contiguous()?, super::cuda::add);
    }
    x.broadcast_add(y)
}
