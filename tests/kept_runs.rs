//! What the engine keeps between requests: nothing of a model whose files changed, all of a control that was stopped; and
//! where there is room for one run only, everything is read as where there is room for all.

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

use std::path::{Path, PathBuf};
use std::sync::Arc;

use golden::Deaf;
use patchglass::engine::memory::{MemoryNeed, Workload};
use patchglass::engine::protocol::{Event, Monitor, RunId, Stage};
use patchglass::engine::trace::Trace;
use patchglass::engine::{self, Engine, EngineOptions};
use patchglass::error::Error;
use patchglass::model::{Checkpoint, Description, Inventory};
use patchglass::session::Session;
use patchglass::spec::{
    Ablation, AttentionSpec, AttributionSpec, ControlSpec, Intervention, ModelSource,
    PictureSource, SweepOver, SweepSpec,
};
use place::Place;

fn here() -> Place {
    Place::of_environment()
}

fn engine(memory: Option<u64>) -> Engine {
    let (device, dtype) = here().choice();
    Engine::new(EngineOptions {
        device,
        dtype,
        memory,
        ..EngineOptions::default()
    })
    .unwrap()
}

fn run(engine: &mut Engine, session: &Session) -> Arc<Trace> {
    engine.run(&session.run_spec(RunId(1)), &mut Deaf).unwrap()
}

/// A copy of a small checkpoint.
fn checkpoint() -> (tempfile::TempDir, Session) {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(golden::folder().join("checkpoints/old-f32")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let mut session = Session::demo();
    session.experiment.model = ModelSource::Folder(folder.path().to_owned());
    session.experiment.picture = PictureSource::File(folder.path().join("picture.png"));
    session.experiment.decode.max_new_tokens = 2;
    (folder, session)
}

/// Makes every byte pattern of the last tensors another one; the file is as long as before.
fn change_weights(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let n = bytes.len();
    // The lowest bit of the exponent of f32 numbers: they are doubled or halved.
    for at in (n - 4096..n).step_by(4) {
        bytes[at + 2] ^= 0x80;
    }
    std::fs::write(path, bytes).unwrap();
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    let file = std::fs::File::options().append(true).open(path).unwrap();
    file.set_modified(later).unwrap();
}

#[test]
fn new_weights_in_the_same_folder_are_loaded() {
    let (folder, session) = checkpoint();
    let mut kept = engine(None);
    let before = run(&mut kept, &session);
    // What is no part of the model may change beside it.
    std::fs::write(folder.path().join("session.json"), "{}").unwrap();
    assert_eq!(run(&mut kept, &session).timing.load, 0.0);
    let is_weights = |path: &PathBuf| path.extension().is_some_and(|e| e == "safetensors");
    let files = std::fs::read_dir(folder.path()).unwrap();
    let mut files = files.map(|entry| entry.unwrap().path());
    change_weights(&files.find(is_weights).unwrap());
    let after = run(&mut kept, &session);
    assert!(after.timing.load > 0.0);
    let fresh = run(&mut engine(None), &session);
    assert_eq!(after.baseline.levels, fresh.baseline.levels);
    assert_ne!(after.baseline.levels, before.baseline.levels);
    // A folder that is gone leaves usable what was loaded, as long as the picture is known.
    drop(folder);
    let mut engine = kept;
    let spec = session.run_spec(RunId(2));
    let told = engine.run(&spec, &mut Deaf).err().map(|e| e.to_string());
    assert!(told.is_none_or(|text| text.contains("picture.png")));
}

fn controlled(seeds: std::ops::Range<u64>) -> Session {
    let mut session = Session::demo();
    session.experiment.decode.max_new_tokens = 3;
    let row = Ablation::of("r11c8-r18c16".parse().unwrap());
    (session.experiment.interventions).push(Intervention::Ablation(row));
    let seeds = seeds.collect();
    session.readout.control = Some(ControlSpec { seeds });
    session
}

/// Stops as soon as the controls are done to this share; keeps the shares that were told.
struct Until(f32, Vec<f32>);

impl Monitor for Until {
    fn cancelled(&self) -> bool {
        self.1.last().is_some_and(|fraction| *fraction > self.0)
    }

    fn shown_level(&self) -> Option<usize> {
        None
    }

    fn emit(&mut self, event: Event) {
        if let Event::Progress {
            stage: Stage::Control,
            fraction,
            ..
        } = event
        {
            self.1.push(fraction);
        }
    }
}

#[test]
fn a_control_that_was_stopped_goes_on() {
    let spec = controlled(0..4).run_spec(RunId(1));
    let mut kept = engine(None);
    let mut until = Until(0.6, Vec::new());
    let stopped = kept.run(&spec, &mut until);
    assert!(matches!(stopped, Err(Error::Cancelled)));
    assert!(until.1[0] < 0.25 && until.1.is_sorted());
    let mut rest = Until(2.0, Vec::new());
    let trace = kept.run(&spec, &mut rest).unwrap();
    assert!(rest.1[0] >= 0.5 && rest.1.is_sorted(), "{:?}", rest.1);
    let whole = run(&mut engine(None), &controlled(0..4));
    assert_eq!(trace.insight.control, whole.insight.control);
    // Fewer seeds are a part of it, more go on from it.
    let mut none = Until(2.0, Vec::new());
    let fewer = kept.run(&controlled(0..2).run_spec(RunId(2)), &mut none);
    let fewer = fewer.unwrap().insight.control.clone().unwrap();
    assert_eq!((fewer.seeds.as_slice(), none.1.len()), (&[0, 1][..], 0));
    assert_eq!(
        fewer.runs,
        whole.insight.control.as_ref().unwrap().runs[..2]
    );
}

/// What a budget holds that has room for the clean run of the demo alone.
fn room_for_one() -> u64 {
    let (device, dtype) = here().choice();
    let place = &engine::Place::all(device).unwrap()[0];
    let inventory = Inventory::of(&Checkpoint::Demo).unwrap();
    let config = Description::of(&Checkpoint::Demo).unwrap().config;
    let work = Workload {
        numbers: place.numbers(dtype),
        stored_bytes: inventory.stored_bytes(),
        n_tokens: 600,
        n_new: 3,
        place: place.kind,
    };
    let need = MemoryNeed::of_checkpoint(&config, &inventory, &work);
    need.total() - need.edited_run / 2
}

fn apart(a: &[f32], b: &[f32]) -> f32 {
    assert!(a.len() == b.len() && !a.is_empty());
    let gaps = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    gaps.fold(0.0, f32::max)
}

#[test]
fn one_run_at_a_time_reads_everything_alike() {
    let tolerance = if here().is_f16() { 3e-2 } else { 1e-3 };
    let mut session = controlled(0..2);
    let readout = &mut session.readout;
    readout.words = vec!["camel".to_owned()];
    (readout.ranks, readout.all_tokens, readout.cosine) = (true, true, true);
    readout.divergence = true;
    let query = "answer:0".parse().unwrap();
    readout.attention = Some(AttentionSpec {
        query,
        ..AttentionSpec::default()
    });
    readout.attribution = Some(AttributionSpec {
        token: 1,
        maps: false,
    });
    let (mut small, mut large) = (engine(Some(room_for_one())), engine(None));
    // Asked for by and by, so that runs that were set aside come back for each.
    let mut parts = [session.clone(), session.clone(), session.clone()];
    parts[0].readout = Default::default();
    parts[1].readout.attention = None;
    for part in &parts {
        let (a, b) = (run(&mut small, part), run(&mut large, part));
        assert!(a.caches.keeps_one && !b.caches.keeps_one);
        assert_eq!(a.edited.answer.ids, b.edited.answer.ids);
        let (a, b) = (&a.edited, &b.edited);
        if let (Some(a), Some(b)) = (&a.tokens, &b.tokens) {
            let (a, b) = (a.levels[5].as_ref(), b.levels[5].as_ref());
            assert!(apart(&a.unwrap().probs, &b.unwrap().probs) < tolerance);
        }
    }
    let (a, b) = (run(&mut small, &session), run(&mut large, &session));
    for (a, b) in [
        (&a.insight.clean, &b.insight.clean),
        (&a.insight.edited, &b.insight.edited),
    ] {
        let (x, y) = (a.attention.as_ref(), b.attention.as_ref());
        assert!(apart(&x.unwrap().pattern, &y.unwrap().pattern) < tolerance);
        let (x, y) = (a.attribution.as_ref(), b.attribution.as_ref());
        assert!(apart(&x.unwrap().mlp, &y.unwrap().mlp) < 10.0 * tolerance);
    }
    let (x, y) = (&a.insight.control, &b.insight.control);
    for (x, y) in x
        .as_ref()
        .unwrap()
        .runs
        .iter()
        .zip(&y.as_ref().unwrap().runs)
    {
        assert!(apart(&x.probs, &y.probs) < tolerance);
    }
    assert!(a.edited.tokens.is_some() && !a.edited.cosine.is_empty());
    let (x, y) = (
        a.edited.divergence[5].as_ref(),
        b.edited.divergence[5].as_ref(),
    );
    assert!(apart(&x.unwrap().values, &y.unwrap().values) < 10.0 * tolerance);
    let (queries, keys) = ("last".parse().unwrap(), "image".parse().unwrap());
    let sweep = SweepSpec {
        token: 1,
        over: SweepOver::Layers {
            queries,
            keys,
            window: 1,
        },
    };
    let sweep = |engine: &mut Engine| {
        let spec = session.run_spec(RunId(3));
        let found = engine.sweep(&spec, &sweep, &mut Deaf).unwrap();
        let effects = found.effects.iter();
        effects.map(|e| e.unwrap().prob).collect::<Vec<_>>()
    };
    assert!(apart(&sweep(&mut small), &sweep(&mut large)) < tolerance);
    // The dump is of the edited run, wherever it lies.
    run(&mut small, &session);
    run(&mut large, &session);
    let dumps = [small.dump(true).unwrap(), large.dump(true).unwrap()];
    for ((name, _, a), (_, _, b)) in dumps[0].iter().zip(&dumps[1]) {
        let length = |x: &[f32]| x.iter().map(|x| x * x).sum::<f32>().sqrt();
        let gap: Vec<f32> = a.iter().zip(b).map(|(a, b)| a - b).collect();
        assert!(
            length(&gap) <= 30.0 * tolerance * length(b).max(1e-6),
            "{name}"
        );
    }
}
