//! Progress on standard error: one line that is overwritten on a terminal, one line a stage elsewhere.

use std::io::{IsTerminal as _, Write as _};

use crate::engine::protocol::{Event, Monitor, Stage};

/// The monitor of a command: never cancels, shows where the run is.
#[derive(Default)]
pub struct Terminal {
    stage: Option<Stage>,
    level: Option<usize>,
}

impl Terminal {
    /// Reads this level first.
    pub fn at_level(level: Option<usize>) -> Self {
        Self { stage: None, level }
    }

    /// Ends the line.
    pub fn finish(&self) {
        if self.stage.is_some() && std::io::stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
    }
}

impl Monitor for Terminal {
    fn cancelled(&self) -> bool {
        false
    }

    fn shown_level(&self) -> Option<usize> {
        self.level
    }

    fn emit(&mut self, event: Event) {
        let Event::Progress {
            stage, fraction, ..
        } = event
        else {
            return;
        };
        let mut out = std::io::stderr();
        if out.is_terminal() {
            // Progress that cannot be shown is no reason to stop.
            let _ = write!(out, "\r\x1b[K{} {:.0} %", stage.text(), fraction * 100.0);
            let _ = out.flush();
        } else if self.stage.as_ref() != Some(&stage) {
            let _ = writeln!(out, "{}", stage.text());
        }
        self.stage = Some(stage);
    }
}
