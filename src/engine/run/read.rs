//! Reading the levels of a run in the order in which the person wants them. No forward pass here.

use std::collections::VecDeque;
use std::time::Instant;

use super::super::job::{Job, Which, ms};
use super::super::kept::Kept;
use super::super::protocol::Monitor;
use super::super::state::StartedLevel;
use super::Engine;
use crate::error::{Error, Result};

/// Levels that a card reads without being waited for; a cancelled run loses that many at most.
const LEVELS_AHEAD: usize = 4;

impl Engine {
    /// Reads one level of one run, unless it is read already.
    pub(super) fn read(&mut self, job: &mut Job<'_>, which: Which, level: usize) -> Result<()> {
        let since = Instant::now();
        if self.kept(which)?.state.readout.levels[level].is_none() {
            let started = self.start_level(job, which, level)?;
            self.finish_level(job, which, level, started)?;
            job.timing.lens += ms(since);
        }
        Ok(())
    }

    /// Reads all levels that are not read yet, those nearest to the level on screen first. A card always has some of
    /// them queued while the host unpacks another.
    pub(super) fn read_rest(
        &mut self,
        job: &mut Job<'_>,
        shown: &dyn Fn(&dyn Monitor) -> usize,
        monitor: &mut dyn Monitor,
    ) -> Result<()> {
        let ahead = if self.device.is_cpu() {
            1
        } else {
            LEVELS_AHEAD
        };
        let mut queue: VecDeque<(Which, usize, StartedLevel)> = VecDeque::new();
        let since = Instant::now();
        loop {
            if monitor.cancelled() {
                return Err(Error::Cancelled);
            }
            while queue.len() < ahead {
                let is_queued = |which, level| queue.iter().any(|q| (q.0, q.1) == (which, level));
                let next = self.next_unread(job, shown(monitor), &is_queued);
                let Some((which, level)) = next else { break };
                queue.push_back((which, level, self.start_level(job, which, level)?));
            }
            let Some((which, level, started)) = queue.pop_front() else {
                job.timing.lens += ms(since);
                return Ok(());
            };
            self.finish_level(job, which, level, started)?;
            self.emit(job, false, monitor);
        }
    }

    fn start_level(&self, job: &Job<'_>, which: Which, level: usize) -> Result<StartedLevel> {
        let missing = || Error::internal("a run is missing");
        let clean = self.clean.as_ref().map(|kept| &kept.state);
        let (state, clean) = match which {
            Which::Clean => (clean, None),
            Which::Edited => (self.edited.as_ref().map(|kept| &kept.state), clean),
        };
        let top_k = job.spec.readout.top_k;
        (state.ok_or_else(missing)?).start_level(&job.model, level, top_k, clean)
    }

    fn finish_level(
        &mut self,
        job: &Job<'_>,
        which: Which,
        level: usize,
        started: StartedLevel,
    ) -> Result<()> {
        let ids = job.word_ids();
        let state = &mut self.kept(which)?.state;
        state.finish_level(started)?;
        state.read_words_at(&job.model, level, &ids)?;
        state.read_similar_at(level, job.similar_to)?;
        let readout = state.readout.levels[level].clone();
        if let (Which::Clean, Some(prefix)) = (which, &mut self.prefix) {
            // The picture's words are the same under every question.
            prefix.state.readout.levels[level] = readout;
        }
        Ok(())
    }

    /// The level to read next: the one nearest to the level on screen, the edited run first.
    fn next_unread(
        &self,
        job: &Job<'_>,
        shown: usize,
        is_queued: &dyn Fn(Which, usize) -> bool,
    ) -> Option<(Which, usize)> {
        let unread = |which: Which, kept: &Option<Kept>| {
            let levels = kept.as_ref().map(|kept| &kept.state.readout.levels)?;
            (0..levels.len())
                .filter(|level| levels[*level].is_none() && !is_queued(which, *level))
                .min_by_key(|level| level.abs_diff(shown))
                .map(|level| (which, level))
        };
        let edited = if job.has_edits {
            unread(Which::Edited, &self.edited)
        } else {
            None
        };
        edited.or_else(|| unread(Which::Clean, &self.clean))
    }
}
