//! Interventions in plain words: what a row does, and what it certainly cannot change. Pure.

use crate::index::{HeadSet, LayerRange, Patch, PatchGrid, PatchSet, TokenSet};
use crate::labels::level_label;
use crate::spec::{AttentionKnockout, Intervention, Replacement, SweepOver};

/// What is known of the model; the rows can be worded without it.
#[derive(Clone, Copy, Default)]
pub struct Facts {
    pub grid: Option<PatchGrid>,
    pub n_layers: usize,
    pub n_heads: usize,
}

/// One line: `Ablate 24 patches → mean, at the embeddings`.
pub fn describe(row: &Intervention, facts: Facts) -> String {
    match row {
        Intervention::Ablation(a) => format!(
            "Ablate {} → {}, {}",
            patches(&a.patches, facts),
            replacement(&a.with),
            at_level(a.layer, facts)
        ),
        Intervention::AttentionKnockout(k) => format!(
            "Knock out {} → {}, {}, {}",
            tokens(&k.queries, facts),
            tokens(&k.keys, facts),
            blocks(k.layers),
            heads(&k.heads)
        ),
        Intervention::Swap(swap) => format!(
            "Swap {} → those of {}{}, {}",
            patches(&swap.patches, facts),
            file_name(&swap.image),
            swap.from
                .map_or_else(String::new, |from| format!(" from {from}")),
            at_level(swap.layer, facts)
        ),
        Intervention::Steer(steer) => format!(
            "Steer {} {} “{}” by {}, {}",
            tokens(&steer.tokens, facts),
            if steer.strength < 0.0 {
                "away from"
            } else {
                "towards"
            },
            steer.word,
            crate::labels::number(steer.strength.abs()),
            at_level(steer.layer, facts)
        ),
        Intervention::Erase(erase) => format!(
            "Erase “{}” from {}, {}",
            erase.word,
            tokens(&erase.tokens, facts),
            at_level(erase.layer, facts)
        ),
        Intervention::Scale(scale) => format!(
            "Scale {} by {}, {}",
            tokens(&scale.tokens, facts),
            crate::labels::number(scale.by),
            at_level(scale.layer, facts)
        ),
    }
}

fn file_name(path: &std::path::Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// `24 patches`, `all patches`, `no patch`; one patch by its name.
pub fn patches(set: &PatchSet, facts: Facts) -> String {
    match set {
        PatchSet::All => "all patches".to_owned(),
        PatchSet::Cells(cells) => match cells.len() {
            0 => "no patch".to_owned(),
            1 => set.to_string(),
            n if facts.grid.is_some_and(|g| g.len() == n) => "all patches".to_owned(),
            n => format!("{n} patches"),
        },
    }
}

fn replacement(with: &Replacement) -> String {
    match with {
        Replacement::Mean => "mean".to_owned(),
        Replacement::Zero => "zero".to_owned(),
        Replacement::MeanOf(path) => format!("mean from {}", file_name(path)),
        Replacement::Noise(seed) => format!("noise {seed}"),
        Replacement::Patch(patch) => format!("copy of {patch}"),
        Replacement::Image(path) => format!("those of {}", file_name(path)),
    }
}

fn at_level(level: usize, facts: Facts) -> String {
    match level {
        0 => "at the embeddings".to_owned(),
        level => level_label(level, facts.n_layers.max(level + 1)),
    }
}

/// The words of the session file where they are clear, else a little more.
pub fn tokens(set: &TokenSet, facts: Facts) -> String {
    match set {
        TokenSet::Patches(p) => patches(p, facts),
        TokenSet::Image => "picture".to_owned(),
        TokenSet::All => "all tokens".to_owned(),
        other => other.to_string(),
    }
}

fn blocks(layers: LayerRange) -> String {
    match layers {
        LayerRange::All => "all blocks".to_owned(),
        LayerRange::Blocks { first, last } if first == last => format!("block {first}"),
        LayerRange::Blocks { first, last } => format!("blocks {first}–{last}"),
    }
}

fn heads(heads: &HeadSet) -> String {
    match heads {
        HeadSet::All => "all heads".to_owned(),
        HeadSet::List(list) if list.len() == 1 => format!("head {}", list[0]),
        HeadSet::List(list) => {
            let list: Vec<_> = list.iter().map(ToString::to_string).collect();
            format!("heads {}", list.join(", "))
        }
    }
}

/// What a sweep takes away, one at a time: `squares of 2 × 2 patches → mean, at the embeddings`.
pub fn describe_sweep(over: &SweepOver, facts: Facts) -> String {
    let from_to = |queries, keys| format!("{} → {}", tokens(queries, facts), tokens(keys, facts));
    match over {
        SweepOver::Patches { with, layer, block } => {
            let what = match block {
                1 => "patches".to_owned(),
                n => format!("squares of {n} × {n} patches"),
            };
            format!(
                "{what} → {}, {}",
                replacement(with),
                at_level(*layer, facts)
            )
        }
        SweepOver::Layers {
            queries,
            keys,
            window,
        } => match window {
            1 => format!("{} in single blocks", from_to(queries, keys)),
            n => format!("{} in {n} blocks at once", from_to(queries, keys)),
        },
        SweepOver::Heads { queries, keys } => {
            format!("{} in single heads", from_to(queries, keys))
        }
    }
}

/// What the row cannot change, where that is certain: the decoder is causal and goes upwards.
pub fn cannot_change(row: &Intervention) -> Option<String> {
    if row.is_empty() {
        return Some("names no patch: it changes nothing".to_owned());
    }
    match row {
        Intervention::AttentionKnockout(k) => knockout_limits(k),
        Intervention::Steer(s) if s.strength == 0.0 => Some("by 0: it changes nothing".to_owned()),
        Intervention::Scale(s) if s.by == 1.0 => Some("by 1: it changes nothing".to_owned()),
        row => row_limits(row.level()?, &row.tokens()?),
    }
}

/// What rows before the first one that is changed, and levels below, keep.
fn row_limits(layer: usize, tokens: &TokenSet) -> Option<String> {
    let levels = match layer {
        0 => None,
        1 => Some("the embeddings".to_owned()),
        n => Some(format!("levels below {n}")),
    };
    let first = match tokens {
        TokenSet::Patches(PatchSet::Cells(cells)) => cells.first().copied(),
        TokenSet::Question | TokenSet::Last | TokenSet::Answer => {
            return Some(match levels {
                None => {
                    "only what comes after the picture can change: the words in the patches stay"
                        .to_owned()
                }
                Some(levels) => format!(
                    "only what comes after the picture can change: {levels} and the words in the patches stay"
                ),
            });
        }
        _ => None,
    };
    let earlier = first
        .filter(|p| *p != Patch::new(0, 0))
        .map(|p| format!("patches before {p}"));
    match (levels, earlier) {
        (None, None) => None,
        (Some(one), None) | (None, Some(one)) => Some(format!("{one} stay as they are")),
        (Some(a), Some(b)) => Some(format!("{a} and {b} stay as they are")),
    }
}

fn knockout_limits(k: &AttentionKnockout) -> Option<String> {
    if never_sees(&k.queries, &k.keys) {
        return Some(
            "these tokens come before what they shall not see: it changes nothing".to_owned(),
        );
    }
    if matches!(
        k.queries,
        TokenSet::Last | TokenSet::Answer | TokenSet::Question
    ) {
        return Some("words in the patches cannot change".to_owned());
    }
    match k.layers {
        LayerRange::Blocks { first, .. } if first > 0 => {
            Some(format!("levels up to {first} stay as they are"))
        }
        _ => None,
    }
}

/// Whether causality alone keeps the queries from the keys.
fn never_sees(queries: &TokenSet, keys: &TokenSet) -> bool {
    let place = |set: &TokenSet| match set {
        TokenSet::System => Some(0),
        TokenSet::Image | TokenSet::Patches(_) => Some(1),
        TokenSet::Question => Some(2),
        TokenSet::Last | TokenSet::Answer => Some(3),
        TokenSet::All => None,
    };
    matches!((place(queries), place(keys)), (Some(q), Some(k)) if q < k)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(json: &str) -> Intervention {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn rows_in_plain_words() {
        let facts = Facts {
            grid: Some(PatchGrid::new(24, 24)),
            n_layers: 8,
            n_heads: 8,
        };
        for (json, words, limits) in [
            (
                r#"{"type":"ablation","patches":"r1c0-r2c11"}"#,
                "Ablate 24 patches → mean, at the embeddings",
                Some("patches before r1c0 stay as they are"),
            ),
            (
                r#"{"type":"ablation","patches":"r0c0","layer":5,"with":{"noise":7}}"#,
                "Ablate r0c0 → noise 7, after block 5",
                Some("levels below 5 stay as they are"),
            ),
            (
                r#"{"type":"ablation","patches":"all","with":{"image":"a/b.png"}}"#,
                "Ablate all patches → those of b.png, at the embeddings",
                None,
            ),
            (
                r#"{"type":"attention_knockout","queries":"last","keys":"patches:r0c0-r0c2","layers":"5..=7"}"#,
                "Knock out last → 3 patches, blocks 5–7, all heads",
                Some("words in the patches cannot change"),
            ),
            (
                r#"{"type":"attention_knockout","queries":"system","keys":"image","heads":[0,3]}"#,
                "Knock out system → picture, all blocks, heads 0, 3",
                Some("these tokens come before what they shall not see: it changes nothing"),
            ),
            (
                r#"{"type":"attention_knockout","queries":"all","keys":"image","layers":"2..=3"}"#,
                "Knock out all tokens → picture, blocks 2–3, all heads",
                Some("levels up to 2 stay as they are"),
            ),
        ] {
            let row = row(json);
            assert_eq!(describe(&row, facts), words);
            assert_eq!(cannot_change(&row).as_deref(), limits);
        }
    }
}
