//! One request on its way: what it needs of model and picture, its timing, and the trace of how far it has come.

use std::sync::Arc;
use std::time::Instant;

use super::insight::{Inside, Insight};
use super::picture::EncodedPicture;
use super::protocol::RunSpec;
use super::state::RunState;
use super::trace::{Caches, RunReadout, Timing, Trace, WordToken};
use crate::model::{Llava, Prompt};

/// The two runs of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Clean,
    Edited,
}

pub(super) struct Job<'a> {
    pub spec: &'a RunSpec,
    pub model: Arc<Llava>,
    pub picture: EncodedPicture,
    pub prompt: Arc<Prompt>,
    pub words: Vec<WordToken>,
    /// The patch that the others are compared with, row-major.
    pub similar_to: Option<usize>,
    pub has_edits: bool,
    pub started: Instant,
    pub timing: Timing,
}

impl Job<'_> {
    /// The runs that the request needs.
    pub fn runs(&self) -> &'static [Which] {
        if self.has_edits {
            &[Which::Clean, Which::Edited]
        } else {
            &[Which::Clean]
        }
    }

    /// Tokens of the readout's words.
    pub fn word_ids(&self) -> Vec<u32> {
        self.words.iter().map(|word| word.id).collect()
    }

    /// Everything known so far. Without edits the edited side is the clean one.
    pub fn trace(
        &self,
        clean: Option<&RunState>,
        edited: Option<&RunState>,
        caches: Caches,
        complete: bool,
    ) -> Arc<Trace> {
        let readout = |state: Option<&RunState>| -> Arc<RunReadout> {
            let nothing = || RunReadout {
                levels: vec![None; self.model.facts.n_layers + 1],
                ..RunReadout::default()
            };
            Arc::new(state.map_or_else(nothing, |state| state.readout.clone()))
        };
        let baseline = readout(clean);
        let edited_readout = if self.has_edits {
            readout(edited)
        } else {
            baseline.clone()
        };
        let insight = Arc::new(self.insight(clean, edited));
        Arc::new(Trace {
            id: self.spec.id,
            model: self.model.facts.clone(),
            picture: self.picture.seen.clone(),
            layout: Arc::new(self.prompt.layout.clone()),
            input_ids: Arc::new(self.prompt.ids.clone()),
            words: self.words.clone(),
            similar_to: self.similar_to,
            baseline,
            edited: edited_readout,
            has_edits: self.has_edits,
            insight,
            recomputed: edited.map(|state| state.share),
            timing: Timing {
                total: ms(self.started),
                ..self.timing
            },
            caches,
            complete,
        })
    }

    fn insight(&self, clean: Option<&RunState>, edited: Option<&RunState>) -> Insight {
        let inside = |state: Option<&RunState>| {
            state.map_or_else(Inside::default, |state| state.looked.of(&self.spec.readout))
        };
        let edited = edited.filter(|_| self.has_edits);
        Insight {
            asked: self.spec.readout.clone(),
            comparison: edited.and_then(|state| state.comparison.clone()),
            control: edited.and_then(|state| {
                let asked = self.spec.readout.control.as_ref()?;
                state.control.clone().filter(|c| c.seeds == asked.seeds)
            }),
            clean: inside(clean),
            edited: match self.has_edits {
                true => inside(edited),
                false => inside(clean),
            },
        }
    }
}

/// Milliseconds since then.
pub(super) fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
