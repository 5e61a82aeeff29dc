//! Commands about whole rows of the interventions: alone, twice, under another name, at another place. Pure.

use super::update::edit;
use super::{Command, Effects, Session};

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
            if session.view.active_row == Some(row) {
                session.view.active_row = Some(to);
            }
            edit(session, None, |e| {
                let moved = e.interventions.remove(row);
                e.interventions.insert(to, moved);
            })
        }
        _ => Effects::default(),
    }
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
    use crate::spec::{Ablation, Intervention};

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
}
