//! The logit lens on the object's patches (paper, section 4.1): how many read as the object's word, level by level.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::common::{About, Common, Subject};
use super::data::Item;
use super::gate;
use super::matching::{Matching, WordTokens};
use super::report::{Cell, Line, Plot, Report, Table};
use super::stats::Mean;
use super::wording::Wording;
use crate::engine::study::Study;
use crate::error::Result;

/// Candidates of a patch that are looked at.
const TOP: usize = 5;

/// Everything that the rows depend on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    #[serde(flatten)]
    pub common: Common,
    /// For the gate.
    pub wording: Wording,
}

/// One object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    #[serde(flatten)]
    pub about: About,
    pub n: usize,
    /// Patches whose best candidate is the word, and those that have it among the best five: from level 0, what enters
    /// the decoder, to what leaves its last block.
    pub levels: Vec<Hits>,
    pub ms: f64,
}

/// Patches of one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Hits {
    pub strict_top1: usize,
    pub strict_top5: usize,
    pub lenient_top1: usize,
    pub lenient_top5: usize,
}

impl Hits {
    fn get(&self, matching: Matching, top: usize) -> usize {
        match (matching, top) {
            (Matching::Strict, 1) => self.strict_top1,
            (Matching::Strict, _) => self.strict_top5,
            (Matching::Lenient, 1) => self.lenient_top1,
            (Matching::Lenient, _) => self.lenient_top5,
        }
    }
}

/// The row of an object.
///
/// # Errors
/// A picture that is missing or of another size; a failing device.
pub fn row(study: &Study, settings: &Settings, item: &Item) -> Result<Row> {
    let since = Instant::now();
    let subject = Subject::of(study, item, settings.common.crop)?;
    let grid = study.facts().grid;
    let mut row = Row {
        n: subject.about.patches.count(grid),
        about: subject.about.clone(),
        levels: Vec::new(),
        ms: 0.0,
    };
    let common = &settings.common;
    if row.about.skipped.is_none() && common.gate {
        row.about.skipped = gate::closed(study, &settings.wording, item, &subject, common.seed)?;
    }
    if row.about.skipped.is_none() {
        let words = WordTokens::new(study, &item.word)?;
        let seen = study.look(&subject.prepared.pixel_values)?;
        let levels = seen.lens(&subject.about.patches.indices(grid)?, TOP)?;
        for level in levels {
            row.levels.push(hits(study, &words, &level)?);
        }
    }
    row.ms = since.elapsed().as_secs_f64() * 1e3;
    Ok(row)
}

/// Counts the word in the candidates of every patch, `[patch][k]`.
fn hits(study: &Study, words: &WordTokens, patches: &[Vec<u32>]) -> Result<Hits> {
    let mut hits = Hits::default();
    for candidates in patches {
        let verdicts = candidates
            .iter()
            .map(|id| Ok(words.verdict(*id, &study.text(&[*id])?)));
        let verdicts = verdicts.collect::<Result<Vec<_>>>()?;
        let best = verdicts.first().copied().unwrap_or_default();
        hits.strict_top1 += usize::from(best.strict);
        hits.lenient_top1 += usize::from(best.lenient);
        hits.strict_top5 += usize::from(verdicts.iter().any(|v| v.strict));
        hits.lenient_top5 += usize::from(verdicts.iter().any(|v| v.lenient));
    }
    Ok(hits)
}

/// Shares of an object's patches at every level.
fn shares(row: &Row, matching: Matching, top: usize) -> Vec<f64> {
    let share = |hits: &Hits| hits.get(matching, top) as f64 / row.n.max(1) as f64;
    row.levels.iter().map(share).collect()
}

/// The best level of an object and the share there; `None` where no level has a hit, so that such objects do not count
/// as best at level 0.
fn best(shares: &[f64]) -> Option<(usize, f64)> {
    let mut best: Option<(usize, f64)> = None;
    for (level, share) in shares.iter().enumerate() {
        if *share > best.map_or(0.0, |(_, share)| share) {
            best = Some((level, *share));
        }
    }
    best
}

/// The tables and plots of all rows.
pub fn summary(rows: &[&Row]) -> Report {
    let read: Vec<&Row> = rows
        .iter()
        .copied()
        .filter(|row| row.about.skipped.is_none())
        .collect();
    let n_levels = read.iter().map(|row| row.levels.len()).max().unwrap_or(0);
    let kinds = Matching::BOTH.into_iter().flat_map(|m| [(m, 1), (m, TOP)]);
    let kinds: Vec<(Matching, usize)> = kinds.collect();
    let name = |(matching, top): &(Matching, usize)| format!("{} top-{top}", matching.name());
    let mut by_level = Table::new(
        "summary",
        "Share (%) of an object's patches that read as its word, mean over objects; ± is half of a 95 % interval",
        &["level"],
    );
    let mut best_level = Table::new(
        "best",
        "The best level of each object, only of objects with a hit at some level",
        &[
            "matching",
            "objects with a hit",
            "best level, mean",
            "±",
            "share (%) there",
            "±",
            "share (%) there, objects without a hit as 0",
        ],
    );
    let mut lines = Vec::new();
    for kind in &kinds {
        by_level.columns.extend([name(kind), "±".to_owned()]);
        let of_rows: Vec<Vec<f64>> = read.iter().map(|row| shares(row, kind.0, kind.1)).collect();
        let points = (0..n_levels).map(|level| (level as f64, mean_at(&of_rows, level)));
        lines.push(Line::new(name(kind), points.collect()));
        best_level.rows.push(best_row(name(kind), &of_rows));
    }
    for level in 0..n_levels {
        let mut cells = vec![Cell::count(level)];
        for line in &lines {
            let mean = line.points[level].1;
            cells.extend([
                Cell::percent(mean.map(|m| m.value)),
                Cell::percent(mean.map(|m| m.half)),
            ]);
        }
        by_level.rows.push(cells);
    }
    let mut report = Report::new("Logit lens", rows.len(), read.len());
    report.notes.push("Level 0 is what enters the decoder, level n is after n blocks. The final norm is applied once at every level. Strict: the best candidate is the first token of the word, after a space or not. Lenient: its text, of at least three letters, is how the word or its plural starts.".to_owned());
    let plot = Plot::lines(
        "Object patches that read as the object's word",
        ("level", "%"),
        lines,
    );
    report.plots.push(plot.in_percent());
    report.tables.extend([best_level, by_level]);
    report
}

fn mean_at(of_rows: &[Vec<f64>], level: usize) -> Option<Mean> {
    let values: Vec<f64> = of_rows
        .iter()
        .filter_map(|shares| shares.get(level).copied())
        .collect();
    Mean::of(&values)
}

fn best_row(name: String, of_rows: &[Vec<f64>]) -> Vec<Cell> {
    let found: Vec<(usize, f64)> = of_rows.iter().filter_map(|shares| best(shares)).collect();
    let levels = Mean::of(
        &found
            .iter()
            .map(|(level, _)| *level as f64)
            .collect::<Vec<_>>(),
    );
    let there = Mean::of(&found.iter().map(|(_, share)| *share).collect::<Vec<_>>());
    let all = found.iter().map(|(_, share)| share).sum::<f64>() / of_rows.len().max(1) as f64;
    vec![
        Cell::text(name),
        Cell::text(format!("{} of {}", found.len(), of_rows.len())),
        Cell::number(levels.map(|m| m.value), 2),
        Cell::number(levels.map(|m| m.half), 2),
        Cell::percent(there.map(|m| m.value)),
        Cell::percent(there.map(|m| m.half)),
        Cell::percent(Some(all)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A replication of the paper took the first of equal levels, which is level 0 where nothing is ever hit.
    #[test]
    fn objects_without_a_hit_have_no_best_level() {
        assert_eq!(best(&[0.0, 0.0, 0.0]), None);
        assert_eq!(best(&[0.0, 0.25, 0.5, 0.5]), Some((2, 0.5)));
        let cells = best_row("x".to_owned(), &[vec![0.0, 0.0], vec![0.0, 0.5]]);
        let texts: Vec<String> = cells.iter().map(|cell| cell.shown()).collect();
        assert_eq!(
            texts,
            ["x", "1 of 2", "1.00", "0.00", "50.0", "0.0", "25.0"]
        );
    }
}
