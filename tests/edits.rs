//! Rows that are swapped in from another picture, steered, erased from or scaled: against transformers, and what must
//! hold on random models.

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
#[path = "support/random_model.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod random_model;

use std::path::{Path, PathBuf};

use patchglass::engine::protocol::{DeviceChoice, RunId};
use patchglass::engine::trace::Trace;
use patchglass::engine::{Engine, EngineOptions, Named};
use patchglass::index::{TokenLayout, TokenSet};
use patchglass::model::Llava;
use patchglass::session::Session;
use patchglass::spec::{
    Decode, Erase, Experiment, Intervention, ModelSource, PictureSource, Scale, Steer, WordVector,
};
use patchglass::tensor::{DType, Device};
use random_model::{Draw, RandomModel};

fn engine(whole_runs: bool) -> Engine {
    Engine::new(EngineOptions {
        device: DeviceChoice::Cpu,
        whole_runs,
        ..EngineOptions::default()
    })
    .unwrap()
}

fn run(engine: &mut Engine, experiment: &Experiment) -> (std::sync::Arc<Trace>, Vec<Named>) {
    let session = Session::new(experiment.clone());
    let trace = engine
        .run(&session.run_spec(RunId(1)), &mut golden::Deaf)
        .unwrap();
    (trace, engine.dump(false).unwrap())
}

fn rows_of(dump: &[Named], level: usize) -> Vec<&[f32]> {
    let name = format!("resid.{level}");
    let (_, shape, values) = dump.iter().find(|(n, _, _)| *n == name).unwrap();
    values.chunks(shape[1]).collect()
}

fn norm(row: &[f32]) -> f64 {
    row.iter()
        .map(|x| f64::from(*x).powi(2))
        .sum::<f64>()
        .sqrt()
}

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The cases of `golden/edits.py`: name, experiment, what transformers makes of it.
fn cases() -> Vec<(String, Experiment, serde_json::Value)> {
    let folder = golden_folder();
    let text = std::fs::read_to_string(folder.join("expected_edits.json")).unwrap();
    let file: serde_json::Value = serde_json::from_str(&text).unwrap();
    let checkpoint = folder.join("checkpoints/old-f32");
    let cases = file["cases"].as_object().unwrap().iter();
    let experiment = |row: &serde_json::Value| {
        let mut row: Intervention = serde_json::from_value(row.clone()).unwrap();
        if let Some(path) = row.file_mut() {
            *path = checkpoint.join(&*path);
        }
        Experiment {
            model: ModelSource::Folder(checkpoint.clone()),
            picture: PictureSource::File(checkpoint.join("picture.png")),
            prompt: file["prompt"].as_str().unwrap().to_owned(),
            template: Some("USER: <image>\n{prompt} ASSISTANT:".to_owned()),
            interventions: vec![row],
            decode: Decode {
                max_new_tokens: file["max_new_tokens"].as_u64().unwrap() as usize,
            },
            ..Experiment::default()
        }
    };
    cases
        .map(|(name, case)| {
            (
                name.clone(),
                experiment(&case["intervention"]),
                case.clone(),
            )
        })
        .collect()
}

fn numbers(value: &serde_json::Value) -> Vec<f64> {
    let list = value.as_array().unwrap().iter();
    list.map(|x| x.as_f64().unwrap()).collect()
}

/// ‖a − b‖ / ‖b‖
fn apart(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let length = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    length(&mut a.iter().zip(b).map(|(a, b)| a - b)) / length(&mut b.iter().copied()).max(1e-12)
}

/// How far a run is from a case: worst relative difference of a level, of a probability, and whether the answer is it.
fn compare(
    engine: &mut Engine,
    experiment: &Experiment,
    case: &serde_json::Value,
) -> (f64, f64, bool) {
    let (trace, dump) = run(engine, experiment);
    let mut worst = 0f64;
    for (level, expected) in case["norms"].as_array().unwrap().iter().enumerate() {
        let rows = rows_of(&dump, level);
        let norms: Vec<f64> = rows.iter().map(|row| norm(row)).collect();
        worst = worst.max(apart(&norms, &numbers(expected)));
        let last: Vec<f64> = rows[rows.len() - 1].iter().map(|x| f64::from(*x)).collect();
        worst = worst.max(apart(&last, &numbers(&case["last"][level])));
    }
    let probs = numbers(&case["next"]["probs"]);
    let ids = numbers(&case["next"]["ids"]);
    let found = &trace.edited.next_token;
    let gap = |at: usize| match f64::from(found[at].id) == ids[at] {
        true => (f64::from(found[at].prob) - probs[at]).abs(),
        false => 1.0,
    };
    let gap = (0..probs.len()).map(gap).fold(0.0, f64::max);
    let answer: Vec<f64> = trace
        .edited
        .answer
        .ids
        .iter()
        .map(|id| f64::from(*id))
        .collect();
    (worst, gap, answer == numbers(&case["answer"]))
}

#[test]
fn edits_agree_with_transformers() {
    for whole_runs in [false, true] {
        let mut engine = engine(whole_runs);
        for (name, experiment, case) in cases() {
            let (worst, gap, same_answer) = compare(&mut engine, &experiment, &case);
            println!("{name}: streams within {worst:.1e}, probabilities within {gap:.1e}");
            assert!(worst < 1e-4, "{name}: {worst:.1e}");
            assert!(gap < 1e-3, "{name}: {gap:.1e}");
            assert!(same_answer, "{name}");
        }
    }
}

/// The negative control: a swap from one patch further off is not what transformers made.
#[test]
fn a_swap_from_another_place_is_seen() {
    let mut engine = engine(false);
    let mut n_wrong = 0;
    for (name, mut experiment, case) in cases() {
        if let Intervention::Swap(swap) = &mut experiment.interventions[0]
            && let Some(from) = &mut swap.from
        {
            from.row += 1;
            let (worst, _, _) = compare(&mut engine, &experiment, &case);
            assert!(worst > 1e-3, "{name}: {worst:.1e}");
            n_wrong += 1;
        }
    }
    assert!(n_wrong >= 2);
}

fn with(model: &RandomModel, row: Intervention) -> Experiment {
    Experiment {
        interventions: vec![row],
        ..model.experiment()
    }
}

#[test]
fn by_nothing_is_the_identity_bit_for_bit() {
    for seed in 0..30 {
        let mut draw = Draw::new(9000 + seed);
        let model = RandomModel::new(&mut draw);
        let (tokens, layer) = (model.tokens(&mut draw), draw.below(model.n_layers));
        let steer = Steer {
            tokens: tokens.clone(),
            word: "dog".to_owned(),
            vector: WordVector::Embedding,
            strength: 0.0,
            layer,
            enabled: true,
            name: None,
        };
        let scale = Scale {
            tokens,
            by: 1.0,
            layer,
            enabled: true,
            name: None,
        };
        let mut engine = engine(true);
        for row in [Intervention::Steer(steer), Intervention::Scale(scale)] {
            let (trace, edited) = run(&mut engine, &with(&model, row));
            assert!(trace.has_edits);
            let (_, clean) = run(&mut engine, &model.experiment());
            assert_eq!(edited.len(), clean.len());
            for ((name, _, a), (_, _, b)) in edited.iter().zip(&clean) {
                assert!(a == b, "seed {seed}: {name}");
            }
            assert_eq!(trace.edited.answer, trace.baseline.answer);
        }
    }
}

#[test]
fn a_picture_swapped_with_itself_is_itself() {
    let mut worst = 0f64;
    for seed in 0..40 {
        let mut draw = Draw::new(9100 + seed);
        let model = RandomModel::new(&mut draw);
        let mut swap = model.swap(&mut draw);
        swap.image = model.folder.path().join("picture.png");
        swap.from = None;
        let layer = swap.layer;
        let mut engine = engine(true);
        let (trace, edited) = run(&mut engine, &with(&model, Intervention::Swap(swap)));
        assert!(trace.has_edits);
        let (_, clean) = run(&mut engine, &model.experiment());
        for level in 0..=model.n_layers {
            for (a, b) in rows_of(&edited, level).iter().zip(rows_of(&clean, level)) {
                let gap: Vec<f32> = a.iter().zip(b).map(|(a, b)| a - b).collect();
                worst = worst.max(norm(&gap) / norm(b).max(1e-6));
                assert!(layer > 0 || *a == b, "at the embeddings nothing is rounded");
            }
        }
    }
    println!("worst {worst:.1e}");
    assert!(worst < 1e-5);
}

/// The level's rows after the edit have no part along the word's direction, in the engine's own run.
#[test]
fn what_is_erased_is_gone_from_the_run() {
    for seed in 0..30 {
        let mut draw = Draw::new(9200 + seed);
        let model = RandomModel::new(&mut draw);
        let tokens = draw.one_of(&[TokenSet::Image, TokenSet::All, TokenSet::Question]);
        let layer = draw.below(model.n_layers);
        let erase = Erase {
            tokens: tokens.clone(),
            word: "dog".to_owned(),
            vector: WordVector::Embedding,
            layer,
            enabled: true,
            name: None,
        };
        let (trace, dump) = run(
            &mut engine(false),
            &with(&model, Intervention::Erase(erase)),
        );
        let direction = embedding(&model, "dog");
        let (_, clean) = run(&mut engine(false), &model.experiment());
        let layout: &TokenLayout = &trace.layout;
        let along = |row: &[f32]| -> f64 {
            let products = row.iter().zip(&direction);
            let dot: f64 = products.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            dot / norm(&direction) / norm(row).max(1e-6)
        };
        let mut before = 0f64;
        for at in tokens.positions(layout, layout.n_prompt).unwrap() {
            let left = along(rows_of(&dump, layer)[at]);
            assert!(left.abs() < 1e-5, "seed {seed}, position {at}: {left}");
            before = before.max(along(rows_of(&clean, layer)[at]).abs());
        }
        assert!(before > 1e-3, "there was something to erase");
    }
}

/// A word's row of the input embeddings, read apart from the engine.
fn embedding(model: &RandomModel, word: &str) -> Vec<f32> {
    let llava = Llava::load(model.folder.path(), &Device::Cpu, DType::F32, &mut |_| {
        Ok(())
    })
    .unwrap();
    let id = llava.tokenizer.word_token(word).unwrap().id;
    let row = llava.llama.embed(&[id]).unwrap();
    row.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn what_the_model_does_not_have_is_said_with_its_row() {
    let mut draw = Draw::new(1);
    let model = RandomModel::new(&mut draw);
    for (json, words) in [
        (
            r#"{"type":"steer","tokens":"image","word":"","strength":1}"#,
            "no token",
        ),
        (
            r#"{"type":"erase","tokens":"image","word":"dog","layer":99}"#,
            "layer 99",
        ),
        (
            r#"{"type":"erase","tokens":"image","word":"dog","vector":{"text":99}}"#,
            "level 99",
        ),
        (
            r#"{"type":"scale","tokens":"patches:r99c0","by":2}"#,
            "r99c0",
        ),
        (
            r#"{"type":"swap","patches":"all","image":"other.png","from":"r1c0"}"#,
            "from",
        ),
        (
            r#"{"type":"swap","patches":"r0c0","image":"missing.png"}"#,
            "missing.png",
        ),
    ] {
        let row: Intervention = serde_json::from_str(json).unwrap();
        let session = Session::new(with(&model, row));
        let error = engine(false)
            .run(&session.run_spec(RunId(1)), &mut golden::Deaf)
            .unwrap_err()
            .to_string();
        assert!(error.contains(words), "{error}");
        assert!(!words.starts_with("layer") || error.contains("interventions[0]"));
    }
}

/// A control is what a whole run of the same rows on those random patches makes of the clean answer.
#[test]
fn controls_are_runs_on_random_patches() {
    let mut n_runs = 0;
    for seed in 0..12 {
        let mut draw = Draw::new(9300 + seed);
        let model = RandomModel::new(&mut draw);
        let row = Intervention::Ablation(model.ablation(&mut draw));
        let mut session = Session::new(with(&model, row));
        let seeds = vec![seed, seed + 100];
        session.readout.control = Some(patchglass::spec::ControlSpec {
            seeds: seeds.clone(),
        });
        let ask = |session: &Session, engine: &mut Engine| {
            let spec = session.run_spec(RunId(1));
            engine.run(&spec, &mut golden::Deaf).unwrap()
        };
        let mut fast = engine(false);
        let trace = ask(&session, &mut fast);
        let control = trace.insight.control.clone();
        let Some(drawn) = session.experiment.control(seeds[0], model.grid) else {
            assert!(control.is_none(), "all patches: there is nothing to draw");
            continue;
        };
        let control = control.unwrap();
        assert_eq!(control.seeds, seeds);
        let verdict = control.verdict.unwrap();
        let clean = &trace.baseline.answer;
        assert_eq!(verdict.clean, clean.probs[verdict.token]);
        assert_eq!(verdict.id, clean.ids[verdict.token]);
        let whole = ask(&Session::new(drawn), &mut engine(true));
        let expected = &whole.insight.comparison.as_ref().unwrap().forced;
        for (a, b) in control.runs[0].probs.iter().zip(&expected.probs) {
            assert!((a - b).abs() < 1e-4, "seed {seed}: {a} and {b}");
        }
        assert_eq!(control.runs[0].best_ids, expected.best_ids);
        // The same seeds again are not computed again; without them there is none.
        session.readout.control = None;
        assert!(ask(&session, &mut fast).insight.control.is_none());
        n_runs += 1;
    }
    assert!(n_runs >= 6);
}
