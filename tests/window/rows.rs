//! Rows of the interventions by the pointer: a range of blocks dragged, a row dragged to another place.

use egui_kittest::kittest::Queryable as _;
use patchglass::session::Session;
use patchglass::spec::Intervention;

use super::support::{App, app_with, settle};

/// Presses at one place, moves in steps and lets go at another.
fn drag(harness: &mut App, from: egui::Pos2, to: egui::Pos2) {
    harness.hover_at(from);
    harness.step();
    harness.drag_at(from);
    harness.step();
    for step in 1..=12 {
        harness.hover_at(from.lerp(to, step as f32 / 12.0));
        harness.step();
    }
    harness.drop_at(to);
    settle(harness);
}

fn blocks(harness: &App) -> String {
    match &harness.state().session().experiment.interventions[1] {
        Intervention::AttentionKnockout(k) => k.layers.to_string(),
        other => format!("{other:?}"),
    }
}

fn knockout() -> Session {
    let mut session = super::full();
    session.view.active_row = Some(1);
    session
}

#[test]
fn blocks_are_dragged_at_an_end_or_as_a_whole() {
    let (mut harness, _) = app_with(knockout());
    assert_eq!(blocks(&harness), "5..=7");
    let slider = |harness: &mut App| {
        harness.get_by_label("Range of blocks").scroll_to_me();
        harness.run_steps(30);
        harness.get_by_label("Range of blocks").rect()
    };
    let rect = slider(&mut harness);
    let at = |block: f32| {
        let inner = rect.shrink2(egui::vec2(6.0, 0.0));
        let x = inner.left() + inner.width() * block / 8.0;
        egui::pos2(x, rect.center().y)
    };
    drag(&mut harness, at(5.0), at(2.5));
    assert_eq!(blocks(&harness), "2..=7");
    drag(&mut harness, at(7.99), at(4.5));
    assert_eq!(blocks(&harness), "2..=4");
    drag(&mut harness, at(3.5), at(1.5));
    assert_eq!(blocks(&harness), "0..=2");
    // Each drag was one step.
    for before in ["2..=4", "2..=7", "5..=7"] {
        harness.get_by_label("Undo").click();
        settle(&mut harness);
        assert_eq!(blocks(&harness), before);
    }
}

#[test]
fn a_row_is_dragged_to_another_place() {
    let mut session = super::full();
    session.view.active_row = None;
    let (mut harness, _) = app_with(session.clone());
    let rows = |harness: &App| harness.state().session().experiment.interventions.clone();
    let before = rows(&harness);
    let from = harness.get_by_label("Drag intervention 1").rect().center();
    let below = harness.get_by_label("Drag intervention 2").rect();
    drag(
        &mut harness,
        from,
        below.center_bottom() + egui::vec2(40.0, 16.0),
    );
    let moved = vec![before[1].clone(), before[0].clone(), before[2].clone()];
    assert_eq!(rows(&harness), moved);
    harness.get_by_label("Undo").click();
    settle(&mut harness);
    assert_eq!(rows(&harness), before);
    // Let go where it was, or outside of the list: nothing moves, and nothing is to be undone.
    let undo = harness.state().session().history.can_undo();
    let from = harness.get_by_label("Drag intervention 1").rect().center();
    drag(&mut harness, from, from + egui::vec2(30.0, 4.0));
    let from = harness.get_by_label("Drag intervention 1").rect().center();
    drag(&mut harness, from, egui::pos2(300.0, 300.0));
    assert_eq!(rows(&harness), before);
    assert_eq!(harness.state().session().history.can_undo(), undo);
}
