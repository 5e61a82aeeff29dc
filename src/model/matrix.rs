//! A weight matrix, float or quantised: products with it, and its rows.
//!
//! Where a product runs is settled here. On the CPU only the weights are rounded, whatever the number of rows
//! (`ops::quantised_product`). On CUDA few rows go through candle's kernels that make the weights float in registers and
//! leave the activations f32; more rows take one product with the weights made f16 again, which costs a pass over them.
//! candle's faster kernels, which round the activations to 8 bits as well, are not used: a knockout to the last token,
//! which computes one row, would then differ from the clean run, which computed all, by more than what it did.

use std::sync::Arc;

use crate::tensor::{DType, Device, OnCard, Tensor};
use candle_core::quantized::QTensor;

use super::numbers::{self, Maps, Numbers};
use super::ops;
use crate::compute::{self, Gpu, Kind, Slice, Weight};
use crate::error::{Error, Result};

/// `[out, in]`. Clones share the memory.
#[derive(Clone)]
pub(super) enum Matrix {
    Float(Tensor),
    Quantised(Arc<QTensor>),
    /// Float or quantised, on a card that wgpu reaches.
    Card(Arc<OnGpu>),
}

/// A weight and the card that it lies on.
pub(super) struct OnGpu {
    gpu: Gpu,
    weight: Weight,
}

/// On CUDA, rows that are multiplied one by one rather than with the whole weight made float: the weight is then read as
/// often as there are rows, in an eighth to a quarter of the bytes that the other way moves.
const FEW_ROWS: usize = 4;

impl Matrix {
    /// Blocks on a device.
    pub fn quantised(blocks: Arc<QTensor>) -> Self {
        #[cfg(feature = "cuda")]
        if blocks.device().is_cuda() {
            // Products of single rows then leave the activations f32.
            candle_core::quantized::cuda::set_force_dmmv(true);
        }
        Self::Quantised(blocks)
    }

    /// `x [n, in]` times the transpose: `[n, out]`, of the type of x.
    pub fn product(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Float(weight) => Ok(ops::product(x, weight)?),
            Self::Quantised(weight) => match through_blocks(x, weight)? {
                Some(y) => Ok(y.to_dtype(x.dtype())?),
                None => Ok(ops::product(x, &float_again(weight, x.dtype())?)?),
            },
            Self::Card(weight) => weight.product(x),
        }
    }

    /// The same as f32.
    pub fn product_f32(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Float(weight) => Ok(ops::product_f32(x, weight)?),
            Self::Quantised(weight) => match through_blocks(x, weight)? {
                Some(y) => Ok(y),
                None => Ok(ops::product_f32(x, &float_again(weight, x.dtype())?)?),
            },
            Self::Card(weight) => weight.product(x),
        }
    }

    /// The gradient of the input of [`Matrix::product`] from that of its output: `[n, out] -> [n, in]`.
    pub fn back(&self, dy: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Float(weight) => dy.matmul(weight)?,
            Self::Quantised(weight) => dy.matmul(&float_again(weight, dy.dtype())?)?,
            Self::Card(weight) => weight.back(dy)?,
        })
    }

    /// Numbers that a product gives.
    pub fn n_out(&self) -> Result<usize> {
        Ok(match self {
            Self::Float(weight) => weight.dim(0)?,
            Self::Quantised(weight) => weight.shape().dims2()?.0,
            Self::Card(weight) => weight.weight.n_out(),
        })
    }

    /// Some rows in a float type, `[n, in]`.
    pub fn rows(&self, ids: &[u32], dtype: DType) -> Result<Tensor> {
        if let Self::Card(weight) = self {
            return weight.rows(ids);
        }
        let ids = Tensor::new(ids, &self.device())?;
        let rows = match self {
            Self::Float(weight) => weight.index_select(&ids, 0)?,
            Self::Quantised(weight) => weight.embedding(&ids.candle()?)?.into(),
            Self::Card(_) => return Err(Error::internal("rows of a card's weight")),
        };
        Ok(rows.to_dtype(dtype)?)
    }

    /// The whole matrix in a float type.
    pub fn float(&self) -> Result<Tensor> {
        match self {
            Self::Float(weight) => Ok(weight.clone()),
            Self::Quantised(weight) => float_again(weight, DType::F32),
            Self::Card(weight) => weight.float(),
        }
    }

    /// Whether embeddings that are held like this can be the unembedding as well, where both are one.
    pub fn can_unembed(&self, numbers: Numbers) -> bool {
        match self {
            Self::Float(weight) => {
                weight.dtype() == numbers.float
                    && matches!(numbers.maps, Maps::Float | Maps::AsStored)
            }
            Self::Quantised(_) => true,
            Self::Card(weight) => match weight.weight.kind() {
                Kind::F32 | Kind::F16 => numbers.maps != Maps::Q8_0 && numbers.maps != Maps::Q4K,
                Kind::Q8_0 | Kind::Q4K => true,
            },
        }
    }

    /// On CUDA, the same weights in a float type.
    pub fn float_on_card(self, dtype: DType) -> Result<Self> {
        match self {
            Self::Quantised(weight) if weight.device().is_cuda() => {
                Ok(Self::Float(float_again(&weight, dtype)?))
            }
            held => Ok(held),
        }
    }

    /// Whether both are one in memory.
    pub fn shares(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float(a), Self::Float(b)) => a.is(b),
            (Self::Quantised(a), Self::Quantised(b)) => Arc::ptr_eq(a, b),
            (Self::Card(a), Self::Card(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    pub fn device(&self) -> Device {
        match self {
            Self::Float(weight) => weight.device().clone(),
            Self::Quantised(weight) => weight.device().into(),
            Self::Card(weight) => Device::Wgpu(weight.gpu.clone()),
        }
    }

    /// Memory that it takes.
    pub fn n_bytes(&self) -> u64 {
        match self {
            Self::Float(weight) => (weight.elem_count() * weight.dtype().size_in_bytes()) as u64,
            Self::Quantised(weight) => weight.storage_size_in_bytes() as u64,
            Self::Card(weight) => weight.weight.n_bytes(),
        }
    }

    /// `f16`, `q8_0`.
    pub fn type_name(&self) -> String {
        match self {
            Self::Float(weight) => weight.dtype().as_str().to_owned(),
            Self::Quantised(weight) => numbers::type_name(weight.dtype()),
            Self::Card(weight) => match weight.weight.kind() {
                Kind::F32 => "f32".to_owned(),
                Kind::F16 => "f16".to_owned(),
                Kind::Q8_0 => "q8_0".to_owned(),
                Kind::Q4K => "q4k".to_owned(),
            },
        }
    }
}

impl OnGpu {
    pub fn new(gpu: &Gpu, weight: Weight) -> Self {
        Self {
            gpu: gpu.clone(),
            weight,
        }
    }

    fn product(&self, x: &Tensor) -> Result<Tensor> {
        let (n, _) = x.dims2()?;
        let y = compute::product(&self.gpu, &self.slice(x)?, n, &self.weight)?;
        Ok(OnCard::new(&self.gpu, y, (n, self.weight.n_out())).into())
    }

    fn back(&self, dy: &Tensor) -> Result<Tensor> {
        let (n, _) = dy.dims2()?;
        let dx = compute::product_back(&self.gpu, &self.slice(dy)?, n, &self.weight)?;
        Ok(OnCard::new(&self.gpu, dx, (n, self.weight.n_in())).into())
    }

    fn rows(&self, ids: &[u32]) -> Result<Tensor> {
        let rows = compute::rows(&self.gpu, &self.weight, ids)?;
        Ok(OnCard::new(&self.gpu, rows, (ids.len(), self.weight.n_in())).into())
    }

    fn float(&self) -> Result<Tensor> {
        let all = compute::dequantise(&self.gpu, &self.weight)?;
        let shape = (self.weight.n_out(), self.weight.n_in());
        Ok(OnCard::new(&self.gpu, all, shape).into())
    }

    fn slice(&self, x: &Tensor) -> Result<Slice> {
        Ok(x.on(&self.gpu)?.slice()?)
    }
}

/// The product in f32 without the whole weight being made float; `None` where that would take longer or cannot be done.
fn through_blocks(x: &Tensor, weight: &QTensor) -> Result<Option<Tensor>> {
    let (n, n_in) = x.dims2()?;
    if x.device().is_cpu() {
        let x = x.to_dtype(DType::F32)?;
        return Ok(Some(ops::quantised_product(&x.candle()?, weight)?.into()));
    }
    // The kernels read 64 columns at a time.
    if !x.device().is_cuda() || n > FEW_ROWS || !n_in.is_multiple_of(64) {
        return Ok(None);
    }
    let row = |i| -> crate::tensor::Result<Tensor> {
        let row = x.narrow(0, i, 1)?.to_dtype(DType::F32)?;
        row.contiguous()?.by(|row| row.apply_op1_no_bwd(weight))
    };
    let rows = (0..n).map(row).collect::<crate::tensor::Result<Vec<_>>>()?;
    Ok(Some(match rows.as_slice() {
        [row] => row.clone(),
        rows => Tensor::cat(rows, 0)?,
    }))
}

/// The whole weight in a float type, `[out, in]`.
fn float_again(weight: &QTensor, dtype: DType) -> Result<Tensor> {
    let device = weight.device();
    Ok(match dtype {
        DType::F16 => weight.dequantize_f16(&device)?.into(),
        dtype => weight.dequantize(&device)?.to_dtype(dtype)?.into(),
    })
}

#[cfg(test)]
mod tests {
    use candle_core::quantized::GgmlDType;

    use super::*;

    fn worst(a: &Tensor, b: &Tensor) -> f32 {
        let difference = (a - b).unwrap().abs().unwrap().flatten_all().unwrap();
        difference.max(0).unwrap().to_scalar().unwrap()
    }

    #[test]
    fn quantised_agrees_with_its_own_floats() {
        let weight = Tensor::randn(0f32, 1.0, (70, 256), &Device::Cpu).unwrap();
        let x = Tensor::randn(0f32, 1.0, (5, 256), &Device::Cpu).unwrap();
        for dtype in [GgmlDType::Q8_0, GgmlDType::Q4K, GgmlDType::Q6K] {
            let blocks = QTensor::quantize(&weight.candle().unwrap(), dtype).unwrap();
            let float = Matrix::Float(blocks.dequantize(&candle_core::Device::Cpu).unwrap().into());
            let ours = Matrix::quantised(Arc::new(blocks));
            let both = |f: &dyn Fn(&Matrix) -> Tensor| worst(&f(&ours), &f(&float));
            assert!(both(&|m| m.product(&x).unwrap()) < 1e-4);
            assert!(both(&|m| m.product_f32(&x).unwrap()) < 1e-4);
            assert_eq!(both(&|m| m.rows(&[3, 69, 0], DType::F32).unwrap()), 0.0);
            assert_eq!(ours.n_bytes(), numbers::n_bytes(70 * 256, dtype));
        }
    }
}
