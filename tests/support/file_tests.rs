//! Files in the window: opened by a typed or a dropped path, and saved. Part of the test `window`.

use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable as _;
use patchglass::app::Folders;
use patchglass::session::{Command, Session, file};
use patchglass::spec::PictureSource;

use crate::support::{App, app, ask, open_in, settle, wait};

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
fn what_was_not_saved_outlives_closing_and_opening() {
    let dir = tempfile::tempdir().unwrap();
    let other = dir.path().join("other.json");
    let mut session = Session::demo();
    session.experiment.prompt = "Another?".to_owned();
    file::save(&session, &other).unwrap();
    let folders = Folders::at(&dir.path().join("remembered"));
    let open = |folders: Folders| {
        let size = [1280.0, 800.0];
        let (mut harness, _) = open_in(Session::demo(), size, egui::Theme::Dark, folders);
        settle(&mut harness);
        harness
    };
    let prompt = |harness: &App| harness.state().session().experiment.prompt.clone();
    let mut harness = open(folders.clone());
    let edit = Command::SetPrompt("Mine?".to_owned());
    harness.state().send(edit);
    settle(&mut harness);
    harness.key_press_modifiers(Modifiers::COMMAND, Key::L);
    harness.run_steps(2);
    let path = other.to_str().unwrap();
    harness.get_by_label("Path").type_text(path);
    harness.step();
    harness.key_press(Key::Enter);
    harness.step();
    settle(&mut harness);
    assert_eq!(prompt(&harness), "Another?");
    harness.get_by_label("Bring back").click();
    harness.step();
    settle(&mut harness);
    assert_eq!(prompt(&harness), "Mine?");
    assert!(harness.query_by_label("Bring back").is_none());
    // Closed without saving, at once.
    eframe::App::on_exit(harness.state_mut());
    drop(harness);
    let mut harness = open(folders.clone());
    harness.get_by_label("Bring back").click();
    harness.step();
    settle(&mut harness);
    assert_eq!(prompt(&harness), "Mine?");
    // Closed with nothing to save.
    let folders = Folders::at(&dir.path().join("empty"));
    let mut harness = open(folders.clone());
    harness.state().send(Command::ShowGrid(false));
    settle(&mut harness);
    eframe::App::on_exit(harness.state_mut());
    drop(harness);
    assert!(open(folders).query_by_label("Bring back").is_none());
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

fn drop_file(harness: &mut App, path: &std::path::Path) {
    let file = Dropped(path.to_owned());
    let files = &mut harness.input_mut().dropped_files;
    files.push(std::sync::Arc::new(file));
    harness.step();
    settle(harness);
}

#[test]
fn a_dropped_mask_selects_and_a_picture_beside_it_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("corner.png");
    let (mut harness, _) = app();
    let mut mask = image::RgbImage::new(336, 336);
    for (x, y) in (0..28).flat_map(|x| (0..14).map(move |y| (x, y))) {
        mask.put_pixel(x, y, image::Rgb([255; 3]));
    }
    mask.save(&path).unwrap();
    drop_file(&mut harness, &path);
    let session = harness.state().session();
    assert_eq!(session.view.selection.to_string(), "r0c0-r0c1");
    assert_eq!(session.experiment.picture, PictureSource::Demo);
    mask.put_pixel(100, 100, image::Rgb([90, 30, 200]));
    mask.save(&path).unwrap();
    drop_file(&mut harness, &path);
    let experiment = &harness.state().session().experiment;
    assert_eq!(experiment.picture, PictureSource::File(path));
}

#[test]
fn a_picture_dropped_on_a_swap_is_its_second_picture() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("other.png");
    std::fs::write(&path, patchglass::demo::PICTURE).unwrap();
    let (mut harness, seen) = app();
    harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
    harness.run_steps(2);
    harness.get_by_label("Steer, erase, scale, swap").click();
    harness.run_steps(3);
    harness.get_by_label("Swap from a second picture").click();
    settle(&mut harness);
    drop_file(&mut harness, &path);
    let experiment = seen.lock().unwrap().last().unwrap().experiment.clone();
    assert_eq!(experiment.picture, PictureSource::Demo);
    let patchglass::spec::Intervention::Swap(swap) = &experiment.interventions[0] else {
        panic!("{experiment:?}")
    };
    assert_eq!((&swap.image, swap.enabled), (&path, true));
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
