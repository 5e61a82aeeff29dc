//! Activation functions by the names that checkpoints use (`ACT2FN` of transformers).

use crate::tensor::Tensor;
use serde::Deserialize;

use super::ops;
use crate::error::Result;

/// An elementwise function between two projections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Activation {
    /// With the error function.
    #[serde(rename = "gelu")]
    Gelu,
    #[serde(rename = "gelu_new", alias = "gelu_pytorch_tanh")]
    GeluTanh,
    /// `x * sigmoid(1.702 x)`
    #[serde(rename = "quick_gelu")]
    QuickGelu,
    #[serde(rename = "silu", alias = "swish")]
    Silu,
    #[serde(rename = "relu")]
    Relu,
}

impl Activation {
    /// Elementwise, any shape.
    pub fn forward(self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Gelu => x.gelu_erf()?,
            Self::GeluTanh => x.gelu()?,
            Self::QuickGelu => ops::quick_gelu(x)?,
            Self::Silu => x.silu()?,
            Self::Relu => x.relu()?,
        })
    }
}
