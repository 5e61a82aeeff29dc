//! One attention knockout in many variants at once: each acts in blocks and heads of its own, on one of several
//! sequences that lie packed in one pass.

use std::ops::RangeInclusive;

use crate::tensor::{Device, Tensor};

use super::attention_knockout::{self, CompiledKnockout};
use super::compiled::Target;
use crate::error::Result;
use crate::index::TokenSet;
use crate::model::hooks::Hooks;

/// Where a variant acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// The block at which its sequence joins the pass.
    pub joins_at: usize,
    /// Blocks in which it acts; `None` for nowhere.
    pub layers: Option<RangeInclusive<usize>>,
    /// The query head, `None` for all.
    pub head: Option<usize>,
}

impl Variant {
    fn acts_in(&self, layer: usize) -> bool {
        self.layers
            .as_ref()
            .is_some_and(|layers| layers.contains(&layer))
    }
}

/// The scores that queries and keys have in common, over the rows that a sequence computes.
#[derive(Clone, Debug)]
pub struct Pairs {
    /// First position that is computed.
    first: usize,
    n: usize,
    /// 1 where the score is knocked out, `[n, first + n]`.
    mask: Vec<u8>,
}

impl Pairs {
    /// The pairs of a sequence of `n_now` positions; `None` where causality alone keeps the queries from the keys.
    ///
    /// # Errors
    /// A patch outside the grid.
    pub fn new(
        queries: &TokenSet,
        keys: &TokenSet,
        target: &Target,
        n_now: usize,
    ) -> Result<Option<Self>> {
        let first_key = keys.positions(&target.layout, n_now)?.into_iter().next();
        let first = queries
            .positions(&target.layout, n_now)?
            .into_iter()
            .find(|query| first_key.is_some_and(|key| key < *query));
        let Some(first) = first else {
            return Ok(None);
        };
        let knockout = CompiledKnockout {
            queries: queries.clone(),
            keys: keys.clone(),
            layers: 0..=target.n_layers.saturating_sub(1),
            heads: None,
        };
        let pass = (first, n_now - first, n_now);
        let mask = attention_knockout::mask(&[&knockout], &target.layout, target.n_heads, pass)?;
        let n = n_now - first;
        Ok(mask.map(|mask| Self { first, n, mask }))
    }

    /// First position that the knockout can change; every sequence computes the rows from here on.
    pub fn first(&self) -> usize {
        self.first
    }

    /// How many rows a sequence computes.
    pub fn n(&self) -> usize {
        self.n
    }

    fn row(&self, row: usize) -> &[u8] {
        let n_keys = self.first + self.n;
        &self.mask[row * n_keys..(row + 1) * n_keys]
    }
}

/// The variants of a pass, as its hooks. It also keeps each sequence from the rows of the others.
pub struct PackedKnockouts<'a> {
    pairs: &'a Pairs,
    /// In the order in which their sequences join: never falling `joins_at`.
    variants: &'a [Variant],
    n_heads: usize,
    /// The newest mask, by how many sequences there are and which of them act; blocks in a row often share one.
    newest: Option<(Vec<bool>, Tensor)>,
}

impl<'a> PackedKnockouts<'a> {
    pub fn new(pairs: &'a Pairs, variants: &'a [Variant], n_heads: usize) -> Self {
        debug_assert!(variants.is_sorted_by_key(|variant| variant.joins_at));
        Self {
            pairs,
            variants,
            n_heads,
            newest: None,
        }
    }

    /// 1 where a score is knocked out or belongs to another sequence,
    /// `[heads or 1, sequences * n, first + sequences * n]`. `acts` says which sequences are knocked out.
    fn mask(&self, acts: &[bool], device: &Device) -> Result<Tensor> {
        let (first, n) = (self.pairs.first, self.pairs.n);
        let acting = self.variants.iter().zip(acts).filter(|(_, acts)| **acts);
        let by_head = acting.clone().any(|(variant, _)| variant.head.is_some());
        let n_heads = if by_head { self.n_heads } else { 1 };
        let (n_rows, n_keys) = (acts.len() * n, first + acts.len() * n);
        let mut mask = vec![0u8; n_heads * n_rows * n_keys];
        for (at, row) in mask.chunks_exact_mut(n_keys).enumerate() {
            let (head, sequence) = (at / n_rows, at % n_rows / n);
            let own = first + sequence * n..first + (sequence + 1) * n;
            row[first..own.start].fill(1);
            row[own.end..].fill(1);
            let hits_head = |only: usize| only == head;
            if acts[sequence] && self.variants[sequence].head.is_none_or(hits_head) {
                let pairs = self.pairs.row(at % n);
                row[..first].copy_from_slice(&pairs[..first]);
                row[own].copy_from_slice(&pairs[first..]);
            }
        }
        Ok(Tensor::from_vec(mask, (n_heads, n_rows, n_keys), device)?)
    }
}

impl Hooks for PackedKnockouts<'_> {
    fn blocked(
        &mut self,
        layer: usize,
        _pass: (usize, usize, usize),
        device: &Device,
    ) -> Result<Option<Tensor>> {
        let joined = self.variants.iter().filter(|v| v.joins_at <= layer);
        let acts: Vec<bool> = joined.map(|variant| variant.acts_in(layer)).collect();
        match &self.newest {
            Some((of, mask)) if *of == acts => Ok(Some(mask.clone())),
            _ => {
                let mask = self.mask(&acts, device)?;
                self.newest = Some((acts, mask.clone()));
                Ok(Some(mask))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{PatchGrid, TokenLayout};

    fn target() -> Target {
        Target {
            layout: TokenLayout {
                n_prompt: 6,
                image: 1..3,
                patch_offset: 0,
                grid: PatchGrid::new(1, 2),
            },
            n_layers: 2,
            n_heads: 2,
        }
    }

    #[test]
    fn sequences_do_not_see_each_other_and_heads_are_told_apart() {
        let (queries, keys) = (TokenSet::Answer, TokenSet::Image);
        let pairs = Pairs::new(&queries, &keys, &target(), 7).unwrap().unwrap();
        assert_eq!((pairs.first(), pairs.n()), (5, 2));
        let variants = [
            Variant {
                joins_at: 0,
                layers: Some(0..=0),
                head: Some(1),
            },
            Variant {
                joins_at: 1,
                layers: Some(1..=1),
                head: None,
            },
        ];
        let mut hooks = PackedKnockouts::new(&pairs, &variants, 2);
        let mut mask = |layer| {
            let mask = hooks.blocked(layer, (0, 0, 0), &Device::Cpu).unwrap();
            mask.unwrap().to_vec3::<u8>().unwrap()
        };
        // Only the first sequence is there, and only its second head is knocked out.
        let first = mask(0);
        assert_eq!(first[0], [[0; 7], [0; 7]]);
        assert_eq!(first[1], [[0, 1, 1, 0, 0, 0, 0]; 2]);
        // Then both, one mask for all heads: 5 and 6 are the first one's own rows, 7 and 8 the second one's.
        let both = mask(1);
        assert_eq!(both.len(), 1);
        assert_eq!(both[0][0], [0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(both[0][3], [0, 1, 1, 0, 0, 1, 1, 0, 0]);
    }

    #[test]
    fn what_comes_before_its_keys_has_no_pairs() {
        let pairs = Pairs::new(&TokenSet::System, &TokenSet::Image, &target(), 7);
        assert!(pairs.unwrap().is_none());
        let itself = TokenSet::Last;
        assert!(
            Pairs::new(&itself, &itself, &target(), 7)
                .unwrap()
                .is_none()
        );
    }
}
