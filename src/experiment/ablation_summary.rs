//! What the rows of an ablation come to: the share of right answers that are lost with each set.

use super::ablation::{Row, SetRow, Settings, TaskRow};
use super::matching::Matching;
use super::report::{Cell, Line, Plot, Report, Table};
use super::sets::{SetKind, Size};
use super::stats::{Mean, Share};
use super::wording::Task;

/// The tables and plots of all rows.
pub fn summary(settings: &Settings, rows: &[&Row]) -> Report {
    let read: Vec<&Row> = rows
        .iter()
        .copied()
        .filter(|row| row.about.skipped.is_none())
        .collect();
    let mut report = Report::new("Ablation of visual tokens", rows.len(), read.len());
    report.notes.push("Decrease: of the answers that were right on the picture as it is, the share (%) that is wrong with the set's tokens replaced; higher means more damage. In brackets Wilson's 95 % interval, then lost of initially right. Tokens are replaced where they enter the decoder, after the vision tower, whose attention has mixed neighbouring patches: evidence of the object survives around it.".to_owned());
    for matching in Matching::BOTH {
        report.tables.push(decreases(settings, &read, matching));
    }
    report.tables.push(changes(settings, &read));
    report.tables.push(clean(settings, &read));
    for task in &settings.tasks {
        report.plots.push(plot(settings, &read, *task));
    }
    report
}

/// The clean and the edited answers to a task with a set, of the objects that the clean run got right.
fn pairs<'a>(
    rows: &'a [&Row],
    set: SetKind,
    task: Task,
    matching: Matching,
) -> impl Iterator<Item = (&'a TaskRow, &'a TaskRow, &'a SetRow)> {
    rows.iter().filter_map(move |row| {
        let clean = row.clean.iter().find(|t| t.task == task)?;
        let set = row.sets.iter().find(|s| s.set == set)?;
        let edited = set.tasks.iter().find(|t| t.task == task)?;
        clean.verdict.get(matching).then_some((clean, edited, set))
    })
}

fn lost(rows: &[&Row], set: SetKind, task: Task, matching: Matching) -> Share {
    Share::of(pairs(rows, set, task, matching).map(|(_, edited, _)| !edited.verdict.get(matching)))
}

fn shown(share: Share) -> Cell {
    match (share.value(), share.interval()) {
        (Some(value), Some((low, high))) => Cell::text(format!(
            "{:.1} [{:.1}, {:.1}] {}/{}",
            value * 100.0,
            low * 100.0,
            high * 100.0,
            share.k,
            share.n
        )),
        _ => Cell::Empty,
    }
}

fn decreases(settings: &Settings, rows: &[&Row], matching: Matching) -> Table {
    let name = match matching {
        Matching::Strict => "summary",
        Matching::Lenient => "lenient",
    };
    let caption = format!("Decrease (%) by set, {} matching", matching.name());
    let mut table = Table::new(name, &caption, &["set", "tokens, mean"]);
    table
        .columns
        .extend(settings.tasks.iter().map(|task| task.name().to_owned()));
    for set in &settings.sets {
        let sizes: Vec<f64> = rows
            .iter()
            .flat_map(|row| &row.sets)
            .filter(|s| s.set == *set)
            .map(|s| s.n as f64)
            .collect();
        let mut cells = vec![
            Cell::text(set.to_string()),
            Cell::number(Mean::of(&sizes).map(|m| m.value), 1),
        ];
        cells.extend(
            settings
                .tasks
                .iter()
                .map(|task| shown(lost(rows, *set, *task, matching))),
        );
        table.rows.push(cells);
    }
    table
}

/// Probability and logit of one token, that which the clean run's answer started with.
fn changes(settings: &Settings, rows: &[&Row]) -> Table {
    let mut table = Table::new(
        "token",
        "Change of the clean run's first token (the same token before and after), mean over initially right answers, strict",
        &["set"],
    );
    for task in &settings.tasks {
        table
            .columns
            .extend(["probability", "logit"].map(|what| format!("{}: {what}", task.name())));
    }
    for set in &settings.sets {
        let mut cells = vec![Cell::text(set.to_string())];
        for task in &settings.tasks {
            let mean = |change: fn(&TaskRow, &TaskRow) -> f32| {
                let changes = pairs(rows, *set, *task, Matching::Strict)
                    .map(|(clean, edited, _)| f64::from(change(clean, edited)));
                Mean::of(&changes.collect::<Vec<_>>()).map(|m| m.value)
            };
            cells.push(Cell::number(
                mean(|clean, edited| edited.prob - clean.prob),
                3,
            ));
            cells.push(Cell::number(
                mean(|clean, edited| edited.logit - clean.logit),
                2,
            ));
        }
        table.rows.push(cells);
    }
    table
}

fn clean(settings: &Settings, rows: &[&Row]) -> Table {
    let mut table = Table::new(
        "clean",
        "Right answers (%) on the pictures as they are",
        &["task", "strict", "lenient"],
    );
    for task in &settings.tasks {
        let right = |matching: Matching| {
            let answers = rows
                .iter()
                .filter_map(|row| row.clean.iter().find(|t| t.task == *task));
            shown(Share::of(
                answers.map(|answer| answer.verdict.get(matching)),
            ))
        };
        table.rows.push(vec![
            Cell::text(task.name()),
            right(Matching::Strict),
            right(Matching::Lenient),
        ]);
    }
    table
}

/// Decrease against the number of tokens.
fn plot(settings: &Settings, rows: &[&Row], task: Task) -> Plot {
    let mut lines: Vec<Line> = Vec::new();
    for set in &settings.sets {
        let name = match set {
            SetKind::Object(_) => "object, +1, +2",
            SetKind::Register => "register",
            SetKind::Random(Size::Of(_)) => "random",
            SetKind::Gradient(Size::Of(_)) => "integrated gradients",
            SetKind::Random(Size::Object(_)) => "random, as many as object",
            SetKind::Gradient(Size::Object(_)) => "gradients, as many",
        };
        let sizes: Vec<f64> = pairs(rows, *set, task, Matching::Strict)
            .map(|(_, _, set)| set.n as f64)
            .collect();
        let share = lost(rows, *set, task, Matching::Strict);
        let (Some(size), Some(value), Some((low, high))) =
            (Mean::of(&sizes), share.value(), share.interval())
        else {
            continue;
        };
        // The interval is not quite even around the share; the wider half is drawn.
        let half = (high - value).max(value - low);
        let point = (
            size.value,
            Some(Mean {
                n: share.n,
                value,
                half,
            }),
        );
        match lines.iter_mut().find(|line| line.name == name) {
            Some(line) => line.points.push(point),
            None => lines.push(Line::new(name.to_owned(), vec![point])),
        }
    }
    for line in &mut lines {
        line.points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    let caption = format!(
        "{}: decrease against the number of replaced tokens, strict",
        task.name()
    );
    Plot::lines(&caption, ("tokens, mean", "decrease (%)"), lines).in_percent()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::matching::Verdict;

    fn answer(right: bool, prob: f32) -> TaskRow {
        let verdict = Verdict {
            strict: right,
            lenient: right,
        };
        TaskRow {
            task: Task::Vqa,
            text: String::new(),
            token: 1,
            verdict,
            prob,
            logit: prob,
        }
    }

    fn row(clean: bool, edited: Option<bool>) -> Row {
        let about = serde_json::json!({"file": "", "image_id": 0, "annotation": 0, "word": "", "area": 0.0,
            "patches": "none", "clean": [], "sets": [], "ms": 0.0});
        let mut row: Row = serde_json::from_value(about).unwrap();
        row.clean.push(answer(clean, 0.9));
        row.sets.extend(edited.map(|right| SetRow {
            set: SetKind::Object(0),
            patches: Default::default(),
            n: 4,
            tasks: vec![answer(right, 0.4)],
        }));
        row
    }

    /// The paper's code divided by all pictures, those that were wrong from the start included.
    #[test]
    fn only_what_was_right_can_be_lost() {
        let rows = [
            row(true, Some(false)),
            row(true, Some(true)),
            row(false, Some(false)),
            row(false, None),
        ];
        let rows: Vec<&Row> = rows.iter().collect();
        let lost = lost(&rows, SetKind::Object(0), Task::Vqa, Matching::Strict);
        assert_eq!(lost, Share { k: 1, n: 2 });
        assert_eq!(shown(lost).shown(), "50.0 [9.5, 90.5] 1/2");
        assert_eq!(shown(Share { k: 0, n: 0 }), Cell::Empty);
    }
}
