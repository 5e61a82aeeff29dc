//! What is read inside a run beyond its words: attention from a token, and what a logit is made of. Never changes a run.

use serde::{Deserialize, Serialize};

use crate::index::{QueryToken, TokenSet};

/// Attention from one token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttentionSpec {
    /// The token that looks.
    pub query: QueryToken,
    /// Where it looks: the mass into these tokens is summed for every head.
    pub into: TokenSet,
    /// Attention rollout as well, which needs the patterns of all tokens before.
    pub rollout: bool,
    /// Write the pattern of every head into the result file.
    pub maps: bool,
}

impl Default for AttentionSpec {
    fn default() -> Self {
        Self {
            query: QueryToken::Last,
            into: TokenSet::Image,
            rollout: false,
            maps: false,
        }
    }
}

/// Direct logit attribution of one token of the clean answer.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttributionSpec {
    /// Index in the clean answer, from 0.
    pub token: usize,
    /// Write what every head carries over from every token into the result file.
    pub maps: bool,
}

/// What of an attention or an attribution is shown on the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadMap {
    /// All heads of all blocks together: the mean of patterns, the sum of attributions.
    #[default]
    All,
    /// The heads of one block together.
    Layer(usize),
    Head(usize, usize),
    /// Of attention alone.
    Rollout,
}
