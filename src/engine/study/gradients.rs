//! Integrated gradients of a token's logit with respect to the visual tokens (Sundararajan et al. 2017, arXiv 1703.01365;
//! paper, section 3).

use crate::tensor::{DType, Tensor};

use super::seen::Asked;
use crate::error::Result;
use crate::intervene::{Donor, replacing_rows};

/// What every patch contributes to a logit.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribution {
    /// Σ over the width of (x − x₀) times the mean gradient. `[patch]`
    pub patches: Vec<f32>,
    /// The logit with all patches replaced, and as it is: the patches' sum is about the difference.
    pub logits: (f32, f32),
}

impl Asked<'_> {
    /// Goes from all patches replaced to the picture as it is in `steps` steps, at the middle of each (midpoint rule).
    /// Only the patches are replaced: no text token is (the paper's code replaced the first one after the picture, too).
    ///
    /// # Errors
    /// A donor of another width; a failing device.
    pub fn integrated_gradients(
        &self,
        token: u32,
        steps: usize,
        donor: &Donor,
    ) -> Result<Attribution> {
        let (study, layout) = (self.seen.study, &self.prompt.layout);
        let clean = study.patch_rows(&self.seen.visual)?;
        let replacing = replacing_rows(donor, &clean)?.broadcast_as(clean.shape())?;
        let way = (&clean - &replacing)?; // [patch, d_model]
        let before = layout.patches().start;
        let head = self.rows(0, 0)?;
        let n_after = head.dim(0)? - layout.patches().end;
        let at = |share: f64| -> Result<Tensor> {
            let patches = (&replacing + (&way * share)?)?;
            let after = head.narrow(0, layout.patches().end, n_after)?;
            Ok(Tensor::cat(
                &[&head.narrow(0, 0, before)?, &patches, &after],
                0,
            )?)
        };
        let llama = &study.model.llama;
        let mut sum: Option<Tensor> = None;
        for step in 0..steps.max(1) {
            let share = (step as f64 + 0.5) / steps.max(1) as f64;
            let (_, gradient) = llama.gradient_of_logit(&at(share)?, token)?;
            let gradient = gradient.narrow(0, before, layout.grid.len())?;
            sum = Some(match sum {
                Some(sum) => (sum + gradient)?,
                None => gradient.contiguous()?,
            });
        }
        let way = (way.to_dtype(DType::F32)? / steps.max(1) as f64)?;
        let patches = match sum {
            Some(sum) => (sum * way)?.sum(1)?.to_vec1::<f32>()?,
            None => Vec::new(),
        };
        let logit = |share| Ok(llama.gradient_of_logit(&at(share)?, token)?.0);
        let ends: Result<_> = logit(0.0).and_then(|low: f32| Ok((low, logit(1.0)?)));
        Ok(Attribution {
            patches,
            logits: ends?,
        })
    }
}
