//! A sound engine passes; what is spoiled fails.

use std::path::{Path, PathBuf};

use super::*;
use crate::demo;
use crate::engine::EngineOptions;
use crate::engine::verification::Outcome;
use crate::spec::ModelSource;

struct Deaf;

impl Monitor for Deaf {
    fn cancelled(&self) -> bool {
        false
    }
    fn shown_level(&self) -> Option<usize> {
        None
    }
    fn emit(&mut self, _event: Event) {}
}

fn small() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/checkpoints/old-f32")
}

fn engine() -> Engine {
    Engine::new(EngineOptions::default()).unwrap()
}

fn spec(folder: &Path) -> RunSpec {
    RunSpec {
        id: RunId(7),
        experiment: Experiment {
            model: ModelSource::Folder(folder.to_owned()),
            ..Experiment::default()
        },
        ..RunSpec::default()
    }
}

fn outcomes(found: &Verification, name: &str) -> Vec<Outcome> {
    let of = found.checks.iter().filter(|check| check.name == name);
    of.map(Check::outcome).collect()
}

#[test]
fn a_sound_model_passes() {
    let found = engine().verify(&spec(&small()), &mut Deaf).unwrap();
    assert!(found.complete && found.n_failed() == 0, "{found:#?}");
    assert_eq!(outcomes(&found, "Fast path = whole run").len(), 2);
    assert_eq!(outcomes(&found, "Recorded numbers"), [Outcome::Skipped]);
    let compared = |name: &str| {
        found
            .checks
            .iter()
            .any(|c| c.name == name && c.worst.is_some())
    };
    for name in [
        "Identity",
        "Blocked attention is 0",
        "Attention sums to 1",
        "Lens at the top = output",
    ] {
        assert!(compared(name), "{name}");
    }
}

/// The fast path goes on from what is kept of the clean run: when that is wrong, the check sees it.
#[test]
fn a_spoiled_fast_path_fails() {
    let mut engine = engine();
    let mut deaf = Deaf;
    let mut work = Work {
        engine: &mut engine,
        monitor: &mut deaf,
        experiment: experiment(&ModelSource::Folder(small())),
        found: Verification {
            id: RunId(1),
            title: String::new(),
            checks: Vec::new(),
            complete: false,
        },
        allowed: Allowed::of(crate::tensor::DType::F32.into()),
    };
    let (trace, _) = work.observe(&[], false).unwrap();
    work.fast_path(&trace).unwrap();
    assert_eq!(work.found.n_failed(), 0);
    let kept = &mut work.engine.clean.as_mut().unwrap().state;
    for level in &mut kept.resid {
        *level = (&*level * 1.01).unwrap();
    }
    work.fast_path(&trace).unwrap();
    assert!(work.found.n_failed() > 0, "{:#?}", work.found);
}

#[test]
fn a_spoiled_checkpoint_differs_from_what_was_recorded() {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in demo::FILES {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    std::fs::write(dir.path().join(recorded::FILE), demo::RECORDED).unwrap();
    let found = engine().verify(&spec(dir.path()), &mut Deaf).unwrap();
    assert_eq!(found.n_failed(), 0, "{found:#?}");
    assert_eq!(outcomes(&found, "Recorded numbers"), [Outcome::Passed; 4]);
    // One exponent bit of some weights in the middle of the file.
    let mut bytes = demo::WEIGHTS.to_vec();
    let middle = (bytes.len() / 2) | 1;
    for at in (middle..middle + 20_000).step_by(2) {
        bytes[at] ^= 0x04;
    }
    std::fs::write(dir.path().join("model.safetensors"), bytes).unwrap();
    let found = engine().verify(&spec(dir.path()), &mut Deaf).unwrap();
    assert!(outcomes(&found, "Recorded numbers").contains(&Outcome::Failed));
    assert_eq!(outcomes(&found, "Identity"), [Outcome::Passed]);
}

#[test]
fn it_stops_when_asked_to() {
    struct Stop;
    impl Monitor for Stop {
        fn cancelled(&self) -> bool {
            true
        }
        fn shown_level(&self) -> Option<usize> {
            None
        }
        fn emit(&mut self, _event: Event) {}
    }
    let error = engine().verify(&spec(&small()), &mut Stop).unwrap_err();
    assert_eq!(error, Error::Cancelled);
}
