//! What memory the machine and its card have free now.

use crate::tensor::Device;

/// Bytes that a model on this device can still take; `None` where the system does not say.
pub fn free_memory(device: &Device) -> Option<u64> {
    match device {
        Device::Cpu => free_in_machine(),
        #[cfg(feature = "cuda")]
        Device::Cuda(_) => Some(crate::model::cuda::memory()?.0),
        _ => None,
    }
}

/// What can be had without swapping, and no more than a container is allowed.
fn free_in_machine() -> Option<u64> {
    if !sysinfo::IS_SUPPORTED_SYSTEM {
        return None;
    }
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let free = system.available_memory();
    let limit = system.cgroup_limits().map(|limits| limits.free_memory);
    Some(limit.map_or(free, |limit| free.min(limit))).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_machine_says_what_is_free() {
        if sysinfo::IS_SUPPORTED_SYSTEM {
            let free = super::free_memory(&crate::tensor::Device::Cpu).unwrap();
            assert!((1 << 20..1 << 50).contains(&free), "{free} bytes");
        }
    }
}
