//! The control of an experiment: the same interventions on as many patches by chance. Plain data; nothing here computes.

use serde::{Deserialize, Serialize};

use super::{Experiment, Intervention};
use crate::index::{PatchGrid, PatchSet, TokenSet, choose};

/// Which random sets are drawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ControlSpec {
    /// One run for each.
    pub seeds: Vec<u64>,
}

impl Default for ControlSpec {
    fn default() -> Self {
        Self {
            seeds: (0..5).collect(),
        }
    }
}

impl Experiment {
    /// The same experiment with every set of patches replaced by as many patches by chance; equal sets stay equal.
    /// `None` where no row that is on names patches: there is nothing to draw.
    #[must_use]
    pub fn control(&self, seed: u64, grid: PatchGrid) -> Option<Self> {
        let mut n_drawn = 0;
        let mut draw = |set: &mut PatchSet| {
            if *set != PatchSet::All && !set.is_empty() {
                *set = choose::random(set.count(grid), seed, grid);
                n_drawn += 1;
            }
        };
        let mut interventions: Vec<_> = self.active().cloned().collect();
        for row in &mut interventions {
            match row {
                Intervention::Ablation(a) => draw(&mut a.patches),
                Intervention::Swap(swap) => {
                    draw(&mut swap.patches);
                    // Scattered patches have no rectangle: each comes from its own place.
                    swap.from = None;
                }
                Intervention::AttentionKnockout(k) => {
                    for set in [&mut k.queries, &mut k.keys] {
                        draw_tokens(set, &mut draw);
                    }
                }
                Intervention::Steer(row) => draw_tokens(&mut row.tokens, &mut draw),
                Intervention::Erase(row) => draw_tokens(&mut row.tokens, &mut draw),
                Intervention::Scale(row) => draw_tokens(&mut row.tokens, &mut draw),
            }
        }
        (n_drawn > 0).then(|| Self {
            interventions,
            ..self.clone()
        })
    }
}

fn draw_tokens(set: &mut TokenSet, draw: &mut impl FnMut(&mut PatchSet)) {
    if let TokenSet::Patches(patches) = set {
        draw(patches);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn experiment(json: &str) -> Experiment {
        Experiment {
            interventions: serde_json::from_str(json).unwrap(),
            ..Experiment::default()
        }
    }

    #[test]
    fn sets_keep_their_sizes_and_what_is_off_is_left_out() {
        let grid = PatchGrid::new(6, 6);
        let e = experiment(
            r#"[{"type":"ablation","patches":"r1c1-r2c3","layer":1},
                {"type":"ablation","patches":"r0c0","enabled":false},
                {"type":"attention_knockout","queries":"last","keys":"patches:r1c1-r2c3"}]"#,
        );
        for seed in 0..20 {
            let control = e.control(seed, grid).unwrap();
            assert_eq!(control.interventions.len(), 2);
            let sets: Vec<String> = control
                .interventions
                .iter()
                .map(|row| match row {
                    Intervention::Ablation(a) => format!("patches:{}", a.patches),
                    Intervention::AttentionKnockout(k) => k.keys.to_string(),
                    other => panic!("{other:?}"),
                })
                .collect();
            assert_eq!(sets[0], sets[1], "one object stays one object");
            let drawn: PatchSet = sets[0]["patches:".len()..].parse().unwrap();
            assert_eq!(drawn.count(grid), 6);
            assert_eq!(control, e.control(seed, grid).unwrap());
        }
        assert_ne!(e.control(0, grid), e.control(1, grid));
    }

    #[test]
    fn where_no_patch_is_named_there_is_nothing_to_draw() {
        let e = experiment(
            r#"[{"type":"attention_knockout","queries":"last","keys":"image"},
                {"type":"ablation","patches":"all"}]"#,
        );
        assert_eq!(e.control(0, PatchGrid::new(6, 6)), None);
    }
}
