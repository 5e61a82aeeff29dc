//! Typed positions: patches on the grid, levels of the residual stream, decoder blocks, sets of tokens.
//!
//! Nothing here knows a model, a tensor or a window. Sets are symbolic until they meet a [`TokenLayout`] or a
//! [`PatchGrid`], so that they survive an edited prompt and cover tokens that are not generated yet.

pub mod choose;
mod layer;
mod patch;
mod query;
mod token;

pub use layer::{HeadSet, LayerRange};
pub use patch::{Patch, PatchGrid, PatchSet};
pub use query::QueryToken;
pub use token::{TokenLayout, TokenSet};

/// Implements serde for a type whose file form is the text of its `Display` and `FromStr`.
macro_rules! serde_as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use serde_as_text;
