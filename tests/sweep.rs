//! Sweeps, whose runs go through one forward together and compute only what they must, against plain runs of the same
//! single interventions.

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

use std::sync::Arc;

use golden::Deaf;
use patchglass::engine::protocol::{Event, Monitor, RunId, RunSpec};
use patchglass::engine::sweep::{Effect, Sweep, Unit};
use patchglass::engine::{Engine, EngineOptions};
use patchglass::error::Error;
use patchglass::index::{HeadSet, LayerRange, PatchGrid, PatchSet, TokenSet};
use patchglass::intervene::{CompiledSet, Donor, Target};
use patchglass::model::hooks::NoHooks;
use patchglass::model::{KvCache, Llava};
use patchglass::session::Session;
use patchglass::spec::{
    Ablation, AttentionKnockout, Experiment, Intervention, Replacement, SweepOver, SweepSpec,
};
use patchglass::tensor::Tensor;
use place::Place;
use random_model::{Draw, RandomModel};

fn here() -> Place {
    Place::of_environment()
}

/// Difference of a probability, log-probability or logit that rounding may make: other shapes take other kernels.
fn tolerance() -> f32 {
    if here().is_f16() { 2e-2 } else { 1e-4 }
}

fn options() -> EngineOptions {
    let (device, dtype) = here().choice();
    EngineOptions {
        device,
        dtype,
        ..EngineOptions::default()
    }
}

fn engine() -> Engine {
    Engine::new(options()).unwrap()
}

fn request(experiment: &Experiment) -> RunSpec {
    Session::new(experiment.clone()).run_spec(RunId(1))
}

fn sweep(engine: &mut Engine, experiment: &Experiment, spec: &SweepSpec) -> Arc<Sweep> {
    let sweep = engine.sweep(&request(experiment), spec, &mut Deaf).unwrap();
    assert!(sweep.is_complete());
    sweep
}

/// The intervention that a unit of a sweep stands for.
fn intervention(over: &SweepOver, unit: &Unit, grid: PatchGrid) -> Intervention {
    match (over, unit) {
        (SweepOver::Patches { with, layer, .. }, Unit::Patches(patches)) => {
            Intervention::Ablation(Ablation {
                with: with.clone(),
                layer: *layer,
                ..Ablation::of(patches.iter().map(|p| grid.patch(*p)).collect())
            })
        }
        (SweepOver::Layers { queries, keys, .. }, Unit::Blocks(blocks)) => {
            let (first, last) = (*blocks.start(), *blocks.end());
            knockout(queries, keys, (first, last), HeadSet::All)
        }
        (SweepOver::Heads { queries, keys }, Unit::Head { layer, head }) => {
            knockout(queries, keys, (*layer, *layer), HeadSet::List(vec![*head]))
        }
        other => panic!("{other:?}"),
    }
}

fn knockout(
    queries: &TokenSet,
    keys: &TokenSet,
    (first, last): (usize, usize),
    heads: HeadSet,
) -> Intervention {
    Intervention::AttentionKnockout(AttentionKnockout {
        queries: queries.clone(),
        keys: keys.clone(),
        layers: LayerRange::Blocks { first, last },
        heads,
        enabled: true,
        name: None,
    })
}

/// A sweep of any kind over a random model; `None` where its queries cannot see its keys.
fn random_sweep(model: &RandomModel, draw: &mut Draw) -> SweepOver {
    let queries = draw.one_of(&[TokenSet::Last, TokenSet::Answer, TokenSet::Question]);
    let keys = match draw.below(3) {
        0 => TokenSet::Image,
        1 => TokenSet::System,
        _ => TokenSet::Patches(PatchSet::from_iter([model.patch(draw)])),
    };
    match draw.below(4) {
        0 => SweepOver::Layers {
            queries,
            keys,
            window: 1 + draw.below(model.n_layers),
        },
        1 => SweepOver::Heads { queries, keys },
        _ => {
            let ablation = model.ablation(draw);
            SweepOver::Patches {
                with: ablation.with,
                layer: ablation.layer,
                block: 1 + draw.below(2),
            }
        }
    }
}

/// The slow twin: one whole forward over the prompt and the answer's tokens before the watched one.
struct Slow {
    model: Llava,
    target: Target,
    embeds: Tensor,
}

impl Slow {
    /// `pixels` are those that the sweep's engine saw.
    fn new(random: &RandomModel, experiment: &Experiment, pixels: &[f32], answer: &[u32]) -> Self {
        let folder = random.folder.path();
        let (device, dtype) = here().device();
        let model = Llava::load(folder, &device, dtype, &mut |_| Ok(())).unwrap();
        let prompt = model.prompt(experiment).unwrap();
        let visual = model.encode(pixels).unwrap();
        let mut embeds = model.embed_prompt(&prompt, &visual).unwrap();
        if !answer.is_empty() {
            let answer = model.llama.embed(answer).unwrap();
            embeds = Tensor::cat(&[&embeds, &answer], 0).unwrap();
        }
        let target = Target {
            layout: prompt.layout.clone(),
            n_layers: model.facts.n_layers,
            n_heads: model.facts.n_heads,
        };
        Self {
            model,
            target,
            embeds,
        }
    }

    fn effect(&self, rows: &[Intervention], token: u32) -> Effect {
        let target = self.target.clone();
        let mut hooks = CompiledSet::new(rows, target, &mut |_, _| Ok(Donor::Zero)).unwrap();
        let llama = &self.model.llama;
        let mut cache = KvCache::new(self.target.n_layers);
        let x = match rows.is_empty() {
            true => llama.forward(self.embeds.clone(), &mut cache, &mut NoHooks),
            false => llama.forward(self.embeds.clone(), &mut cache, &mut hooks),
        };
        let x = x.unwrap();
        let last = x.narrow(0, x.dim(0).unwrap() - 1, 1).unwrap();
        let logits = llama.unembed(&llama.final_norm(&last).unwrap()).unwrap();
        Effect::of(&logits.to_vec2::<f32>().unwrap()[0], token)
    }
}

fn gap(a: &Effect, b: &Effect) -> f32 {
    let d = a.minus(b);
    d.prob.abs().max(d.log_prob.abs()).max(d.logit.abs())
}

/// Every unit of random sweeps on random models: patches, squares, levels, replacements, windows, heads, tokens.
#[test]
fn a_sweep_equals_single_whole_runs() {
    let (mut worst, mut worst_noise, mut n_units, mut n_later) = (0f32, 0f32, 0, 0u64);
    let mut largest = 0f32;
    for seed in 0..here().seeds(60) {
        let mut draw = Draw::new(9000 + seed);
        let model = RandomModel::new(&mut draw);
        let mut experiment = model.experiment();
        let mut engine = engine();
        let plain = engine.run(&request(&experiment), &mut Deaf).unwrap();
        let n_answer = plain.baseline.answer.ids.len();
        let dump = engine.dump(false).unwrap();
        let pixels = &dump
            .iter()
            .find(|(name, ..)| name == "pixel_values")
            .unwrap()
            .2;
        // Interventions of the experiment must not matter.
        experiment.interventions = vec![model.intervention(&mut draw)];
        for _ in 0..3 {
            let spec = SweepSpec {
                token: draw.below(n_answer),
                over: random_sweep(&model, &mut draw),
            };
            let found = match engine.sweep(&request(&experiment), &spec, &mut Deaf) {
                Ok(found) => found,
                Err(Error::Input(why)) if why.contains("never see") => continue,
                Err(error) => panic!("seed {seed}: {error}"),
            };
            assert_eq!(found.answer, plain.baseline.answer.ids[..=spec.token]);
            let token = found.token_id();
            let given = &found.answer[..spec.token];
            let slow = Slow::new(&model, &experiment, pixels, given);
            let baseline = slow.effect(&[], token);
            assert!(
                gap(&found.baseline, &baseline) < tolerance(),
                "seed {seed} {spec:?}"
            );
            let chosen = plain.baseline.answer.probs[spec.token];
            assert!(
                (found.baseline.prob - chosen).abs() < tolerance(),
                "seed {seed}"
            );
            for (unit, effect) in found.units.iter().zip(&found.effects) {
                let row = intervention(&spec.over, unit, model.grid);
                let expected = slow.effect(&[row], token);
                let error = gap(effect.as_ref().unwrap(), &expected);
                assert!(
                    error < tolerance(),
                    "seed {seed} {spec:?} {unit:?}: {error:.1e}"
                );
                worst = worst.max(error);
                largest = largest.max(gap(&expected, &baseline));
                n_units += 1;
            }
            let noise = found.noise;
            worst_noise = worst_noise.max(noise.logit.max(noise.log_prob).max(noise.prob));
            n_later += u64::from(spec.token > 0);
        }
    }
    println!(
        "{n_units} units, {n_later} sweeps of later tokens: worst difference {worst:.1e}, noise {worst_noise:.1e}, largest effect {largest:.2}"
    );
    let n_seeds = here().seeds(60);
    assert!(
        n_units > 8 * n_seeds && n_later > n_seeds / 2,
        "hardly tried"
    );
    assert!(largest > 0.1, "nothing had an effect");
    assert!(worst_noise < tolerance());
}

/// The negative control: a sweep of neighbouring units, another token, level or replacement is told apart.
#[test]
fn another_sweep_does_not_agree() {
    let mut n_wrong = [0; 4];
    for seed in 0..12 {
        let mut draw = Draw::new(700 + seed);
        let model = RandomModel::new(&mut draw);
        let experiment = model.experiment();
        let of = |token, with: Replacement, layer| SweepSpec {
            token,
            over: SweepOver::Patches {
                with,
                layer,
                block: 1,
            },
        };
        let mut engine = engine();
        let right = sweep(&mut engine, &experiment, &of(0, Replacement::Mean, 0));
        let effects = |sweep: &Sweep| -> Vec<Effect> {
            sweep.effects.iter().map(|effect| effect.unwrap()).collect()
        };
        let differs = |other: &[Effect]| {
            let gaps = effects(&right)
                .into_iter()
                .zip(other)
                .map(|(a, b)| gap(&a, b));
            usize::from(gaps.fold(0.0, f32::max) > tolerance())
        };
        let mut shifted = effects(&right);
        shifted.rotate_left(1);
        n_wrong[0] += differs(&shifted);
        let zero = sweep(&mut engine, &experiment, &of(0, Replacement::Zero, 0));
        n_wrong[1] += differs(&effects(&zero));
        let later = sweep(&mut engine, &experiment, &of(1, Replacement::Mean, 0));
        n_wrong[2] += differs(&effects(&later));
        if model.n_layers > 1 {
            let higher = sweep(&mut engine, &experiment, &of(0, Replacement::Mean, 1));
            n_wrong[3] += differs(&effects(&higher));
        }
    }
    println!("told apart: neighbours, zero, token, level: {n_wrong:?} of 12 models");
    assert!(n_wrong[..3].iter().all(|n| *n == 12) && n_wrong[3] >= 6);
}

/// Plain runs of the window's own engine on the demo model, without any knowledge of how a sweep works.
#[test]
fn the_demo_sweep_equals_plain_runs_of_the_engine() {
    let experiment = Session::demo().experiment;
    let mut engine = engine();
    let plain = engine.run(&request(&experiment), &mut Deaf).unwrap();
    let answer = &plain.baseline.answer;
    let mut n_checked = 0;
    for (token, layer, block, with) in [
        (0, 0, 6, Replacement::Mean),
        (4, 0, 8, Replacement::Zero),
        (7, 3, 6, Replacement::Noise(4)),
    ] {
        let spec = SweepSpec {
            token,
            over: SweepOver::Patches { with, layer, block },
        };
        let found = sweep(&mut engine, &experiment, &spec);
        assert!((found.baseline.prob - answer.probs[token]).abs() < tolerance());
        let grid = plain.model.grid;
        for (unit, effect) in found.units.iter().zip(&found.effects) {
            let edited = Experiment {
                interventions: vec![intervention(&spec.over, unit, grid)],
                ..experiment.clone()
            };
            let trace = engine.run(&request(&edited), &mut Deaf).unwrap();
            // A run that answers otherwise before the watched token asks something else.
            if trace.edited.answer.ids.get(..=token) == Some(&answer.ids[..=token]) {
                let error = (effect.unwrap().prob - trace.edited.answer.probs[token]).abs();
                assert!(error < tolerance(), "{spec:?} {unit:?}: {error:.1e}");
                n_checked += 1;
            }
        }
    }
    println!("{n_checked} plain runs agree");
    assert!(n_checked >= 25, "hardly tried: {n_checked}");
}

/// Stops after a number of partial results.
struct StopAfter {
    n: usize,
    seen: Vec<Arc<Sweep>>,
}

impl Monitor for StopAfter {
    fn cancelled(&self) -> bool {
        self.seen.len() >= self.n
    }
    fn shown_level(&self) -> Option<usize> {
        None
    }
    fn emit(&mut self, event: Event) {
        match event {
            Event::Sweep(sweep) => self.seen.push(sweep),
            Event::Trace(_) => panic!("a sweep shows no trace"),
            _ => {}
        }
    }
}

#[test]
fn a_stopped_sweep_keeps_what_it_has_and_goes_on() {
    let mut draw = Draw::new(31);
    let model = RandomModel::new(&mut draw);
    let experiment = model.experiment();
    let spec = SweepSpec {
        token: 1,
        over: SweepOver::Patches {
            with: Replacement::Mean,
            layer: 0,
            block: 1,
        },
    };
    let all = sweep(&mut engine(), &experiment, &spec);

    let mut engine = Engine::new(EngineOptions {
        batch_rows: Some(1),
        ..options()
    })
    .unwrap();
    let mut stop = StopAfter {
        n: 3,
        seen: Vec::new(),
    };
    let request = request(&experiment);
    let error = engine.sweep(&request, &spec, &mut stop).unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error}");
    let done: Vec<usize> = stop.seen.iter().map(|sweep| sweep.n_done()).collect();
    assert_eq!(done, [0, 1, 2], "one by one, and stopped at once");
    // An edit in between changes nothing.
    let edited = Experiment {
        interventions: vec![model.intervention(&mut draw)],
        ..experiment.clone()
    };
    engine.run(&self::request(&edited), &mut Deaf).unwrap();
    let mut rest = StopAfter {
        n: usize::MAX,
        seen: Vec::new(),
    };
    let found = engine.sweep(&request, &spec, &mut rest).unwrap();
    assert_eq!(rest.seen[0].n_done(), 2, "it goes on where it was");
    assert_eq!(rest.seen.len(), 1 + all.units.len() - 2);
    for (a, b) in found.effects.iter().zip(&all.effects) {
        assert!(gap(&a.unwrap(), &b.unwrap()) < tolerance());
    }
    // Another question is another sweep.
    let other = Experiment {
        prompt: "What is red?".to_owned(),
        ..experiment
    };
    let mut first = StopAfter {
        n: 1,
        seen: Vec::new(),
    };
    let _cancelled = engine.sweep(&self::request(&other), &spec, &mut first);
    assert_eq!(first.seen[0].n_done(), 0);
}

/// `cargo test --release --test sweep -- --ignored --nocapture`: what batches bring on this machine. Sizes take turns, and
/// the fastest of each counts, so that other work on the machine disturbs them alike.
#[test]
#[ignore = "it measures, and takes minutes"]
fn batch_sizes() {
    const ROWS: [usize; 7] = [1, 150, 300, 600, 1200, 2400, 4800];
    let experiment = Session::demo().experiment;
    let patches = SweepOver::Patches {
        with: Replacement::Mean,
        layer: 0,
        block: 3,
    };
    let heads = |queries| SweepOver::Heads {
        queries,
        keys: TokenSet::Image,
    };
    let mut engines = ROWS.map(|batch_rows| {
        let mut engine = Engine::new(EngineOptions {
            batch_rows: Some(batch_rows),
            ..options()
        })
        .unwrap();
        engine.run(&request(&experiment), &mut Deaf).unwrap();
        engine
    });
    for (name, over) in [
        ("64 squares of 3 x 3 patches", patches),
        ("64 heads, last -> image", heads(TokenSet::Last)),
        ("64 heads, question -> image", heads(TokenSet::Question)),
    ] {
        let mut best = [f64::INFINITY; ROWS.len()];
        for round in 0..6 {
            for (engine, best) in engines.iter_mut().zip(&mut best) {
                // Another token is another sweep, so that nothing is taken over from the round before.
                let spec = SweepSpec {
                    token: 4 + round % 2,
                    over: over.clone(),
                };
                *best = best.min(sweep(engine, &experiment, &spec).ms);
            }
        }
        for (rows, ms) in ROWS.iter().zip(best) {
            println!("{name}, at most {rows:4} rows a batch: {ms:.0} ms");
        }
    }
}
