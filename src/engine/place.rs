//! Where a model could run on this machine, and how much memory is free there.

use crate::tensor::Device;

use super::device;
use super::free_memory::free_memory;
use super::memory::PlaceKind;
use super::protocol::{DTypeChoice, DeviceChoice};
use crate::error::Result;
use crate::model::numbers::Numbers;

/// A device, as far as memory is concerned.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// `CPU`, `CUDA 0`, `Metal`, or the name of a card that wgpu reaches.
    pub name: String,
    /// Bytes; `None` where the system does not say.
    pub free: Option<u64>,
    pub kind: PlaceKind,
}

impl Place {
    /// The device of a choice; for the automatic one the CPU, and the card where there is one.
    ///
    /// # Errors
    /// A device that this build or this machine does not have.
    pub fn all(choice: DeviceChoice) -> Result<Vec<Self>> {
        let (chosen, _) = device::open(choice, None)?;
        let mut devices = vec![chosen];
        if choice == DeviceChoice::Auto && !devices.iter().any(Device::is_cpu) {
            devices.push(Device::Cpu);
        }
        Ok(devices.iter().map(Self::of).collect())
    }

    fn of(device: &Device) -> Self {
        Self {
            name: crate::model::device_name(device),
            free: free_memory(device),
            kind: PlaceKind::of(device),
        }
    }

    /// What a model is computed with here.
    pub fn numbers(&self, dtype: Option<DTypeChoice>) -> Numbers {
        device::numbers(dtype, !self.kind.is_card())
    }
}
