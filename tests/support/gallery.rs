//! Every state of the window as a picture under `target/window/`, to be looked at. Nothing is compared.

use egui::Key;
use egui_kittest::kittest::Queryable as _;
use patchglass::session::{Command, Session, update};
use patchglass::spec::SweepKind;

use super::{App, ask, fake_engine, open, settle, wait};

/// A session with both kinds of rows, one of them in its editor.
pub fn full() -> Session {
    let mut session = Session::demo();
    session.grid = Some(fake_engine::GRID);
    for json in [
        r#"{"type":"ablation","patches":"r7c3-r12c8"}"#,
        r#"{"type":"attention_knockout","queries":"last","keys":"patches:r3c4-r6c9","layers":"5..=7"}"#,
        r#"{"type":"ablation","patches":"r2c3","layer":4,"with":{"noise":7},"enabled":false}"#,
    ] {
        update(
            &mut session,
            Command::AddIntervention(serde_json::from_str(json).unwrap()),
        );
    }
    session.view.active_row = Some(0);
    session.view.selection = "r15c12-r18c20".parse().unwrap();
    session
}

/// Pictures of every state, to be looked at: `target/window/`.
pub fn draw_all() {
    if super::adapter::is_skipped() {
        return;
    }
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("../window");
    std::fs::create_dir_all(&folder).unwrap();
    for theme in [egui::Theme::Dark, egui::Theme::Light] {
        for (size, width) in [([1440.0, 900.0], 1440), ([900.0, 600.0], 900)] {
            for state in [
                "first", "loading", "running", "full", "knockout", "error", "about", "keys",
                "menu", "drop", "sweep", "curve", "heads", "sweeping",
            ] {
                let mut harness = state_of(state, size, theme);
                let name = format!(
                    "{state}-{width}-{}.png",
                    format!("{theme:?}").to_lowercase()
                );
                harness.render().unwrap().save(folder.join(name)).unwrap();
            }
        }
    }
}

/// One picture more of a window, to be looked at.
pub fn save(harness: &mut App, name: &str) {
    if super::adapter::is_skipped() {
        return;
    }
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("../window");
    std::fs::create_dir_all(&folder).unwrap();
    let image = harness.render().unwrap();
    image.save(folder.join(format!("{name}.png"))).unwrap();
}

fn state_of(state: &str, size: [f32; 2], theme: egui::Theme) -> App {
    let sweeps = ["sweep", "curve", "heads", "sweeping"];
    let mut session = if matches!(state, "first" | "loading") || sweeps.contains(&state) {
        Session::demo()
    } else {
        full()
    };
    match state {
        "loading" => session.experiment.prompt = "load".to_owned(),
        "knockout" => session.view.active_row = Some(1),
        "curve" => session.view.sweep.kind = SweepKind::Layers,
        "heads" => session.view.sweep.kind = SweepKind::Heads,
        "sweeping" => session.experiment.prompt = "hang after the run".to_owned(),
        _ => {}
    }
    let (mut harness, _) = open(session, size, theme);
    if state == "loading" {
        harness.run_steps(4);
        std::thread::park_timeout(std::time::Duration::from_millis(50));
        harness.run_steps(4);
        return harness;
    }
    settle(&mut harness);
    match state {
        "sweep" | "curve" | "heads" | "sweeping" => show_sweep(&mut harness, state),
        "running" => {
            ask(&mut harness, "hang");
            wait(&mut harness, "it hangs", |app| {
                app.trace().is_some_and(|t| !t.complete)
            });
        }
        "error" => ask(&mut harness, "fail"),
        "about" => {
            harness.get_by_label("Help").click();
            harness.run_steps(3);
            harness.get_by_label("About Patchglass…").click();
        }
        "keys" => harness.key_press(Key::F1),
        "menu" => harness.get_by_label("File").click(),
        "drop" => harness
            .input_mut()
            .hovered_files
            .push(egui::HoveredFile::default()),
        _ => {}
    }
    harness.run_steps(if state == "drop" { 1 } else { 4 });
    harness
}

/// A sweep in the section that is scrolled to.
fn show_sweep(harness: &mut App, state: &str) {
    harness.get_by_label("Watch token 1 ␣dinosaur").click();
    harness.step();
    harness.key_press(Key::I);
    harness.step();
    if state == "sweeping" {
        wait(harness, "half of it is swept", |app| {
            let sweep = app.sweep(SweepKind::Patches);
            sweep.is_some_and(|sweep| sweep.n_done() == sweep.units.len() / 2)
        });
    } else {
        settle(harness);
    }
    let over = harness.get_by_label("Answer before").rect().center();
    harness.hover_at(over);
    harness.step();
    let (unit, phase) = (egui::MouseWheelUnit::Point, egui::TouchPhase::Move);
    let delta = egui::vec2(0.0, -2000.0);
    let modifiers = egui::Modifiers::NONE;
    harness.event(egui::Event::MouseWheel {
        unit,
        delta,
        phase,
        source: egui::MouseWheelSource::Unknown,
        modifiers,
    });
    harness.run_steps(12);
    if state == "sweep" {
        let patch = harness.get_by_label("Patch row 7 column 12").rect();
        harness.hover_at(patch.center());
    }
    harness.run_steps(2);
}
