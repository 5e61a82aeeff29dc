//! Exports and the verification from the window, with the real engine behind it.

#![cfg(feature = "gui")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

#[path = "support/real.rs"]
#[allow(dead_code, reason = "the values of nodes are not read here")]
mod real;

use std::path::Path;

use egui::{Key, Modifiers, OutputCommand};
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use patchglass::session::file;

fn small() -> real::App {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/checkpoints/old-f32");
    let text = serde_json::json!({
        "model": model, "image": model.join("picture.png"), "prompt": "What is it?",
        "interventions": [{"type": "ablation", "patches": "r1c1-r2c3"}],
        "decode": {"max_new_tokens": 2}
    });
    let mut harness = real::open(file::parse(&text.to_string(), Path::new("s.json")).unwrap());
    real::settle(&mut harness);
    assert_eq!(harness.state().error(), None);
    assert!(harness.state().trace().is_some_and(|trace| trace.complete));
    harness
}

/// What one frame with this key sends to the desktop.
fn copied(harness: &mut real::App, key: Key) -> Vec<OutputCommand> {
    harness.input_mut().events.push(egui::Event::Key {
        key,
        physical_key: None,
        pressed: true,
        repeat: false,
        modifiers: Modifiers::COMMAND | Modifiers::SHIFT,
    });
    harness.run_steps(1);
    harness.output().platform_output.commands.clone()
}

/// Chooses a row of the menu "Export" and types where its file is to lie.
fn export(harness: &mut real::App, row: &str, to: &Path) {
    harness.get_by_label("File").click();
    harness.run_steps(3);
    harness.get_by_label("Export").click();
    harness.run_steps(3);
    harness.get_by_label(row).click();
    harness.run_steps(2);
    real::settle(harness);
    let field = harness.get_by_label("Path");
    let name = field.accesskit_node().value().unwrap_or_default();
    assert!(name.starts_with("~/picture."), "{row}: {name}");
    harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
    harness.step();
    harness.get_by_label("Path").type_text(to.to_str().unwrap());
    harness.run_steps(2);
    harness.key_press(Key::Enter);
    harness.run_steps(2);
    real::settle(harness);
    assert!(harness.query_by_label("Path").is_none());
}

/// The first bytes that files of each kind begin with.
const EXPORTS: [(&str, &str, &[u8]); 7] = [
    ("Picture of the view (PNG)…", "view.png", b"\x89PNG"),
    ("All levels, animated (GIF)…", "levels.gif", b"GIF89a"),
    (
        "Page for a browser (HTML)…",
        "page.html",
        b"<!doctype html>",
    ),
    (
        "Table of all words (CSV)…",
        "words.csv",
        b"level,row,col,rank,clean_id",
    ),
    ("Result (JSON)…", "result.json", b"{"),
    ("Tensors (safetensors)…", "tensors.safetensors", b""),
    ("Python script…", "again.py", b"#!/usr/bin/env python3"),
];

#[test]
fn every_row_of_the_export_menu_writes_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut harness = small();
    for (row, name, begins) in EXPORTS {
        let path = dir.path().join(name);
        export(&mut harness, row, &path);
        assert_eq!(harness.state().error(), None, "{row}");
        let bytes = std::fs::read(&path).unwrap();
        let n = begins.len().max(40).min(bytes.len());
        let begin = String::from_utf8_lossy(&bytes[..n]).into_owned();
        assert!(bytes.starts_with(begins), "{row}: {begin}");
        assert!(bytes.len() > 500, "{row}: {} bytes", bytes.len());
    }
    let trace = harness.state().trace().unwrap();
    let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&read("result.json")).unwrap();
    assert_eq!(json["edited"]["answer"]["text"], trace.edited.answer.text);
    let tensors = read("tensors.safetensors");
    let tensors = safetensors::SafeTensors::deserialize(&tensors).unwrap();
    assert!(tensors.tensor("resid.0").is_ok());
}

/// The script has an ending for a name without one, and nothing that is there is lost.
#[test]
fn a_file_that_is_there_is_not_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let mut harness = small();
    let path = dir.path().join("words.csv");
    std::fs::write(&path, b"mine").unwrap();
    export(
        &mut harness,
        "Table of all words (CSV)…",
        &path.with_extension(""),
    );
    let error = harness.state().error().unwrap();
    assert!(error.contains("words.csv is there already"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
}

#[test]
fn table_and_picture_go_to_the_clipboard() {
    let mut harness = small();
    let sent = copied(&mut harness, Key::T);
    let [OutputCommand::CopyText(table)] = &sent[..] else {
        panic!("{sent:?}");
    };
    let trace = harness.state().trace().unwrap();
    let level = trace.model.default_level;
    let readout = trace.edited.levels[level].as_ref().unwrap();
    assert_eq!(
        table.lines().count(),
        1 + trace.model.grid.len() * readout.top_k
    );
    let (id, prob) = readout.top(0).next().unwrap();
    let first = format!(
        "{level}\t0\t0\t1\t{id}\t{}\t{prob}",
        trace.model.vocabulary.piece(id)
    );
    assert_eq!(table.lines().nth(1), Some(first.as_str()));

    let sent = copied(&mut harness, Key::C);
    let [OutputCommand::CopyImage(image)] = &sent[..] else {
        panic!("no picture");
    };
    assert!(image.size[0] > 1000 && image.size[1] > image.size[0]);
}

#[test]
fn the_window_verifies_its_model_and_an_edit_stops_it() {
    let mut harness = small();
    let open = |harness: &mut real::App| {
        harness.get_by_label("Help").click();
        harness.run_steps(3);
        harness.get_by_label("Verify model…").click();
        harness.run_steps(3);
    };
    open(&mut harness);
    assert!(harness.query_by_label("not checked yet").is_some());
    harness.get_by_label("Start checks").click();
    harness.run_steps(2);
    let status = real::value(&harness, "Status");
    assert!(status.contains("verifying"), "{status}");
    real::settle(&mut harness);
    let status = real::value(&harness, "Status");
    assert!(status.ends_with("idle"), "{status}");
    let n_of = |harness: &real::App, word: &str| harness.query_all_by_label(word).count();
    let (passed, skipped) = (n_of(&harness, "pass"), n_of(&harness, "skip"));
    let all = format!("all {} checks passed", passed + skipped);
    assert!(harness.query_by_label(&all).is_some(), "{passed} {skipped}");
    assert_eq!(n_of(&harness, "FAIL"), 0);
    assert!(passed > 2 * skipped, "{passed} passed, {skipped} skipped");
    assert!(harness.query_by_label("Identity").is_some());
    // The run is still on screen, and the next one is computed anew.
    assert!(harness.state().trace().unwrap().complete);
    harness.get_by_label("Start checks").click();
    harness.step();
    harness.key_press_modifiers(Modifiers::COMMAND, Key::R);
    harness.run_steps(2);
    real::settle(&mut harness);
    assert!(harness.state().error().is_none());
    assert!(
        harness.query_by_label("stopped").is_some()
            || harness.query_by_label("not checked yet").is_some()
    );
}
