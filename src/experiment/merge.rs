//! Rows of shards put together: the same file, and the same tables, that one run over everything makes.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::data::Shard;
use super::journal;
use super::report::Report;
use super::{ablation, knockout, lens};
use crate::error::{Error, Result};
use crate::files;

/// Name of the file of rows in a folder of results.
pub const ROWS: &str = "rows.jsonl";

/// The tables and plots of rows, whatever the experiment: `header` is the first line of their file.
///
/// # Errors
/// Rows of no experiment that is known.
pub fn report(header: &Value, rows: &BTreeMap<usize, Value>) -> Result<Report> {
    let bad = |e: serde_json::Error| Error::input(format!("rows that cannot be read: {e}"));
    let settings = header["settings"].clone();
    match header["experiment"].as_str() {
        Some("ablation") => {
            let settings = serde_json::from_value(settings).map_err(bad)?;
            let rows = rows.values().cloned().map(serde_json::from_value);
            let rows: Vec<ablation::Row> = rows.collect::<Result<_, _>>().map_err(bad)?;
            Ok(ablation::summary(
                &settings,
                &rows.iter().collect::<Vec<_>>(),
            ))
        }
        Some("lens") => {
            let rows = rows.values().cloned().map(serde_json::from_value);
            let rows: Vec<lens::Row> = rows.collect::<Result<_, _>>().map_err(bad)?;
            Ok(lens::summary(&rows.iter().collect::<Vec<_>>()))
        }
        Some("knockout") => {
            let settings = serde_json::from_value(settings).map_err(bad)?;
            let rows = rows.values().cloned().map(serde_json::from_value);
            let rows: Vec<knockout::Row> = rows.collect::<Result<_, _>>().map_err(bad)?;
            Ok(knockout::summary(
                &settings,
                &rows.iter().collect::<Vec<_>>(),
            ))
        }
        _ => Err(Error::input(
            "a file of rows without an experiment in its first line",
        )),
    }
}

/// Puts the rows of all shards into one folder and gives their report with the settings.
///
/// # Errors
/// Shards of other settings, missing ones by name, rows twice; a folder that may not be written to.
pub fn merge(folders: &[&Path], out: &Path) -> Result<(Report, Value)> {
    let mut merged: Option<Value> = None;
    let mut rows: BTreeMap<usize, Value> = BTreeMap::new();
    let mut shards: Vec<Shard> = Vec::new();
    for folder in folders {
        let path = folder.join(ROWS);
        let (mut header, found, _) = journal::read::<Value>(&path)?;
        let shard = header["shard"]
            .as_str()
            .unwrap_or_default()
            .parse::<Shard>()?;
        header["shard"] = Value::from(Shard::WHOLE.to_string());
        if merged.as_ref().is_some_and(|merged| *merged != header) {
            return Err(Error::input(format!(
                "{} has other settings than the shards before it",
                path.display()
            )));
        }
        if shards.contains(&shard) {
            return Err(Error::input(format!(
                "shard {shard} is there twice, the second time in {}",
                path.display()
            )));
        }
        merged = Some(header);
        shards.push(shard);
        rows.extend(found);
    }
    let header = merged.ok_or_else(|| Error::input("name the folders of the shards"))?;
    check_complete(
        &shards,
        &rows,
        header["objects"].as_u64().unwrap_or(0) as usize,
    )?;
    let mut text = header.to_string() + "\n";
    for (index, row) in &rows {
        let mut line = serde_json::json!({"index": index});
        if let (Some(line), Some(row)) = (line.as_object_mut(), row.as_object()) {
            line.extend(row.clone());
        }
        text += &(line.to_string() + "\n");
    }
    files::write_atomically(&out.join(ROWS), text.as_bytes())?;
    Ok((report(&header, &rows)?, header))
}

/// All shards of one division, each once.
///
/// # Errors
/// Shards that are there twice or missing, by name.
pub fn check_shards(shards: &[Shard]) -> Result<()> {
    let of = shards.first().map_or(1, |shard| shard.of);
    if shards.iter().any(|shard| shard.of != of) {
        return Err(Error::input("the shards are of different divisions"));
    }
    let twice = (shards.iter().enumerate()).find(|(at, shard)| shards[..*at].contains(shard));
    if let Some((_, shard)) = twice {
        return Err(Error::input(format!("shard {shard} is there twice")));
    }
    let missing: Vec<String> = (0..of)
        .map(|at| Shard { at, of })
        .filter(|shard| !shards.contains(shard))
        .map(|shard| shard.to_string())
        .collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(Error::input(format!(
            "shards are missing: {}",
            missing.join(", ")
        ))),
    }
}

/// All shards of one division, and no gap between their rows.
fn check_complete(shards: &[Shard], rows: &BTreeMap<usize, Value>, n: usize) -> Result<()> {
    check_shards(shards)?;
    let of = shards.first().map_or(1, |shard| shard.of);
    match (0..n).find(|index| !rows.contains_key(index)) {
        Some(index) => {
            let shard = Shard { at: index % of, of };
            Err(Error::input(format!(
                "shard {shard} is not complete: row {index} is missing; run it again"
            )))
        }
        None => Ok(()),
    }
}
