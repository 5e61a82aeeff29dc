//! Attention knockout: scores of (query, key) pairs become −∞ before the softmax, so the rest of the row is
//! renormalised (Geva et al. 2023, arXiv 2304.14767; paper, section 4.2).
//!
//! A query always keeps itself, so no row loses every key. Sets are resolved anew for every generated token.

use std::ops::RangeInclusive;

use crate::error::Result;
use crate::index::{TokenLayout, TokenSet};

/// One knockout whose bounds were checked against the model.
#[derive(Clone, Debug)]
pub(super) struct CompiledKnockout {
    pub queries: TokenSet,
    pub keys: TokenSet,
    pub layers: RangeInclusive<usize>,
    /// `None` for all.
    pub heads: Option<Vec<usize>>,
}

/// The scores that are knocked out in one pass: 1 at each. `[heads or 1, query, key]`, `None` where there is none.
///
/// `n_queries` rows start at position `first_pos`; keys are the positions `0..n_keys`.
pub(super) fn mask(
    knockouts: &[&CompiledKnockout],
    layout: &TokenLayout,
    n_heads: usize,
    (first_pos, n_queries, n_keys): (usize, usize, usize),
) -> Result<Option<Vec<u8>>> {
    let n_mask_heads = mask_heads(knockouts, n_heads);
    let mut mask = vec![0u8; n_mask_heads * n_queries * n_keys];
    let mut any = false;
    for knockout in knockouts {
        let queries = knockout.queries.positions(layout, n_keys)?;
        let keys = knockout.keys.positions(layout, n_keys)?;
        let heads = match &knockout.heads {
            Some(heads) => heads.clone(),
            None => (0..n_mask_heads).collect(),
        };
        for query in queries
            .into_iter()
            .filter(|q| (first_pos..first_pos + n_queries).contains(q))
        {
            for &head in &heads {
                let row = (head * n_queries + query - first_pos) * n_keys;
                for &key in keys.iter().filter(|key| **key != query && **key < n_keys) {
                    mask[row + key] = 1;
                    any = true;
                }
            }
        }
    }
    Ok(any.then_some(mask))
}

/// One mask serves all heads unless some knockout names heads.
pub(super) fn mask_heads(knockouts: &[&CompiledKnockout], n_heads: usize) -> usize {
    if knockouts.iter().any(|k| k.heads.is_some()) {
        n_heads
    } else {
        1
    }
}
