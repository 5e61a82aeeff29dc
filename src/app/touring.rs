//! Playing a tour: a step's commands go through the session like any other; going back restores what was before it.

use super::PatchglassApp;
use crate::session::tour::Tour;
use crate::session::{Command, Session, update};
use crate::ui::pane::Pane;
use crate::ui::tour_card::Playing;

/// A tour that is played.
pub(super) struct Play {
    tour: Tour,
    at: usize,
    /// The session before each step that has begun.
    before: Vec<Session>,
    /// The step's commands wait for the grid of the model.
    waits: bool,
}

impl Play {
    pub(super) fn playing(&self) -> Playing<'_> {
        Playing {
            tour: &self.tour,
            at: self.at,
        }
    }
}

impl PatchglassApp {
    pub(super) fn start_tour(&mut self, tour: Tour) {
        self.tour = Some(Play {
            tour,
            at: 0,
            before: Vec::new(),
            waits: true,
        });
        self.dock.show(Pane::Tour);
        self.begin_step();
    }

    pub(super) fn end_tour(&mut self) {
        self.tour = None;
        if self.dock.is_open(Pane::Tour) {
            self.dock.toggle(Pane::Tour);
        }
    }

    /// Goes on to the next step; at the last one nothing happens.
    pub(super) fn next_step(&mut self) {
        let Some(play) = &mut self.tour else { return };
        if play.waits || play.at + 1 >= play.tour.steps.len() {
            return;
        }
        play.at += 1;
        play.waits = true;
        self.begin_step();
    }

    /// Back to how the step before began.
    pub(super) fn step_back(&mut self) {
        let Some(play) = &mut self.tour else { return };
        if play.at == 0 || play.waits {
            return;
        }
        play.at -= 1;
        play.before.pop();
        if let Some(before) = play.before.pop() {
            let Session {
                experiment,
                readout,
                view,
                ..
            } = before;
            let before = Command::Restore(Box::new((experiment, readout, view)));
            update(&mut self.session, before);
            self.runs.request(&self.session);
        }
        play.waits = true;
        self.begin_step();
    }

    /// Sends the commands of the step as soon as the model's grid is known.
    pub(super) fn begin_step(&mut self) {
        let (Some(play), Some(grid)) = (&mut self.tour, self.session.grid) else {
            return;
        };
        if !std::mem::take(&mut play.waits) {
            return;
        }
        play.before.push(self.session.clone());
        for command in play.tour.steps[play.at].commands(grid) {
            if let Command::SetLevel(level) = command {
                self.runs.set_shown_level(level);
            }
            self.commands.send(command);
        }
    }

    /// What the pane of the tour shows.
    pub fn tour_step(&self) -> Option<usize> {
        self.tour.as_ref().map(|play| play.at)
    }
}
