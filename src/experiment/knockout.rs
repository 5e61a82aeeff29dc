//! Attention knockout (paper, section 4.2): which tokens the object's information passes, and in which blocks.

use std::ops::RangeInclusive;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::common::{About, Common, Subject};
use super::data::Item;
use super::gate;
pub use super::knockout_summary::summary;
use super::matching::{Verdict, WordTokens};
use super::wording::{Task, Wording};
use crate::engine::study::{KnockedOut, Study};
use crate::error::Result;
use crate::index::{PatchSet, TokenSet, choose};

/// Everything that the rows depend on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    #[serde(flatten)]
    pub common: Common,
    pub wording: Wording,
    pub groups: Vec<Group>,
    /// Also run where the clean run is wrong, which takes time and changes no table.
    pub even_wrong: bool,
    /// Blocks of the sliding window; `None` for nine of 32, scaled.
    pub sliding: Option<usize>,
}

/// Which keys are hidden from which queries. O is the object, I the picture, LVR its last row, Q the question's text, LTP
/// the last position of the prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Group {
    #[serde(rename = "O->LTP")]
    Object,
    #[serde(rename = "O+1->LTP")]
    Object1,
    #[serde(rename = "O+2->LTP")]
    Object2,
    #[serde(rename = "I-(O+1)->LTP")]
    Rest,
    #[serde(rename = "O+1->LVR")]
    Object1ToLastRow,
    #[serde(rename = "I-LVR->LVR")]
    RestToLastRow,
    #[serde(rename = "O+1->Q")]
    Object1ToQuestion,
    #[serde(rename = "I-(O+1)->Q")]
    RestToQuestion,
    #[serde(rename = "Q->LTP")]
    Question,
    /// The control.
    #[serde(rename = "random as many as O+1->LTP")]
    Random,
}

impl Group {
    /// The paper's six, those of the question's tokens, and a control.
    pub const ALL: [Self; 10] = [
        Self::Object,
        Self::Object1,
        Self::Object2,
        Self::Rest,
        Self::Object1ToLastRow,
        Self::RestToLastRow,
        Self::Object1ToQuestion,
        Self::RestToQuestion,
        Self::Question,
        Self::Random,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Object => "O->LTP",
            Self::Object1 => "O+1->LTP",
            Self::Object2 => "O+2->LTP",
            Self::Rest => "I-(O+1)->LTP",
            Self::Object1ToLastRow => "O+1->LVR",
            Self::RestToLastRow => "I-LVR->LVR",
            Self::Object1ToQuestion => "O+1->Q",
            Self::RestToQuestion => "I-(O+1)->Q",
            Self::Question => "Q->LTP",
            Self::Random => "random as many as O+1->LTP",
        }
    }

    /// Queries and keys.
    fn sets(self, study: &Study, subject: &Subject, seed: u64) -> (TokenSet, TokenSet) {
        let grid = study.facts().grid;
        let grown = |rings| subject.grown(study, rings);
        let rest = || choose::invert(&grown(1), grid);
        let last_row = choose::last_row(grid);
        let patches = TokenSet::Patches;
        match self {
            Self::Object => (TokenSet::Last, patches(grown(0))),
            Self::Object1 => (TokenSet::Last, patches(grown(1))),
            Self::Object2 => (TokenSet::Last, patches(grown(2))),
            Self::Rest => (TokenSet::Last, patches(rest())),
            Self::Object1ToLastRow => (patches(last_row), patches(grown(1))),
            Self::RestToLastRow => {
                let above = choose::invert(&last_row, grid);
                (patches(last_row), patches(above))
            }
            Self::Object1ToQuestion => (TokenSet::Question, patches(grown(1))),
            Self::RestToQuestion => (TokenSet::Question, patches(rest())),
            Self::Question => (TokenSet::Last, TokenSet::Question),
            Self::Random => {
                let n = grown(1).count(grid);
                (
                    TokenSet::Last,
                    patches(choose::random(n, subject.seed(seed, n), grid)),
                )
            }
        }
    }
}

/// Blocks, both ends in.
pub type Window = RangeInclusive<usize>;

/// The paper's windows, of 32 blocks, as its code has them (0-based).
const PAPER: [(&str, usize, usize); 6] = [
    ("early", 0, 9),
    ("early-mid", 5, 14),
    ("mid", 11, 20),
    ("mid-late", 15, 24),
    ("late", 21, 31),
    ("all", 0, 31),
];

/// The paper's windows in a decoder of another depth: the same shares of it, rounded to whole blocks.
pub fn paper_windows(n_layers: usize) -> Vec<(&'static str, Window)> {
    let scaled = |edge: usize| (edge * n_layers + 16) / 32;
    let window = |(name, first, last): (&'static str, usize, usize)| {
        let end = scaled(last + 1).clamp(1, n_layers);
        (name, scaled(first).min(end - 1)..=end - 1)
    };
    PAPER.into_iter().map(window).collect()
}

/// Blocks of a sliding window: nine of 32, scaled.
pub fn sliding_width(settings: &Settings, n_layers: usize) -> usize {
    let usual = (9 * n_layers + 16) / 32;
    settings.sliding.unwrap_or(usual).clamp(1, n_layers.max(1))
}

/// All windows of a group: the paper's, every block alone, and sliding ones.
pub fn windows(settings: &Settings, n_layers: usize) -> Vec<Window> {
    let width = sliding_width(settings, n_layers);
    let mut windows: Vec<Window> = paper_windows(n_layers)
        .into_iter()
        .map(|(_, w)| w)
        .collect();
    windows.extend((0..n_layers).map(|block| block..=block));
    windows.extend((0..=n_layers - width).map(|first| first..=first + width - 1));
    let mut once: Vec<Window> = Vec::new();
    for window in windows {
        if !once.contains(&window) {
            once.push(window);
        }
    }
    once
}

/// One object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    #[serde(flatten)]
    pub about: About,
    pub n_layers: usize,
    /// Positions of the question's text that can be queries.
    pub n_question: usize,
    pub clean: Option<Token>,
    /// Only where the clean run is right, leniently, unless the settings say otherwise.
    pub groups: Vec<GroupRow>,
    pub ms: f64,
}

/// The first token of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Token {
    pub id: u32,
    pub text: String,
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Of the clean run's first token, whatever this run's is.
    pub prob: f32,
    pub logit: f32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupRow {
    pub group: Group,
    pub windows: Vec<WindowRow>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowRow {
    /// First and last block.
    pub blocks: (usize, usize),
    #[serde(flatten)]
    pub token: Token,
}

/// The row of an object.
///
/// # Errors
/// A picture that is missing or of another size; a failing device.
pub fn row(study: &Study, settings: &Settings, item: &Item) -> Result<Row> {
    let since = Instant::now();
    let common = &settings.common;
    let subject = Subject::of(study, item, common.crop)?;
    let n_layers = study.facts().n_layers;
    let mut row = Row {
        about: subject.about.clone(),
        n_layers,
        n_question: 0,
        clean: None,
        groups: Vec::new(),
        ms: 0.0,
    };
    if row.about.skipped.is_none() && common.gate {
        row.about.skipped = gate::closed(study, &settings.wording, item, &subject, common.seed)?;
    }
    if row.about.skipped.is_none() {
        fill(study, settings, item, &subject, &mut row)?;
    }
    row.ms = since.elapsed().as_secs_f64() * 1e3;
    Ok(row)
}

fn fill(
    study: &Study,
    settings: &Settings,
    item: &Item,
    subject: &Subject,
    row: &mut Row,
) -> Result<()> {
    let words = WordTokens::new(study, &item.word)?;
    let seen = study.look(&subject.prepared.pixel_values)?;
    let asked = seen.ask(&settings.wording.question(Task::Vqa, item))?;
    row.n_question = asked.question_rows().len().saturating_sub(1);
    let token = |out: &KnockedOut| -> Result<Token> {
        let text = study.text(&[out.first])?;
        Ok(Token {
            id: out.first,
            verdict: words.verdict(out.first, &text),
            text,
            prob: out.watched.prob,
            logit: out.watched.logit,
        })
    };
    let clean = row.clean.insert(token(&asked.baseline())?);
    if !clean.verdict.lenient && !settings.even_wrong {
        return Ok(());
    }
    let windows = windows(settings, row.n_layers);
    for group in &settings.groups {
        let (queries, keys) = group.sets(study, subject, settings.common.seed);
        let found = match is_empty(&keys) {
            true => vec![asked.baseline(); windows.len()],
            false => asked.knock_out((&queries, &keys), &windows)?,
        };
        let rows = windows.iter().zip(&found).map(|(window, out)| {
            let blocks = (*window.start(), *window.end());
            let token = token(out)?;
            Ok(WindowRow { blocks, token })
        });
        row.groups.push(GroupRow {
            group: *group,
            windows: rows.collect::<Result<_>>()?,
        });
    }
    Ok(())
}

fn is_empty(keys: &TokenSet) -> bool {
    matches!(keys, TokenSet::Patches(set) if PatchSet::is_empty(set))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_the_papers_and_scale() {
        let of = |n: usize| -> Vec<(usize, usize)> {
            paper_windows(n)
                .iter()
                .map(|(_, w)| (*w.start(), *w.end()))
                .collect()
        };
        assert_eq!(
            of(32),
            [(0, 9), (5, 14), (11, 20), (15, 24), (21, 31), (0, 31)]
        );
        assert_eq!(
            of(40),
            [(0, 12), (6, 18), (14, 25), (19, 30), (26, 39), (0, 39)]
        );
        assert_eq!(of(10), [(0, 2), (2, 4), (3, 6), (5, 7), (7, 9), (0, 9)]);
        for n in 1..=64 {
            assert!(of(n).iter().all(|(a, b)| a <= b && *b < n), "{n}");
            assert_eq!(of(n)[5], (0, n - 1));
        }
    }
}
