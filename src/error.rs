//! The one error type of the crate: what went wrong, in a sentence for a person.
//!
//! It does not carry backtraces or chains: an error is handled once, and its text is what the window and the
//! command line show. Module-specific causes are folded into the sentence where they are met.

use std::path::Path;

/// Why something could not be done. `Display` is one sentence without a line break.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// What the person gave cannot be used: the sentence names the file or field and what would be right.
    #[error("{0}")]
    Input(String),
    /// A newer request or the person asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// The device or the budget has no room: the sentence says what is needed and what would fit.
    #[error("{message}")]
    OutOfMemory {
        message: String,
        /// Whether a card was meant, so that the CPU is a way out.
        can_use_cpu: bool,
    },
    /// Anything else: a device that failed, a full disk, a bug.
    #[error("{0}")]
    Internal(String),
}

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An [`Error::Input`] from anything printable.
    pub fn input(message: impl Into<String>) -> Self {
        Self::Input(one_line(&message.into()))
    }

    /// An [`Error::Internal`] from anything printable.
    pub fn internal(message: impl std::fmt::Display) -> Self {
        Self::Internal(one_line(&message.to_string()))
    }

    /// A file that could not be read: says which, why, and what to do.
    pub fn read(path: &Path, error: &std::io::Error) -> Self {
        let why = match error.kind() {
            std::io::ErrorKind::NotFound => "does not exist: check the path".to_owned(),
            std::io::ErrorKind::PermissionDenied => {
                "may not be read: check its permissions".to_owned()
            }
            std::io::ErrorKind::IsADirectory => "is a folder: name a file".to_owned(),
            _ => format!("could not be read: {error}"),
        };
        Self::input(format!("{} {why}", path.display()))
    }

    /// A file that could not be written: the disk is full, the folder is missing or may not be written to.
    pub fn write(path: &Path, error: &std::io::Error) -> Self {
        Self::Internal(one_line(&format!(
            "{} could not be written: {error}; nothing was changed there, choose another place or free some space",
            path.display()
        )))
    }

    /// The exit code of the command line: 2 for what the person can mend, 1 for the rest.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Input(_) => 2,
            Self::Cancelled | Self::OutOfMemory { .. } | Self::Internal(_) => 1,
        }
    }
}

/// Messages of libraries may span lines; ours never do.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_one_line() {
        assert_eq!(Error::input("a\n  b").to_string(), "a b");
    }

    #[test]
    fn exit_codes() {
        assert_eq!(Error::input("x").exit_code(), 2);
        assert_eq!(Error::internal("x").exit_code(), 1);
    }
}
