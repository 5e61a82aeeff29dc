//! `update(session, command) -> effects`: the only place where a session changes. Pure: no clock, no file, no run.

use super::{Command, GestureId, Session, ViewState, reading, rows, saved_runs, selecting};
use crate::index::{Patch, PatchSet};
use crate::spec::{Ablation, Experiment, Intervention, Readout};

/// What the shell must do after an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Effects {
    /// Ask the engine for a run of the session as it is now.
    pub rerun: bool,
}

/// Applies one command. An edit that changes nothing is no undo step and no run.
pub fn update(session: &mut Session, command: Command) -> Effects {
    let model = session.experiment.model.clone();
    let effects = apply(session, command);
    if session.experiment.model != model {
        reading::forget_model(session);
    }
    effects
}

fn apply(session: &mut Session, command: Command) -> Effects {
    use Command as C;
    match command {
        C::SetModel(model) => edit(session, None, |e| e.model = model),
        C::SetPicture(picture) => edit(session, None, |e| e.picture = picture),
        C::SetCrop(crop) => edit(session, None, |e| e.crop = crop),
        C::SetPrompt(prompt) => edit(session, None, |e| e.prompt = prompt),
        C::SetTemplate(template) => edit(session, None, |e| e.template = template),
        C::SetAnswerPrefix(prefix) => edit(session, None, |e| e.answer_prefix = prefix),
        C::SetMaxNewTokens(n) => edit(session, None, |e| e.decode.max_new_tokens = n),
        C::Paint { patch, on, gesture } => paint(session, patch, on, gesture),
        C::AddIntervention(row) => add(session, row),
        C::SetIntervention { row, to, gesture } => edit(session, gesture, |e| {
            if let Some(slot) = e.interventions.get_mut(row) {
                *slot = to;
            }
        }),
        C::SetEnabled { row, on } => edit(session, None, |e| {
            if let Some(slot) = e.interventions.get_mut(row) {
                *slot = slot.clone().with_enabled(on);
            }
        }),
        C::RemoveIntervention(row) => remove(session, row),
        C::SoloIntervention(_)
        | C::DuplicateIntervention(_)
        | C::RenameIntervention { .. }
        | C::MoveIntervention { .. } => rows::update(session, command),
        C::ClearInterventions => {
            session.view.active_row = None;
            edit(session, None, |e| e.interventions.clear())
        }
        C::Restore(before) => restore(session, *before),
        C::Undo => travel(session, true),
        C::Redo => travel(session, false),
        C::Rerun => Effects { rerun: true },
        C::ShowRun(at) => match session.runs.list.get(at).cloned() {
            Some(run) => {
                session.view.active_row = None;
                edit(session, None, |e| *e = run.experiment)
            }
            None => Effects::default(),
        },
        C::SetWord(word) => set_word(session, &word),
        C::SetControl(control) => {
            let rerun = session.readout.control != control;
            session.readout.control = control;
            Effects { rerun }
        }
        C::SetWordToken(token) => reading::set_word_token(session, token),
        C::MeasureDivergence(on) => reading::measure_divergence(session, on),
        C::SetHeat(heat) => reading::set_heat(session, heat),
        C::SetReading(to) => reading::set(session, to),
        C::SetSimilar(patch) => {
            let rerun = session.readout.similar_to != patch;
            session.readout.similar_to = patch;
            Effects { rerun }
        }
        C::ReadAttention(spec) => read(session, |readout| readout.attention = spec),
        C::ReadAttribution(spec) => read(session, |readout| readout.attribution = spec),
        view => {
            let other = saved_runs::update(session, view);
            if let Some(other) = other.and_then(|other| selecting::update(session, other)) {
                update_view(session, other);
            }
            Effects::default()
        }
    }
}

fn update_view(session: &mut Session, command: Command) {
    use Command as C;
    let view = &mut session.view;
    match command {
        C::SetLevel(level) => view.level = Some(level),
        C::SetTool(tool) => view.tool = tool,
        C::SetOpacity(opacity) => view.opacity = opacity.clamp(0.0, 1.0),
        C::ShowGrid(on) => view.show_grid = on,
        C::ShowWords(on) => view.show_words = on,
        C::ShowClean(on) => view.show_clean = on,
        C::Compare(on) => view.compare = on,
        C::SetActiveRow(row) => view.active_row = row,
        C::SetSweep(sweep) => view.sweep = sweep,
        C::SetInside(inside) => view.inside = inside,
        C::SetGrid(grid) => session.grid = Some(grid),
        _ => {}
    }
}

/// Changes the experiment, remembers the value before, and asks for a run; unless nothing changed.
pub(super) fn edit(
    session: &mut Session,
    gesture: Option<GestureId>,
    change: impl FnOnce(&mut Experiment),
) -> Effects {
    let before = session.experiment.clone();
    change(&mut session.experiment);
    if session.experiment == before {
        return Effects::default();
    }
    session.history.push(before, gesture);
    Effects { rerun: true }
}

fn paint(session: &mut Session, patch: Patch, on: bool, gesture: GestureId) -> Effects {
    let Some(grid) = session.grid else {
        return Effects::default();
    };
    if grid.index(patch).is_none() {
        return Effects::default();
    }
    let Some(row) = session.brush_row() else {
        if !on {
            return Effects::default();
        }
        let ablation = Ablation::of(PatchSet::from_iter([patch]));
        let effects = edit(session, Some(gesture), |e| {
            e.interventions.push(Intervention::Ablation(ablation));
        });
        session.view.active_row = Some(session.experiment.interventions.len() - 1);
        return effects;
    };
    edit(session, Some(gesture), |e| {
        if let Some(Intervention::Ablation(a)) = e.interventions.get_mut(row) {
            a.patches.set(patch, on, grid);
            a.enabled = true;
        }
    })
}

fn add(session: &mut Session, row: Intervention) -> Effects {
    let effects = edit(session, None, |e| e.interventions.push(row));
    session.view.active_row = session.experiment.interventions.len().checked_sub(1);
    effects
}

fn remove(session: &mut Session, row: usize) -> Effects {
    if row >= session.experiment.interventions.len() {
        return Effects::default();
    }
    session.view.active_row = None;
    edit(session, None, |e| {
        e.interventions.remove(row);
    })
}

fn restore(
    session: &mut Session,
    (experiment, readout, view): (Experiment, Readout, ViewState),
) -> Effects {
    let _undoable = edit(session, None, |e| *e = experiment);
    session.readout = readout;
    session.view = ViewState {
        selections: std::mem::take(&mut session.view.selections),
        ..view
    };
    Effects { rerun: true }
}

fn travel(session: &mut Session, back: bool) -> Effects {
    let present = std::mem::take(&mut session.experiment);
    let before = present.interventions.clone();
    let step = match back {
        true => session.history.undo(present),
        false => session.history.redo(present),
    };
    let rerun = step.is_ok();
    session.experiment = step.unwrap_or_else(|present| present);
    let active = session.view.active_row;
    let after = &session.experiment.interventions;
    session.view.active_row = active.and_then(|row| rows::follow(row, &before, after));
    Effects { rerun }
}

/// Changes what is read. A run follows where there is something to read that was not read before.
fn read(session: &mut Session, change: impl FnOnce(&mut Readout)) -> Effects {
    let before = session.readout.clone();
    change(&mut session.readout);
    let now = &session.readout;
    let asks = (now.attention.is_some() && now.attention != before.attention)
        || (now.attribution.is_some() && now.attribution != before.attribution);
    Effects { rerun: asks }
}

fn set_word(session: &mut Session, word: &str) -> Effects {
    let word = word.trim();
    let words = if word.is_empty() {
        Vec::new()
    } else {
        vec![word.to_owned()]
    };
    let changed = session.readout.words != words;
    if changed {
        session.readout.word_tokens.clear();
    }
    session.readout.words = words;
    Effects { rerun: changed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::PatchGrid;

    fn session() -> Session {
        Session {
            grid: Some(PatchGrid::new(4, 4)),
            ..Session::demo()
        }
    }

    fn paint_one(session: &mut Session, row: u16, col: u16, on: bool, gesture: u64) -> Effects {
        let patch = Patch::new(row, col);
        update(
            session,
            Command::Paint {
                patch,
                on,
                gesture: GestureId(gesture),
            },
        )
    }

    #[test]
    fn a_drag_is_one_step() {
        let mut s = session();
        let start = s.experiment.clone();
        for col in 0..4 {
            assert!(paint_one(&mut s, 1, col, true, 7).rerun);
        }
        assert_eq!(s.painted().unwrap().1.to_string(), "r1c0-r1c3");
        let painted = s.experiment.clone();
        assert!(update(&mut s, Command::Undo).rerun);
        assert_eq!(s.experiment, start);
        assert!(update(&mut s, Command::Redo).rerun);
        assert_eq!(s.experiment, painted);
        assert!(!update(&mut s, Command::Redo).rerun);
    }

    #[test]
    fn painting_what_is_painted_is_no_step() {
        let mut s = session();
        paint_one(&mut s, 1, 1, true, 1);
        assert!(!paint_one(&mut s, 1, 1, true, 2).rerun);
        assert!(!paint_one(&mut s, 9, 9, true, 3).rerun);
        update(&mut s, Command::Undo);
        assert!(!s.history.can_undo());
    }

    #[test]
    fn a_new_edit_drops_the_redo() {
        let mut s = session();
        paint_one(&mut s, 0, 0, true, 1);
        update(&mut s, Command::Undo);
        update(&mut s, Command::SetPrompt("What?".to_owned()));
        assert!(!s.history.can_redo());
    }

    #[test]
    fn words_and_views_are_not_undone() {
        let mut s = session();
        assert!(update(&mut s, Command::SetWord(" dog ".to_owned())).rerun);
        assert!(!update(&mut s, Command::SetLevel(3)).rerun);
        assert_eq!(s.readout.words, ["dog"]);
        assert!(!s.history.can_undo());
    }
}
