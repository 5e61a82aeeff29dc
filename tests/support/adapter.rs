//! Whether this machine can draw at all. Tests that only click go on without; those that look at pixels say that they
//! were skipped.

use eframe::egui_wgpu::wgpu;
use egui_kittest::HarnessBuilder;

/// Whether there is an adapter of any kind, a software one included.
pub fn has_adapter() -> bool {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    !block_on(instance.enumerate_adapters(wgpu::Backends::all())).is_empty()
}

/// Tells that a test was skipped, and whether it has to be.
pub fn is_skipped() -> bool {
    let skipped = !has_adapter();
    if skipped {
        println!("skipped: no Vulkan adapter (on Debian: apt install mesa-vulkan-drivers)");
    }
    skipped
}

/// Draws with wgpu where that is possible; without, the window still takes clicks.
pub fn with_wgpu<T>(builder: HarnessBuilder<T>) -> HarnessBuilder<T> {
    if has_adapter() {
        builder.wgpu()
    } else {
        builder
    }
}

/// Waits for a future that is ready at once, as those of wgpu are on a desktop.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}
