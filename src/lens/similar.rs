//! How alike residual rows are: the cosine of each with one of them. No norm layer, no words.

use crate::tensor::{DType, Tensor};

use crate::error::Result;

/// Cosine of every row of `resid`, `[patch, d_model]`, with its row `patch_idx`; 0 where a row is all zero. `[patch]`
///
/// # Errors
/// A failing device.
pub fn cosines(resid: &Tensor, patch_idx: usize) -> Result<Vec<f32>> {
    let rows = resid.to_dtype(DType::F32)?;
    let norms = rows.sqr()?.sum_keepdim(1)?.sqrt()?; // [patch, 1]
    let unit = rows.broadcast_div(&norms.maximum(f64::from(f32::MIN_POSITIVE))?)?;
    let anchor = unit.narrow(0, patch_idx, 1)?.t()?.contiguous()?; // [d_model, 1]
    let cosines = unit.contiguous()?.matmul(&anchor)?.flatten_all()?;
    let cosines = cosines.to_vec1::<f32>()?;
    Ok(cosines.into_iter().map(|c| c.clamp(-1.0, 1.0)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Device;

    #[test]
    fn a_row_is_most_like_itself() {
        let rows = Tensor::randn(0f32, 3.0, (9, 16), &Device::Cpu).unwrap();
        let values = rows.to_vec2::<f32>().unwrap();
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            let products = a.iter().zip(b);
            products.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        for at in 0..9 {
            let found = cosines(&rows, at).unwrap();
            assert!((found[at] - 1.0).abs() < 1e-6);
            for (other, cosine) in found.iter().enumerate() {
                let (a, b) = (&values[at], &values[other]);
                let wanted = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
                assert!((f64::from(*cosine) - wanted).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn a_row_of_zeros_is_like_nothing() {
        let rows = Tensor::new(&[[0f32, 0.0], [1.0, 1.0], [-2.0, -2.0]], &Device::Cpu).unwrap();
        let found = cosines(&rows, 1).unwrap();
        assert_eq!(found[0], 0.0);
        assert!(found[1] > 0.999_999 && found[2] < -0.999_999);
        assert_eq!(cosines(&rows, 0).unwrap(), [0.0; 3]);
    }
}
