//! Weights onto a card that wgpu reaches, piece by piece, in the formats that its kernels unpack: f32, f16, q8_0 and q4k.
//! What is quantised otherwise is made f16 there. It reads no files.

use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Tensor};
use half::slice::HalfFloatSliceExt as _;

use crate::compute::{Gpu, Kind, Weight, WeightBuilder};
use crate::error::{Error, Result};
use crate::model::matrix::{Matrix, OnGpu};

/// A matrix on its way to the card.
pub(super) struct Upload<'a> {
    gpu: &'a Gpu,
    kind: Kind,
    builder: WeightBuilder,
}

impl<'a> Upload<'a> {
    /// Of a float type.
    ///
    /// # Errors
    /// A type that the card's kernels do not read, no room.
    pub fn of_floats(gpu: &'a Gpu, dtype: DType, shape: (usize, usize)) -> Result<Self> {
        let kind = match dtype {
            DType::F32 => Kind::F32,
            DType::F16 => Kind::F16,
            other => {
                return Err(Error::input(format!(
                    "--dtype {}: --device wgpu computes with f32, f16, q8_0 or q4k",
                    other.as_str()
                )));
            }
        };
        Self::new(gpu, kind, shape)
    }

    fn new(gpu: &'a Gpu, kind: Kind, (n_out, n_in): (usize, usize)) -> Result<Self> {
        Ok(Self {
            gpu,
            kind,
            builder: Weight::builder(gpu, kind, n_out, n_in)?,
        })
    }

    /// Takes the next rows.
    pub fn push(&mut self, rows: &Tensor) -> Result<()> {
        let rows = rows.flatten_all()?;
        match self.kind {
            Kind::F16 => {
                let values = rows.to_dtype(DType::F16)?.to_vec1::<half::f16>()?;
                self.push_bytes(bytemuck::cast_slice(values.reinterpret_cast()))
            }
            _ => {
                let values = rows.to_dtype(DType::F32)?.to_vec1::<f32>()?;
                self.push_bytes(bytemuck::cast_slice(&values))
            }
        }
    }

    fn push_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.builder.push(bytes)?)
    }

    pub fn finish(self) -> Result<Matrix> {
        let weight = self.builder.finish()?;
        Ok(Matrix::Card(Arc::new(OnGpu::new(self.gpu, weight))))
    }
}

/// Blocks that are in memory.
pub(super) fn quantised(gpu: &Gpu, blocks: &QTensor) -> Result<Matrix> {
    let (n_out, n_in) = blocks.shape().dims2()?;
    let kind = match blocks.dtype() {
        GgmlDType::Q8_0 => Kind::Q8_0,
        GgmlDType::Q4K => Kind::Q4K,
        _ => {
            let mut upload = Upload::new(gpu, Kind::F16, (n_out, n_in))?;
            upload.push(&blocks.dequantize_f16(&candle_core::Device::Cpu)?)?;
            return upload.finish();
        }
    };
    let mut upload = Upload::new(gpu, kind, (n_out, n_in))?;
    upload.push_bytes(&blocks.data()?)?;
    upload.finish()
}
