//! How the session is looked at: saved with it, never undone, never part of a run.

use serde::{Deserialize, Serialize};

use super::{InsideView, ReadingView, SweepSettings};
use crate::index::PatchSet;

/// What the heat map shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeatKind {
    Off,
    /// Probability of the top word.
    #[default]
    TopProbability,
    /// Entropy of the distribution, in nats.
    Entropy,
    /// L2 norm of the residual row.
    Norm,
    /// Probability of the typed word.
    Word,
    /// Relative change of the residual row against the clean run.
    Change,
    /// What the watched token of the answer loses without the patch, by a sweep over the patches.
    Importance,
    /// Attention to the patch.
    Attention,
    /// What the patch adds to the logit of a token of the answer.
    Attribution,
    /// KL from the clean run.
    Divergence,
}

impl HeatKind {
    pub const ALL: [Self; 10] = [
        Self::TopProbability,
        Self::Entropy,
        Self::Norm,
        Self::Word,
        Self::Change,
        Self::Divergence,
        Self::Importance,
        Self::Attention,
        Self::Attribution,
        Self::Off,
    ];
}

/// What a click on a patch does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tool {
    /// Toggles ablation.
    #[default]
    Ablate,
    /// Toggles membership in the selection.
    Select,
    /// Selects what a drawn line goes round.
    Lasso,
}

/// A selection that is kept under a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedSelection {
    pub name: String,
    pub patches: PatchSet,
}

/// The saved part of the view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ViewState {
    /// `None` until chosen: the model's default level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<usize>,
    pub tool: Tool,
    pub heat: HeatKind,
    /// Of the heat map over the picture, 0..=1.
    pub opacity: f32,
    pub show_grid: bool,
    pub show_words: bool,
    /// Show the clean run in place of the edited one.
    pub show_clean: bool,
    /// Before, after and difference stand side by side.
    #[serde(skip_serializing_if = "is_default")]
    pub compare: bool,
    pub selection: PatchSet,
    /// In the order in which they were kept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub selections: Vec<NamedSelection>,
    /// The intervention that is chosen in the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_row: Option<usize>,
    #[serde(skip_serializing_if = "is_default")]
    pub sweep: SweepSettings,
    #[serde(skip_serializing_if = "is_default")]
    pub reading: ReadingView,
    #[serde(skip_serializing_if = "is_default")]
    pub inside: InsideView,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Default for ViewState {
    fn default() -> Self {
        Self {
            level: None,
            tool: Tool::default(),
            heat: HeatKind::default(),
            opacity: 0.6,
            show_grid: true,
            show_words: true,
            show_clean: false,
            compare: false,
            selection: PatchSet::default(),
            selections: Vec::new(),
            active_row: None,
            sweep: SweepSettings::default(),
            reading: ReadingView::default(),
            inside: InsideView::default(),
        }
    }
}
