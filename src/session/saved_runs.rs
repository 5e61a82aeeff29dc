//! Runs that are kept by name: each is an experiment to come back to. Their results live in the window alone.

use super::{Command, Session};
use crate::spec::Experiment;

/// Runs that are kept at most.
const CAP: usize = 100;

/// A run that is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedRun {
    pub name: String,
    /// Seconds since 1970, UTC.
    pub made: u64,
    pub experiment: Experiment,
}

/// The kept runs, oldest first, and the one that was deleted last.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct SavedRuns {
    pub list: Vec<SavedRun>,
    deleted: Option<(usize, SavedRun)>,
}

impl SavedRuns {
    /// These runs, with none to bring back.
    pub fn new(list: Vec<SavedRun>) -> Self {
        Self {
            list,
            deleted: None,
        }
    }

    /// The run that [`Command::BringBackRun`] brings back.
    pub fn deleted(&self) -> Option<&SavedRun> {
        self.deleted.as_ref().map(|(_, run)| run)
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
            if runs.list.len() == CAP {
                runs.list.remove(0);
            }
            runs.list.push(SavedRun {
                name,
                made,
                experiment: session.experiment.clone(),
            });
        }
        Command::RenameRun { at, name } => {
            let name = name.trim();
            if let Some(run) = runs.list.get_mut(at)
                && !name.is_empty()
            {
                name.clone_into(&mut run.name);
            }
        }
        Command::DeleteRun(at) if at < runs.list.len() => {
            runs.deleted = Some((at, runs.list.remove(at)));
        }
        Command::DeleteRun(_) => {}
        Command::BringBackRun => {
            if let Some((at, run)) = runs.deleted.take() {
                runs.list.insert(at.min(runs.list.len()), run);
            }
        }
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
        update(&mut s, Command::DeleteRun(7));
        assert_eq!(s.runs.list.len(), 3);
    }
}
