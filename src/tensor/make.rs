//! New tensors on a device.

use candle_core::{FloatDType, NdArray, WithDType};

use super::{DType, Device, OnCard, Place, Result, Shape, Tensor};

type Candle = candle_core::Tensor;

impl Tensor {
    pub fn new(array: impl NdArray, device: &Device) -> Result<Self> {
        Self::put(Candle::new(array, &device.candle())?, device)
    }

    pub fn from_vec<T: WithDType>(
        values: Vec<T>,
        shape: impl candle_core::shape::ShapeWithOneHole,
        device: &Device,
    ) -> Result<Self> {
        Self::put(Candle::from_vec(values, shape, &device.candle())?, device)
    }

    pub fn from_slice<T: WithDType>(
        values: &[T],
        shape: impl candle_core::shape::ShapeWithOneHole,
        device: &Device,
    ) -> Result<Self> {
        Self::put(Candle::from_slice(values, shape, &device.candle())?, device)
    }

    pub fn zeros(shape: impl Into<Shape>, dtype: DType, device: &Device) -> Result<Self> {
        Self::put(Candle::zeros(shape, dtype, &device.candle())?, device)
    }

    pub fn ones(shape: impl Into<Shape>, dtype: DType, device: &Device) -> Result<Self> {
        Self::put(Candle::ones(shape, dtype, &device.candle())?, device)
    }

    /// Normal random numbers.
    pub fn randn<T: FloatDType>(
        mean: T,
        spread: T,
        shape: impl Into<Shape>,
        device: &Device,
    ) -> Result<Self> {
        Self::put(
            Candle::randn(mean, spread, shape, &device.candle())?,
            device,
        )
    }

    /// What candle has, put onto a device.
    pub fn put(tensor: Candle, device: &Device) -> Result<Self> {
        match device {
            Device::Cpu | Device::Cuda(_) | Device::Metal(_) => Ok(tensor.into()),
            Device::Wgpu(gpu) if tensor.dtype().is_float() => {
                Ok(OnCard::upload(gpu, &tensor)?.into())
            }
            Device::Wgpu(_) => Ok(Self {
                device: device.clone(),
                place: Place::Candle(tensor),
            }),
        }
    }
}
