//! Runs that are kept for the next request, and what each of them is a run of.

use super::job::Job;
use super::picture::{FileStamp, PictureKey};
use super::state::RunState;
use crate::spec::Experiment;

/// A run that is kept, and what it is a run of.
pub(super) struct Kept {
    pub experiment: Experiment,
    pub picture: PictureKey,
    pub outside: Vec<Option<FileStamp>>,
    pub top_k: usize,
    pub state: RunState,
}

/// The pass up to the picture's end.
pub(super) struct Prefix {
    pub picture: PictureKey,
    pub top_k: usize,
    pub state: RunState,
}

impl Kept {
    /// Whether this is the run of `experiment` on the job's picture with the files behind it unchanged.
    pub fn is_of(
        &self,
        experiment: &Experiment,
        job: &Job<'_>,
        outside: &[Option<FileStamp>],
    ) -> bool {
        self.experiment == *experiment
            && self.picture == job.picture.key
            && self.outside == outside
            && self.top_k == job.spec.readout.top_k
    }
}

impl Prefix {
    pub fn is_prefix_of(&self, job: &Job<'_>) -> bool {
        self.picture == job.picture.key
            && self.top_k == job.spec.readout.top_k
            && self.state.prompt.ids == job.prompt.up_to_image().ids
    }
}
