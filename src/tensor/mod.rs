//! Tensors wherever they lie: candle's on the CPU, CUDA or Metal, or f32 on a card through wgpu, which candle cannot reach.
//!
//! Names and meanings are candle's. What has a kernel of its own on a wgpu card runs there; everything else is fetched,
//! done by candle on the CPU and put back, which is slow and right. On such a card all numbers are f32; integers, which
//! only say where to look, stay on the CPU. No operation of the model is here.

mod arithmetic;
mod card;
mod make;
mod methods;

pub use candle_core::{D, DType, Result, Shape};

pub(crate) use self::card::OnCard;
use crate::compute::Gpu;

/// Where tensors lie.
#[derive(Clone, Debug)]
pub enum Device {
    Cpu,
    Cuda(candle_core::CudaDevice),
    Metal(candle_core::MetalDevice),
    Wgpu(Gpu),
}

/// Numbers in a shape. Clones share the memory.
#[derive(Clone, Debug)]
pub struct Tensor {
    device: Device,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    Candle(candle_core::Tensor),
    Card(OnCard),
}

impl Device {
    /// candle's device for what lies or is done here: the CPU for what a wgpu card cannot do.
    pub fn candle(&self) -> candle_core::Device {
        match self {
            Self::Cpu | Self::Wgpu(_) => candle_core::Device::Cpu,
            Self::Cuda(cuda) => candle_core::Device::Cuda(cuda.clone()),
            Self::Metal(metal) => candle_core::Device::Metal(metal.clone()),
        }
    }

    pub fn is_cpu(&self) -> bool {
        matches!(self, Self::Cpu)
    }

    pub fn is_cuda(&self) -> bool {
        matches!(self, Self::Cuda(_))
    }

    /// Whether tensors that come and go leave no gaps in the memory, so that it need not be taken in large pieces.
    pub fn has_pool(&self) -> bool {
        matches!(self, Self::Cpu | Self::Wgpu(_))
    }

    /// Numbers that one tensor can hold: wgpu binds no more at once.
    pub fn most_numbers(&self) -> usize {
        match self {
            Self::Wgpu(gpu) => (gpu.facts().max_binding.min(gpu.facts().max_buffer) / 4) as usize,
            _ => usize::MAX,
        }
    }

    /// The card, if wgpu reaches it.
    pub fn wgpu(&self) -> Option<&Gpu> {
        match self {
            Self::Wgpu(gpu) => Some(gpu),
            _ => None,
        }
    }

    /// Whether both are one.
    pub fn same_device(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Wgpu(a), Self::Wgpu(b)) => a.is(b),
            (Self::Wgpu(_), _) | (_, Self::Wgpu(_)) => false,
            _ => self.candle().same_device(&other.candle()),
        }
    }

    /// Waits for what is under way.
    pub fn synchronize(&self) -> Result<()> {
        match self {
            Self::Wgpu(gpu) => Ok(gpu.wait()?),
            _ => self.candle().synchronize(),
        }
    }
}

impl From<candle_core::Device> for Device {
    fn from(device: candle_core::Device) -> Self {
        match device {
            candle_core::Device::Cpu => Self::Cpu,
            candle_core::Device::Cuda(cuda) => Self::Cuda(cuda),
            candle_core::Device::Metal(metal) => Self::Metal(metal),
        }
    }
}

impl From<candle_core::Tensor> for Tensor {
    fn from(tensor: candle_core::Tensor) -> Self {
        Self {
            device: tensor.device().clone().into(),
            place: Place::Candle(tensor),
        }
    }
}

impl AsRef<Tensor> for Tensor {
    fn as_ref(&self) -> &Tensor {
        self
    }
}

impl Tensor {
    /// The same numbers as candle has them: itself, or a copy on the CPU of what lies on a wgpu card.
    pub fn candle(&self) -> Result<candle_core::Tensor> {
        match &self.place {
            Place::Candle(tensor) => Ok(tensor.clone()),
            Place::Card(tensor) => tensor.download(),
        }
    }

    /// What candle made of this one, put back where this one lies.
    pub(crate) fn beside(&self, made: candle_core::Tensor) -> Result<Self> {
        Self::put(made, &self.device)
    }
}
