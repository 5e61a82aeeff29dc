//! A host for the panels of reading: a session, made-up traces of 24x24 patches and 33 levels, and one panel or several.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::sync::Arc;

use patchglass::engine::protocol::{RunId, Stage};
use patchglass::engine::trace::{
    Answer, Divergence, LevelReadout, ModelFacts, RunReadout, SeenPicture, Timing, TokenReadout,
    Trace, Vocabulary, WordToken,
};
use patchglass::index::{PatchGrid, TokenLayout};
use patchglass::session::{Command, Session, update};
use patchglass::ui::difference_panel::DifferencePanel;
use patchglass::ui::image_grid::ImageGrid;
use patchglass::ui::legend_panel::LegendPanel;
use patchglass::ui::lens_table::LensTable;
use patchglass::ui::sweep_view::SweepView;
use patchglass::ui::theme::Theme;
use patchglass::ui::word_panel::WordPanel;
use patchglass::ui::{CommandSender, ViewCtx};

pub const GRID: PatchGrid = PatchGrid::new(24, 24);
pub const N_LAYERS: usize = 32;
const N_WORDS: usize = 400;
/// Prompt positions before and after the picture, and generated ones: 600 rows in all.
const BEFORE: usize = 5;
const AFTER: usize = 11;
const NEW: usize = 8;

/// A number in 0..1 that depends on nothing but its arguments.
pub fn noise(a: usize, b: usize) -> f32 {
    let mut x = (a as u32).wrapping_mul(0x9e37_79b9) ^ (b as u32).wrapping_mul(0x85eb_ca6b);
    x ^= x >> 15;
    x = x.wrapping_mul(0x2c1b_3c6d);
    x ^= x >> 12;
    (x & 0xffff) as f32 / 65536.0
}

fn vocabulary() -> Vocabulary {
    let syllables = [
        "ba", "do", "gri", "lu", "men", "ro", "sta", "ti", "vel", "zo",
    ];
    let piece = |id: usize| match id {
        0 => "⟨end⟩".to_owned(),
        1 => ",".to_owned(),
        2 => "␣banana".to_owned(),
        3 => "nas".to_owned(),
        id => format!(
            "␣{}{}{}",
            syllables[id % 10],
            syllables[id / 10 % 10],
            syllables[id / 100]
        ),
    };
    Vocabulary {
        pieces: (0..N_WORDS).map(piece).collect(),
        is_word: (0..N_WORDS).map(|id| id > 1).collect(),
    }
}

fn readout(n: usize, level: usize, edited: bool) -> LevelReadout {
    let mut out = LevelReadout {
        top_k: 5,
        words: vec![Vec::new()],
        word_log_probs: vec![Vec::new()],
        word_ranks: vec![Vec::new()],
        ..LevelReadout::default()
    };
    for row in 0..n {
        let sure = noise(row, level) * (level + 3) as f32 / (N_LAYERS + 3) as f32;
        let region = row / 24 / 5 * 5 + row % 24 / 5;
        let mut id = match noise(row + 7, level) {
            x if x < 0.08 => 1,
            x if x < 0.3 => 12 + level,
            _ => 20 + region * 3 + level / 8,
        };
        if edited && row % 24 > 11 && noise(row, level + 99) < 0.4 {
            id = 300 + region;
        }
        for k in 0..5 {
            out.ids.push(((id + k * 7) % N_WORDS) as u32);
            out.probs.push((0.05 + 0.9 * sure) * 0.4_f32.powi(k as i32));
        }
        out.entropy.push(5.0 * (1.0 - sure));
        out.norm.push(10.0 + sure);
        out.log_sum_exp.push(12.0);
        out.change.push(if edited { 0.2 * sure } else { 0.0 });
        let p = if region == 12 {
            sure.powi(2)
        } else {
            0.01 * sure
        } + 1e-6;
        out.words[0].push(p);
        out.word_log_probs[0].push(p.ln());
        out.word_ranks[0].push(1 + (300.0 * (1.0 - p).powi(8)) as u32);
    }
    out
}

fn run(edited: bool) -> RunReadout {
    let levels = 0..=N_LAYERS;
    let n_others = BEFORE + AFTER + NEW;
    let answer = BEFORE + GRID.len()..BEFORE + GRID.len() + AFTER + NEW;
    let divergence = |level: usize| {
        let kl = |row: usize| {
            let hit = row % 24 > 11 && noise(row, level + 99) < 0.4;
            if hit {
                0.2 + 3.0 * noise(row, level)
            } else {
                1e-8
            }
        };
        Some(Arc::new(Divergence {
            values: (0..GRID.len()).map(kl).collect(),
            floor: 3.1e-7,
        }))
    };
    RunReadout {
        levels: levels
            .clone()
            .map(|level| Some(Arc::new(readout(GRID.len(), level, edited))))
            .collect(),
        cosine: levels
            .clone()
            .map(|level| Some(Arc::new(readout(GRID.len(), level + 40, edited))))
            .collect(),
        divergence: match edited {
            true => levels.clone().map(divergence).collect(),
            false => Vec::new(),
        },
        tokens: Some(TokenReadout {
            positions: (0..BEFORE).chain(answer).collect(),
            ids: (0..n_others).map(|at| 30 + at as u32).collect(),
            levels: levels
                .clone()
                .map(|level| Some(Arc::new(readout(n_others, level, edited))))
                .collect(),
            cosine: levels
                .map(|level| Some(Arc::new(readout(n_others, level + 40, edited))))
                .collect(),
        }),
        answer: Answer {
            complete: true,
            ..Answer::default()
        },
        ..RunReadout::default()
    }
}

pub fn trace(has_edits: bool) -> Trace {
    let png = image::load_from_memory(include_bytes!("scene.png")).unwrap();
    let baseline = Arc::new(run(false));
    Trace {
        id: RunId(1),
        model: Arc::new(ModelFacts {
            name: "synthetic".to_owned(),
            grid: GRID,
            n_layers: N_LAYERS,
            n_heads: 4,
            d_model: 64,
            image_size: 336,
            n_params: 1,
            device: "CPU".to_owned(),
            dtype: "f32".to_owned(),
            notes: Vec::new(),
            template: "<image>{prompt}".to_owned(),
            vocabulary: Arc::new(vocabulary()),
            default_level: 24,
        }),
        picture: Arc::new(SeenPicture {
            revision: 1,
            name: "scene.png".to_owned(),
            size: png.width() as usize,
            rgb: png.to_rgb8().into_raw(),
            original_size: (336, 336),
            seen_in_original: patchglass::model::preprocess::SeenRect::whole(336, 336),
        }),
        layout: Arc::new(TokenLayout {
            n_prompt: BEFORE + GRID.len() + AFTER,
            image: BEFORE..BEFORE + GRID.len(),
            patch_offset: 0,
            grid: GRID,
        }),
        input_ids: Arc::new(vec![0; BEFORE + GRID.len() + AFTER]),
        words: vec![WordToken {
            word: "bananas".to_owned(),
            id: 2,
            n_tokens: 2,
            ids: vec![2, 3],
        }],
        edited: if has_edits {
            Arc::new(run(true))
        } else {
            baseline.clone()
        },
        baseline,
        has_edits,
        recomputed: None,
        insight: Arc::default(),
        similar_to: None,
        caches: Default::default(),
        timing: Timing::default(),
        complete: true,
    }
}

/// What the host draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    Words,
    Table,
    Difference,
    Legend,
    /// The picture at the left, table, words and legend at the right.
    All,
}

pub struct Host {
    pub session: Session,
    pub trace: Option<Trace>,
    pub progress: Option<(Stage, f32)>,
    pub error: Option<String>,
    pub theme: Theme,
    pub shown: Shown,
    pub sender: CommandSender,
    /// Everything that was sent, in order, and whether the last of it asks for a run.
    pub sent: Vec<Command>,
    pub rerun: bool,
    picture: ImageGrid,
    words: WordPanel,
    table: LensTable,
    difference: DifferencePanel,
    legend: LegendPanel,
}

impl Host {
    pub fn new(shown: Shown, cc: &eframe::CreationContext<'_>) -> Self {
        let picture = ImageGrid::new(cc.wgpu_render_state.as_ref());
        Self {
            picture,
            ..Self::without_adapter(shown)
        }
    }

    /// The heat map is drawn cell by cell.
    pub fn without_adapter(shown: Shown) -> Self {
        let mut session = Session::demo();
        session.grid = Some(GRID);
        session.readout.words = vec!["bananas".to_owned()];
        Self {
            session,
            trace: Some(trace(true)),
            progress: None,
            error: None,
            theme: Theme::dark(),
            shown,
            sender: CommandSender::default(),
            sent: Vec::new(),
            rerun: false,
            picture: ImageGrid::new(None),
            words: WordPanel::default(),
            table: LensTable::default(),
            difference: DifferencePanel::default(),
            legend: LegendPanel::default(),
        }
    }

    /// One frame of what is shown.
    pub fn draw(&mut self, ui: &mut egui::Ui) {
        let ctx = ViewCtx {
            session: &self.session,
            trace: self.trace.as_ref(),
            previous: None,
            progress: self.progress.clone(),
            sweeps: SweepView::default(),
            error: self.error.as_deref(),
            theme: &self.theme,
            commands: &self.sender,
        };
        match self.shown {
            Shown::Words => self.words.ui(&ctx, ui),
            Shown::Table => self.table.ui(&ctx, ui),
            Shown::Difference => self.difference.ui(&ctx, ui),
            Shown::Legend => self.legend.ui(&ctx, ui),
            Shown::All => ui.columns(2, |columns| {
                self.picture.ui(&ctx, &mut columns[0]);
                let right = &mut columns[1];
                self.words.ui(&ctx, right);
                right.push_id("second plot", |ui| self.words.ui(&ctx, ui));
                self.table.ui(&ctx, right);
            }),
        }
        for command in self.sender.take() {
            self.rerun = update(&mut self.session, command.clone()).rerun;
            self.sent.push(command);
        }
    }
}

impl eframe::App for Host {
    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        egui::Frame::new()
            .fill(self.theme.panel)
            .inner_margin(8.0)
            .show(ui, |ui| self.draw(ui));
    }
}
