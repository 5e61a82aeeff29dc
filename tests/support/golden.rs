//! Runs a session of `tests/golden/sessions` and compares it with what the Python reference made of it, within the
//! tolerances of the contract (f32 on the CPU).

use std::path::PathBuf;
use std::sync::Arc;

use patchglass::engine::protocol::{Event, Monitor, RunId};
use patchglass::engine::trace::{RunReadout, Trace};
use patchglass::engine::{Engine, EngineOptions};
use patchglass::session::{Session, file};
use safetensors::SafeTensors;
use serde_json::Value;

/// ‖a − b‖ / ‖b‖ of a residual stream.
const RESID: f64 = 1e-4;
/// Share of cells whose top-1 must be equal.
const TOP_1: f64 = 0.999;
const PROBABILITY: f64 = 1e-3;
/// One grey level after normalisation, with the smallest standard deviation of CLIP.
const GREY_LEVEL: f64 = 1.0 / 255.0 / 0.26 + 1e-6;

pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

pub fn load(case: &str) -> Session {
    file::load(&folder().join(format!("sessions/{case}.json"))).unwrap()
}

/// Never cancels, listens to nothing.
pub struct Deaf;

impl Monitor for Deaf {
    fn cancelled(&self) -> bool {
        false
    }
    fn shown_level(&self) -> Option<usize> {
        None
    }
    fn emit(&mut self, _event: Event) {}
}

/// A finished run with its dump.
pub struct Ours {
    pub trace: Arc<Trace>,
    pub dump: Vec<(String, Vec<usize>, Vec<f32>)>,
}

pub fn run(session: &Session) -> Ours {
    run_on(session, EngineOptions::default())
}

pub fn run_on(session: &Session, options: EngineOptions) -> Ours {
    let mut engine = Engine::new(options).unwrap();
    let trace = engine.run(&session.run_spec(RunId(1)), &mut Deaf).unwrap();
    let dump = engine.dump(false).unwrap();
    Ours { trace, dump }
}

/// The reference's output of a case.
struct Reference {
    json: Value,
    bytes: Vec<u8>,
    /// The case without interventions of the same checkpoint and crop: its clean run.
    clean: Vec<u8>,
}

impl Reference {
    fn load(case: &str) -> Self {
        let read = |name: &str| std::fs::read(folder().join("expected").join(name)).unwrap();
        let (setting, _) = case.rsplit_once('.').unwrap();
        Self {
            json: serde_json::from_slice(&read(&format!("{case}.json"))).unwrap(),
            bytes: read(&format!("{case}.safetensors")),
            clean: read(&format!("{setting}.none.safetensors")),
        }
    }
}

fn floats(bytes: &[u8], name: &str) -> Vec<f32> {
    let file = SafeTensors::deserialize(bytes).unwrap();
    file.tensor(name)
        .unwrap()
        .data()
        .as_chunks::<4>()
        .0
        .iter()
        .map(|b| f32::from_le_bytes(*b))
        .collect()
}

fn u16s(bytes: &[u8], name: &str) -> Vec<u32> {
    let file = SafeTensors::deserialize(bytes).unwrap();
    file.tensor(name)
        .unwrap()
        .data()
        .as_chunks::<2>()
        .0
        .iter()
        .map(|b| u32::from(u16::from_le_bytes(*b)))
        .collect()
}

/// Everything that lies outside the tolerances, in words; empty when the run agrees.
pub fn differences(case: &str, ours: &Ours) -> Vec<String> {
    let reference = Reference::load(case);
    let mut out = Vec::new();
    layout(&reference.json["layout"], &ours.trace, &mut out);
    tensors(&reference, ours, &mut out);
    for (name, run, bytes) in [
        ("baseline", &ours.trace.baseline, &reference.clean),
        ("edited", &ours.trace.edited, &reference.bytes),
    ] {
        lens(name, run, bytes, &mut out);
        answer(name, run, &reference.json[name], &mut out);
    }
    out
}

fn layout(expected: &Value, trace: &Trace, out: &mut Vec<String>) {
    let l = &trace.layout;
    let found = serde_json::json!({
        "n_tokens": l.n_prompt, "image": [l.image.start, l.image.end], "grid": [l.grid.rows, l.grid.cols],
        "n_layers": trace.model.n_layers, "input_ids": *trace.input_ids,
    });
    if found != *expected {
        out.push(format!("layout: {found} instead of {expected}"));
    }
}

fn tensors(reference: &Reference, ours: &Ours, out: &mut Vec<String>) {
    let rows: Vec<usize> = floats(&reference.bytes, "rows")
        .iter()
        .map(|bits| bits.to_bits() as usize)
        .collect();
    for (name, shape, values) in &ours.dump {
        let sample: Vec<f32> = match name.as_str() {
            "logits" => values.clone(),
            "pixel_values" => values.iter().step_by(61).copied().collect(),
            "visual_tokens" => values
                .chunks(shape[1])
                .step_by(97)
                .flatten()
                .copied()
                .collect(),
            _ => rows
                .iter()
                .flat_map(|row| &values[row * shape[1]..(row + 1) * shape[1]])
                .copied()
                .collect(),
        };
        let expected = floats(&reference.bytes, name);
        if sample.len() != expected.len() {
            out.push(format!(
                "{name}: {} numbers instead of {}",
                sample.len(),
                expected.len()
            ));
            continue;
        }
        if name == "pixel_values" {
            pixels(&sample, &expected, out);
            continue;
        }
        let error = relative_error(&sample, &expected);
        if error.is_nan() || error > RESID {
            out.push(format!("{name}: relative error {error:.1e}"));
        }
    }
}

fn pixels(found: &[f32], expected: &[f32], out: &mut Vec<String>) {
    let gaps = found
        .iter()
        .zip(expected)
        .map(|(a, b)| f64::from((a - b).abs()));
    let worst = gaps.clone().fold(0.0, f64::max);
    let equal = gaps.filter(|gap| *gap < 1e-6).count() as f64 / found.len() as f64;
    if worst > GREY_LEVEL || equal < 0.99 {
        out.push(format!("pixel_values: worst {worst:.1e}, equal {equal}"));
    }
}

fn relative_error(found: &[f32], expected: &[f32]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let difference = norm(&mut found.iter().zip(expected).map(|(a, b)| f64::from(a - b)));
    difference / norm(&mut expected.iter().map(|b| f64::from(*b))).max(1e-30)
}

fn lens(name: &str, run: &RunReadout, bytes: &[u8], out: &mut Vec<String>) {
    let (ids, probs) = (u16s(bytes, "edited.ids"), floats(bytes, "edited.probs"));
    let levels: Vec<_> = run
        .levels
        .iter()
        .map(|level| level.as_ref().unwrap())
        .collect();
    let found: Vec<(u32, f32)> = levels
        .iter()
        .flat_map(|l| (0..l.entropy.len()).map(|p| l.top(p).next().unwrap()))
        .collect();
    if found.len() != ids.len() {
        out.push(format!(
            "{name} lens: {} cells instead of {}",
            found.len(),
            ids.len()
        ));
        return;
    }
    // The two best of each cell; where they are equal the choice between them is nobody's.
    let pairs: Vec<[f32; 2]> = probs.as_chunks::<2>().0.to_vec();
    let is_tie = |best: &[f32; 2]| best[0] - best[1] < 1e-7;
    let cells = found.iter().zip(&ids).zip(&pairs);
    let equal = cells
        .filter(|((a, b), best)| a.0 == **b || is_tie(best))
        .count() as f64;
    let equal = equal / ids.len() as f64;
    let gaps = found
        .iter()
        .zip(&pairs)
        .map(|(a, best)| f64::from((a.1 - best[0]).abs()));
    let worst = gaps.fold(0.0, f64::max);
    if equal < TOP_1 || worst > PROBABILITY {
        out.push(format!(
            "{name} lens: top-1 equal on {equal:.4}, probabilities off by {worst:.1e}"
        ));
    }
}

fn answer(name: &str, run: &RunReadout, expected: &Value, out: &mut Vec<String>) {
    let found = serde_json::json!({"text": run.answer.text, "ids": run.answer.ids});
    let wanted =
        serde_json::json!({"text": expected["answer"]["text"], "ids": expected["answer"]["ids"]});
    if found != wanted {
        out.push(format!("{name} answer: {found} instead of {wanted}"));
    }
    let candidates = expected["next_token"].as_array().unwrap();
    let same = run.next_token.iter().zip(candidates).all(|(a, b)| {
        b["token"] == a.text.as_str()
            && (b["prob"].as_f64().unwrap() - f64::from(a.prob)).abs() < PROBABILITY
    });
    if !same || run.next_token.len() != candidates.len() {
        out.push(format!(
            "{name} next_token: {:?} instead of {candidates:?}",
            run.next_token
        ));
    }
}
