//! A sweep: the clean run again and again, each time with one small intervention, to see what a token of its answer
//! depends on. Plain data; nothing here computes.
//!
//! The base is always the clean run: the interventions of the experiment are not applied, so that what a sweep finds
//! is a fact about model, picture and question alone.

use serde::{Deserialize, Serialize};

use super::Replacement;
use crate::index::TokenSet;

/// One sweep, complete with the token that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepSpec {
    /// Which token of the clean run's greedy answer is watched, from 0. The answer before it is given, not generated
    /// again (teacher forcing).
    pub token: usize,
    pub over: SweepOver,
}

/// What is taken away, one at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SweepOver {
    /// Patches, or squares of them, are ablated.
    Patches {
        with: Replacement,
        /// The level whose rows are replaced, as in [`super::Ablation`].
        layer: usize,
        /// Side of the squares, which lie edge to edge from the top left; 1 for single patches.
        block: usize,
    },
    /// Attention from queries to keys is knocked out in windows of decoder blocks, one window at every block.
    Layers {
        queries: TokenSet,
        keys: TokenSet,
        /// Blocks of a window; 1 for single blocks.
        window: usize,
    },
    /// The same in one head of one block at a time.
    Heads { queries: TokenSet, keys: TokenSet },
}

/// What a sweep goes over, without the details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SweepKind {
    #[default]
    Patches,
    Layers,
    Heads,
}

impl SweepKind {
    pub const ALL: [Self; 3] = [Self::Patches, Self::Layers, Self::Heads];
}

impl SweepOver {
    pub fn kind(&self) -> SweepKind {
        match self {
            Self::Patches { .. } => SweepKind::Patches,
            Self::Layers { .. } => SweepKind::Layers,
            Self::Heads { .. } => SweepKind::Heads,
        }
    }
}
