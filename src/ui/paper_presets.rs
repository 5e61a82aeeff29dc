//! The paper's knockouts (section 4.2, figure 5): which tokens, and which windows of blocks. Pure.

use crate::index::{HeadSet, LayerRange, PatchGrid, PatchSet, TokenSet, choose};
use crate::spec::AttentionKnockout;

/// Blocks of the model that the paper looks at.
const PAPER_LAYERS: usize = 32;
/// Its windows, both ends in.
const WINDOWS: [(usize, usize); 5] = [(0, 9), (5, 14), (11, 20), (15, 24), (21, 31)];

/// The paper's windows for a model of `n_layers` blocks, with labels that say so where they had to be scaled; all first.
pub fn windows(n_layers: usize) -> Vec<(String, LayerRange)> {
    let all = ("all".to_owned(), LayerRange::All);
    let scaled = |at: usize| (at * n_layers + PAPER_LAYERS / 2) / PAPER_LAYERS;
    let window = |(first, last): (usize, usize)| {
        let end = n_layers.saturating_sub(1);
        let from = scaled(first).min(end);
        let to = scaled(last + 1).saturating_sub(1).clamp(from, end);
        let label = match n_layers {
            PAPER_LAYERS => format!("{first}–{last}"),
            _ => format!("{from}–{to} ({first}–{last} of {PAPER_LAYERS})"),
        };
        let range = LayerRange::Blocks {
            first: from,
            last: to,
        };
        (label, range)
    };
    std::iter::once(all)
        .chain(WINDOWS.into_iter().map(window))
        .collect()
}

/// The paper's knockouts of an object, as (label, row): from the last token's sight go the object, the object with one
/// or two rings around it, all but the object with one ring, the picture's last row.
pub fn knockouts(
    object: &PatchSet,
    layers: LayerRange,
    grid: PatchGrid,
) -> Vec<(&'static str, AttentionKnockout)> {
    let one = choose::grow(object, grid);
    let two = choose::grow(&one, grid);
    let others = choose::invert(&one, grid);
    [
        ("object → last token", object.clone()),
        ("object +1 → last token", one),
        ("object +2 → last token", two),
        ("all but object +1 → last token", others),
        ("last row → last token", choose::last_row(grid)),
    ]
    .into_iter()
    .map(|(label, keys)| {
        let row = AttentionKnockout {
            queries: TokenSet::Last,
            keys: TokenSet::Patches(keys),
            layers,
            heads: HeadSet::All,
            enabled: true,
            name: Some(label.to_owned()),
        };
        (label, row)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_the_papers_or_say_that_they_are_scaled() {
        let labels =
            |n| -> Vec<String> { windows(n).into_iter().map(|(label, _)| label).collect() };
        assert_eq!(
            labels(32),
            ["all", "0–9", "5–14", "11–20", "15–24", "21–31"]
        );
        assert_eq!(labels(8)[1], "0–2 (0–9 of 32)");
        for n in 1..80 {
            for (label, range) in windows(n) {
                assert!(range.resolve(n).is_ok(), "{n}: {label}");
            }
        }
    }

    #[test]
    fn the_object_grows() {
        let grid = PatchGrid::new(6, 6);
        let rows = knockouts(&"r2c2".parse().unwrap(), LayerRange::All, grid);
        let keys: Vec<String> = rows.iter().map(|(_, row)| row.keys.to_string()).collect();
        assert_eq!(keys[0], "patches:r2c2");
        assert_eq!(keys[1], "patches:r1c1-r3c3");
        assert_eq!(keys[2], "patches:r0c0-r4c4");
        assert!(keys[3].starts_with("patches:r0c0-r0c5"));
        assert_eq!(keys[4], "patches:r5c0-r5c5");
    }
}
