//! The two-layer projector from the tower's width to the decoder's (`LlavaMultiModalProjector` of transformers).

use crate::tensor::Tensor;

use super::activation::Activation;
use super::linear::Linear;
use super::weights::{Part, Weights};
use crate::error::Result;

/// `linear_1`, activation, `linear_2`.
pub struct Projector {
    linear_1: Linear, // [d_model, d_vision]
    act: Activation,
    linear_2: Linear, // [d_model, d_model]
}

impl Projector {
    pub(super) fn load(
        w: &Weights<'_>,
        (d_vision, d_model): (usize, usize),
        act: Activation,
        bias: bool,
    ) -> Result<Self> {
        Ok(Self {
            linear_1: Linear::load(w, Part::Projector, "linear_1", (d_model, d_vision), bias)?,
            act,
            linear_2: Linear::load(w, Part::Projector, "linear_2", (d_model, d_model), bias)?,
        })
    }

    /// `[n, d_vision] -> [n, d_model]`
    pub fn forward(&self, features: &Tensor) -> Result<Tensor> {
        let hidden = self.act.forward(&self.linear_1.forward(features)?)?;
        self.linear_2.forward(&hidden)
    }
}
