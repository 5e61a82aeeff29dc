//! What is read off a run beyond its words, as plain data: what the edit does to the clean answer, where attention goes,
//! what a logit is made of.
//!
//! Everything here was computed by the run whose trace holds it. The sums below only add such numbers up, so that the
//! window and the result file add them up alike.

use std::sync::Arc;

use rayon::prelude::*;
use serde::Serialize;

use crate::index::TokenLayout;
use crate::spec::{HeadMap, Readout};

/// What was asked for beyond the words, for both runs.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Insight {
    /// The readout that asked.
    pub asked: Readout,
    /// `None` until both answers are there, and where nothing is switched on.
    pub comparison: Option<Arc<Comparison>>,
    /// Where the readout asks for it, and there are patches to draw.
    pub control: Option<Arc<Control>>,
    pub clean: Inside,
    /// The same as `clean` where nothing is switched on.
    pub edited: Inside,
}

impl Insight {
    /// Why there is no attention in a complete trace that was asked for one.
    pub fn why_no_attention(&self, layout: &TokenLayout, n_answer: usize) -> Option<String> {
        let spec = self.asked.attention.as_ref()?;
        // Without an answer, token 0 is the likeliest next one.
        let position = spec.query.position(layout, n_answer.max(1));
        position.err().map(|error| error.to_string())
    }

    /// Why there is no attribution in a complete trace that was asked for one.
    pub fn why_no_attribution(&self, n_answer: usize) -> Option<String> {
        let spec = self.asked.attribution.as_ref()?;
        (spec.token >= n_answer.max(1)).then(|| {
            format!(
                "readout.attribution.token: {} is not there, the clean answer has {n_answer} tokens, counted from 0",
                spec.token
            )
        })
    }
}

/// What was read inside one run; `None` where it was not asked for or is not there yet.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Inside {
    pub attention: Option<Arc<Attention>>,
    pub attribution: Option<Arc<Attribution>>,
}

/// What the interventions do to the clean run's answer.
#[derive(Clone, Debug, PartialEq, Default, Serialize)]
pub struct Comparison {
    /// Whether the edited run's answer has other tokens than the clean one's.
    pub flipped: bool,
    /// Kullback-Leibler divergence of the next token after the prompt, clean from edited, in nats.
    pub next_token_kl: f32,
    /// The clean answer, given to the edited run token by token (teacher forcing).
    pub forced: Forced,
}

/// The clean answer under the edit. All vectors are `[token]`.
#[derive(Clone, Debug, PartialEq, Default, Serialize)]
pub struct Forced {
    pub ids: Vec<u32>,
    /// Probability of each of the clean answer's tokens in the edited run, after the tokens before it.
    pub probs: Vec<f32>,
    /// The token that the edited run would have chosen there, and its probability.
    pub best_ids: Vec<u32>,
    pub best_probs: Vec<f32>,
}

/// The same interventions on as many patches by chance, one run a seed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Control {
    pub seeds: Vec<u64>,
    /// The clean answer under each. `[seed]`
    pub runs: Vec<Forced>,
    pub verdict: Option<Verdict>,
}

/// What the edit and its controls do to one token of the clean answer: the first that the edit changes, else the one
/// that loses most.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// Which token of the clean answer, from 0.
    pub token: usize,
    pub id: u32,
    /// Probability in the clean run, under the edit, and under the controls: mean, least, most.
    pub clean: f32,
    pub edited: f32,
    pub mean: f32,
    pub least: f32,
    pub most: f32,
    /// Whether the edit makes another token likelier there, and under how many of the controls that happens.
    pub flipped: bool,
    pub n_flipped: usize,
}

impl Control {
    /// `clean` are the probabilities of the clean answer's tokens in the clean run.
    pub fn new(seeds: Vec<u64>, runs: Vec<Forced>, edited: &Forced, clean: &[f32]) -> Self {
        let verdict = Verdict::of(&runs, edited, clean);
        Self {
            seeds,
            runs,
            verdict,
        }
    }
}

impl Forced {
    fn flips(&self, token: usize) -> bool {
        self.best_ids.get(token) != self.ids.get(token)
    }
}

impl Verdict {
    fn of(runs: &[Forced], edited: &Forced, clean: &[f32]) -> Option<Self> {
        let tokens = 0..edited.ids.len().min(clean.len());
        let lost = |token: &usize| clean[*token] - edited.probs[*token];
        let most_lost = || {
            let by_loss = |a: &usize, b: &usize| lost(a).total_cmp(&lost(b));
            tokens.clone().max_by(by_loss)
        };
        let token = tokens
            .clone()
            .find(|at| edited.flips(*at))
            .or_else(most_lost)?;
        let probs: Vec<f32> = runs.iter().map(|run| run.probs[token]).collect();
        if probs.is_empty() {
            return None;
        }
        Some(Self {
            token,
            id: edited.ids[token],
            clean: clean[token],
            edited: edited.probs[token],
            mean: probs.iter().sum::<f32>() / probs.len() as f32,
            least: probs.iter().copied().fold(f32::INFINITY, f32::min),
            most: probs.iter().copied().fold(f32::NEG_INFINITY, f32::max),
            flipped: edited.flips(token),
            n_flipped: runs.iter().filter(|run| run.flips(token)).count(),
        })
    }
}

/// Where one position looks, in every head of every block.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Attention {
    /// Position of the query in the sequence of the prompt and the clean answer.
    pub query: usize,
    pub n_layers: usize,
    pub n_heads: usize,
    /// Keys: the positions `0..=query`.
    pub n_keys: usize,
    /// After the softmax. `[layer, head, key]`
    pub pattern: Vec<f32>,
    /// Attention rollout (Abnar and Zuidema 2020): heads averaged, half of every block's stream passed on as it is.
    /// `[key]`, empty unless asked for; sums to 1.
    pub rollout: Vec<f32>,
    /// Patches that stand out for nearly every token of the text after the picture, by row-major index.
    pub sinks: Vec<usize>,
}

impl Attention {
    /// The pattern of one head, `[key]`; empty where the model has no such head.
    pub fn row(&self, layer: usize, head: usize) -> &[f32] {
        if layer >= self.n_layers || head >= self.n_heads {
            return &[];
        }
        let first = (layer * self.n_heads + head) * self.n_keys;
        self.pattern
            .get(first..first + self.n_keys)
            .unwrap_or_default()
    }

    /// How much of every head's attention goes to some positions, `[layer, head]`.
    pub fn mass(&self, positions: &[usize]) -> Vec<f32> {
        let of_row = |row: &[f32]| positions.iter().filter_map(|at| row.get(*at)).sum();
        self.pattern
            .chunks(self.n_keys.max(1))
            .map(of_row)
            .collect()
    }

    /// What a map shows of every key, `[key]`; empty for a rollout that was not asked for.
    pub fn map(&self, map: HeadMap) -> Vec<f32> {
        match map {
            HeadMap::Rollout => self.rollout.clone(),
            HeadMap::Head(layer, head) => self.row(layer, head).to_vec(),
            HeadMap::Layer(layer) => self.mean_of((0..self.n_heads).map(|h| (layer, h))),
            HeadMap::All => {
                let layers = 0..self.n_layers;
                self.mean_of(layers.flat_map(|l| (0..self.n_heads).map(move |h| (l, h))))
            }
        }
    }

    fn mean_of(&self, heads: impl Iterator<Item = (usize, usize)>) -> Vec<f32> {
        let rows: Vec<&[f32]> = heads.map(|(layer, head)| self.row(layer, head)).collect();
        sum_of(&rows, self.n_keys)
            .into_iter()
            .map(|sum| (sum / rows.len().max(1) as f64) as f32)
            .collect()
    }
}

/// What the logit of one token of the answer is made of: the final norm is linear once its scale is known, so the logit
/// is the sum of what every component wrote into the stream at that position, along one direction.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Attribution {
    /// Index of the token in the clean answer.
    pub token: usize,
    pub id: u32,
    /// The position whose output is that token.
    pub position: usize,
    /// The logit of the forward pass, not of the sum.
    pub logit: f32,
    /// What entered the decoder at that position.
    pub embedding: f32,
    /// Output of attention with its bias, `[layer]`
    pub attention: Vec<f32>,
    /// `[layer]`
    pub mlp: Vec<f32>,
    /// What interventions wrote into the stream at that position, and rounding.
    pub other: f32,
    pub n_heads: usize,
    /// Keys: the positions `0..=position`.
    pub n_keys: usize,
    /// What every head carries over from every position: pattern times value through the output map.
    /// `[layer, head, key]`; what attention's bias adds is not in it.
    pub sources: Vec<f32>,
}

impl Attribution {
    /// The sum of all components.
    pub fn total(&self) -> f32 {
        let parts = self.attention.iter().chain(&self.mlp);
        let sum: f64 = parts.map(|x| f64::from(*x)).sum();
        (sum + f64::from(self.embedding) + f64::from(self.other)) as f32
    }

    /// What every head adds, `[layer, head]`.
    pub fn heads(&self) -> Vec<f32> {
        let sum = |row: &[f32]| row.iter().map(|x| f64::from(*x)).sum::<f64>() as f32;
        self.sources.chunks(self.n_keys.max(1)).map(sum).collect()
    }

    /// What comes from every position through all heads, `[key]`.
    pub fn tokens(&self) -> Vec<f32> {
        let rows: Vec<&[f32]> = self.sources.chunks(self.n_keys.max(1)).collect();
        let sums = sum_of(&rows, self.n_keys);
        sums.into_iter().map(|sum| sum as f32).collect()
    }

    /// What a map shows of every key, `[key]`; empty for what an attribution does not have.
    pub fn map(&self, map: HeadMap) -> Vec<f32> {
        let of_heads = |first: usize, n: usize| {
            let range = first * self.n_keys..(first + n) * self.n_keys;
            let rows = self.sources.get(range).unwrap_or_default();
            let rows: Vec<&[f32]> = rows.chunks(self.n_keys.max(1)).collect();
            let sums = sum_of(&rows, self.n_keys);
            sums.into_iter().map(|sum| sum as f32).collect()
        };
        let n_heads = self.n_heads;
        match map {
            HeadMap::All => self.tokens(),
            HeadMap::Layer(layer) if layer < self.mlp.len() => of_heads(layer * n_heads, n_heads),
            HeadMap::Head(layer, head) if layer < self.mlp.len() && head < n_heads => {
                of_heads(layer * n_heads + head, 1)
            }
            _ => Vec::new(),
        }
    }
}

/// Column sums.
fn sum_of(rows: &[&[f32]], n: usize) -> Vec<f64> {
    let mut sums = vec![0f64; n];
    for row in rows {
        for (sum, x) in sums.iter_mut().zip(*row) {
            *sum += f64::from(*x);
        }
    }
    sums
}

/// Kullback-Leibler divergence of two distributions over the vocabulary, from their logits: Σ p (ln p − ln q), in nats.
pub fn divergence(clean: &[f32], edited: &[f32]) -> f32 {
    let (a, b) = (log_sum_exp(clean), log_sum_exp(edited));
    let term = |(x, y): (&f32, &f32)| {
        let (p, q) = (f64::from(*x) - a, f64::from(*y) - b);
        if p == f64::NEG_INFINITY {
            0.0
        } else {
            p.exp() * (p - q)
        }
    };
    let tasks = clean.par_chunks(TASK).zip(edited.par_chunks(TASK));
    let sum = in_order(tasks.map(|(x, y)| x.iter().zip(y).map(term).sum()));
    sum.max(0.0) as f32
}

/// The logarithm of the sum of the exponentials.
pub fn log_sum_exp(logits: &[f32]) -> f64 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let tasks = logits.par_chunks(TASK);
    let sum = in_order(tasks.map(|x| x.iter().map(|x| f64::from(x - max).exp()).sum()));
    f64::from(max) + sum.ln()
}

/// Numbers that one task sums: every edited run waits for the sums over its vocabulary.
const TASK: usize = 4096;

/// Sums of tasks, added in their order, so that the result is the same however they were shared out.
fn in_order(sums: impl IndexedParallelIterator<Item = f64>) -> f64 {
    sums.collect::<Vec<_>>().into_iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divergence_is_zero_of_equals_and_known_of_two_coins() {
        assert_eq!(divergence(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0]), 0.0);
        let coin = |p: f32| [p.ln(), (1.0 - p).ln()];
        let known = 0.5 * (0.5f32 / 0.9).ln() + 0.5 * (0.5f32 / 0.1).ln();
        assert!((divergence(&coin(0.5), &coin(0.9)) - known).abs() < 1e-6);
        // Not symmetric, so the order is tested too.
        assert!((divergence(&coin(0.9), &coin(0.5)) - known).abs() > 0.1);
    }

    #[test]
    fn maps_are_means_of_rows() {
        let attention = Attention {
            query: 1,
            n_layers: 2,
            n_heads: 2,
            n_keys: 2,
            pattern: vec![1.0, 0.0, 0.0, 1.0, 0.5, 0.5, 0.25, 0.75],
            ..Attention::default()
        };
        assert_eq!(attention.map(HeadMap::Head(1, 1)), [0.25, 0.75]);
        assert_eq!(attention.map(HeadMap::Layer(0)), [0.5, 0.5]);
        assert_eq!(attention.map(HeadMap::All), [0.4375, 0.5625]);
        assert_eq!(attention.mass(&[1]), [0.0, 1.0, 0.5, 0.75]);
        assert!(attention.map(HeadMap::Head(2, 0)).is_empty());
    }
}
