//! The colour scales as the window names them. Where values lie on them is for [`crate::export::scale`].

pub use crate::export::scale::Placing;
use crate::render::colormap::Palette;
use crate::session::{Colours, Scale};

impl From<Colours> for Palette {
    fn from(colours: Colours) -> Self {
        match colours {
            Colours::Viridis => Self::Viridis,
            Colours::Cividis => Self::Cividis,
        }
    }
}

/// The scale as the menu names it.
pub fn label(scale: Scale) -> &'static str {
    match scale {
        Scale::Linear => "Linear",
        Scale::Sqrt => "Square root",
        Scale::Percentile => "Percentile",
    }
}

/// What it does, for a tooltip.
pub fn explanation(scale: Scale) -> &'static str {
    match scale {
        Scale::Linear => "Equal steps of the value are equal steps of the colour.",
        Scale::Sqrt => "The square root of the linear place: small values are told apart.",
        Scale::Percentile => {
            "The share of this map's values that are smaller: every colour is used equally often."
        }
    }
}
