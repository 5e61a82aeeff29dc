//! `dump.safetensors` of the contract, as the bytes of a file: pixels, visual tokens, residual streams, logits.

use safetensors::tensor::{Dtype, TensorView};

use crate::engine::Named;
use crate::error::{Error, Result};

/// A safetensors file of these tensors, f32.
///
/// # Errors
/// A shape that does not fit its values.
pub fn to_bytes(tensors: &[Named]) -> Result<Vec<u8>> {
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, _, values)| values.iter().flat_map(|v| v.to_le_bytes()).collect())
        .collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
        Ok((name.as_str(), view.map_err(Error::internal)?))
    });
    let views = views.collect::<Result<Vec<_>>>()?;
    safetensors::serialize(views, None).map_err(Error::internal)
}
