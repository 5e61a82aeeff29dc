//! Rotary position embedding, rotate-half form (`LlamaRotaryEmbedding`, rope type `default`): its tables.

use crate::tensor::{Device, Tensor};

use crate::error::Result;

/// cos and sin of every position, as f32, `[max positions, d_head / 2]` each.
pub(super) struct Rotary {
    cos: Tensor,
    sin: Tensor,
}

impl Rotary {
    pub fn new(theta: f64, d_head: usize, n_positions: usize, device: &Device) -> Result<Self> {
        let half = d_head / 2;
        let inverse = |i: usize| 1f32 / (theta as f32).powf(2.0 * i as f32 / d_head as f32);
        let inverse: Vec<f32> = (0..half).map(inverse).collect();
        let angles: Vec<f32> = (0..n_positions)
            .flat_map(|pos| inverse.iter().map(move |f| pos as f32 * f))
            .collect();
        let table = |values: Vec<f32>| Tensor::from_vec(values, (n_positions, half), device);
        Ok(Self {
            cos: table(angles.iter().map(|a| a.cos()).collect())?,
            sin: table(angles.iter().map(|a| a.sin()).collect())?,
        })
    }

    /// The rows of the positions `first..first + n`, `[n, d_head / 2]` each.
    pub fn rows(&self, first: usize, n: usize) -> Result<(Tensor, Tensor)> {
        Ok((self.cos.narrow(0, first, n)?, self.sin.narrow(0, first, n)?))
    }
}
