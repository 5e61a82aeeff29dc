//! Habits in the real window, headless: names for screen readers, palette, patch cursor, panes, presentation, tours,
//! what comes back after a crash.

use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use patchglass::app::Folders;
use patchglass::session::{Command, Session, file, recorded};
use patchglass::spec::PictureSource;
use patchglass::ui::pane::Pane;

use super::support::{App, app, app_with, open, open_in, settle, wait};
use super::{painted, value};

/// Interactive nodes without a name.
fn unnamed(harness: &App) -> Vec<String> {
    let interactive = |role: Role| {
        matches!(
            role,
            Role::Button
                | Role::CheckBox
                | Role::RadioButton
                | Role::ComboBox
                | Role::Slider
                | Role::SpinButton
                | Role::TextInput
                | Role::MultilineTextInput
                | Role::Link
                | Role::ColorWell
        )
    };
    let mut todo = vec![harness.root()];
    let (mut found, mut named) = (Vec::new(), 0);
    while let Some(node) = todo.pop() {
        let inner = node.accesskit_node();
        let name = inner.label().unwrap_or_default();
        named += usize::from(interactive(inner.role()) && !name.trim().is_empty());
        if interactive(inner.role()) && name.trim().is_empty() {
            found.push(format!("{:?} at {:?}", inner.role(), node.rect()));
        }
        todo.extend(node.children());
    }
    assert!(named > 600, "the patches alone are 576, found {named}");
    found
}

#[test]
fn every_control_of_the_window_has_a_name() {
    let (mut harness, _) = app_with(super::full());
    for pane in Pane::ALL {
        if !harness.state().is_open(*pane) {
            continue;
        }
        if *pane != Pane::Picture {
            harness
                .get_by(|n| n.role() == Role::Button && n.label().as_deref() == Some(pane.title()))
                .click();
        }
        settle(&mut harness);
        let unnamed = unnamed(&harness);
        assert!(unnamed.is_empty(), "{pane:?}: {unnamed:?}");
    }
    for menu in ["File", "Edit", "View", "Help"] {
        harness.get_by_label(menu).click();
        harness.run_steps(3);
        assert!(
            unnamed(&harness).is_empty(),
            "{menu}: {:?}",
            unnamed(&harness)
        );
        harness.key_press(Key::Escape);
        harness.run_steps(3);
    }
}

#[test]
fn the_palette_by_keyboard_alone() {
    let (mut harness, _) = app();
    harness.key_press_modifiers(Modifiers::COMMAND, Key::K);
    harness.run_steps(2);
    harness.get_by_label("Command").type_text("lev 3");
    harness.run_steps(2);
    assert!(harness.query_by_label("Command: Level 3").is_some());
    harness.key_press(Key::Enter);
    settle(&mut harness);
    assert_eq!(harness.state().session().view.level, Some(3));
    assert!(harness.query_by_label("Command").is_none(), "it closes");
    harness.key_press_modifiers(Modifiers::COMMAND, Key::K);
    harness.run_steps(2);
    harness.key_press(Key::ArrowDown);
    harness.run_steps(2);
    let second = harness.get_by_label("Command: Open session…");
    assert!(
        second.accesskit_node().is_selected().unwrap_or(false)
            || second.accesskit_node().toggled().is_some()
    );
    harness.key_press(Key::Escape);
    harness.run_steps(2);
    assert!(harness.query_by_label("Command").is_none());
}

/// What is typed at once, before a frame is drawn, is the field's and no shortcut's.
#[test]
fn letters_after_the_palettes_key_are_typed() {
    let (mut harness, _) = app();
    let before = harness.state().session().clone();
    let key = |key, modifiers, pressed| egui::Event::Key {
        key,
        physical_key: None,
        pressed,
        repeat: false,
        modifiers,
    };
    let type_fast = |harness: &mut App, opens: Key, steps: usize| {
        let events = &mut harness.input_mut().events;
        events.push(key(opens, Modifiers::COMMAND, true));
        events.push(key(opens, Modifiers::COMMAND, false));
        harness.run_steps(steps);
        let events = &mut harness.input_mut().events;
        for (letter, text) in [(Key::R, "r"), (Key::E, "e"), (Key::S, "s"), (Key::G, "g")] {
            events.push(key(letter, Modifiers::NONE, true));
            events.push(egui::Event::Text(text.to_owned()));
            events.push(key(letter, Modifiers::NONE, false));
        }
        harness.run_steps(2);
    };
    for (opens, field) in [(Key::K, "Command"), (Key::L, "Path")] {
        for steps in [0, 1, 2] {
            type_fast(&mut harness, opens, steps);
            assert_eq!(value(&harness, field), "resg", "{field}, {steps} frames");
            assert_eq!(harness.state().session().view, before.view);
            harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
            harness.step();
            harness.key_press(Key::Backspace);
            harness.step();
            harness.key_press(Key::Escape);
            harness.run_steps(2);
            assert!(harness.query_by_label(field).is_none());
        }
    }
    // With Shift the key still means something else.
    harness.key_press_modifiers(Modifiers::COMMAND | Modifiers::SHIFT, Key::K);
    settle(&mut harness);
    assert_eq!(harness.state().session().runs.list.len(), 1);
}

#[test]
fn a_cursor_moves_over_the_patches_and_clicks() {
    let (mut harness, _) = app();
    for key in [Key::ArrowRight, Key::ArrowRight, Key::ArrowDown] {
        harness.key_press_modifiers(Modifiers::SHIFT, key);
        harness.run_steps(2);
    }
    assert_eq!(
        harness.state().session().view.level,
        None,
        "the level stays"
    );
    assert!(
        harness.query_by_label_contains("r13c13 ·").is_some(),
        "the card is shown"
    );
    harness.key_press(Key::Enter);
    settle(&mut harness);
    assert_eq!(painted(&harness), "r13c13");
    harness.key_press(Key::Escape);
    harness.run_steps(2);
    assert!(harness.query_by_label_contains("r13c13 ·").is_none());
}

#[test]
fn panes_close_and_come_back_and_the_layout_is_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let folders = Folders::at(dir.path());
    let (mut harness, _) = open_in(
        Session::demo(),
        [1280.0, 800.0],
        egui::Theme::Dark,
        folders.clone(),
    );
    settle(&mut harness);
    harness.get_by_label("Sweep").click();
    harness.run_steps(2);
    harness.get_by_label("Close Sweep").click();
    harness.run_steps(3);
    assert!(!harness.state().is_open(Pane::Sweep));
    drop(harness);
    let (mut harness, _) = open_in(Session::demo(), [1280.0, 800.0], egui::Theme::Dark, folders);
    settle(&mut harness);
    assert!(!harness.state().is_open(Pane::Sweep) && harness.state().is_open(Pane::Answer));
    harness.get_by_label("View").click();
    harness.run_steps(3);
    harness.get_by_label("Reset layout").click();
    settle(&mut harness);
    assert!(harness.state().is_open(Pane::Sweep));
}

#[test]
fn a_lost_session_is_offered_and_brought_back() {
    let dir = tempfile::tempdir().unwrap();
    let folders = Folders::at(dir.path());
    let (mut harness, _) = open_in(
        Session::demo(),
        [1280.0, 800.0],
        egui::Theme::Dark,
        folders.clone(),
    );
    settle(&mut harness);
    assert!(harness.query_by_label("Bring back").is_none());
    let own = dir.path().join("whose is it.json");
    file::save(harness.state().session(), &own).unwrap();
    harness.key_press_modifiers(Modifiers::COMMAND, Key::L);
    harness.run_steps(2);
    let path = own.to_str().unwrap();
    harness.get_by_label("Path").type_text(path);
    harness.run_steps(2);
    harness.key_press(Key::Enter);
    harness.run_steps(2);
    settle(&mut harness);
    harness
        .state()
        .send(Command::SetPrompt("Where is it?".to_owned()));
    settle(&mut harness);
    // Time of the harness runs with its steps.
    harness.run_steps(60);
    drop(harness);
    let (mut harness, _) = open_in(Session::demo(), [1280.0, 800.0], egui::Theme::Dark, folders);
    settle(&mut harness);
    harness.get_by_label("Bring back").click();
    harness.step();
    settle(&mut harness);
    let experiment = &harness.state().session().experiment;
    assert_eq!(experiment.prompt, "Where is it?");
    assert_eq!(experiment.picture, PictureSource::Demo);
    assert!(harness.query_by_label("Bring back").is_none());
    assert!(harness.query_by_label_contains("whose is it").is_some());
    harness.key_press_modifiers(Modifiers::COMMAND, Key::S);
    harness.step();
    settle(&mut harness);
    let saved = file::load(&own).unwrap();
    assert_eq!(saved.experiment.prompt, "Where is it?");
}

#[test]
fn the_models_window_has_the_models_that_were_used_last() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("my-llava");
    std::fs::create_dir(&model).unwrap();
    let folders = Folders::at(dir.path());
    let (mut harness, seen) = open_in(
        Session::demo(),
        [1280.0, 800.0],
        egui::Theme::Light,
        folders,
    );
    settle(&mut harness);
    let source = patchglass::spec::ModelSource::Folder(model.clone());
    harness.state().send(Command::SetModel(source.clone()));
    settle(&mut harness);
    harness
        .state()
        .send(Command::SetModel(patchglass::spec::ModelSource::Demo));
    settle(&mut harness);
    harness.key_press_modifiers(Modifiers::COMMAND, Key::M);
    harness.run_steps(3);
    super::support::gallery::save(&mut harness, "models");
    harness.get_by_label_contains("my-llava").click();
    harness.run_steps(2);
    settle(&mut harness);
    assert_eq!(
        seen.lock().unwrap().last().unwrap().experiment.model,
        source
    );
}

#[test]
fn a_presentation_shows_no_controls() {
    let (mut harness, _) = app();
    harness.key_press(Key::F5);
    settle(&mut harness);
    assert!(harness.query_by_label("File").is_none() && harness.query_by_label("Undo").is_none());
    assert_eq!(
        value(&harness, "Answer before"),
        "A dinosaur, a pepper and a banjo on the grass."
    );
    assert!(harness.ctx.zoom_factor() > 1.5);
    harness.key_press(Key::Escape);
    settle(&mut harness);
    assert!(harness.query_by_label("File").is_some());
    assert_eq!(harness.ctx.zoom_factor(), 1.0);
}

#[test]
fn the_interface_is_scaled_within_limits() {
    let (mut harness, _) = app();
    for _ in 0..9 {
        harness.key_press_modifiers(Modifiers::COMMAND, Key::Plus);
        harness.run_steps(2);
    }
    assert_eq!(harness.ctx.zoom_factor(), 2.0);
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Num0);
    harness.run_steps(2);
    assert_eq!(harness.ctx.zoom_factor(), 1.0);
}

#[test]
fn a_tour_is_played_with_the_space_bar_and_back() {
    let (mut harness, _) = app();
    harness.get_by_label("Help").click();
    harness.run_steps(3);
    harness.get_by_label("Tours").click();
    harness.run_steps(3);
    harness.get_by_label("Tour of the paper").click();
    settle(&mut harness);
    assert_eq!(harness.state().tour_step(), Some(0));
    for step in 1..6 {
        harness.key_press(Key::Space);
        settle(&mut harness);
        assert_eq!(harness.state().tour_step(), Some(step));
    }
    let last = harness.state().session().experiment.clone();
    assert_eq!(last.interventions.len(), 1);
    harness.key_press(Key::Space);
    settle(&mut harness);
    assert_eq!(harness.state().tour_step(), Some(5), "the last step stays");
    harness.key_press(Key::PageUp);
    settle(&mut harness);
    assert_eq!(harness.state().tour_step(), Some(4));
    assert_eq!(painted(&harness), "r11c8-r18c16");
    harness.get_by_label("End tour").click();
    settle(&mut harness);
    assert_eq!(harness.state().tour_step(), None);
}

#[test]
fn a_pasted_picture_and_a_sample_are_opened() {
    let dir = tempfile::tempdir().unwrap();
    let folders = Folders::at(dir.path());
    let (mut harness, _) = open_in(Session::demo(), [1280.0, 800.0], egui::Theme::Dark, folders);
    settle(&mut harness);
    let image = egui::ColorImage::filled([8, 6], egui::Color32::RED);
    harness.event(egui::Event::PasteImage(std::sync::Arc::new(image)));
    harness.step();
    wait(&mut harness, "the picture is set", |app| {
        app.session().experiment.picture != PictureSource::Demo
    });
    let PictureSource::File(path) = harness.state().session().experiment.picture.clone() else {
        panic!("no file")
    };
    let bytes = std::fs::read(&path).unwrap();
    assert!(path.starts_with(dir.path()) && bytes.starts_with(b"\x89PNG"));
    settle(&mut harness);
    harness.get_by_label("File").click();
    harness.run_steps(3);
    harness.get_by_label("Samples").click();
    harness.run_steps(3);
    harness.get_by_label("reef").click();
    harness.step();
    let reef = dir.path().join("sample-reef.png");
    wait(&mut harness, "the sample is set", |app| {
        app.session().experiment.picture == PictureSource::File(reef.clone())
    });
}

#[test]
fn a_recorded_session_is_read_without_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lesson.json");
    let (harness, _) = app_with(super::full());
    let (session, trace) = (
        harness.state().session().clone(),
        harness.state().trace().unwrap().clone(),
    );
    file::save(&session, &path).unwrap();
    recorded::save(&session, &trace, &path).unwrap();
    let loaded = file::load(&path).unwrap();
    let again = recorded::load(&loaded, &path).unwrap().unwrap();
    assert_eq!(again.edited.answer, trace.edited.answer);
    assert_eq!(again.baseline.levels, trace.baseline.levels);
    assert_eq!(again.picture.rgb, trace.picture.rgb);
    // In the window: the answers are there, and nothing was asked of the engine but what was dropped at once.
    let (mut harness, _) = app();
    harness.key_press_modifiers(Modifiers::COMMAND, Key::L);
    harness.run_steps(2);
    harness
        .get_by_label("Path")
        .type_text(path.to_str().unwrap());
    harness.step();
    harness.key_press(Key::Enter);
    harness.step();
    settle(&mut harness);
    assert!(
        value(&harness, "Status").ends_with("recorded"),
        "{}",
        value(&harness, "Status")
    );
    assert_eq!(value(&harness, "Answer after"), trace.edited.answer.text);
    // They can be exported as they are.
    harness.key_press_modifiers(Modifiers::COMMAND | Modifiers::SHIFT, Key::T);
    settle(&mut harness);
    assert!(harness.state().error().is_none());
    // An edit runs the model again; a session that was changed no longer owns the results.
    harness.get_by_label("Patch row 0 column 0").click();
    harness.step();
    settle(&mut harness);
    assert!(value(&harness, "Status").ends_with("idle"));
    let mut changed = loaded;
    changed.experiment.prompt = "What?".to_owned();
    assert!(recorded::load(&changed, &path).unwrap().is_none());
    let text = std::fs::read_to_string(recorded::path_of(&path)).unwrap();
    std::fs::write(
        recorded::path_of(&path),
        text.replacen("\"grid\":[24,24]", "\"grid\":[24,25]", 1),
    )
    .unwrap();
    let error = recorded::load(&file::load(&path).unwrap(), &path)
        .unwrap_err()
        .to_string();
    assert!(error.contains("lesson.results.json"), "{error}");
}

/// Pictures of the window in sizes, colours and scales, to be looked at: `target/window/`.
#[test]
fn sizes_and_scales_are_drawn() {
    if super::support::adapter::is_skipped() {
        return;
    }
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("../window");
    std::fs::create_dir_all(&folder).unwrap();
    let save = |harness: &mut App, name: &str| {
        harness.run_steps(3);
        harness.render().unwrap().save(folder.join(name)).unwrap();
    };
    for (size, theme, name) in [
        ([1280.0, 800.0], egui::Theme::Dark, "size-1280-dark.png"),
        ([1280.0, 800.0], egui::Theme::Light, "size-1280-light.png"),
        ([1920.0, 1080.0], egui::Theme::Dark, "size-1920-dark.png"),
    ] {
        let (mut harness, _) = open(super::full(), size, theme);
        settle(&mut harness);
        save(&mut harness, name);
        if size[0] < 1900.0 {
            harness.key_press_modifiers(Modifiers::COMMAND, Key::K);
            save(&mut harness, &format!("palette-{name}"));
            harness.key_press(Key::Escape);
            harness.step();
            harness.key_press(Key::F5);
            settle(&mut harness);
            harness.hover_at(egui::pos2(250.0, 200.0));
            save(&mut harness, &format!("talk-{name}"));
        }
    }
    let (mut harness, _) = open(super::full(), [2560.0, 1600.0], egui::Theme::Dark);
    for _ in 0..4 {
        harness.key_press_modifiers(Modifiers::COMMAND, Key::Plus);
        harness.run_steps(2);
    }
    settle(&mut harness);
    save(&mut harness, "scale-2.png");
}
