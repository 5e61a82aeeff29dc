//! A kernel is WGSL source with an entry point `main`; its pipeline is made once and kept. It launches nothing.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use wgpu::{BindGroupLayout, ComputePipeline, Device, ErrorFilter};

use super::{ComputeError, Result, device};

/// A compute shader and, for each of its storage bindings, whether it writes there.
#[derive(Clone, Debug)]
pub struct Kernel {
    pub name: &'static str,
    pub source: Cow<'static, str>,
    pub writes: &'static [bool],
}

pub(super) struct Pipeline {
    pub pipeline: ComputePipeline,
    pub layout: BindGroupLayout,
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    name: &'static str,
    source: u64,
    is_trusted: bool,
}

/// The pipelines made so far.
#[derive(Default)]
pub(super) struct Pipelines(Mutex<HashMap<Key, Arc<Pipeline>>>);

impl Pipelines {
    pub fn get(&self, device: &Device, kernel: &Kernel, is_trusted: bool) -> Result<Arc<Pipeline>> {
        let key = Key {
            name: kernel.name,
            source: source_key(&kernel.source),
            is_trusted,
        };
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = made.get(&key) {
            return Ok(Arc::clone(pipeline));
        }
        let pipeline = Arc::new(make(device, kernel, is_trusted)?);
        made.insert(key, Arc::clone(&pipeline));
        Ok(pipeline)
    }
}

/// A source that is part of the program is known by its address, any other by its hash.
#[allow(clippy::ptr_arg)]
fn source_key(source: &Cow<'static, str>) -> u64 {
    let mut hasher = DefaultHasher::new();
    match source {
        Cow::Borrowed(text) => (text.as_ptr() as usize, text.len()).hash(&mut hasher),
        Cow::Owned(text) => text.hash(&mut hasher),
    }
    hasher.finish()
}

fn make(device: &Device, kernel: &Kernel, is_trusted: bool) -> Result<Pipeline> {
    let validation = device.push_error_scope(ErrorFilter::Validation);
    let internal = device.push_error_scope(ErrorFilter::Internal);
    let descriptor = wgpu::ShaderModuleDescriptor {
        label: Some(kernel.name),
        source: wgpu::ShaderSource::Wgsl(Cow::Borrowed(&kernel.source)),
    };
    let module = if is_trusted {
        device::trusted_module(device, descriptor)
    } else {
        device.create_shader_module(descriptor)
    };
    let layout = layout(device, kernel);
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(kernel.name),
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(kernel.name),
        layout: Some(&pipeline_layout),
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions {
            zero_initialize_workgroup_memory: false,
            ..Default::default()
        },
        cache: None,
    });
    let internal = pollster::block_on(internal.pop());
    let validation = pollster::block_on(validation.pop());
    match validation.or(internal) {
        Some(error) => Err(ComputeError::Failed(format!(
            "the kernel {} cannot be built: {error}",
            kernel.name
        ))),
        None => Ok(Pipeline { pipeline, layout }),
    }
}

/// Storage buffers, then one uniform whose place changes from launch to launch.
fn layout(device: &Device, kernel: &Kernel) -> BindGroupLayout {
    let entry = |binding: usize, ty, has_dynamic_offset| wgpu::BindGroupLayoutEntry {
        binding: binding as u32,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty,
            has_dynamic_offset,
            min_binding_size: None,
        },
        count: None,
    };
    let storage = |&writes: &bool| wgpu::BufferBindingType::Storage { read_only: !writes };
    let mut entries: Vec<_> = (kernel.writes.iter().enumerate())
        .map(|(binding, writes)| entry(binding, storage(writes), false))
        .collect();
    entries.push(entry(entries.len(), wgpu::BufferBindingType::Uniform, true));
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: Some(kernel.name),
        entries: &entries,
    })
}
