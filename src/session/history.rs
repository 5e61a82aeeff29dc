//! Undo and redo as whole-value snapshots, capped; a gesture is one step.
//!
//! It knows no clock: what belongs together is said by the gesture's identity, so that replays are exact.

use super::GestureId;

/// Steps that are kept.
const CAP: usize = 200;

/// Past and future values of `T`; the present one lives in the session.
#[derive(Clone, Debug, PartialEq)]
pub struct History<T> {
    past: Vec<T>,
    future: Vec<T>,
    gesture: Option<GestureId>,
}

impl<T> Default for History<T> {
    fn default() -> Self {
        Self {
            past: Vec::new(),
            future: Vec::new(),
            gesture: None,
        }
    }
}

impl<T: PartialEq> History<T> {
    /// Remembers `before`, the value that an edit replaces. Edits of one gesture share one step.
    pub fn push(&mut self, before: T, gesture: Option<GestureId>) {
        self.future.clear();
        if gesture.is_some() && gesture == self.gesture {
            return;
        }
        self.gesture = gesture;
        if self.past.len() == CAP {
            self.past.remove(0);
        }
        self.past.push(before);
    }

    /// Steps back: gives the value to restore and takes the present one.
    pub fn undo(&mut self, present: T) -> Result<T, T> {
        Self::step(&mut self.past, &mut self.future, &mut self.gesture, present)
    }

    /// Steps forward again.
    pub fn redo(&mut self, present: T) -> Result<T, T> {
        Self::step(&mut self.future, &mut self.past, &mut self.gesture, present)
    }

    pub fn can_undo(&self) -> bool {
        !self.past.is_empty()
    }

    pub fn can_redo(&self) -> bool {
        !self.future.is_empty()
    }

    /// `Err` gives the present value back where there is no step.
    fn step(
        from: &mut Vec<T>,
        to: &mut Vec<T>,
        gesture: &mut Option<GestureId>,
        present: T,
    ) -> Result<T, T> {
        *gesture = None;
        match from.pop() {
            Some(value) => {
                to.push(present);
                Ok(value)
            }
            None => Err(present),
        }
    }
}
