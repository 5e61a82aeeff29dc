//! What the tests of the window share: the app with a fake engine behind it, and waiting for it.

pub mod adapter;
pub mod fake_engine;
mod fake_insight;
mod fake_reading;
mod fake_sweep;
pub mod gallery;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use egui::{Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use fake_engine::{FakeEngine, Seen};
use patchglass::app::{Folders, PatchglassApp};
use patchglass::session::Session;

pub type App = Harness<'static, PatchglassApp>;

/// The window at 1440x900 in the dark with the demo session, after its first run.
pub fn app() -> (App, Seen) {
    app_with(Session::demo())
}

/// The same with another session.
pub fn app_with(session: Session) -> (App, Seen) {
    let (mut harness, seen) = open(session, [1440.0, 900.0], egui::Theme::Dark);
    settle(&mut harness);
    (harness, seen)
}

/// The window with a session that has not run yet.
pub fn open(session: Session, size: [f32; 2], theme: egui::Theme) -> (App, Seen) {
    open_in(session, size, theme, Folders::default())
}

/// The same with what is remembered in these folders.
pub fn open_in(
    session: Session,
    size: [f32; 2],
    theme: egui::Theme,
    folders: Folders,
) -> (App, Seen) {
    let seen = Seen::default();
    let engine = Arc::new(Mutex::new(seen.clone()));
    let builder = Harness::builder()
        .with_size(egui::Vec2::from(size))
        .with_theme(theme)
        .with_os(egui::os::OperatingSystem::Nix)
        .with_render_cursor(false);
    let harness = adapter::with_wgpu(builder).build_eframe(move |cc| {
        PatchglassApp::new(cc, session, move || {
            Ok(FakeEngine::new(engine.lock().unwrap().clone()))
        })
        .with_folders(folders)
    });
    (harness, seen)
}

/// Steps until the window is idle and has drawn what came last.
pub fn settle(harness: &mut App) {
    wait(harness, "the window is idle", PatchglassApp::is_idle);
    harness.run_steps(2);
    harness.check_accessibility();
}

/// Steps until `ready`; the engine has its own thread, so this waits for it in short naps.
pub fn wait(harness: &mut App, what: &str, ready: impl Fn(&PatchglassApp) -> bool) {
    let start = Instant::now();
    loop {
        harness.step();
        if ready(harness.state()) {
            return;
        }
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "waited too long until {what}"
        );
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// Types a question and waits for its run, unless that hangs.
pub fn ask(harness: &mut App, question: &str) {
    harness.get_by_label("Question").focus();
    harness.step();
    harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
    harness.step();
    harness.get_by_label("Question").type_text(question);
    harness.step();
    harness.key_press(Key::Enter);
    harness.step();
    assert_eq!(harness.state().session().experiment.prompt, question);
    if question != "hang" {
        settle(harness);
    }
}
