//! Reading the levels of a run in the order in which the person wants them. No forward pass here.

use std::time::Instant;

use super::super::job::{Job, Which, ms};
use super::super::kept::Kept;
use super::super::protocol::Monitor;
use super::super::state::StartedLevel;
use super::Engine;
use crate::error::{Error, Result};

/// Levels that a card reads without being waited for; a cancelled run loses that many at most.
const LEVELS_AT_ONCE: usize = 4;

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

    /// Reads some levels, the next ones queued before the first is waited for.
    pub(super) fn read_levels(
        &mut self,
        job: &mut Job<'_>,
        which: Which,
        levels: &[usize],
        monitor: &mut dyn Monitor,
    ) -> Result<()> {
        let since = Instant::now();
        let started = levels
            .iter()
            .map(|level| self.start_level(job, which, *level));
        let started = started.collect::<Result<Vec<_>>>()?;
        for (level, started) in levels.iter().zip(started) {
            self.finish_level(job, which, *level, started)?;
            self.emit(job, false, monitor);
        }
        job.timing.lens += ms(since);
        Ok(())
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
        let readout = state.readout.levels[level].clone();
        if let (Which::Clean, Some(prefix)) = (which, &mut self.prefix) {
            // The picture's words are the same under every question.
            prefix.state.readout.levels[level] = readout;
        }
        Ok(())
    }

    /// The levels to read next: those nearest to the level on screen, of the edited run first.
    pub(super) fn next_unread(&self, job: &Job<'_>, shown: usize) -> Option<(Which, Vec<usize>)> {
        let at_once = if self.device.is_cpu() {
            1
        } else {
            LEVELS_AT_ONCE
        };
        let unread = |which: Which, kept: &Option<Kept>| {
            let levels = kept.as_ref().map(|kept| &kept.state.readout.levels)?;
            let open = (0..levels.len()).filter(|level| levels[*level].is_none());
            let mut open: Vec<usize> = open.collect();
            open.sort_by_key(|level| level.abs_diff(shown));
            open.truncate(at_once);
            (!open.is_empty()).then_some((which, open))
        };
        let edited = if job.has_edits {
            unread(Which::Edited, &self.edited)
        } else {
            None
        };
        edited.or_else(|| unread(Which::Clean, &self.clean))
    }
}
