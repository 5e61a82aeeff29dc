//! The opened card: its device, its queue, its memory and the error that stays once something went wrong. The only file
//! with `unsafe`.

use std::sync::{Arc, Mutex, PoisonError};

use wgpu::{BufferUsages, ErrorFilter, Features};

use super::adapters::{self, AdapterFacts, Kind};
use super::kernel::Pipelines;
use super::pool::{Pool, Slice};
use super::queue::Recorder;
use super::{ComputeError, Result};

/// Paths that are not to be taken though the card could: for tests, and for drivers that get them wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Without {
    pub f16: bool,
    pub subgroups: bool,
    pub cooperative_matrix: bool,
}

/// What all clones of a `Gpu` share.
pub(super) struct Shared {
    pub facts: AdapterFacts,
    pub without: Without,
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub pool: Pool,
    pub pipelines: Pipelines,
    pub recorder: Mutex<Recorder>,
    error: Arc<Mutex<Option<ComputeError>>>,
}

impl Shared {
    pub fn open(index: Option<usize>, without: Without) -> Result<Self> {
        let chosen = |facts: &AdapterFacts| match index {
            Some(index) => facts.index == index,
            None => facts.kind != Kind::Software,
        };
        let mut found = adapters::list()
            .into_iter()
            .filter(|(facts, _)| chosen(facts));
        let (facts, adapter) = found.next().ok_or(ComputeError::NoAdapter)?;
        let (device, queue) = request(&adapter, &facts)?;
        let error = Arc::new(Mutex::new(None));
        watch(&device, &error);
        let recorder = Mutex::new(Recorder::new(&device, facts.kind));
        let (pool, pipelines) = (Pool::default(), Pipelines::default());
        Ok(Self {
            facts,
            without,
            device,
            queue,
            pool,
            pipelines,
            recorder,
            error,
        })
    }

    /// What went wrong before, if anything.
    pub fn check(&self) -> Result<()> {
        let error = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        error.clone().map_or(Ok(()), Err)
    }

    /// With `before`, in a buffer that no recording from that number on uses.
    pub fn alloc(&self, len: usize, before: Option<u64>) -> Result<Slice> {
        let limit = self.facts.max_binding;
        self.pool
            .alloc(len, limit, before, |size| match self.buffer(size) {
                Err(ComputeError::OutOfMemory { .. }) => {
                    self.pool.trim();
                    self.wait()?;
                    self.buffer(size)
                }
                other => other,
            })
    }

    fn buffer(&self, size: u64) -> Result<wgpu::Buffer> {
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
        self.buffer_for(size, usage)
    }

    /// A buffer of its own, outside the pool.
    pub fn buffer_for(&self, size: u64, usage: BufferUsages) -> Result<wgpu::Buffer> {
        let scope = self.device.push_error_scope(ErrorFilter::OutOfMemory);
        let descriptor = wgpu::BufferDescriptor {
            label: None,
            size,
            usage,
            mapped_at_creation: false,
        };
        let buffer = self.device.create_buffer(&descriptor);
        match pollster::block_on(scope.pop()) {
            Some(_) => Err(ComputeError::OutOfMemory { wanted: size }),
            None => self.check().map(|()| buffer),
        }
    }
}

fn request(adapter: &wgpu::Adapter, facts: &AdapterFacts) -> Result<(wgpu::Device, wgpu::Queue)> {
    let mut wanted = Features::SHADER_F16 | Features::SUBGROUP | Features::SUBGROUP_BARRIER;
    if facts.has_cooperative_matrix {
        wanted |= Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
    }
    let descriptor = wgpu::DeviceDescriptor {
        label: Some("compute"),
        required_features: adapter.features() & wanted,
        required_limits: adapter.limits(),
        experimental_features: experimental(facts.has_cooperative_matrix),
        ..Default::default()
    };
    pollster::block_on(adapter.request_device(&descriptor)).map_err(|error| {
        ComputeError::Failed(format!(
            "the graphics card {} cannot be opened: {error}",
            facts.name
        ))
    })
}

#[allow(unsafe_code)]
fn experimental(wanted: bool) -> wgpu::ExperimentalFeatures {
    if !wanted {
        return wgpu::ExperimentalFeatures::disabled();
    }
    // SAFETY: the one experimental feature asked for is that of cooperative matrices, whose kernels are this crate's own
    // and keep to the shapes that the adapter lists.
    unsafe { wgpu::ExperimentalFeatures::enabled() }
}

/// A shader module without checks of indices and loops.
#[allow(unsafe_code)]
pub(super) fn trusted_module(
    device: &wgpu::Device,
    descriptor: wgpu::ShaderModuleDescriptor<'_>,
) -> wgpu::ShaderModule {
    // SAFETY: only this crate's own kernels come here; they guard every index by hand, and their loops end.
    unsafe {
        device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked())
    }
}

/// Keeps the first error that no scope catches.
fn watch(device: &wgpu::Device, kept: &Arc<Mutex<Option<ComputeError>>>) {
    let keep = |kept: &Mutex<Option<ComputeError>>, error: ComputeError| {
        kept.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(error);
    };
    let errors = Arc::clone(kept);
    device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
        let sentence = match error {
            wgpu::Error::OutOfMemory { .. } => "the graphics card ran out of memory".to_owned(),
            other => format!("the graphics card refused a command: {other}"),
        };
        keep(&errors, ComputeError::Failed(sentence));
    }));
    let losses = Arc::clone(kept);
    device.set_device_lost_callback(move |reason, message| {
        if reason != wgpu::DeviceLostReason::Destroyed {
            keep(&losses, ComputeError::Lost(message));
        }
    });
}
