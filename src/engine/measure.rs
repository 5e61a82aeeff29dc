//! What benchmarks need to reach inside the engine for: timing the tower alone, the device's own ceilings, memory.
//!
//! Nothing here changes what a run gives.

use std::sync::Arc;
use std::time::Instant;

use crate::compute::{self, AdapterKind, Gpu, Kind, Weight};
use crate::tensor::{DType, Tensor};

use super::job::ms;
use super::protocol::{Event, Monitor, RunId, Stage};
use super::run::Engine;
use crate::error::{Error, Result};
use crate::index::PatchGrid;
use crate::model::numbers::Maps;
use crate::model::{Llava, device_name};
use crate::spec::ModelSource;

/// What the device can do at best, measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ceilings {
    /// Operations per second of a large matrix product in the model's type, in 10^12.
    pub teraflops: f64,
    /// Bytes read and written per second by a large copy, in 10^9.
    pub gigabytes: f64,
}

/// What the loaded model costs to run.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Sizes {
    pub n_layers: usize,
    d_model: usize,
    d_ff: usize,
    /// Width of keys or values of all heads.
    d_kv: usize,
    vocab: usize,
    n_patches: usize,
    bytes_per_weight: f64,
}

impl Sizes {
    /// Weights of one decoder block's matrices.
    fn block_weights(&self) -> f64 {
        let (d, kv, ff) = (self.d_model as f64, self.d_kv as f64, self.d_ff as f64);
        2.0 * d * d + 2.0 * d * kv + 3.0 * d * ff
    }

    /// Operations of a forward pass over `n` positions: the weights' products and causal attention.
    pub fn forward_flops(&self, n: usize) -> f64 {
        let n = n as f64;
        let attention = 2.0 * n * n * self.d_model as f64;
        self.n_layers as f64 * (2.0 * n * self.block_weights() + attention)
    }

    /// Operations of the lens over all patches at all levels.
    pub fn lens_flops(&self) -> f64 {
        let rows = ((self.n_layers + 1) * self.n_patches) as f64;
        2.0 * rows * self.d_model as f64 * self.vocab as f64
    }

    /// Bytes of all weights that one generated token reads.
    pub fn decoder_bytes(&self) -> f64 {
        let head = (self.d_model * self.vocab) as f64;
        self.bytes_per_weight * (self.n_layers as f64 * self.block_weights() + head)
    }
}

impl Engine {
    /// Compiles the device's kernels, once.
    ///
    /// # Errors
    /// A failing device; the person cancels.
    pub fn prepare_device(&mut self, id: RunId, monitor: &mut dyn Monitor) -> Result<()> {
        if self.is_warm {
            return Ok(());
        }
        let mut tell = |fraction| {
            let stage = Stage::PreparingDevice;
            monitor.emit(Event::Progress {
                id,
                stage,
                fraction,
            });
            match monitor.cancelled() {
                true => Err(Error::Cancelled),
                false => Ok(()),
            }
        };
        tell(0.0)?;
        #[cfg(feature = "cuda")]
        super::device::warm_up(&self.device, self.numbers, &mut tell)?;
        self.is_warm = true;
        Ok(())
    }

    /// Takes over a model that was made elsewhere, as if it had been loaded from `source`.
    pub fn adopt(&mut self, source: ModelSource, model: Llava) {
        (self.picture, self.prefix, self.clean, self.edited) = (None, None, None, None);
        self.sweeps.clear();
        self.model = Some((source, Arc::new(model)));
    }

    /// Makes the model of the shape of LLaVA-1.5-7B with random weights the one of `source`.
    ///
    /// # Errors
    /// Not enough memory.
    pub fn adopt_random_7b(
        &mut self,
        source: ModelSource,
        progress: &mut dyn FnMut(f32) -> Result<()>,
    ) -> Result<()> {
        let mut progress = |fraction| progress(fraction);
        let model = Llava::random_7b(&self.device, self.numbers, &mut progress)?;
        self.adopt(source, model);
        Ok(())
    }

    /// Whether every row of every run is computed from now on.
    pub fn set_whole_runs(&mut self, whole_runs: bool) {
        self.whole_runs = whole_runs;
        (self.prefix, self.clean, self.edited) = (None, None, None);
    }

    /// Waits until the device has done all it was told.
    ///
    /// # Errors
    /// A failing device.
    pub fn synchronize(&self) -> Result<()> {
        Ok(self.device.synchronize()?)
    }

    /// Sizes of the model.
    ///
    /// # Errors
    /// No model yet.
    pub fn sizes(&self) -> Result<Sizes> {
        let model = self.loaded()?;
        let text = &model.config.text;
        let mut sizes = Sizes {
            n_layers: text.num_hidden_layers,
            d_model: text.hidden_size,
            d_ff: text.intermediate_size,
            d_kv: text.num_key_value_heads * text.head_dim,
            vocab: text.vocab_size,
            n_patches: model.facts.grid.len(),
            bytes_per_weight: 1.0,
        };
        sizes.bytes_per_weight = model.llama.map_bytes() as f64 / sizes.decoder_bytes();
        Ok(sizes)
    }

    /// The patch grid of the model.
    ///
    /// # Errors
    /// No model yet.
    pub fn grid(&self) -> Result<PatchGrid> {
        Ok(self.loaded()?.facts.grid)
    }

    fn loaded(&self) -> Result<&Llava> {
        let model = self.model.as_ref().map(|(_, model)| &**model);
        model.ok_or_else(|| Error::internal("there is no model"))
    }

    /// Milliseconds of the tower and the projector on the picture of the last run, prepared pixels to visual tokens.
    ///
    /// # Errors
    /// No run yet; a failing device.
    pub fn time_encode(&self) -> Result<f64> {
        let model = self.loaded()?;
        let none = || Error::internal("there is no picture to encode");
        let picture = self.picture.as_ref().ok_or_else(none)?;
        let since = Instant::now();
        model.encode(&picture.pixel_values)?;
        self.device.synchronize()?;
        Ok(ms(since))
    }

    /// Measures the device itself.
    ///
    /// # Errors
    /// A failing device, or one without room for the test.
    pub fn ceilings(&self) -> Result<Ceilings> {
        let n = match self.device.wgpu().map(|gpu| gpu.facts().kind) {
            None if self.device.is_cpu() => 1024,
            None => 8192,
            Some(AdapterKind::Software) => 512,
            Some(_) => 4096,
        };
        let product = match self.device.wgpu() {
            Some(gpu) => self.product_on(gpu, n)?,
            None => self.product(n)?,
        };
        let large = || Tensor::ones((n, 2 * n), DType::F32, &self.device);
        let (from, to) = (large()?, large()?);
        let copy = self.best_of(8, || Ok(to.slice_set(&from, 0, 0)?))?;
        Ok(Ceilings {
            teraflops: 2.0 * (n as f64).powi(3) / product / 1e9,
            gigabytes: 2.0 * 8.0 * (n as f64).powi(2) / copy / 1e6,
        })
    }

    /// Milliseconds of a product of two square matrices.
    fn product(&self, n: usize) -> Result<f64> {
        let random = |n: usize, m: usize| -> Result<Tensor> {
            Ok(Tensor::randn(0f32, 1.0, (n, m), &self.device)?.to_dtype(self.numbers.float)?)
        };
        let (a, b) = (random(n, n)?, random(n, n)?);
        self.best_of(8, || Ok(a.matmul(&b.t()?).map(drop)?))
    }

    /// The same through wgpu, with a weight of the model's float type.
    fn product_on(&self, gpu: &Gpu, n: usize) -> Result<f64> {
        let (kind, n_bytes) = match self.numbers.float {
            DType::F32 => (Kind::F32, 4),
            _ => (Kind::F16, 2),
        };
        let mut weight = Weight::builder(gpu, kind, n, n)?;
        weight.push(&vec![0; n_bytes * n * n])?;
        let weight = weight.finish()?;
        let x = gpu.upload_f32(&vec![1.0; n * n])?;
        self.best_of(8, || Ok(compute::product(gpu, &x, n, &weight).map(drop)?))
    }

    /// Milliseconds of the fastest of `n` times, after one that does not count.
    fn best_of(&self, n: usize, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
        let mut best = f64::INFINITY;
        for i in 0..=n {
            let since = Instant::now();
            work()?;
            self.device.synchronize()?;
            if i > 0 {
                best = best.min(ms(since));
            }
        }
        Ok(best)
    }

    /// The device in words: `CPU`, `CUDA 0`, `Metal`.
    pub fn device_name(&self) -> String {
        device_name(&self.device)
    }

    /// The number types that a model will have, in words: `f32`, `q8_0 with f16`; of a GGUF file `as stored with f32`.
    pub fn dtype_name(&self, source: &ModelSource) -> String {
        let float = self.numbers.float.as_str();
        match self.numbers.maps {
            Maps::AsStored if matches!(source, ModelSource::Gguf { .. }) => {
                format!("as stored with {float}")
            }
            Maps::AsStored | Maps::Float => float.to_owned(),
            Maps::Q8_0 => format!("q8_0 with {float}"),
            Maps::Q4K => format!("q4k with {float}"),
        }
    }

    /// Bytes of the device's memory that are taken, by this and other programs: the card's, or of this process at most so
    /// far. `None` where the system does not say.
    pub fn memory_used(&self) -> Option<u64> {
        #[cfg(feature = "cuda")]
        if self.device.is_cuda() {
            let (free, total) = crate::model::cuda::memory()?;
            return Some(total - free);
        }
        match self.device.wgpu() {
            Some(gpu) => {
                let (used, pooled) = gpu.memory();
                Some(used + pooled)
            }
            None => peak_memory(),
        }
    }
}

/// The most memory that this process had so far. `None` where the system does not say.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}
