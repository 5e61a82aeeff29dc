//! Measures rounding: a pass with hooks that look like an edit's and change nothing, against the clean run.

use crate::tensor::{Device, Tensor};

use super::super::plan::Plan;
use super::super::state::{RunState, Watch};
use crate::error::Result;
use crate::intervene::CompiledSet;
use crate::lens;
use crate::model::Llama;
use crate::model::hooks::{HookPoint, HookSite, Hooks};

/// Patches of a level whose KL is measured, spread evenly over those that the pass computes.
const SAMPLE: usize = 64;

/// Takes the path of an edit's hooks, leaves everything as it is, and keeps the largest KL of every level.
pub(super) struct NoiseMeter<'a, 'b> {
    inner: &'a mut CompiledSet,
    watch: &'a Watch<'b>,
    llama: &'a Llama,
    clean: &'a RunState,
    plan: &'a Plan,
    /// In nats. `[level]`
    pub floors: Vec<f32>,
}

impl<'a, 'b> NoiseMeter<'a, 'b> {
    pub fn new(
        inner: &'a mut CompiledSet,
        watch: &'a Watch<'b>,
        llama: &'a Llama,
        clean: &'a RunState,
        plan: &'a Plan,
    ) -> Self {
        Self {
            inner,
            watch,
            llama,
            clean,
            plan,
            floors: vec![0.0; clean.resid.len()],
        }
    }

    fn is_recorded(&self, at: HookPoint) -> bool {
        at.site == HookSite::ResidPre
            || (at.site == HookSite::ResidPost && at.layer + 2 == self.floors.len())
    }

    /// `x` holds the rows from `first_pos` on.
    fn measure(&mut self, level: usize, first_pos: usize, x: &Tensor) -> Result<()> {
        let patches = self.clean.prompt.layout.patches();
        let first = self.plan.changed_from[level].clamp(patches.start, patches.end);
        let step = (patches.end - first).div_ceil(SAMPLE).max(1);
        let rows: Vec<u32> = (first.max(first_pos)..patches.end)
            .step_by(step)
            .map(|row| row as u32)
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        let here: Vec<u32> = rows.iter().map(|row| row - first_pos as u32).collect();
        let pick = |x: &Tensor, rows: Vec<u32>| -> Result<Tensor> {
            Ok(x.index_select(&Tensor::new(rows, x.device())?, 0)?)
        };
        let (p, q) = (pick(&self.clean.resid[level], rows)?, pick(x, here)?);
        let values = lens::divergences(self.llama, &p, &q)?;
        self.floors[level] = values.into_iter().fold(0.0, f32::max);
        Ok(())
    }
}

impl Hooks for NoiseMeter<'_, '_> {
    fn wants(&self, at: HookPoint) -> bool {
        self.is_recorded(at) || self.inner.wants(at)
    }

    fn visit(&mut self, at: HookPoint, first_pos: usize, x: Tensor) -> Result<Tensor> {
        if self.is_recorded(at) {
            self.watch.check()?;
            let level = match at.site {
                HookSite::ResidPre => at.layer,
                _ => at.layer + 1,
            };
            self.measure(level, first_pos, &x)?;
        }
        Ok(x)
    }

    fn blocked(
        &mut self,
        layer: usize,
        pass: (usize, usize, usize),
        device: &Device,
    ) -> Result<Option<Tensor>> {
        let mask = self.inner.blocked(layer, pass, device)?;
        Ok(mask.map(|mask| mask.zeros_like()).transpose()?)
    }
}
