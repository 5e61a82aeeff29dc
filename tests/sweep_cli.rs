//! `patchglass sweep`, run for real on a small checkpoint: its files hold the engine's numbers, and bad input is told.

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

use golden::Deaf;
use patchglass::engine::protocol::RunId;
use patchglass::engine::sweep::Sweep;
use patchglass::engine::{Engine, EngineOptions};
use patchglass::error::Error;
use patchglass::index::TokenSet;
use patchglass::session::Session;
use patchglass::spec::{
    Decode, Experiment, ModelSource, PictureSource, Replacement, SweepOver, SweepSpec,
};
use serde_json::Value;

const PROMPT: &str = "What is it?";

fn model() -> PathBuf {
    golden::folder().join("checkpoints/old-f32")
}

fn sweep(args: &[&str], folder: &Path) -> Output {
    let picture = model().join("picture.png");
    Command::new(env!("CARGO_BIN_EXE_patchglass"))
        .env("PATCHGLASS_DEVICE", "cpu")
        .arg("sweep")
        .args(args)
        .arg(picture)
        .arg("--model")
        .arg(model())
        .args(["--prompt", PROMPT])
        .current_dir(folder)
        .output()
        .unwrap()
}

/// The same sweep by the engine.
fn expected(token: usize, over: SweepOver) -> std::sync::Arc<Sweep> {
    let mut session = Session::demo();
    session.experiment.model = ModelSource::Folder(model());
    session.experiment.picture = PictureSource::File(model().join("picture.png"));
    session.experiment.prompt = PROMPT.to_owned();
    let spec = SweepSpec { token, over };
    let mut engine = Engine::new(EngineOptions::default()).unwrap();
    engine
        .sweep(&session.run_spec(RunId(1)), &spec, &mut Deaf)
        .unwrap()
}

fn number(value: &Value) -> f32 {
    value.as_f64().unwrap() as f32
}

#[test]
fn files_hold_what_the_engine_finds() {
    let folder = tempfile::tempdir().unwrap();
    let patches = SweepOver::Patches {
        with: Replacement::Noise(3),
        layer: 1,
        block: 2,
    };
    let (queries, keys) = (TokenSet::Answer, TokenSet::Image);
    let layers = SweepOver::Layers {
        queries: TokenSet::Question,
        keys: keys.clone(),
        window: 2,
    };
    let heads = SweepOver::Heads { queries, keys };
    let cases: [(&[&str], SweepOver, &str); 3] = [
        (
            &[
                "patches", "--with", "noise:3", "--level", "1", "--block", "2",
            ],
            patches,
            "row,col,rows,cols",
        ),
        (
            &["layers", "--window", "2", "--queries", "question"],
            layers,
            "first_layer,last_layer",
        ),
        (&["heads"], heads, "layer,head"),
    ];
    for (args, over, names) in cases {
        let out = ["--token", "1", "--out", "found.json", "--out", "found.csv"];
        let output = sweep(&[args, &out].concat(), folder.path());
        let messages = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.success() && output.stdout.is_empty(),
            "{messages}"
        );
        assert!(messages.contains("sweeping") && messages.contains("largest losses"));
        let found = expected(1, over);
        let json = std::fs::read(folder.path().join("found.json")).unwrap();
        let json: Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json["complete"], true);
        assert_eq!(json["token"]["at"], 1);
        assert_eq!(number(&json["baseline"]["prob"]), found.baseline.prob);
        let units = json["units"].as_array().unwrap();
        assert_eq!(units.len(), found.units.len());
        let csv = std::fs::read_to_string(folder.path().join("found.csv")).unwrap();
        let mut lines = csv.lines();
        assert!(lines.next().unwrap().starts_with(names));
        for ((unit, line), at) in units.iter().zip(lines).zip(0..) {
            let (effect, loss) = (found.effects[at].unwrap(), found.loss(at).unwrap());
            assert_eq!(number(&unit["prob"]), effect.prob);
            assert_eq!(number(&unit["logit"]), effect.logit);
            assert_eq!(number(&unit["loss"]["log_prob"]), loss.log_prob);
            let cells: Vec<f32> = line.split(',').map(|cell| cell.parse().unwrap()).collect();
            assert_eq!(
                cells[cells.len() - 6..],
                [
                    effect.prob,
                    effect.log_prob,
                    effect.logit,
                    loss.prob,
                    loss.log_prob,
                    loss.logit
                ]
            );
        }
    }
}

#[test]
fn the_result_is_printed_unless_a_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let output = sweep(&["heads"], folder.path());
    assert!(output.status.success());
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["sweep"], "heads");
    assert_eq!(json["settings"]["queries"], "answer");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn bad_input_is_one_line_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&[&str], &str); 8] = [
        (&["patches", "--with", "average"], "write mean, zero"),
        (&["patches", "--with", "patch:r99c0"], "r99c0"),
        (&["patches", "--level", "77"], "level 77"),
        (&["patches", "--block", "0"], "squares of 0 x 0"),
        (&["patches", "--out", "found.txt"], ".json or .csv"),
        (&["layers", "--window", "77"], "window of 77"),
        (&["layers", "--queries", "everything"], "--queries"),
        (&["heads", "--queries", "system"], "never see"),
    ];
    for (args, words) in cases {
        let output = sweep(args, folder.path());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let messages = String::from_utf8(output.stderr).unwrap();
        let last = messages.lines().last().unwrap();
        assert!(
            last.starts_with("error: ") && last.contains(words),
            "{messages}"
        );
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn what_cannot_be_swept_is_told_in_one_sentence() {
    let session = |experiment: &Experiment| Session::new(experiment.clone()).run_spec(RunId(1));
    let experiment = Session::demo().experiment;
    let mut engine = Engine::new(EngineOptions::default()).unwrap();
    let patches = |token, layer, block| SweepSpec {
        token,
        over: SweepOver::Patches {
            with: Replacement::Mean,
            layer,
            block,
        },
    };
    let layers = |queries, keys, window| SweepSpec {
        token: 0,
        over: SweepOver::Layers {
            queries,
            keys,
            window,
        },
    };
    for (spec, words) in [
        (patches(99, 0, 1), "0..=12"),
        (patches(0, 10, 1), "0..=9"),
        (patches(0, 0, 0), "1 to 24"),
        (patches(0, 0, 25), "1 to 24"),
        (layers(TokenSet::Last, TokenSet::Image, 11), "1 to 10"),
        (layers(TokenSet::System, TokenSet::Image, 1), "never see"),
    ] {
        let error = engine
            .sweep(&session(&experiment), &spec, &mut Deaf)
            .unwrap_err();
        assert!(
            matches!(&error, Error::Input(why) if why.contains(words)),
            "{error}"
        );
    }
    let silent = Experiment {
        decode: Decode { max_new_tokens: 0 },
        ..experiment
    };
    let error = engine
        .sweep(&session(&silent), &patches(0, 0, 1), &mut Deaf)
        .unwrap_err();
    assert!(error.to_string().contains("at least one"), "{error}");
}
