//! Runs that compute only what an edit can reach, against their slow twin that computes everything.

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
#[path = "support/place.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod place;
#[path = "support/random_model.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod random_model;

use patchglass::engine::plan::Plan;
use patchglass::engine::protocol::RunId;
use patchglass::engine::trace::Trace;
use patchglass::engine::{Engine, EngineOptions, Named};
use patchglass::intervene::{CompiledSet, Donor, Target};
use patchglass::model::hooks::{HookPoint, HookSite, Hooks};
use patchglass::model::{Base, KvCache, Llava};
use patchglass::session::Session;
use patchglass::spec::{Experiment, Intervention};
use patchglass::tensor::{DType, Device, Tensor};
use place::Place;
use random_model::{Draw, RandomModel};

fn here() -> Place {
    Place::of_environment()
}

/// Relative difference of a residual stream that rounding may make: other shapes of products take other kernels.
fn tolerance() -> f64 {
    if here().is_f16() { 2e-2 } else { 3e-5 }
}

fn engine(whole_runs: bool) -> Engine {
    let (device, dtype) = here().choice();
    Engine::new(EngineOptions {
        device,
        dtype,
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

/// ‖a − b‖ / ‖b‖, 0 for two streams of zeros.
fn relative_error(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let gap = norm(&mut a.iter().zip(b).map(|(a, b)| f64::from(a - b)));
    gap / norm(&mut b.iter().map(|b| f64::from(*b))).max(1e-12)
}

/// 1,000 random sets of interventions on random models, every row of every level, and the answers.
#[test]
fn incremental_equals_whole() {
    let (mut worst, mut worst_gap, mut shares) = (0f64, 0f32, 0f64);
    let (mut n_sets, mut n_answers_differ) = (0, 0);
    for seed in 0..here().seeds(50) {
        let mut draw = Draw::new(1000 + seed);
        let model = RandomModel::new(&mut draw);
        let (mut fast, mut slow) = (engine(false), engine(true));
        for step in 0..20 {
            let mut experiment = model.experiment();
            let n = 1 + draw.below(3);
            experiment.interventions = (0..n).map(|_| model.any_intervention(&mut draw)).collect();
            // A new question now and then: the clean run goes on from the one before.
            experiment.prompt = draw
                .one_of(&["What is it?", "What is red?", "Describe the image."])
                .to_owned();
            let (fast, fast_dump) = run(&mut fast, &experiment);
            let (slow, slow_dump) = run(&mut slow, &experiment);
            for ((name, _, a), (_, _, b)) in fast_dump.iter().zip(&slow_dump) {
                let error = relative_error(a, b);
                assert!(
                    error < tolerance(),
                    "seed {seed} step {step} {name}: {error:.1e}"
                );
                worst = worst.max(error);
            }
            n_answers_differ += usize::from(fast.edited.answer.ids != slow.edited.answer.ids);
            n_answers_differ += usize::from(fast.baseline.answer.ids != slow.baseline.answer.ids);
            for (a, b) in fast.edited.levels.iter().zip(&slow.edited.levels) {
                let (a, b) = (a.as_ref().unwrap(), b.as_ref().unwrap());
                let gap = a
                    .probs
                    .iter()
                    .zip(&b.probs)
                    .map(|(a, b)| (a - b).abs())
                    .fold(0.0, f32::max);
                worst_gap = worst_gap.max(gap);
                assert_eq!(a.entropy.len(), b.entropy.len());
            }
            shares += f64::from(fast.recomputed.unwrap_or(0.0));
            n_sets += 1;
        }
    }
    println!(
        "{n_sets} sets: worst relative difference {worst:.1e}, of a word's probability {worst_gap:.1e}; \
         {n_answers_differ} answers differ; {:.0} % of the rows computed on average",
        100.0 * shares / f64::from(n_sets)
    );
    assert!(f64::from(worst_gap) < tolerance());
    // In f16 rounding may decide between two words that are equally likely.
    assert!(
        n_answers_differ
            <= if here().is_f16() {
                n_sets as usize / 50
            } else {
                0
            }
    );
}

/// Keeps the stream at every level.
struct Streams(Vec<Tensor>);

impl Hooks for Streams {
    fn wants(&self, at: HookPoint) -> bool {
        at.site == HookSite::ResidPre
    }
    fn visit(
        &mut self,
        _at: HookPoint,
        _first: usize,
        x: Tensor,
    ) -> patchglass::error::Result<Tensor> {
        self.0.push(x.clone());
        Ok(x)
    }
}

/// The negative control: a region that starts one row too late gives another result.
#[test]
fn a_region_one_row_too_late_is_wrong() {
    let (mut n_right, mut n_late, mut n_wrong) = (0, 0, 0);
    for seed in 0..40 {
        let mut draw = Draw::new(5000 + seed);
        let random = RandomModel::new(&mut draw);
        let folder = random.folder.path();
        let model = Llava::load(folder, &Device::Cpu, DType::F32, &mut |_| Ok(())).unwrap();
        let n_layers = model.facts.n_layers;
        let prompt = model.prompt(&random.experiment()).unwrap();
        let pixels = vec![0.3; 3 * model.facts.image_size.pow(2)];
        let visual = model.encode(&pixels).unwrap();
        let embeds = model.embed_prompt(&prompt, &visual).unwrap();
        let rows = [Intervention::Ablation(random.ablation(&mut draw))];
        let plan = Plan::of_edits(&rows, &prompt.layout, n_layers).unwrap();
        let compile = || {
            let target = Target {
                layout: prompt.layout.clone(),
                n_layers,
                n_heads: model.facts.n_heads,
            };
            CompiledSet::new(&rows, target, &mut |_, _| Ok(Donor::Zero)).unwrap()
        };
        let mut clean = Streams(Vec::new());
        let mut cache = KvCache::new(n_layers);
        model
            .llama
            .forward(embeds.clone(), &mut cache, &mut clean)
            .unwrap();
        let whole = model
            .llama
            .forward(embeds.clone(), &mut KvCache::new(n_layers), &mut compile())
            .unwrap();
        let resumed = |rows_from: &[usize]| {
            let mut hooks = compile();
            hooks.set_prefix(clean.0.clone());
            let base = Base {
                resid: &clean.0,
                cache: cache.clone(),
                n_new: 0,
            };
            model
                .llama
                .resume(&embeds, &base, rows_from, &mut hooks)
                .unwrap()
                .0
        };
        let n = prompt.layout.n_prompt;
        let tail = |x: Tensor, rows: usize| x.narrow(0, x.dim(0).unwrap() - rows, rows).unwrap();
        let numbers = |x: Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let last = plan.rows_from[n_layers - 1];
        let right = numbers(resumed(&plan.rows_from).unwrap());
        let expected = numbers(tail(whole.clone(), n - last));
        n_right += usize::from(relative_error(&right, &expected) < 3e-5);

        let late: Vec<usize> = plan
            .rows_from
            .iter()
            .map(|from| (from + 1).min(n))
            .collect();
        if plan.changed_from[n_layers] == last && last + 1 < n {
            let wrong = numbers(resumed(&late).unwrap());
            let expected = numbers(tail(whole, n - last - 1));
            n_late += 1;
            n_wrong += usize::from(relative_error(&wrong, &expected) < 3e-5);
        }
    }
    println!("right regions agree {n_right} of 40 times, late ones {n_wrong} of {n_late} times");
    assert_eq!(n_right, 40);
    assert!(n_late >= 10, "the control was hardly tried");
    assert_eq!(n_wrong, 0, "a late region passed");
}
