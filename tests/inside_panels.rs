//! Attention, attribution, kept runs and the comparison of before and after in the real window, headless, with a made-up
//! engine behind it; and pictures of every state of every pane, to be looked at.

#![cfg(feature = "gui")]
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed; the support is shared with other tests"
)]

mod support;

use egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use patchglass::session::{Command, HeatKind, Session, update};
use patchglass::spec::{AttentionSpec, AttributionSpec, HeadMap};
use support::fake_engine::CLEAN;
use support::gallery::full;
use support::{App, app, app_with, ask, open, settle, wait};

/// Brings a pane to the front.
fn show(harness: &mut App, pane: &str) {
    harness.get_by_label(pane).click();
    harness.run_steps(2);
}

fn click(harness: &mut App, label: &str) {
    harness.get_by_label(label).scroll_to_me();
    harness.run_steps(30);
    harness.get_by_label(label).click();
    settle(harness);
}

fn value(harness: &App, label: &str) -> String {
    let node = harness.get_by_label(label);
    node.accesskit_node().value().unwrap_or_default()
}

fn reading() -> Session {
    let mut session = full();
    session.readout.attention = Some(AttentionSpec::default());
    session.readout.attribution = Some(AttributionSpec::default());
    session
}

#[test]
fn attention_is_read_when_asked_for_and_a_head_is_put_on_the_picture() {
    let (mut h, seen) = app();
    show(&mut h, "Attention");
    let n = seen.lock().unwrap().len();
    assert!(seen.lock().unwrap()[n - 1].readout.attention.is_none());
    click(&mut h, "Read attention");
    let asked = seen.lock().unwrap().last().unwrap().readout.clone();
    assert_eq!(asked.attention, Some(AttentionSpec::default()));
    assert_eq!(h.state().session().view.heat, HeatKind::Attention);
    // The keyboard's way to a head: focus and arrows.
    h.get_by_label("Attention of blocks and heads").focus();
    h.run_steps(3);
    h.key_press(Key::ArrowDown);
    settle(&mut h);
    h.key_press(Key::ArrowRight);
    settle(&mut h);
    let map = h.state().session().view.inside.attention;
    assert_eq!(map, HeadMap::Head(1, 1));
    assert!(value(&h, "Attention of blocks and heads").contains("block 1 head 1"));
    let before = seen.lock().unwrap().len();
    assert!(before == n + 1, "looking at another head is no run");
    click(&mut h, "rollout");
    let asked = seen.lock().unwrap().last().unwrap().readout.clone();
    assert!(asked.attention.unwrap().rollout);
    click(&mut h, "Stop reading attention");
    assert!(h.state().session().readout.attention.is_none());
}

#[test]
fn sinks_are_left_out_of_the_scale() {
    let (mut h, _) = app_with(Session {
        readout: reading().readout,
        ..Session::demo()
    });
    show(&mut h, "Attention");
    click(&mut h, "mean of heads");
    let legend = |h: &App| {
        let node = h.get_by_label_contains("Legend: Attention");
        node.accesskit_node().label().unwrap_or_default()
    };
    let with = legend(&h);
    h.get_by_label_contains("Scale without 2 sinks").click();
    settle(&mut h);
    assert!(h.state().session().view.inside.without_sinks);
    assert_ne!(legend(&h), with);
}

#[test]
fn an_attribution_is_of_the_token_that_is_chosen() {
    let (mut h, seen) = app();
    show(&mut h, "Attribution");
    click(&mut h, "Take a logit apart");
    assert!(value(&h, "Attribution to the blocks").contains("block 7: attention"));
    h.get_by_label_contains("Logit of A:");
    click(&mut h, "Attributed token");
    click(&mut h, "2 ,");
    let asked = seen.lock().unwrap().last().unwrap().readout.clone();
    assert_eq!(asked.attribution.unwrap().token, 2);
    // A token that the answer does not have is said in words.
    let mut session = Session::demo();
    let token = CLEAN.len() + 1;
    session.readout.attribution = Some(AttributionSpec { token, maps: false });
    let (mut h, _) = app_with(session);
    show(&mut h, "Attribution");
    h.get_by_label_contains("this is not one of them");
}

#[test]
fn the_answer_before_is_told_under_the_edit() {
    let (mut h, _) = app_with(full());
    let told = value(&h, "Answer before, under the edit");
    assert!(
        told.contains("dinosaur") && told.contains("would say ␣pepper"),
        "{told}"
    );
    h.get_by_label_contains("flipped · KL");
    let (mut clean, _) = app();
    clean.step();
    assert!(
        clean
            .query_by_label("Answer before, under the edit")
            .is_none()
    );
    h.step();
}

#[test]
fn a_kept_run_comes_back_at_once_and_that_is_undone() {
    let (mut h, seen) = app_with(full());
    show(&mut h, "Runs");
    h.key_press_modifiers(Modifiers::COMMAND | Modifiers::SHIFT, Key::K);
    settle(&mut h);
    let kept = h.state().session().experiment.clone();
    assert_eq!(h.state().session().runs.list[0].experiment, kept);
    ask(&mut h, "Something else?");
    let other = h.state().session().experiment.clone();
    let n = seen.lock().unwrap().len();
    h.get_by_label_contains("Show run 1:").click();
    settle(&mut h);
    assert_eq!(h.state().session().experiment, kept);
    assert_eq!(seen.lock().unwrap().len(), n + 1);
    h.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    settle(&mut h);
    assert_eq!(h.state().session().experiment, other);
    click(&mut h, "Rename run 1");
    h.key_press_modifiers(Modifiers::COMMAND, Key::A);
    h.step();
    h.get_by_label("Name of the run").type_text("the flip");
    h.step();
    h.key_press(Key::Enter);
    settle(&mut h);
    assert_eq!(h.state().session().runs.list[0].name, "the flip");
    click(&mut h, "Delete run 1");
    assert!(h.state().session().runs.list.is_empty());
    click(&mut h, "Bring back");
    assert_eq!(h.state().session().runs.list.len(), 1);
}

#[test]
fn three_pictures_share_a_cursor() {
    let (mut h, _) = app_with(full());
    h.key_press(Key::B);
    settle(&mut h);
    assert!(h.state().session().view.compare);
    let name = "Patch row 7 column 3";
    let cells: Vec<_> = h.get_all_by_label(name).map(|node| node.rect()).collect();
    assert_eq!(cells.len(), 3);
    // All of a size, so that one zoom serves them.
    assert!(
        cells
            .iter()
            .all(|cell| (cell.width() - cells[0].width()).abs() < 1.5)
    );
    assert!(cells[1].left() > cells[0].left());
    h.key_press(Key::B);
    settle(&mut h);
    assert_eq!(h.get_all_by_label(name).count(), 1);
}

#[test]
fn every_state_of_the_panes_is_drawn() {
    if support::adapter::is_skipped() {
        return;
    }
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("../inside");
    std::fs::create_dir_all(&folder).unwrap();
    for theme in [egui::Theme::Dark, egui::Theme::Light] {
        for pane in [
            "Attention",
            "Attribution",
            "Runs",
            "Question and answer",
            "compare",
        ] {
            for state in ["empty", "running", "full", "error"] {
                let mut h = state_of(pane, state, theme);
                let theme = format!("{theme:?}").to_lowercase();
                let name = format!(
                    "{}-{state}-{theme}.png",
                    pane.to_lowercase().replace(' ', "-")
                );
                h.render().unwrap().save(folder.join(name)).unwrap();
            }
        }
    }
}

fn state_of(pane: &str, state: &str, theme: egui::Theme) -> App {
    let mut session = match state {
        "empty" => Session::demo(),
        _ => reading(),
    };
    match pane {
        "Attention" => {
            session.view.heat = HeatKind::Attention;
            session.view.inside.attention = HeadMap::Head(5, 3);
        }
        "Attribution" => session.view.heat = HeatKind::Attribution,
        "Runs" if state != "empty" => {
            for name in ["A pepper, a pepper and a banjo", "half of it"] {
                let name = name.to_owned();
                update(&mut session, Command::KeepRun { name, made: 0 });
                update(&mut session, Command::SetPrompt(format!("{state}?")));
            }
            update(&mut session, Command::Undo);
        }
        "compare" => session.view.compare = true,
        _ => {}
    }
    match state {
        "running" => session.experiment.prompt = "hang".to_owned(),
        "error" => session.experiment.prompt = "fail".to_owned(),
        _ => {}
    }
    let (mut h, _) = open(session, [1280.0, 800.0], theme);
    match state {
        "running" => wait(&mut h, "the run has begun", |app| app.trace().is_some()),
        _ => settle(&mut h),
    }
    if pane != "compare" {
        show(&mut h, pane);
    }
    h.run_steps(3);
    h
}
