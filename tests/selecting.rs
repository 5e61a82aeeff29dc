//! Selecting patches in the real window, headless, with a made-up engine behind it: rectangle, lasso, rings, heat,
//! likeness, chance, kept selections.

#![cfg(feature = "gui")]
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed; the support is shared with other tests"
)]

mod support;

use egui::{Key, Modifiers, PointerButton, Pos2};
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use patchglass::index::choose;
use patchglass::session::{HeatKind, Session, Tool};
use support::fake_engine::GRID;
use support::{App, app, app_with, open, settle};

fn selected(harness: &App) -> String {
    harness.state().session().view.selection.to_string()
}

fn n_selected(harness: &App) -> usize {
    harness.state().session().view.selection.count(GRID)
}

fn at(harness: &App, row: usize, col: usize) -> Pos2 {
    let name = format!("Patch row {row} column {col}");
    harness.get_by_label(&name).rect().center()
}

/// Presses, goes along the points and lets go.
fn drag(harness: &mut App, points: &[Pos2], modifiers: Modifiers) {
    let button = |harness: &App, pos, pressed| {
        harness.event(egui::Event::PointerButton {
            pos,
            button: PointerButton::Primary,
            pressed,
            modifiers,
        });
    };
    harness.event(egui::Event::PointerMoved(points[0]));
    harness.step();
    button(harness, points[0], true);
    harness.step();
    for pos in points {
        harness.event(egui::Event::PointerMoved(*pos));
        harness.step();
    }
    button(harness, points[points.len() - 1], false);
    settle(harness);
}

fn key(harness: &mut App, modifiers: Modifiers, key: Key) {
    harness.key_press_modifiers(modifiers, key);
    settle(harness);
}

/// Brings the pane of the selection to the front.
fn show_pane(harness: &mut App) {
    harness.get_by_label("Selection").click();
    harness.run_steps(2);
}

fn click(harness: &mut App, label: &str) {
    harness.get_by_label(label).scroll_to_me();
    harness.run_steps(30);
    harness.get_by_label(label).click();
    settle(harness);
}

#[test]
fn a_rectangle_grows_shrinks_and_is_undone() {
    let (mut h, seen) = app();
    show_pane(&mut h);
    let n_runs = seen.lock().unwrap().len();
    key(&mut h, Modifiers::NONE, Key::S);
    let corners = [at(&h, 5, 4), at(&h, 8, 9)];
    drag(&mut h, &corners, Modifiers::SHIFT);
    assert_eq!(selected(&h), "r5c4-r8c9");
    key(&mut h, Modifiers::NONE, Key::CloseBracket);
    assert_eq!(selected(&h), "r4c3-r9c10");
    click(&mut h, "Grow");
    assert_eq!(selected(&h), "r3c2-r10c11");
    key(&mut h, Modifiers::NONE, Key::OpenBracket);
    assert_eq!(selected(&h), "r4c3-r9c10");
    key(&mut h, Modifiers::COMMAND, Key::U);
    assert_eq!(selected(&h), "r3c2-r10c11");
    key(&mut h, Modifiers::COMMAND | Modifiers::SHIFT, Key::U);
    assert_eq!(selected(&h), "r4c3-r9c10");
    // With Alt it takes away.
    let corners = [at(&h, 4, 3), at(&h, 9, 9)];
    drag(&mut h, &corners, Modifiers::SHIFT | Modifiers::ALT);
    assert_eq!(selected(&h), "r4c10-r9c10");
    key(&mut h, Modifiers::COMMAND, Key::I);
    assert_eq!(n_selected(&h), 576 - 6);
    key(&mut h, Modifiers::COMMAND, Key::A);
    assert_eq!(selected(&h), "all");
    key(&mut h, Modifiers::NONE, Key::Escape);
    assert_eq!(selected(&h), "none");
    assert!(!h.state().session().history.can_undo());
    assert_eq!(seen.lock().unwrap().len(), n_runs, "selecting runs nothing");
}

#[test]
fn a_lasso_selects_what_it_goes_round() {
    let (mut h, _) = app();
    show_pane(&mut h);
    key(&mut h, Modifiers::NONE, Key::L);
    assert_eq!(h.state().session().view.tool, Tool::Lasso);
    // Around the centres of a diamond.
    let round = [at(&h, 6, 10), at(&h, 10, 14), at(&h, 14, 10), at(&h, 10, 6)];
    let mut line: Vec<Pos2> = Vec::new();
    for (from, to) in round.iter().zip(round.iter().cycle().skip(1)) {
        line.extend((0..8).map(|i| from.lerp(*to, i as f32 / 8.0)));
    }
    drag(&mut h, &line, Modifiers::NONE);
    let n = n_selected(&h);
    assert!((25..=41).contains(&n), "{n}: {}", selected(&h));
    assert!(
        h.state()
            .session()
            .view
            .selection
            .contains("r10c7".parse().unwrap())
    );
    assert!(
        !h.state()
            .session()
            .view
            .selection
            .contains("r7c7".parse().unwrap())
    );
    // The same line with Alt takes all of it away again, in one step.
    drag(&mut h, &line, Modifiers::ALT);
    assert_eq!(selected(&h), "none");
    key(&mut h, Modifiers::COMMAND, Key::U);
    assert_eq!(n_selected(&h), n);
    // A click toggles one patch.
    let here = [at(&h, 1, 1)];
    drag(&mut h, &here, Modifiers::NONE);
    assert_eq!(n_selected(&h), n + 1);
    drag(&mut h, &here, Modifiers::NONE);
    assert_eq!(n_selected(&h), n);
}

#[test]
fn chance_draws_as_many_and_then_others() {
    let mut session = Session::demo();
    session.view.selection = "r5c4-r8c9".parse().unwrap();
    let (mut h, _) = app_with(session);
    show_pane(&mut h);
    key(&mut h, Modifiers::NONE, Key::R);
    assert_eq!(
        h.state().session().view.selection,
        choose::random(24, 0, GRID)
    );
    key(&mut h, Modifiers::NONE, Key::R);
    assert_eq!(
        h.state().session().view.selection,
        choose::random(24, 1, GRID)
    );
    click(&mut h, "Select last row");
    assert_eq!(selected(&h), "r23c0-r23c23");
}

#[test]
fn a_kept_selection_comes_back() {
    let mut session = Session::demo();
    session.view.selection = "r5c4-r8c9".parse().unwrap();
    let (mut h, _) = app_with(session);
    show_pane(&mut h);
    h.get_by_label("Name of the selection").scroll_to_me();
    h.run_steps(30);
    h.get_by_label("Name of the selection").focus();
    h.step();
    h.get_by_label("Name of the selection").type_text("crab");
    h.step();
    h.key_press(Key::Enter);
    settle(&mut h);
    key(&mut h, Modifiers::NONE, Key::Escape);
    assert_eq!(selected(&h), "none");
    click(&mut h, "crab  (24)");
    assert_eq!(selected(&h), "r5c4-r8c9");
    click(&mut h, "Rename crab");
    h.get_by_label("New name of crab").type_text("s");
    h.step();
    h.key_press(Key::Enter);
    settle(&mut h);
    let kept = &h.state().session().view.selections;
    assert!(kept.len() == 1 && kept[0].name.contains('s'), "{kept:?}");
    let name = format!("Delete {}", kept[0].name);
    click(&mut h, &name);
    assert!(h.state().session().view.selections.is_empty());
    key(&mut h, Modifiers::COMMAND, Key::U);
    assert_eq!(h.state().session().view.selections.len(), 1);
}

#[test]
fn likes_of_a_patch_are_selected_when_they_come() {
    let mut session = Session::demo();
    session.view.selection = "r10c10".parse().unwrap();
    let (mut h, _) = app_with(session);
    show_pane(&mut h);
    key(&mut h, Modifiers::NONE, Key::M);
    // The made-up cosine falls by 0.1 per patch: a disc of radius 2 has at least 0.8.
    assert_eq!(n_selected(&h), 13);
    let similar = h.state().session().readout.similar_to.unwrap();
    assert_eq!(similar.to_string(), "r10c10");
    assert!(!h.state().session().history.can_undo());
}

#[test]
fn the_heat_map_selects_by_its_threshold() {
    let mut session = Session::demo();
    session.view.heat = HeatKind::Norm;
    let (mut h, _) = app_with(session);
    show_pane(&mut h);
    click(&mut h, "Select by heat, likeness or chance");
    let slider = h.get_by(|n| {
        n.role() == egui::accesskit::Role::Slider && n.label().as_deref() == Some("Heat threshold")
    });
    slider.focus();
    h.step();
    h.key_press(Key::ArrowRight);
    settle(&mut h);
    // The made-up norm is 10 + row + column, so the scale is 10..=56 and a little more than half selects a triangle.
    let n = n_selected(&h);
    assert!((200..=300).contains(&n), "{n}");
    assert!(
        h.state()
            .session()
            .view
            .selection
            .contains("r23c23".parse().unwrap())
    );
    click(&mut h, "below");
    assert!(
        h.state()
            .session()
            .view
            .selection
            .contains("r0c0".parse().unwrap())
    );
    let above = h.get_by_label("above");
    assert!(above.accesskit_node().toggled().is_some());
}

#[test]
fn the_selection_is_drawn_in_dark_and_light() {
    if support::adapter::is_skipped() {
        return;
    }
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("../window");
    std::fs::create_dir_all(&folder).unwrap();
    for (theme, name) in [(egui::Theme::Dark, "dark"), (egui::Theme::Light, "light")] {
        let mut session = Session::demo();
        session.view.selection = "r5c4-r8c9".parse().unwrap();
        session.view.selections = serde_json::from_str(
            r#"[{"name":"crab","patches":"r5c4-r8c9"},{"name":"background","patches":"r0c0-r3c23"}]"#,
        )
        .unwrap();
        let (mut h, _) = open(session, [1280.0, 800.0], theme);
        settle(&mut h);
        show_pane(&mut h);
        click(&mut h, "Select by heat, likeness or chance");
        h.get_by_label("Delete background").scroll_to_me();
        h.run_steps(60);
        let file = folder.join(format!("selection-{name}.png"));
        h.render().unwrap().save(file).unwrap();
    }
}
