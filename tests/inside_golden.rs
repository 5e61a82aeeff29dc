//! Attention, rollout, attribution and the forced answer of one session against what transformers made of it
//! (`tests/golden/inside.py`): every number of the golden has its field in `result.json`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

#[path = "support/golden.rs"]
#[expect(dead_code, reason = "only folder and monitor are used here")]
mod golden;

use patchglass::engine::protocol::RunId;
use patchglass::engine::{Engine, EngineOptions};
use patchglass::export;
use patchglass::session::{Session, file};
use serde_json::Value;

/// Of a number, absolute and relative.
const TOLERANCE: f64 = 1e-4;

fn session() -> Session {
    file::load(&golden::folder().join("inside/session.json")).unwrap()
}

fn expected() -> Value {
    let text = std::fs::read_to_string(golden::folder().join("inside/expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn result(session: &Session) -> Value {
    let mut engine = Engine::new(EngineOptions::default()).unwrap();
    let spec = session.run_spec(RunId(1));
    let trace = engine.run(&spec, &mut golden::Deaf).unwrap();
    serde_json::from_str(&export::json(&trace).unwrap()).unwrap()
}

/// Where `ours` is not what is expected; fields that are not expected are not looked at.
fn differences(at: &str, expected: &Value, ours: &Value, out: &mut Vec<String>) {
    match expected {
        Value::Object(fields) => {
            for (name, value) in fields {
                differences(&format!("{at}.{name}"), value, &ours[name], out);
            }
        }
        Value::Array(items) => {
            let n = ours.as_array().map_or(0, Vec::len);
            if n != items.len() {
                out.push(format!("{at} has {n} items, not {}", items.len()));
            }
            for (i, value) in items.iter().enumerate() {
                differences(&format!("{at}[{i}]"), value, &ours[i], out);
            }
        }
        Value::Number(number) => {
            let (a, b) = (ours.as_f64().unwrap_or(f64::NAN), number.as_f64().unwrap());
            // Not a number is a difference too.
            if (a - b).abs() > TOLERANCE * b.abs().max(1.0) || a.is_nan() {
                out.push(format!("{at}: {a} is not {b}"));
            }
        }
        other if other != ours => out.push(format!("{at}: {ours} is not {other}")),
        _ => {}
    }
}

#[test]
fn what_is_read_inside_agrees_with_transformers() {
    let mut found = Vec::new();
    differences("result", &expected(), &result(&session()), &mut found);
    assert!(found.is_empty(), "{} of them: {found:#?}", found.len());
}

/// The control: numbers of another run, or one that is a little off, do not pass.
#[test]
fn a_wrong_number_is_found() {
    let (expected, ours) = (expected(), result(&session()));
    let mut found = Vec::new();
    let (clean, edited) = (&expected["baseline"], &ours["edited"]);
    differences("edited", clean, edited, &mut found);
    for part in ["attention.mass", "rollout", "attribution.heads", "mlp"] {
        assert!(found.iter().any(|line| line.contains(part)), "{part}");
    }
    let mut spoilt = expected.clone();
    let logit = spoilt["edited"]["attribution"]["logit"].as_f64().unwrap();
    spoilt["edited"]["attribution"]["logit"] = (logit + 0.01).into();
    let mut found = Vec::new();
    differences("result", &spoilt, &ours, &mut found);
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn a_token_that_is_not_there_is_said() {
    let mut session = session();
    session.readout.attribution.as_mut().unwrap().token = 99;
    let mut engine = Engine::new(EngineOptions::default()).unwrap();
    let trace = engine
        .run(&session.run_spec(RunId(1)), &mut golden::Deaf)
        .unwrap();
    let why = trace
        .insight
        .why_no_attribution(trace.baseline.answer.ids.len())
        .unwrap();
    assert!(why.contains("readout.attribution.token: 99"), "{why}");
    session.readout.attention.as_mut().unwrap().query = "answer:99".parse().unwrap();
    let trace = engine
        .run(&session.run_spec(RunId(2)), &mut golden::Deaf)
        .unwrap();
    let n = trace.baseline.answer.ids.len();
    let why = trace.insight.why_no_attention(&trace.layout, n).unwrap();
    assert!(why.contains("readout.attention.query: answer:99"), "{why}");
    assert!(trace.complete && trace.insight.edited.attention.is_none());
    // A query that is there is read by the same engine afterwards.
    session.readout.attention.as_mut().unwrap().query = "answer:0".parse().unwrap();
    let trace = engine
        .run(&session.run_spec(RunId(3)), &mut golden::Deaf)
        .unwrap();
    assert!(trace.insight.why_no_attention(&trace.layout, n).is_none());
    assert!(trace.insight.edited.attention.is_some());
}
