//! What experiments are made of (`engine::study`) against plain runs of the engine, one at a time, on random models; and
//! gradients against differences.

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

use std::path::PathBuf;
use std::sync::Arc;

use golden::Deaf;
use patchglass::engine::protocol::{DeviceChoice, RunId};
use patchglass::engine::study::{Question, Study};
use patchglass::engine::sweep::Effect;
use patchglass::engine::trace::Trace;
use patchglass::engine::{Engine, EngineOptions};
use patchglass::index::{PatchSet, TokenSet};
use patchglass::model::preprocess::PreparedPicture;
use patchglass::session::Session;
use patchglass::spec::{
    Ablation, AttentionKnockout, Crop, Experiment, Intervention, ModelSource, PictureSource,
    Replacement,
};
use patchglass::tensor::{Device, Tensor};
use random_model::{Draw, RandomModel};

const MOST: usize = 6;

fn engine() -> Engine {
    let options = EngineOptions {
        device: DeviceChoice::Cpu,
        ..EngineOptions::default()
    };
    Engine::new(options).unwrap()
}

fn question(prompt: &str) -> Question {
    Question {
        prompt: prompt.to_owned(),
        answer_prefix: String::new(),
        most: MOST,
    }
}

struct Case {
    experiment: Experiment,
    study: Study,
    prepared: PreparedPicture,
    engine: Engine,
}

impl Case {
    fn new(model: &RandomModel) -> Self {
        let mut experiment = model.experiment();
        experiment.decode.max_new_tokens = MOST;
        let mut engine = engine();
        let study = Study::open(&mut engine, &experiment.model, &mut |_| Ok(())).unwrap();
        let PictureSource::File(path) = &experiment.picture else {
            panic!("a picture file")
        };
        let prepared = study.picture(path, Crop::Center).unwrap();
        Self {
            experiment,
            study,
            prepared,
            engine,
        }
    }

    /// The engine's own run of one intervention and a question.
    fn run(&mut self, prompt: &str, intervention: Intervention) -> Arc<Trace> {
        let mut experiment = self.experiment.clone();
        experiment.prompt = prompt.to_owned();
        experiment.interventions = vec![intervention];
        let request = Session::new(experiment).run_spec(RunId(1));
        self.engine.run(&request, &mut Deaf).unwrap()
    }
}

/// Whether a token that is hard to tell from the next best may be another.
fn is_close(trace: &Trace) -> bool {
    let best = &trace.edited.next_token;
    (best[0].logit - best[1].logit).abs() < 1e-3
}

#[test]
fn ablations_in_batches_are_those_of_single_runs() {
    let mut n_changed = 0;
    for seed in 0..12 {
        let mut draw = Draw::new(seed);
        let model = RandomModel::new(&mut draw);
        let mut case = Case::new(&model);
        let mut sets: Vec<PatchSet> = (0..5).map(|_| model.patches(&mut draw)).collect();
        sets.extend([PatchSet::default(), PatchSet::All]);
        let with = draw.one_of(&[Replacement::Mean, Replacement::Zero]);
        let prompts = ["What is it?", "Describe the image."];
        let indices: Vec<Vec<usize>> = sets
            .iter()
            .map(|set| set.indices(model.grid).unwrap())
            .collect();
        let found = {
            let seen = case.study.look(&case.prepared.pixel_values).unwrap();
            let asked: Vec<_> = prompts
                .iter()
                .map(|p| seen.ask(&question(p)).unwrap())
                .collect();
            let donor = case.study.donor(&with).unwrap();
            let clean: Vec<Vec<u32>> = asked.iter().map(|a| a.answer.ids.clone()).collect();
            let refs: Vec<_> = asked.iter().collect();
            (seen.ablate(&indices, &donor, &refs).unwrap(), clean)
        };
        for (set, of_set) in sets.iter().zip(&found.0) {
            for ((prompt, edited), clean) in prompts.iter().zip(of_set).zip(&found.1) {
                let ablation = Ablation {
                    with: with.clone(),
                    ..Ablation::of(set.clone())
                };
                let trace = case.run(prompt, Intervention::Ablation(ablation));
                assert_eq!(&trace.baseline.answer.ids, clean, "seed {seed}");
                assert_eq!(
                    edited.answer.ids, trace.edited.answer.ids,
                    "seed {seed}, {set}, {prompt}"
                );
                assert_eq!(edited.answer.text, trace.edited.answer.text);
                assert!(is_close(&trace) || edited.first == trace.edited.answer.ids[0]);
                n_changed += usize::from(edited.answer.ids != *clean);
                let same = trace.edited.next_token.iter().find(|t| t.id == clean[0]);
                if let Some(same) = same {
                    assert!(
                        (edited.watched.prob - same.prob).abs() < 1e-4,
                        "seed {seed}"
                    );
                    assert!(
                        (edited.watched.logit - same.logit).abs() < 1e-3,
                        "seed {seed}"
                    );
                }
            }
        }
    }
    assert!(
        n_changed > 20,
        "edits must change answers, else nothing is tested: {n_changed}"
    );
}

#[test]
fn knockouts_in_windows_are_those_of_single_runs() {
    let mut n_changed = 0;
    for seed in 0..12 {
        let mut draw = Draw::new(100 + seed);
        let model = RandomModel::new(&mut draw);
        let mut case = Case::new(&model);
        let object = TokenSet::Patches(model.patches(&mut draw));
        let groups = [
            (TokenSet::Last, object.clone()),
            (TokenSet::Question, object.clone()),
            (TokenSet::Last, TokenSet::Question),
            (object, TokenSet::Image),
        ];
        let last = model.n_layers - 1;
        let windows = [0..=0, 0..=last, last..=last, last / 2..=last];
        for (queries, keys) in groups {
            let found = {
                let seen = case.study.look(&case.prepared.pixel_values).unwrap();
                let asked = seen.ask(&question("What is it?")).unwrap();
                let found = asked.knock_out((&queries, &keys), &windows).unwrap();
                (found, asked.baseline())
            };
            for (window, out) in windows.iter().zip(&found.0) {
                let layers = format!("{}..={}", window.start(), window.end());
                let knockout = AttentionKnockout {
                    queries: queries.clone(),
                    keys: keys.clone(),
                    layers: layers.parse().unwrap(),
                    heads: Default::default(),
                    enabled: true,
                    name: None,
                };
                let trace = case.run("What is it?", Intervention::AttentionKnockout(knockout));
                assert!(
                    is_close(&trace) || out.first == trace.edited.answer.ids[0],
                    "seed {seed}"
                );
                let same = trace
                    .edited
                    .next_token
                    .iter()
                    .find(|t| t.id == found.1.first);
                if let Some(same) = same {
                    assert!(
                        (out.watched.prob - same.prob).abs() < 1e-4,
                        "seed {seed} {queries} {keys}"
                    );
                    assert!((out.watched.logit - same.logit).abs() < 1e-3, "seed {seed}");
                }
                n_changed += usize::from((out.watched.logit - found.1.watched.logit).abs() > 1e-3);
            }
        }
    }
    assert!(
        n_changed > 40,
        "knockouts must do something, else nothing is tested: {n_changed}"
    );
}

/// At every level, and at the last one the model's own output: the final norm is applied once.
#[test]
fn the_lens_is_the_engines() {
    for seed in 0..6 {
        let mut draw = Draw::new(200 + seed);
        let model = RandomModel::new(&mut draw);
        let mut case = Case::new(&model);
        let patches: Vec<usize> = (0..model.grid.len()).step_by(2).collect();
        let levels = case
            .study
            .look(&case.prepared.pixel_values)
            .unwrap()
            .lens(&patches, 5)
            .unwrap();
        let trace = case.run(
            "What is it?",
            Intervention::Ablation(Ablation::of(PatchSet::default())),
        );
        assert_eq!(levels.len(), model.n_layers + 1);
        for (level, read) in levels.iter().zip(&trace.baseline.levels) {
            let read = read.as_ref().unwrap();
            for (ids, patch) in level.iter().zip(&patches) {
                let expected: Vec<(u32, f32)> = read.top(*patch).collect();
                for (id, (other, prob)) in ids.iter().zip(&expected) {
                    // Candidates that are as likely may change places.
                    let is_tied = expected
                        .iter()
                        .any(|(tied, p)| tied == id && (p - prob).abs() < 1e-4 * prob);
                    assert!(id == other || is_tied, "seed {seed}");
                }
            }
        }
    }
}

fn dot(a: &Tensor, b: &Tensor) -> f64 {
    let sum = (a * b)
        .unwrap()
        .to_dtype(patchglass::tensor::DType::F64)
        .unwrap();
    sum.candle()
        .unwrap()
        .sum_all()
        .unwrap()
        .to_scalar()
        .unwrap()
}

#[test]
fn gradients_are_slopes_of_the_models_own_logits() {
    for seed in 0..8 {
        let mut draw = Draw::new(300 + seed);
        let model = RandomModel::new(&mut draw);
        let llava = patchglass::model::Llava::load(
            model.folder.path(),
            &Device::Cpu,
            patchglass::tensor::DType::F32,
            &mut |_| Ok(()),
        )
        .unwrap();
        let d = llava.facts.d_model;
        let embeds = Tensor::randn(0f32, 1.0, (9, d), &Device::Cpu).unwrap();
        let way = Tensor::randn(0f32, 1.0, (9, d), &Device::Cpu).unwrap();
        let token = draw.below(400) as u32;
        let logit = |x: &Tensor| {
            let mut cache = patchglass::model::KvCache::new(model.n_layers);
            let last = llava
                .llama
                .forward(
                    x.clone(),
                    &mut cache,
                    &mut patchglass::model::hooks::NoHooks,
                )
                .unwrap();
            let row = last.narrow(0, 8, 1).unwrap();
            let logits = llava
                .llama
                .unembed(&llava.llama.final_norm(&row).unwrap())
                .unwrap();
            f64::from(logits.flatten_all().unwrap().to_vec1::<f32>().unwrap()[token as usize])
        };
        let (value, gradient) = llava.llama.gradient_of_logit(&embeds, token).unwrap();
        assert!(
            (f64::from(value) - logit(&embeds)).abs() < 1e-4,
            "the forward pass is the hooked one"
        );
        let h = 5e-3;
        let at = |share: f64| logit(&(&embeds + (&way * share).unwrap()).unwrap());
        // Two step widths: what is left of the error of differences is of the fourth order.
        let slope = |h: f64| (at(h) - at(-h)) / (2.0 * h);
        let slope = (4.0 * slope(h) - slope(2.0 * h)) / 3.0;
        let ours = dot(&gradient, &way);
        let size = dot(&gradient, &gradient).sqrt() * dot(&way, &way).sqrt();
        assert!(
            (ours - slope).abs() < 2e-2 * slope.abs() + 2e-3 * size,
            "seed {seed}: {ours} {slope} {size}"
        );
        let other = Tensor::randn(0f32, 1.0, (9, d), &Device::Cpu).unwrap();
        assert!(
            (dot(&other, &way) - slope).abs() > 1e-3,
            "the comparison can fail"
        );
    }
}

/// Completeness: the patches' contributions add up to what all of them change together.
#[test]
fn contributions_add_up() {
    for seed in 0..4 {
        let mut draw = Draw::new(400 + seed);
        let model = RandomModel::new(&mut draw);
        let case = Case::new(&model);
        let seen = case.study.look(&case.prepared.pixel_values).unwrap();
        let asked = seen.ask(&question("What is it?")).unwrap();
        let donor = case.study.donor(&Replacement::Mean).unwrap();
        let token = asked.first_token();
        let found = asked.integrated_gradients(token, 60, &donor).unwrap();
        let sum: f32 = found.patches.iter().sum();
        let (low, high) = found.logits;
        assert!(
            (sum - (high - low)).abs() < 0.02 * (high - low).abs() + 2e-3,
            "seed {seed}: {sum} {low} {high}"
        );
        assert!((Effect::of(&asked.logits, token).logit - high).abs() < 1e-3);
        // The lower end is the run with every patch ablated: text tokens are left alone.
        let all: Vec<usize> = (0..model.grid.len()).collect();
        let edited = seen.ablate(&[all], &donor, &[&asked]).unwrap();
        assert!(
            (edited[0][0].watched.logit - low).abs() < 1e-3,
            "seed {seed}"
        );
    }
}

/// The paper's code took the token that starts every text for "Yes".
#[test]
fn the_target_of_gradients_is_yes() {
    let mut engine = engine();
    let study = Study::open(&mut engine, &ModelSource::Demo, &mut |_| Ok(())).unwrap();
    let question = question("Is there a dog in this image?");
    let yes = study.token_in_context(&question, "Yes").unwrap();
    assert_eq!(study.text(&[yes]).unwrap().trim(), "Yes");
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("assets/demo/samples/meadow.png");
    let prepared = study.picture(&path, Crop::Center).unwrap();
    let seen = study.look(&prepared.pixel_values).unwrap();
    let asked = seen.ask(&question).unwrap();
    assert_eq!(
        (asked.first_token(), asked.answer.text.as_str()),
        (yes, "Yes.")
    );
}
