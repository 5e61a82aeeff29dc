//! How the next sweep is set up and how its result is looked at: saved with the view, never undone.

use serde::{Deserialize, Serialize};

use crate::engine::sweep::Effect;
use crate::index::TokenSet;
use crate::spec::{Replacement, SweepKind, SweepOver, SweepSpec};

/// Which of an effect's numbers is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    #[default]
    LogProbability,
    Probability,
    Logit,
}

impl Measure {
    pub const ALL: [Self; 3] = [Self::LogProbability, Self::Probability, Self::Logit];

    pub fn of(self, effect: &Effect) -> f32 {
        match self {
            Self::LogProbability => effect.log_prob,
            Self::Probability => effect.prob,
            Self::Logit => effect.logit,
        }
    }
}

/// The settings of all kinds of sweeps; each keeps its own while another is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SweepSettings {
    pub kind: SweepKind,
    /// Which token of the clean answer is watched, from 0.
    pub token: usize,
    /// Of patches.
    pub with: Replacement,
    pub level: usize,
    pub block: usize,
    /// Of layers and heads.
    pub queries: TokenSet,
    pub keys: TokenSet,
    /// Of layers.
    pub window: usize,
    pub measure: Measure,
}

impl Default for SweepSettings {
    fn default() -> Self {
        Self {
            kind: SweepKind::default(),
            token: 0,
            with: Replacement::default(),
            level: 0,
            block: 1,
            queries: TokenSet::Answer,
            keys: TokenSet::Image,
            window: 1,
            measure: Measure::default(),
        }
    }
}

impl SweepSettings {
    /// The sweep that these settings ask for.
    pub fn spec(&self) -> SweepSpec {
        let (queries, keys) = (self.queries.clone(), self.keys.clone());
        let over = match self.kind {
            SweepKind::Patches => SweepOver::Patches {
                with: self.with.clone(),
                layer: self.level,
                block: self.block,
            },
            SweepKind::Layers => SweepOver::Layers {
                queries,
                keys,
                window: self.window,
            },
            SweepKind::Heads => SweepOver::Heads { queries, keys },
        };
        SweepSpec {
            token: self.token,
            over,
        }
    }
}
