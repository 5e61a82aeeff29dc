//! Autosaves on the disk: how they are named, which are of a Patchglass that is gone, how one is read back.
//!
//! Which session is saved, and when, is for [`super::remember`] to say.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::files;
use crate::session::{Session, file};
use crate::spec::PictureSource;

/// Between these comes the number of the process; after it, with a dash, that of a session that was set aside.
const AUTOSAVE: (&str, &str) = ("autosave-", ".json");
/// Beside an autosave: the path of the file that its session was read from or saved to.
pub const FILE: &str = "path";
/// Bytes of a path.
const MAX_PATH: u64 = 1 << 16;
/// Autosaves that are kept; of more, the oldest go.
const MOST: usize = 8;

/// Where this process saves the session on screen.
pub fn path(folder: &Path) -> PathBuf {
    let name = format!("{}{}{}", AUTOSAVE.0, std::process::id(), AUTOSAVE.1);
    folder.join(name)
}

/// The first free place from the number `n` on for a session that is set aside, and the number after it.
pub fn path_aside(folder: &Path, n: usize) -> (PathBuf, usize) {
    let path = |n: usize| {
        let name = format!("{}{}-{n}{}", AUTOSAVE.0, std::process::id(), AUTOSAVE.1);
        folder.join(name)
    };
    let free = (n..).find(|n| !path(*n).exists()).unwrap_or(n);
    (path(free), free + 1)
}

/// Reads an autosave, and the path of the session's own file.
///
/// # Errors
/// As [`file::load`].
pub fn load(path: &Path) -> Result<(Session, Option<PathBuf>)> {
    let mut session = file::load(path)?;
    // The built-in picture is named as if it lay beside the file.
    let folder = path.parent().unwrap_or(Path::new(""));
    let named = PictureSource::File(folder.join(file::DEMO_PICTURE_NAME));
    let kept = (session.runs.list.iter_mut()).map(|run| &mut run.experiment.picture);
    for picture in kept.chain([&mut session.experiment.picture]) {
        if *picture == named {
            *picture = PictureSource::Demo;
        }
    }
    let of = files::read_text(&path.with_extension(FILE), MAX_PATH);
    Ok((session, of.ok().map(PathBuf::from)))
}

/// Autosaves of processes that run no more, the newest first. Half-written temporary files of theirs are removed, and the
/// oldest autosaves where there are many.
pub fn autosaves(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut lost = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let changed = std::fs::metadata(&path).and_then(|m| m.modified());
        let Ok(changed) = changed else { continue };
        let is_old = changed.elapsed().is_ok_and(|age| age.as_secs() > 60);
        if name.starts_with(files::TEMPORARY) && is_old {
            // Another start may have removed it first.
            let _gone = std::fs::remove_file(&path);
        }
        let number = name.strip_prefix(AUTOSAVE.0);
        let number = number.and_then(|rest| rest.strip_suffix(AUTOSAVE.1));
        let number = number.and_then(|text| text.split('-').next());
        if number.and_then(|n| n.parse().ok()).is_some_and(is_gone) {
            lost.push((changed, path));
        }
    }
    lost.sort();
    let mut lost: Vec<_> = lost.into_iter().rev().map(|(_, path)| path).collect();
    for old in lost.split_off(lost.len().min(MOST)) {
        let _gone = std::fs::remove_file(old.with_extension(FILE));
        let _gone = std::fs::remove_file(old);
    }
    for path in &mut lost {
        move_aside(path, folder);
    }
    lost
}

/// An earlier process had the number of this one: its session gets another name, so that it is not written over.
fn move_aside(lost: &mut PathBuf, folder: &Path) {
    if *lost != path(folder) {
        return;
    }
    let (aside, _) = path_aside(folder, 0);
    if std::fs::rename(&*lost, &aside).is_ok() {
        // Without a file of its own there is none to move.
        let _none = std::fs::rename(lost.with_extension(FILE), aside.with_extension(FILE));
        *lost = aside;
    }
}

/// Whether no other process has this number.
fn is_gone(number: u32) -> bool {
    use sysinfo::{Pid, ProcessesToUpdate, System};
    let pid = Pid::from_u32(number);
    let mut system = System::new();
    system.refresh_processes(ProcessesToUpdate::Some(&[pid]), true);
    number == std::process::id() || system.process(pid).is_none()
}
