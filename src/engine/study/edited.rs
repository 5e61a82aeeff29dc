//! Ablated pictures, many at once, each asked every question.
//!
//! An edited answer mostly starts like the clean one. So the clean answer is read along with the question in one pass,
//! and only from the first token that differs on is it decoded token by token: the same tokens that greedy decoding
//! gives, up to rounding.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::tensor::{D, Tensor};

use super::super::batches;
use super::super::sweep::Effect;
use super::seen::{Answered, Asked, Seen, largest};
use crate::error::Result;
use crate::intervene::{Donor, replacing_rows};
use crate::model::hooks::NoHooks;
use crate::model::{KvCache, Wanted};

/// Rows of all sequences of a batch together.
const ROWS_ON_CPU: usize = 4800;
const ROWS_ON_CARD: usize = 8192;
/// Memory that the keys and values of a batch may take.
const BYTES_ON_CPU: usize = 512 << 20;
const BYTES_ON_CARD: usize = 6 << 30;

/// What an edit did to an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Edited {
    pub answer: Answered,
    /// The most likely first token.
    pub first: u32,
    /// The clean run's first token, after the edit.
    pub watched: Effect,
}

/// Keys and values of the ablated pictures of a batch.
struct Batch {
    /// Their places among all sets.
    sets: Vec<usize>,
    cache: KvCache,
}

impl Seen<'_> {
    /// Ablates each of `sets` (row-major patches) alone, at what enters the decoder, and asks every question:
    /// `[set][question]`. A set without patches gives the clean answers.
    ///
    /// # Errors
    /// A donor of another width; a failing device.
    pub fn ablate(
        &self,
        sets: &[Vec<usize>],
        donor: &Donor,
        asked: &[&Asked<'_>],
    ) -> Result<Vec<Vec<Edited>>> {
        let clean: Vec<Edited> = asked.iter().map(|asked| asked.unedited()).collect();
        let mut found = vec![clean; sets.len()];
        let replacing = replacing_rows(donor, &self.study.patch_rows(&self.visual)?)?;
        for sets_of_batch in self.batches(sets)? {
            let batch = self.run_ablated(sets, sets_of_batch, &replacing)?;
            for (question, asked) in asked.iter().enumerate() {
                let edited = asked.answers(&batch)?;
                for (set, edited) in batch.sets.iter().zip(edited) {
                    found[*set][question] = edited;
                }
            }
        }
        Ok(found)
    }

    /// Which sets go through together.
    fn batches(&self, sets: &[Vec<usize>]) -> Result<Vec<Vec<usize>>> {
        let first_row = |set: &Vec<usize>| {
            let first = set.iter().min();
            first.map_or(usize::MAX, |patch| self.layout().position(*patch))
        };
        let first_row: Vec<usize> = sets.iter().map(first_row).collect();
        let mut order: Vec<usize> = (0..sets.len())
            .filter(|set| !sets[*set].is_empty())
            .collect();
        order.sort_by_key(|set| first_row[*set]);
        let n = self.prompt.ids.len();
        let c = &self.study.model.config.text;
        let bytes = self.study.dtype.size_in_bytes();
        // With room for the question and the answer, and for one copy.
        let of_one = 4 * n * c.num_key_value_heads * c.head_dim * bytes * c.num_hidden_layers;
        let limits = match self.study.device.is_cpu() {
            true => (ROWS_ON_CPU, (BYTES_ON_CPU / of_one).max(1)),
            false => {
                // No tensor of a batch may be larger than the device takes.
                let most = self.study.device.most_numbers();
                let rows = ROWS_ON_CARD.min(most / (2 * c.intermediate_size));
                let sequences = most / (n * c.num_key_value_heads * c.head_dim);
                (rows, (BYTES_ON_CARD / of_one).min(sequences).max(1))
            }
        };
        Ok(batches::by_rows(&order, &first_row, n, limits))
    }

    /// Runs the picture's rows from the first ablated one on.
    fn run_ablated(
        &self,
        all: &[Vec<usize>],
        sets: Vec<usize>,
        replacing: &Tensor, // [1 or patch, d_model]
    ) -> Result<Batch> {
        let (layout, llama) = (self.layout(), &self.study.model.llama);
        let patches = sets.iter().flat_map(|set| &all[*set]);
        let first = layout.position(patches.min().copied().unwrap_or(0));
        let n = self.prompt.ids.len() - first;
        let n_replacing = replacing.dim(0)?;
        // Row i of the batch is row index[i] of the clean rows and the replacing ones after them.
        let mut index: Vec<u32> = (0..sets.len()).flat_map(|_| 0..n as u32).collect();
        for (at, set) in sets.iter().enumerate() {
            for patch in &all[*set] {
                let row = layout.position(*patch) - first;
                index[at * n + row] = (n + (*patch).min(n_replacing - 1)) as u32;
            }
        }
        let index = Tensor::new(index, replacing.device())?;
        let rows = Tensor::cat(&[&self.resid[0].narrow(0, first, n)?, replacing], 0)?;
        let x = rows.index_select(&index, 0)?;
        let mut cache = match first {
            0 => KvCache::new(self.study.model.facts.n_layers),
            first => llama.pick(&self.cache.first(first)?, 1, &vec![0; sets.len()])?,
        };
        llama.extend_batch(x, sets.len(), &mut cache, Wanted::Last, &mut NoHooks)?;
        Ok(Batch { sets, cache })
    }
}

impl Asked<'_> {
    /// What nothing did to the answer.
    fn unedited(&self) -> Edited {
        Edited {
            answer: self.answer.clone(),
            first: self.first_token(),
            watched: Effect::of(&self.logits, self.first_token()),
        }
    }

    /// Asks the question of every picture of a batch.
    fn answers(&self, batch: &Batch) -> Result<Vec<Edited>> {
        let (study, n_sets) = (self.seen.study, batch.sets.len());
        let llama = &study.model.llama;
        let suffix = &self.prompt.ids[self.prompt.layout.image.end..];
        let given = &self.answer.ids[..self.answer.ids.len().saturating_sub(1)];
        let ids: Vec<u32> = suffix.iter().chain(given).copied().collect();
        let mut cache = batch.cache.clone();
        let x = llama.embed(&ids)?.repeat((n_sets, 1))?;
        let rows = llama.extend_batch(x, n_sets, &mut cache, Wanted::Every, &mut NoHooks)?;
        // The rows that the tokens of the answer are chosen from.
        let from = suffix.len() - 1..ids.len();
        let choosing = |set: usize| from.clone().map(move |row| (set, row));
        let index: Vec<u32> = (0..n_sets)
            .flat_map(choosing)
            .map(|(set, row)| (set * ids.len() + row) as u32)
            .collect();
        let rows = rows.index_select(&Tensor::new(index, rows.device())?, 0)?;
        let logits = study.logits(&rows)?;
        let chosen = logits.argmax(D::Minus1)?.to_vec1::<u32>()?;
        let mut edited = Vec::with_capacity(n_sets);
        let mut differing: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (set, chosen) in chosen.chunks_exact(from.len()).enumerate() {
            let first = logits.get(set * from.len())?.to_vec1::<f32>()?;
            let same = chosen.iter().zip(&self.answer.ids);
            let same = same.take_while(|(a, b)| a == b).count();
            let mut ids = self.answer.ids[..same].to_vec();
            if same < self.answer.ids.len() {
                ids.push(chosen[same]);
                if !self.is_end(chosen[same]) && ids.len() < self.most {
                    differing.entry(same).or_default().push(set);
                }
            }
            edited.push(Edited {
                answer: Answered {
                    text: String::new(),
                    ids,
                },
                first: largest(&first),
                watched: Effect::of(&first, self.first_token()),
            });
        }
        for (same, sets) in differing {
            let n = self.prompt.ids.len() + same;
            let cache = llama.pick(&cache.first(n)?, n_sets, &sets)?;
            self.go_on(cache, &sets, &mut edited)?;
        }
        for one in &mut edited {
            one.answer = self.answered(std::mem::take(&mut one.answer.ids))?;
        }
        Ok(edited)
    }

    /// Decodes the answers of some sets to their ends; their last tokens are not in `cache` yet.
    fn go_on(&self, cache: KvCache, sets: &[usize], edited: &mut [Edited]) -> Result<()> {
        let (study, llama) = (self.seen.study, &self.seen.study.model.llama);
        let (mut cache, mut sets) = (cache, sets.to_vec());
        while !sets.is_empty() {
            let last = |set: &usize| edited[*set].answer.ids.last().copied().unwrap_or(0);
            let x = llama.embed(&sets.iter().map(last).collect::<Vec<_>>())?;
            let rows =
                llama.extend_batch(x, sets.len(), &mut cache, Wanted::Every, &mut NoHooks)?;
            let next = study.logits(&rows)?.argmax(D::Minus1)?.to_vec1::<u32>()?;
            for (set, token) in sets.iter().zip(&next) {
                edited[*set].answer.ids.push(*token);
            }
            let is_open = |set: usize, token: u32| {
                !self.is_end(token) && edited[set].answer.ids.len() < self.most
            };
            let open: Vec<usize> = (0..sets.len())
                .filter(|at| is_open(sets[*at], next[*at]))
                .collect();
            if open.len() < sets.len() && !open.is_empty() {
                cache = llama.pick(&cache, sets.len(), &open)?;
            }
            sets = open.into_iter().map(|at| sets[at]).collect();
        }
        Ok(())
    }

    /// Positions of the question's text after the picture.
    pub fn question_rows(&self) -> Range<usize> {
        self.prompt.layout.image.end..self.prompt.ids.len()
    }
}
