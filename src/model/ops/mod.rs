//! The operations of the forward pass that are larger than candle's: each takes the fastest body that the device has
//! (`anywhere`; the other files are for candle's own devices).
//!
//! Every fast body has a slow twin in plain candle operations, which devices and types without one use; the tests compare
//! the two. No hooks here: who wants to look inside an operation calls its steps.

mod activation;
mod anywhere;
mod attention;
mod back;
#[cfg(feature = "cuda")]
pub(crate) mod cuda;
mod exp;
mod heads;
mod norm;
#[cfg(feature = "cuda")]
mod on_card;
mod on_gpu;
mod product;
mod quantised;
mod rows;

use candle_core::{DType, Layout, Result, Tensor};

pub(super) use self::anywhere::{
    add, add_rms_norm, append_positions, attention, full_attention, layer_norm, masked_scores,
    merge_heads, product, product_f32, quick_gelu, repeat_heads, rms_norm, rms_norm_back, rotate,
    silu_mul, silu_mul_back, softmax, softmax_back, split_heads, split_rotated_heads,
    sum_of_groups, write_positions,
};
pub(crate) use self::anywhere::{read_logits, row_norms};
pub(crate) use self::exp::{exp, with_vectors};
pub(super) use self::quantised::quantised_product;
pub(crate) use self::rows::{Norms, RowNorms};

/// Sizes of one attention. Rows are those of `batch` sequences of `n` each; heads of one sequence follow each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct AttentionShape {
    pub batch: usize,
    /// Queries of one sequence.
    pub n: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub d_head: usize,
    /// Position of the first query; keys start at position 0.
    pub first_pos: usize,
}

impl AttentionShape {
    fn scale(&self) -> f32 {
        1.0 / (self.d_head as f32).sqrt()
    }
}

/// Whether the fast bodies for the CPU take this tensor.
fn is_cpu_f32(x: &Tensor) -> bool {
    x.device().is_cpu() && x.dtype() == DType::F32
}

/// Whether the kernels for CUDA take this tensor.
fn is_cuda(x: &Tensor) -> bool {
    cfg!(feature = "cuda")
        && x.device().is_cuda()
        && matches!(x.dtype(), DType::F16 | DType::BF16 | DType::F32)
}

/// Whether there is a fast body for this tensor.
fn has_body(x: &Tensor) -> bool {
    is_cpu_f32(x) || is_cuda(x)
}

fn contiguous(layout: &Layout) -> Result<std::ops::Range<usize>> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(start..end),
        None => candle_core::bail!("a fast path needs a contiguous tensor"),
    }
}

#[cfg(test)]
pub(super) mod testing {
    use candle_core::{Device, Tensor};

    pub fn random(shape: &[usize], spread: f32) -> Tensor {
        Tensor::randn(0f32, spread, shape, &Device::Cpu).unwrap()
    }

    /// The largest absolute difference.
    pub fn worst(a: &Tensor, b: &Tensor) -> f32 {
        assert_eq!(a.dims(), b.dims());
        let difference = (a - b).unwrap().abs().unwrap().flatten_all().unwrap();
        difference.max(0).unwrap().to_scalar().unwrap()
    }
}
