//! What is asked of the engine and what it answers: plain data, no tensors, no threads.

use std::sync::Arc;

use super::Named;
use super::sweep::Sweep;
use super::trace::Trace;
use super::verification::{Task, Verification};
pub use crate::compute::Without;
use crate::spec::{Experiment, Readout, SweepSpec};

/// Names one request; later requests have larger numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RunId(pub u64);

/// Where the forward pass runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum DeviceChoice {
    /// The best that this build and this machine have.
    Auto,
    #[default]
    Cpu,
    Cuda(usize),
    Metal,
    /// A card through wgpu: of this index, or the first that is no software; some ways to compute may be forbidden.
    Wgpu(Option<usize>, Without),
}

/// The type of weights and activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DTypeChoice {
    F32,
    F16,
    Bf16,
    /// The decoder's maps in 8 bits.
    Q8_0,
    /// The decoder's maps in 4 bits, the unembedding in 6.
    Q4K,
}

/// One request: everything a run depends on, and what to show first.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct RunSpec {
    pub id: RunId,
    pub experiment: Experiment,
    pub readout: Readout,
    /// The level on screen; it is read first. `None` for the model's default level.
    pub shown_level: Option<usize>,
    /// Sweep over the experiment's clean run instead of running it.
    pub sweep: Option<SweepSpec>,
    /// On the CPU, whatever device the engine was made for.
    pub on_cpu: bool,
    /// Do this instead of running it.
    pub task: Option<Task>,
}

/// What the engine is doing.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    PreparingDevice,
    LoadingModel,
    ReadingPicture,
    Encoding,
    CleanRun,
    EditedRun,
    Control,
    Lens,
    Answer,
    /// Attention and attribution.
    Inside,
    Sweep,
    Verify,
}

impl Stage {
    /// In words, for the status line.
    pub fn text(&self) -> &'static str {
        match self {
            Self::PreparingDevice => "preparing the graphics card (longer on the first start)",
            Self::LoadingModel => "loading the model",
            Self::ReadingPicture => "reading the picture",
            Self::Encoding => "encoding the picture",
            Self::CleanRun => "clean run",
            Self::EditedRun => "edited run",
            Self::Control => "control runs on random patches",
            Self::Lens => "reading the words",
            Self::Answer => "answering",
            Self::Inside => "looking inside",
            Self::Sweep => "sweeping",
            Self::Verify => "verifying",
        }
    }
}

/// What the engine tells while and after it runs.
#[derive(Clone, Debug)]
pub enum Event {
    /// `fraction` in 0..=1 of this stage.
    Progress {
        id: RunId,
        stage: Stage,
        fraction: f32,
    },
    /// Everything known so far about the run `trace.id`; the last one of a run is `complete`.
    Trace(Arc<Trace>),
    /// Everything known so far about a sweep, after every batch; the last one of a request is complete.
    Sweep(Arc<Sweep>),
    /// All checks so far of a verification; the last one of a request is complete.
    Verified(Arc<Verification>),
    /// The tensors of the run that was asked for.
    Dumped {
        id: RunId,
        tensors: Arc<Vec<Named>>,
    },
    Failed {
        id: RunId,
        message: String,
        /// A card has too little memory: the CPU is a way out.
        can_use_cpu: bool,
    },
    Cancelled {
        id: RunId,
    },
}

/// How a run talks to whoever asked for it while it goes on.
pub trait Monitor {
    /// Polled between layers: `true` stops the run with [`crate::error::Error::Cancelled`].
    fn cancelled(&self) -> bool;
    /// The level on screen now; it is read first.
    fn shown_level(&self) -> Option<usize>;
    /// Takes news. May block while the receiver is behind.
    fn emit(&mut self, event: Event);
}

/// Something that can carry out requests: the engine, or a stand-in for it in a test of the window.
pub trait Runner {
    /// Carries out one request and tells the monitor about it; the last event of a run that succeeds is a
    /// complete [`Event::Trace`], of a sweep a complete [`Event::Sweep`], of a task its own event.
    ///
    /// # Errors
    /// The monitor's wish to stop, bad input, a failing device.
    fn run(&mut self, spec: &RunSpec, monitor: &mut dyn Monitor) -> crate::error::Result<()>;
}
