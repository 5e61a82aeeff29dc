//! The window's side of sweeps: what was found, what is being swept, what waits for the run before it.
//!
//! A sweep goes through the same mailbox as a run. An edit goes first: it stops a sweep, which keeps what it has and
//! goes on when it is asked for again.

use std::sync::Arc;

use crate::engine::protocol::RunId;
use crate::engine::sweep::Sweep;
use crate::spec::SweepKind;
use crate::ui::sweep_view::{SweepState, SweepView};

#[derive(Default)]
pub struct Sweeps {
    /// The newest of each kind, in the order of [`SweepKind::ALL`].
    found: [Option<Arc<Sweep>>; SweepKind::ALL.len()],
    state: SweepState,
    /// The newest request.
    id: RunId,
}

impl Sweeps {
    /// Asks for a sweep as soon as nothing runs.
    pub fn want(&mut self) {
        self.state = SweepState::Waiting;
    }

    pub fn is_wanted(&self) -> bool {
        self.state == SweepState::Waiting
    }

    /// The request was sent.
    pub fn begin(&mut self, id: RunId) {
        self.id = id;
        self.state = SweepState::Running;
    }

    /// Whether the events of the newest request are a sweep's.
    pub fn is_running(&self) -> bool {
        self.state == SweepState::Running
    }

    /// Neither waits nor runs any more; what was found stays.
    pub fn stop(&mut self) {
        self.state = SweepState::Idle;
    }

    /// Takes in what is known now; tells whether that is all.
    pub fn take(&mut self, sweep: Arc<Sweep>) -> bool {
        let is_complete = sweep.is_complete();
        let kind = sweep.kind();
        for (slot, of) in self.found.iter_mut().zip(SweepKind::ALL) {
            if of == kind {
                *slot = Some(sweep.clone());
            }
        }
        is_complete
    }

    pub fn view(&self) -> SweepView<'_> {
        SweepView {
            found: self.found.each_ref().map(Option::as_deref),
            state: self.state,
            id: self.id,
        }
    }
}
