//! What a readout can ask for beyond the words of the patches, against the definitions on full logits, on small random
//! models with printed seeds.

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

use std::sync::Arc;

use patchglass::engine::protocol::RunId;
use patchglass::engine::trace::{LevelReadout, RunReadout, Trace};
use patchglass::engine::{CacheFolder, Engine, EngineOptions, Named};
use patchglass::model::{Llava, LoadOptions};
use patchglass::session::Session;
use patchglass::spec::{Experiment, Intervention, Readout};
use patchglass::tensor::{DType, Device, Tensor};
use random_model::{Draw, RandomModel};

fn engine(whole_runs: bool) -> Engine {
    let options = EngineOptions {
        whole_runs,
        cache: CacheFolder::Off,
        ..EngineOptions::default()
    };
    Engine::new(options).unwrap()
}

fn run(engine: &mut Engine, experiment: &Experiment, readout: &Readout) -> Arc<Trace> {
    let session = Session {
        readout: readout.clone(),
        ..Session::new(experiment.clone())
    };
    engine
        .run(&session.run_spec(RunId(1)), &mut golden::Deaf)
        .unwrap()
}

fn model(random: &RandomModel) -> Llava {
    let checkpoint = patchglass::engine::checkpoint(&random.experiment().model).unwrap();
    let options = LoadOptions {
        device: Device::Cpu,
        numbers: DType::F32.into(),
        cache: None,
    };
    Llava::open(&checkpoint, &options, &mut |_| Ok(())).unwrap()
}

fn stream(dump: &[Named], level: usize) -> Tensor {
    let name = format!("resid.{level}");
    let (_, shape, values) = dump.iter().find(|(found, ..)| *found == name).unwrap();
    Tensor::from_slice(values, shape.as_slice(), &Device::Cpu).unwrap()
}

/// Full probabilities of every row of a level, in f64. `[row][word]`
fn probabilities(model: &Llava, rows: &Tensor) -> Vec<Vec<f64>> {
    let normed = model.llama.final_norm(rows).unwrap();
    let logits = model
        .llama
        .unembed(&normed)
        .unwrap()
        .to_vec2::<f32>()
        .unwrap();
    let softmax = |row: Vec<f32>| {
        let e: Vec<f64> = row.iter().map(|x| f64::from(*x).exp()).collect();
        let sum: f64 = e.iter().sum();
        e.into_iter().map(|e| e / sum).collect()
    };
    logits.into_iter().map(softmax).collect()
}

fn patches(trace: &Trace, stream: &Tensor) -> Tensor {
    let range = trace.layout.patches();
    stream.narrow(0, range.start, range.len()).unwrap()
}

#[test]
fn words_by_log_sum_exp_equal_the_softmax_and_typing_runs_nothing() {
    for seed in 0..8 {
        println!("seed {seed}");
        let random = RandomModel::new(&mut Draw::new(seed));
        let (model, mut engine) = (model(&random), engine(false));
        let experiment = random.experiment();
        run(&mut engine, &experiment, &Readout::default());
        let dump = engine.dump(false).unwrap();
        for (word, token) in [("dog", 0), ("banana tree", 0), ("banana tree", 1)] {
            let readout = Readout {
                words: vec![word.to_owned()],
                word_tokens: vec![token],
                ranks: true,
                ..Readout::default()
            };
            let trace = run(&mut engine, &experiment, &readout);
            let timing = trace.timing;
            assert_eq!(
                (timing.load, timing.encode, timing.baseline),
                (0.0, 0.0, 0.0)
            );
            let found = &trace.words[0];
            assert_eq!(
                (found.ids[token], found.n_tokens),
                (found.id, found.ids.len())
            );
            let n_words = model.tokenizer.n_words();
            for (level, read) in trace.baseline.levels.iter().enumerate() {
                let read = read.as_ref().unwrap();
                let full = probabilities(&model, &patches(&trace, &stream(&dump, level)));
                for (patch, row) in full.iter().enumerate() {
                    let p = row[found.id as usize];
                    assert!((f64::from(read.words[0][patch]) - p).abs() < 1e-6);
                    assert!((f64::from(read.word_log_probs[0][patch]) - p.ln()).abs() < 1e-4);
                    let better = |bar: f64| row[..n_words].iter().filter(|q| **q > bar).count() + 1;
                    let rank = read.word_ranks[0][patch] as usize;
                    assert!((better(p * 1.00001)..=better(p * 0.99999)).contains(&rank));
                }
            }
        }
    }
}

#[test]
fn a_token_that_the_word_does_not_have_is_refused() {
    let random = RandomModel::new(&mut Draw::new(3));
    let readout = Readout {
        words: vec!["dog".to_owned()],
        word_tokens: vec![9],
        ..Readout::default()
    };
    let session = Session {
        readout,
        ..Session::new(random.experiment())
    };
    let error = engine(false).run(&session.run_spec(RunId(1)), &mut golden::Deaf);
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("readout.word_tokens") && error.contains("no token 9"),
        "{error}"
    );
}

/// Σ p ln(p / q), clean against edited.
fn naive_kl(p: &[f64], q: &[f64]) -> f64 {
    p.iter().zip(q).map(|(p, q)| p * (p / q).ln()).sum()
}

#[test]
fn divergence_is_that_of_the_definition_and_nothing_changed_lies_under_the_floor() {
    let readout = Readout {
        divergence: true,
        ..Readout::default()
    };
    for seed in 100..116 {
        println!("seed {seed}");
        let mut draw = Draw::new(seed);
        let random = RandomModel::new(&mut draw);
        let model = model(&random);
        let mut experiment = random.experiment();
        let (mut fast, mut slow) = (engine(false), engine(true));
        run(&mut fast, &experiment, &readout);
        let clean = fast.dump(false).unwrap();
        experiment.interventions = vec![random.intervention(&mut draw)];
        let trace = run(&mut fast, &experiment, &readout);
        if !trace.has_edits {
            continue;
        }
        assert!(trace.baseline.divergence.is_empty());
        let whole = run(&mut slow, &experiment, &readout);
        let edited = fast.dump(false).unwrap();
        assert_eq!(trace.edited.divergence.len(), random.n_layers + 1);
        for (level, read) in trace.edited.divergence.iter().enumerate() {
            let read = read.as_ref().unwrap();
            let of = |dump: &[Named]| probabilities(&model, &patches(&trace, &stream(dump, level)));
            for (patch, (p, q)) in of(&clean).iter().zip(of(&edited)).enumerate() {
                let (ours, naive) = (f64::from(read.values[patch]), naive_kl(p, &q));
                assert!(
                    ours >= 0.0 && (ours - naive).abs() < 1e-5 + 1e-3 * naive,
                    "{ours} {naive}"
                );
            }
            // A pass over all rows has no rounding of its own: nothing changed is nothing apart.
            assert_eq!(whole.edited.divergence[level].as_ref().unwrap().floor, 0.0);
            assert!(read.floor < 1e-4, "{}", read.floor);
        }
    }
}

/// Interventions that are carried out and change nothing: every cell lies at or under the floor.
#[test]
fn rounding_is_not_shown_as_a_difference() {
    let readout = Readout {
        divergence: true,
        ..Readout::default()
    };
    for seed in 200..212 {
        println!("seed {seed}");
        let mut draw = Draw::new(seed);
        let random = RandomModel::new(&mut draw);
        let mut experiment = random.experiment();
        let itself = r#"{"type":"ablation","patches":"r0c0","with":{"patch":"r0c0"}}"#;
        let last = r#"{"type":"ablation","patches":"r0c1","layer":0}"#;
        let rows = |texts: &[&str]| -> Vec<Intervention> {
            texts
                .iter()
                .map(|t| serde_json::from_str(t).unwrap())
                .collect()
        };
        experiment.interventions = rows(&[itself]);
        let trace = run(&mut engine(false), &experiment, &readout);
        let all = |trace: &Trace| -> Vec<(f32, f32)> {
            let levels = trace.edited.divergence.iter().flatten();
            levels
                .flat_map(|l| l.values.iter().map(|v| (*v, l.floor)))
                .collect()
        };
        assert!(all(&trace).iter().all(|(kl, floor)| kl <= floor));
        // The control: a real edit is far above.
        experiment.interventions = rows(&[itself, last]);
        let trace = run(&mut engine(false), &experiment, &readout);
        assert!(
            all(&trace)
                .iter()
                .any(|(kl, floor)| *kl > 100.0 * floor && *kl > 1e-3)
        );
    }
}

#[test]
fn cosines_are_those_of_the_definition() {
    let readout = Readout {
        cosine: true,
        all_tokens: true,
        top_k: 3,
        ..Readout::default()
    };
    for seed in 300..308 {
        println!("seed {seed}");
        let random = RandomModel::new(&mut Draw::new(seed));
        let (model, mut engine) = (model(&random), engine(false));
        let trace = run(&mut engine, &random.experiment(), &readout);
        let dump = engine.dump(false).unwrap();
        let ids: Vec<u32> = (0..model.tokenizer.n_words() as u32).collect();
        let words = model.llama.embed(&ids).unwrap().to_vec2::<f32>().unwrap();
        for (level, read) in trace.baseline.cosine.iter().enumerate() {
            let read = read.as_ref().unwrap();
            let all = stream(&dump, level);
            let rows = patches(&trace, &all).to_vec2::<f32>().unwrap();
            check_cosines(&rows, read, &words);
            // The tokens of the prompt that are no patches; the dump ends with the prompt.
            let tokens = trace.baseline.tokens.as_ref().unwrap();
            let all = all.to_vec2::<f32>().unwrap();
            let known = tokens.positions.iter().filter_map(|at| all.get(*at));
            let rows: Vec<Vec<f32>> = known.cloned().collect();
            assert_eq!(rows.len(), all.len() - trace.layout.patches().len());
            check_cosines(&rows, tokens.cosine[level].as_ref().unwrap(), &words);
        }
    }
}

fn check_cosines(rows: &[Vec<f32>], read: &LevelReadout, words: &[Vec<f32>]) {
    for (at, row) in rows.iter().enumerate() {
        let all: Vec<f64> = words.iter().map(|word| cosine(row, word)).collect();
        let mut best = all.clone();
        best.sort_by(|a, b| b.total_cmp(a));
        assert_eq!(read.top(at).count(), 3);
        for (k, (id, ours)) in read.top(at).enumerate() {
            assert!(
                (f64::from(ours) - best[k]).abs() < 1e-5,
                "{ours} {}",
                best[k]
            );
            assert!((f64::from(ours) - all[id as usize]).abs() < 1e-5);
        }
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(1e-30)
}

/// The tokens that are no patches: those of the prompt by the full softmax, those of the answer by what was chosen next.
#[test]
fn all_tokens_are_read_and_the_answer_goes_on() {
    let readout = Readout {
        all_tokens: true,
        ..Readout::default()
    };
    for seed in 400..412 {
        println!("seed {seed}");
        let mut draw = Draw::new(seed);
        let random = RandomModel::new(&mut draw);
        let (model, mut engine) = (model(&random), engine(false));
        let mut experiment = random.experiment();
        experiment.interventions = vec![random.intervention(&mut draw)];
        let trace = run(&mut engine, &experiment, &readout);
        let dump = engine.dump(false).unwrap();
        for run in [&trace.baseline, &trace.edited] {
            check_tokens(run, &trace, model.tokenizer.n_words() as u32);
        }
        let tokens = trace.edited.tokens.as_ref().unwrap();
        let n = trace.layout.n_prompt;
        for (level, read) in tokens.levels.iter().enumerate() {
            let read = read.as_ref().unwrap();
            let full = probabilities(&model, &stream(&dump, level));
            for (i, at) in tokens
                .positions
                .iter()
                .enumerate()
                .filter(|(_, at)| **at < n)
            {
                let (id, p) = read.top(i).next().unwrap();
                assert!((f64::from(p) - full[*at][id as usize]).abs() < 1e-5);
            }
        }
    }
}

fn check_tokens(run: &RunReadout, trace: &Trace, n_words: u32) {
    let tokens = run.tokens.as_ref().unwrap();
    let (n, patches) = (trace.layout.n_prompt, trace.layout.patches());
    let n_run = run.answer.ids.len().saturating_sub(1);
    assert_eq!(tokens.positions.len(), n - patches.len() + n_run);
    assert!(tokens.positions.iter().all(|at| !patches.contains(at)));
    let top = tokens.levels.last().unwrap().as_ref().unwrap();
    // At the last level a position says the token that was chosen after it.
    for (i, at) in tokens
        .positions
        .iter()
        .enumerate()
        .filter(|(_, at)| **at >= n - 1)
    {
        let (id, p) = top.top(i).next().unwrap();
        let chosen = run.answer.ids[at + 1 - n];
        // The model may choose a padding row of its vocabulary, which no lens shows.
        if chosen < n_words {
            let expected = run.answer.probs[at + 1 - n];
            assert!((p - expected).abs() < 1e-4, "{p} {expected}");
            assert!(id == chosen || p < 0.5);
        }
    }
}
