//! What comes back at the next start: layout, recent files, colours and scale; where it was not saved also the session.
//!
//! While there is something to lose, the session lies in a file of its own, written a moment after every edit. A start
//! that finds such a file of a Patchglass that is gone offers to bring it back ([`super::lost`]). An end with everything
//! saved removes it; a session that another one takes the place of is set aside in the same way.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::dock::Dock;
use super::keeper::{self, Folders, Keeper};
use super::lost;
use crate::session::{SavedRuns, Session, file};
use crate::spec::{ModelSource, PictureSource};

const LAYOUT: &str = "layout.json";
const RECENT: &str = "recent.json";
const PREFERENCES: &str = "preferences.json";
/// Recent files of each kind.
const N_RECENT: usize = 8;
/// Seconds from an edit to its autosave.
pub const MOMENT: f64 = 0.3;

/// Recent files, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Recent {
    pub pictures: Vec<String>,
    pub sessions: Vec<String>,
    pub models: Vec<String>,
}

impl Recent {
    /// All with what they are, in the order of the menu.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let kinds = [
            ("picture", &self.pictures),
            ("session", &self.sessions),
            ("model", &self.models),
        ];
        let texts = kinds.map(|(kind, list)| list.iter().map(move |text| (kind, text.as_str())));
        texts.into_iter().flatten()
    }

    fn note(list: &mut Vec<String>, text: Option<&str>) {
        let Some(text) = text.filter(|text| list.first().map(String::as_str) != Some(*text)) else {
            return;
        };
        list.retain(|old| old != text);
        list.insert(0, text.to_owned());
        list.truncate(N_RECENT);
    }
}

/// How the window is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Preferences {
    /// `dark`, `light` or `system`, once chosen.
    pub colours: Option<String>,
    /// Scale of the interface.
    pub scale: f32,
}

impl Default for Preferences {
    fn default() -> Self {
        Self {
            colours: None,
            scale: 1.0,
        }
    }
}

/// What is remembered, and the thread that writes it.
#[derive(Default)]
pub struct Memory {
    folders: Folders,
    keeper: Keeper,
    pub recent: Recent,
    written_recent: Recent,
    pub preferences: Preferences,
    written_preferences: Preferences,
    /// The session in the autosave, or the one that was opened: nothing to lose.
    safe: Option<Session>,
    /// The session that waits to be written, and when it is.
    due: Option<f64>,
    has_autosave: bool,
    /// Autosaves of programs that are gone and sessions that were set aside, the newest first.
    lost: Vec<PathBuf>,
    /// The number of the next session that is set aside.
    n_aside: usize,
}

impl Memory {
    /// Reads what is remembered in these folders.
    pub fn read(folders: Folders) -> Self {
        let json = |name: &str| keeper::read(folders.config.as_deref(), name).unwrap_or_default();
        let recent: Recent = serde_json::from_str(&json(RECENT)).unwrap_or_default();
        let preferences: Preferences = serde_json::from_str(&json(PREFERENCES)).unwrap_or_default();
        Self {
            lost: folders
                .data
                .as_deref()
                .map(lost::autosaves)
                .unwrap_or_default(),
            folders,
            written_recent: recent.clone(),
            recent,
            written_preferences: preferences.clone(),
            preferences,
            ..Self::default()
        }
    }

    pub fn layout(&self) -> Option<Dock> {
        let text = keeper::read(self.folders.config.as_deref(), LAYOUT)?;
        Dock::from_text(&text)
    }

    /// Folder for files that a session may point to, e.g. pasted pictures.
    pub fn data_folder(&self) -> PathBuf {
        let temporary = || std::env::temp_dir().join("patchglass");
        self.folders.data.clone().unwrap_or_else(temporary)
    }

    /// Writes what has changed of layout, recent files and preferences.
    pub fn keep(&mut self, dock: &mut Dock) {
        let dock_changed = dock.take_change();
        let Some(folder) = self.folders.config.clone() else {
            return;
        };
        if dock_changed {
            let path = folder.join(LAYOUT);
            match dock.to_text() {
                Some(text) => self.keeper.write(path, text),
                None => self.keeper.remove(path),
            }
        }
        if self.recent != self.written_recent
            && let Ok(text) = serde_json::to_string_pretty(&self.recent)
        {
            self.written_recent = self.recent.clone();
            self.keeper.write(folder.join(RECENT), text);
        }
        if self.preferences != self.written_preferences
            && let Ok(text) = serde_json::to_string_pretty(&self.preferences)
        {
            self.written_preferences = self.preferences.clone();
            self.keeper.write(folder.join(PREFERENCES), text);
        }
    }

    /// Takes note of what this session, which ran, is made of.
    pub fn note(&mut self, session: &Session, file: Option<&Path>) {
        let experiment = &session.experiment;
        if let PictureSource::File(path) = &experiment.picture {
            Recent::note(&mut self.recent.pictures, absolute(path).as_deref());
        }
        let model = match &experiment.model {
            ModelSource::Demo => None,
            ModelSource::Hub(id) => Some(id.clone()),
            ModelSource::Folder(path) | ModelSource::Gguf { model: path, .. } => absolute(path),
        };
        Recent::note(&mut self.recent.models, model.as_deref());
        Recent::note(
            &mut self.recent.sessions,
            file.and_then(absolute).as_deref(),
        );
    }

    /// Everything of this session lies in its file, or it was just opened: nothing can be lost.
    pub fn is_safe(&mut self, session: &Session) {
        self.safe = Some(essence(session));
        self.due = None;
        if let (true, Some(path)) = (self.has_autosave, self.autosave_path()) {
            self.remove(path);
            self.has_autosave = false;
        }
    }

    /// Writes the autosave a moment after an edit; tells in how many seconds it wants to be asked again.
    /// `of` is the session's own file.
    pub fn autosave(&mut self, session: &Session, of: Option<&Path>, now: f64) -> Option<f64> {
        let path = self.autosave_path()?;
        let is_safe = self.safe.as_ref().is_some_and(|safe| {
            safe.experiment == session.experiment
                && safe.readout == session.readout
                && safe.view == session.view
                && safe.runs.list == session.runs.list
        });
        if is_safe {
            self.due = None;
            return None;
        }
        let due = *self.due.get_or_insert(now + MOMENT);
        if now < due {
            return Some(due - now);
        }
        self.due = None;
        self.safe = Some(essence(session));
        self.has_autosave |= self.write(session, of, path);
        None
    }

    /// Writes a session, soon; tells whether it can be written.
    fn write(&mut self, session: &Session, of: Option<&Path>, path: PathBuf) -> bool {
        let folder = path.parent().unwrap_or(Path::new(""));
        // A path that is no text cannot be saved; saving by hand says so.
        let Ok(text) = file::to_text(session, folder) else {
            return false;
        };
        match of.and_then(absolute) {
            Some(of) => self.keeper.write(path.with_extension(lost::FILE), of),
            None => self.keeper.remove(path.with_extension(lost::FILE)),
        }
        self.keeper.write(path, text);
        true
    }

    fn remove(&mut self, path: PathBuf) {
        self.keeper.remove(path.with_extension(lost::FILE));
        self.keeper.remove(path);
    }

    /// Keeps a session that was not saved and that another one takes the place of; it can be brought back.
    pub fn set_aside(&mut self, session: &Session, of: Option<&Path>) {
        let Some(folder) = self.folders.data.clone() else {
            return;
        };
        let (path, next) = lost::path_aside(&folder, self.n_aside);
        self.n_aside = next;
        if self.write(session, of, path.clone()) {
            self.lost.insert(0, path);
        }
    }

    /// Whether a session of a Patchglass that is gone, or one that was set aside, can be brought back.
    pub fn can_bring_back(&self) -> bool {
        !self.lost.is_empty()
    }

    /// The session that was lost last, and its own file; the others stay for the next start.
    pub fn bring_back(&mut self) -> Option<crate::error::Result<(Session, Option<PathBuf>)>> {
        if self.lost.is_empty() {
            return None;
        }
        let path = self.lost.remove(0);
        self.lost.clear();
        // One that was set aside a moment ago may still be on its way to the disk.
        self.keeper.finish();
        let found = lost::load(&path);
        if found.is_ok() {
            self.remove(path);
            self.safe = None;
        }
        Some(found)
    }

    /// Removes what was lost.
    pub fn discard_lost(&mut self) {
        for path in std::mem::take(&mut self.lost) {
            self.remove(path);
        }
    }

    /// The end. A session that was not saved, with its own file, is there to be brought back at the next start.
    pub fn end(&mut self, unsaved: Option<(&Session, Option<&Path>)>) {
        if let Some(path) = self.autosave_path() {
            match unsaved {
                Some((session, of)) => drop(self.write(session, of, path)),
                None => self.remove(path),
            }
        }
        self.keeper.finish();
    }

    fn autosave_path(&self) -> Option<PathBuf> {
        self.folders.data.as_deref().map(lost::path)
    }
}

fn absolute(path: &Path) -> Option<String> {
    std::path::absolute(path).ok()?.to_str().map(str::to_owned)
}

/// What is saved of a session.
fn essence(session: &Session) -> Session {
    Session {
        readout: session.readout.clone(),
        view: session.view.clone(),
        runs: SavedRuns::new(session.runs.list.clone()),
        ..Session::new(session.experiment.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Command, update};

    #[test]
    fn recent_files_are_few_and_the_newest_is_first() {
        let mut list = Vec::new();
        for text in ["a", "b", "a", "c", "c"] {
            Recent::note(&mut list, Some(text));
        }
        assert_eq!(list, ["c", "a", "b"]);
        for n in 0..20 {
            Recent::note(&mut list, Some(&n.to_string()));
        }
        assert_eq!((list.len(), list[0].as_str()), (N_RECENT, "19"));
    }

    #[test]
    fn a_lost_session_comes_back_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut memory = Memory::read(Folders::at(dir.path()));
        assert!(!memory.can_bring_back());
        let mut session = Session::demo();
        memory.is_safe(&session);
        assert_eq!(memory.autosave(&session, None, 0.0), None);
        update(&mut session, Command::SetPrompt("Where?".to_owned()));
        let file = dir.path().join("mine.json");
        let of = Some(file.as_path());
        assert_eq!(memory.autosave(&session, of, 0.0), Some(MOMENT));
        assert_eq!(memory.autosave(&session, of, 2.0), None);
        drop(memory);
        // Its own number counts as gone: the process that had it before was another one.
        let mut memory = Memory::read(Folders::at(dir.path()));
        assert!(memory.can_bring_back());
        let (found, of) = memory.bring_back().unwrap().unwrap();
        assert_eq!(found.experiment, session.experiment);
        assert_eq!(of, Some(file));
        drop(memory);
        assert!(!Memory::read(Folders::at(dir.path())).can_bring_back());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_clean_end_and_discarding_leave_nothing() {
        let dir = tempfile::tempdir().unwrap();
        for discards in [false, true] {
            let mut memory = Memory::read(Folders::at(dir.path()));
            let session = Session::demo();
            memory.autosave(&session, None, 0.0);
            memory.autosave(&session, None, 1.0);
            if discards {
                drop(memory);
                memory = Memory::read(Folders::at(dir.path()));
                assert!(memory.can_bring_back());
                memory.discard_lost();
            } else {
                memory.end(None);
            }
            drop(memory);
            assert!(!Memory::read(Folders::at(dir.path())).can_bring_back());
        }
    }

    #[test]
    fn kept_runs_come_back_with_the_built_in_picture() {
        let dir = tempfile::tempdir().unwrap();
        let mut memory = Memory::read(Folders::at(dir.path()));
        let mut session = Session::demo();
        memory.is_safe(&session);
        let name = "first".to_owned();
        update(&mut session, Command::KeepRun { name, made: 7 });
        assert_eq!(memory.autosave(&session, None, 0.0), Some(MOMENT));
        assert_eq!(memory.autosave(&session, None, 1.0), None);
        drop(memory);
        let mut memory = Memory::read(Folders::at(dir.path()));
        let (found, _) = memory.bring_back().unwrap().unwrap();
        assert_eq!(found.runs.list, session.runs.list);
        assert_eq!(found.runs.list[0].experiment, Session::demo().experiment);
    }

    #[test]
    fn what_was_not_saved_outlives_the_end_and_the_next_session() {
        let dir = tempfile::tempdir().unwrap();
        let asking = |prompt: &str| {
            let mut session = Session::demo();
            session.experiment.prompt = prompt.to_owned();
            session
        };
        let bring_back = || {
            let mut memory = Memory::read(Folders::at(dir.path()));
            let found = memory.bring_back().map(Result::unwrap);
            found.map(|(session, of)| (session.experiment.prompt, of))
        };
        let mut memory = Memory::read(Folders::at(dir.path()));
        // The edit was a moment ago: its autosave was not written yet.
        let session = asking("Where?");
        memory.autosave(&session, None, 0.0);
        memory.end(Some((&session, None)));
        drop(memory);
        let mut memory = Memory::read(Folders::at(dir.path()));
        let file = dir.path().join("mine.json");
        memory.set_aside(&asking("What?"), Some(&file));
        memory.set_aside(&asking("Who?"), None);
        // The number of this process is that of the one before: its session is not written over.
        memory.autosave(&asking("How?"), None, 0.0);
        memory.autosave(&asking("How?"), None, 1.0);
        let (found, _) = memory.bring_back().unwrap().unwrap();
        assert_eq!(found.experiment.prompt, "Who?");
        memory.end(None);
        drop(memory);
        let mut found = vec![bring_back().unwrap(), bring_back().unwrap()];
        found.sort();
        let what = ("What?".to_owned(), Some(file));
        assert_eq!(found, [what, ("Where?".to_owned(), None)]);
        assert_eq!(bring_back(), None);
    }

    #[test]
    fn of_many_lost_sessions_the_newest_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut memory = Memory::read(Folders::at(dir.path()));
        for _ in 0..12 {
            memory.set_aside(&Session::demo(), Some(Path::new("a.json")));
        }
        drop(memory);
        drop(Memory::read(Folders::at(dir.path())));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 16);
    }
}
