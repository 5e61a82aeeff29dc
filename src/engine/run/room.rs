//! What a request needs beside what may be taken, and what is let go of where the clean and the edited run do not fit
//! side by side: then every run is computed whole, and the clean one waits in the machine's memory while another is made.

use std::path::PathBuf;
use std::sync::Arc;

use crate::tensor::Device;

use super::super::device;
use super::super::job::{Job, Which};
use super::super::memory::{MemoryNeed, PlaceKind, Workload};
use super::super::picture::FileStamp;
use super::super::protocol::{DTypeChoice, Monitor, RunSpec};
use super::super::sweep::Sweep;
use super::super::trace::{Caches, Trace};
use super::{Engine, EngineOptions};
use crate::error::{Error, Result};
use crate::model::config::Config;
use crate::model::numbers::Numbers;
use crate::model::{Description, Inventory, Llava, Prompt};
use crate::spec::{Experiment, ModelSource, SweepSpec};

/// Positions that an answer can take: as many as are asked for, at most those that the model has after the prompt.
pub(super) fn n_new(model: &Llava, prompt: &Prompt, experiment: &Experiment) -> usize {
    let n_positions = model.config.text.max_position_embeddings;
    let left = n_positions.saturating_sub(prompt.layout.n_prompt);
    experiment.decode.max_new_tokens.min(left)
}

impl Engine {
    /// Carries out a request to the end and gives the complete trace. Where the device turns out to have no room for two
    /// runs, it tries again with one at a time.
    ///
    /// # Errors
    /// Bad input, a failing device, too little memory, the monitor's wish to stop. What is kept stays usable.
    pub fn run(&mut self, spec: &RunSpec, monitor: &mut dyn Monitor) -> Result<Arc<Trace>> {
        self.with_room(spec, &mut |engine| engine.run_once(spec, monitor))
    }

    /// Carries out a sweep over the clean run of a request to the end, and gives what it found. The request's
    /// interventions are checked but not applied. Room is made as for [`Engine::run`].
    ///
    /// # Errors
    /// Bad input, a failing device, too little memory, the monitor's wish to stop; what is done by then is kept for the
    /// next request.
    pub fn sweep(
        &mut self,
        spec: &RunSpec,
        sweep: &SweepSpec,
        monitor: &mut dyn Monitor,
    ) -> Result<Arc<Sweep>> {
        self.with_room(spec, &mut |engine| engine.sweep_once(spec, sweep, monitor))
    }

    /// Tries something on the device that is asked for; once more with one run at a time where there is no room for two.
    fn with_room<T>(
        &mut self,
        spec: &RunSpec,
        attempt: &mut dyn FnMut(&mut Self) -> Result<T>,
    ) -> Result<T> {
        if spec.on_cpu && !self.device.is_cpu() {
            self.move_to_cpu()?;
        }
        let outcome = attempt(self);
        let Err(Error::OutOfMemory { .. }) = outcome else {
            return outcome;
        };
        self.let_go();
        if self.keeps_one || self.model.is_none() || self.device.is_cpu() {
            return outcome;
        }
        self.is_short = true;
        let again = attempt(self);
        if matches!(again, Err(Error::OutOfMemory { .. })) {
            self.let_go();
        }
        again
    }

    /// Lets everything go that a run can make again. What sweeps have found takes no memory of the device.
    fn let_go(&mut self) {
        (self.prefix, self.clean, self.edited) = (None, None, None);
        // What the device still owes it may fail to do; the next request tells.
        let _ = self.device.synchronize();
    }

    /// The same engine on the CPU, with nothing loaded.
    fn move_to_cpu(&mut self) -> Result<()> {
        let is_quantised = |d: &DTypeChoice| matches!(d, DTypeChoice::Q8_0 | DTypeChoice::Q4K);
        *self = Self::new(EngineOptions {
            device: super::DeviceChoice::Cpu,
            dtype: self.options.dtype.filter(is_quantised),
            memory: None,
            ..self.options.clone()
        })?;
        Ok(())
    }

    /// The model that is loaded, if it is this one and its files are as they were; files that are gone leave it usable.
    pub(super) fn loaded_as(
        &self,
        source: &ModelSource,
        now: &[(PathBuf, FileStamp)],
    ) -> Option<Arc<Llava>> {
        let (loaded, model) = self.model.as_ref()?;
        let is_same = loaded == source && (now.is_empty() || *now == self.stamps);
        is_same.then(|| model.clone())
    }

    /// Refuses a checkpoint that the budget has no room for.
    pub(super) fn check_model(&self, model: &Description, inventory: &Inventory) -> Result<()> {
        let n_tokens = model.config.n_visual_tokens();
        let need = |numbers| self.need(&model.config, Some(inventory), numbers, (n_tokens, 0));
        let smaller =
            [("q8_0", DTypeChoice::Q8_0), ("q4k", DTypeChoice::Q4K)].map(|(name, dtype)| {
                let numbers = device::numbers(Some(dtype), self.device.is_cpu());
                (name, need(numbers))
            });
        self.budget
            .check_model(&model.name, &need(self.numbers), &smaller)
    }

    /// Settles whether both runs of a request are kept, and refuses it if not even one fits.
    pub(super) fn make_room(&mut self, model: &Llava, prompt: &Prompt, n_new: usize) -> Result<()> {
        let n_prompt = prompt.layout.n_prompt;
        let inventory = self.inventory.as_ref();
        let need = self.need(&model.config, inventory, self.numbers, (n_prompt, n_new));
        self.budget.check_run(n_prompt, n_new, &need)?;
        let keeps_one = self.is_short || !self.budget.holds_both_runs(&need);
        if keeps_one != self.keeps_one {
            (self.prefix, self.clean, self.edited) = (None, None, None);
            self.keeps_one = keeps_one;
        }
        Ok(())
    }

    fn need(
        &self,
        config: &Config,
        inventory: Option<&Inventory>,
        numbers: Numbers,
        (n_tokens, n_new): (usize, usize),
    ) -> MemoryNeed {
        let work = Workload {
            numbers,
            stored_bytes: inventory.map_or(4, Inventory::stored_bytes),
            n_tokens,
            n_new,
            place: PlaceKind::of(&self.device),
        };
        match inventory {
            Some(inventory) => MemoryNeed::of_checkpoint(config, inventory, &work),
            None => MemoryNeed::of(config, &work),
        }
    }

    /// Whether runs are computed whole, with nothing taken over from another.
    pub(super) fn computes_whole(&self) -> bool {
        self.whole_runs || self.keeps_one
    }

    /// Before another run is made where only one is kept: finishes the clean one and moves it out of the way.
    pub(super) fn set_clean_aside(
        &mut self,
        job: &mut Job<'_>,
        shown: &dyn Fn(&dyn Monitor) -> usize,
        monitor: &mut dyn Monitor,
    ) -> Result<()> {
        if !self.keeps_one || self.edited.is_some() {
            return Ok(());
        }
        self.answer(job, Which::Clean, monitor)?;
        self.read_rest(job, shown, monitor)?;
        self.kept(Which::Clean)?.state.move_to(&Device::Cpu)
    }

    /// Brings a run back, for what goes on from it; where only one is kept the other moves out of its way.
    pub(in crate::engine) fn bring(&mut self, which: Which) -> Result<()> {
        let (wanted, other) = match which {
            Which::Clean => (&mut self.clean, &mut self.edited),
            Which::Edited => (&mut self.edited, &mut self.clean),
        };
        if let (Some(other), true) = (other, self.keeps_one) {
            other.state.move_to(&Device::Cpu)?;
        }
        match wanted {
            Some(kept) => kept.state.move_to(&self.device),
            None => Ok(()),
        }
    }

    /// Before a third run is made where only one is kept: both others move out of its way. What they have left to do
    /// brings them back.
    pub(super) fn set_both_aside(&mut self) -> Result<()> {
        if self.keeps_one {
            for kept in [&mut self.clean, &mut self.edited].into_iter().flatten() {
                kept.state.move_to(&Device::Cpu)?;
            }
        }
        Ok(())
    }

    /// What is kept now.
    pub(super) fn caches(&self) -> Caches {
        let runs = [&self.clean, &self.edited].into_iter().flatten();
        Caches {
            n_bytes: runs.map(|kept| kept.state.n_bytes()).sum(),
            allowed: self.budget.allowed(),
            keeps_one: self.keeps_one,
        }
    }
}
