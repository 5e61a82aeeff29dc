//! `patchglass experiment` on ten of the demo's samples against the slow twin: the same patches, answers, hits, tokens,
//! contributions (`golden/experiments.py` made them with PyTorch).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use patchglass::index::{PatchGrid, PatchSet};
use serde_json::Value;

const GRID: PatchGrid = PatchGrid::new(24, 24);

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn golden() -> Vec<Value> {
    let text =
        std::fs::read_to_string(root().join("tests/golden/expected/experiments.json")).unwrap();
    let all: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(all.len(), 10);
    all
}

/// The rows of an experiment on the samples, in order.
fn rows(experiment: &str, args: &[&str]) -> Vec<Value> {
    let out = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_patchglass"));
    command
        .args(["experiment", experiment, "--device", "cpu", "--coco"])
        .arg(root().join("assets/demo/samples/instances.json"))
        .args(args)
        .arg("--out")
        .arg(out.path());
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    read(&out.path().join("rows.jsonl"))
}

fn read(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut rows: Vec<Value> = text
        .lines()
        .skip(1)
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    rows.sort_by_key(|row| row["index"].as_u64());
    rows
}

fn set(text: &Value) -> PatchSet {
    text.as_str().unwrap().parse().unwrap()
}

fn text(tasks: &Value, task: &str) -> String {
    let tasks = tasks.as_array().unwrap();
    tasks.iter().find(|t| t["task"] == task).unwrap()["text"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn ablations_give_the_twins_patches_and_answers() {
    let sets = "object,object+1,object+2,register,random:40";
    let rows = rows(
        "ablation",
        &[
            "--limit",
            "10",
            "--even-wrong",
            "--describe-tokens",
            "32",
            "--sets",
            sets,
        ],
    );
    let (mut n, mut n_changed) = (0, 0);
    for (row, expected) in rows.iter().zip(golden()) {
        assert_eq!(
            (&row["file"], &row["word"]),
            (&expected["file"], &expected["word"])
        );
        let clean = &expected["answers"]["clean"];
        for task in ["describe", "poll", "vqa"] {
            assert_eq!(text(&row["clean"], task), clean[task], "{}", row["file"]);
            for of_set in row["sets"].as_array().unwrap() {
                let name = of_set["set"].as_str().unwrap();
                assert_eq!(
                    set(&of_set["patches"]),
                    set(&expected["sets"][name]),
                    "{} {name}",
                    row["file"]
                );
                let twin = &expected["answers"][name][task];
                assert_eq!(
                    text(&of_set["tasks"], task),
                    *twin,
                    "{} {name} {task}",
                    row["file"]
                );
                n += 1;
                n_changed += usize::from(*twin != clean[task]);
            }
        }
    }
    assert_eq!(n, 10 * 3 * 5);
    assert!(
        n_changed > 40,
        "answers must change, else nothing is tested: {n_changed}"
    );
}

#[test]
fn the_lens_gives_the_twins_hits() {
    let rows = rows("lens", &["--limit", "10"]);
    let mut n_hits = 0;
    for (row, expected) in rows.iter().zip(golden()) {
        let levels = row["levels"].as_array().unwrap();
        let twin = expected["lens"].as_array().unwrap();
        assert_eq!(levels.len(), twin.len());
        for (level, (ours, twin)) in levels.iter().zip(twin).enumerate() {
            for (at, name) in ["strict_top1", "strict_top5", "lenient_top1", "lenient_top5"]
                .into_iter()
                .enumerate()
            {
                assert_eq!(ours[name], twin[at], "{} level {level} {name}", row["file"]);
                n_hits += twin[at].as_u64().unwrap();
            }
        }
    }
    assert!(
        n_hits > 1000,
        "there must be hits, else nothing is tested: {n_hits}"
    );
}

#[test]
fn knockouts_give_the_twins_tokens() {
    let rows = rows(
        "knockout",
        &["--limit", "10", "--even-wrong", "--sliding", "4"],
    );
    let (mut n, mut n_changed) = (0, 0);
    for (row, expected) in rows.iter().zip(golden()) {
        for group in row["groups"].as_array().unwrap() {
            let Some(twin) = expected["knockout"].get(group["group"].as_str().unwrap()) else {
                continue;
            };
            for window in group["windows"].as_array().unwrap() {
                let name = format!("{}-{}", window["blocks"][0], window["blocks"][1]);
                let Some(twin) = twin.get(&name) else {
                    continue;
                };
                let about = format!("{} {} {name}", row["file"], group["group"]);
                assert_eq!(window["id"], twin["id"], "{about}");
                let apart = |field: &str| {
                    (window[field].as_f64().unwrap() - twin[field].as_f64().unwrap()).abs()
                };
                assert!(apart("prob") < 1e-3 && apart("logit") < 1e-2, "{about}");
                n += 1;
                n_changed += usize::from(window["id"] != row["clean"]["id"]);
            }
        }
    }
    assert_eq!(n, 10 * 4 * 3);
    assert!(
        n_changed > 5,
        "tokens must change, else nothing is tested: {n_changed}"
    );
}

/// The largest contributions are PyTorch's, by way of the sets that the command makes of them.
#[test]
fn gradients_choose_the_twins_patches() {
    let rows = rows(
        "ablation",
        &[
            "--limit",
            "2",
            "--even-wrong",
            "--tasks",
            "poll",
            "--sets",
            "gradient:40",
            "--gradient-steps",
            "8",
        ],
    );
    for (row, expected) in rows.iter().zip(golden()) {
        let values: Vec<f64> = expected["gradients"]["patches"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_f64().unwrap())
            .collect();
        let ours = set(&row["sets"][0]["patches"]).indices(GRID).unwrap();
        assert_eq!(ours.len(), 40);
        let mut sizes: Vec<f64> = values.iter().map(|v| v.abs()).collect();
        sizes.sort_by(|a, b| b.total_cmp(a));
        let limit = sizes[39];
        // Patches at the limit may change places by rounding, no others.
        for patch in &ours {
            assert!(
                values[*patch].abs() > limit * 0.98,
                "{}: patch {patch}",
                row["file"]
            );
        }
        assert_eq!(row["clean"][0]["token"], expected["gradients"]["token"]);
    }
}
