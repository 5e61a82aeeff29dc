//! Commands about the selection and the selections that are kept: saved with the view, with an undo of their own.
//!
//! No command here asks for a run: what is done with the selection is another matter.

use super::{Command, GestureId, NamedSelection, Session};
use crate::index::{PatchSet, choose};

/// What a step of the selection's undo restores.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Selecting {
    pub selection: PatchSet,
    pub selections: Vec<NamedSelection>,
}

/// Carries out a command about the selection; gives any other one back.
pub(super) fn update(session: &mut Session, command: Command) -> Option<Command> {
    use Command as C;
    match command {
        C::SelectPatch { patch, on } => {
            let grid = session.grid?;
            edit(session, None, |s| s.selection.set(patch, on, grid));
        }
        C::SelectPatches {
            patches,
            on,
            gesture,
        } => {
            let grid = session.grid?;
            edit(session, Some(gesture), |s| {
                s.selection = match on {
                    true => choose::union(&s.selection, &patches, grid),
                    false => choose::minus(&s.selection, &patches, grid),
                };
            });
        }
        C::SetSelection(to) => edit(session, None, |s| s.selection = to),
        C::DragSelection { to, gesture } => edit(session, gesture, |s| s.selection = to),
        C::KeepSelection(name) => edit(session, None, |s| keep(s, &name)),
        C::RestoreSelection(at) => edit(session, None, |s| {
            if let Some(kept) = s.selections.get(at) {
                s.selection = kept.patches.clone();
            }
        }),
        C::RenameSelection { at, name } => edit(session, None, |s| rename(s, at, &name)),
        C::DeleteSelection(at) => edit(session, None, |s| {
            if at < s.selections.len() {
                s.selections.remove(at);
            }
        }),
        C::TakeSelections(found) => edit(session, None, |s| {
            let is_one = found.len() == 1;
            for one in found.into_iter().rev() {
                s.selection = one.patches;
                if !is_one {
                    keep(s, &one.name);
                }
            }
        }),
        C::UndoSelection => travel(session, true),
        C::RedoSelection => travel(session, false),
        other => return Some(other),
    }
    None
}

/// Keeps the selection under `name`, in the place of what had that name before.
fn keep(s: &mut Selecting, name: &str) {
    let name = name.trim().to_owned();
    if name.is_empty() || s.selection.is_empty() {
        return;
    }
    let patches = s.selection.clone();
    match s.selections.iter_mut().find(|kept| kept.name == name) {
        Some(kept) => kept.patches = patches,
        None => s.selections.push(NamedSelection { name, patches }),
    }
}

/// A name that another one has is left alone.
fn rename(s: &mut Selecting, at: usize, name: &str) {
    let name = name.trim();
    let is_taken = s.selections.iter().any(|kept| kept.name == name);
    if let Some(kept) = s.selections.get_mut(at)
        && !name.is_empty()
        && !is_taken
    {
        name.clone_into(&mut kept.name);
    }
}

fn take(session: &Session) -> Selecting {
    Selecting {
        selection: session.view.selection.clone(),
        selections: session.view.selections.clone(),
    }
}

fn put(session: &mut Session, s: Selecting) {
    session.view.selection = s.selection;
    session.view.selections = s.selections;
}

/// Changes the selection and remembers it as it was; unless nothing changed.
fn edit(session: &mut Session, gesture: Option<GestureId>, change: impl FnOnce(&mut Selecting)) {
    let before = take(session);
    let mut after = before.clone();
    change(&mut after);
    if after != before {
        session.selecting.push(before, gesture);
        put(session, after);
    }
}

fn travel(session: &mut Session, back: bool) {
    let present = take(session);
    let step = match back {
        true => session.selecting.undo(present),
        false => session.selecting.redo(present),
    };
    put(session, step.unwrap_or_else(|present| present));
}

#[cfg(test)]
mod tests {
    use super::super::update;
    use super::*;
    use crate::index::{Patch, PatchGrid};

    fn session() -> Session {
        Session {
            grid: Some(PatchGrid::new(6, 7)),
            ..Session::demo()
        }
    }

    fn set(text: &str) -> PatchSet {
        text.parse().unwrap()
    }

    fn select(s: &mut Session, text: &str) {
        assert!(!update(s, Command::SetSelection(set(text))).rerun);
    }

    #[test]
    fn a_lasso_is_one_step_and_needs_no_run() {
        let mut s = session();
        for (text, on) in [("r1c1-r3c3", true), ("r2c2", false)] {
            let (patches, gesture) = (set(text), GestureId(1));
            let command = Command::SelectPatches {
                patches,
                on,
                gesture,
            };
            assert!(!update(&mut s, command).rerun);
        }
        assert_eq!(s.view.selection.count(PatchGrid::new(6, 7)), 8);
        assert!(!s.history.can_undo(), "the experiment is as it was");
        update(&mut s, Command::UndoSelection);
        assert_eq!(s.view.selection, set("none"));
        update(&mut s, Command::RedoSelection);
        assert!(!s.view.selection.contains(Patch::new(2, 2)));
        assert!(s.view.selection.contains(Patch::new(3, 3)));
    }

    #[test]
    fn selections_are_kept_restored_renamed_and_deleted() {
        let mut s = session();
        select(&mut s, "r1c1-r2c2");
        update(&mut s, Command::KeepSelection(" cat ".to_owned()));
        select(&mut s, "r4c4");
        update(&mut s, Command::KeepSelection("dog".to_owned()));
        update(&mut s, Command::RestoreSelection(0));
        assert_eq!(s.view.selection, set("r1c1-r2c2"));
        let rename = |at, name: &str| Command::RenameSelection {
            at,
            name: name.to_owned(),
        };
        update(&mut s, rename(0, "dog"));
        assert_eq!(s.view.selections[0].name, "cat", "the name is taken");
        update(&mut s, rename(0, "tiger"));
        assert_eq!(s.view.selections[0].name, "tiger");
        update(&mut s, Command::DeleteSelection(1));
        assert_eq!(s.view.selections.len(), 1);
        update(&mut s, Command::UndoSelection);
        assert_eq!(s.view.selections[1].patches, set("r4c4"));
        // A name is kept once; nothing is kept of nothing.
        select(&mut s, "r5c5");
        update(&mut s, Command::KeepSelection("tiger".to_owned()));
        assert_eq!(s.view.selections[0].patches, set("r5c5"));
        select(&mut s, "none");
        update(&mut s, Command::KeepSelection("void".to_owned()));
        assert_eq!(s.view.selections.len(), 2);
        for command in [Command::RestoreSelection(9), Command::DeleteSelection(9)] {
            update(&mut s, command);
        }
        while s.selecting.can_undo() {
            update(&mut s, Command::UndoSelection);
        }
        assert_eq!(take(&s), Selecting::default());
    }

    #[test]
    fn kept_selections_are_saved() {
        let mut s = session();
        s.experiment.picture = crate::spec::PictureSource::File("a.png".into());
        select(&mut s, "r1c1-r2c2");
        update(&mut s, Command::KeepSelection("cat".to_owned()));
        let path = std::path::Path::new("s.json");
        let text = super::super::file::to_text(&s, std::path::Path::new("")).unwrap();
        let opened = super::super::file::parse(&text, path).unwrap();
        assert_eq!(opened.view, s.view);
    }
}
