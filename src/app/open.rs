//! Opening the native window, and one clear sentence where that cannot be done.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use eframe::egui_wgpu::WgpuSetup;
use eframe::wgpu;

use super::{Folders, PatchglassApp};
use crate::engine::protocol::Runner;
use crate::error::{Error, Result};
use crate::session::Session;

const PACKAGES: &str = "on Debian and Ubuntu: apt install libxkbcommon-x11-0 libxcursor1 libxi6 libvulkan1 mesa-vulkan-drivers";

/// What the window opens with.
pub struct OpenOptions<F> {
    pub session: Session,
    /// Where the session was read from; saving writes there.
    pub file: Option<PathBuf>,
    /// Makes the engine, on the engine's thread.
    pub engine: F,
}

/// Opens the window and returns when it is closed.
///
/// # Errors
/// No display, or a library or driver is missing: what to do about it.
pub fn open<R, F>(options: OpenOptions<F>) -> Result<()>
where
    R: Runner + 'static,
    F: Fn() -> Result<R> + Send + 'static,
{
    let OpenOptions {
        session,
        file,
        engine,
    } = options;
    let opened = Arc::new(AtomicBool::new(false));
    quiet_until(opened.clone());
    let is_open = opened.clone();
    let run = move || {
        eframe::run_native(
            "patchglass",
            native_options(),
            Box::new(move |cc| {
                is_open.store(true, Ordering::SeqCst);
                Ok(Box::new(
                    PatchglassApp::new(cc, session, engine)
                        .with_file(file)
                        .with_folders(Folders::platform()),
                ))
            }),
        )
    };
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(no_window(&error.to_string())),
        Err(panic) if opened.load(Ordering::SeqCst) => Err(Error::internal(format!(
            "the window stopped inside Patchglass ({}); please report this",
            panic_text(panic.as_ref())
        ))),
        // A missing library makes the keyboard code panic rather than fail.
        Err(panic) => Err(no_window(&panic_text(panic.as_ref()))),
    }
}

/// Until the window is open, a panic on this thread is told by our own sentence alone.
fn quiet_until(opened: Arc<AtomicBool>) {
    let before = std::panic::take_hook();
    let here = std::thread::current().id();
    std::panic::set_hook(Box::new(move |panic| {
        if opened.load(Ordering::SeqCst) || std::thread::current().id() != here {
            before(panic);
        }
    }));
}

fn native_options() -> eframe::NativeOptions {
    let viewport = egui::ViewportBuilder::default()
        .with_title("Patchglass")
        .with_app_id("patchglass")
        .with_inner_size([1440.0, 900.0])
        .with_min_inner_size([900.0, 600.0]);
    let mut options = eframe::NativeOptions {
        viewport,
        renderer: eframe::Renderer::Wgpu,
        system_font_fallback: false,
        ..eframe::NativeOptions::default()
    };
    if let WgpuSetup::CreateNew(setup) = &mut options.wgpu_options.wgpu_setup {
        // All that the adapter has, so that the fall-back to OpenGL is not cut down to what browsers have.
        setup.device_descriptor = Arc::new(|adapter| wgpu::DeviceDescriptor {
            label: Some("patchglass"),
            required_limits: adapter.limits(),
            ..wgpu::DeviceDescriptor::default()
        });
    }
    #[cfg(target_os = "linux")]
    if wayland_is_dead() {
        options.event_loop_builder = Some(Box::new(|builder| {
            use winit::platform::x11::EventLoopBuilderExtX11 as _;
            builder.with_x11();
        }));
    }
    options
}

/// `WAYLAND_DISPLAY` names a compositor that is not there while X11 is: winit would not look further.
#[cfg(target_os = "linux")]
fn wayland_is_dead() -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let (Some(display), Some(_)) = (set("WAYLAND_DISPLAY"), set("DISPLAY")) else {
        return false;
    };
    let folder = set("XDG_RUNTIME_DIR").unwrap_or_default();
    std::os::unix::net::UnixStream::connect(PathBuf::from(folder).join(display)).is_err()
}

/// One sentence: why, and what to do.
fn no_window(cause: &str) -> Error {
    // The window library names its own source file ahead of the reason.
    let cause = match cause.split_once("os error at ") {
        Some((_, at)) => at.split_once(": ").map_or(at, |(_file, reason)| reason),
        None => cause,
    };
    let headless = "`patchglass run SESSION.json` needs no window";
    let advice = if cause.contains("neither WAYLAND_DISPLAY") {
        return Error::internal(format!(
            "no window could be opened: there is no display (DISPLAY and WAYLAND_DISPLAY are not set); start Patchglass \
             in a desktop session, or as `xvfb-run -a patchglass`; {headless}"
        ));
    } else if cause.contains("X server") || cause.contains("wayland compositor") {
        "check DISPLAY and WAYLAND_DISPLAY, or start it as `xvfb-run -a patchglass`"
    } else {
        PACKAGES
    };
    Error::internal(format!(
        "no window could be opened: {}; {advice}; {headless}",
        cause.trim_end_matches('.')
    ))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "the window system gave no reason".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_says_what_to_do() {
        for (cause, words) in [
            (
                "winit EventLoopError: os error at /src/mod.rs:7: neither WAYLAND_DISPLAY nor WAYLAND_SOCKET nor DISPLAY is set.",
                "xvfb-run",
            ),
            (
                "winit EventLoopError: os error at /src/mod.rs:7: Failed to open connection to X server",
                "check DISPLAY",
            ),
            (
                "Library libxkbcommon-x11.so could not be loaded.",
                "libxkbcommon-x11-0",
            ),
            (
                "WGPU error: Failed to create surface for any enabled backend: {}",
                "mesa-vulkan-drivers",
            ),
        ] {
            let error = no_window(cause).to_string();
            assert!(error.contains(words) && !error.contains("/src/"), "{error}");
        }
    }
}
