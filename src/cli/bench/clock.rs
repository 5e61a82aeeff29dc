//! A monitor that notes when the words of the level on screen arrive. It shows nothing and never cancels.

use std::time::Instant;

use crate::engine::protocol::{Event, Monitor};

pub(super) struct Clock {
    since: Instant,
    /// Milliseconds until the edited run's words of the model's default level were there.
    pub first_words: Option<f64>,
}

impl Clock {
    pub fn start() -> Self {
        Self {
            since: Instant::now(),
            first_words: None,
        }
    }

    pub fn ms(&self) -> f64 {
        self.since.elapsed().as_secs_f64() * 1e3
    }
}

impl Monitor for Clock {
    fn cancelled(&self) -> bool {
        false
    }

    fn shown_level(&self) -> Option<usize> {
        None
    }

    fn emit(&mut self, event: Event) {
        let Event::Trace(trace) = event else { return };
        let level = trace.model.default_level;
        let is_there = trace.edited.levels.get(level).is_some_and(Option::is_some);
        if self.first_words.is_none() && is_there && !trace.edited.next_token.is_empty() {
            self.first_words = Some(self.ms());
        }
    }
}
