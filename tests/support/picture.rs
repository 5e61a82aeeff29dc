//! A synthetic trace of the sample scene, and a host that owns a session and one picture panel.
//!
//! No model runs: words are placed by the scene's own list of objects, numbers come from a hash.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::sync::Arc;

use patchglass::engine::protocol::{RunId, Stage};
use patchglass::engine::trace::{
    LevelReadout, ModelFacts, RunReadout, SeenPicture, Timing, Trace, Vocabulary, WordToken,
};
use patchglass::index::{PatchGrid, TokenLayout};
use patchglass::session::{Command, Session, update};
use patchglass::ui::image_grid::ImageGrid;
use patchglass::ui::sweep_view::SweepView;
use patchglass::ui::theme::Theme;
use patchglass::ui::{CommandSender, ViewCtx};

const PIECES: [(&str, bool); 26] = [
    ("␣snow", true),
    ("␣sky", true),
    ("␣grey", true),
    ("␣white", true),
    ("␣cloud", true),
    ("␣crab", true),
    ("␣banana", true),
    ("␣dinosaur", true),
    ("␣lizard", true),
    ("␣claw", true),
    ("␣yellow", true),
    ("␣red", true),
    ("␣green", true),
    ("␣background", true),
    ("␣winter", true),
    (",", false),
    ("⟨0x0A⟩", false),
    ("␣", false),
    (".", false),
    ("␣the", true),
    ("osaur", true),
    ("␣strawberry", true),
    ("雪", true),
    ("␣ice", true),
    ("␣fruit", true),
    ("␣legs", true),
];
const N_LAYERS: usize = 8;
pub const TOP_K: usize = 5;

/// A number in 0..1 that depends on nothing but its arguments.
fn noise(a: usize, b: usize) -> f32 {
    let mut x = (a as u32).wrapping_mul(0x9e37_79b9) ^ (b as u32).wrapping_mul(0x85eb_ca6b);
    x ^= x >> 15;
    x = x.wrapping_mul(0x2c1b_3c6d);
    x ^= x >> 12;
    (x & 0xffff) as f32 / 65536.0
}

/// The word that the scene has at each patch of the 24x24 grid.
fn regions() -> Vec<usize> {
    let text = include_str!("scene.json");
    let scene: serde_json::Value = serde_json::from_str(text).unwrap();
    let mut out: Vec<usize> = (0..576).map(|i| usize::from(i / 24 < 9)).collect();
    for object in scene["objects"].as_array().unwrap() {
        let word = format!("␣{}", object["word"].as_str().unwrap());
        let id = PIECES.iter().position(|(p, _)| *p == word).unwrap();
        for patch in object["patches"].as_array().unwrap() {
            out[patch.as_u64().unwrap() as usize] = id;
        }
    }
    out
}

fn neighbours(id: usize) -> [usize; 4] {
    match id {
        5 => [9, 11, 25, 21],
        6 => [10, 24, 3, 13],
        7 => [8, 20, 12, 9],
        1 => [4, 2, 13, 14],
        _ => [3, 23, 14, 22],
    }
}

fn readout(grid: PatchGrid, level: usize, edited: bool) -> LevelReadout {
    let regions = regions();
    let certainty = (level as f32 / N_LAYERS as f32).powf(1.2);
    let mut out = LevelReadout {
        top_k: TOP_K,
        words: vec![Vec::new()],
        ..LevelReadout::default()
    };
    for (index, patch) in grid.patches().enumerate() {
        let row = usize::from(patch.row) * 24 / grid.rows;
        let col = usize::from(patch.col) * 24 / grid.cols;
        let mut id = regions[row * 24 + col];
        let object = (5..=7).contains(&id);
        if edited && id == 7 {
            id = 8;
        }
        let unsure = noise(index, level);
        let mut p = if object {
            0.25 + 0.7 * unsure
        } else {
            0.04 + 0.3 * unsure
        };
        p *= certainty.max(0.15);
        if unsure < 0.12 {
            id = 15 + (index % 4);
        }
        let mut ids = vec![id as u32];
        ids.extend(neighbours(id).map(|n| n as u32));
        out.ids.extend(&ids);
        out.probs.push(p);
        let mut rest = p.min(1.0 - p);
        for k in 1..TOP_K {
            rest *= 0.35 + 0.2 * noise(index, k);
            out.probs.push(rest);
        }
        out.entropy.push((1.0 - p) * 3.2);
        out.norm
            .push(8.0 + 12.0 * noise(index, 77) + 2.0 * level as f32);
        out.log_sum_exp.push(10.0);
        out.change.push(if edited && object {
            0.4 * noise(index, 5)
        } else {
            0.0
        });
        out.words[0].push(if id == 6 { p } else { 0.01 * unsure });
    }
    out
}

pub fn model(grid: PatchGrid) -> Arc<ModelFacts> {
    Arc::new(ModelFacts {
        name: "synthetic".to_owned(),
        grid,
        n_layers: N_LAYERS,
        n_heads: 4,
        d_model: 64,
        image_size: 336,
        n_params: 1,
        device: "CPU".to_owned(),
        dtype: "f32".to_owned(),
        notes: Vec::new(),
        template: "<image>{prompt}".to_owned(),
        vocabulary: Arc::new(Vocabulary {
            pieces: PIECES.iter().map(|(p, _)| (*p).to_owned()).collect(),
            is_word: PIECES.iter().map(|(_, w)| *w).collect(),
        }),
        default_level: 7,
    })
}

pub fn trace(grid: PatchGrid, edited: bool) -> Trace {
    let png = image::load_from_memory(include_bytes!("scene.png")).unwrap();
    let levels = |edited| {
        let level = |level| Some(Arc::new(readout(grid, level, edited)));
        Arc::new(RunReadout {
            levels: (0..=N_LAYERS).map(level).collect(),
            ..RunReadout::default()
        })
    };
    Trace {
        id: RunId(1),
        model: model(grid),
        picture: Arc::new(SeenPicture {
            revision: 1,
            name: "scene.png".to_owned(),
            size: png.width() as usize,
            rgb: png.to_rgb8().into_raw(),
            original_size: (336, 336),
            seen_in_original: patchglass::model::preprocess::SeenRect::whole(336, 336),
        }),
        layout: Arc::new(TokenLayout {
            n_prompt: grid.len() + 8,
            image: 4..4 + grid.len(),
            patch_offset: 0,
            grid,
        }),
        input_ids: Arc::new(vec![0; grid.len() + 8]),
        similar_to: None,
        words: vec![WordToken {
            word: "banana".to_owned(),
            id: 6,
            n_tokens: 2,
            ids: vec![6, 20],
        }],
        baseline: levels(false),
        edited: levels(edited),
        has_edits: edited,
        insight: Arc::default(),
        recomputed: None,
        timing: Timing::default(),
        caches: Default::default(),
        complete: true,
    }
}

/// The least that a panel needs around it.
pub struct Host {
    pub session: Session,
    pub trace: Option<Trace>,
    pub previous: Option<Trace>,
    pub progress: Option<(Stage, f32)>,
    pub error: Option<String>,
    pub theme: Theme,
    pub panel: ImageGrid,
    pub sender: CommandSender,
    /// Everything that was sent, in order.
    pub sent: Vec<Command>,
    /// Milliseconds of each call of the panel.
    pub times: Vec<f64>,
}

impl Host {
    pub fn new(grid: PatchGrid, cc: &eframe::CreationContext<'_>) -> Self {
        let mut session = Session::demo();
        session.grid = Some(grid);
        Self {
            session,
            trace: Some(trace(grid, false)),
            previous: None,
            progress: None,
            error: None,
            theme: Theme::dark(),
            panel: ImageGrid::new(cc.wgpu_render_state.as_ref()),
            sender: CommandSender::default(),
            sent: Vec::new(),
            times: Vec::new(),
        }
    }

    /// The patches that were painted since the last call: name, on, gesture.
    pub fn take_painted(&mut self) -> Vec<(String, bool, u64)> {
        let paints = std::mem::take(&mut self.sent).into_iter();
        paints
            .filter_map(|command| match command {
                Command::Paint { patch, on, gesture } => Some((patch.to_string(), on, gesture.0)),
                _ => None,
            })
            .collect()
    }
}

impl eframe::App for Host {
    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        let ctx = ViewCtx {
            session: &self.session,
            trace: self.trace.as_ref(),
            previous: self.previous.as_ref(),
            progress: self.progress.clone(),
            sweeps: SweepView::default(),
            error: self.error.as_deref(),
            theme: &self.theme,
            commands: &self.sender,
        };
        let start = std::time::Instant::now();
        self.panel.ui(&ctx, ui);
        self.times.push(start.elapsed().as_secs_f64() * 1e3);
        for command in self.sender.take() {
            update(&mut self.session, command.clone());
            self.sent.push(command);
        }
    }
}
