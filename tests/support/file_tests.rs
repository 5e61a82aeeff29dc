//! Files in the window: opened by a typed or a dropped path, and saved. Part of the test `window`.

use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable as _;
use patchglass::session::Session;
use patchglass::spec::PictureSource;

use crate::support::{App, app, ask, settle, wait};

#[test]
fn a_typed_path_opens_a_session_and_saving_writes_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mine.json");
    let mut session = Session::demo();
    session.experiment.prompt = "Is there a banjo?".to_owned();
    patchglass::session::file::save(&session, &path).unwrap();
    let (mut harness, _) = app();
    harness.key_press_modifiers(Modifiers::COMMAND, Key::L);
    harness.run_steps(3);
    harness
        .get_by_label("Path")
        .type_text(path.to_str().unwrap());
    harness.step();
    harness.key_press(Key::Enter);
    settle(&mut harness);
    assert_eq!(
        harness.state().session().experiment.prompt,
        "Is there a banjo?"
    );
    ask(&mut harness, "And a bed?");
    assert!(harness.query_by_label_contains("mine •").is_some());
    harness.key_press_modifiers(Modifiers::COMMAND, Key::S);
    settle(&mut harness);
    assert!(harness.query_by_label_contains("mine •").is_none());
    assert_eq!(
        patchglass::session::file::load(&path)
            .unwrap()
            .experiment
            .prompt,
        "And a bed?"
    );
}

#[test]
fn a_stopped_run_leaves_nothing_to_save_or_export() {
    let (mut harness, _) = app();
    let copy_table = |harness: &mut App| {
        harness.key_press_modifiers(Modifiers::COMMAND | Modifiers::SHIFT, Key::T);
        harness.run_steps(2);
        harness.state().error().map(str::to_owned)
    };
    assert_eq!(copy_table(&mut harness), None);
    ask(&mut harness, "hang");
    wait(&mut harness, "it hangs", |app| {
        app.trace().is_some_and(|t| !t.complete)
    });
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Period);
    settle(&mut harness);
    // What is on the screen answers another question.
    assert!(harness.state().trace().is_some_and(|t| t.complete));
    let error = copy_table(&mut harness).unwrap();
    assert!(error.contains("no complete run of this session"), "{error}");
    harness.get_by_label("Dismiss").click();
    settle(&mut harness);
    harness.key_press_modifiers(Modifiers::COMMAND, Key::K);
    harness.run_steps(2);
    harness
        .get_by_label("Command")
        .type_text("save with results");
    harness.run_steps(2);
    harness.key_press(Key::Enter);
    settle(&mut harness);
    let error = harness.state().error().unwrap();
    assert!(error.contains("then save with results"), "{error}");
    ask(&mut harness, "What is it?");
    assert_eq!(copy_table(&mut harness), None);
}

#[test]
fn a_dropped_picture_is_run() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mine.png");
    std::fs::write(&path, patchglass::demo::PICTURE).unwrap();
    let (mut harness, seen) = app();
    let file = Dropped(path.clone());
    harness
        .input_mut()
        .dropped_files
        .push(std::sync::Arc::new(file));
    harness.step();
    settle(&mut harness);
    let picture = PictureSource::File(path);
    assert_eq!(
        seen.lock().unwrap().last().unwrap().experiment.picture,
        picture
    );
    harness
        .input_mut()
        .dropped_files
        .push(std::sync::Arc::new(Dropped("no/such.png".into())));
    harness.step();
    settle(&mut harness);
    assert!(harness.state().error().unwrap().contains("does not exist"));
    assert_eq!(harness.state().session().experiment.picture, picture);
}

#[derive(Debug)]
struct Dropped(std::path::PathBuf);

impl egui::DroppedFile for Dropped {
    fn path(&self) -> &std::path::Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        Err("the window opens it by its path".to_owned())
    }
}
