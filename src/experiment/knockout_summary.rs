//! What the rows of a knockout come to: relative accuracy, and the change of the clean run's token.

use super::knockout::{Group, Row, Settings, Token, Window, paper_windows, sliding_width};
use super::matching::Matching;
use super::report::{Cell, Line, Plot, Report, Table};
use super::stats::{Mean, Share};

/// The tables and plots of all rows.
pub fn summary(settings: &Settings, rows: &[&Row]) -> Report {
    let read: Vec<&Row> = rows
        .iter()
        .copied()
        .filter(|row| row.about.skipped.is_none())
        .collect();
    let n_layers = read.iter().map(|row| row.n_layers).max().unwrap_or(1);
    let mut report = Report::new("Attention knockout", rows.len(), read.len());
    let right = |matching: Matching| {
        let share = Share::of(
            read.iter()
                .map(|row| row.clean.as_ref().is_some_and(|c| c.verdict.get(matching))),
        );
        format!("{} of {} ({})", share.k, share.n, matching.name())
    };
    report.notes.push(format!(
        "Right on the picture as it is: {}, {}. Relative accuracy is the share of these that stay right, 1.00 = no effect. \
         Blocks count from 0, both ends are in. O: the object's patches, +1: with a ring of neighbours, I: all patches, LVR: the last row of \
         patches, Q: the question's text, LTP: the last position of the prompt; A->B hides A from B.",
        right(Matching::Strict),
        right(Matching::Lenient)
    ));
    let named = paper_windows(n_layers);
    let title = |(name, w): &(&str, Window)| format!("{name} {}-{}", w.start(), w.end());
    let titles: Vec<String> = named.iter().map(title).collect();
    let columns: Vec<(String, Window)> = titles
        .into_iter()
        .zip(named.into_iter().map(|(_, w)| w))
        .collect();
    for matching in Matching::BOTH {
        let (name, caption) = match matching {
            Matching::Strict => (
                "summary",
                "Relative accuracy, strict matching; in brackets Wilson's 95 % interval",
            ),
            Matching::Lenient => (
                "lenient",
                "Relative accuracy, lenient matching; in brackets Wilson's 95 % interval",
            ),
        };
        let cell = |group: Group, window: &Window| accuracy(kept(&read, group, window, matching));
        report
            .tables
            .push(table(settings, name, caption, &columns, &cell));
    }
    for (name, caption, change) in [
        (
            "probability",
            "Change of the probability of the clean run's token, mean over objects that were right (strict)",
            (|clean, out| out.prob - clean.prob) as fn(&Token, &Token) -> f32,
        ),
        (
            "logit",
            "Change of the logit of the same token",
            |clean, out| out.logit - clean.logit,
        ),
    ] {
        let cell = |group: Group, window: &Window| {
            Cell::number(
                mean_change(&read, group, window, change).map(|m| m.value),
                3,
            )
        };
        report
            .tables
            .push(table(settings, name, caption, &columns, &cell));
    }
    let width = sliding_width(settings, n_layers);
    for (name, width) in [("layers", 1), ("sliding", width)] {
        let windows: Vec<(String, Window)> = (0..=n_layers - width)
            .map(|first| (window_name(first, width), first..=first + width - 1))
            .collect();
        let caption = match width {
            1 => "Relative accuracy with attention knocked out in one block, strict".to_owned(),
            width => format!(
                "Relative accuracy with attention knocked out in {width} blocks in a row, strict"
            ),
        };
        let cell = |group: Group, window: &Window| {
            Cell::number(kept(&read, group, window, Matching::Strict).value(), 3)
        };
        report
            .tables
            .push(table(settings, name, &caption, &windows, &cell));
        report.plots.push(plot(settings, &read, &caption, &windows));
    }
    report
}

fn window_name(first: usize, width: usize) -> String {
    match width {
        1 => first.to_string(),
        width => format!("{first}-{}", first + width - 1),
    }
}

/// The clean token and that with the knockout, of objects that were right.
fn pairs<'a>(
    rows: &'a [&Row],
    group: Group,
    window: &'a Window,
    matching: Matching,
) -> impl Iterator<Item = (&'a Token, &'a Token)> {
    let blocks = (*window.start(), *window.end());
    rows.iter().filter_map(move |row| {
        let clean = row.clean.as_ref().filter(|c| c.verdict.get(matching))?;
        let group = row.groups.iter().find(|g| g.group == group)?;
        let out = group.windows.iter().find(|w| w.blocks == blocks)?;
        Some((clean, &out.token))
    })
}

fn kept(rows: &[&Row], group: Group, window: &Window, matching: Matching) -> Share {
    Share::of(pairs(rows, group, window, matching).map(|(_, out)| out.verdict.get(matching)))
}

fn mean_change(
    rows: &[&Row],
    group: Group,
    window: &Window,
    change: fn(&Token, &Token) -> f32,
) -> Option<Mean> {
    let changes = pairs(rows, group, window, Matching::Strict)
        .map(|(clean, out)| f64::from(change(clean, out)));
    Mean::of(&changes.collect::<Vec<_>>())
}

fn accuracy(share: Share) -> Cell {
    match (share.value(), share.interval()) {
        (Some(value), Some((low, high))) => Cell::text(format!("{value:.2} [{low:.2}, {high:.2}]")),
        _ => Cell::Empty,
    }
}

fn table(
    settings: &Settings,
    name: &str,
    caption: &str,
    columns: &[(String, Window)],
    cell: &dyn Fn(Group, &Window) -> Cell,
) -> Table {
    let mut table = Table::new(name, caption, &["group"]);
    table
        .columns
        .extend(columns.iter().map(|(name, _)| name.clone()));
    for group in &settings.groups {
        let mut cells = vec![Cell::text(group.name())];
        cells.extend(columns.iter().map(|(_, window)| cell(*group, window)));
        table.rows.push(cells);
    }
    table
}

/// Relative accuracy against the first block of the window.
fn plot(settings: &Settings, rows: &[&Row], caption: &str, windows: &[(String, Window)]) -> Plot {
    let line = |group: &Group| {
        let point = |(at, (_, window)): (usize, &(String, Window))| {
            let share = kept(rows, *group, window, Matching::Strict);
            let mean = share.value().map(|value| Mean {
                n: share.n,
                value,
                half: 0.0,
            });
            (at as f64, mean)
        };
        Line::new(
            group.name().to_owned(),
            windows.iter().enumerate().map(point).collect(),
        )
    };
    let lines = settings.groups.iter().map(line).collect();
    let plot = Plot::lines(
        caption,
        ("first block", "of right answers, stay (%)"),
        lines,
    );
    plot.in_percent()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::knockout::{GroupRow, WindowRow};
    use crate::experiment::matching::Verdict;

    fn token(id: u32, right: bool, prob: f32) -> Token {
        let verdict = Verdict {
            strict: right,
            lenient: right,
        };
        Token {
            id,
            text: String::new(),
            verdict,
            prob,
            logit: prob * 10.0,
        }
    }

    fn row(clean: Token, out: Token) -> Row {
        let windows = vec![WindowRow {
            blocks: (0, 0),
            token: out,
        }];
        let about = serde_json::json!({"file": "", "image_id": 0, "annotation": 0, "word": "", "area": 0.0, "patches": "none"});
        Row {
            about: serde_json::from_value(about).unwrap(),
            n_layers: 1,
            n_question: 3,
            clean: Some(clean),
            groups: vec![GroupRow {
                group: Group::Object,
                windows,
            }],
            ms: 0.0,
        }
    }

    /// The paper's code divided by all pictures, and compared the probabilities of two different tokens.
    #[test]
    fn accuracy_is_relative_and_the_token_is_the_same() {
        let rows = [
            row(token(1, true, 0.9), token(1, true, 0.8)),
            row(token(1, true, 0.9), token(2, false, 0.1)),
            row(token(3, false, 0.9), token(4, false, 0.9)),
        ];
        let rows: Vec<&Row> = rows.iter().collect();
        let share = kept(&rows, Group::Object, &(0..=0), Matching::Strict);
        assert_eq!(share, Share { k: 1, n: 2 });
        let mean = mean_change(&rows, Group::Object, &(0..=0), |clean, out| {
            out.prob - clean.prob
        });
        assert!((mean.unwrap().value + 0.45).abs() < 1e-6);
    }
}
