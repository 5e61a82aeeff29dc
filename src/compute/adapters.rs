//! Which graphics cards there are, in a fixed order, and what they offer. It opens none of them.

use wgpu::{Backends, DeviceType, Features};

/// What an adapter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Discrete,
    Integrated,
    Virtual,
    Other,
    Software,
}

/// One adapter as `--device wgpu:N` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterFacts {
    pub index: usize,
    pub name: String,
    pub backend: String,
    pub kind: Kind,
    pub driver: String,
    pub has_f16: bool,
    pub has_subgroups: bool,
    pub has_cooperative_matrix: bool,
    /// The smallest and the largest number of invocations that a subgroup can have.
    pub subgroup: (u32, u32),
    pub max_buffer: u64,
    pub max_binding: u64,
    /// Bytes of workgroup memory.
    pub max_workgroup_memory: u32,
    pub max_invocations: u32,
}

/// Every adapter that can compute: discrete, integrated, virtual, other, software.
pub fn adapters() -> Vec<AdapterFacts> {
    list().into_iter().map(|(facts, _)| facts).collect()
}

pub(super) fn list() -> Vec<(AdapterFacts, wgpu::Adapter)> {
    let backends = Backends::VULKAN | Backends::METAL | Backends::DX12;
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = backends;
    descriptor.flags = wgpu::InstanceFlags::empty();
    descriptor.memory_budget_thresholds.for_resource_creation = Some(97);
    let instance = wgpu::Instance::new(descriptor);
    let found = pollster::block_on(instance.enumerate_adapters(backends));
    let mut found: Vec<_> = found.into_iter().map(|it| (facts(&it), it)).collect();
    found.sort_by_key(|(facts, _)| facts.kind);
    for (index, (facts, _)) in found.iter_mut().enumerate() {
        facts.index = index;
    }
    found
}

fn facts(adapter: &wgpu::Adapter) -> AdapterFacts {
    let (info, limits, features) = (adapter.get_info(), adapter.limits(), adapter.features());
    AdapterFacts {
        index: 0,
        backend: match info.backend {
            wgpu::Backend::Dx12 => "DX12".to_owned(),
            other => format!("{other:?}"),
        },
        kind: match info.device_type {
            DeviceType::DiscreteGpu => Kind::Discrete,
            DeviceType::IntegratedGpu => Kind::Integrated,
            DeviceType::VirtualGpu => Kind::Virtual,
            DeviceType::Cpu => Kind::Software,
            DeviceType::Other => Kind::Other,
        },
        driver: format!("{} {}", info.driver, info.driver_info)
            .trim()
            .to_owned(),
        has_f16: features.contains(Features::SHADER_F16),
        has_subgroups: features.contains(Features::SUBGROUP),
        has_cooperative_matrix: has_cooperative_matrix(adapter, &info),
        subgroup: (info.subgroup_min_size, info.subgroup_max_size),
        name: info.name,
        max_buffer: limits.max_buffer_size,
        max_binding: limits
            .max_storage_buffer_binding_size
            .min(limits.max_buffer_size),
        max_workgroup_memory: limits.max_compute_workgroup_storage_size,
        max_invocations: limits.max_compute_invocations_per_workgroup,
    }
}

/// Matrices of 16x16x16, f16 in and f32 out, in subgroups whose size cannot vary (the kernels count on it).
fn has_cooperative_matrix(adapter: &wgpu::Adapter, info: &wgpu::AdapterInfo) -> bool {
    let needed =
        Features::EXPERIMENTAL_COOPERATIVE_MATRIX | Features::SHADER_F16 | Features::SUBGROUP;
    adapter.features().contains(needed)
        && info.subgroup_min_size == info.subgroup_max_size
        && adapter.cooperative_matrix_properties().iter().any(|it| {
            (it.m_size, it.n_size, it.k_size) == (16, 16, 16)
                && it.ab_type == wgpu::CooperativeScalarType::F16
                && it.cr_type == wgpu::CooperativeScalarType::F32
        })
}
