//! A linear map as checkpoints store it, or quantised. It does not know where in the network it stands.

use crate::tensor::{D, Tensor};

use super::matrix::Matrix;
use super::ops;
use super::weights::{Part, Weights};
use crate::error::{Error, Result};

/// Weights `[out, in]`, their outputs side by side, and perhaps a bias `[out of all]`.
pub(super) struct Linear {
    /// More than one only where a file holds parts of one map in different quantised types.
    weights: Vec<Matrix>,
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
        let weights: Vec<_> = (names.iter())
            .map(|(name, n_out)| (format!("{name}.weight"), *n_out))
            .collect();
        let weights = w.map(part, &weights, n_in)?;
        let get = |(name, n_out): &(&str, usize)| w.get(part, &format!("{name}.bias"), &[*n_out]);
        let bias = match bias {
            true => Some(stack(names.iter().map(get).collect::<Result<Vec<_>>>()?)?),
            false => None,
        };
        Ok(Self { weights, bias })
    }

    /// `[n, in] -> [n, out]`
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = match self.weights.as_slice() {
            [weight] => weight.product(x)?,
            weights => {
                let parts = weights.iter().map(|weight| weight.product(x));
                Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, D::Minus1)?
            }
        };
        Ok(match &self.bias {
            Some(bias) => ops::add(&y, bias)?,
            None => y,
        })
    }

    /// The gradient of the input from that of the output: `[n, out] -> [n, in]`.
    pub fn back(&self, dy: &Tensor) -> Result<Tensor> {
        let mut first = 0;
        let mut sum: Option<Tensor> = None;
        for weight in &self.weights {
            let n_out = weight.n_out()?;
            let part = weight.back(&dy.narrow(D::Minus1, first, n_out)?.contiguous()?)?;
            sum = Some(match sum {
                Some(sum) => (sum + part)?,
                None => part,
            });
            first += n_out;
        }
        sum.ok_or_else(|| Error::internal("a map without weights"))
    }

    /// What it is made of.
    pub fn weights(&self) -> &[Matrix] {
        &self.weights
    }
}

/// Tensors one after the other along the first dimension.
pub(super) fn stack(parts: Vec<Tensor>) -> Result<Tensor> {
    Ok(match parts.as_slice() {
        [one] => one.clone(),
        parts => Tensor::cat(parts, 0)?,
    })
}
