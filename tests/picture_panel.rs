//! The picture panel, driven as a person drives it: clicks, drags, rectangles, keys, hover, and its looks.

#![cfg(feature = "gui")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

#[path = "support/picture.rs"]
mod support;

#[path = "support/adapter.rs"]
mod adapter;

#[path = "picture_panel/looks.rs"]
mod looks;

use egui::accesskit::Toggled;
use egui::{Event, Key, Modifiers, PointerButton, Pos2, pos2, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use patchglass::engine::protocol::Stage;
use patchglass::index::PatchGrid;
use patchglass::session::{Command, HeatKind, Tool};
use patchglass::ui::theme::Theme;
use support::Host;

type Window = Harness<'static, Host>;

const GRID: PatchGrid = PatchGrid::new(24, 24);

fn window(grid: PatchGrid, size: egui::Vec2, theme: Theme) -> Window {
    let egui_theme = if theme.dark {
        egui::Theme::Dark
    } else {
        egui::Theme::Light
    };
    let builder = Harness::builder()
        .with_size(size)
        .with_theme(egui_theme)
        .with_os(egui::os::OperatingSystem::Nix)
        .with_render_cursor(false);
    let mut h = adapter::with_wgpu(builder).build_eframe(move |cc| {
        patchglass::ui::style::install(&cc.egui_ctx);
        let mut host = Host::new(grid, cc);
        host.theme = theme;
        host
    });
    h.run_steps(4);
    h
}

fn small() -> Window {
    window(GRID, vec2(700.0, 760.0), Theme::dark())
}

fn name(row: usize, col: usize) -> String {
    format!("Patch row {row} column {col}")
}

fn center(h: &Window, row: usize, col: usize) -> Pos2 {
    h.get_by_label(&name(row, col)).rect().center()
}

fn toggled(h: &Window, row: usize, col: usize) -> bool {
    let name = name(row, col);
    let node = h.get_by_label(&name);
    node.accesskit_node().toggled() == Some(Toggled::True)
}

fn button(h: &Window, pos: Pos2, button: PointerButton, pressed: bool, modifiers: Modifiers) {
    h.event(Event::PointerButton {
        pos,
        button,
        pressed,
        modifiers,
    });
}

/// Presses, moves through the points, releases; a few frames for each.
fn drag(h: &mut Window, points: &[Pos2], with: PointerButton, modifiers: Modifiers) {
    h.event(Event::PointerMoved(points[0]));
    h.run_steps(1);
    button(h, points[0], with, true, modifiers);
    h.run_steps(1);
    for point in &points[1..] {
        h.event(Event::PointerMoved(*point));
        h.run_steps(1);
    }
    button(h, points[points.len() - 1], with, false, modifiers);
    h.run_steps(2);
}

fn paint(h: &mut Window, points: &[Pos2], modifiers: Modifiers) -> Vec<(String, bool, u64)> {
    h.state_mut().take_painted();
    drag(h, points, PointerButton::Primary, modifiers);
    h.state_mut().take_painted()
}

#[test]
fn a_click_is_one_paint() {
    let mut h = small();
    h.get_by_label("Patch row 7 column 19").click();
    h.run_steps(3);
    let painted = h.state_mut().take_painted();
    assert_eq!(painted, [("r7c19".to_owned(), true, 1)]);
    assert!(toggled(&h, 7, 19) && !toggled(&h, 7, 18));
    h.get_by_label("Patch row 7 column 19").click();
    h.run_steps(3);
    let painted = h.state_mut().take_painted();
    assert_eq!(painted, [("r7c19".to_owned(), false, 2)]);
    assert!(!toggled(&h, 7, 19));
}

#[test]
fn a_click_without_a_pointer_is_one_paint() {
    let mut h = small();
    h.get_by_label("Patch row 23 column 0").click_accesskit();
    h.run_steps(3);
    assert_eq!(h.state_mut().take_painted().len(), 1);
    assert!(toggled(&h, 23, 0));
}

#[test]
fn a_press_and_release_in_one_frame_counts() {
    let mut h = small();
    let at = center(&h, 3, 4);
    let input = h.input_mut();
    input.events.push(Event::PointerMoved(at));
    for pressed in [true, false] {
        input.events.push(Event::PointerButton {
            pos: at,
            button: PointerButton::Primary,
            pressed,
            modifiers: Modifiers::NONE,
        });
    }
    h.run_steps(2);
    assert_eq!(h.state_mut().take_painted().len(), 1);
}

#[test]
fn a_fast_drag_paints_each_patch_once() {
    let mut h = small();
    // Down along a column and back, then along a row: two events for many cells.
    let points = [center(&h, 2, 3), center(&h, 20, 3), center(&h, 20, 14)];
    let painted = paint(&mut h, &points, Modifiers::NONE);
    let mut names: Vec<_> = painted.iter().map(|(name, ..)| name.clone()).collect();
    assert_eq!(names.len(), 30, "{names:?}");
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 30, "a patch was painted twice");
    assert!(
        painted
            .iter()
            .all(|(_, on, gesture)| *on && *gesture == painted[0].2)
    );
    // Back over the same way with the state of the first cell: off.
    let painted = paint(&mut h, &points, Modifiers::NONE);
    assert!(painted.len() == 30 && painted.iter().all(|(_, on, _)| !on));
    assert_eq!(
        h.state().session.painted().map(|(_, p)| p.is_empty()),
        Some(true)
    );
}

#[test]
fn alt_switches_off() {
    let mut h = small();
    let points = [center(&h, 5, 5), center(&h, 5, 8)];
    paint(&mut h, &points, Modifiers::NONE);
    let beside = [center(&h, 5, 9), center(&h, 5, 5)];
    let painted = paint(&mut h, &beside, Modifiers::ALT);
    assert!(painted.len() == 5 && painted.iter().all(|(_, on, _)| !on));
    assert!(!toggled(&h, 5, 6));
}

#[test]
fn shift_draws_a_rectangle() {
    let mut h = small();
    // From the lower right to the upper left, and out of the picture on the way.
    let points = [center(&h, 9, 12), pos2(-50.0, -50.0), center(&h, 7, 9)];
    let painted = paint(&mut h, &points, Modifiers::SHIFT);
    assert_eq!(painted.len(), 12);
    assert!(
        painted
            .iter()
            .all(|(_, on, gesture)| *on && *gesture == painted[0].2)
    );
    let (_, patches) = h.state().session.painted().unwrap();
    assert_eq!(patches.to_string(), "r7c9-r9c12");
}

#[test]
fn the_select_tool_selects() {
    let mut h = small();
    h.state_mut().session.view.tool = Tool::Select;
    let points = [center(&h, 1, 1), center(&h, 1, 4)];
    drag(&mut h, &points, PointerButton::Primary, Modifiers::NONE);
    assert_eq!(h.state().session.view.selection.to_string(), "r1c1-r1c4");
    assert!(toggled(&h, 1, 2) && h.state().session.painted().is_none());
    h.state_mut().session.view.tool = Tool::Ablate;
    h.run_steps(1);
    assert!(!toggled(&h, 1, 2));
}

#[test]
fn a_drag_from_outside_does_nothing() {
    let mut h = small();
    let below = pos2(350.0, 750.0);
    let points = [below, center(&h, 12, 12), center(&h, 3, 3)];
    assert_eq!(paint(&mut h, &points, Modifiers::NONE), []);
}

#[test]
fn every_grid_works() {
    let grid = PatchGrid::new(3, 5);
    let mut h = window(grid, vec2(640.0, 640.0), Theme::dark());
    h.get_by_label("Patch row 2 column 4").click();
    h.run_steps(2);
    assert_eq!(h.state_mut().take_painted()[0].0, "r2c4");
    let points = [center(&h, 0, 0), center(&h, 0, 4)];
    assert_eq!(paint(&mut h, &points, Modifiers::NONE).len(), 5);
}

#[test]
fn hover_shows_a_card_with_five_words() {
    let mut h = small();
    let at = center(&h, 5, 10);
    h.event(Event::PointerMoved(at));
    h.run_steps(4);
    assert!(h.query_by_label_contains("r5c10 · after block 7").is_some());
    let shown = &h.state().trace.as_ref().unwrap().model.vocabulary;
    let trace = h.state().trace.as_ref().unwrap();
    let readout = trace.edited.levels[7].clone().unwrap();
    for (id, prob) in readout.top(5 * 24 + 10) {
        let line = format!(
            "{} {}",
            shown.piece(id),
            patchglass::ui::labels::probability(prob)
        );
        assert!(h.query_by_label(&line).is_some(), "{line}");
    }
    h.event(Event::PointerGone);
    h.run_steps(3);
    assert!(h.query_by_label_contains("r5c10 ·").is_none());
}

#[test]
fn the_wheel_zooms_and_the_right_patch_is_hit() {
    let mut h = small();
    let at = center(&h, 10, 10);
    let before = h.get_by_label(&name(10, 10)).rect();
    zoom(&mut h, at, 3.0);
    let after = h.get_by_label(&name(10, 10)).rect();
    assert!(after.width() > 2.5 * before.width(), "{after:?}");
    assert!(after.contains(at));
    h.get_by_label(&name(11, 10)).click();
    h.run_steps(2);
    assert_eq!(
        h.state_mut().take_painted(),
        [("r11c10".to_owned(), true, 1)]
    );
    // Pan with the right button, without painting.
    drag(
        &mut h,
        &[at, at + vec2(120.0, 60.0)],
        PointerButton::Secondary,
        Modifiers::NONE,
    );
    let moved = h.get_by_label(&name(10, 10)).rect().center() - after.center();
    assert!((moved - vec2(120.0, 60.0)).length() < 2.5, "{moved:?}");
    assert_eq!(h.state_mut().take_painted(), []);
    h.key_press(Key::Num0);
    h.run_steps(2);
    assert_eq!(h.get_by_label(&name(10, 10)).rect(), before);
}

fn zoom(h: &mut Window, at: Pos2, factor: f32) {
    h.event(Event::PointerMoved(at));
    h.run_steps(1);
    h.event(Event::Zoom(factor));
    h.run_steps(3);
}

#[test]
fn the_wheel_zooms() {
    let mut h = small();
    let at = center(&h, 10, 10);
    let before = h.get_by_label(&name(10, 10)).rect().width();
    h.event(Event::PointerMoved(at));
    h.event(Event::MouseWheel {
        unit: egui::MouseWheelUnit::Point,
        delta: vec2(0.0, 300.0),
        phase: egui::TouchPhase::Move,
        source: egui::MouseWheelSource::Unknown,
        modifiers: Modifiers::NONE,
    });
    h.run_steps(30);
    let after = h.get_by_label(&name(10, 10)).rect().width();
    assert!(after > 2.0 * before, "{before} {after}");
}

#[test]
fn the_keyboard_reaches_every_patch() {
    let mut h = small();
    h.get_by_label("Picture").focus();
    h.run_steps(2);
    for key in [Key::ArrowDown, Key::ArrowDown, Key::ArrowRight, Key::Enter] {
        h.key_press(key);
        h.run_steps(1);
    }
    assert_eq!(h.state_mut().take_painted()[0].0, "r2c1");
}

#[test]
fn a_word_is_sent_when_typing_ends() {
    let mut h = small();
    h.state_mut().session.view.heat = HeatKind::Word;
    h.run_steps(3);
    h.get_by(|n| {
        n.role() == egui::accesskit::Role::TextInput && n.label().as_deref() == Some("Word")
    })
    .focus();
    h.run_steps(2);
    h.event(Event::Text("banana".to_owned()));
    h.run_steps(2);
    h.key_press(Key::Enter);
    h.run_steps(3);
    assert!(
        h.state()
            .sent
            .contains(&Command::SetWord("banana".to_owned()))
    );
    assert!(
        h.query_by_label_contains("banana → ␣banana first of 2 tokens")
            .is_some()
    );
}

#[test]
fn holding_c_shows_the_clean_run() {
    let mut h = small();
    h.key_down(Key::C);
    h.run_steps(40);
    assert!(h.state().session.view.show_clean);
    h.key_up(Key::C);
    h.run_steps(2);
    assert!(!h.state().session.view.show_clean);
}

#[test]
fn it_says_what_goes_on_before_there_is_a_picture() {
    let mut h = small();
    h.state_mut().trace = None;
    h.state_mut().progress = Some((Stage::LoadingModel, 0.4));
    h.run_steps(2);
    assert!(h.query_by_label_contains("Loading the model").is_some());
    h.state_mut().progress = None;
    h.state_mut().error = Some("picture.png does not exist: check the path".to_owned());
    h.run_steps(2);
    assert!(h.query_by_label_contains("does not exist").is_some());
}

#[test]
fn a_frame_is_fast() {
    let mut h = window(GRID, vec2(1000.0, 1060.0), Theme::dark());
    h.run_steps(10);
    h.state_mut().times.clear();
    h.run_steps(30);
    let mut times = h.state().times.clone();
    times.sort_by(f64::total_cmp);
    println!(
        "ui() of the panel with 576 words: {:.2} ms (median), {:.2} ms (95 %)",
        times[15], times[28]
    );
}

#[test]
fn without_a_shader_the_same_is_drawn() {
    if adapter::is_skipped() {
        return;
    }
    let render = |with_shader: bool| {
        let mut h = small();
        if !with_shader {
            h.state_mut().panel = patchglass::ui::image_grid::ImageGrid::new(None);
        }
        // Unknown values are part of it.
        let trace = h.state_mut().trace.as_mut().unwrap();
        let mut run = (*trace.edited).clone();
        let mut level = (**run.levels[7].as_ref().unwrap()).clone();
        level.probs[0] = f32::NAN;
        run.levels[7] = Some(std::sync::Arc::new(level));
        trace.edited = std::sync::Arc::new(run);
        h.run_steps(3);
        h.render().unwrap()
    };
    let (with, without) = (render(true), render(false));
    let differs = |(a, b): &(&image::Rgba<u8>, &image::Rgba<u8>)| {
        a.0.iter().zip(b.0).any(|(a, b)| a.abs_diff(b) > 5)
    };
    let n = with.pixels().zip(without.pixels()).filter(differs).count();
    println!("{n} pixels differ between the shader and the cells");
    // Where two grid lines cross, rectangles lie over each other.
    assert!(n <= 23 * 23, "{n} pixels differ");
}

#[test]
fn a_double_click_with_the_wheel_shows_all_again() {
    let mut h = small();
    let at = center(&h, 10, 10);
    let before = h.get_by_label(&name(10, 10)).rect();
    zoom(&mut h, at, 3.0);
    // In one frame: a frame of the harness lasts longer than a double click may.
    for pressed in [true, false, true, false] {
        h.input_mut().events.push(Event::PointerButton {
            pos: at,
            button: PointerButton::Middle,
            pressed,
            modifiers: Modifiers::NONE,
        });
    }
    h.run_steps(2);
    assert_eq!(h.get_by_label(&name(10, 10)).rect(), before);
}

#[test]
fn words_of_another_picture_are_not_shown() {
    let mut h = small();
    h.state_mut().previous = h.state_mut().trace.clone();
    let trace = h.state_mut().trace.as_mut().unwrap();
    (trace.edited, trace.baseline) = Default::default();
    h.event(Event::PointerMoved(center(&h, 5, 10)));
    h.run_steps(4);
    assert!(
        h.query_by_label_contains("r5c10 · after block 7 reading…")
            .is_some()
    );
    let stale = h.query_all_by_label_contains("␣").count();
    assert!(stale >= 4, "the words of the run before stay: {stale}");
    let trace = h.state_mut().trace.as_mut().unwrap();
    let mut picture = (*trace.picture).clone();
    picture.revision += 1;
    trace.picture = std::sync::Arc::new(picture);
    h.run_steps(2);
    assert_eq!(h.query_all_by_label_contains("␣").count(), 0);
}
