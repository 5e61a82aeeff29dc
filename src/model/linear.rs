//! A linear map as checkpoints store it. It does not know where in the network it stands.

use candle_core::Tensor;

use super::ops;
use super::weights::{Part, Weights};
use crate::error::Result;

/// A weight `[out, in]` and perhaps a bias `[out]`.
pub(super) struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// Loads `{name}.weight` and, where there is one, `{name}.bias`.
    pub fn load(
        w: &Weights<'_>,
        part: Part,
        name: &str,
        shape: (usize, usize),
        bias: bool,
    ) -> Result<Self> {
        Self::load_stacked(w, part, &[(name, shape.0)], shape.1, bias)
    }

    /// Several maps of the same input as one, their outputs side by side: `names` with the width of each.
    pub fn load_stacked(
        w: &Weights<'_>,
        part: Part,
        names: &[(&str, usize)],
        n_in: usize,
        bias: bool,
    ) -> Result<Self> {
        let get =
            |(name, n_out): &(&str, usize)| w.get(part, &format!("{name}.weight"), &[*n_out, n_in]);
        let weight = stack(names.iter().map(get).collect::<Result<Vec<_>>>()?)?;
        let get = |(name, n_out): &(&str, usize)| w.get(part, &format!("{name}.bias"), &[*n_out]);
        let bias = match bias {
            true => Some(stack(names.iter().map(get).collect::<Result<Vec<_>>>()?)?),
            false => None,
        };
        Ok(Self { weight, bias })
    }

    /// `[n, in] -> [n, out]`
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = ops::product(x, &self.weight)?;
        Ok(match &self.bias {
            Some(bias) => ops::add(&y, bias)?,
            None => y,
        })
    }
}

fn stack(parts: Vec<Tensor>) -> Result<Tensor> {
    Ok(match parts.as_slice() {
        [one] => one.clone(),
        parts => Tensor::cat(parts, 0)?,
    })
}
