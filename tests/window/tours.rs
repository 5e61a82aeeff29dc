//! Tours and kept runs in the real window, headless, with a made-up engine behind it.

use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable as _;
use patchglass::session::{Command, SavedRun, SavedRuns, Session};

use super::painted;
use super::support::{App, app, app_with, settle};

fn press(harness: &mut App, key: Key) {
    harness.key_press(key);
    settle(harness);
}

#[test]
fn going_back_in_a_tour_keeps_runs_and_can_be_undone() {
    let (mut harness, _) = app();
    harness
        .state()
        .send(Command::SetPrompt("What is it?".to_owned()));
    settle(&mut harness);
    harness.get_by_label("Help").click();
    harness.run_steps(3);
    harness.get_by_label("Tours").click();
    harness.run_steps(3);
    harness.get_by_label("Tour of the paper").click();
    settle(&mut harness);
    for _ in 0..5 {
        press(&mut harness, Key::Space);
    }
    harness.key_press_modifiers(Modifiers::COMMAND | Modifiers::SHIFT, Key::K);
    settle(&mut harness);
    let last = harness.state().session().experiment.clone();
    press(&mut harness, Key::PageUp);
    assert_eq!(harness.state().tour_step(), Some(4));
    assert_eq!(painted(&harness), "r11c8-r18c16");
    let session = harness.state().session();
    assert_ne!(session.experiment, last);
    assert_eq!(session.runs.list.len(), 1);
    assert_eq!(session.runs.list[0].experiment, last);
    // Undo leads through the step back to the last step, and on to what was before the tour.
    let mut seen = Vec::new();
    while harness.state().session().history.can_undo() {
        harness.state().send(Command::Undo);
        settle(&mut harness);
        seen.push(harness.state().session().experiment.clone());
    }
    assert!(seen.contains(&last));
    assert!(seen.iter().any(|old| old.prompt == "What is it?"));
    assert_eq!(seen.last(), Some(&Session::demo().experiment));
}

#[test]
fn a_full_list_of_runs_is_told() {
    let mut session = Session::demo();
    let run = |n: u64| SavedRun {
        name: n.to_string(),
        made: n,
        experiment: session.experiment.clone(),
    };
    session.runs = SavedRuns::new((0..100).map(run).collect());
    let (mut harness, _) = app_with(session.clone());
    harness.key_press_modifiers(Modifiers::COMMAND | Modifiers::SHIFT, Key::K);
    settle(&mut harness);
    let error = harness.state().error().unwrap();
    assert!(error.contains("100 runs are kept already"), "{error}");
    assert_eq!(harness.state().session().runs.list, session.runs.list);
}
