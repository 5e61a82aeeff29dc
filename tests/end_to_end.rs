//! The real window, headless, with the real engine and the demo model behind it: clicks change words and answers.

#![cfg(feature = "gui")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

#[path = "support/real.rs"]
mod real;

use std::time::Instant;

use egui::{Event, Modifiers, PointerButton, Pos2};
use egui_kittest::kittest::Queryable as _;
use patchglass::engine::protocol::{Event as EngineEvent, Monitor, RunId};
use patchglass::engine::sweep::Sweep;
use patchglass::engine::trace::Trace;
use patchglass::engine::{Engine, EngineOptions};
use patchglass::error::Error;
use patchglass::index::Patch;
use patchglass::session::Session;
use patchglass::spec::{PictureSource, SweepKind};
use real::{App, open, settle, value};

const BEFORE: &str = "A snake, a camel and a cactus in the desert.";

fn top_words(trace: &Trace, level: usize) -> Vec<u32> {
    let readout = trace.edited.levels[level].as_ref().unwrap();
    readout.ids.iter().step_by(readout.top_k).copied().collect()
}

fn centre(harness: &App, patch: Patch) -> Pos2 {
    let label = format!("Patch row {} column {}", patch.row, patch.col);
    harness.get_by_label(&label).rect().center()
}

fn press(harness: &mut App, pos: Pos2, pressed: bool, modifiers: Modifiers) {
    let button = PointerButton::Primary;
    harness.event(Event::PointerButton {
        pos,
        button,
        pressed,
        modifiers,
    });
    harness.step();
}

/// Drags through the centres of patches; gives the time of each frame in milliseconds.
fn drag(harness: &mut App, patches: &[Patch], modifiers: Modifiers) -> Vec<f64> {
    let path: Vec<Pos2> = patches.iter().map(|p| centre(harness, *p)).collect();
    harness.event(Event::PointerMoved(path[0]));
    harness.step();
    press(harness, path[0], true, modifiers);
    let mut frames = Vec::new();
    for pos in &path {
        let since = Instant::now();
        harness.event(Event::PointerMoved(*pos));
        harness.step();
        frames.push(since.elapsed().as_secs_f64() * 1e3);
    }
    press(harness, path[path.len() - 1], false, modifiers);
    frames
}

#[test]
fn opens_with_words_in_the_cells() {
    let mut harness = open(Session::demo());
    settle(&mut harness);
    assert_eq!(value(&harness, "Answer before"), BEFORE);
    assert_eq!(value(&harness, "Answer after"), BEFORE);
    assert!(value(&harness, "Status").contains("CPU"));
    let trace = harness.state().trace().unwrap();
    let words = top_words(trace, trace.model.default_level);
    let camel = words[14 * 24 + 12];
    assert_eq!(trace.model.vocabulary.short(camel), "camel");
}

#[test]
fn a_click_on_an_object_changes_what_is_read_and_undo_brings_it_back() {
    let mut harness = open(Session::demo());
    settle(&mut harness);
    let level = harness.state().trace().unwrap().model.default_level;
    let clean = harness.state().trace().unwrap().clone();

    harness.get_by_label("Patch row 14 column 12").click();
    harness.step();
    settle(&mut harness);
    let edited = harness.state().trace().unwrap().clone();
    let patch = 14 * 24 + 12;
    let (before, after) = (top_words(&clean, level), top_words(&edited, level));
    assert_eq!(
        before[..patch],
        after[..patch],
        "no word before the patch can change"
    );
    let changed = (patch..before.len())
        .filter(|i| before[*i] != after[*i])
        .count();
    println!(
        "one patch: {changed} of {} words after it changed",
        before.len() - patch
    );
    assert!(changed > 0);
    assert_ne!(edited.edited.answer.probs, edited.baseline.answer.probs);

    harness.get_by_label("Undo").click();
    harness.step();
    settle(&mut harness);
    let undone = harness.state().trace().unwrap();
    assert_eq!(undone.edited, clean.edited);
    assert!(!harness.state().session().history.can_undo());
}

#[test]
fn painting_over_an_object_takes_it_out_of_the_answer() {
    let mut harness = open(Session::demo());
    settle(&mut harness);
    // Shift drags a rectangle: the camel, in one gesture.
    let shift = Modifiers::SHIFT;
    drag(
        &mut harness,
        &[Patch::new(11, 8), Patch::new(14, 12), Patch::new(18, 16)],
        shift,
    );
    settle(&mut harness);
    assert_eq!(
        harness.state().session().painted().unwrap().1.to_string(),
        "r11c8-r18c16"
    );
    assert_eq!(value(&harness, "Answer before"), BEFORE);
    assert_eq!(
        value(&harness, "Answer after"),
        "A snake and a cactus in the desert."
    );
    harness.get_by_label("Undo").click();
    harness.step();
    settle(&mut harness);
    assert_eq!(value(&harness, "Answer after"), BEFORE);
    assert!(
        !harness.state().session().history.can_undo(),
        "a drag is one step"
    );
}

#[test]
fn a_drag_over_30_patches_ends_in_one_run_of_the_last_state() {
    let mut harness = open(Session::demo());
    settle(&mut harness);
    let row =
        |row: u16| (0..15).map(move |col| Patch::new(row, if row == 17 { col } else { 14 - col }));
    let path: Vec<Patch> = row(17).chain(row(18)).collect();
    let mut frames = drag(&mut harness, &path, Modifiers::NONE);
    settle(&mut harness);
    frames.sort_by(f64::total_cmp);
    println!(
        "frames of the drag: median {:.1} ms, slowest {:.1} ms",
        frames[15], frames[29]
    );
    let session = harness.state().session();
    assert_eq!(session.painted().unwrap().1.to_string(), "r17c0-r18c14");
    let trace = harness.state().trace().unwrap();
    assert!(trace.complete && trace.has_edits);
    // The words on screen are those of a run of exactly this state.
    let mut fresh = open(Session {
        history: Default::default(),
        ..session.clone()
    });
    settle(&mut fresh);
    assert_eq!(fresh.state().trace().unwrap().edited, trace.edited);
    harness.get_by_label("Undo").click();
    harness.step();
    assert!(
        harness
            .state()
            .session()
            .experiment
            .interventions
            .is_empty(),
        "one undo step"
    );
}

/// Patches of an object of a sample, by the word of its caption.
fn object(scene: &str, word: &str) -> Vec<usize> {
    let scenes = include_str!("../assets/demo/samples/scenes.json");
    let scenes: serde_json::Value = serde_json::from_str(scenes).unwrap();
    let scenes = scenes.as_array().unwrap();
    let scene = scenes.iter().find(|s| s["file"] == scene).unwrap();
    let objects = scene["objects"].as_array().unwrap();
    let object = objects.iter().find(|o| o["word"] == word).unwrap();
    serde_json::from_value(object["patches"].clone()).unwrap()
}

#[test]
fn a_sweep_finds_the_patches_that_a_word_comes_from() {
    let mut session = Session::demo();
    // Smaller squares leave enough of the camel for its name: the model is certain of it from any part.
    session.view.sweep.block = 9;
    let mut harness = open(session.clone());
    settle(&mut harness);
    harness.get_by_label("Watch token 4 ␣camel").click();
    harness.step();
    harness.key_press(egui::Key::I);
    harness.step();
    settle(&mut harness);
    let found = harness.state().sweep(SweepKind::Patches).unwrap();
    let losses = found.patch_losses(|effect| effect.log_prob);
    let mean = |patches: &[usize], inside: bool| {
        let chosen = (0..losses.len()).filter(|patch| patches.contains(patch) == inside);
        let chosen: Vec<f32> = chosen.map(|patch| losses[patch]).collect();
        chosen.iter().sum::<f32>() / chosen.len() as f32
    };
    let camel = object("desert.png", "camel");
    let (inside, outside) = (mean(&camel, true), mean(&camel, false));
    let others = ["snake", "cactus"].map(|word| mean(&object("desert.png", word), true));
    println!(
        "nats that the word loses, mean per patch: {inside:.3} in the camel, {outside:.3} outside, {others:.3?} in snake and cactus"
    );
    assert!(inside > 3.0 * outside);
    assert!(others.iter().all(|other| inside > 1.5 * other));
    // The engine alone, as the command line asks it, finds the same numbers.
    let request = session.sweep_spec(RunId(1));
    let mut engine = Engine::new(EngineOptions::default()).unwrap();
    let mut few = FirstFew(None);
    let stopped = engine.sweep(&request, &found.spec, &mut few);
    assert!(matches!(stopped, Err(Error::Cancelled)));
    let alone = few.0.unwrap();
    assert_eq!(alone.baseline, found.baseline);
    let pairs = alone.effects.iter().zip(&found.effects);
    let pairs: Vec<_> = pairs.filter(|(alone, _)| alone.is_some()).collect();
    assert!(!pairs.is_empty() && pairs.len() < found.units.len());
    assert!(pairs.iter().all(|(alone, found)| alone == found));
}

/// Stops a sweep after its first units and keeps what came of them.
struct FirstFew(Option<std::sync::Arc<Sweep>>);

impl Monitor for FirstFew {
    fn cancelled(&self) -> bool {
        self.0.as_ref().is_some_and(|sweep| sweep.n_done() >= 4)
    }
    fn shown_level(&self) -> Option<usize> {
        None
    }
    fn emit(&mut self, event: EngineEvent) {
        if let EngineEvent::Sweep(sweep) = event {
            self.0 = Some(sweep);
        }
    }
}

/// Bad input in the window: the same sentence as on the command line, and the window goes on.
#[test]
fn a_picture_that_cannot_be_read_is_told_and_the_window_goes_on() {
    let mut session = Session::demo();
    session.experiment.picture = PictureSource::File("no-such-picture.png".into());
    let mut harness = open(session);
    settle(&mut harness);
    let message = harness.state().error().unwrap().to_owned();
    assert!(
        message.contains("no-such-picture.png") && message.contains("does not exist"),
        "{message}"
    );
    assert_eq!(value(&harness, "Error"), message);
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/demo/samples/savanna.png");
    harness
        .input_mut()
        .dropped_files
        .push(std::sync::Arc::new(Dropped(path)));
    harness.step();
    settle(&mut harness);
    assert_eq!(harness.state().error(), None);
    assert_eq!(
        value(&harness, "Answer before"),
        "A giraffe, an elephant and a lion in a field at sunset."
    );
}

/// A file that is let go over the window.
#[derive(Debug)]
struct Dropped(std::path::PathBuf);

impl egui::DroppedFile for Dropped {
    fn path(&self) -> &std::path::Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        std::fs::read(&self.0).map_err(|e| e.to_string())
    }
}
