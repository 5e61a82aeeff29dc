//! Tables and plots of an experiment, written as CSV, as Markdown and as one HTML page that needs nothing else.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::stats::Mean;
use super::svg;
use crate::error::Result;
use crate::files;

/// Everything that is said of all rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub title: String,
    /// Sentences above the tables.
    pub notes: Vec<String>,
    pub tables: Vec<Table>,
    pub plots: Vec<Plot>,
}

/// One table; its name is that of its CSV file.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    pub name: String,
    pub caption: String,
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Cell>>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Text(String),
    /// With its decimals.
    Number(f64, usize),
    Empty,
}

/// A plot of lines or of single points.
#[derive(Clone, Debug, PartialEq)]
pub struct Plot {
    pub caption: String,
    pub x: String,
    pub y: String,
    pub lines: Vec<Line>,
    /// Words in the places of x = 0, 1, …; numbers where there are none.
    pub ticks: Vec<String>,
    /// Factor of all values.
    pub scale: f64,
}

/// Values with intervals, `None` where there are none.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub name: String,
    pub points: Vec<(f64, Option<Mean>)>,
}

impl Line {
    pub fn new(name: String, points: Vec<(f64, Option<Mean>)>) -> Self {
        Self { name, points }
    }
}

impl Plot {
    pub fn lines(caption: &str, (x, y): (&str, &str), lines: Vec<Line>) -> Self {
        Self {
            caption: caption.to_owned(),
            x: x.to_owned(),
            y: y.to_owned(),
            lines,
            ticks: Vec::new(),
            scale: 1.0,
        }
    }

    /// Values are shares.
    #[must_use]
    pub fn in_percent(self) -> Self {
        Self {
            scale: 100.0,
            ..self
        }
    }
}

impl Cell {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub fn count(n: usize) -> Self {
        Self::Number(n as f64, 0)
    }

    pub fn number(value: Option<f64>, decimals: usize) -> Self {
        value.map_or(Self::Empty, |value| Self::Number(value, decimals))
    }

    /// A share in percent.
    pub fn percent(value: Option<f64>) -> Self {
        Self::number(value.map(|value| value * 100.0), 1)
    }

    /// As a reader sees it.
    pub fn shown(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            // No minus before a zero.
            Self::Number(value, decimals) => {
                let text = format!("{value:.decimals$}");
                let is_zero = text.bytes().all(|b| matches!(b, b'-' | b'0' | b'.'));
                text.trim_start_matches(if is_zero { "-" } else { "" })
                    .to_owned()
            }
            Self::Empty => String::new(),
        }
    }
}

impl Table {
    pub fn new(name: &str, caption: &str, columns: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            caption: caption.to_owned(),
            columns: columns.iter().map(|column| (*column).to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Comma-separated; fields with commas, quotes or line breaks in quotes (RFC 4180).
    pub fn csv(&self) -> String {
        let field = |text: &str| match text.contains([',', '"', '\n']) {
            true => format!("\"{}\"", text.replace('"', "\"\"")),
            false => text.to_owned(),
        };
        let line = |fields: Vec<String>| {
            fields
                .iter()
                .map(|f| field(f))
                .collect::<Vec<_>>()
                .join(",")
                + "\n"
        };
        let mut out = line(self.columns.clone());
        for row in &self.rows {
            out += &line(row.iter().map(Cell::shown).collect());
        }
        out
    }

    fn markdown(&self) -> String {
        let line = |fields: Vec<String>| format!("| {} |\n", fields.join(" | "));
        let mut out = format!("{}\n\n", self.caption);
        out += &line(self.columns.clone());
        out += &line(self.columns.iter().map(|_| "---".to_owned()).collect());
        for row in &self.rows {
            out += &line(
                row.iter()
                    .map(|cell| cell.shown().replace('|', "\\|"))
                    .collect(),
            );
        }
        out
    }

    fn html(&self) -> String {
        let mut out = format!(
            "<table><caption>{}</caption><thead><tr>",
            escape(&self.caption)
        );
        // Writing to a string cannot fail.
        for column in &self.columns {
            let _ = write!(out, "<th scope=\"col\">{}</th>", escape(column));
        }
        out += "</tr></thead><tbody>";
        for row in &self.rows {
            out += "<tr>";
            for cell in row {
                let class = if matches!(cell, Cell::Text(_)) {
                    ""
                } else {
                    " class=\"n\""
                };
                let _ = write!(out, "<td{class}>{}</td>", escape(&cell.shown()));
            }
            out += "</tr>";
        }
        out + "</tbody></table>"
    }
}

/// Text as it may stand in HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}\
table{border-collapse:collapse;margin:1.5rem 0;font-variant-numeric:tabular-nums}caption{text-align:left;padding:.5rem 0;color:#57606a}\
th,td{padding:.25rem .75rem;border-bottom:1px solid #d8dee4;text-align:left}td.n{text-align:right}th{background:#f6f8fa;position:sticky;top:0}\
svg{max-width:100%;height:auto}figure{margin:1.5rem 0}figcaption{color:#57606a}pre{background:#f6f8fa;padding:1rem;overflow:auto}";

impl Report {
    /// `n_all` objects were looked at, of which `n` count.
    pub fn new(title: &str, n_all: usize, n: usize) -> Self {
        let left_out = match n_all - n {
            0 => String::new(),
            out => format!(" ({out} of {n_all} left out; each row says why)"),
        };
        Self {
            title: title.to_owned(),
            notes: vec![format!("{n} objects{left_out}.")],
            tables: Vec::new(),
            plots: Vec::new(),
        }
    }

    pub fn markdown(&self) -> String {
        let mut out = format!("# {}\n\n", self.title);
        for note in &self.notes {
            out += &format!("{note}\n\n");
        }
        let tables: Vec<String> = self.tables.iter().map(Table::markdown).collect();
        out + &tables.join("\n")
    }

    /// One page; nothing is loaded from elsewhere.
    pub fn html(&self, settings: &str) -> String {
        let title = escape(&self.title);
        let mut out = format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
             <title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1>"
        );
        for note in &self.notes {
            let _ = write!(out, "<p>{}</p>", escape(note));
        }
        for plot in &self.plots {
            let _ = write!(
                out,
                "<figure>{}<figcaption>{}</figcaption></figure>",
                svg::draw(plot),
                escape(&plot.caption)
            );
        }
        for table in &self.tables {
            out += &table.html();
        }
        let _ = writeln!(
            out,
            "<h2>Settings</h2><pre>{}</pre></body></html>",
            escape(settings)
        );
        out
    }

    /// Writes `summary.md`, `summary.html` and a CSV file a table into a folder; gives their paths.
    ///
    /// # Errors
    /// A folder that may not be written to.
    pub fn write(&self, folder: &Path, settings: &str) -> Result<Vec<PathBuf>> {
        let mut all = vec![
            ("summary.md".to_owned(), self.markdown()),
            ("summary.html".to_owned(), self.html(settings)),
        ];
        all.extend(
            self.tables
                .iter()
                .map(|table| (format!("{}.csv", table.name), table.csv())),
        );
        let mut paths = Vec::new();
        for (name, text) in all {
            let path = folder.join(name);
            files::write_atomically(&path, text.as_bytes())?;
            paths.push(path);
        }
        Ok(paths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_where_they_must_be() {
        let mut table = Table::new("t", "a < b", &["x", "y, z"]);
        table.rows.push(vec![
            Cell::text("say \"a|b\""),
            Cell::number(Some(-0.001), 2),
        ]);
        table
            .rows
            .push(vec![Cell::Empty, Cell::percent(Some(0.1234))]);
        assert_eq!(table.csv(), "x,\"y, z\"\n\"say \"\"a|b\"\"\",0.00\n,12.3\n");
        let mut report = Report::new("T <1>", 5, 4);
        report.tables.push(table);
        assert!(report.markdown().contains("| say \"a\\|b\" | 0.00 |"));
        let html = report.html("{\"a\": 1}");
        assert!(
            html.contains("a &lt; b") && html.contains("T &lt;1&gt;") && !html.contains("src=")
        );
        assert!(html.contains("1 of 5 left out"));
    }
}
