//! `tokenizer.json` through the `tokenizers` crate, and the visible text of every token.
//!
//! It does not know templates or pictures; `prompt` does.

use tokenizers::Tokenizer as Inner;

use super::facts::{Vocabulary, WordToken};
use crate::error::{Error, Result};

/// A loaded tokenizer.
pub struct Tokenizer {
    inner: Inner,
    /// Ids from here on have no row in the model.
    n_rows: usize,
}

impl Tokenizer {
    /// Reads the bytes of a `tokenizer.json`; `name` is how messages call it.
    ///
    /// # Errors
    /// Anything that the `tokenizers` crate does not accept.
    pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Self> {
        let inner = Inner::from_bytes(bytes).map_err(|e| {
            Error::input(format!(
                "{name} is not a tokenizer that can be read: {e}; a fast tokenizer.json is needed"
            ))
        })?;
        let n_rows = usize::MAX;
        Ok(Self { inner, n_rows })
    }

    /// The same for a model with so many rows, where the tokenizer may have more ids.
    #[must_use]
    pub(super) fn of_at_most(self, n_rows: usize) -> Self {
        Self { n_rows, ..self }
    }

    /// The id of a piece or a special token.
    pub(super) fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// Ids of a text, with the special tokens that the post-processor adds.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.inner.encode(text, true);
        Ok(encoding
            .map_err(|e| Error::input(format!("the text cannot be tokenised: {e}")))?
            .get_ids()
            .to_vec())
    }

    /// The token whose piece is exactly this text: a word that follows no space.
    pub fn piece(&self, text: &str) -> Option<u32> {
        self.id(text).filter(|id| (*id as usize) < self.n_rows)
    }

    /// Text of ids, without special tokens (as `tokenizer.decode(ids)` of transformers).
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.inner
            .decode(ids, true)
            .map_err(|e| Error::internal(format!("tokens {ids:?} have no text: {e}")))
    }

    /// How many ids have a text and a row; higher rows of the vocabulary are padding and never shown.
    pub fn n_words(&self) -> usize {
        self.inner.get_vocab_size(true).min(self.n_rows)
    }

    /// The token that stands for a word in a lens: its first token, as the word stands after a space.
    ///
    /// # Errors
    /// A word of no token at all.
    pub fn word_token(&self, word: &str) -> Result<WordToken> {
        self.word_token_at(word, 0)
    }

    /// Another of the word's tokens, counted from 0.
    ///
    /// # Errors
    /// A word of no token at all, or of fewer tokens.
    pub fn word_token_at(&self, word: &str, chosen: usize) -> Result<WordToken> {
        let encoding = self.inner.encode(word, false);
        let encoding = encoding
            .map_err(|e| Error::input(format!("the word {word:?} cannot be tokenised: {e}")))?;
        let is_bare_space = |id: &&u32| {
            self.inner
                .id_to_token(**id)
                .is_some_and(|piece| piece == "▁")
        };
        let ids: Vec<u32> = encoding
            .get_ids()
            .iter()
            .skip_while(is_bare_space)
            .copied()
            .collect();
        if !ids.is_empty() && chosen >= ids.len() {
            return Err(Error::input(format!(
                "readout.word_tokens: the word {word:?} has {} token(s), counted from 0; there is no token {chosen}",
                ids.len()
            )));
        }
        match ids.get(chosen) {
            Some(&id) if id as usize >= self.n_rows => Err(Error::input(format!(
                "the word {word:?} stands for the picture: the model has no row for it"
            ))),
            Some(&id) => Ok(WordToken {
                word: word.to_owned(),
                id,
                n_tokens: ids.len(),
                ids,
            }),
            None => Err(Error::input(format!(
                "the word {word:?} has no token: type letters"
            ))),
        }
    }

    /// Whether a token is a space and nothing else.
    pub fn is_bare_space(&self, id: Option<u32>) -> bool {
        let piece = id.and_then(|id| self.inner.id_to_token(id));
        piece.is_some_and(|piece| piece == "▁" || piece == "Ġ")
    }

    /// Text of all tokens for people.
    pub fn vocabulary(&self, eos_token_ids: &[u32]) -> Vocabulary {
        let raw = |id: usize| self.inner.id_to_token(id as u32).unwrap_or_default();
        let raw: Vec<String> = (0..self.n_words()).map(raw).collect();
        Vocabulary {
            pieces: raw
                .iter()
                .enumerate()
                .map(|(id, t)| visible(t, eos_token_ids.contains(&(id as u32))))
                .collect(),
            is_word: raw.iter().map(|text| is_word(text)).collect(),
        }
    }
}

/// Spaces as `␣`, control characters and bytes as `⟨0x0A⟩`, special tokens in angle brackets.
fn visible(raw: &str, is_eos: bool) -> String {
    match raw {
        _ if is_eos => "⟨end⟩".to_owned(),
        "<s>" => "⟨start⟩".to_owned(),
        "" => "⟨⟩".to_owned(),
        _ if raw.starts_with('<') && raw.ends_with('>') && raw.len() > 2 => {
            format!("⟨{}⟩", &raw[1..raw.len() - 1])
        }
        _ => raw
            .chars()
            .map(|c| match c {
                '▁' | 'Ġ' | ' ' => "␣".to_owned(),
                c if c.is_control() => format!("⟨0x{:02X}⟩", c as u32),
                c => c.to_string(),
            })
            .collect(),
    }
}

/// Letters after the space mark, at least two of them, or one character of a script that writes words in one.
fn is_word(raw: &str) -> bool {
    let text = raw.trim_start_matches(['▁', 'Ġ', ' ']);
    let n = text.chars().count();
    let is_ideographic =
        |c: char| matches!(c as u32, 0x3040..=0x30FF | 0x3400..=0x9FFF | 0xAC00..=0xD7AF);
    n > 0 && text.chars().all(char::is_alphabetic) && (n > 1 || text.chars().all(is_ideographic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_visible() {
        for (raw, eos, text) in [
            ("▁dog", false, "␣dog"),
            ("<0x0A>", false, "⟨0x0A⟩"),
            ("</s>", true, "⟨end⟩"),
            ("\n", false, "⟨0x0A⟩"),
        ] {
            assert_eq!(visible(raw, eos), text);
        }
    }

    #[test]
    fn words_are_words() {
        for (raw, word) in [
            ("▁dog", true),
            ("▁a", false),
            (",", false),
            ("年", true),
            ("<s>", false),
            ("ing", true),
        ] {
            assert_eq!(is_word(raw), word, "{raw}");
        }
    }
}
