//! Commands about whole rows of the interventions: alone, twice, under another name, at another place. Pure.

use super::update::edit;
use super::{Command, Effects, Session};
use crate::spec::Intervention;

/// Carries out a command about rows; one about a row that is not there does nothing.
pub(super) fn update(session: &mut Session, command: Command) -> Effects {
    let n = session.experiment.interventions.len();
    match command {
        Command::SoloIntervention(row) if row < n => solo(session, row),
        Command::DuplicateIntervention(row) if row < n => {
            session.view.active_row = Some(row + 1);
            edit(session, None, |e| {
                let copy = e.interventions[row].clone();
                e.interventions.insert(row + 1, copy);
            })
        }
        Command::RenameIntervention { row, name } if row < n => {
            // A name changes no result.
            let _needs_no_run = edit(session, None, |e| {
                e.interventions[row] = e.interventions[row].clone().with_name(&name);
            });
            Effects::default()
        }
        Command::MoveIntervention { row, to } if row < n && to < n => {
            let active = &mut session.view.active_row;
            *active = active.map(|at| match at {
                _ if at == row => to,
                _ if row < at && at <= to => at - 1,
                _ if to <= at && at < row => at + 1,
                _ => at,
            });
            edit(session, None, |e| {
                let moved = e.interventions.remove(row);
                e.interventions.insert(to, moved);
            })
        }
        _ => Effects::default(),
    }
}

/// Where a row is after a step of undo or redo: where an equal one stands, or at its place if it alone was edited there.
pub(super) fn follow(at: usize, before: &[Intervention], after: &[Intervention]) -> Option<usize> {
    let row = before.get(at)?;
    let mut same = (0..after.len()).filter(|other| after[*other] == *row);
    let (first, second) = (same.next(), same.next());
    if after.get(at) == Some(row) {
        return Some(at);
    }
    if second.is_none() && first.is_some() {
        return first;
    }
    let mut others = (before.iter().zip(after).enumerate()).filter(|(other, _)| *other != at);
    let edited = before.len() == after.len() && others.all(|(_, (a, b))| a == b);
    edited.then_some(at)
}

fn solo(session: &mut Session, row: usize) -> Effects {
    edit(session, None, |e| {
        let rows = &mut e.interventions;
        let others_off = (rows.iter().enumerate()).all(|(at, other)| at == row || !other.enabled());
        let all_on = others_off && rows[row].enabled();
        for (at, other) in rows.iter_mut().enumerate() {
            *other = other.clone().with_enabled(all_on || at == row);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::update;
    use super::*;
    use crate::spec::Ablation;

    fn session() -> Session {
        let mut session = Session::demo();
        for text in ["r0c0", "r1c1", "r2c2"] {
            let row = Intervention::Ablation(Ablation::of(text.parse().unwrap()));
            update(&mut session, Command::AddIntervention(row));
        }
        session
    }

    fn rows(session: &Session) -> Vec<(String, bool)> {
        let rows = session.experiment.interventions.iter();
        rows.map(|row| (row.tokens().unwrap().to_string(), row.enabled()))
            .collect()
    }

    #[test]
    fn solo_switches_the_others_off_and_on_again() {
        let mut s = session();
        let start = s.experiment.clone();
        assert!(update(&mut s, Command::SoloIntervention(1)).rerun);
        let on: Vec<bool> = rows(&s).into_iter().map(|(_, on)| on).collect();
        assert_eq!(on, [false, true, false]);
        assert!(update(&mut s, Command::SoloIntervention(1)).rerun);
        assert_eq!(s.experiment, start);
        update(&mut s, Command::Undo);
        update(&mut s, Command::Undo);
        assert_eq!(s.experiment, start);
    }

    #[test]
    fn rows_are_copied_moved_and_named() {
        let mut s = session();
        let start = s.experiment.clone();
        update(&mut s, Command::DuplicateIntervention(0));
        assert_eq!(
            (rows(&s)[1].0.as_str(), s.view.active_row),
            ("patches:r0c0", Some(1))
        );
        update(&mut s, Command::MoveIntervention { row: 1, to: 3 });
        assert_eq!(
            (rows(&s)[3].0.as_str(), s.view.active_row),
            ("patches:r0c0", Some(3))
        );
        let name = "the cat".to_owned();
        assert!(!update(&mut s, Command::RenameIntervention { row: 3, name }).rerun);
        assert_eq!(s.experiment.interventions[3].name(), Some("the cat"));
        let before = s.clone();
        for command in [
            Command::SoloIntervention(9),
            Command::DuplicateIntervention(9),
            Command::MoveIntervention { row: 0, to: 9 },
        ] {
            assert!(!update(&mut s, command).rerun);
        }
        assert_eq!(s, before);
        while s.history.can_undo() && s.experiment != start {
            update(&mut s, Command::Undo);
        }
        assert_eq!(s.experiment, start);
    }

    #[test]
    fn the_active_row_stays_the_same_row() {
        let mut s = session();
        let active = |s: &Session| s.view.active_row.map(|at| rows(s)[at].0.clone());
        let choose = |s: &mut Session, row| update(s, Command::SetActiveRow(Some(row)));
        let one = Some("patches:r1c1".to_owned());
        for (row, to) in [(0, 2), (2, 0), (0, 1), (1, 0), (2, 1), (1, 2), (0, 0)] {
            choose(&mut s, 1);
            let moved = update(&mut s, Command::MoveIntervention { row, to });
            assert_eq!(active(&s), one, "{row} to {to}");
            if moved.rerun {
                update(&mut s, Command::Undo);
                assert_eq!((active(&s), s.view.active_row), (one.clone(), Some(1)));
                update(&mut s, Command::Redo);
                assert_eq!(active(&s), one, "{row} to {to} again");
                update(&mut s, Command::Undo);
            }
        }
        // An edit in its place keeps it; a row that is gone leaves none.
        let to = Intervention::Ablation(Ablation::of("r3c3".parse().unwrap()));
        update(
            &mut s,
            Command::SetIntervention {
                row: 1,
                to,
                gesture: None,
            },
        );
        update(&mut s, Command::Undo);
        assert_eq!(active(&s), one);
        choose(&mut s, 2);
        update(&mut s, Command::Undo);
        assert_eq!((rows(&s).len(), active(&s)), (2, None));
        choose(&mut s, 1);
        update(&mut s, Command::RemoveIntervention(0));
        choose(&mut s, 0);
        update(&mut s, Command::Undo);
        assert_eq!((s.view.active_row, active(&s)), (Some(1), one));
    }
}
