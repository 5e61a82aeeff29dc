//! Attention under a knockout, block by block: what is blocked is exactly 0, rows sum to 1, and the fused products give
//! what the weights written out give.

use crate::tensor::{DType, Tensor};

use super::super::trace::Trace;
use super::{Work, edits};
use crate::error::{Error, Result};
use crate::index::{HeadSet, LayerRange, TokenSet};
use crate::model::KvCache;
use crate::model::hooks::{Chain, HookPoint, HookSite, Hooks};
use crate::spec::{AttentionKnockout, Intervention};

/// What was met in the weights of all blocks.
struct Weights {
    /// `[query]`, the keys that are blocked.
    blocked: Vec<Vec<usize>>,
    largest_blocked: f64,
    worst_sum: f64,
    n_blocked: usize,
    n_rows: usize,
}

impl Hooks for Weights {
    fn wants(&self, at: HookPoint) -> bool {
        at.site == HookSite::Pattern
    }

    fn visit(&mut self, _at: HookPoint, _first_pos: usize, x: Tensor) -> Result<Tensor> {
        let (heads, n, _) = x.dims3()?; // [head, query, key]
        for head in 0..heads {
            let weights = x.get(head)?.to_dtype(DType::F32)?.to_vec2::<f32>()?;
            for (query, row) in weights.iter().enumerate().take(n) {
                let sum: f64 = row.iter().map(|w| f64::from(*w)).sum();
                self.worst_sum = edits::larger(self.worst_sum, (sum - 1.0).abs());
                let later = row[query + 1..].iter();
                let hidden = self.blocked[query].iter().map(|key| &row[*key]);
                for weight in later.chain(hidden) {
                    let weight = f64::from(weight.abs());
                    self.largest_blocked = edits::larger(self.largest_blocked, weight);
                    self.n_blocked += 1;
                }
                self.n_rows += 1;
            }
        }
        Ok(x)
    }
}

impl Work<'_> {
    pub(super) fn attention(&mut self, trace: &Trace) -> Result<()> {
        let knockout = AttentionKnockout {
            queries: TokenSet::All,
            keys: TokenSet::Image,
            layers: LayerRange::All,
            heads: HeadSet::All,
            enabled: true,
            name: None,
        };
        let n = trace.layout.n_prompt;
        let keys = knockout.keys.positions(&trace.layout, n)?;
        let before = |query: usize| keys.iter().copied().filter(|key| *key < query).collect();
        let mut weights = Weights {
            blocked: (0..n).map(before).collect(),
            largest_blocked: 0.0,
            worst_sum: 0.0,
            n_blocked: 0,
            n_rows: 0,
        };
        self.observe(&[Intervention::AttentionKnockout(knockout)], true)?;
        let gap = self.written_out(&mut weights)?;
        let compared = format!("{} weights under a knockout, all blocks", weights.n_blocked);
        self.add(
            "Blocked attention is 0",
            compared,
            weights.largest_blocked,
            0.0,
        );
        let compared = format!("sums of {} rows under the knockout", weights.n_rows);
        let allowed = self.allowed.row_sum;
        self.add("Attention sums to 1", compared, weights.worst_sum, allowed);
        let compared = "last residuals with the weights written out and fused".to_owned();
        let allowed = self.allowed.residual;
        self.add("Fused attention = written out", compared, gap, allowed);
        Ok(())
    }

    /// The edited run once more with every weight written out; gives how far its last residuals are from the run's own.
    fn written_out(&mut self, weights: &mut Weights) -> Result<f64> {
        let parts = self.engine.last_parts()?;
        let state = parts.state;
        let embeds = parts.model.embed_prompt(&state.prompt, parts.visual)?;
        let mut chain = Chain(vec![&mut state.hooks, weights]);
        let mut cache = KvCache::new(parts.model.facts.n_layers);
        let last = parts.model.llama.forward(embeds, &mut cache, &mut chain)?;
        let own = state.resid.last();
        let own = own.ok_or_else(|| Error::internal("a run without levels"))?;
        let rows = last.dim(0)?;
        let own = own.narrow(0, own.dim(0)? - rows, rows)?;
        let numbers = |x: &Tensor| -> Result<Vec<f32>> {
            Ok(x.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
        };
        let named = |values| ("resid".to_owned(), Vec::new(), values);
        let (a, b) = (named(numbers(&last)?), named(numbers(&own)?));
        Ok(edits::relative_gap(&[a], &[b]))
    }
}
