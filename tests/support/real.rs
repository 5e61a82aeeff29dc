//! The window with the real engine behind it, and waiting for it.

use std::time::{Duration, Instant};

use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use patchglass::app::PatchglassApp;
use patchglass::engine::{Engine, EngineOptions};
use patchglass::session::Session;

pub type App = Harness<'static, PatchglassApp>;

/// The window at 1440x900 with a session that has not run yet. It needs no adapter: nothing is rendered.
pub fn open(session: Session) -> App {
    Harness::builder()
        .with_size(egui::vec2(1440.0, 900.0))
        .with_os(egui::os::OperatingSystem::Nix)
        .build_eframe(move |cc| {
            PatchglassApp::new(cc, session, || Engine::new(EngineOptions::default()))
                .without_file_dialogs()
        })
}

/// Steps until the window is idle and has drawn what came last; the engine has its own thread.
pub fn settle(harness: &mut App) {
    let start = Instant::now();
    loop {
        harness.step();
        if harness.state().is_idle() {
            break;
        }
        assert!(
            start.elapsed() < Duration::from_secs(300),
            "the engine never came to an end"
        );
        std::thread::park_timeout(Duration::from_millis(2));
    }
    harness.run_steps(2);
    harness.check_accessibility();
}

/// The accessibility value of a labelled node.
pub fn value(harness: &App, label: &str) -> String {
    harness
        .get_by_label(label)
        .accesskit_node()
        .value()
        .unwrap_or_default()
}
