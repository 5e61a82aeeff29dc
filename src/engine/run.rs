//! `Engine::run`: carries out one request, blocking, and keeps what the next one can reuse.
//!
//! A run is a pure function of weights, picture and experiment; what is kept (model, encoded picture, clean run, last
//! edited run) is keyed by exactly those and only saves time. No threads here, no windows.

mod control;
mod extras;
mod look;
mod noise;
mod read;
mod room;
mod sweep;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crate::tensor::Device;

use super::budget::Budget;
use super::checkpoint::{CacheFolder, checkpoint, stamps};
use super::device;
use super::job::{Job, Which, ms};
use super::kept::{Kept, Prefix};
use super::outside::{self, Outside, target};
use super::picture::{self, EncodedPicture, FileStamp, PictureKey};
use super::plan::Plan;
use super::protocol::{DTypeChoice, DeviceChoice, Event, Monitor, RunSpec, Runner, Stage};
use super::state::{RunState, Watch};
use super::trace::{Timing, Trace};
use super::verification::Task;
use super::words;
use crate::error::{Error, Result};
use crate::index::PatchSet;
use crate::intervene::{CompiledSet, Donor};
use crate::model::numbers::Numbers;
use crate::model::{Description, Inventory, Llava, LoadOptions};
use crate::spec::{Experiment, Intervention, ModelSource};

/// Where and in which type to compute.
#[derive(Clone, Debug, Default)]
pub struct EngineOptions {
    pub device: DeviceChoice,
    pub dtype: Option<DTypeChoice>,
    pub cache: CacheFolder,
    /// Compute every row of every run: the slow twin of what an edit normally takes.
    pub whole_runs: bool,
    /// Rows that a batch of a sweep has at most; `None` for what suits the device.
    pub batch_rows: Option<usize>,
    /// Bytes that may be taken for weights, kept runs and work; `None` for what the card has free, on the CPU for no limit.
    pub memory: Option<u64>,
}

/// The model, its device, and what the last runs left.
pub struct Engine {
    pub(super) device: Device,
    pub(super) numbers: Numbers,
    options: EngineOptions,
    budget: Budget,
    /// The device ran out of memory before.
    is_short: bool,
    /// Only one run is kept on the device, and each is computed whole.
    keeps_one: bool,
    pub(super) is_warm: bool,
    pub(super) whole_runs: bool,
    batch_rows: Option<usize>,
    pub(super) model: Option<(ModelSource, Arc<Llava>)>,
    /// Of the files of that model when it was loaded.
    stamps: Vec<(PathBuf, FileStamp)>,
    /// Of the files of that model, where it comes from files.
    pub(super) inventory: Option<Inventory>,
    pub(super) picture: Option<EncodedPicture>,
    pub(super) n_pictures: u64,
    pub(super) prefix: Option<Prefix>,
    pub(super) clean: Option<Kept>,
    pub(super) edited: Option<Kept>,
    /// At most one of each kind.
    pub(super) sweeps: Vec<sweep::KeptSweep>,
    /// Norms of the input embeddings of the model that is loaded.
    pub(super) embedding_norms: Option<crate::tensor::Tensor>,
}

impl Engine {
    /// Opens the device; loads nothing yet.
    ///
    /// # Errors
    /// A device that this build or machine does not have.
    pub fn new(options: EngineOptions) -> Result<Self> {
        let (device, numbers) = device::open(options.device, options.dtype)?;
        Ok(Self {
            is_warm: device.is_cpu(),
            budget: Budget::new(options.memory, &device),
            is_short: false,
            keeps_one: false,
            device,
            numbers,
            whole_runs: options.whole_runs,
            batch_rows: options.batch_rows,
            options,
            model: None,
            stamps: Vec::new(),
            inventory: None,
            picture: None,
            n_pictures: 0,
            prefix: None,
            clean: None,
            edited: None,
            sweeps: Vec::new(),
            embedding_norms: None,
        })
    }

    /// The model of a source, loaded if it is not the one that is there.
    ///
    /// # Errors
    /// As [`Llava::open`].
    pub fn model(
        &mut self,
        source: &ModelSource,
        progress: &mut dyn FnMut(f32) -> Result<()>,
    ) -> Result<Arc<Llava>> {
        let now = stamps(source);
        if let Some(model) = self.loaded_as(source, &now) {
            return Ok(model);
        }
        let checkpoint = checkpoint(source)?;
        // What cannot be loaded leaves alone what is there.
        let description = Description::of(&checkpoint)?;
        let inventory = Inventory::of(&checkpoint)?;
        self.check_model(&description, &inventory)?;
        // Two large models may not fit at once: the old one goes first, with everything made by it.
        (self.model, self.picture) = (None, None);
        (self.prefix, self.clean, self.edited) = (None, None, None);
        self.sweeps.clear();
        self.embedding_norms = None;
        let options = LoadOptions {
            device: self.device.clone(),
            numbers: self.numbers,
            cache: self.options.cache.path(),
        };
        let mut progress = |fraction| progress(fraction);
        let model = Arc::new(Llava::open(&checkpoint, &options, &mut progress)?);
        self.model = Some((source.clone(), model.clone()));
        self.stamps = now;
        self.inventory = Some(inventory);
        Ok(model)
    }

    /// One attempt at a request.
    fn run_once(&mut self, spec: &RunSpec, monitor: &mut dyn Monitor) -> Result<Arc<Trace>> {
        let mut job = self.prepare(spec, monitor)?;
        let facts = job.model.facts.clone();
        let shown = |monitor: &dyn Monitor| {
            let level = monitor.shown_level().or(spec.shown_level);
            level.unwrap_or(facts.default_level).min(facts.n_layers)
        };
        let is_new = self.ensure_clean(&mut job, monitor)?;
        self.drop_other_edits(&job);
        self.read(&mut job, Which::Clean, shown(monitor))?;
        if is_new || !job.has_edits {
            self.emit(&job, false, monitor);
        }
        if job.has_edits {
            self.set_clean_aside(&mut job, &shown, monitor)?;
            self.ensure_edited(&mut job, monitor)?;
            self.read(&mut job, Which::Edited, shown(monitor))?;
            self.emit(&job, false, monitor);
        }
        for &which in job.runs() {
            self.answer(&mut job, which, monitor)?;
        }
        self.compare(&job, monitor)?;
        self.control(&job, monitor)?;
        self.look_inside(&job, monitor)?;
        self.read_rest(&mut job, &shown, monitor)?;
        self.read_extras(&mut job, &shown, monitor)?;
        Ok(self.emit(&job, true, monitor))
    }

    /// Everything before the first forward pass.
    fn prepare<'a>(&mut self, spec: &'a RunSpec, monitor: &mut dyn Monitor) -> Result<Job<'a>> {
        let started = Instant::now();
        let mut timing = Timing::default();
        self.prepare_device(spec.id, monitor)?;
        let source = &spec.experiment.model;
        let is_loaded = self.loaded_as(source, &stamps(source)).is_some();
        let model = self.model(&spec.experiment.model, &mut |fraction| {
            monitor.emit(Event::Progress {
                id: spec.id,
                stage: Stage::LoadingModel,
                fraction,
            });
            if monitor.cancelled() {
                Err(Error::Cancelled)
            } else {
                Ok(())
            }
        })?;
        if !is_loaded {
            timing.load = ms(started);
        }
        let since = Instant::now();
        let (picture, is_new) = self.picture(&model, spec, monitor)?;
        if is_new {
            timing.encode = ms(since);
        }
        let words = spec.readout.words.iter().enumerate().map(|(at, word)| {
            let chosen = spec.readout.word_tokens.get(at).copied().unwrap_or(0);
            model.tokenizer.word_token_at(word, chosen)
        });
        let words = words.collect::<Result<_>>()?;
        let prompt = Arc::new(model.prompt(&spec.experiment)?);
        // Every row is checked before anything is computed, those that are off too.
        let rows = &spec.experiment.interventions;
        CompiledSet::with_words(
            rows,
            target(&model, &prompt),
            &mut |_, _| Ok(Donor::Zero),
            &mut |word, vector| words::check(&model, word, vector),
        )?;
        self.make_room(
            &model,
            &prompt,
            room::n_new(&model, &prompt, &spec.experiment),
        )?;
        let has_edits = spec.experiment.active().next().is_some();
        Ok(Job {
            spec,
            similar_to: similar_to(spec, &model)?,
            model,
            picture,
            prompt,
            words,
            has_edits,
            started,
            timing,
        })
    }

    /// The encoded picture, and whether it had to be made.
    fn picture(
        &mut self,
        model: &Llava,
        spec: &RunSpec,
        monitor: &mut dyn Monitor,
    ) -> Result<(EncodedPicture, bool)> {
        let (source, crop) = (&spec.experiment.picture, spec.experiment.crop);
        let key = PictureKey::of(source, crop);
        if let Some(picture) = self.picture.as_ref().filter(|p| p.key == key) {
            return Ok((picture.clone(), false));
        }
        let mut tell = |stage| {
            monitor.emit(Event::Progress {
                id: spec.id,
                stage,
                fraction: 0.0,
            })
        };
        tell(Stage::ReadingPicture);
        let (name, prepared) = picture::prepare(model, source, crop)?;
        tell(Stage::Encoding);
        self.n_pictures += 1;
        let picture = EncodedPicture::new(model, key, name, prepared, self.n_pictures)?;
        self.picture = Some(picture.clone());
        Ok((picture, true))
    }

    /// Gives whether the clean run had to be computed.
    fn ensure_clean(&mut self, job: &mut Job<'_>, monitor: &mut dyn Monitor) -> Result<bool> {
        let experiment = job.spec.experiment.clean();
        let kept = self.clean.as_ref();
        let is_new = !kept.is_some_and(|kept| kept.is_of(&experiment, job, &[]));
        if is_new {
            (self.clean, self.edited) = (None, None);
            // The picture is shown while its words are still being read.
            self.emit(job, false, monitor);
            let since = Instant::now();
            self.ensure_prefix(job, monitor)?;
            let (n, n_layers) = (job.prompt.layout.n_prompt, job.model.facts.n_layers);
            let plan = Plan::of_suffix(job.prompt.layout.image.end.min(n - 1), n, n_layers);
            let base = self.prefix.as_ref().map(|kept| (&kept.state, plan));
            let kept = self.forward(job, experiment, Vec::new(), base, Stage::CleanRun, monitor)?;
            if let Some(prefix) = &mut self.prefix {
                prefix.state.become_rows_of(&kept.state)?;
            }
            self.clean = Some(kept);
            job.timing.baseline = ms(since);
        }
        self.read_words(job, Which::Clean)?;
        Ok(is_new)
    }

    /// A trace never shows the edited run of another request.
    fn drop_other_edits(&mut self, job: &Job<'_>) {
        let experiment = &job.spec.experiment;
        let outside = outside::stamps(experiment);
        let kept = self.edited.as_ref();
        let is_of = kept.is_some_and(|kept| kept.is_of(experiment, job, &outside));
        if !job.has_edits || !is_of {
            self.edited = None;
        }
    }

    /// The pass over everything up to the picture's end, which no question can change: computed once, so that a new
    /// question goes on from it and every run is still a function of its experiment alone.
    fn ensure_prefix(&mut self, job: &Job<'_>, monitor: &mut dyn Monitor) -> Result<()> {
        if self.computes_whole()
            || self
                .prefix
                .as_ref()
                .is_some_and(|kept| kept.is_prefix_of(job))
        {
            return Ok(());
        }
        self.prefix = None;
        let prompt = Arc::new(job.prompt.up_to_image());
        let nothing = CompiledSet::new(&[], target(&job.model, &prompt), &mut |_, _| {
            Ok(Donor::Zero)
        })?;
        let embeds = job.model.embed_prompt(&prompt, &job.picture.visual)?;
        let mut watch = Watch {
            id: job.spec.id,
            stage: Stage::CleanRun,
            monitor,
        };
        let state = RunState::forward(&job.model, prompt, embeds, nothing, 0, &mut watch)?;
        self.prefix = Some(Prefix {
            picture: job.picture.key.clone(),
            top_k: job.spec.readout.top_k,
            state,
        });
        Ok(())
    }

    fn ensure_edited(&mut self, job: &mut Job<'_>, monitor: &mut dyn Monitor) -> Result<()> {
        if self.edited.is_none() {
            let experiment = job.spec.experiment.clone();
            let outside = outside::stamps(&experiment);
            let since = Instant::now();
            let n_layers = job.model.facts.n_layers;
            let plan = Plan::of_edits(&experiment.interventions, &job.prompt.layout, n_layers)?;
            let base = self.clean.as_ref().map(|kept| (&kept.state, plan));
            let kept = self.forward(job, experiment, outside, base, Stage::EditedRun, monitor)?;
            self.edited = Some(kept);
            job.timing.edited = ms(since);
        }
        self.read_words(job, Which::Edited)
    }

    /// The forward pass; from `base` on, only what the plan says can differ.
    fn forward(
        &self,
        job: &Job<'_>,
        experiment: Experiment,
        outside: Vec<Option<FileStamp>>,
        base: Option<(&RunState, Plan)>,
        stage: Stage,
        monitor: &mut dyn Monitor,
    ) -> Result<Kept> {
        let prompt = job.prompt.clone();
        let hooks = self.compile(job, &experiment.interventions, monitor)?;
        let embeds = job.model.embed_prompt(&prompt, &job.picture.visual)?;
        let n_new = room::n_new(&job.model, &prompt, &experiment);
        let mut watch = Watch {
            id: job.spec.id,
            stage,
            monitor,
        };
        let state = match base {
            Some((base, plan)) if !self.computes_whole() => RunState::resume(
                &job.model,
                prompt,
                &embeds,
                hooks,
                (base, &plan),
                n_new,
                &mut watch,
            )?,
            _ => RunState::forward(&job.model, prompt, embeds, hooks, n_new, &mut watch)?,
        };
        Ok(Kept {
            experiment,
            picture: job.picture.key.clone(),
            outside,
            top_k: job.spec.readout.top_k,
            state,
        })
    }

    /// Checks and compiles interventions, with what they take from other files.
    fn compile(
        &self,
        job: &Job<'_>,
        rows: &[Intervention],
        monitor: &mut dyn Monitor,
    ) -> Result<CompiledSet> {
        let prompt = &job.prompt;
        let target = target(&job.model, prompt);
        let (model, spec) = (&job.model, job.spec);
        let mut outside = Outside {
            model,
            device: &self.device,
            dtype: self.numbers.float,
            prompt,
            spec,
            monitor,
        };
        CompiledSet::with_words(
            rows,
            target,
            &mut |with, level| outside.donor(with, level),
            &mut |word, vector| words::vector(model, word, vector),
        )
    }

    fn kept(&mut self, which: Which) -> Result<&mut Kept> {
        let kept = match which {
            Which::Clean => &mut self.clean,
            Which::Edited => &mut self.edited,
        };
        kept.as_mut()
            .ok_or_else(|| Error::internal("a run is missing"))
    }

    fn read_words(&mut self, job: &Job<'_>, which: Which) -> Result<()> {
        let state = &mut self.kept(which)?.state;
        state.read_words(&job.model, &job.word_ids())?;
        state.read_similar(job.similar_to)
    }

    fn answer(&mut self, job: &mut Job<'_>, which: Which, monitor: &mut dyn Monitor) -> Result<()> {
        let since = Instant::now();
        let max_new_tokens = job.spec.experiment.decode.max_new_tokens;
        loop {
            let watch = Watch {
                id: job.spec.id,
                stage: Stage::Answer,
                monitor,
            };
            watch.check()?;
            let is_complete =
                self.kept(which)?
                    .state
                    .decode_step(&job.model, max_new_tokens, &watch)?;
            self.emit(job, false, monitor);
            if is_complete {
                break;
            }
        }
        job.timing.decode += ms(since);
        Ok(())
    }

    /// Tells everything known so far.
    fn emit(&self, job: &Job<'_>, complete: bool, monitor: &mut dyn Monitor) -> Arc<Trace> {
        let edited = if job.has_edits {
            self.edited.as_ref()
        } else {
            None
        };
        let trace = job.trace(
            self.clean.as_ref().map(|kept| &kept.state),
            edited.map(|kept| &kept.state),
            self.caches(),
            complete,
        );
        monitor.emit(Event::Trace(trace.clone()));
        trace
    }
}

/// The patch that the others are compared with, row-major.
fn similar_to(spec: &RunSpec, model: &Llava) -> Result<Option<usize>> {
    let patches = PatchSet::from_iter(spec.readout.similar_to);
    let indices = patches.indices(model.facts.grid);
    let indices = indices.map_err(|e| Error::input(format!("readout.similar_to: {e}")))?;
    Ok(indices.first().copied())
}

impl Runner for Engine {
    fn run(&mut self, spec: &RunSpec, monitor: &mut dyn Monitor) -> Result<()> {
        match (&spec.sweep, spec.task) {
            (Some(sweep), _) => self.sweep(spec, sweep, monitor).map(drop),
            (None, Some(Task::Verify)) => self.verify(spec, monitor).map(drop),
            (None, Some(Task::Dump)) => {
                Self::run(self, spec, monitor)?;
                let tensors = Arc::new(self.dump(false)?);
                monitor.emit(Event::Dumped {
                    id: spec.id,
                    tensors,
                });
                Ok(())
            }
            (None, None) => Self::run(self, spec, monitor).map(drop),
        }
    }
}
