//! A runner that makes up traces of a small 24x24 model: no weights, no tensors, the same input gives the same trace.
//!
//! The prompt can ask it to misbehave: `fail`, `hang` (until cancelled), `load` (hangs while it loads the model), `large` and
//! `large sweep` (do not fit on the card), `hang in tasks`.

use std::sync::{Arc, Mutex};

use patchglass::engine::insight::Insight;
use patchglass::engine::protocol::{Event, Monitor, RunSpec, Runner, Stage};
use patchglass::engine::trace::{
    Answer, LevelReadout, ModelFacts, RunReadout, SeenPicture, Timing, TokenScore, Trace,
    Vocabulary,
};
use patchglass::error::{Error, Result};
use patchglass::index::{PatchGrid, TokenLayout};
use patchglass::spec::Intervention;

pub const N_LAYERS: usize = 8;
pub const GRID: PatchGrid = PatchGrid::new(24, 24);
const TOP_K: usize = 5;

/// Pieces of the vocabulary; the id is the place.
const PIECES: [&str; 30] = [
    "⟨end⟩",
    "A",
    "␣dinosaur",
    ",",
    "␣a",
    "␣pepper",
    "␣and",
    "␣banjo",
    "␣on",
    "␣the",
    "␣grass",
    ".",
    "␣snow",
    "␣lizard",
    "␣guitar",
    "␣tree",
    "␣red",
    "␣green",
    "␣sky",
    "ing",
    "␣bed",
    "␣spider",
    "␣of",
    "saur",
    "␣chair",
    "⟨0x0A⟩",
    "An",
    "The",
    "␣flower",
    "␣bird",
];
/// "A dinosaur, a pepper and a banjo on the grass."
pub const CLEAN: [u32; 13] = [1, 2, 3, 4, 5, 6, 4, 7, 8, 9, 10, 11, 0];

/// What the runner was asked, for the tests to look at.
pub type Seen = Arc<Mutex<Vec<RunSpec>>>;

pub struct FakeEngine {
    facts: Arc<ModelFacts>,
    picture: Arc<SeenPicture>,
    seen: Seen,
}

impl FakeEngine {
    pub fn new(seen: Seen) -> Self {
        Self {
            facts: Arc::new(facts()),
            picture: Arc::new(picture()),
            seen,
        }
    }

    fn progress(
        spec: &RunSpec,
        monitor: &mut dyn Monitor,
        stage: Stage,
        fraction: f32,
    ) -> Result<()> {
        if monitor.cancelled() {
            return Err(Error::Cancelled);
        }
        monitor.emit(Event::Progress {
            id: spec.id,
            stage,
            fraction,
        });
        Ok(())
    }

    fn trace(&self, spec: &RunSpec, complete: bool) -> Trace {
        let n_ablated = ablated(spec).iter().filter(|on| **on).count();
        let has_edits = spec.experiment.active().next().is_some();
        let n_new = spec.experiment.decode.max_new_tokens;
        let baseline = Arc::new(run(spec, false, 0, n_new, true));
        let edited = if has_edits {
            Arc::new(run(spec, true, n_ablated, n_new, complete))
        } else {
            baseline.clone()
        };
        let insight = match complete {
            true => super::fake_insight::of(spec, &baseline, &edited, has_edits),
            false => Insight::default(),
        };
        let insight = Arc::new(insight);
        Trace {
            id: spec.id,
            model: self.facts.clone(),
            picture: self.picture.clone(),
            layout: Arc::new(TokenLayout {
                n_prompt: 602,
                image: 5..581,
                patch_offset: 0,
                grid: GRID,
            }),
            input_ids: Arc::new(vec![0; 602]),
            words: super::fake_reading::words(spec),
            similar_to: similar_to(spec),
            baseline,
            edited,
            has_edits,
            insight,
            recomputed: None,
            timing: Timing {
                edited: 180.0,
                lens: 90.0,
                decode: 42.0,
                total: 312.0,
                ..Timing::default()
            },
            caches: Default::default(),
            complete,
        }
    }
}

impl Runner for FakeEngine {
    fn run(&mut self, spec: &RunSpec, monitor: &mut dyn Monitor) -> Result<()> {
        self.seen.lock().unwrap().push(spec.clone());
        if spec.task.is_some() && spec.experiment.prompt == "hang in tasks" {
            return hang(monitor);
        }
        let is_large = spec.sweep.is_some() && spec.experiment.prompt == "large sweep";
        if is_large && !spec.on_cpu {
            return Err(Error::OutOfMemory {
                message: "the device has not enough memory".to_owned(),
                can_use_cpu: true,
            });
        }
        if let Some(sweep) = &spec.sweep {
            return super::fake_sweep::run(&self.facts, spec, sweep, monitor);
        }
        let prompt = spec.experiment.prompt.as_str();
        if prompt == "load" {
            Self::progress(spec, monitor, Stage::LoadingModel, 0.4)?;
            return hang(monitor);
        }
        Self::progress(spec, monitor, Stage::CleanRun, 0.5)?;
        if prompt == "large" && !spec.on_cpu {
            return Err(Error::OutOfMemory {
                message: "the device has not enough memory".to_owned(),
                can_use_cpu: true,
            });
        }
        if prompt == "fail" {
            return Err(Error::input(
                "the picture grass.png could not be read: it is not a picture; choose another one",
            ));
        }
        monitor.emit(Event::Trace(Arc::new(self.trace(spec, false))));
        Self::progress(spec, monitor, Stage::Answer, 0.6)?;
        if prompt == "hang" {
            return hang(monitor);
        }
        monitor.emit(Event::Trace(Arc::new(self.trace(spec, true))));
        Ok(())
    }
}

pub fn hang(monitor: &dyn Monitor) -> Result<()> {
    while !monitor.cancelled() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    Err(Error::Cancelled)
}

fn facts() -> ModelFacts {
    ModelFacts {
        name: "demo".to_owned(),
        grid: GRID,
        n_layers: N_LAYERS,
        n_heads: 8,
        d_model: 256,
        image_size: 336,
        n_params: 12_250_000,
        device: "CPU".to_owned(),
        dtype: "f32".to_owned(),
        notes: Vec::new(),
        template: "USER: <image>\n{prompt} ASSISTANT:".to_owned(),
        vocabulary: Arc::new(Vocabulary {
            pieces: PIECES.iter().map(|p| (*p).to_owned()).collect(),
            is_word: PIECES
                .iter()
                .map(|p| p.trim_start_matches('␣').len() > 1)
                .collect(),
        }),
        default_level: 7,
    }
}

fn picture() -> SeenPicture {
    let rgb = image::load_from_memory(patchglass::demo::PICTURE)
        .unwrap()
        .to_rgb8();
    SeenPicture {
        revision: 1,
        name: patchglass::demo::PICTURE_NAME.to_owned(),
        size: rgb.width() as usize,
        original_size: (rgb.width() as usize, rgb.height() as usize),
        seen_in_original: patchglass::model::preprocess::SeenRect::whole(
            rgb.width() as usize,
            rgb.height() as usize,
        ),
        rgb: rgb.into_raw(),
    }
}

/// Patches that an ablation names, row-major.
fn ablated(spec: &RunSpec) -> Vec<bool> {
    let mut on = vec![false; GRID.len()];
    for row in spec.experiment.active() {
        if let Intervention::Ablation(a) = row {
            for idx in a.patches.indices(GRID).unwrap_or_default() {
                on[idx] = true;
            }
        }
    }
    on
}

fn run(spec: &RunSpec, edited: bool, n_ablated: usize, n_new: usize, complete: bool) -> RunReadout {
    let on = if edited {
        ablated(spec)
    } else {
        vec![false; GRID.len()]
    };
    let levels = (0..=N_LAYERS)
        .map(|level| {
            Some(Arc::new(LevelReadout {
                similar: similar_to(spec).map_or_else(Vec::new, similar),
                ..level_readout(level, &on)
            }))
        })
        .collect();
    let mut ids = CLEAN.to_vec();
    if edited {
        // The dinosaur goes first; with many patches gone the banjo goes too.
        ids[1] = 5;
        if n_ablated > 20 {
            ids.splice(4..8, [17, 24]);
        }
    }
    ids.truncate(if complete { n_new } else { n_new.min(5) });
    let loss = if edited { 0.12 } else { 0.0 };
    let probs: Vec<f32> = (0..ids.len())
        .map(|i| 0.97 - loss - 0.041 * ((i * 7) % 11) as f32)
        .collect();
    let text: String = ids
        .iter()
        .filter(|id| **id != 0)
        .map(|id| PIECES[*id as usize].replace('␣', " "))
        .collect();
    let first = if edited {
        [(1, 0.81), (26, 0.11), (27, 0.03), (2, 0.008)]
    } else {
        [(1, 0.931), (27, 0.04), (2, 0.012), (4, 0.006)]
    };
    let next_token = first
        .into_iter()
        .map(|(id, prob)| TokenScore {
            id,
            text: PIECES[id as usize].replace('␣', " "),
            prob,
            logit: prob.ln(),
        })
        .collect();
    let mut run = RunReadout {
        levels,
        next_token,
        answer: Answer {
            text,
            ids,
            probs,
            complete,
        },
        ..RunReadout::default()
    };
    if complete || !edited {
        super::fake_reading::add(spec, edited, &mut run);
    }
    run
}

/// The patch that the others are compared with.
fn similar_to(spec: &RunSpec) -> Option<usize> {
    GRID.index(spec.readout.similar_to?)
}

/// Cosines that fall with the distance.
fn similar(to: usize) -> Vec<f32> {
    let place = |idx: usize| ((idx / GRID.cols) as f32, (idx % GRID.cols) as f32);
    let (row, col) = place(to);
    let far = |idx| (place(idx).0 - row).hypot(place(idx).1 - col);
    (0..GRID.len()).map(|idx| 1.0 - 0.1 * far(idx)).collect()
}

fn level_readout(level: usize, ablated: &[bool]) -> LevelReadout {
    let mut readout = LevelReadout {
        top_k: TOP_K,
        ..LevelReadout::default()
    };
    for (idx, gone) in ablated.iter().enumerate() {
        let (row, col) = (idx / GRID.cols, idx % GRID.cols);
        let seed = (row / 5 * 7 + col / 5 * 3 + level / 3) as u32;
        let top = if *gone { 22 } else { 2 + seed % 20 };
        let sharp = 0.35 + 0.06 * level as f32 - if *gone { 0.25 } else { 0.0 };
        for k in 0..TOP_K as u32 {
            readout.ids.push((top + k * 5) % PIECES.len() as u32);
            readout.probs.push(sharp * 0.45_f32.powi(k as i32));
        }
        readout.entropy.push(3.0 - 2.0 * sharp);
        readout.norm.push(10.0 + (row + col) as f32);
        readout.log_sum_exp.push(12.0);
        readout.change.push(if *gone { 0.8 } else { 0.0 });
    }
    readout
}
