//! From objects to rows: what is in the journal is not computed again, everything else is, in order.

use std::time::Instant;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::data::{Item, Shard};
use super::journal::Journal;
use crate::error::Result;

/// Told after every picture: how many are done of how many, and at which rate.
pub type Progress<'a> = dyn FnMut(usize, usize, Rate) + 'a;

/// How fast pictures were done since the start of this process.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    pub n: usize,
    pub seconds: f64,
}

impl Rate {
    pub fn per_minute(self) -> f64 {
        match self.seconds > 0.0 {
            true => self.n as f64 * 60.0 / self.seconds,
            false => 0.0,
        }
    }
}

/// Carries an experiment out over the objects of a shard; gives the rate of those that were computed now.
///
/// # Errors
/// What `row` meets; a journal that cannot be written.
pub fn carry_out<R: Serialize + DeserializeOwned>(
    items: &[Item],
    shard: Shard,
    journal: &mut Journal<R>,
    row: &mut dyn FnMut(&Item) -> Result<R>,
    progress: &mut Progress<'_>,
) -> Result<Rate> {
    let mine: Vec<&Item> = items.iter().filter(|item| shard.has(item.index)).collect();
    let open = |item: &&&Item| !journal.rows.contains_key(&item.index);
    let todo: Vec<&Item> = mine.iter().filter(open).copied().collect();
    let started = Instant::now();
    let before = mine.len() - todo.len();
    let rate = |n: usize| Rate {
        n,
        seconds: started.elapsed().as_secs_f64(),
    };
    progress(before, mine.len(), rate(0));
    for (n, item) in todo.iter().enumerate() {
        journal.append(item.index, row(item)?)?;
        progress(before + n + 1, mine.len(), rate(n + 1));
    }
    Ok(rate(todo.len()))
}
