//! What goes along with the pass of a generated token: its residual stream is kept, and a cancel stops it.

use crate::tensor::Tensor;

use super::Watch;
use crate::error::Result;
use crate::model::hooks::{HookPoint, HookSite, Hooks};

/// Keeps the residual stream of one generated token; stops when asked to.
pub(super) struct StepRecorder<'a, 'b> {
    pub watch: &'a Watch<'b>,
    /// `[level][1, d_model]`, without the last.
    pub resid: Vec<Tensor>,
}

impl Hooks for StepRecorder<'_, '_> {
    fn wants(&self, at: HookPoint) -> bool {
        at.site == HookSite::ResidPre
    }

    fn visit(&mut self, _at: HookPoint, _first_pos: usize, x: Tensor) -> Result<Tensor> {
        self.watch.check()?;
        self.resid.push(x.clone());
        Ok(x)
    }
}

/// Stops a pass that nothing else is to be told of.
pub(in crate::engine) struct CancelCheck<'a, 'b>(pub &'a Watch<'b>);

impl Hooks for CancelCheck<'_, '_> {
    fn wants(&self, at: HookPoint) -> bool {
        at.site == HookSite::ResidPre
    }

    fn visit(&mut self, _at: HookPoint, _first_pos: usize, x: Tensor) -> Result<Tensor> {
        self.0.check()?;
        Ok(x)
    }
}
