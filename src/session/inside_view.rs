//! How attention and attribution are looked at: saved with the view, never undone, never part of a run.

use serde::{Deserialize, Serialize};

use crate::spec::HeadMap;

/// Settings of the panels "Attention" and "Attribution".
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InsideView {
    /// What of the attention is the heat map.
    pub attention: HeadMap,
    /// What of the attribution is the heat map.
    pub attribution: HeadMap,
    /// The heads' numbers are of the selection instead of the whole picture.
    pub into_selection: bool,
    /// Sinks and patches of high norm do not stretch the colour scale.
    pub without_sinks: bool,
}
