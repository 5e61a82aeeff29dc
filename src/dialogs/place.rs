//! Asking where a file is to lie: in a dialog of the desktop, or by a path typed in the window where there is none.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{Dialogs, Outcome, expanded, in_dialog};
use crate::error::{Error, Result};

/// Nobody closes a dialog faster than this: there was none.
pub(super) const NEVER_SHOWN: Duration = Duration::from_millis(150);

/// What is done with the place that was chosen.
type Then = Box<dyn FnOnce(PathBuf) -> Result<Outcome> + Send>;

/// A question that no dialog of the desktop has answered.
pub struct WhereTo {
    /// A name to begin with; its ending is kept.
    pub name: String,
    then: Then,
}

impl std::fmt::Debug for WhereTo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("WhereTo").field(&self.name).finish()
    }
}

impl Dialogs {
    /// Asks where a file of this name is to lie, and does with the place what is to be done.
    pub(super) fn ask_where(
        &mut self,
        name: String,
        then: impl FnOnce(PathBuf) -> Result<Outcome> + Send + 'static,
    ) {
        let in_window = self.in_window;
        self.start("ask where to save", move || {
            let since = Instant::now();
            let path = if in_window { None } else { in_dialog(&name) };
            match path {
                Some(path) => then(path),
                None if in_window || since.elapsed() < NEVER_SHOWN => {
                    let then = Box::new(then);
                    Ok(Outcome::WhereTo(WhereTo { name, then }))
                }
                None => Ok(Outcome::Nothing),
            }
        });
    }

    /// Answers a question with a typed path. A file that is there already is not written over.
    pub fn answer(&mut self, question: WhereTo, text: &str) {
        let path = with_ending(expanded(text), &question.name);
        self.start("save a file", move || {
            if path.exists() {
                return Err(Error::input(format!(
                    "{} is there already: choose another name",
                    path.display()
                )));
            }
            (question.then)(path)
        });
    }
}

/// A path without an ending gets that of the name.
pub(super) fn with_ending(path: PathBuf, name: &str) -> PathBuf {
    match (path.extension(), name.rsplit_once('.')) {
        (None, Some((_, ending))) => path.with_extension(ending),
        _ => path,
    }
}
