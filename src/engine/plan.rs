//! What an edit can reach: which rows of which blocks must be computed again, and which words can change.
//!
//! Attention is causal, so rows before the first edited position stay as they are, and so does everything below the
//! first edited level. Pure arithmetic on positions; no tensors.

use crate::error::Result;
use crate::index::TokenLayout;
use crate::spec::{Intervention, Replacement};

/// Runs compute at least this many rows: products of fewer rows take other kernels, which round differently.
const MIN_ROWS: usize = 8;

/// The reach of a set of interventions over a prompt of `n` positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// First row that a block must compute; `n` where it computes none. Never rises with the block. `[block]`
    pub rows_from: Vec<usize>,
    /// First row of the residual stream that can differ; `n` where none can. Never rises with the level. `[level]`
    pub changed_from: Vec<usize>,
    n: usize,
}

impl Plan {
    /// The reach of the interventions that are switched on.
    ///
    /// # Errors
    /// A patch or block that the model does not have.
    pub fn of_edits(rows: &[Intervention], layout: &TokenLayout, n_layers: usize) -> Result<Self> {
        let n = layout.n_prompt;
        let mut plan = Self {
            rows_from: vec![n; n_layers],
            changed_from: vec![n; n_layers + 1],
            n,
        };
        for row in rows.iter().filter(|row| row.enabled()) {
            match row {
                Intervention::Ablation(a) => {
                    // A patch that is replaced by itself only changes where another row changes it.
                    let own = match a.with {
                        Replacement::Patch(patch) => layout.grid.index(patch),
                        _ => None,
                    };
                    let patches = a.patches.indices(layout.grid)?;
                    if let Some(patch) = patches.iter().find(|patch| Some(**patch) != own) {
                        plan.reach(layout.position(*patch), a.layer, a.layer);
                    }
                }
                Intervention::Swap(swap) => {
                    // A patch of another picture is another row, even where it comes to its own place.
                    let first = swap.patches.indices(layout.grid)?.first().copied();
                    if let Some(patch) = first {
                        plan.reach(layout.position(patch), swap.layer, swap.layer);
                    }
                }
                Intervention::Steer(_) | Intervention::Erase(_) | Intervention::Scale(_) => {
                    // Rows that are generated later are computed anyway.
                    let tokens = row.tokens().map(|t| t.positions(layout, n)).transpose()?;
                    let first = tokens.and_then(|positions| positions.first().copied());
                    if let (Some(first), Some(level)) = (first, row.level()) {
                        plan.reach(first, level, level);
                    }
                }
                Intervention::AttentionKnockout(k) => {
                    let block = *k.layers.resolve(n_layers)?.start();
                    let queries = k.queries.positions(layout, n)?;
                    let keys = k.keys.positions(layout, n)?;
                    // Later keys are masked anyway, and a query keeps itself.
                    let first = queries
                        .iter()
                        .find(|query| keys.first().is_some_and(|key| key < query));
                    if let Some(first) = first {
                        plan.reach(*first, block, block + 1);
                    }
                }
            }
        }
        Ok(plan)
    }

    /// The reach of a new text after `first` positions that stay the same.
    pub fn of_suffix(first: usize, n: usize, n_layers: usize) -> Self {
        let mut plan = Self {
            rows_from: vec![n; n_layers],
            changed_from: vec![n; n_layers + 1],
            n,
        };
        plan.reach(first, 0, 0);
        plan
    }

    /// Everything from `first` on, computed from `block` on, different from `level` on.
    fn reach(&mut self, first: usize, block: usize, level: usize) {
        let padded = first.min(self.n.saturating_sub(MIN_ROWS));
        for rows in self.rows_from.iter_mut().skip(block) {
            *rows = (*rows).min(padded);
        }
        for changed in self.changed_from.iter_mut().skip(level) {
            *changed = (*changed).min(first);
        }
    }

    /// Share of all rows of all blocks that are computed, 0..=1.
    pub fn share(&self) -> f32 {
        let computed: usize = self.rows_from.iter().map(|from| self.n - from).sum();
        computed as f32 / (self.n * self.rows_from.len()).max(1) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::PatchGrid;

    fn plan(json: &str) -> Plan {
        let layout = TokenLayout {
            n_prompt: 40,
            image: 5..21,
            patch_offset: 0,
            grid: PatchGrid::new(4, 4),
        };
        Plan::of_edits(
            &serde_json::from_str::<Vec<Intervention>>(json).unwrap(),
            &layout,
            4,
        )
        .unwrap()
    }

    #[test]
    fn nothing_reaches_nothing() {
        for json in [
            "[]",
            r#"[{"type":"ablation","patches":"none"}]"#,
            r#"[{"type":"ablation","patches":"all","enabled":false}]"#,
        ] {
            assert_eq!(
                (plan(json).share(), plan(json).changed_from),
                (0.0, vec![40; 5])
            );
        }
    }

    #[test]
    fn an_ablation_reaches_from_its_first_patch_and_level() {
        let plan = plan(r#"[{"type":"ablation","patches":"r1c1, r3c0","layer":2}]"#);
        assert_eq!(plan.rows_from, [40, 40, 10, 10]);
        assert_eq!(plan.changed_from, [40, 40, 10, 10, 10]);
        assert_eq!(plan.share(), 60.0 / 160.0);
    }

    #[test]
    fn a_knockout_changes_what_leaves_its_first_block() {
        let plan = plan(
            r#"[{"type":"attention_knockout","queries":"last","keys":"image","layers":"1..=2"},
                {"type":"ablation","patches":"r0c3","layer":3}]"#,
        );
        // Eight rows are computed for the one that changes.
        assert_eq!(plan.rows_from, [40, 32, 32, 8]);
        assert_eq!(plan.changed_from, [40, 40, 39, 8, 8]);
    }
}
