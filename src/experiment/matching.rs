//! When an answer names the object, says yes, or starts with the object's word: strictly and leniently.
//!
//! Only the answer counts, never the prompt. Nothing empty ever matches, and no piece of a word that could be many words.

use serde::{Deserialize, Serialize};

use crate::engine::study::Study;
use crate::error::Result;

/// Letters that a piece of a word must have, unless it is the word.
const LEAST_LETTERS: usize = 3;

/// Both readings of one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Verdict {
    pub strict: bool,
    pub lenient: bool,
}

/// Which of the two is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matching {
    Strict,
    Lenient,
}

impl Matching {
    pub const BOTH: [Self; 2] = [Self::Strict, Self::Lenient];

    pub fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Lenient => "lenient",
        }
    }
}

impl Verdict {
    pub fn get(self, matching: Matching) -> bool {
        match matching {
            Matching::Strict => self.strict,
            Matching::Lenient => self.lenient,
        }
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// The usual plural of a word.
fn plural(word: &str) -> String {
    let ends = |endings: &[&str]| endings.iter().any(|e| word.ends_with(e));
    match word.strip_suffix('y') {
        Some(stem) if !ends(&["ay", "ey", "oy", "uy"]) => format!("{stem}ies"),
        _ if ends(&["s", "x", "z", "ch", "sh"]) => format!("{word}es"),
        _ => format!("{word}s"),
    }
}

/// Whether a description names an object. Strict: its name as whole words. Lenient: its name or its plural anywhere, as
/// letters (the paper's code: the name, in its case, anywhere in prompt and answer).
pub fn names(answer: &str, name: &str) -> Verdict {
    let (said, name) = (words(answer), words(name));
    let strict = !name.is_empty() && said.windows(name.len()).any(|window| window == name);
    let (said, name) = (said.join(" "), name.join(" "));
    let lenient = !name.is_empty() && (said.contains(&name) || said.contains(&plural(&name)));
    Verdict {
        strict,
        lenient: strict || lenient,
    }
}

/// Whether an answer says yes. Strict: its first word. Lenient: any word (the paper's code: those letters anywhere in
/// prompt and answer).
pub fn says_yes(answer: &str) -> Verdict {
    let said = words(answer);
    Verdict {
        strict: said.first().is_some_and(|word| word == "yes"),
        lenient: said.iter().any(|word| word == "yes"),
    }
}

/// The tokens that stand for an object's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordTokens {
    name: String,
    strict: Vec<u32>,
}

impl WordTokens {
    /// # Errors
    /// A name of no token.
    pub fn new(study: &Study, name: &str) -> Result<Self> {
        let mut strict = Vec::new();
        for id in study.tokens_of_word(name)? {
            if tells(&study.text(&[id])?, name) {
                strict.push(id);
            }
        }
        let name = name.to_lowercase();
        Ok(Self { name, strict })
    }

    /// Whether a token is the word. Strict: it is the first token of the name, after a space or not. Lenient: its text
    /// is how the name or its plural starts. A piece of less than three letters counts as neither, unless it is the
    /// name.
    pub fn verdict(&self, token: u32, text: &str) -> Verdict {
        let strict = self.strict.contains(&token);
        Verdict {
            strict,
            lenient: strict || tells(text, &self.name),
        }
    }
}

/// Whether a piece is long enough to tell a name, and how it starts.
fn tells(piece: &str, name: &str) -> bool {
    let (piece, name) = (piece.trim().to_lowercase(), name.to_lowercase());
    let n = piece.chars().filter(|c| c.is_alphanumeric()).count();
    (n >= LEAST_LETTERS || (n > 0 && piece == name))
        && (name.starts_with(&piece) || plural(&name).starts_with(&piece))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(strict: bool, lenient: bool) -> Verdict {
        Verdict { strict, lenient }
    }

    #[test]
    fn descriptions_are_read_in_words() {
        for (answer, name, expected) in [
            ("A dog and a tree.", "dog", both(true, true)),
            ("A Dog.", "dog", both(true, true)),
            ("Two dogs.", "dog", both(false, true)),
            ("A hotdog.", "dog", both(false, true)),
            ("Some berries.", "berry", both(false, true)),
            ("A teddy bear.", "teddy bear", both(true, true)),
            ("A teddy and a bear.", "teddy bear", both(false, false)),
            ("A cat.", "dog", both(false, false)),
            ("", "dog", both(false, false)),
            ("A dog.", "", both(false, false)),
        ] {
            assert_eq!(names(answer, name), expected, "{answer} {name}");
        }
    }

    /// The paper's code looked for "yes" anywhere in prompt and answer, so that "eyes" said yes.
    #[test]
    fn yes_is_a_word() {
        assert_eq!(says_yes("Yes, there is."), both(true, true));
        assert_eq!(says_yes("I say yes."), both(false, true));
        assert_eq!(says_yes("No, only eyes."), both(false, false));
        assert_eq!(says_yes(""), both(false, false));
    }

    /// The paper's code took `name.startswith(token)`, which nothing, a space and one letter pass.
    #[test]
    fn short_pieces_are_no_words() {
        let word = WordTokens {
            name: "teddy bear".to_owned(),
            strict: vec![7],
        };
        for (token, text, expected) in [
            (7, "ted", both(true, true)),
            (8, "", both(false, false)),
            (8, " ", both(false, false)),
            (8, " t", both(false, false)),
            (8, " te", both(false, false)),
            (8, " Ted", both(false, true)),
            (8, "bear", both(false, false)),
            (8, "...", both(false, false)),
        ] {
            assert_eq!(word.verdict(token, text), expected, "{text:?}");
        }
        assert!(tells(" ox", "ox") && tells("dogs", "dog") && !tells("o", "ox"));
    }
}
