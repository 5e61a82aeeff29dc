//! Quantised weights: how near they come to the floats, that they change nothing else, and their cache on disk.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

#[path = "support/golden.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod golden;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use patchglass::engine::memory::{MemoryNeed, PlaceKind, Workload};
use patchglass::engine::protocol::{DTypeChoice, DeviceChoice, RunId};
use patchglass::engine::trace::{RunReadout, Trace};
use patchglass::engine::{CacheFolder, Engine, EngineOptions, Named, checkpoint};
use patchglass::index::{PatchSet, TokenSet};
use patchglass::model::numbers::{Maps, Numbers};
use patchglass::model::{Description, Inventory, Llava};
use patchglass::session::Session;
use patchglass::spec::{Ablation, AttentionKnockout, Intervention, ModelSource, PictureSource};

/// The CPU; with `PATCHGLASS_TEST_DEVICE=cuda` the card (in a build with the feature `cuda`).
fn on_card() -> bool {
    std::env::var("PATCHGLASS_TEST_DEVICE").is_ok_and(|device| device == "cuda")
}

fn engine(dtype: DTypeChoice, cache: CacheFolder, whole_runs: bool) -> Engine {
    Engine::new(EngineOptions {
        device: if on_card() {
            DeviceChoice::Cuda(0)
        } else {
            DeviceChoice::Cpu
        },
        dtype: Some(dtype),
        cache,
        whole_runs,
        ..EngineOptions::default()
    })
    .unwrap()
}

fn run(engine: &mut Engine, session: &Session) -> (Arc<Trace>, Vec<Named>) {
    let trace = engine.run(&session.run_spec(RunId(1)), &mut golden::Deaf);
    (trace.unwrap(), engine.dump(false).unwrap())
}

fn scene(name: &str) -> PictureSource {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    PictureSource::File(root.join(format!("assets/demo/samples/{name}.png")))
}

/// Cells of the lens whose first word is the same, and all cells.
fn agreement(a: &RunReadout, b: &RunReadout) -> (usize, usize) {
    let (mut same, mut all) = (0, 0);
    for (a, b) in a.levels.iter().zip(&b.levels) {
        let (a, b) = (a.as_ref().unwrap(), b.as_ref().unwrap());
        for patch in 0..a.entropy.len() {
            all += 1;
            same += usize::from(a.top(patch).next().unwrap().0 == b.top(patch).next().unwrap().0);
        }
    }
    (same, all)
}

#[test]
fn first_words_of_the_demo_model_stay() {
    let mut exact = engine(DTypeChoice::F32, CacheFolder::Off, false);
    let types = [(DTypeChoice::Q8_0, 0.97), (DTypeChoice::Q4K, 0.8)];
    for (dtype, least) in types {
        let mut rounded = engine(dtype, CacheFolder::Off, false);
        let (mut same, mut all) = (0, 0);
        for name in ["beach", "desert", "night", "savanna"] {
            let mut session = Session::demo();
            session.experiment.picture = scene(name);
            session.experiment.decode.max_new_tokens = 0;
            let (exact, _) = run(&mut exact, &session);
            let (rounded, _) = run(&mut rounded, &session);
            let (s, a) = agreement(&exact.baseline, &rounded.baseline);
            (same, all) = (same + s, all + a);
        }
        let share = same as f64 / all as f64;
        println!(
            "{dtype:?}: first word equal in {:.2} % of {all} cells of four pictures",
            100.0 * share
        );
        assert!(share >= least, "{dtype:?}: {share}");
        assert!(share < 1.0, "{dtype:?} rounds nothing");
    }
}

/// Rounding happens to weights alone, so that a run of one row agrees with a run of all as closely as in f32.
#[test]
fn an_edit_computes_the_same_rows_as_a_whole_run() {
    for dtype in [DTypeChoice::Q8_0, DTypeChoice::Q4K] {
        let mut fast = engine(dtype, CacheFolder::Off, false);
        let mut slow = engine(dtype, CacheFolder::Off, true);
        let knockout = AttentionKnockout {
            queries: TokenSet::Last,
            keys: TokenSet::Image,
            layers: "4..=7".parse().unwrap(),
            heads: patchglass::index::HeadSet::All,
            enabled: true,
            name: None,
        };
        let ablation = Ablation {
            patches: "r20c3-r22c9".parse::<PatchSet>().unwrap(),
            with: patchglass::spec::Replacement::Mean,
            layer: 2,
            enabled: true,
            name: None,
        };
        for row in [
            Intervention::AttentionKnockout(knockout),
            Intervention::Ablation(ablation),
        ] {
            let mut session = Session::demo();
            session.experiment.interventions = vec![row];
            session.experiment.decode.max_new_tokens = 4;
            let ((fast, a), (slow, b)) = (run(&mut fast, &session), run(&mut slow, &session));
            assert!(fast.recomputed.unwrap() < 0.2);
            for ((name, _, a), (_, _, b)) in a.iter().zip(&b) {
                let error = relative_error(a, b);
                let tolerance = if on_card() { 2e-2 } else { 1e-5 };
                assert!(error < tolerance, "{dtype:?} {name}: {error:.1e}");
            }
            assert_eq!(fast.edited.answer.ids, slow.edited.answer.ids);
        }
    }
}

fn relative_error(a: &[f32], b: &[f32]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let gap = norm(&mut a.iter().zip(b).map(|(a, b)| f64::from(a - b)));
    gap / norm(&mut b.iter().map(|b| f64::from(*b))).max(1e-12)
}

/// What is estimated is what is there: every byte of maps and embeddings, in every type, tied and untied.
#[test]
fn the_estimate_of_the_weights_is_exact() {
    let device = patchglass::tensor::Device::Cpu;
    let golden = |name: &str| ModelSource::Folder(golden::folder().join("checkpoints").join(name));
    let sources = [
        ModelSource::Demo,
        golden("old-f32"),
        golden("new-f16-gqa"),
        golden("sparse-bf16-tied"),
    ];
    for source in sources {
        let files = checkpoint(&source).unwrap();
        let config = Description::of(&files).unwrap().config;
        let stored = Inventory::of(&files).unwrap();
        for maps in [Maps::Float, Maps::Q8_0, Maps::Q4K] {
            let numbers = Numbers {
                float: patchglass::tensor::DType::F32,
                maps,
            };
            let work = Workload {
                numbers,
                stored_bytes: if stored.dtypes == ["F32"] { 4 } else { 2 },
                n_tokens: 100,
                n_new: 0,
                place: PlaceKind::Cpu,
            };
            let need = MemoryNeed::of(&config, &work);
            let options = patchglass::model::LoadOptions {
                device: device.clone(),
                numbers,
                cache: None,
            };
            let model = Llava::open(&files, &options, &mut |_| Ok(())).unwrap();
            assert_eq!(
                need.maps + need.embeddings,
                model.llama.n_bytes(),
                "{source:?} {maps:?}"
            );
        }
    }
}

/// A checkpoint that can be changed, and a folder for its cache.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(place.at("model")).unwrap();
        let from = golden::folder().join("checkpoints/old-f32");
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), place.at("model").join(entry.file_name())).unwrap();
        }
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs the checkpoint in q8_0 with this cache folder: what a person is told, and the logits.
    fn run(&self, cache: &str) -> (Vec<String>, Vec<f32>) {
        let mut session = golden::load("old-f32.center.none");
        session.experiment.model = ModelSource::Folder(self.at("model"));
        let cache = CacheFolder::At(self.at(cache));
        let (trace, dump) = run(&mut engine(DTypeChoice::Q8_0, cache, false), &session);
        let logits = dump
            .into_iter()
            .find(|(name, ..)| name == "logits")
            .unwrap();
        assert_eq!(trace.model.dtype, "q8_0");
        (trace.model.notes.clone(), logits.2)
    }

    /// The one file of the cache, and when it was written.
    fn cached(&self) -> (PathBuf, std::time::SystemTime) {
        let mut files = std::fs::read_dir(self.at("cache")).unwrap();
        let path = files.next().unwrap().unwrap().path();
        assert!(files.next().is_none(), "more than one file is left");
        let written = std::fs::metadata(&path).unwrap().modified().unwrap();
        (path, written)
    }
}

/// Old enough to tell a file that was written again.
fn make_old(path: &Path) {
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(old).unwrap();
}

#[test]
fn the_cache_is_written_once_and_read() {
    let place = Place::new();
    let (notes, first) = place.run("cache");
    assert_eq!(notes, Vec::<String>::new());
    let (path, _) = place.cached();
    make_old(&path);
    let (_, written) = place.cached();
    // Whatever is not taken from the cache is made, and then the cache is written again.
    let (notes, second) = place.run("cache");
    assert_eq!((notes, second), (Vec::new(), first.clone()));
    assert_eq!(
        place.cached(),
        (path, written),
        "the cache was written again"
    );
    assert_eq!(place.run("elsewhere").1, first);
}

#[test]
fn a_damaged_cache_is_made_again() {
    let place = Place::new();
    let (_, first) = place.run("cache");
    let (path, _) = place.cached();
    let whole = std::fs::read(&path).unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        bytes
    };
    let n = whole.len();
    let spoilt = [
        whole[..n - 40].to_vec(),
        whole[..50].to_vec(),
        Vec::new(),
        flipped(n - 100),
        flipped(n / 2),
        flipped(2),
    ];
    for (i, bytes) in spoilt.into_iter().enumerate() {
        std::fs::write(&path, bytes).unwrap();
        make_old(&path);
        assert_eq!(place.run("cache"), (Vec::new(), first.clone()), "case {i}");
        assert_eq!(
            std::fs::read(&path).unwrap().len(),
            n,
            "case {i} was not made again"
        );
    }
    assert_eq!(std::fs::read(&path).unwrap(), whole);
}

#[test]
fn the_cache_of_another_checkpoint_is_not_taken() {
    let place = Place::new();
    let (_, first) = place.run("cache");
    let weights = place.at("model/model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    let n = bytes.len();
    // The last tensors are of another part of the model than the first: spoil some floats of the decoder in the middle.
    for chunk in bytes[n / 3..n / 2].as_chunks_mut::<4>().0 {
        chunk[0] ^= 0x3f;
        chunk[2] ^= 0x10;
    }
    std::fs::write(&weights, bytes).unwrap();
    let (_, second) = place.run("cache");
    assert_ne!(first, second);
    let (_, third) = place.run("cache");
    assert_eq!(second, third);
    place.cached();
}

#[test]
fn a_cache_that_cannot_be_written_is_told_and_done_without() {
    let place = Place::new();
    let (_, first) = place.run("cache");
    std::fs::write(place.at("file"), "").unwrap();
    let (notes, logits) = place.run("file/cache");
    assert_eq!(logits, first);
    assert!(
        notes.len() == 1 && notes[0].contains("cache") && !notes[0].contains('\n'),
        "{notes:?}"
    );
}

/// A person who stops the load while the cache is written leaves no file behind.
#[test]
fn a_load_that_is_stopped_leaves_nothing() {
    let place = Place::new();
    let files = checkpoint(&ModelSource::Folder(place.at("model"))).unwrap();
    let options = patchglass::model::LoadOptions {
        device: patchglass::tensor::Device::Cpu,
        numbers: Numbers {
            float: patchglass::tensor::DType::F32,
            maps: Maps::Q8_0,
        },
        cache: Some(place.at("cache")),
    };
    let stop = |fraction: f32| match fraction < 0.5 {
        true => Ok(()),
        false => Err(patchglass::error::Error::Cancelled),
    };
    let mut fractions = Vec::new();
    let stopped = Llava::open(&files, &options, &mut |fraction| {
        fractions.push(fraction);
        stop(fraction)
    });
    assert!(matches!(stopped, Err(patchglass::error::Error::Cancelled)));
    assert!(fractions.is_sorted(), "{fractions:?}");
    assert!(!place.at("cache").exists());
    Llava::open(&files, &options, &mut |_| Ok(())).unwrap();
    place.cached();
}

/// What `patchglass info` prints.
fn info(args: &[&str]) -> String {
    let program = env!("CARGO_BIN_EXE_patchglass");
    let output = std::process::Command::new(program)
        .arg("info")
        .args(args)
        .args(["--device", "cpu"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The row of a type in the table, as words.
fn row<'a>(text: &'a str, dtype: &str) -> Vec<&'a str> {
    let line = text
        .lines()
        .find(|line| line.trim_start().starts_with(dtype));
    line.unwrap().split_whitespace().collect()
}

#[test]
fn info_says_what_fits() {
    let demo = info(&["demo"]);
    for dtype in ["f32", "f16", "q8_0", "q4k"] {
        assert_eq!(row(&demo, dtype).last(), Some(&"fits"), "{demo}");
    }
    assert_eq!(
        info(&["--model", "demo"]).lines().count(),
        demo.lines().count()
    );
    let large = info(&["random-7b"]);
    println!("{large}");
    // 6.74 billion numbers in 4 bytes and the tower.
    assert_eq!(row(&large, "f32")[1..3], ["28.21", "GB"]);
    assert!(row(&large, "q4k")[1].parse::<f64>().unwrap() < 7.0);
}
