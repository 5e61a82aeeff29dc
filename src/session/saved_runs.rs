//! Runs that are kept by name: each is an experiment to come back to. Their results live in the window alone.

use super::{Command, Session};
use crate::spec::Experiment;

/// Runs that are kept at most.
pub const MOST_RUNS: usize = 100;

/// A run that is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedRun {
    pub name: String,
    /// Seconds since 1970, UTC.
    pub made: u64,
    pub experiment: Experiment,
}

/// The last change of the list that can be taken back; with the place of the run that it changed.
#[derive(Clone, Debug, PartialEq)]
pub enum RunChange {
    Deleted(usize, SavedRun),
    /// With the name before.
    Renamed(usize, String),
}

/// The kept runs, oldest first, and what was changed last.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct SavedRuns {
    pub list: Vec<SavedRun>,
    change: Option<RunChange>,
}

impl SavedRuns {
    /// These runs, with nothing to take back.
    pub fn new(list: Vec<SavedRun>) -> Self {
        Self { list, change: None }
    }

    /// What [`Command::BringBackRun`] takes back.
    pub fn change(&self) -> Option<&RunChange> {
        self.change.as_ref()
    }

    /// The run that was deleted last, if it can be brought back.
    pub fn deleted(&self) -> Option<&SavedRun> {
        match &self.change {
            Some(RunChange::Deleted(_, run)) => Some(run),
            _ => None,
        }
    }

    /// Whether no other run can be kept.
    pub fn is_full(&self) -> bool {
        self.list.len() >= MOST_RUNS
    }

    /// Whether some kept run is of this experiment.
    pub fn holds(&self, experiment: &Experiment) -> bool {
        self.list.iter().any(|run| run.experiment == *experiment)
    }
}

/// Carries out a command about the list; gives any other one back. The experiment stays as it is.
pub(super) fn update(session: &mut Session, command: Command) -> Option<Command> {
    let runs = &mut session.runs;
    match command {
        Command::KeepRun { name, made } => {
            // None is given up for another one; the window says so.
            if !runs.is_full() {
                runs.list.push(SavedRun {
                    name,
                    made,
                    experiment: session.experiment.clone(),
                });
            }
        }
        Command::RenameRun { at, name } => {
            let name = name.trim();
            if let Some(run) = runs.list.get_mut(at)
                && !name.is_empty()
                && run.name != name
            {
                let before = std::mem::replace(&mut run.name, name.to_owned());
                runs.change = Some(RunChange::Renamed(at, before));
            }
        }
        Command::DeleteRun(at) if at < runs.list.len() => {
            runs.change = Some(RunChange::Deleted(at, runs.list.remove(at)));
        }
        Command::DeleteRun(_) => {}
        Command::BringBackRun => match runs.change.take() {
            Some(RunChange::Deleted(at, run)) if !runs.is_full() => {
                runs.list.insert(at.min(runs.list.len()), run);
            }
            Some(deleted @ RunChange::Deleted(..)) => runs.change = Some(deleted),
            Some(RunChange::Renamed(at, before)) => {
                if let Some(run) = runs.list.get_mut(at) {
                    let after = std::mem::replace(&mut run.name, before);
                    runs.change = Some(RunChange::Renamed(at, after));
                }
            }
            None => {}
        },
        other => return Some(other),
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::update;

    #[test]
    fn a_kept_run_is_restored_exactly_and_that_is_undone() {
        let mut s = Session::demo();
        update(&mut s, Command::SetPrompt("First?".to_owned()));
        let first = s.experiment.clone();
        let name = "first".to_owned();
        assert!(!update(&mut s, Command::KeepRun { name, made: 7 }).rerun);
        update(&mut s, Command::SetPrompt("Second?".to_owned()));
        let second = s.experiment.clone();
        assert!(update(&mut s, Command::ShowRun(0)).rerun);
        assert_eq!(s.experiment, first);
        // Showing what is shown is no step, and there is no tenth run.
        assert!(!update(&mut s, Command::ShowRun(0)).rerun);
        assert!(!update(&mut s, Command::ShowRun(9)).rerun);
        update(&mut s, Command::Undo);
        assert_eq!(s.experiment, second);
    }

    #[test]
    fn deleted_and_brought_back() {
        let mut s = Session::demo();
        for name in ["a", "b", "c"] {
            let name = name.to_owned();
            update(&mut s, Command::KeepRun { name, made: 0 });
        }
        let before = s.runs.list.clone();
        update(&mut s, Command::DeleteRun(1));
        assert_eq!(s.runs.list.len(), 2);
        assert_eq!(s.runs.deleted().unwrap().name, "b");
        update(&mut s, Command::BringBackRun);
        assert_eq!(s.runs.list, before);
        let name = "  new ".to_owned();
        update(&mut s, Command::RenameRun { at: 2, name });
        assert_eq!(s.runs.list[2].name, "new");
        // Taken back, and back again.
        for name in ["c", "new", "c"] {
            update(&mut s, Command::BringBackRun);
            assert_eq!(s.runs.list[2].name, name);
        }
        update(&mut s, Command::DeleteRun(7));
        assert_eq!(s.runs.list.len(), 3);
    }

    #[test]
    fn a_full_list_gives_up_no_run() {
        let mut s = Session::demo();
        let keep = |s: &mut Session, n: usize| {
            let name = n.to_string();
            update(s, Command::KeepRun { name, made: 0 });
        };
        for n in 0..MOST_RUNS {
            keep(&mut s, n);
        }
        update(&mut s, Command::DeleteRun(3));
        keep(&mut s, 100);
        let before = s.runs.clone();
        keep(&mut s, 101);
        // Nor does one come back where there is no place for it; once there is, it does.
        update(&mut s, Command::BringBackRun);
        assert_eq!((s.runs.clone(), s.runs.is_full()), (before, true));
        s.runs.list.pop();
        update(&mut s, Command::BringBackRun);
        assert_eq!(s.runs.list[3].name, "3");
    }
}
