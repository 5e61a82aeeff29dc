//! Where a test file runs: f32 on the CPU, with `PATCHGLASS_TEST_DEVICE=cuda` f16 on the card (in a build with the feature
//! `cuda`), with `PATCHGLASS_TEST_DEVICE=wgpu` f32 on the last adapter of wgpu, which is software where there is some.

use patchglass::compute::{Gpu, adapters};
use patchglass::engine::protocol::{DTypeChoice, DeviceChoice, Without};
use patchglass::tensor::{DType, Device};

#[derive(Clone, Copy, PartialEq)]
pub enum Place {
    Cpu,
    Cuda,
    Wgpu,
}

impl Place {
    pub fn of_environment() -> Self {
        match std::env::var("PATCHGLASS_TEST_DEVICE").as_deref() {
            Ok("cuda") => Self::Cuda,
            Ok("wgpu") => Self::Wgpu,
            _ => Self::Cpu,
        }
    }

    /// Whether numbers are rounded to f16 on the way.
    pub fn is_f16(self) -> bool {
        self == Self::Cuda
    }

    pub fn choice(self) -> (DeviceChoice, Option<DTypeChoice>) {
        match self {
            Self::Cpu => (DeviceChoice::Cpu, None),
            Self::Cuda => (DeviceChoice::Cuda(0), Some(DTypeChoice::F16)),
            Self::Wgpu => {
                let last = adapters().pop().unwrap().index;
                let choice = DeviceChoice::Wgpu(Some(last), Without::default());
                (choice, Some(DTypeChoice::F32))
            }
        }
    }

    pub fn device(self) -> (Device, DType) {
        match self {
            Self::Cpu => (Device::Cpu, DType::F32),
            Self::Cuda => (candle_core::Device::new_cuda(0).unwrap().into(), DType::F16),
            Self::Wgpu => {
                let last = adapters().pop().unwrap().index;
                let gpu = Gpu::open(Some(last), Without::default()).unwrap();
                (Device::Wgpu(gpu), DType::F32)
            }
        }
    }

    /// Random models: few where a software card computes.
    pub fn seeds(self, n: u64) -> u64 {
        match self {
            Self::Wgpu => n / 3,
            _ => n,
        }
    }
}
