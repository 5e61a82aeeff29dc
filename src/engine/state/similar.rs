//! How alike the patches of a run are to one of them, level by level. It computes no words.

use std::sync::Arc;

use super::RunState;
use crate::error::Result;
use crate::lens;

impl RunState {
    /// Compares the patches with one of them in every level that is read.
    ///
    /// # Errors
    /// A failing device.
    pub fn read_similar(&mut self, to: Option<usize>) -> Result<()> {
        (0..self.readout.levels.len()).try_for_each(|level| self.read_similar_at(level, to))
    }

    /// Compares the patches with one of them in one level, if it is read.
    ///
    /// # Errors
    /// A failing device.
    pub fn read_similar_at(&mut self, level: usize, to: Option<usize>) -> Result<()> {
        let similar = match (&self.readout.levels[level], to) {
            (Some(_), Some(patch_idx)) => lens::cosines(&self.patch_rows(level)?, patch_idx)?,
            _ => Vec::new(),
        };
        if let Some(readout) = &mut self.readout.levels[level]
            && readout.similar != similar
        {
            Arc::make_mut(readout).similar = similar;
        }
        Ok(())
    }
}
