//! What can be done to a run, as plain data in the contract's words.
//!
//! `intervene` compiles these to hooks; nothing here computes. A row that is not `enabled` keeps its place in the
//! list and does nothing.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::index::{HeadSet, LayerRange, Patch, PatchGrid, PatchSet, TokenSet};

/// One row of the intervention list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Intervention {
    Ablation(Ablation),
    AttentionKnockout(AttentionKnockout),
    Swap(Swap),
    Steer(Steer),
    Erase(Erase),
    Scale(Scale),
}

/// Replaces the residual rows of patches at one level (paper, section 3).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ablation {
    pub patches: PatchSet,
    #[serde(default)]
    pub with: Replacement,
    /// The level whose rows are replaced: 0 is what enters the decoder, n is the stream after n blocks.
    #[serde(default)]
    pub layer: usize,
    #[serde(default = "on")]
    pub enabled: bool,
    /// What the person calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What takes the place of an ablated row.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Replacement {
    /// The mean of this picture's patches at that level.
    #[default]
    Mean,
    Zero,
    /// A vector of the model's width from a file: safetensors with one tensor, or PyTorch's `.pt` with one.
    MeanOf(PathBuf),
    /// Gaussian noise with the mean and standard deviation, per dimension, of this picture's patches at that level.
    Noise(u64),
    /// The row of another patch of this picture.
    Patch(Patch),
    /// The rows of the same patches of another picture under the same prompt.
    Image(PathBuf),
}

/// Stops queries from attending to keys (Geva et al. 2023; paper, section 4.2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttentionKnockout {
    pub queries: TokenSet,
    pub keys: TokenSet,
    #[serde(default)]
    pub layers: LayerRange,
    #[serde(default)]
    pub heads: HeadSet,
    #[serde(default = "on")]
    pub enabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Puts patches of another picture, under the same prompt, in the place of patches of this one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Swap {
    /// The patches of this picture that are replaced.
    pub patches: PatchSet,
    pub image: PathBuf,
    /// The patch of the other picture that comes to the top left corner of the rectangle around `patches`; the others
    /// keep their distance to it. Left out, every patch comes from its own place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Patch>,
    #[serde(default)]
    pub layer: usize,
    #[serde(default = "on")]
    pub enabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Which vector of the model stands for a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WordVector {
    /// The row of the unembedding times the final norm's weight: the way along which the word's logit rises.
    #[default]
    Unembedding,
    /// The row of the input embeddings.
    Embedding,
    /// The residual stream at this level where the model reads the word alone (Jiang et al., arXiv 2410.02762).
    Text(usize),
}

/// Adds a word's direction to residual rows at one level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steer {
    pub tokens: TokenSet,
    /// Of several tokens the first stands for it.
    pub word: String,
    #[serde(default)]
    pub vector: WordVector,
    /// Length of what is added, in lengths of the row that it is added to; below 0 it is subtracted.
    pub strength: f32,
    #[serde(default)]
    pub layer: usize,
    #[serde(default = "on")]
    pub enabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Projects a word's direction out of residual rows at one level (Jiang et al., arXiv 2410.02762, section 5).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erase {
    pub tokens: TokenSet,
    pub word: String,
    #[serde(default)]
    pub vector: WordVector,
    #[serde(default)]
    pub layer: usize,
    #[serde(default = "on")]
    pub enabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Multiplies residual rows at one level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    pub tokens: TokenSet,
    pub by: f32,
    #[serde(default)]
    pub layer: usize,
    #[serde(default = "on")]
    pub enabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

fn on() -> bool {
    true
}

impl Ablation {
    /// The default kind: mean of this picture's patches, at what enters the decoder.
    pub fn of(patches: PatchSet) -> Self {
        Self {
            patches,
            with: Replacement::Mean,
            layer: 0,
            enabled: true,
            name: None,
        }
    }
}

impl Swap {
    /// The patch of the other picture that comes to each place, as (place, other); `None` where that lies beyond any
    /// grid.
    pub fn pairs(&self, grid: PatchGrid) -> Vec<(Patch, Option<Patch>)> {
        let places: Vec<Patch> = grid
            .patches()
            .filter(|p| self.patches.contains(*p))
            .collect();
        let corner = Patch::new(
            places.iter().map(|p| p.row).min().unwrap_or(0),
            places.iter().map(|p| p.col).min().unwrap_or(0),
        );
        let from = self.from.unwrap_or(corner);
        let moved = |at: u16, corner: u16, from: u16| (at - corner).checked_add(from);
        let other = |p: Patch| {
            let row = moved(p.row, corner.row, from.row)?;
            Some(Patch::new(row, moved(p.col, corner.col, from.col)?))
        };
        places.into_iter().map(|p| (p, other(p))).collect()
    }
}

/// The same field of every kind of row.
macro_rules! of_any {
    ($row:expr, $field:ident) => {
        match $row {
            Intervention::Ablation(row) => &mut row.$field,
            Intervention::AttentionKnockout(row) => &mut row.$field,
            Intervention::Swap(row) => &mut row.$field,
            Intervention::Steer(row) => &mut row.$field,
            Intervention::Erase(row) => &mut row.$field,
            Intervention::Scale(row) => &mut row.$field,
        }
    };
}

impl Intervention {
    pub fn enabled(&self) -> bool {
        match self {
            Self::Ablation(row) => row.enabled,
            Self::AttentionKnockout(row) => row.enabled,
            Self::Swap(row) => row.enabled,
            Self::Steer(row) => row.enabled,
            Self::Erase(row) => row.enabled,
            Self::Scale(row) => row.enabled,
        }
    }

    /// The same row switched on or off.
    #[must_use]
    pub fn with_enabled(mut self, on: bool) -> Self {
        *of_any!(&mut self, enabled) = on;
        self
    }

    /// What the person calls the row.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Ablation(row) => row.name.as_deref(),
            Self::AttentionKnockout(row) => row.name.as_deref(),
            Self::Swap(row) => row.name.as_deref(),
            Self::Steer(row) => row.name.as_deref(),
            Self::Erase(row) => row.name.as_deref(),
            Self::Scale(row) => row.name.as_deref(),
        }
    }

    /// The same row under another name; an empty one takes the name away.
    #[must_use]
    pub fn with_name(mut self, name: &str) -> Self {
        let name = name.trim();
        *of_any!(&mut self, name) = (!name.is_empty()).then(|| name.to_owned());
        self
    }

    /// The level whose rows it changes; `None` for a knockout, which acts in blocks.
    pub fn level(&self) -> Option<usize> {
        match self {
            Self::Ablation(row) => Some(row.layer),
            Self::AttentionKnockout(_) => None,
            Self::Swap(row) => Some(row.layer),
            Self::Steer(row) => Some(row.layer),
            Self::Erase(row) => Some(row.layer),
            Self::Scale(row) => Some(row.layer),
        }
    }

    /// The tokens whose rows it changes at that level; `None` for a knockout.
    pub fn tokens(&self) -> Option<TokenSet> {
        match self {
            Self::Ablation(row) => Some(TokenSet::Patches(row.patches.clone())),
            Self::AttentionKnockout(_) => None,
            Self::Swap(row) => Some(TokenSet::Patches(row.patches.clone())),
            Self::Steer(row) => Some(row.tokens.clone()),
            Self::Erase(row) => Some(row.tokens.clone()),
            Self::Scale(row) => Some(row.tokens.clone()),
        }
    }

    /// Whether it names no patch at all, so that it cannot change anything.
    pub fn is_empty(&self) -> bool {
        let empty = |set: &TokenSet| matches!(set, TokenSet::Patches(p) if p.is_empty());
        match self {
            Self::AttentionKnockout(k) => empty(&k.queries) || empty(&k.keys),
            row => row.tokens().is_some_and(|tokens| empty(&tokens)),
        }
    }

    /// The file that it takes rows or a vector from.
    pub fn file_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            Self::Ablation(ablation) => ablation.with.file_mut(),
            Self::Swap(swap) => Some(&mut swap.image),
            _ => None,
        }
    }
}

impl Replacement {
    /// The file that rows or a vector are taken from.
    pub fn file_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            Self::MeanOf(path) | Self::Image(path) => Some(path),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_contract() {
        let text = r#"[
            {"type": "ablation", "patches": "r3c4, r5c6-r8c9", "with": "mean", "layer": 0, "enabled": true},
            {"type": "ablation", "patches": "all", "with": {"mean_of": "m.safetensors"}},
            {"type": "ablation", "patches": "r1c1", "with": {"noise": 3}, "layer": 2},
            {"type": "ablation", "patches": "r1c1", "with": {"patch": "r0c0"}},
            {"type": "ablation", "patches": "r1c1", "with": {"image": "b.png"}, "enabled": false},
            {"type": "attention_knockout", "queries": "last", "keys": "patches:r3c4-r5c9", "layers": "15..=24", "heads": [0, 3]},
            {"type": "swap", "patches": "r1c1-r2c2", "image": "b.png", "from": "r3c0", "layer": 1, "name": "B's cat"},
            {"type": "steer", "tokens": "image", "word": "dog", "strength": -0.5, "layer": 3},
            {"type": "erase", "tokens": "patches:r1c1", "word": "dog", "vector": {"text": 2}},
            {"type": "scale", "tokens": "last", "by": 0.0, "enabled": false}
        ]"#;
        let rows: Vec<Intervention> = serde_json::from_str(text).unwrap();
        assert_eq!(rows.len(), 10);
        assert_eq!((rows[6].name(), rows[7].name()), (Some("B's cat"), None));
        assert!(!rows[9].enabled() && rows[7].level() == Some(3));
        assert!(!rows[4].enabled());
        let again: Vec<Intervention> =
            serde_json::from_str(&serde_json::to_string(&rows).unwrap()).unwrap();
        assert_eq!(rows, again);
    }

    #[test]
    fn unknown_fields_are_named() {
        let error =
            serde_json::from_str::<Intervention>(r#"{"type":"ablation","patches":"all","layr":1}"#)
                .unwrap_err();
        assert!(error.to_string().contains("layr"), "{error}");
    }
}
