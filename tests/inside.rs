//! Attention, rollout, attribution and the comparison of answers, on small random models with printed seeds: against the
//! patterns and logits of whole passes, which know nothing of them.

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

use patchglass::engine::insight::{Attribution, Inside, log_sum_exp};
use patchglass::engine::protocol::RunId;
use patchglass::engine::trace::Trace;
use patchglass::engine::{Engine, EngineOptions};
use patchglass::index::{HeadSet, QueryToken};
use patchglass::session::Session;
use patchglass::spec::{
    AttentionSpec, AttributionSpec, Experiment, Intervention, Readout, SweepOver,
};
use random_model::{Draw, RandomModel};

type Dump = Vec<(String, Vec<usize>, Vec<f32>)>;

fn engine() -> Engine {
    Engine::new(EngineOptions::default()).unwrap()
}

fn run(engine: &mut Engine, experiment: &Experiment, readout: Readout) -> Arc<Trace> {
    let session = Session {
        readout,
        ..Session::new(experiment.clone())
    };
    engine
        .run(&session.run_spec(RunId(1)), &mut golden::Deaf)
        .unwrap()
}

fn asking(query: QueryToken, token: usize) -> Readout {
    Readout {
        attention: Some(AttentionSpec {
            query,
            rollout: true,
            ..AttentionSpec::default()
        }),
        attribution: Some(AttributionSpec { token, maps: false }),
        ..Readout::default()
    }
}

fn pattern(dump: &Dump, layer: usize) -> &[f32] {
    let name = format!("pattern.{layer}");
    &dump.iter().find(|(found, ..)| *found == name).unwrap().2
}

/// Random interventions, a random query of the prompt, a random token of the answer.
fn drawn(seed: u64) -> (RandomModel, Experiment, Readout, Draw) {
    println!("seed {seed}");
    let mut draw = Draw::new(seed);
    let model = RandomModel::new(&mut draw);
    let mut experiment = model.experiment();
    experiment.interventions = (0..draw.below(4))
        .map(|_| model.intervention(&mut draw))
        .collect();
    let query = match draw.below(3) {
        0 => QueryToken::Last,
        1 => QueryToken::Patch(model.patch(&mut draw)),
        _ => QueryToken::Position(draw.below(8)),
    };
    let readout = asking(query, draw.below(4));
    (model, experiment, readout, draw)
}

#[test]
fn attention_of_a_token_is_its_row_of_the_whole_pattern() {
    for seed in 1000..1030 {
        let (_model, experiment, readout, _) = drawn(seed);
        let mut engine = engine();
        let trace = run(&mut engine, &experiment, readout);
        let dump = engine.dump(true).unwrap();
        let found = trace.insight.edited.attention.clone().unwrap();
        let n = trace.layout.n_prompt;
        for layer in 0..found.n_layers {
            for head in 0..found.n_heads {
                let whole = &pattern(&dump, layer)[(head * n + found.query) * n..][..n];
                let row = found.row(layer, head);
                for (a, b) in row.iter().zip(whole) {
                    assert!((a - b).abs() < 1e-5, "block {layer} head {head}: {a} {b}");
                }
                assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            }
        }
    }
}

#[test]
fn a_row_of_the_rollout_sums_to_one_and_is_the_product_of_the_patterns() {
    for seed in 1100..1130 {
        let (_model, experiment, readout, _) = drawn(seed);
        let mut engine = engine();
        let trace = run(&mut engine, &experiment, readout);
        let dump = engine.dump(true).unwrap();
        let found = trace.insight.edited.attention.clone().unwrap();
        let sum: f64 = found.rollout.iter().map(|x| f64::from(*x)).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
        let slow = rollout(&dump, trace.layout.n_prompt, found.n_layers, found.n_heads);
        for (a, b) in found.rollout.iter().zip(&slow[found.query]) {
            assert!((f64::from(*a) - b).abs() < 1e-5, "{a} {b}");
        }
    }
}

/// The definition, from the first block up: R = (mean pattern + identity) / 2 times R of the blocks below.
fn rollout(dump: &Dump, n: usize, n_layers: usize, n_heads: usize) -> Vec<Vec<f64>> {
    let mut all: Vec<Vec<f64>> = (0..n)
        .map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect())
        .collect();
    for layer in 0..n_layers {
        let pattern = pattern(dump, layer);
        let mean = |i: usize, j: usize| {
            let of_head = |head: usize| f64::from(pattern[(head * n + i) * n + j]);
            (0..n_heads).map(of_head).sum::<f64>() / n_heads as f64
        };
        let entry = |i: usize, j: usize| {
            let passed: f64 = (0..n).map(|k| mean(i, k) * all[k][j]).sum();
            0.5 * passed + 0.5 * all[i][j]
        };
        all = (0..n)
            .map(|i| (0..n).map(|j| entry(i, j)).collect())
            .collect();
    }
    all
}

#[test]
fn attention_to_what_is_knocked_out_is_exactly_zero() {
    let mut n_hit = 0;
    for seed in 1200..1230 {
        let (model, mut experiment, mut readout, mut draw) = drawn(seed);
        let knockout = model.knockout(&mut draw);
        experiment.interventions = vec![Intervention::AttentionKnockout(knockout.clone())];
        // Generated tokens too.
        if draw.chance() {
            readout = asking(QueryToken::Answer(0), 1);
        }
        let trace = run(&mut engine(), &experiment, readout);
        let found = trace.insight.edited.attention.clone().unwrap();
        let clean = trace.insight.clean.attention.clone().unwrap();
        let queries = knockout
            .queries
            .positions(&trace.layout, found.n_keys)
            .unwrap();
        let keys = knockout
            .keys
            .positions(&trace.layout, found.n_keys)
            .unwrap();
        let layers = knockout.layers.resolve(model.n_layers).unwrap();
        for layer in 0..model.n_layers {
            for head in 0..model.n_heads {
                let hits_head = match &knockout.heads {
                    HeadSet::All => true,
                    HeadSet::List(heads) => heads.contains(&head),
                };
                let hits = hits_head && layers.contains(&layer) && queries.contains(&found.query);
                for key in 0..found.query {
                    let p = found.row(layer, head)[key];
                    assert_eq!(
                        p == 0.0,
                        hits && keys.contains(&key),
                        "{layer} {head} {key}: {p}"
                    );
                    // The control: without the knockout no pair is 0.
                    assert!(clean.row(layer, head)[key] > 0.0);
                    n_hit += usize::from(p == 0.0);
                }
            }
        }
    }
    assert!(n_hit > 50, "{n_hit}");
}

/// The logit of the attributed token from a run whose prompt was told apart from it.
fn check_attribution(found: &Attribution, inside: &Inside, trace: &Trace) {
    let close = |a: f32, b: f32, what: &str| {
        let allowed = 1e-3 * b.abs().max(1.0);
        assert!((a - b).abs() <= allowed, "{what}: {a} is not {b}");
    };
    close(found.total(), found.logit, "the sum of the components");
    // Only rounding is left over where nothing is written into the stream at this position.
    close(found.other, 0.0, "what is left over");
    let heads = found.heads();
    for (layer, heads) in heads.chunks(found.n_heads).enumerate() {
        close(
            heads.iter().sum(),
            found.attention[layer],
            "the heads of a block",
        );
    }
    let all: f32 = found.tokens().iter().sum();
    close(
        all,
        found.attention.iter().sum(),
        "what comes from all tokens",
    );
    assert_eq!(found.n_keys, found.position + 1);
    assert_eq!(found.position, trace.layout.last() + found.token);
    assert!(inside.attribution.is_some());
}

#[test]
fn an_attribution_sums_to_the_logit() {
    let mut n_checked = 0;
    for seed in 1300..1340 {
        let (_model, experiment, readout, _) = drawn(seed);
        let mut engine = engine();
        let trace = run(&mut engine, &experiment, readout.clone());
        let answer = &trace.baseline.answer;
        let token = readout.attribution.unwrap().token;
        for inside in [&trace.insight.clean, &trace.insight.edited] {
            let Some(found) = inside.attribution.clone() else {
                assert!(token >= answer.ids.len());
                continue;
            };
            assert_eq!(found.id, answer.ids[token]);
            check_attribution(&found, inside, &trace);
            n_checked += 1;
        }
        if let Some(found) = &trace.insight.clean.attribution {
            // The generated answer's own number, from another pass.
            let sweep = patchglass::spec::SweepSpec {
                token,
                over: SweepOver::Layers {
                    queries: "last".parse().unwrap(),
                    keys: "image".parse().unwrap(),
                    window: 1,
                },
            };
            let session = Session::new(experiment.clone());
            let spec = session.run_spec(RunId(2));
            let sweep = engine.sweep(&spec, &sweep, &mut golden::Deaf).unwrap();
            let expected = sweep.baseline.logit;
            assert!(
                (found.logit - expected).abs() < 1e-3,
                "{} {expected}",
                found.logit
            );
        }
    }
    assert!(n_checked > 40, "{n_checked}");
}

/// The control of the sum: with one component left out, or another norm's scale, it is not the logit.
#[test]
fn an_attribution_without_a_component_does_not_sum_to_the_logit() {
    let mut n_off = 0;
    for seed in 1300..1320 {
        let (_model, experiment, _, _) = drawn(seed);
        let trace = run(&mut engine(), &experiment, asking(QueryToken::Last, 0));
        let mut found = Attribution::clone(trace.insight.clean.attribution.as_ref().unwrap());
        found.mlp.pop();
        n_off += usize::from((found.total() - found.logit).abs() > 1e-2);
    }
    assert!(n_off >= 18, "{n_off}");
}

#[test]
fn what_comes_from_a_patch_that_is_knocked_out_is_exactly_zero() {
    for seed in 1400..1415 {
        let (model, mut experiment, _, mut draw) = drawn(seed);
        let patches = model.patches(&mut draw);
        let knockout = patchglass::spec::AttentionKnockout {
            queries: "answer".parse().unwrap(),
            keys: format!("patches:{patches}").parse().unwrap(),
            layers: "all".parse().unwrap(),
            heads: HeadSet::All,
            enabled: true,
            name: None,
        };
        experiment.interventions = vec![Intervention::AttentionKnockout(knockout)];
        let trace = run(&mut engine(), &experiment, asking(QueryToken::Last, 1));
        let (Some(found), Some(clean)) = (
            &trace.insight.edited.attribution,
            &trace.insight.clean.attribution,
        ) else {
            continue;
        };
        let (found, clean) = (found.tokens(), clean.tokens());
        for index in patches.indices(model.grid).unwrap() {
            let at = trace.layout.position(index);
            assert_eq!(found[at], 0.0);
            assert_ne!(clean[at], 0.0);
        }
    }
}

/// Teacher forcing against its definition: a run of its own whose prompt has the answer's tokens in it would be the same,
/// but text does not always tokenise back; so the slow twin generates with the clean answer's tokens one by one.
#[test]
fn the_forced_answer_is_the_generated_one_where_nothing_changes() {
    let mut n_flipped = 0;
    for seed in 1500..1540 {
        let (_model, experiment, _, _) = drawn(seed);
        let trace = run(&mut engine(), &experiment, Readout::default());
        let Some(found) = &trace.insight.comparison else {
            assert!(!trace.has_edits);
            continue;
        };
        let (clean, edited) = (&trace.baseline.answer, &trace.edited.answer);
        assert_eq!(found.flipped, clean.ids != edited.ids);
        assert_eq!(found.forced.ids, clean.ids);
        assert_eq!(found.forced.probs.len(), clean.ids.len());
        let same = clean
            .ids
            .iter()
            .zip(&edited.ids)
            .take_while(|(a, b)| a == b)
            .count();
        assert_eq!(found.forced.probs[..same], edited.probs[..same]);
        if let Some(first) = found.forced.best_ids.get(same) {
            // At the first difference the edited run would choose what it has chosen.
            assert_eq!(Some(first), edited.ids.get(same));
            assert!((found.forced.best_probs[same] - edited.probs[same]).abs() < 1e-5);
            assert!(found.forced.probs[same] <= found.forced.best_probs[same]);
            n_flipped += 1;
        }
        assert!(found.next_token_kl >= 0.0 && found.next_token_kl.is_finite());
    }
    assert!(n_flipped > 5, "{n_flipped}");
}

/// The clean answer given to the edited run from its first token, by attribution, which gives the tokens in another way.
#[test]
fn forced_probabilities_agree_with_the_logits_of_another_pass() {
    let mut n = 0;
    for seed in 1500..1530 {
        let (_model, experiment, _, _) = drawn(seed);
        for token in 0..3 {
            let trace = run(&mut engine(), &experiment, asking(QueryToken::Last, token));
            let (Some(comparison), Some(found)) =
                (&trace.insight.comparison, &trace.insight.edited.attribution)
            else {
                continue;
            };
            // p = exp(logit − ln Σ exp), so two tokens of one row differ by their logits.
            let (p, best) = (
                comparison.forced.probs[token],
                comparison.forced.best_probs[token],
            );
            assert!(p <= best + 1e-6);
            if comparison.forced.best_ids[token] == found.id {
                assert!((p - best).abs() < 1e-5);
            }
            n += 1;
        }
    }
    assert!(n > 20, "{n}");
    assert!((log_sum_exp(&[0.0; 4]) - 4f64.ln()).abs() < 1e-12);
}

#[test]
fn an_ordinary_run_reads_nothing_inside_and_asking_changes_no_word() {
    let (_model, experiment, readout, _) = drawn(1600);
    let plain = run(&mut engine(), &experiment, Readout::default());
    assert_eq!(plain.insight.clean, Inside::default());
    let asked = run(&mut engine(), &experiment, readout);
    assert_eq!(
        (&plain.baseline, &plain.edited),
        (&asked.baseline, &asked.edited)
    );
    assert!(asked.insight.clean.attention.is_some());
}
