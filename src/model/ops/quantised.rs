//! Products with quantised weights on the CPU: a block of rows is made f32 again, multiplied and forgotten.
//!
//! Only the weights are rounded, never the activations, whatever the number of rows: so a run of few rows agrees with a
//! run of all rows as closely as in f32. (candle's own products with quantised weights round the activations to 8 bits and
//! keep a second copy of the weights in another order.)

use candle_core::quantized::QTensor;
use candle_core::{Device, Result, Storage, Tensor};
use rayon::prelude::*;

use super::attention::product;
use super::contiguous;

/// Rows of the weight that one task makes f32: at 4,096 columns they are 1 MiB.
const BLOCK: usize = 64;

/// `x [n, in]` times the transpose of `weight [out, in]`, both on the CPU: f32, `[n, out]`.
pub(in crate::model) fn quantised_product(x: &Tensor, weight: &QTensor) -> Result<Tensor> {
    let (n, n_in) = x.dims2()?;
    let (n_out, width) = weight.shape().dims2()?;
    if n_in != width {
        candle_core::bail!("rows of {n_in} do not fit a weight of {n_out} x {width}");
    }
    let x = x.contiguous()?;
    let (storage, layout) = x.storage_and_layout();
    let x = &floats(&storage)?[contiguous(layout)?];
    let blocks = (0..n_out).into_par_iter().step_by(BLOCK).map(|first| {
        let n_rows = BLOCK.min(n_out - first);
        let ids = Tensor::arange(first as u32, (first + n_rows) as u32, &Device::Cpu)?;
        let rows = weight.embedding(&ids)?; // [rows of the block, in]
        let (storage, layout) = rows.storage_and_layout();
        let mut out = vec![0f32; n * n_rows];
        let rows = &floats(&storage)?[contiguous(layout)?];
        product(&mut out, x, rows, (n, n_in, n_rows), true);
        Ok(out)
    });
    let blocks = blocks.collect::<Result<Vec<_>>>()?; // [block][n, rows of the block]
    let mut out = vec![0f32; n * n_out];
    out.par_chunks_mut(n_out)
        .enumerate()
        .for_each(|(row, out)| {
            for (out, block) in out.chunks_mut(BLOCK).zip(&blocks) {
                out.copy_from_slice(&block[row * out.len()..][..out.len()]);
            }
        });
    Tensor::from_vec(out, (n, n_out), &Device::Cpu)
}

fn floats(storage: &Storage) -> Result<&[f32]> {
    match storage {
        Storage::Cpu(storage) => storage.as_slice::<f32>(),
        _ => candle_core::bail!("this product runs on the CPU"),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::quantized::GgmlDType;

    use super::super::testing::{random, worst};
    use super::*;

    #[test]
    fn agrees_with_the_whole_weight_made_float_again() {
        for (dtype, n_in) in [
            (GgmlDType::Q8_0, 32),
            (GgmlDType::Q8_0, 96),
            (GgmlDType::Q4K, 256),
            (GgmlDType::Q6K, 512),
            (GgmlDType::Q5_0, 64),
        ] {
            for (n, n_out) in [(1, 1), (3, 64), (70, 65), (2, 200)] {
                let weight = QTensor::quantize(&random(&[n_out, n_in], 1.0), dtype).unwrap();
                let x = random(&[n, n_in], 1.0);
                let whole = weight.dequantize(&Device::Cpu).unwrap();
                let expected = x.matmul(&whole.t().unwrap()).unwrap();
                let ours = quantised_product(&x, &weight).unwrap();
                assert!(
                    worst(&ours, &expected) < 1e-4,
                    "{dtype:?} {n} {n_in} {n_out}"
                );
            }
        }
    }

    #[test]
    fn a_row_alone_agrees_with_the_row_among_others() {
        let weight = QTensor::quantize(&random(&[130, 256], 1.0), GgmlDType::Q4K).unwrap();
        let x = random(&[40, 256], 1.0);
        let all = quantised_product(&x, &weight).unwrap();
        let alone = quantised_product(&x.narrow(0, 17, 1).unwrap(), &weight).unwrap();
        assert!(worst(&alone, &all.narrow(0, 17, 1).unwrap()) < 1e-4);
    }
}
