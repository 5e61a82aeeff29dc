//! What can be done to a run, as plain data in the contract's words.
//!
//! `intervene` compiles these to hooks; nothing here computes. A row that is not `enabled` keeps its place in the
//! list and does nothing.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::index::{HeadSet, LayerRange, Patch, PatchSet, TokenSet};

/// One row of the intervention list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Intervention {
    Ablation(Ablation),
    AttentionKnockout(AttentionKnockout),
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
}

/// What takes the place of an ablated row.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Replacement {
    /// The mean of this picture's patches at that level.
    #[default]
    Mean,
    Zero,
    /// A vector from a safetensors file with one tensor of the model's width.
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
        }
    }
}

impl Intervention {
    pub fn enabled(&self) -> bool {
        match self {
            Self::Ablation(a) => a.enabled,
            Self::AttentionKnockout(k) => k.enabled,
        }
    }

    /// The same row switched on or off.
    #[must_use]
    pub fn with_enabled(mut self, on: bool) -> Self {
        match &mut self {
            Self::Ablation(a) => a.enabled = on,
            Self::AttentionKnockout(k) => k.enabled = on,
        }
        self
    }

    /// Whether it names no patch at all, so that it cannot change anything.
    pub fn is_empty(&self) -> bool {
        let empty = |set: &TokenSet| matches!(set, TokenSet::Patches(p) if p.is_empty());
        match self {
            Self::Ablation(a) => a.patches.is_empty(),
            Self::AttentionKnockout(k) => empty(&k.queries) || empty(&k.keys),
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
            {"type": "attention_knockout", "queries": "last", "keys": "patches:r3c4-r5c9", "layers": "15..=24", "heads": [0, 3]}
        ]"#;
        let rows: Vec<Intervention> = serde_json::from_str(text).unwrap();
        assert_eq!(rows.len(), 6);
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
