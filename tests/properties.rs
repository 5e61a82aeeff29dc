//! What must hold for every model and every set of interventions, on small random models with printed seeds.

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

use patchglass::engine::protocol::{Event, Monitor, RunId};
use patchglass::engine::trace::Trace;
use patchglass::engine::{Engine, EngineOptions};
use patchglass::index::{HeadSet, PatchSet, TokenSet};
use patchglass::session::{Command, GestureId, HeatKind, Session, Tool, file, update};
use patchglass::spec::{
    Ablation, AttentionKnockout, Crop, Experiment, Intervention, PictureSource, Replacement,
};
use random_model::{Draw, RandomModel};

type Dump = Vec<(String, Vec<usize>, Vec<f32>)>;

/// Runs an experiment and dumps its edited side, with patterns.
fn run(engine: &mut Engine, experiment: &Experiment) -> (std::sync::Arc<Trace>, Dump) {
    let session = Session::new(experiment.clone());
    let trace = engine
        .run(&session.run_spec(RunId(1)), &mut golden::Deaf)
        .unwrap();
    (trace, engine.dump(true).unwrap())
}

fn engine() -> Engine {
    Engine::new(EngineOptions::default()).unwrap()
}

fn tensor<'a>(dump: &'a Dump, name: &str) -> &'a (String, Vec<usize>, Vec<f32>) {
    dump.iter().find(|(found, ..)| found == name).unwrap()
}

/// Interventions that run and must not change a bit: they are not `is_empty`, so nothing short-circuits them.
fn without_effect(model: &RandomModel, draw: &mut Draw) -> Vec<Intervention> {
    let patch = model.patch(draw);
    let own = PatchSet::from_iter([patch]);
    let itself = Ablation {
        with: Replacement::Patch(patch),
        ..Ablation::of(own.clone())
    };
    let only_itself = AttentionKnockout {
        queries: TokenSet::Patches(own.clone()),
        keys: TokenSet::Patches(own),
        layers: model.layers(draw),
        heads: HeadSet::All,
        enabled: true,
        name: None,
    };
    let off = model.intervention(draw).with_enabled(false);
    vec![
        Intervention::Ablation(itself),
        Intervention::AttentionKnockout(only_itself),
        off,
    ]
}

#[test]
fn what_does_nothing_equals_the_baseline_bit_for_bit() {
    for seed in 0..24 {
        println!("seed {seed}");
        let mut draw = Draw::new(seed);
        let model = RandomModel::new(&mut draw);
        let mut experiment = model.experiment();
        let (clean, clean_dump) = run(&mut engine(), &experiment);
        experiment.interventions = without_effect(&model, &mut draw);
        let (trace, dump) = run(&mut engine(), &experiment);
        assert!(trace.has_edits);
        assert_eq!(dump, clean_dump);
        assert_eq!(trace.edited, trace.baseline);
        assert_eq!(trace.baseline, clean.baseline);

        let off = (0..3).map(|_| model.intervention(&mut draw).with_enabled(false));
        experiment.interventions = off.collect();
        let (trace, dump) = run(&mut engine(), &experiment);
        assert!(!trace.has_edits);
        assert_eq!(
            (trace.edited.clone(), dump),
            (clean.baseline.clone(), clean_dump)
        );
    }
}

#[test]
fn knocked_out_attention_is_exactly_zero_and_rows_still_sum_to_one() {
    for seed in 100..124 {
        println!("seed {seed}");
        let mut draw = Draw::new(seed);
        let model = RandomModel::new(&mut draw);
        let mut experiment = model.experiment();
        let knockout = model.knockout(&mut draw);
        experiment.interventions = vec![Intervention::AttentionKnockout(knockout.clone())];
        let (trace, dump) = run(&mut engine(), &experiment);
        let n = trace.layout.n_prompt;
        let queries = knockout.queries.positions(&trace.layout, n).unwrap();
        let keys = knockout.keys.positions(&trace.layout, n).unwrap();
        let layers = knockout.layers.resolve(model.n_layers).unwrap();
        for layer in 0..model.n_layers {
            let (_, shape, pattern) = tensor(&dump, &format!("pattern.{layer}"));
            assert_eq!(*shape, [model.n_heads, n, n]);
            for (i, row) in pattern.chunks(n).enumerate() {
                let (head, query) = (i / n, i % n);
                assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
                assert!(row[query] > 0.0 && row[query + 1..].iter().all(|p| *p == 0.0));
                let hits_head = match &knockout.heads {
                    HeadSet::All => true,
                    HeadSet::List(heads) => heads.contains(&head),
                };
                let hits = hits_head && layers.contains(&layer) && queries.contains(&query);
                for (key, p) in row[..query].iter().enumerate() {
                    assert_eq!(
                        *p == 0.0,
                        hits && keys.contains(&key),
                        "block {layer} head {head} {query}->{key}: {p}"
                    );
                }
            }
        }
    }
}

#[test]
fn ablating_a_patch_leaves_every_earlier_position_bit_identical() {
    for seed in 200..224 {
        println!("seed {seed}");
        let mut draw = Draw::new(seed);
        let model = RandomModel::new(&mut draw);
        let mut experiment = model.experiment();
        let (_, clean) = run(&mut engine(), &experiment);
        let patch = model.patch(&mut draw);
        let ablation = Ablation {
            patches: PatchSet::from_iter([patch]),
            ..model.ablation(&mut draw)
        };
        let level_of_edit = ablation.layer;
        experiment.interventions = vec![Intervention::Ablation(ablation)];
        let (trace, edited) = run(&mut engine(), &experiment);
        let position = trace.layout.position(model.grid.index(patch).unwrap());
        for level in 0..=model.n_layers {
            let name = format!("resid.{level}");
            let (_, shape, clean) = tensor(&clean, &name);
            let (_, _, edited) = tensor(&edited, &name);
            let untouched = if level < level_of_edit {
                shape[0]
            } else {
                position
            };
            assert_eq!(
                clean[..untouched * shape[1]],
                edited[..untouched * shape[1]],
                "{name}"
            );
        }
    }
}

/// Runs that reuse what the engine kept equal runs of a fresh engine, whatever came before.
#[test]
fn a_run_depends_on_nothing_but_its_experiment() {
    let mut draw = Draw::new(300);
    let model = RandomModel::new(&mut draw);
    let mut used = engine();
    for step in 0..12 {
        let mut experiment = model.experiment();
        let n = draw.below(3);
        experiment.interventions = (0..n).map(|_| model.intervention(&mut draw)).collect();
        experiment.prompt = draw
            .one_of(&["What is it?", "Describe the image."])
            .to_owned();
        experiment.crop = draw.one_of(&[Crop::Center, Crop::Pad]);
        let (used, used_dump) = run(&mut used, &experiment);
        let (fresh, fresh_dump) = run(&mut engine(), &experiment);
        assert_eq!(
            (&used.baseline, &used.edited),
            (&fresh.baseline, &fresh.edited),
            "step {step}"
        );
        assert_eq!(used_dump, fresh_dump);
    }
}

/// Keeps every trace that it is told.
#[derive(Default)]
struct Traces(Vec<std::sync::Arc<Trace>>);

impl Monitor for Traces {
    fn cancelled(&self) -> bool {
        false
    }

    fn shown_level(&self) -> Option<usize> {
        None
    }

    fn emit(&mut self, event: Event) {
        if let Event::Trace(trace) = event {
            self.0.push(trace);
        }
    }
}

#[test]
fn no_trace_shows_the_edited_run_of_an_earlier_request() {
    for seed in 0..10 {
        println!("seed {seed}");
        let mut draw = Draw::new(900 + seed);
        let model = RandomModel::new(&mut draw);
        let mut engine = engine();
        for id in 1..5 {
            let mut session = Session::new(model.experiment());
            session.experiment.interventions = vec![model.intervention(&mut draw)];
            let mut traces = Traces::default();
            let last = engine
                .run(&session.run_spec(RunId(id)), &mut traces)
                .unwrap();
            for trace in traces.0 {
                let levels = trace.edited.levels.iter().zip(&last.edited.levels);
                for (found, expected) in levels.filter(|(found, _)| found.is_some()) {
                    assert_eq!(found, expected);
                }
            }
        }
    }
}

fn random_command(
    model: &RandomModel,
    session: &Session,
    draw: &mut Draw,
    gesture: u64,
) -> Command {
    let n_rows = session.experiment.interventions.len().max(1);
    let row = draw.below(n_rows);
    match draw.below(14) {
        0..4 => Command::Paint {
            patch: model.patch(draw),
            on: draw.chance(),
            gesture: GestureId(gesture),
        },
        4 => Command::AddIntervention(model.intervention(draw)),
        5 => Command::SetIntervention {
            row,
            to: model.intervention(draw),
            gesture: None,
        },
        6 => Command::SetEnabled {
            row,
            on: draw.chance(),
        },
        7 => Command::RemoveIntervention(row),
        8 => Command::SetPrompt(draw.one_of(&["What?", "Is there a dog?", ""]).to_owned()),
        9 => Command::SetCrop(draw.one_of(&[Crop::Center, Crop::Pad])),
        10 => Command::SetWord(draw.one_of(&["dog", "", "two words"]).to_owned()),
        11 => Command::SetHeat(draw.one_of(&HeatKind::ALL)),
        12 => Command::SetTool(draw.one_of(&[Tool::Ablate, Tool::Select])),
        _ => Command::SelectPatch {
            patch: model.patch(draw),
            on: draw.chance(),
        },
    }
}

#[test]
fn undo_to_the_start_equals_the_start_and_redo_to_the_end_the_end() {
    for seed in 400..500 {
        let mut draw = Draw::new(seed);
        let model = RandomModel::new(&mut draw);
        let mut session = Session::new(model.experiment());
        update(&mut session, Command::SetGrid(model.grid));
        let start = session.experiment.clone();
        for step in 0..60 {
            let command = random_command(&model, &session, &mut draw, step / 3);
            update(&mut session, command);
        }
        let end = session.experiment.clone();
        while session.history.can_undo() {
            assert!(update(&mut session, Command::Undo).rerun);
        }
        assert_eq!(session.experiment, start, "seed {seed}");
        while session.history.can_redo() {
            assert!(update(&mut session, Command::Redo).rerun);
        }
        assert_eq!(session.experiment, end, "seed {seed}");
    }
}

#[test]
fn session_files_round_trip() {
    for seed in 500..540 {
        let mut draw = Draw::new(seed);
        let model = RandomModel::new(&mut draw);
        let mut session = Session::new(model.experiment());
        update(&mut session, Command::SetGrid(model.grid));
        for step in 0..30 {
            let command = random_command(&model, &session, &mut draw, step);
            update(&mut session, command);
        }
        session
            .experiment
            .interventions
            .push(Intervention::Ablation(Ablation {
                with: Replacement::Image(model.folder.path().join("other.png")),
                ..Ablation::of(model.patches(&mut draw))
            }));
        let path = model.folder.path().join("session.json");
        file::save(&session, &path).unwrap();
        let loaded = file::load(&path).unwrap();
        assert_eq!(loaded.experiment, session.experiment, "seed {seed}");
        assert_eq!(
            (loaded.readout, loaded.view),
            (session.readout.clone(), session.view.clone())
        );
        assert!(
            !std::fs::read_to_string(&path)
                .unwrap()
                .contains(model.folder.path().to_str().unwrap())
        );
    }
}

/// A session about the built-in picture is complete on disk: the picture is put beside it.
#[test]
fn a_saved_demo_session_carries_its_picture() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("demo.json");
    file::save(&Session::demo(), &path).unwrap();
    let loaded = file::load(&path).unwrap();
    let PictureSource::File(picture) = &loaded.experiment.picture else {
        panic!("a file is named")
    };
    assert_eq!(std::fs::read(picture).unwrap(), patchglass::demo::PICTURE);
}
