//! Reading with a limit and writing atomically: the two things that every file of ours goes through.
//!
//! It knows no format.

use std::io::{Read as _, Write as _};
use std::path::Path;

use crate::error::{Error, Result};

/// How the names of files begin that are being written; one that stays was left by a program that was killed.
pub const TEMPORARY: &str = ".patchglass-";

/// Reads a whole file of at most `max_bytes`.
///
/// # Errors
/// Missing, unreadable, a folder, or larger.
pub fn read_bytes(path: &Path, max_bytes: u64) -> Result<Vec<u8>> {
    let file = std::fs::File::open(path).map_err(|e| Error::read(path, &e))?;
    let mut bytes = Vec::new();
    file.take(max_bytes + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| Error::read(path, &e))?;
    if bytes.len() as u64 > max_bytes {
        return Err(Error::input(format!(
            "{} is larger than {} MB, too large for what it should be",
            path.display(),
            max_bytes >> 20
        )));
    }
    Ok(bytes)
}

/// Reads a text file of at most `max_bytes`.
///
/// # Errors
/// As [`read_bytes`], or text that is not UTF-8.
pub fn read_text(path: &Path, max_bytes: u64) -> Result<String> {
    String::from_utf8(read_bytes(path, max_bytes)?).map_err(|e| {
        Error::input(format!(
            "{} is not a text file in UTF-8: {}",
            path.display(),
            e.utf8_error()
        ))
    })
}

/// Writes a file so that it is there whole or not at all: a temporary file beside it, then a rename.
///
/// # Errors
/// A missing folder, a full disk, no permission.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, |file| {
        file.write_all(bytes)?;
        file.sync_all()
    })
    .map_err(|e| Error::write(path, &e))
}

/// The same for a file that is written piece by piece. `write` may leave out syncing a file that can be made again.
///
/// # Errors
/// What `write` says; a missing folder, a full disk, no permission.
pub fn replace(
    path: &Path,
    write: impl FnOnce(&mut std::fs::File) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(TEMPORARY)
        .tempfile_in(folder)?;
    write(file.as_file_mut())?;
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}
