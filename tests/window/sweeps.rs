//! Sweeps in the real window, headless, with a made-up engine behind it.

use egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use patchglass::session::{HeatKind, Session};
use patchglass::spec::{SweepKind, SweepOver};

use super::support::{App, app, app_with, ask, settle, wait};
use super::value;

/// Brings the pane of sweeps to the front.
fn show_sweeps(harness: &mut App) {
    harness.get_by_label("Sweep").click();
    harness.run_steps(2);
}

fn swept(harness: &App, kind: SweepKind) -> (usize, usize) {
    let sweep = harness.state().sweep(kind).unwrap();
    (sweep.n_done(), sweep.units.len())
}

#[test]
fn a_sweep_over_the_patches_becomes_the_heat_map() {
    let (mut harness, seen) = app();
    harness.get_by_label("Watch token 1 ␣dinosaur").click();
    settle(&mut harness);
    harness.key_press(Key::I);
    harness.step();
    settle(&mut harness);
    let last = seen.lock().unwrap().last().unwrap().clone();
    let asked = last.sweep.unwrap();
    assert_eq!(asked.token, 1);
    assert_eq!(asked, harness.state().session().view.sweep.spec());
    assert_eq!(swept(&harness, SweepKind::Patches), (576, 576));
    assert_eq!(harness.state().session().view.heat, HeatKind::Importance);
    let legend = "Legend: Importance (sweep) from -0.200 to 2.50, nats lost";
    assert!(harness.query_by_label(legend).is_some());
    let patch = harness.get_by_label("Patch row 7 column 11").rect();
    harness.hover_at(patch.center());
    harness.run_steps(2);
    assert!(
        harness
            .query_by_label("loss of log-probability 2.50")
            .is_some()
    );
    assert!(harness.query_by_label_contains("576 of 576").is_some());
    harness.get_by_label("Loss of logit").click_accesskit();
    settle(&mut harness);
    assert!(harness.query_by_label_contains("logit lost").is_some());
    assert!(!harness.state().session().history.can_undo());
    assert!(value(&harness, "Status").ends_with("idle"));
}

#[test]
fn an_edit_stops_a_sweep_that_keeps_what_it_has() {
    let mut session = Session::demo();
    session.experiment.prompt = "hang after the run".to_owned();
    let (mut harness, seen) = app_with(session);
    let half = |harness: &mut App| {
        wait(harness, "half of it is swept", |app| {
            let sweep = app.sweep(SweepKind::Patches);
            sweep.is_some_and(|sweep| sweep.n_done() == 288)
        });
        harness.run_steps(2);
    };
    show_sweeps(&mut harness);
    harness.get_by_label("Start sweep").click_accesskit();
    half(&mut harness);
    assert!(value(&harness, "Status").ends_with("sweeping 288 of 576"));
    harness.get_by_label("Patch row 7 column 19").click();
    harness.step();
    settle(&mut harness);
    assert!(
        harness.state().trace().unwrap().has_edits,
        "the edit was run"
    );
    assert_eq!(swept(&harness, SweepKind::Patches), (288, 576));
    assert!(harness.query_by_label("stopped at 288 of 576").is_some());
    let n = seen.lock().unwrap().len();
    harness.get_by_label("Go on").click_accesskit();
    harness.step();
    wait(&mut harness, "it was asked for", |_| {
        seen.lock().unwrap().len() == n + 1
    });
    harness.step();
    harness.get_by_label("Stop sweep").click_accesskit();
    settle(&mut harness);
    assert!(harness.query_by_label("Go on").is_some());
    assert!(harness.state().error().is_none());
}

#[test]
fn a_sweep_waits_for_the_run_before_it() {
    let (mut harness, seen) = app();
    harness.get_by_label("Patch row 7 column 19").click();
    harness.key_press(Key::I);
    harness.step();
    settle(&mut harness);
    let trace = harness.state().trace().unwrap();
    assert!(trace.complete && trace.has_edits);
    assert_eq!(swept(&harness, SweepKind::Patches), (576, 576));
    let seen = seen.lock().unwrap();
    assert!(seen[seen.len() - 1].sweep.is_some() && seen[seen.len() - 2].sweep.is_none());
}

#[test]
fn a_sweep_waits_for_a_task_before_it() {
    let (mut harness, seen) = app();
    ask(&mut harness, "hang in tasks");
    harness.key_press_modifiers(Modifiers::COMMAND, Key::K);
    harness.run_steps(2);
    harness.get_by_label("Command").type_text("verify");
    harness.run_steps(2);
    harness.key_press(Key::Enter);
    harness.run_steps(3);
    harness.get_by_label("Start checks").click();
    wait(&mut harness, "the task was asked for", |_| {
        seen.lock()
            .unwrap()
            .last()
            .is_some_and(|last| last.task.is_some())
    });
    let n = seen.lock().unwrap().len();
    harness.key_press(Key::I);
    harness.run_steps(20);
    assert!(!harness.state().is_idle());
    assert_eq!(seen.lock().unwrap().len(), n, "the task goes on");
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Period);
    harness.step();
    settle(&mut harness);
    assert_eq!(
        seen.lock().unwrap().len(),
        n,
        "the sweep was stopped as well"
    );
    harness.key_press(Key::I);
    harness.step();
    settle(&mut harness);
    assert_eq!(swept(&harness, SweepKind::Patches), (576, 576));
}

#[test]
fn what_was_swept_of_another_question_is_not_shown() {
    let (mut harness, _) = app();
    harness.key_press(Key::I);
    harness.step();
    settle(&mut harness);
    let legend = |harness: &App| {
        harness
            .query_by_label_contains("Legend: Importance")
            .is_some()
    };
    let note = "The last sweep was of another model, picture or question.";
    assert!(legend(&harness) && harness.query_by_label(note).is_none());
    ask(&mut harness, "What is it?");
    assert!(!legend(&harness) && harness.query_by_label(note).is_some());
    // Back at the question, what was found is true again.
    harness.get_by_label("Undo").click();
    settle(&mut harness);
    assert!(legend(&harness) && harness.query_by_label(note).is_none());
}

#[test]
fn blocks_and_heads_have_results_of_their_own() {
    let (mut harness, seen) = app();
    show_sweeps(&mut harness);
    for (kind, name, label, n) in [
        (SweepKind::Layers, "Blocks", "Loss over the blocks", 8),
        (SweepKind::Heads, "Heads", "Loss over blocks and heads", 64),
    ] {
        harness.get_by_label(&format!("Sweep over {name}")).click();
        settle(&mut harness);
        harness.get_by_label("Start sweep").click_accesskit();
        harness.step();
        settle(&mut harness);
        assert_eq!(swept(&harness, kind), (n, n));
        assert!(value(&harness, label).contains("2.50") || kind == SweepKind::Heads);
        assert!(
            harness
                .get_by_label("Start sweep")
                .accesskit_node()
                .is_disabled(),
            "it is done"
        );
    }
    let queries = |spec: &SweepOver| match spec {
        SweepOver::Heads { queries, .. } => queries.to_string(),
        other => panic!("{other:?}"),
    };
    let last = seen.lock().unwrap().last().unwrap().sweep.clone().unwrap();
    assert_eq!(queries(&last.over), "answer");
    // The level and the picture's heat map are as they were.
    assert_eq!(
        harness.state().session().view.heat,
        HeatKind::TopProbability
    );
}
