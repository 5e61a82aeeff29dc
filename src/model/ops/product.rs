//! Products with weights as checkpoints store them, and sums with repeated rows.

#[cfg(feature = "cuda")]
use candle_core::{CpuStorage, CudaStorage, CustomOp2, Layout, Shape};
use candle_core::{DType, Result, Tensor};

/// `x [n, in]` times the transpose of `weight [out, in]`: `[n, out]`.
pub(in crate::model) fn product(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if super::is_cuda(x) && x.dtype() == weight.dtype() {
        let op = Product { is_logits: false };
        return (x.contiguous()?).apply_op2_no_bwd(&weight.contiguous()?, &op);
    }
    x.matmul(&weight.t()?)
}

/// The same with an f32 result: on CUDA straight out of the product, which rounding to f16 would make ties of.
pub(in crate::model) fn product_f32(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if super::is_cuda(x) && x.dtype() == weight.dtype() {
        let op = Product { is_logits: true };
        return (x.contiguous()?).apply_op2_no_bwd(&weight.contiguous()?, &op);
    }
    x.matmul(&weight.t()?)?.to_dtype(DType::F32)
}

/// `x + y`, y repeated along the first dimensions of x.
pub(in crate::model) fn add(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if super::is_cuda(x) {
        return (x.contiguous()?).apply_op2_no_bwd(&y.contiguous()?, &Add);
    }
    x.broadcast_add(y)
}

#[cfg(feature = "cuda")]
struct Product {
    is_logits: bool,
}

#[cfg(feature = "cuda")]
impl CustomOp2 for Product {
    fn name(&self) -> &'static str {
        "product"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        candle_core::bail!("products on the CPU are candle's")
    }

    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        x_layout: &Layout,
        weight: &CudaStorage,
        weight_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        super::cuda::product((x, x_layout), (weight, weight_layout), self.is_logits)
    }
}

#[cfg(feature = "cuda")]
struct Add;

#[cfg(feature = "cuda")]
impl CustomOp2 for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        candle_core::bail!("sums on the CPU are candle's")
    }

    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        x_layout: &Layout,
        y: &CudaStorage,
        y_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        super::cuda::add((x, x_layout), (y, y_layout))
    }
}
