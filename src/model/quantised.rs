//! Rows of weights in ggml's blocks: made from floats, put onto a device. It does not choose types; `numbers` does.

use std::borrow::Cow;

use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use super::numbers;
use crate::error::{Error, Result};

/// Numbers that one task quantises.
const TASK: usize = 1 << 16;

/// Quantises a float matrix that lies on the CPU, `[out, in]`; `in` must be a multiple of the type's block.
pub(super) fn quantise(matrix: &Tensor, dtype: GgmlDType) -> Result<Vec<u8>> {
    let (_, n_in) = matrix.dims2()?;
    let values = matrix.to_dtype(DType::F32)?.flatten_all()?;
    let values = values.to_vec1::<f32>()?; // [out * in]
    let rows_of_task = TASK.div_ceil(n_in) * n_in;
    let parts = values.par_chunks(rows_of_task).map(|values| {
        let rows = Tensor::from_slice(values, (values.len() / n_in, n_in), &Device::Cpu)?;
        Ok(QTensor::quantize(&rows, dtype)?.data()?.into_owned())
    });
    Ok(parts.collect::<Result<Vec<_>>>()?.concat())
}

/// Puts the blocks of a matrix `[out, in]` onto a device.
///
/// # Errors
/// As many bytes as the shape does not have, a type that candle does not compute with, a failing device.
pub(super) fn place(
    bytes: &[u8],
    dtype: GgmlDType,
    (n_out, n_in): (usize, usize),
    device: &Device,
) -> Result<QTensor> {
    let is_whole = n_in.is_multiple_of(dtype.block_size());
    if !is_whole || numbers::n_bytes(n_out * n_in, dtype) != bytes.len() as u64 {
        return Err(Error::internal(format!(
            "{} bytes are no matrix of {n_out} x {n_in} in {}",
            bytes.len(),
            numbers::type_name(dtype)
        )));
    }
    // candle looks at the blocks in place, and they hold f16 and f32.
    let is_aligned = (bytes.as_ptr() as usize).is_multiple_of(align_of::<f32>());
    let bytes = match is_aligned {
        true => Cow::Borrowed(bytes),
        false => Cow::Owned(bytes.to_vec()),
    };
    Ok(QTensor::new(
        QStorage::from_data(bytes, device, dtype)?,
        (n_out, n_in),
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_parallel_as_in_one_piece() {
        for (dtype, n_out, n_in) in [
            (GgmlDType::Q8_0, 700, 96),
            (GgmlDType::Q4K, 1000, 256),
            (GgmlDType::Q6K, 3, 512),
        ] {
            let matrix = Tensor::randn(0f32, 1.0, (n_out, n_in), &Device::Cpu).unwrap();
            let whole = QTensor::quantize(&matrix, dtype).unwrap();
            let bytes = quantise(&matrix, dtype).unwrap();
            assert_eq!(bytes, whole.data().unwrap().into_owned());
            let placed = place(&bytes, dtype, (n_out, n_in), &Device::Cpu).unwrap();
            assert_eq!(placed.data().unwrap(), bytes);
            assert!(place(&bytes[1..], dtype, (n_out, n_in), &Device::Cpu).is_err());
        }
    }
}
