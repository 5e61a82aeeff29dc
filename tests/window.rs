//! The real window, headless, with a made-up engine behind it.

#![cfg(feature = "gui")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod support;

#[path = "support/file_tests.rs"]
mod file_tests;

#[path = "window/little_memory.rs"]
mod little_memory;

#[path = "window/habits.rs"]
mod habits;
#[path = "window/random.rs"]
mod random;
#[path = "window/rows.rs"]
mod rows;
#[path = "window/sweeps.rs"]
mod sweeps;
#[path = "window/tours.rs"]
mod tours;

use std::time::Instant;

use egui::accesskit::{Role, Toggled};
use egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use patchglass::session::{Command, GestureId, Session, Tool, update};
use patchglass::spec::Intervention;
use support::gallery::full;
use support::{App, app, app_with, ask, settle, wait};

fn value(harness: &App, label: &str) -> String {
    harness.get_by_label(label).value().unwrap_or_default()
}

fn painted(harness: &App) -> String {
    harness
        .state()
        .session()
        .painted()
        .map(|(_, set)| set.to_string())
        .unwrap_or_default()
}

fn level_slider(harness: &App) -> egui_kittest::Node<'_> {
    harness.get_by(|n| n.role() == Role::Slider && n.label().as_deref() == Some("Level"))
}

#[test]
fn a_click_on_a_patch_changes_the_answer() {
    let (mut harness, _) = app();
    let before = value(&harness, "Answer before");
    assert_eq!(before, "A dinosaur, a pepper and a banjo on the grass.");
    assert_eq!(value(&harness, "Answer after"), before);
    harness.get_by_label("Patch row 7 column 19").click();
    harness.step();
    settle(&mut harness);
    assert_eq!(painted(&harness), "r7c19");
    assert!(harness.state().session().history.can_undo());
    assert_eq!(value(&harness, "Answer before"), before);
    assert_ne!(value(&harness, "Answer after"), before);
    let patch = harness.get_by_label("Patch row 7 column 19");
    assert_eq!(patch.accesskit_node().toggled(), Some(Toggled::True));
    assert!(
        value(&harness, "Status").contains("312 ms"),
        "{}",
        value(&harness, "Status")
    );
}

#[test]
fn undo_and_redo_by_button_and_key() {
    let (mut harness, _) = app();
    assert!(harness.get_by_label("Undo").accesskit_node().is_disabled());
    harness.get_by_label("Patch row 0 column 0").click();
    settle(&mut harness);
    harness.get_by_label("Undo").click();
    settle(&mut harness);
    assert_eq!(painted(&harness), "");
    assert_eq!(
        value(&harness, "Answer after"),
        value(&harness, "Answer before")
    );
    harness.get_by_label("Redo").click();
    settle(&mut harness);
    assert_eq!(painted(&harness), "r0c0");
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    settle(&mut harness);
    assert_eq!(painted(&harness), "");
    harness.key_press_modifiers(Modifiers::COMMAND | Modifiers::SHIFT, Key::Z);
    settle(&mut harness);
    assert_eq!(painted(&harness), "r0c0");
}

#[test]
fn a_drag_is_one_undo_step_and_its_last_state_is_run() {
    let (mut harness, seen) = app();
    let start = harness.get_by_label("Patch row 5 column 2").rect().center();
    let end = harness
        .get_by_label("Patch row 5 column 21")
        .rect()
        .center();
    harness.hover_at(start);
    harness.drag_at(start);
    harness.step();
    for step in 1..=30 {
        harness.hover_at(start.lerp(end, step as f32 / 30.0));
        harness.step();
    }
    harness.drop_at(end);
    settle(&mut harness);
    assert_eq!(painted(&harness), "r5c2-r5c21");
    let last = seen.lock().unwrap().last().unwrap().experiment.clone();
    assert_eq!(last, harness.state().session().experiment);
    harness.get_by_label("Undo").click();
    settle(&mut harness);
    assert_eq!(painted(&harness), "");
    assert!(!harness.state().session().history.can_undo());
}

#[test]
fn a_failing_run_is_told_and_the_window_goes_on() {
    let (mut harness, _) = app();
    ask(&mut harness, "fail");
    assert!(harness.state().error().unwrap().contains("grass.png"));
    assert!(value(&harness, "Error").contains("choose another one"));
    assert!(harness.state().trace().is_some(), "the last result stays");
    assert!(value(&harness, "Status").ends_with("failed"));
    harness.get_by_label("Dismiss").click();
    settle(&mut harness);
    assert!(harness.query_by_label("Error").is_none());
    ask(&mut harness, "What is it?");
    assert!(harness.state().error().is_none());
    assert!(value(&harness, "Status").ends_with("idle"));
}

#[test]
fn a_run_can_be_stopped() {
    let (mut harness, _) = app();
    ask(&mut harness, "hang");
    wait(&mut harness, "it hangs", |app| {
        app.trace().is_some_and(|t| !t.complete)
    });
    harness.step();
    harness.get_by_label("Stop").click();
    settle(&mut harness);
    assert!(value(&harness, "Status").ends_with("stopped"));
    assert!(
        harness.state().trace().is_some_and(|t| t.complete),
        "the last complete result stays"
    );
}

#[test]
fn the_level_by_keys_slider_and_script() {
    let (mut harness, seen) = app();
    let runs = seen.lock().unwrap().len();
    let level = |harness: &App| harness.state().session().view.level;
    harness.key_press(Key::ArrowLeft);
    settle(&mut harness);
    assert_eq!(level(&harness), Some(6));
    harness.key_press(Key::End);
    settle(&mut harness);
    assert_eq!(level(&harness), Some(8));
    harness.key_press(Key::ArrowRight);
    settle(&mut harness);
    assert_eq!(level(&harness), Some(8));
    level_slider(&harness).set_value_accesskit(3.0);
    settle(&mut harness);
    assert_eq!(level(&harness), Some(3));
    let rect = level_slider(&harness).rect();
    harness.hover_at(rect.left_center());
    harness.drag_at(rect.left_center());
    harness.drop_at(rect.left_center());
    settle(&mut harness);
    assert_eq!(level(&harness), Some(0));
    assert_eq!(
        seen.lock().unwrap().len(),
        runs,
        "looking at a level runs nothing"
    );
}

#[test]
fn levels_play_and_stop() {
    let (mut harness, _) = app();
    harness.key_press(Key::Home);
    harness.step();
    harness.key_press(Key::Space);
    wait(&mut harness, "the level moves", |app| {
        app.session().view.level == Some(2)
    });
    harness.get_by_label("Pause levels").click();
    settle(&mut harness);
    assert!(harness.query_by_label("Play levels").is_some());
}

#[test]
fn keys_go_to_the_text_while_typing() {
    let (mut harness, _) = app();
    harness.get_by_label("Question").focus();
    harness.step();
    for key in [Key::S, Key::ArrowLeft, Key::Space] {
        harness.key_press(key);
        harness.step();
    }
    assert_eq!(harness.state().session().view.tool, Tool::Ablate);
    assert_eq!(harness.state().session().view.level, None);
}

#[test]
fn a_selection_is_ablated_or_knocked_out() {
    let (mut harness, _) = app();
    assert!(
        harness
            .get_by_label("Ablate selection")
            .accesskit_node()
            .is_disabled()
    );
    harness.key_press(Key::S);
    harness.step();
    harness.get_by_label("Patch row 2 column 3").click();
    settle(&mut harness);
    harness.get_by_label("Ablate selection").click();
    settle(&mut harness);
    assert!(
        harness
            .query_by_label_contains("Ablate r2c3 → mean, at the embeddings")
            .is_some()
    );
    harness.get_by_label("Knock out selection…").click();
    settle(&mut harness);
    harness.get_by_label("Add knockout").click();
    settle(&mut harness);
    let rows = &harness.state().session().experiment.interventions;
    let Intervention::AttentionKnockout(k) = &rows[1] else {
        panic!("{rows:?}")
    };
    assert_eq!(
        (k.queries.to_string(), k.keys.to_string()),
        ("last".to_owned(), "patches:r2c3".to_owned())
    );
    harness.get_by_label("Intervention 1 on").click();
    settle(&mut harness);
    assert!(!harness.state().session().experiment.interventions[0].enabled());
    harness.get_by_label("Remove intervention 2").click();
    settle(&mut harness);
    assert_eq!(harness.state().session().experiment.interventions.len(), 1);
}

#[test]
fn a_row_is_edited_in_its_form() {
    let (mut harness, _) = app();
    harness.get_by_label("Patch row 2 column 3").click();
    settle(&mut harness);
    set_text(&mut harness, "Ablated patches", "r1c1-r2c30");
    assert!(
        harness
            .query_by_label_contains("outside this model's 24x24 grid")
            .is_some()
    );
    assert_eq!(painted(&harness), "r2c3");
    set_text(&mut harness, "Ablated patches", "r1c1-r2c4");
    assert_eq!(painted(&harness), "r1c1-r2c4");
    harness.get_by_label("Replacement").click();
    settle(&mut harness);
    harness.get_by_label("zero").click();
    settle(&mut harness);
    assert!(
        harness
            .query_by_label_contains("Ablate 8 patches → zero")
            .is_some()
    );
}

#[test]
fn the_picture_is_cut_or_padded() {
    let (mut harness, seen) = app();
    harness.get_by_label("Answer of at most 32 tokens").click();
    harness.run_steps(20);
    assert!(
        harness
            .query_by_label("What the model sees: 336 × 336 px, all of it")
            .is_some()
    );
    support::gallery::save(&mut harness, "crop");
    harness.get_by_label("Padded").click();
    settle(&mut harness);
    let asked = seen.lock().unwrap().last().unwrap().experiment.crop;
    assert_eq!(asked, patchglass::spec::Crop::Pad);
    harness.get_by_label("Undo").click();
    settle(&mut harness);
    let now = harness.state().session().experiment.crop;
    assert_eq!(now, patchglass::spec::Crop::Center);
}

#[test]
fn dragging_a_number_is_one_undo_step() {
    let (mut harness, _) = app_with(support::gallery::full());
    let steps = harness.state().session().history.clone();
    let intervention = |harness: &App, row: usize| {
        serde_json::to_value(&harness.state().session().experiment.interventions[row]).unwrap()
    };
    let from = harness.get_by_label("Ablation level").rect().center();
    harness.hover_at(from);
    harness.drag_at(from);
    for step in 1..=20 {
        harness.hover_at(from + egui::vec2(5.0 * step as f32, 0.0));
        harness.step();
    }
    harness.drop_at(from + egui::vec2(100.0, 0.0));
    settle(&mut harness);
    assert!(intervention(&harness, 0)["layer"].as_u64().unwrap() > 2);
    harness.get_by_label("Undo").click();
    settle(&mut harness);
    assert_eq!(intervention(&harness, 0)["layer"], 0);
    harness.get_by_label("Undo").click();
    settle(&mut harness);
    let rows = harness.state().session().experiment.interventions.len();
    assert_eq!(rows, 2, "the step before the drag; {steps:?}");
}

#[test]
fn drawing_a_session_changes_nothing_in_it() {
    let mut session = support::gallery::full();
    session.experiment.decode.max_new_tokens = 2000;
    let knockout =
        r#"{"type":"attention_knockout","queries":"last","keys":"image","layers":"15..=24"}"#;
    session.experiment.interventions[1] = serde_json::from_str(knockout).unwrap();
    session.experiment.interventions[2] =
        serde_json::from_str(r#"{"type":"ablation","patches":"all","layer":30}"#).unwrap();
    for row in 0..3 {
        session.view.active_row = Some(row);
        let (harness, _) = app_with(session.clone());
        assert_eq!(harness.state().session().experiment, session.experiment);
    }
}

fn set_text(harness: &mut App, label: &str, text: &str) {
    harness.get_by_label(label).focus();
    harness.step();
    harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
    harness.step();
    harness.get_by_label(label).type_text(text);
    harness.step();
    harness.key_press(Key::Enter);
    settle(harness);
}

#[test]
fn no_answer_is_said_in_words() {
    let mut session = Session::demo();
    session.experiment.decode.max_new_tokens = 0;
    let (harness, _) = app_with(session);
    assert!(
        harness
            .query_by_label_contains("No answer was asked for")
            .is_some()
    );
    assert!(harness.query_by_label("Answer before").is_none());
}

#[test]
fn an_idle_window_asks_for_no_frame() {
    let (mut harness, _) = app();
    for _ in 0..3 {
        harness.step();
    }
    let delay = harness.output().viewport_output[&egui::ViewportId::ROOT].repaint_delay;
    assert_eq!(delay, std::time::Duration::MAX);
}

#[test]
fn a_frame_of_a_drag_is_quick() {
    let (mut harness, _) = app();
    let start = harness.get_by_label("Patch row 9 column 0").rect().center();
    let end = harness
        .get_by_label("Patch row 9 column 23")
        .rect()
        .center();
    harness.drag_at(start);
    harness.step();
    let mut times = Vec::new();
    for step in 1..=30 {
        harness.hover_at(start.lerp(end, step as f32 / 30.0));
        let frame = Instant::now();
        harness.step();
        times.push(frame.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!(
        "frame of a drag (logic, ui, AccessKit tree): median {:.2} ms, most {:.2} ms",
        times[15], times[29]
    );
    harness.drop_at(end);
    settle(&mut harness);
    assert!(times[15] < 100.0, "{times:?}");
}

#[test]
fn a_gesture_of_one_frame_is_one_request() {
    let mut session = full();
    let runs = (0..30)
        .filter(|col| {
            let patch = patchglass::index::Patch::new(20, col % 24);
            update(
                &mut session,
                Command::Paint {
                    patch,
                    on: true,
                    gesture: GestureId(1),
                },
            )
            .rerun
        })
        .count();
    assert_eq!(runs, 24);
}

#[test]
fn every_state_is_drawn_in_dark_and_light() {
    support::gallery::draw_all();
}
