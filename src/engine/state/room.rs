//! A run's tensors: what they take, and moving them between the device and the machine's memory. Nothing is computed.

use crate::tensor::{Device, Tensor};

use super::RunState;
use crate::error::Result;

impl RunState {
    /// Moves streams, keys and values to a device. They can be read from anywhere ([`RunState::patch_rows`]); only a run
    /// whose tensors are on the model's device can be gone on from.
    pub fn move_to(&mut self, device: &Device) -> Result<()> {
        if self.device().same_device(device) {
            return Ok(());
        }
        // A view must not drag along all of what it is a view of.
        let moved = |x: &Tensor| x.force_contiguous()?.to_device(device);
        let resid = self.resid.iter().map(moved);
        self.resid = resid.collect::<crate::tensor::Result<_>>()?;
        self.cache = self.cache.map(&moved)?;
        // A part of it, not a copy beside it.
        self.prompt_cache = self.cache.first(self.prompt.layout.n_prompt)?;
        Ok(())
    }

    fn device(&self) -> Device {
        let first = self.resid.first().map(Tensor::device);
        first.cloned().unwrap_or(Device::Cpu)
    }

    /// Bytes of the streams, the keys and the values.
    pub fn n_bytes(&self) -> u64 {
        let size = |x: &Tensor| (x.elem_count() * x.dtype().size_in_bytes()) as u64;
        let resid: u64 = self.resid.iter().map(size).sum();
        let cache: u64 = self.cache.tensors().map(size).sum();
        resid + cache
    }
}
