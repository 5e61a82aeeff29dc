//! One attention knockout in many windows of blocks at once, on the prompt's last position.

use std::ops::RangeInclusive;

use super::super::outside::target;
use super::super::sweep::Effect;
use super::seen::{Asked, largest};
use crate::error::Result;
use crate::index::TokenSet;
use crate::intervene::{PackedKnockouts, Pairs, Variant};
use crate::model::SideBySide;

/// Rows of all windows of a batch together; each also looks at the rows of all others.
const PACKED_ROWS: usize = 512;

/// What a knockout did to the first token of the answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KnockedOut {
    /// The most likely first token.
    pub first: u32,
    /// The clean run's first token, after the knockout.
    pub watched: Effect,
}

impl Asked<'_> {
    /// The clean run's first token, with nothing knocked out.
    pub fn baseline(&self) -> KnockedOut {
        KnockedOut {
            first: self.first_token(),
            watched: Effect::of(&self.logits, self.first_token()),
        }
    }

    /// Knocks `keys` out of the sight of `queries` in each of `windows` alone. Where causality alone keeps them apart
    /// nothing changes.
    ///
    /// # Errors
    /// A patch outside the grid; a failing device.
    pub fn knock_out(
        &self,
        (queries, keys): (&TokenSet, &TokenSet),
        windows: &[RangeInclusive<usize>],
    ) -> Result<Vec<KnockedOut>> {
        let model = &self.seen.study.model;
        let n = self.prompt.ids.len();
        let mut found = vec![self.baseline(); windows.len()];
        let Some(pairs) = Pairs::new(queries, keys, &target(model, &self.prompt), n)? else {
            return Ok(found);
        };
        let mut order: Vec<usize> = (0..windows.len()).collect();
        order.sort_by_key(|window| *windows[*window].start());
        for batch in order.chunks((PACKED_ROWS / pairs.n()).max(1)) {
            let variant = |window: &usize| Variant {
                joins_at: *windows[*window].start(),
                layers: Some(windows[*window].clone()),
                head: None,
            };
            let variants: Vec<Variant> = batch.iter().map(variant).collect();
            let rows = self.last_rows(&pairs, &variants)?;
            for (window, logits) in batch.iter().zip(rows) {
                found[*window] = KnockedOut {
                    first: largest(&logits),
                    watched: Effect::of(&logits, self.first_token()),
                };
            }
        }
        Ok(found)
    }

    /// Logits of the last position in every variant. `[variant][vocab]`
    fn last_rows(&self, pairs: &Pairs, variants: &[Variant]) -> Result<Vec<Vec<f32>>> {
        let model = &self.seen.study.model;
        let mut knockouts = PackedKnockouts::new(pairs, variants, model.facts.n_heads);
        let mut join = |layer: usize| match variants.iter().filter(|v| v.joins_at == layer).count()
        {
            0 => Ok(None),
            n => Ok(Some(self.rows(layer, pairs.first())?.repeat((n, 1))?)),
        };
        let last = model.llama.resume_batch(
            &self.cache,
            pairs.first()..self.prompt.ids.len(),
            SideBySide::Packed,
            &mut join,
            &mut knockouts,
        )?;
        Ok(self.seen.study.logits(&last)?.to_vec2::<f32>()?)
    }
}
