//! A card without room: the window offers the CPU and goes on.

use egui::Key;
use egui_kittest::kittest::Queryable as _;
use patchglass::spec::SweepKind;

use super::support::{app, ask, settle};
use super::value;

#[test]
fn a_card_without_room_offers_the_cpu() {
    let (mut harness, seen) = app();
    ask(&mut harness, "large");
    settle(&mut harness);
    assert!(value(&harness, "Error").contains("not enough memory"));
    assert!(
        !value(&harness, "Answer before").is_empty(),
        "the last result stays"
    );
    harness.get_by_label("Use the CPU").click();
    settle(&mut harness);
    assert!(harness.query_by_label("Error").is_none());
    let seen = seen.lock().unwrap();
    assert!(seen.last().unwrap().on_cpu && !seen[0].on_cpu);
}

#[test]
fn a_sweep_that_does_not_fit_goes_on_on_the_cpu() {
    let (mut harness, seen) = app();
    ask(&mut harness, "large sweep");
    harness.key_press(Key::I);
    harness.step();
    settle(&mut harness);
    assert!(value(&harness, "Error").contains("not enough memory"));
    harness.get_by_label("Use the CPU").click();
    settle(&mut harness);
    harness.key_press(Key::I);
    harness.step();
    settle(&mut harness);
    assert!(harness.query_by_label("Error").is_none());
    let sweep = harness.state().sweep(SweepKind::Patches).unwrap();
    assert!(sweep.is_complete());
    let last = seen.lock().unwrap().last().unwrap().clone();
    assert!(last.on_cpu && last.sweep.is_some());
}
