//! The tour of the paper on the demo model: its commands lead through the session to the engine, and the flip is real.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

use std::path::Path;

use patchglass::engine::protocol::{DeviceChoice, Event, Monitor, RunId};
use patchglass::engine::{Engine, EngineOptions};
use patchglass::index::PatchGrid;
use patchglass::session::{Session, tour, update};

struct Silent;

impl Monitor for Silent {
    fn cancelled(&self) -> bool {
        false
    }
    fn shown_level(&self) -> Option<usize> {
        None
    }
    fn emit(&mut self, _event: Event) {}
}

/// The answers before and after at the end of every step.
fn answers() -> Vec<(String, String)> {
    let tour = tour::parse(tour::PAPER, Path::new("paper.md")).unwrap();
    let options = EngineOptions {
        device: DeviceChoice::Cpu,
        ..EngineOptions::default()
    };
    let mut engine = Engine::new(options).unwrap();
    let mut session = Session::demo();
    session.grid = Some(PatchGrid::new(24, 24));
    let mut answers = Vec::new();
    for (n, step) in tour.steps.iter().enumerate() {
        for command in step.commands(session.grid.unwrap()) {
            update(&mut session, command);
        }
        let spec = session.run_spec(RunId(n as u64 + 1));
        let trace = engine.run(&spec, &mut Silent).unwrap();
        assert_eq!(trace.model.grid, session.grid.unwrap());
        let text = |run: &patchglass::engine::trace::RunReadout| run.answer.text.clone();
        answers.push((text(&trace.baseline), text(&trace.edited)));
    }
    answers
}

#[test]
fn the_camel_goes_with_its_patches_and_stays_with_as_many_random_ones() {
    let answers = answers();
    for (before, after) in &answers {
        println!("{before} | {after}");
    }
    for (step, (before, after)) in answers.iter().enumerate() {
        for word in ["snake", "camel", "cactus"] {
            assert!(before.contains(word), "step {step}: {before}");
            let gone = step == 4 && word == "camel";
            assert_eq!(after.contains(word), !gone, "step {step}, {word}: {after}");
        }
    }
}
