//! Too little memory, simulated with a budget: at load, at a run, and when an answer grows. Each is told in one sentence,
//! what fits goes on, and one run at a time gives what two side by side give.

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

use std::process::Command;
use std::sync::Arc;

use golden::Deaf;
use patchglass::engine::memory::{MemoryNeed, PlaceKind, Workload};
use patchglass::engine::protocol::{DeviceChoice, Event, Monitor, RunId};
use patchglass::engine::trace::{RunReadout, Trace};
use patchglass::engine::{Engine, EngineOptions, Place};
use patchglass::error::Error;
use patchglass::model::{Checkpoint, Description, Inventory};
use patchglass::session::Session;
use patchglass::spec::{Ablation, Intervention};

/// Tokens of the demo's answers.
const ANSWER: usize = 16;

fn need(n_tokens: usize, n_new: usize) -> MemoryNeed {
    let place = &Place::all(DeviceChoice::Cpu).unwrap()[0];
    let inventory = Inventory::of(&Checkpoint::Demo).unwrap();
    let config = Description::of(&Checkpoint::Demo).unwrap().config;
    let work = Workload {
        numbers: place.numbers(None),
        stored_bytes: inventory.stored_bytes(),
        n_tokens,
        n_new,
        place: PlaceKind::Cpu,
    };
    MemoryNeed::of_checkpoint(&config, &inventory, &work)
}

fn engine(memory: Option<u64>) -> Engine {
    let device = DeviceChoice::Cpu;
    Engine::new(EngineOptions {
        device,
        memory,
        ..EngineOptions::default()
    })
    .unwrap()
}

fn session(is_edited: bool, n_new: usize) -> Session {
    let mut session = Session::demo();
    session.experiment.decode.max_new_tokens = n_new;
    if is_edited {
        let camel = "r11c8-r18c16".parse().unwrap();
        let row = Intervention::Ablation(Ablation::of(camel));
        session.experiment.interventions.push(row);
    }
    session
}

fn run(engine: &mut Engine, session: &Session) -> Result<Arc<Trace>, Error> {
    engine.run(&session.run_spec(RunId(1)), &mut Deaf)
}

/// What a budget holds that has room for the clean run alone; the demo's prompt has about 590 tokens.
fn room_for_one() -> u64 {
    let need = need(600, ANSWER);
    need.total() - need.edited_run / 2
}

fn worst(a: &RunReadout, b: &RunReadout) -> f32 {
    let levels = a.levels.iter().zip(&b.levels);
    let gaps = levels.flat_map(|(a, b)| {
        let (a, b) = (a.as_ref().unwrap(), b.as_ref().unwrap());
        assert_eq!(a.change.len(), b.change.len());
        let probs = a.probs.iter().zip(&b.probs);
        let changes = a.change.iter().zip(&b.change);
        probs
            .chain(changes)
            .map(|(a, b)| (a - b).abs())
            .collect::<Vec<_>>()
    });
    gaps.fold(0.0, f32::max)
}

#[test]
fn one_run_at_a_time_gives_the_same() {
    let (mut small, mut large) = (engine(Some(room_for_one())), engine(None));
    for is_edited in [false, true, false, true] {
        let session = session(is_edited, ANSWER);
        let (a, b) = (
            run(&mut small, &session).unwrap(),
            run(&mut large, &session).unwrap(),
        );
        assert!(a.caches.keeps_one && !b.caches.keeps_one);
        assert_eq!(a.caches.allowed, Some(room_for_one()));
        assert!(a.caches.n_bytes > 0);
        assert_eq!(a.edited.answer.text, b.edited.answer.text);
        assert_eq!(a.baseline.answer.ids, b.baseline.answer.ids);
        let gap = worst(&a.edited, &b.edited).max(worst(&a.baseline, &b.baseline));
        assert!(gap < 1e-4, "differs by {gap}");
        if is_edited {
            assert_eq!(a.recomputed, Some(1.0), "nothing is taken over");
            assert!(b.recomputed.unwrap() < 1.0);
            // The two answers differ, so the comparison above is not of a run with itself.
            assert_ne!(a.edited.answer.ids, a.baseline.answer.ids);
        }
    }
}

#[test]
fn a_model_that_does_not_fit_is_refused_and_others_go_on() {
    let need = need(576, 0);
    let mut engine = engine(Some(need.weights() + need.scratch - 1));
    let error = run(&mut engine, &session(false, ANSWER)).unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(
            error,
            Error::OutOfMemory {
                can_use_cpu: false,
                ..
            }
        ),
        "{text}"
    );
    assert!(
        text.contains("--memory allows") && text.contains("--dtype q8_0"),
        "{text}"
    );
    let mut other = session(false, ANSWER);
    let folder = golden::folder().join("checkpoints/old-f32");
    other.experiment.picture = patchglass::spec::PictureSource::File(folder.join("picture.png"));
    other.experiment.model = patchglass::spec::ModelSource::Folder(folder);
    assert!(run(&mut engine, &other).unwrap().complete);
}

#[test]
fn an_answer_that_grows_too_long_is_refused_and_shorter_ones_go_on() {
    // The demo model has 1024 positions, so that its longest answer needs little more: none of that is allowed.
    let need = need(600, ANSWER);
    let mut engine = engine(Some(need.total() - need.edited_run));
    let before = run(&mut engine, &session(true, ANSWER)).unwrap();
    let error = run(&mut engine, &session(true, 1 << 20))
        .unwrap_err()
        .to_string();
    assert!(error.contains("a shorter answer"), "{error}");
    let after = run(&mut engine, &session(true, ANSWER)).unwrap();
    assert_eq!(before.edited.answer, after.edited.answer);
}

/// Stops at the first token of an answer.
struct UntilAnswer(bool);

impl Monitor for UntilAnswer {
    fn cancelled(&self) -> bool {
        self.0
    }

    fn shown_level(&self) -> Option<usize> {
        None
    }

    fn emit(&mut self, event: Event) {
        let trace = match event {
            Event::Trace(trace) => trace,
            _ => return,
        };
        self.0 |= !trace.baseline.answer.ids.is_empty();
    }
}

#[test]
fn room_is_made_for_no_more_than_the_model_can_say() {
    let config = Description::of(&Checkpoint::Demo).unwrap().config;
    let n_positions = config.text.max_position_embeddings;
    let mut engine = engine(Some(need(n_positions, 0).total()));
    for n_new in [1 << 40, usize::MAX] {
        let spec = session(false, n_new).run_spec(RunId(1));
        let error = engine.run(&spec, &mut UntilAnswer(false)).unwrap_err();
        assert!(matches!(error, Error::Cancelled), "{error}");
    }
}

#[test]
fn the_command_line_says_it_in_one_line() {
    let out = Command::new(env!("CARGO_BIN_EXE_patchglass"))
        .args([
            "run",
            "assets/demo/camel.json",
            "--out",
            "-",
            "--memory",
            "20MB",
            "--device",
            "cpu",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let text = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(1), "{text}");
    let told: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("--memory"))
        .collect();
    assert_eq!(told.len(), 1, "{text}");
    assert!(told[0].contains("20.0 MB"), "{text}");
}
