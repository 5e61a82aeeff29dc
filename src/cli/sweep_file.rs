//! The result file of a sweep, as JSON and as CSV: the form is fixed here, new fields may be added.
//!
//! Losses are the clean run's number minus that with the unit taken away: positive where the unit helps the token.

use std::fmt::Write as _;

use serde::Serialize;

use crate::engine::sweep::{Effect, Sweep, Unit};
use crate::error::{Error, Result};
use crate::index::PatchGrid;
use crate::spec::{Replacement, SweepKind, SweepOver};

/// By the extension of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    /// One line a unit that is done. Its columns: `row`, `col`, `rows`, `cols` for patches (top left patch and size of
    /// the square), `first_layer`, `last_layer` for layers, `layer`, `head` for heads; then `prob`, `log_prob`,
    /// `logit`, `loss_prob`, `loss_log_prob`, `loss_logit`.
    Csv,
}

/// The whole JSON file.
#[derive(Serialize)]
struct SweepFile<'a> {
    /// `patches`, `layers` or `heads`.
    sweep: SweepKind,
    settings: Settings<'a>,
    /// The question.
    prompt: &'a str,
    /// Rows and columns of patches.
    grid: [usize; 2],
    n_layers: usize,
    n_heads: usize,
    /// What is watched: place in the clean answer from 0, id, text.
    token: Token,
    /// Ids of the clean answer up to the watched token, which is the last. Those before it are given to every run.
    answer: &'a [u32],
    /// The watched token in the clean run.
    baseline: Numbers,
    /// The largest difference from the baseline of runs that nothing was done to: rounding. Losses below it mean
    /// nothing.
    noise: Numbers,
    /// Those that are done, in natural order.
    units: Vec<UnitRow>,
    /// How many there are when the sweep is complete.
    n_units: usize,
    complete: bool,
    /// Milliseconds of the swept runs.
    ms: f64,
    /// Share of the rows of whole runs that were computed.
    recomputed: f32,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Settings<'a> {
    /// As in the session file: what replaces a patch, and at which level. `block` is the side of the squares.
    Patches {
        with: &'a Replacement,
        layer: usize,
        block: usize,
    },
    /// `window` is the number of blocks of a window; absent for heads.
    Knockout {
        queries: String,
        keys: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        window: Option<usize>,
    },
}

#[derive(Serialize)]
struct Token {
    at: usize,
    id: u32,
    text: String,
}

#[derive(Serialize)]
struct Numbers {
    prob: f32,
    /// Natural logarithm.
    log_prob: f32,
    logit: f32,
}

#[derive(Serialize)]
struct UnitRow {
    #[serde(flatten)]
    unit: UnitName,
    /// The watched token with this unit taken away.
    #[serde(flatten)]
    numbers: Numbers,
    /// What it loses by that.
    loss: Numbers,
}

#[derive(Serialize)]
#[serde(untagged)]
enum UnitName {
    /// In the session file's words.
    Patches {
        patches: String,
    },
    /// Decoder blocks, both ends in.
    Blocks {
        layers: [usize; 2],
    },
    Head {
        layer: usize,
        head: usize,
    },
}

impl From<Effect> for Numbers {
    fn from(e: Effect) -> Self {
        Self {
            prob: e.prob,
            log_prob: e.log_prob,
            logit: e.logit,
        }
    }
}

impl Format {
    /// What is known of a sweep, as the text of the file.
    ///
    /// # Errors
    /// A number that JSON cannot hold.
    pub fn text(self, sweep: &Sweep) -> Result<String> {
        match self {
            Self::Json => serde_json::to_string(&SweepFile::new(sweep)).map_err(Error::internal),
            Self::Csv => Ok(csv(sweep)),
        }
    }
}

impl<'a> SweepFile<'a> {
    fn new(sweep: &'a Sweep) -> Self {
        let model = &sweep.model;
        let row = |(at, unit): (usize, &Unit)| {
            Some(UnitRow {
                unit: name(unit, model.grid),
                numbers: sweep.effects[at]?.into(),
                loss: sweep.loss(at)?.into(),
            })
        };
        Self {
            sweep: sweep.kind(),
            settings: settings(&sweep.spec.over),
            prompt: &sweep.experiment.prompt,
            grid: [model.grid.rows, model.grid.cols],
            n_layers: model.n_layers,
            n_heads: model.n_heads,
            token: Token {
                at: sweep.spec.token,
                id: sweep.token_id(),
                text: model.vocabulary.piece(sweep.token_id()).into_owned(),
            },
            answer: &sweep.answer,
            baseline: sweep.baseline.into(),
            noise: sweep.noise.into(),
            units: sweep.units.iter().enumerate().filter_map(row).collect(),
            n_units: sweep.units.len(),
            complete: sweep.is_complete(),
            ms: sweep.ms,
            recomputed: sweep.share(),
        }
    }
}

fn settings(over: &SweepOver) -> Settings<'_> {
    match over {
        SweepOver::Patches { with, layer, block } => Settings::Patches {
            with,
            layer: *layer,
            block: *block,
        },
        SweepOver::Layers {
            queries,
            keys,
            window,
        } => Settings::Knockout {
            queries: queries.to_string(),
            keys: keys.to_string(),
            window: Some(*window),
        },
        SweepOver::Heads { queries, keys } => Settings::Knockout {
            queries: queries.to_string(),
            keys: keys.to_string(),
            window: None,
        },
    }
}

fn name(unit: &Unit, grid: PatchGrid) -> UnitName {
    match unit {
        Unit::Patches(_) => UnitName::Patches {
            patches: unit.text(grid),
        },
        Unit::Blocks(blocks) => UnitName::Blocks {
            layers: [*blocks.start(), *blocks.end()],
        },
        Unit::Head { layer, head } => UnitName::Head {
            layer: *layer,
            head: *head,
        },
    }
}

fn csv(sweep: &Sweep) -> String {
    let names = match sweep.kind() {
        SweepKind::Patches => "row,col,rows,cols",
        SweepKind::Layers => "first_layer,last_layer",
        SweepKind::Heads => "layer,head",
    };
    let mut out = format!("{names},prob,log_prob,logit,loss_prob,loss_log_prob,loss_logit\n");
    for (at, unit) in sweep.units.iter().enumerate() {
        let (Some(e), Some(loss)) = (sweep.effects[at], sweep.loss(at)) else {
            continue;
        };
        let name = match unit {
            Unit::Patches(patches) => {
                let corner = |patch: Option<&usize>| {
                    sweep.model.grid.patch(patch.copied().unwrap_or_default())
                };
                let (first, last) = (corner(patches.first()), corner(patches.last()));
                let (rows, cols) = (last.row - first.row + 1, last.col - first.col + 1);
                format!("{},{},{rows},{cols}", first.row, first.col)
            }
            Unit::Blocks(blocks) => format!("{},{}", blocks.start(), blocks.end()),
            Unit::Head { layer, head } => format!("{layer},{head}"),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "{name},{},{},{},{},{},{}",
            e.prob, e.log_prob, e.logit, loss.prob, loss.log_prob, loss.logit
        );
    }
    out
}

/// Units that a summary names.
const N_BEST: usize = 5;

/// One line for people: the token and what it loses most by.
pub fn summary(sweep: &Sweep) -> String {
    let piece = sweep.model.vocabulary.piece(sweep.token_id()).into_owned();
    let best: Vec<String> = sweep
        .largest_losses(N_BEST)
        .into_iter()
        .map(|(unit, loss)| {
            let name = sweep.units[unit].text(sweep.model.grid);
            format!("{name} {:.3}", loss.log_prob)
        })
        .collect();
    format!(
        "token {} {piece}, probability {:.3} | {} of {} in {:.1} s, {:.0} % of the rows computed | largest losses of log-probability: {}",
        sweep.spec.token,
        sweep.baseline.prob,
        sweep.n_done(),
        sweep.units.len(),
        sweep.ms / 1e3,
        sweep.share() * 100.0,
        best.join(", ")
    )
}
