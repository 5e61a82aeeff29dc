//! The exported Python script, run with transformers: it prints the answers of the window. `PATCHGLASS_PYTHON` names a
//! Python that has torch and transformers; without one the test says that it was skipped.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

#[path = "support/golden.rs"]
#[expect(
    dead_code,
    reason = "only the monitor that listens to nothing is used here"
)]
mod golden;

use std::path::Path;
use std::process::{Command, Output};

use golden::Deaf;
use patchglass::engine::protocol::RunId;
use patchglass::engine::{Engine, EngineOptions};
use patchglass::export::python;
use patchglass::session::file;

fn python() -> Option<std::ffi::OsString> {
    let python = std::env::var_os("PATCHGLASS_PYTHON").filter(|name| !name.is_empty());
    if python.is_none() {
        println!("skipped: PATCHGLASS_PYTHON names no Python with torch and transformers");
    }
    python
}

/// Writes the demo model where the script looks for it.
fn write_demo(folder: &Path) {
    let folder = folder.join("patchglass-demo");
    std::fs::create_dir(&folder).unwrap();
    for (name, bytes) in patchglass::demo::FILES {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
}

fn run_script(python: &std::ffi::OsStr, script: &str, folder: &Path) -> Output {
    std::fs::write(folder.join("again.py"), script).unwrap();
    Command::new(python)
        .arg("again.py")
        .current_dir(folder)
        .output()
        .unwrap()
}

/// Sessions: the demo's, the one of the readme, knockouts on both, and several edits at one level of a sharded f16 model.
fn sessions(folder: &Path) -> Vec<(&'static str, patchglass::session::Session)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let small = golden::folder().join("checkpoints/new-f16-gqa");
    let read = |text: serde_json::Value| {
        file::parse(&text.to_string(), &folder.join("session.json")).unwrap()
    };
    let knockout = read(serde_json::json!({
        "image": root.join("assets/demo/samples/desert.png"), "prompt": "Describe the image.",
        "interventions": [{"type": "attention_knockout", "queries": "answer", "keys": "patches:r9c6-r20c18"}],
        "decode": {"max_new_tokens": 20}
    }));
    let many = read(serde_json::json!({
        "model": small, "image": small.join("picture.png"), "prompt": "What is \"it\"?\nSay.", "crop": "pad",
        "interventions": [
            {"type": "attention_knockout", "queries": "answer", "keys": "image", "layers": "0..=1", "heads": [0, 2]},
            {"type": "ablation", "patches": "r1c1-r3c4", "with": "zero", "layer": 1},
            {"type": "ablation", "patches": "r2c2-r4c6", "layer": 1,
             "with": {"image": root.join("assets/demo/samples/beach.png")}},
            {"type": "ablation", "patches": "r0c0", "with": {"patch": "r3c3"}}
        ],
        "decode": {"max_new_tokens": 8}
    }));
    let edits = |level: usize| {
        read(serde_json::json!({
            "image": root.join("assets/demo/samples/desert.png"), "prompt": "Describe the image.",
            "interventions": [
                {"type": "swap", "patches": "r9c6-r20c18", "from": "r8c4", "layer": level,
                 "image": root.join("assets/demo/samples/beach.png")},
                {"type": "ablation", "patches": "r0c0-r1c23", "layer": level},
                {"type": "steer", "tokens": "answer", "word": "banana", "strength": 0.4, "layer": 3},
                {"type": "erase", "tokens": "image", "word": "camel", "layer": level,
                 "vector": {"text": 4}},
                {"type": "scale", "tokens": "patches:r5c5-r9c9", "by": 0.25, "layer": 2},
                {"type": "steer", "tokens": "last", "word": "snake", "strength": -0.3, "layer": level,
                 "vector": "embedding"}
            ],
            "decode": {"max_new_tokens": 20}
        }))
    };
    vec![
        ("edits of the embeddings", edits(0)),
        ("edits further up", edits(5)),
        ("demo", patchglass::session::Session::demo()),
        (
            "camel",
            file::load(&root.join("assets/demo/camel.json")).unwrap(),
        ),
        ("knockout", knockout),
        ("many", many),
    ]
}

#[test]
fn the_script_prints_the_answers_of_the_window() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    write_demo(dir.path());
    for (name, session) in sessions(dir.path()) {
        let mut engine = Engine::new(EngineOptions::default()).unwrap();
        let trace = engine.run(&session.run_spec(RunId(1)), &mut Deaf).unwrap();
        let script = python::script(&session, &trace).unwrap();
        let output = run_script(&python, &script, dir.path());
        let printed = String::from_utf8_lossy(&output.stdout);
        println!("{name}:\n{printed}");
        assert!(output.status.success(), "{name}: {output:?}");
        // Small models answer with control characters, which a terminal may change: ids are compared by the script.
        if name != "many" {
            let before = format!("before: {}\n", trace.baseline.answer.text);
            assert!(printed.starts_with(&before), "{name}");
            let after = format!("after: {}\n", trace.edited.answer.text);
            assert_eq!(printed.contains(&after), trace.has_edits, "{name}");
            // Ids alone would hide an edit that moves no word: probabilities are printed to three digits.
            for (line, run) in [(1, &trace.baseline), (3, &trace.edited)] {
                let Some(line) = printed.lines().nth(line) else {
                    continue;
                };
                let probs = line.split_whitespace().map(|token| {
                    let (_, p) = token.rsplit_once(':').unwrap();
                    p.parse::<f32>().unwrap()
                });
                let probs: Vec<f32> = probs.collect();
                assert_eq!(probs.len(), run.answer.probs.len());
                for (here, ours) in probs.iter().zip(&run.answer.probs) {
                    assert!((here - ours).abs() < 1.5e-3, "{name}: {here} {ours}");
                }
            }
        }
        if name == "camel" {
            let wrong = script.replacen("\"after\": [", "\"after\": [7, ", 1);
            assert_ne!(wrong, script);
            let output = run_script(&python, &wrong, dir.path());
            assert_eq!(output.status.code(), Some(1), "another answer is told");
        }
    }
}
