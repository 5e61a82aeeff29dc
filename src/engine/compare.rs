//! What an edit does to the clean answer: its tokens given to the edited run (teacher forcing), and how far the next
//! token's distribution moves.
//!
//! As long as both answers agree the edited run has said it already; only what follows the first difference is computed.

use super::insight::{Comparison, Forced, divergence, log_sum_exp};
use super::state::{CancelCheck, RunState, Watch, greedy};
use crate::error::Result;
use crate::model::Llava;
use crate::model::hooks::Chain;

impl RunState {
    /// Compares this edited run with the clean one. Both answers are there.
    pub fn compare_with(
        &mut self,
        model: &Llava,
        clean: &Self,
        watch: &Watch<'_>,
    ) -> Result<Comparison> {
        let ids = &clean.readout.answer.ids;
        Ok(Comparison {
            flipped: *ids != self.readout.answer.ids,
            next_token_kl: divergence(&clean.logits, &self.logits),
            forced: self.forced(model, ids, watch)?,
        })
    }

    fn forced(&mut self, model: &Llava, ids: &[u32], watch: &Watch<'_>) -> Result<Forced> {
        let own = &self.readout.answer;
        let both = ids.iter().zip(&own.ids);
        let n_same = both.take_while(|(a, b)| a == b).count();
        let mut forced = Forced {
            ids: ids.to_vec(),
            probs: own.probs[..n_same].to_vec(),
            best_ids: own.ids[..n_same].to_vec(),
            best_probs: own.probs[..n_same].to_vec(),
        };
        if n_same == ids.len() {
            return Ok(forced);
        }
        if n_same == 0 {
            forced.push(ids[0], &self.logits);
        }
        // The first row that is missing follows the token before it.
        let start = n_same.max(1);
        let given = &ids[start - 1..ids.len() - 1];
        for (logits, id) in self
            .after(model, start - 1, given, watch)?
            .iter()
            .zip(&ids[start..])
        {
            forced.push(*id, logits);
        }
        Ok(forced)
    }

    /// Logits after each of some tokens, given after the prompt and `n_before` tokens that this run has generated.
    /// `[token][vocab]`
    fn after(
        &mut self,
        model: &Llava,
        n_before: usize,
        tokens: &[u32],
        watch: &Watch<'_>,
    ) -> Result<Vec<Vec<f32>>> {
        if tokens.is_empty() {
            return Ok(Vec::new());
        }
        let n = self.prompt.layout.n_prompt + n_before;
        let mut cache = self.cache().first(n)?;
        let mut cancel = CancelCheck(watch);
        let mut chain = Chain(vec![&mut self.hooks, &mut cancel]);
        let x = model.llama.embed(tokens)?;
        let last = model.llama.forward(x, &mut cache, &mut chain)?;
        let logits = model.llama.unembed(&model.llama.final_norm(&last)?)?;
        Ok(logits.to_vec2::<f32>()?)
    }
}

impl Forced {
    fn push(&mut self, id: u32, logits: &[f32]) {
        let logit = logits.get(id as usize).copied().unwrap_or(f32::NAN);
        let (best, best_prob) = greedy(logits);
        self.probs
            .push((f64::from(logit) - log_sum_exp(logits)).exp() as f32);
        self.best_ids.push(best);
        self.best_probs.push(best_prob);
    }
}
