//! One table of the window's panes: name, tooltip, where they stand at first.
//!
//! A new pane is a row here and an arm in the shell's `draw_pane`. Titles of tabs, the menu View, the palette and the
//! names for screen readers come from this table. It draws nothing and knows no layout.

use serde::{Deserialize, Deserializer, Serialize};

/// Where a pane stands until somebody moves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// Large, at the left.
    Left,
    /// At the right, above.
    Top,
    /// At the right, below: one tab of many.
    Bottom,
    /// Closed until it is asked for.
    Closed,
}

macro_rules! panes {
    ($($name:ident, $title:literal, $tooltip:literal, $home:ident, $scrolls:literal;)*) => {
        /// A part of the window that can be moved, closed and brought back.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
        pub enum Pane {
            $($name,)*
            /// Of a remembered layout of another version: dropped when it is read.
            Unknown,
        }

        impl Pane {
            /// All panes, in the order of the menu View and of their tabs.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Title of the tab and name for screen readers.
            pub const fn title(self) -> &'static str {
                match self {
                    $(Self::$name => $title,)*
                    Self::Unknown => "",
                }
            }

            pub const fn tooltip(self) -> &'static str {
                match self {
                    $(Self::$name => $tooltip,)*
                    Self::Unknown => "",
                }
            }

            pub const fn home(self) -> Home {
                match self {
                    $(Self::$name => Home::$home,)*
                    Self::Unknown => Home::Closed,
                }
            }

            /// Whether the shell gives it margins and scrolls it; others fill their place and scroll by themselves.
            pub const fn scrolls(self) -> bool {
                match self {
                    $(Self::$name => $scrolls,)*
                    Self::Unknown => false,
                }
            }

            fn named(name: &str) -> Self {
                match name {
                    $(stringify!($name) => Self::$name,)*
                    _ => Self::Unknown,
                }
            }
        }
    };
}

// Name, title, tooltip, home, whether the shell scrolls it.
panes! {
    Picture, "Picture", "The picture with its patches, words and heat map", Left, false;
    Answer, "Question and answer", "What the model is asked, what it answers before and after, and the first token's candidates", Top, true;
    Interventions, "Interventions", "What is done to the run: ablations and knockouts, row by row", Bottom, true;
    Selection, "Selection", "Which patches are selected, and ways to select more", Bottom, true;
    Attention, "Attention", "Where a token looks, head by head", Bottom, true;
    Attribution, "Attribution", "Which layers, heads and patches a word of the answer comes from", Bottom, true;
    Runs, "Runs", "Runs that are kept by name, to come back to", Bottom, true;
    Tour, "Tour", "What to look at, step by step", Closed, true;
    Sweep, "Sweep", "What a word of the answer depends on: take away one thing at a time", Bottom, true;
    Words, "Word search", "Where and at which level the patches say a word", Bottom, true;
    LensTable, "Lens table", "The top word of every patch or token at every level", Bottom, false;
    Difference, "Difference", "Which words the interventions changed, and how far", Bottom, false;
    Legend, "Legend", "The words on the picture, the most frequent first", Bottom, false;
}

impl<'de> Deserialize<'de> for Pane {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::named(&String::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panes_are_read_by_name_and_strangers_are_told_apart() {
        for pane in Pane::ALL {
            let text = serde_json::to_string(pane).unwrap();
            assert_eq!(serde_json::from_str::<Pane>(&text).unwrap(), *pane);
            assert!(!pane.title().is_empty() && !pane.tooltip().ends_with('.'));
        }
        let pane: Pane = serde_json::from_str("\"HolographicView\"").unwrap();
        assert_eq!(pane, Pane::Unknown);
    }
}
