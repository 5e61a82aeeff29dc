//! Which device and number type a build has, by the words of the command line.

#[cfg(feature = "cuda")]
use crate::tensor::Tensor;
use crate::tensor::{DType, Device};
#[cfg(feature = "cuda")]
use candle_core::quantized::{GgmlDType, QTensor};

use std::path::Path;

use super::protocol::{DTypeChoice, DeviceChoice, Without};
use crate::compute::Gpu;
use crate::error::{Error, Result};
use crate::model::numbers::{Maps, Numbers};

impl std::str::FromStr for DeviceChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once(':').unwrap_or((text, "0")) {
            ("auto", "0") => Ok(Self::Auto),
            ("cpu", "0") => Ok(Self::Cpu),
            ("metal", "0") => Ok(Self::Metal),
            ("cuda", n) if n.parse::<usize>().is_ok() => Ok(Self::Cuda(n.parse().unwrap_or(0))),
            ("wgpu", _) if text == "wgpu" => Ok(Self::Wgpu(None, Without::default())),
            ("wgpu", n) if n.parse::<usize>().is_ok() => {
                Ok(Self::Wgpu(n.parse().ok(), Without::default()))
            }
            _ => Err(Error::input(format!(
                "--device {text}: write auto, cpu, wgpu, wgpu:1, cuda, cuda:1 or metal"
            ))),
        }
    }
}

impl DeviceChoice {
    /// The same card with some ways to compute forbidden: `f16,subgroups`.
    ///
    /// # Errors
    /// Another device than wgpu's, an unknown word.
    pub fn without(self, list: &str) -> Result<Self> {
        let Self::Wgpu(index, mut without) = self else {
            return Err(Error::input(
                "--wgpu-without goes with --device wgpu or wgpu:N",
            ));
        };
        for word in list.split(',') {
            match word.trim() {
                "f16" => without.f16 = true,
                "subgroups" => without.subgroups = true,
                "cooperative-matrix" => without.cooperative_matrix = true,
                other => {
                    return Err(Error::input(format!(
                        "--wgpu-without {other}: write f16, subgroups or cooperative-matrix"
                    )));
                }
            }
        }
        Ok(Self::Wgpu(index, without))
    }
}

impl std::str::FromStr for DTypeChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "f32" => Ok(Self::F32),
            "f16" => Ok(Self::F16),
            "bf16" => Ok(Self::Bf16),
            "q8_0" => Ok(Self::Q8_0),
            "q4k" => Ok(Self::Q4K),
            _ => Err(Error::input(format!(
                "--dtype {text}: write f32, f16, bf16, q8_0 or q4k"
            ))),
        }
    }
}

/// Opens the device and settles the types: f32 on the CPU, f16 on a card, weights as they are stored, unless asked
/// otherwise.
///
/// # Errors
/// A device that this build or this machine does not have.
pub fn open(choice: DeviceChoice, dtype: Option<DTypeChoice>) -> Result<(Device, Numbers)> {
    let device = match choice {
        DeviceChoice::Auto => automatic(),
        DeviceChoice::Cpu => Device::Cpu,
        DeviceChoice::Cuda(n) => cuda(n)?,
        DeviceChoice::Metal => metal()?,
        DeviceChoice::Wgpu(index, without) => wgpu(index, without)?,
    };
    if dtype == Some(DTypeChoice::Bf16) && device.wgpu().is_some() {
        return Err(Error::input(
            "--dtype bf16: --device wgpu computes with f32, f16, q8_0 or q4k",
        ));
    }
    let numbers = numbers(dtype, device.is_cpu());
    Ok((device, numbers))
}

/// The types of a choice: of the activations and of the maps.
pub(super) fn numbers(dtype: Option<DTypeChoice>, is_cpu: bool) -> Numbers {
    let float = if is_cpu { DType::F32 } else { DType::F16 };
    let maps = match dtype {
        Some(DTypeChoice::F32) => return DType::F32.into(),
        Some(DTypeChoice::F16) => return DType::F16.into(),
        Some(DTypeChoice::Bf16) => return DType::BF16.into(),
        Some(DTypeChoice::Q8_0) => Maps::Q8_0,
        Some(DTypeChoice::Q4K) => Maps::Q4K,
        None => Maps::AsStored,
    };
    Numbers { float, maps }
}

fn automatic() -> Device {
    let found = cuda(0).or_else(|_no_cuda| metal());
    let found = found.or_else(|none| match may_have_card() {
        true => wgpu(None, Without::default()),
        false => Err(none),
    });
    found.unwrap_or(Device::Cpu)
}

/// Whether it is worth asking for graphics cards, which takes a while and makes some drivers talk: on Linux a card has a
/// node among the devices.
fn may_have_card() -> bool {
    let nodes = ["dri", "nvidiactl", "dxg", "kfd", "mali0"];
    !cfg!(target_os = "linux")
        || nodes
            .iter()
            .any(|node| Path::new("/dev").join(node).exists())
}

fn wgpu(index: Option<usize>, without: Without) -> Result<Device> {
    let of = index.map_or_else(String::new, |n| format!(":{n}"));
    Gpu::open(index, without).map(Device::Wgpu).map_err(|e| {
        Error::input(format!(
            "--device wgpu{of} cannot be opened: {e}; `patchglass info --devices` lists what there is, or use --device cpu"
        ))
    })
}

#[cfg(not(feature = "cuda"))]
fn cuda(_n: usize) -> Result<Device> {
    Err(Error::input(
        "--device cuda: this build has no CUDA; build with `cargo build --release --features cuda`, or use --device cpu",
    ))
}

#[cfg(feature = "cuda")]
fn cuda(n: usize) -> Result<Device> {
    crate::model::cuda::open(n).map(Device::from).map_err(|e| {
        Error::input(format!(
            "--device cuda:{n} cannot be opened: {}; check the driver, or use --device cpu",
            first_line(&e)
        ))
    })
}

/// Runs one operation of every kind that a run takes from candle, so that the driver has compiled its kernels before the
/// person waits for a run. Takes seconds on the first start of a machine, then the driver remembers.
///
/// # Errors
/// A failing device; whatever `tell` answers. `tell` gets the share that is done, 0..=1.
#[cfg(feature = "cuda")]
pub fn warm_up(
    device: &Device,
    numbers: Numbers,
    tell: &mut dyn FnMut(f32) -> Result<()>,
) -> Result<()> {
    let Device::Cuda(cuda) = device else {
        return Ok(());
    };
    let dtype = numbers.float;
    let x = Tensor::zeros((2, 8), DType::F32, device)?;
    let is_quantised = matches!(numbers.maps, Maps::Q8_0 | Maps::Q4K);
    let block = Tensor::zeros((1, 32), DType::F32, device)?;
    let block = || {
        let block = QTensor::quantize(&block.candle()?, GgmlDType::Q8_0)?;
        block.dequantize_f16(&device.candle())
    };
    type Step<'a> = Box<dyn Fn() -> crate::tensor::Result<()> + 'a>;
    let steps: [Step<'_>; 8] = [
        Box::new(|| crate::model::cuda::load_kernels(cuda)),
        Box::new(|| x.to_dtype(dtype)?.to_dtype(DType::F32).map(drop)),
        Box::new(|| x.index_select(&Tensor::new(&[1u32], device)?, 0).map(drop)),
        Box::new(|| Tensor::cat(&[&x, &x], 1).map(drop)),
        Box::new(|| x.t()?.contiguous()?.to_dtype(dtype)?.gelu_erf().map(drop)),
        Box::new(|| x.to_dtype(dtype)?.sum_keepdim(0).map(drop)),
        Box::new(|| (x.to_dtype(dtype)? * 2.0).map(drop)),
        Box::new(|| match is_quantised {
            true => block().map(drop),
            false => Ok(()),
        }),
    ];
    for (i, step) in steps.iter().enumerate() {
        tell(i as f32 / steps.len() as f32)?;
        step()?;
    }
    Ok(device.synchronize()?)
}

fn metal() -> Result<Device> {
    if !cfg!(feature = "metal") {
        return Err(Error::input(
            "--device metal: this build has no Metal; build on macOS with `cargo build --release --features metal`, or use --device cpu",
        ));
    }
    candle_core::Device::new_metal(0)
        .map(Device::from)
        .map_err(|e| {
            Error::input(format!(
                "--device metal cannot be opened: {}; use --device cpu",
                first_line(&e)
            ))
        })
}

fn first_line(error: &candle_core::Error) -> String {
    error
        .to_string()
        .lines()
        .next()
        .unwrap_or("unknown")
        .to_owned()
}
