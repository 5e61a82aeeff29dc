//! Rows as JSON lines: the first says what they are rows of, every other is one row, appended as soon as it is known.
//!
//! A process that is killed leaves at most one torn line at the end, which is dropped when the file is opened again.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::files;

const MAX_BYTES: u64 = 16 << 30;

/// A file of rows that is being written.
pub struct Journal<R> {
    path: PathBuf,
    file: File,
    /// By index.
    pub rows: BTreeMap<usize, R>,
}

/// One line.
#[derive(serde::Serialize, serde::Deserialize)]
struct Line<R> {
    index: usize,
    #[serde(flatten)]
    row: R,
}

/// Reads a file of rows: its first line, its rows, and the bytes up to the end of its last whole line.
///
/// # Errors
/// A file that is missing, or has a broken line before its end.
pub fn read<R: DeserializeOwned>(path: &Path) -> Result<(Value, BTreeMap<usize, R>, u64)> {
    let bytes = files::read_bytes(path, MAX_BYTES)?;
    let end = bytes
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |at| at + 1);
    let text = std::str::from_utf8(&bytes[..end]).map_err(|e| not_text(path, &bytes, e))?;
    let mut lines = text.lines().enumerate();
    let bad = |line: usize, e: &serde_json::Error| {
        Error::input(format!(
            "{}, line {}: {e}; the file was changed: move it away to start anew",
            path.display(),
            line + 1
        ))
    };
    let header = match lines.next() {
        Some((at, line)) => serde_json::from_str(line).map_err(|e| bad(at, &e))?,
        None => Value::Null,
    };
    let mut rows = BTreeMap::new();
    for (at, line) in lines {
        let line: Line<R> = serde_json::from_str(line).map_err(|e| bad(at, &e))?;
        rows.insert(line.index, line.row);
    }
    Ok((header, rows, end as u64))
}

fn not_text(path: &Path, bytes: &[u8], error: std::str::Utf8Error) -> Error {
    let before = &bytes[..error.valid_up_to()];
    let line = 1 + before.iter().filter(|b| **b == b'\n').count();
    Error::input(format!(
        "{}, line {line}: not valid UTF-8; the file was changed: move it away to start anew",
        path.display()
    ))
}

impl<R: Serialize + DeserializeOwned> Journal<R> {
    /// Opens a file of rows of `header`, or makes one.
    ///
    /// # Errors
    /// A file of other rows, or a broken one; a folder that may not be written to.
    pub fn open(path: &Path, header: &Value) -> Result<Self> {
        let (found, rows, end) = match path.exists() {
            true => read(path)?,
            false => (Value::Null, BTreeMap::new(), 0),
        };
        // Without a row nothing is lost by starting anew.
        let (found, end) = match rows.is_empty() && found != *header {
            true => (Value::Null, 0),
            false => (found, end),
        };
        if found != Value::Null && found != *header {
            return Err(Error::input(format!(
                "{} holds rows of other settings ({}): choose another --out, or the settings of its first line",
                path.display(),
                difference(&found, header)
            )));
        }
        let wrong = |e: std::io::Error| Error::write(path, &e);
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(false);
        let mut file = options.open(path).map_err(wrong)?;
        file.set_len(end).map_err(wrong)?;
        file.seek(SeekFrom::End(0)).map_err(wrong)?;
        let path = path.to_owned();
        let mut journal = Self { path, file, rows };
        if found == Value::Null {
            journal.write(header)?;
        }
        Ok(journal)
    }

    /// Appends a row; once this returns, it survives the end of the process.
    ///
    /// # Errors
    /// A full disk.
    pub fn append(&mut self, index: usize, row: R) -> Result<()> {
        let line = Line { index, row };
        self.write(&line)?;
        self.rows.insert(index, line.row);
        Ok(())
    }

    fn write(&mut self, line: &impl Serialize) -> Result<()> {
        let mut text = serde_json::to_string(line).map_err(Error::internal)?;
        text.push('\n');
        (self.file.write_all(text.as_bytes()))
            .and_then(|()| self.file.sync_data())
            .map_err(|e| Error::write(&self.path, &e))
    }
}

/// The first field in which two headers differ, with both values.
fn difference(a: &Value, b: &Value) -> String {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let keys = a.keys().chain(b.keys());
            let mut differing = keys.filter(|key| a.get(*key) != b.get(*key));
            match differing.next() {
                Some(key) => {
                    let get = |of: &serde_json::Map<String, Value>| {
                        of.get(key).cloned().unwrap_or_default()
                    };
                    match (get(a), get(b)) {
                        (a @ Value::Object(_), b @ Value::Object(_)) => difference(&a, &b),
                        (a, b) => format!("{key}: {a} there, {b} here"),
                    }
                }
                None => "the same".to_owned(),
            }
        }
        _ => format!("{a} there, {b} here"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    type Row = BTreeMap<String, u32>;

    fn row(n: u32) -> Row {
        BTreeMap::from([("n".to_owned(), n)])
    }

    #[test]
    fn a_torn_last_line_is_dropped_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        let header = json!({"experiment": "test", "settings": {"seed": 1}});
        let mut journal = Journal::<Row>::open(&path, &header).unwrap();
        journal.append(4, row(40)).unwrap();
        journal.append(2, row(20)).unwrap();
        drop(journal);
        let whole = std::fs::read(&path).unwrap();
        journal = Journal::open(&path, &header).unwrap();
        journal.append(7, row(70)).unwrap();
        drop(journal);
        let longer = std::fs::read(&path).unwrap();
        // Whatever the last line was cut to, it is dropped, and what comes after is whole.
        for cut in whole.len()..longer.len() {
            std::fs::write(&path, &longer[..cut]).unwrap();
            let mut journal = Journal::<Row>::open(&path, &header).unwrap();
            assert_eq!(journal.rows.keys().copied().collect::<Vec<_>>(), [2, 4]);
            journal.append(9, row(90)).unwrap();
            let (_, rows, _) = read::<Row>(&path).unwrap();
            assert_eq!(rows.keys().copied().collect::<Vec<_>>(), [2, 4, 9]);
        }
        std::fs::write(
            &path,
            longer[..longer.len() - 30]
                .iter()
                .map(|b| if *b == b'4' { b'{' } else { *b })
                .collect::<Vec<_>>(),
        )
        .unwrap();
        let error = Journal::<Row>::open(&path, &header)
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("line 2"), "{error}");
    }

    #[test]
    fn a_byte_that_is_no_text_costs_no_row() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        let header = json!({"experiment": "test", "note": "x"});
        let mut journal = Journal::<Row>::open(&path, &header).unwrap();
        journal.append(0, row(1)).unwrap();
        drop(journal);
        let mut bytes = std::fs::read(&path).unwrap();
        let at = bytes.iter().rposition(|b| *b == b'n').unwrap();
        bytes[at] = 0xFF;
        std::fs::write(&path, &bytes).unwrap();
        for other in [&header, &json!({"experiment": "another"})] {
            let error = Journal::<Row>::open(&path, other).err().unwrap();
            let text = error.to_string();
            assert!(
                text.contains("rows.jsonl, line 2") && text.contains("UTF-8"),
                "{text}"
            );
        }
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }

    #[test]
    fn rows_of_other_settings_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        let header =
            |seed: u32| json!({"experiment": "test", "settings": {"seed": seed, "with": "mean"}});
        // Settings without a row are no results yet.
        Journal::<Row>::open(&path, &header(3)).unwrap();
        let mut journal = Journal::<Row>::open(&path, &header(1)).unwrap();
        journal.append(0, row(1)).unwrap();
        let error = Journal::<Row>::open(&path, &header(2))
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("seed: 1 there, 2 here"), "{error}");
    }
}
