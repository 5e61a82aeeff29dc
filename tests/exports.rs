//! `patchglass export`, run for real on a small checkpoint: every file holds what the engine computed, and bad input is told.

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

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use golden::Deaf;
use patchglass::engine::protocol::RunId;
use patchglass::engine::trace::Trace;
use patchglass::engine::{Engine, EngineOptions};
use patchglass::export::picture::View;
use patchglass::session::{Colours, HeatKind, Scale, Session, ViewState, WordUnit, file};
use patchglass::spec::{AttentionSpec, HeadMap};

/// A session on the small checkpoint, with an ablation and a knockout.
fn session_file(folder: &Path) -> PathBuf {
    let model = golden::folder().join("checkpoints/old-f32");
    let text = serde_json::json!({
        "model": model, "image": model.join("picture.png"), "prompt": "What, \"is\" it?",
        "interventions": [
            {"type": "ablation", "patches": "r1c1-r2c3"},
            {"type": "attention_knockout", "queries": "last", "keys": "patches:r0c0-r3c0", "layers": "1"}
        ],
        "readout": {"words": ["dog"]},
        "decode": {"max_new_tokens": 3},
        "view": {"selection": "r4c4-r5c5", "level": 2}
    });
    let path = folder.join("session.json");
    std::fs::write(&path, text.to_string()).unwrap();
    path
}

fn export(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_patchglass"))
        .env("PATCHGLASS_DEVICE", "cpu")
        .arg("export")
        .args(args)
        .output()
        .unwrap()
}

fn run(session: &Session) -> (Engine, Arc<Trace>) {
    let mut engine = Engine::new(EngineOptions::default()).unwrap();
    let trace = engine.run(&session.run_spec(RunId(1)), &mut Deaf).unwrap();
    (engine, trace)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn files_hold_what_the_engine_computed() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let path = session_file(dir.path());
    let (csv, json, dump) = (at("words.csv"), at("result.json"), at("dump.safetensors"));
    let output = export(&[
        text(&path),
        "--csv",
        text(&csv),
        "--json",
        text(&json),
        "--safetensors",
        text(&dump),
    ]);
    assert!(output.status.success(), "{output:?}");
    let (mut engine, trace) = run(&file::load(&path).unwrap());

    let table = std::fs::read_to_string(csv).unwrap();
    let lines: Vec<_> = table.lines().collect();
    let (grid, k) = (
        trace.model.grid,
        trace.edited.levels[0].as_ref().unwrap().top_k,
    );
    assert_eq!(lines.len(), 1 + (trace.model.n_layers + 1) * grid.len() * k);
    // Level 2, patch r1c1, second word.
    let index = 1 + (2 * grid.len() + grid.cols + 1) * k + 1;
    let fields: Vec<_> = lines[index].split(',').collect();
    let (clean, edited) = (&trace.baseline.levels[2], &trace.edited.levels[2]);
    let cell = |level: &Option<Arc<patchglass::engine::trace::LevelReadout>>| {
        let (id, prob) = level.as_ref().unwrap().top(grid.cols + 1).nth(1).unwrap();
        (id.to_string(), prob.to_string())
    };
    assert_eq!(fields[..4], ["2", "1", "1", "2"]);
    assert_eq!((fields[4].to_owned(), fields[6].to_owned()), cell(clean));
    assert_eq!((fields[7].to_owned(), fields[9].to_owned()), cell(edited));

    let mut result: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    let mut again: serde_json::Value =
        serde_json::from_str(&patchglass::export::json(&trace).unwrap()).unwrap();
    for value in [&mut result, &mut again] {
        value.as_object_mut().unwrap().remove("timing_ms");
    }
    assert_eq!(result, again);

    let bytes = std::fs::read(dump).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    for (name, shape, values) in engine.dump(false).unwrap() {
        let tensor = file.tensor(&name).unwrap();
        assert_eq!(tensor.shape(), shape);
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(tensor.data(), bytes);
    }
}

#[test]
fn a_picture_grows_with_its_scale_and_shows_the_edit() {
    let dir = tempfile::tempdir().unwrap();
    let path = session_file(dir.path());
    let mut session = file::load(&path).unwrap();
    let (_, trace) = run(&session);
    let draw = |session: &Session, scale| {
        let view = patchglass::export::picture::View::of(session, &trace, None);
        patchglass::export::picture::draw(&trace, &view, scale).unwrap()
    };
    let (one, three) = (draw(&session, 1), draw(&session, 3));
    assert_eq!(three.width(), 3 * one.width());
    assert!(one.width() > 500 && one.height() > one.width());
    session.view.show_clean = true;
    let clean = draw(&session, 1);
    assert_eq!(clean.dimensions(), one.dimensions());
    assert_ne!(clean, one, "marks and words of the edit are gone");

    let png = dir.path().join("view.png");
    let output = export(&[text(&path), "--png", text(&png), "--scale", "1"]);
    assert!(output.status.success(), "{output:?}");
    let bytes = std::fs::read(png).unwrap();
    assert_eq!(image::load_from_memory(&bytes).unwrap().to_rgb8(), one);
}

#[test]
fn a_picture_has_the_heat_map_of_the_session() {
    let dir = tempfile::tempdir().unwrap();
    let mut session = file::load(&session_file(dir.path())).unwrap();
    let readout = &mut session.readout;
    (readout.ranks, readout.divergence) = (true, true);
    readout.attention = Some(AttentionSpec::default());
    let (_, trace) = run(&session);
    let map = |change: &dyn Fn(&mut ViewState)| {
        let mut session = session.clone();
        change(&mut session.view);
        View::of(&session, &trace, None).heat.unwrap()
    };
    let plain = map(&|_| ());
    assert_eq!(plain.range, (0.0, 1.0));
    let cividis = map(&|view| view.reading.colours = Colours::Cividis);
    assert_eq!(cividis.places, plain.places);
    assert_ne!(cividis.color(0.9), plain.color(0.9));
    let root = map(&|view| view.reading.scale = Scale::Sqrt);
    for (a, b) in root.places.iter().zip(&plain.places) {
        assert!((a * a - b).abs() < 1e-6);
    }
    let spread = map(&|view| view.reading.normalised = true);
    let ends = spread.places.iter().copied();
    assert_eq!(ends.fold(0.0, f32::max), 1.0);
    assert!(spread.range.0 > 0.0 && spread.range.1 < 1.0);
    let rank = map(&|view| {
        view.heat = HeatKind::Word;
        view.reading.unit = WordUnit::Rank;
    });
    let read = &trace.edited.levels[2].as_ref().unwrap().word_ranks[0];
    let ranks: Vec<f32> = read.iter().map(|rank| *rank as f32).collect();
    assert_eq!(
        (rank.values, rank.title.as_str()),
        (ranks, "Rank of \"dog\"")
    );
    let attention = map(&|view| view.heat = HeatKind::Attention);
    let found = trace.insight.edited.attention.as_ref().unwrap();
    let whole = found.map(HeadMap::All);
    assert_eq!(attention.values, whole[trace.layout.patches()]);
    let divergence = map(&|view| view.heat = HeatKind::Divergence);
    assert!(divergence.range.1 > 0.0 && divergence.title.contains("nats"));
    // A level of a deeper model is the last one here.
    session.view.level = Some(99);
    assert_eq!(View::of(&session, &trace, None).level, trace.model.n_layers);
}

#[test]
fn a_heat_map_that_cannot_be_drawn_is_noted() {
    let dir = tempfile::tempdir().unwrap();
    let path = session_file(dir.path());
    let mut session = file::load(&path).unwrap();
    session.view.level = Some(99);
    let png = dir.path().join("view.png");
    for (heat, words) in [
        (HeatKind::Importance, "patchglass sweep"),
        (HeatKind::Attention, "readout.attention"),
        (HeatKind::Entropy, ""),
    ] {
        session.view.heat = heat;
        file::save(&session, &path).unwrap();
        let output = export(&[text(&path), "--png", text(&png), "--scale", "1"]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{told}");
        let notes = told
            .lines()
            .filter(|line| line.starts_with("note: the picture has no heat map"));
        assert_eq!(notes.count(), usize::from(!words.is_empty()), "{told}");
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn the_animation_has_a_frame_a_level() {
    let dir = tempfile::tempdir().unwrap();
    let path = session_file(dir.path());
    let gif = dir.path().join("levels.gif");
    let output = export(&[text(&path), "--gif", text(&gif)]);
    assert!(output.status.success(), "{output:?}");
    let (_, trace) = run(&file::load(&path).unwrap());
    let file = std::io::BufReader::new(std::fs::File::open(gif).unwrap());
    let frames = image::codecs::gif::GifDecoder::new(file).unwrap();
    let frames = image::AnimationDecoder::into_frames(frames)
        .collect_frames()
        .unwrap();
    assert_eq!(frames.len(), trace.model.n_layers + 1);
    assert_ne!(frames[0].buffer(), frames[1].buffer());
}

#[test]
fn a_script_alone_is_written_and_what_is_not_there_is_noted() {
    let dir = tempfile::tempdir().unwrap();
    let path = session_file(dir.path());
    let script = dir.path().join("again.py");
    let output = export(&[text(&path), "--python", text(&script)]);
    assert!(output.status.success(), "{output:?}");
    assert!(std::fs::read_to_string(&script).unwrap().contains("import"));
    let session = std::fs::read_to_string(&path).unwrap();
    let session = session.replace(
        r#""words":["dog"]"#,
        r#""words":["dog"],"attention":{"query":"answer:9"}"#,
    );
    std::fs::write(&path, session).unwrap();
    let csv = dir.path().join("words.csv");
    let output = export(&[text(&path), "--csv", text(&csv)]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && csv.exists(), "{told}");
    assert!(
        told.contains("note: readout.attention.query: answer:9"),
        "{told}"
    );
}

#[test]
fn bad_requests_are_told_in_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let path = session_file(dir.path());
    let png = dir.path().join("x.png");
    for (args, words) in [
        (vec![text(&path)], "--png"),
        (
            vec![text(&path), "--png", text(&png), "--scale", "9"],
            "1 to 4",
        ),
        (
            vec![text(&path), "--png", text(&png), "--level", "99"],
            "level 99",
        ),
        (vec![], "SESSION"),
    ] {
        let output = export(&args);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(words), "{error}");
    }
    assert!(!png.exists());
}
