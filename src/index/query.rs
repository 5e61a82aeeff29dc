//! One position to look from, as the session file names it: `last`, `r3c4`, `answer:2`, or a position by number.

use std::fmt;
use std::str::FromStr;

use super::{Patch, TokenLayout};
use crate::error::{Error, Result};

/// A token of the prompt or of the clean answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum QueryToken {
    /// The last prompt position, whose output is the first token of the answer.
    #[default]
    Last,
    Patch(Patch),
    /// A token of the clean answer, from 0; its output is the token after it.
    Answer(usize),
    /// A position of the prompt.
    Position(usize),
}

impl QueryToken {
    /// The position in the sequence of the prompt and an answer of `n_answer` tokens.
    ///
    /// # Errors
    /// A patch outside the grid, a position after the prompt, a token that the answer does not have.
    pub fn position(self, layout: &TokenLayout, n_answer: usize) -> Result<usize> {
        let n = layout.n_prompt;
        match self {
            Self::Last => Ok(layout.last()),
            Self::Patch(patch) => layout.grid.index(patch).map_or_else(
                || {
                    let (rows, cols) = (layout.grid.rows, layout.grid.cols);
                    Err(Error::input(format!(
                        "readout.attention.query: {patch} is outside this model's grid of {rows} x {cols} patches"
                    )))
                },
                |index| Ok(layout.position(index)),
            ),
            Self::Answer(token) if token < n_answer => Ok(n + token),
            Self::Answer(token) => Err(Error::input(format!(
                "readout.attention.query: answer:{token} is not there, the clean answer has {n_answer} tokens, counted from 0"
            ))),
            Self::Position(at) if at < n => Ok(at),
            Self::Position(at) => Err(Error::input(format!(
                "readout.attention.query: position {at} is not there, the prompt has the positions 0..={}",
                n.saturating_sub(1)
            ))),
        }
    }
}

impl FromStr for QueryToken {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = |text: &str| text.parse::<usize>().ok();
        if text == "last" {
            return Ok(Self::Last);
        }
        if let Some(token) = text.strip_prefix("answer:").and_then(number) {
            return Ok(Self::Answer(token));
        }
        if let Some(at) = number(text) {
            return Ok(Self::Position(at));
        }
        let patch: Result<Patch> = text.parse();
        let none = || {
            Error::input(format!(
                "{text:?} names no token: use last, a patch such as r3c4, answer:2 for the third token of the clean \
                 answer, or a position of the prompt such as \"7\""
            ))
        };
        patch.ok().map(Self::Patch).ok_or_else(none)
    }
}

impl fmt::Display for QueryToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Last => f.write_str("last"),
            Self::Patch(patch) => write!(f, "{patch}"),
            Self::Answer(token) => write!(f, "answer:{token}"),
            Self::Position(at) => write!(f, "{at}"),
        }
    }
}

super::serde_as_text!(QueryToken);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::PatchGrid;

    #[test]
    fn words_round_trip_and_become_positions() {
        let layout = TokenLayout {
            n_prompt: 12,
            image: 2..6,
            patch_offset: 0,
            grid: PatchGrid::new(2, 2),
        };
        for (text, at) in [("last", 11), ("r1c0", 4), ("answer:2", 14), ("7", 7)] {
            let query: QueryToken = text.parse().unwrap();
            assert_eq!(query.to_string(), text);
            assert_eq!(query.position(&layout, 3).unwrap(), at);
        }
        for text in ["r9c9", "answer:3", "12"] {
            let query: QueryToken = text.parse().unwrap();
            assert!(query.position(&layout, 3).is_err(), "{text}");
        }
        assert!("first".parse::<QueryToken>().is_err());
    }
}
