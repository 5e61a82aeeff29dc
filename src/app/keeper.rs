//! What is remembered between starts: where, and a thread that writes it, so that no frame waits for a disk.
//!
//! It knows no format: whoever keeps something hands over its text. Of several texts for one file the newest is written.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use crate::error::{Error, Result};
use crate::files;

/// Larger files of ours are not read.
const MAX_BYTES: u64 = 64 << 20;
/// Both folders in one, for scripts; empty: nothing is remembered.
const VARIABLE: &str = "PATCHGLASS_HOME";

/// Where things are remembered; `None`: not at all, as in tests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Folders {
    /// Layout, recent files, preferences.
    pub config: Option<PathBuf>,
    /// The session as it was last.
    pub data: Option<PathBuf>,
}

impl Folders {
    /// The system's folders for such files, or the one that the environment variable `PATCHGLASS_HOME` names.
    pub fn platform() -> Self {
        match std::env::var_os(VARIABLE) {
            Some(folder) if folder.is_empty() => Self::default(),
            Some(folder) => Self::at(&PathBuf::from(folder)),
            None => Self {
                config: dirs::config_dir().map(|folder| folder.join("patchglass")),
                data: dirs::data_local_dir().map(|folder| folder.join("patchglass")),
            },
        }
    }

    /// Everything in one folder.
    pub fn at(folder: &Path) -> Self {
        Self {
            config: Some(folder.to_owned()),
            data: Some(folder.to_owned()),
        }
    }
}

/// The text of a remembered file; `None` if it is missing or cannot be read.
pub fn read(folder: Option<&Path>, name: &str) -> Option<String> {
    files::read_text(&folder?.join(name), MAX_BYTES).ok()
}

enum Job {
    Write(PathBuf, String),
    Remove(PathBuf),
}

impl Job {
    fn path(&self) -> &Path {
        match self {
            Self::Write(path, _) | Self::Remove(path) => path,
        }
    }

    fn carry_out(self) -> Result<()> {
        match self {
            Self::Write(path, text) => {
                let folder = path.parent().unwrap_or(Path::new("."));
                std::fs::create_dir_all(folder).map_err(|e| Error::write(folder, &e))?;
                files::write_atomically(&path, text.as_bytes())
            }
            Self::Remove(path) => match std::fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::write(&path, &e)),
                _ => Ok(()),
            },
        }
    }
}

/// Writes remembered files in the order in which they come, on a thread of its own; waits for the rest when dropped.
#[derive(Default)]
pub struct Keeper {
    thread: Option<(Sender<Job>, JoinHandle<()>)>,
}

impl Keeper {
    /// Writes the file atomically, soon.
    pub fn write(&mut self, path: PathBuf, text: String) {
        self.send(Job::Write(path, text));
    }

    /// Removes the file, soon; one that is not there is fine.
    pub fn remove(&mut self, path: PathBuf) {
        self.send(Job::Remove(path));
    }

    /// Waits until everything is written.
    pub fn finish(&mut self) {
        if let Some((sender, thread)) = self.thread.take() {
            drop(sender);
            // A keeper that panicked has told so itself.
            let _panicked = thread.join();
        }
    }

    fn send(&mut self, job: Job) {
        if self.thread.is_none() {
            let (sender, jobs) = channel();
            let thread = std::thread::Builder::new().name("keeper".to_owned());
            self.thread = thread
                .spawn(move || work(&jobs))
                .ok()
                .map(|thread| (sender, thread));
        }
        if let Some((sender, _)) = &self.thread {
            // Fails only if the thread is gone; then nothing is remembered.
            let _gone = sender.send(job);
        }
    }
}

/// A file that cannot be written is told once on standard error: the window goes on without it.
fn work(jobs: &Receiver<Job>) {
    let mut told = false;
    while let Ok(first) = jobs.recv() {
        let mut waiting = vec![first];
        waiting.extend(jobs.try_iter());
        for at in 0..waiting.len() {
            let is_newest = |at: usize| {
                let path = waiting[at].path();
                waiting[at + 1..].iter().all(|later| later.path() != path)
            };
            if !is_newest(at) {
                continue;
            }
            let path = waiting[at].path().to_owned();
            let job = std::mem::replace(&mut waiting[at], Job::Remove(path));
            if let Err(error) = job.carry_out()
                && !std::mem::replace(&mut told, true)
            {
                eprintln!("note: this is not remembered: {error}");
            }
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_text_is_what_lies_there_in_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("not/there/yet");
        let mut keeper = Keeper::default();
        for n in 0..50 {
            keeper.write(folder.join("a.json"), n.to_string());
        }
        keeper.write(folder.join("b.json"), "b".to_owned());
        keeper.remove(folder.join("b.json"));
        keeper.remove(folder.join("c.json"));
        drop(keeper);
        assert_eq!(read(Some(&folder), "a.json").as_deref(), Some("49"));
        assert_eq!(read(Some(&folder), "b.json"), None);
        assert_eq!(read(None, "a.json"), None);
    }
}
