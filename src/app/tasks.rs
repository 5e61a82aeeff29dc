//! The window's side of tasks: what waits, what the engine is at, and what has come of it.
//!
//! A task goes through the same mailbox as a run; an edit goes first and stops it.

use std::sync::Arc;

use crate::engine::Named;
use crate::engine::protocol::{Event, RunId, Stage};
use crate::engine::verification::{Task, Verification};

#[derive(Default)]
pub struct Tasks {
    wanted: Option<Task>,
    running: Option<(Task, RunId)>,
    progress: Option<(Stage, f32)>,
    found: Option<Arc<Verification>>,
    tensors: Option<Arc<Vec<Named>>>,
}

impl Tasks {
    pub fn want(&mut self, task: Task) {
        self.wanted = Some(task);
    }

    /// The task that waits, if there is one; it counts as sent under this id.
    pub fn begin(&mut self, id: RunId) -> Option<Task> {
        let task = self.wanted.take()?;
        self.running = Some((task, id));
        if task == Task::Verify {
            self.found = None;
        }
        Some(task)
    }

    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Whether one waits or runs.
    pub fn is_busy(&self) -> bool {
        self.wanted.is_some() || self.is_running()
    }

    /// Neither waits nor runs any more; what was found stays.
    pub fn stop(&mut self) {
        (self.wanted, self.running, self.progress) = (None, None, None);
    }

    /// Takes in news; gives the message of a failure, and whether the CPU is a way out.
    pub fn take(&mut self, event: Event) -> Option<(String, bool)> {
        match event {
            Event::Progress {
                stage, fraction, ..
            } => self.progress = Some((stage, fraction)),
            Event::Verified(found) => {
                if found.complete {
                    self.stop();
                }
                self.found = Some(found);
            }
            Event::Dumped { tensors, .. } => {
                self.stop();
                self.tensors = Some(tensors);
            }
            Event::Failed {
                message,
                can_use_cpu,
                ..
            } => {
                self.stop();
                return Some((message, can_use_cpu));
            }
            Event::Cancelled { .. } => self.stop(),
            Event::Trace(_) | Event::Sweep(_) => {}
        }
        None
    }

    /// The newest verification, perhaps still going on.
    pub fn found(&self) -> Option<&Verification> {
        self.found.as_deref()
    }

    /// What goes on and how far, from the moment that it was asked of the engine.
    pub fn now(&self) -> Option<(Stage, f32)> {
        let (task, _) = self.running?;
        let begun = match task {
            Task::Verify => Stage::Verify,
            Task::Dump => Stage::EditedRun,
        };
        Some(self.progress.clone().unwrap_or((begun, 0.0)))
    }

    pub fn progress(&self) -> Option<(Stage, f32)> {
        self.progress.clone()
    }

    pub fn take_tensors(&mut self) -> Option<Arc<Vec<Named>>> {
        self.tensors.take()
    }
}
