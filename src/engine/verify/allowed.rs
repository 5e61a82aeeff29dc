//! The largest differences that pass, by number type: what rounding makes, with room to spare.

use crate::tensor::DType;

use crate::model::numbers::{Maps, Numbers};

/// Bounds of the checks. Residuals relative, probabilities absolute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Allowed {
    /// A row of attention sums to 1.
    pub row_sum: f64,
    pub residual: f64,
    pub lens: f64,
    /// Against numbers that were recorded in float32: norms, share of top words that differ, probabilities.
    pub norm: f64,
    pub words: f64,
    pub probability: f64,
}

impl Allowed {
    pub fn of(numbers: Numbers) -> Self {
        let (row_sum, residual, lens, norm, words, probability) = match numbers.float {
            DType::F16 => (4e-3, 1e-2, 5e-3, 1e-2, 1e-2, 2e-2),
            DType::BF16 => (3e-2, 8e-2, 4e-2, 8e-2, 1e-1, 1e-1),
            // As the contract has it against the Python reference.
            _ => (1e-5, 3e-5, 1e-4, 1e-4, 1e-3, 1e-3),
        };
        // Rounded weights make another model, whichever way it is computed.
        let (norm, words, probability) = match numbers.maps {
            Maps::AsStored | Maps::Float => (norm, words, probability),
            Maps::Q8_0 => (2e-2, 3e-2, 5e-2),
            Maps::Q4K => (2e-1, 2e-1, 3e-1),
        };
        Self {
            row_sum,
            residual,
            lens,
            norm,
            words,
            probability,
        }
    }
}
