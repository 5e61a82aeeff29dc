//! Tokens of the merged sequence: where the picture lies in it, and symbolic sets of positions.
//!
//! Sets are resolved again at every generated token, so `answer` and `all` grow with the answer.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use super::{PatchGrid, PatchSet};
use crate::error::{Error, Result};

/// Where the parts of the prompt lie in the merged sequence (text with `<image>` replaced by the visual tokens).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TokenLayout {
    /// Length of the prompt; generated tokens come after it.
    pub n_prompt: usize,
    /// Positions of the visual tokens.
    pub image: Range<usize>,
    /// Visual tokens before the first patch: 1 where the vision tower keeps its class token, else 0.
    pub patch_offset: usize,
    pub grid: PatchGrid,
}

impl TokenLayout {
    /// Position of the last prompt token, whose output is the first token of the answer.
    pub fn last(&self) -> usize {
        self.n_prompt.saturating_sub(1)
    }

    /// Positions of the patches, in row-major order.
    pub fn patches(&self) -> Range<usize> {
        let start = self.image.start + self.patch_offset;
        start..start + self.grid.len()
    }

    /// Position of a patch by its row-major index.
    pub fn position(&self, patch_idx: usize) -> usize {
        self.image.start + self.patch_offset + patch_idx
    }
}

/// A symbolic set of token positions (the words of the session file).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSet {
    /// Every visual token.
    Image,
    /// Everything before the picture.
    System,
    /// The text after the picture, without the last prompt position.
    Question,
    /// The last prompt position.
    Last,
    /// The last prompt position and every generated one.
    Answer,
    All,
    Patches(PatchSet),
}

impl TokenSet {
    /// The plain words, in the order in which a menu offers them.
    pub const WORDS: [(&'static str, Self); 6] = [
        ("last", Self::Last),
        ("answer", Self::Answer),
        ("question", Self::Question),
        ("image", Self::Image),
        ("system", Self::System),
        ("all", Self::All),
    ];

    /// Positions in a sequence that is now `n_now` long, ascending.
    ///
    /// # Errors
    /// A patch outside the grid.
    pub fn positions(&self, layout: &TokenLayout, n_now: usize) -> Result<Vec<usize>> {
        let last = layout.last();
        Ok(match self {
            Self::Image => layout.image.clone().collect(),
            Self::System => (0..layout.image.start).collect(),
            Self::Question => (layout.image.end..last).collect(),
            Self::Last => vec![last],
            Self::Answer => (last..n_now).collect(),
            Self::All => (0..n_now).collect(),
            Self::Patches(set) => set
                .indices(layout.grid)?
                .into_iter()
                .map(|idx| layout.position(idx))
                .collect(),
        })
    }
}

impl FromStr for TokenSet {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(patches) = text.strip_prefix("patches:") {
            return Ok(Self::Patches(patches.parse()?));
        }
        Self::WORDS.into_iter().find(|(word, _)| *word == text).map(|(_, set)| set).ok_or_else(|| {
            Error::input(format!(
                "{text:?} is not a set of tokens: use image, system, question, last, answer, all or patches:r3c4-r5c6"
            ))
        })
    }
}

impl fmt::Display for TokenSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Patches(set) = self {
            return write!(f, "patches:{set}");
        }
        let word = Self::WORDS
            .iter()
            .find(|(_, set)| set == self)
            .map_or("all", |(word, _)| word);
        f.write_str(word)
    }
}

super::serde_as_text!(TokenSet);

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> TokenLayout {
        TokenLayout {
            n_prompt: 12,
            image: 2..6,
            patch_offset: 0,
            grid: PatchGrid::new(2, 2),
        }
    }

    #[test]
    fn sets_cover_generated_tokens() {
        let at = |text: &str, n| {
            text.parse::<TokenSet>()
                .unwrap()
                .positions(&layout(), n)
                .unwrap()
        };
        assert_eq!(at("system", 12), [0, 1]);
        assert_eq!(at("image", 12), [2, 3, 4, 5]);
        assert_eq!(at("question", 14), [6, 7, 8, 9, 10]);
        assert_eq!(at("last", 14), [11]);
        assert_eq!(at("answer", 14), [11, 12, 13]);
        assert_eq!(at("all", 13).len(), 13);
        assert_eq!(at("patches:r1c0-r1c1", 12), [4, 5]);
    }

    #[test]
    fn words_round_trip() {
        for text in [
            "last",
            "answer",
            "question",
            "image",
            "system",
            "all",
            "patches:r0c0-r1c1",
            "patches:all",
        ] {
            assert_eq!(text.parse::<TokenSet>().unwrap().to_string(), text);
        }
        assert!("picture".parse::<TokenSet>().is_err());
    }
}
