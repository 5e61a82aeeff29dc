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

fn commands(harness: &real::App) -> Vec<OutputCommand> {
    harness.output().platform_output.commands.clone()
}

#[test]
fn table_and_picture_go_to_the_clipboard() {
    let mut harness = small();
    harness.key_press_modifiers(Modifiers::COMMAND | Modifiers::SHIFT, Key::T);
    harness.step();
    let copied = commands(&harness);
    let [OutputCommand::CopyText(table)] = &copied[..] else {
        panic!("{copied:?}");
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

    harness.key_press_modifiers(Modifiers::COMMAND | Modifiers::SHIFT, Key::C);
    harness.step();
    let copied = commands(&harness);
    let [OutputCommand::CopyImage(image)] = &copied[..] else {
        panic!("no picture");
    };
    assert!(image.size[0] > 1000 && image.size[1] > image.size[0]);
}

#[test]
fn the_window_verifies_its_model_and_an_edit_stops_it() {
    let mut harness = small();
    let open = |harness: &mut real::App| {
        harness.get_by_label("Help").click();
        harness.run_steps(2);
        harness.get_by_label_contains("Verify model").click();
        harness.run_steps(2);
    };
    open(&mut harness);
    let shown: Vec<_> = harness.root().children_recursive().filter_map(|n| {
        let node = n.accesskit_node();
        node.label().or(node.value())
    }).collect();
    assert!(harness.query_by_label("not checked yet").is_some(), "{shown:?}");
    harness.get_by_label("Start checks").click();
    harness.run_steps(2);
    real::settle(&mut harness);
    assert!(harness.query_by_label("all 9 checks passed").is_some());
    assert_eq!(harness.query_all_by_label("pass").count(), 8);
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
