//! Which words of a level are dimmed: tokens that are no words, and words that stand on many patches at once.
//!
//! Shared words are told by a stated share of the level's patches: what one level writes on a fifth of the picture says
//! little about any patch. Pure; it draws nothing.

use std::collections::HashMap;

use crate::engine::trace::{LevelReadout, Vocabulary};
use crate::session::ReadingView;

/// A word and the patches that it is the top word of, ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    pub id: u32,
    pub patches: Vec<usize>,
}

/// The top words of a level, the most frequent first, equal ones by their first patch.
pub fn counts(readout: &LevelReadout, n_patches: usize) -> Vec<Counted> {
    let mut at: HashMap<u32, usize> = HashMap::new();
    let mut found: Vec<Counted> = Vec::new();
    for patch in 0..n_patches {
        let Some((id, _)) = readout.top(patch).next() else {
            continue;
        };
        let place = *at.entry(id).or_insert_with(|| {
            found.push(Counted {
                id,
                patches: Vec::new(),
            });
            found.len() - 1
        });
        found[place].patches.push(patch);
    }
    found.sort_by_key(|word| std::cmp::Reverse(word.patches.len()));
    found
}

/// What is dimmed at one level.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Greyed {
    non_words: bool,
    /// Ids of shared words.
    shared: Vec<u32>,
}

impl Greyed {
    pub fn of(reading: &ReadingView, readout: &LevelReadout, n_patches: usize) -> Self {
        let mut shared = Vec::new();
        if reading.grey_shared {
            let least = least_patches(reading, n_patches);
            let words = counts(readout, n_patches).into_iter();
            shared.extend(words.filter(|w| w.patches.len() >= least).map(|w| w.id));
        }
        Self {
            non_words: reading.grey_non_words,
            shared,
        }
    }

    pub fn is(&self, id: u32, vocabulary: &Vocabulary) -> bool {
        (self.non_words && !vocabulary.is_word(id)) || self.shared.contains(&id)
    }
}

/// From how many patches on a word is shared.
pub fn least_patches(reading: &ReadingView, n_patches: usize) -> usize {
    ((reading.shared_from * n_patches as f32).ceil() as usize).max(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readout(ids: &[u32]) -> LevelReadout {
        LevelReadout {
            top_k: 1,
            ids: ids.to_vec(),
            probs: vec![0.5; ids.len()],
            ..LevelReadout::default()
        }
    }

    #[test]
    fn words_are_counted_and_the_frequent_ones_are_shared() {
        let level = readout(&[3, 1, 3, 2, 3, 1, 0, 3, 4, 5]);
        let found = counts(&level, 10);
        assert_eq!(found[0].patches, [0, 2, 4, 7]);
        assert_eq!((found[0].id, found[1].id, found[2].id), (3, 1, 2));
        let vocabulary = Vocabulary {
            pieces: vec![String::new(); 6],
            is_word: vec![false, true, true, true, true, true],
        };
        let mut reading = ReadingView {
            grey_shared: true,
            shared_from: 0.4,
            ..ReadingView::default()
        };
        let greyed = Greyed::of(&reading, &level, 10);
        let all: Vec<u32> = (0..6).filter(|id| greyed.is(*id, &vocabulary)).collect();
        assert_eq!(all, [0, 3]);
        reading.grey_shared = false;
        reading.grey_non_words = false;
        let greyed = Greyed::of(&reading, &level, 10);
        assert!((0..6).all(|id| !greyed.is(id, &vocabulary)));
    }
}
