//! `Engine::run`: carries out one request, blocking, and keeps what the next one can reuse.
//!
//! A run is a pure function of weights, picture and experiment; what is kept (model, encoded picture, clean run, last
//! edited run) is keyed by exactly those and only saves time. No threads here, no windows.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use candle_core::{DType, Device, Tensor};

use super::device;
use super::protocol::{DTypeChoice, DeviceChoice, Event, Monitor, RunSpec, Runner, Stage};
use super::state::{RunState, Watch};
use super::trace::{RunReadout, SeenPicture, Timing, Trace, WordToken};
use crate::error::{Error, Result};
use crate::intervene::{CompiledSet, Donor, Target};
use crate::model::preprocess::{self, CropMode};
use crate::model::{Llava, Prompt};
use crate::spec::{Crop, Experiment, Intervention, ModelSource, PictureSource, Replacement};
use crate::{demo, files};

/// Where and in which type to compute.
#[derive(Clone, Copy, Debug, Default)]
pub struct EngineOptions {
    pub device: DeviceChoice,
    pub dtype: Option<DTypeChoice>,
}

/// The model, its device, and what the last runs left.
pub struct Engine {
    device: Device,
    dtype: DType,
    model: Option<(ModelSource, Arc<Llava>)>,
    picture: Option<EncodedPicture>,
    n_pictures: u64,
    clean: Option<Kept>,
    edited: Option<Kept>,
}

/// A picture as the model sees it, for as long as its file stays the same.
#[derive(Clone)]
struct EncodedPicture {
    key: PictureKey,
    seen: Arc<SeenPicture>,
    pixel_values: Arc<Vec<f32>>,
    visual: Tensor, // [visual tokens, d_model]
}

#[derive(Clone, Debug, PartialEq)]
struct PictureKey {
    source: PictureSource,
    crop: Crop,
    stamp: Option<FileStamp>,
}

/// Tells a file from a later one of the same name.
#[derive(Clone, Debug, PartialEq)]
struct FileStamp {
    modified: Option<SystemTime>,
    len: u64,
}

impl FileStamp {
    fn of(path: &Path) -> Option<Self> {
        let meta = std::fs::metadata(path).ok()?;
        Some(Self {
            modified: meta.modified().ok(),
            len: meta.len(),
        })
    }
}

/// A run that is kept, and what it is a run of.
struct Kept {
    experiment: Experiment,
    picture: PictureKey,
    outside: Vec<Option<FileStamp>>,
    top_k: usize,
    state: RunState,
}

/// One request on its way.
struct Job<'a> {
    spec: &'a RunSpec,
    model: Arc<Llava>,
    picture: EncodedPicture,
    words: Vec<WordToken>,
    has_edits: bool,
    started: Instant,
    timing: Timing,
}

impl Engine {
    /// Opens the device; loads nothing yet.
    ///
    /// # Errors
    /// A device that this build or machine does not have.
    pub fn new(options: EngineOptions) -> Result<Self> {
        let (device, dtype) = device::open(options.device, options.dtype)?;
        Ok(Self {
            device,
            dtype,
            model: None,
            picture: None,
            n_pictures: 0,
            clean: None,
            edited: None,
        })
    }

    /// The model of a source, loaded if it is not the one that is there.
    ///
    /// # Errors
    /// As [`Llava::load`].
    pub fn model(
        &mut self,
        source: &ModelSource,
        progress: &mut dyn FnMut(f32) -> Result<()>,
    ) -> Result<Arc<Llava>> {
        if let Some((loaded, model)) = &self.model
            && loaded == source
        {
            return Ok(model.clone());
        }
        // Two large models may not fit at once: the old one goes first, with everything made by it.
        (self.model, self.picture, self.clean, self.edited) = (None, None, None, None);
        let mut progress = |fraction| progress(fraction);
        let model = match source {
            ModelSource::Demo => Llava::load_demo(&self.device, self.dtype, &mut progress)?,
            ModelSource::Folder(folder) => {
                Llava::load(folder, &self.device, self.dtype, &mut progress)?
            }
            ModelSource::Hub(id) => {
                Llava::load(&hub_folder(id)?, &self.device, self.dtype, &mut progress)?
            }
        };
        let model = Arc::new(model);
        self.model = Some((source.clone(), model.clone()));
        Ok(model)
    }

    /// Carries out a request to the end and gives the complete trace.
    ///
    /// # Errors
    /// Bad input, a failing device, the monitor's wish to stop.
    pub fn run(&mut self, spec: &RunSpec, monitor: &mut dyn Monitor) -> Result<Arc<Trace>> {
        let mut job = self.prepare(spec, monitor)?;
        let facts = job.model.facts.clone();
        let shown = |monitor: &dyn Monitor| {
            let level = monitor.shown_level().or(spec.shown_level);
            level.unwrap_or(facts.default_level).min(facts.n_layers)
        };
        self.ensure_clean(&mut job, monitor)?;
        self.read(&mut job, Which::Clean, shown(monitor))?;
        self.emit(&job, false, monitor);
        if job.has_edits {
            self.ensure_edited(&mut job, monitor)?;
            self.read(&mut job, Which::Edited, shown(monitor))?;
            self.emit(&job, false, monitor);
        }
        for which in job.runs() {
            self.answer(&mut job, which, monitor)?;
        }
        while let Some((which, level)) = self.next_unread(&job, shown(monitor)) {
            if monitor.cancelled() {
                return Err(Error::Cancelled);
            }
            self.read(&mut job, which, level)?;
            self.emit(&job, false, monitor);
        }
        Ok(self.emit(&job, true, monitor))
    }

    /// Tensors of the contract's dump, of the last run's edited side: name, shape, values.
    ///
    /// # Errors
    /// No run yet; a failing device.
    pub fn dump(&mut self, patterns: bool) -> Result<Vec<(String, Vec<usize>, Vec<f32>)>> {
        super::dump::collect(self.last_parts()?, patterns)
    }

    fn last_parts(&mut self) -> Result<super::dump::Parts<'_>> {
        let none = || Error::internal("there is no run to dump");
        let (_, model) = self.model.as_ref().ok_or_else(none)?;
        let picture = self.picture.as_ref().ok_or_else(none)?;
        let kept = self
            .edited
            .as_mut()
            .or(self.clean.as_mut())
            .ok_or_else(none)?;
        Ok(super::dump::Parts {
            model,
            pixel_values: &picture.pixel_values,
            visual: &picture.visual,
            state: &mut kept.state,
        })
    }

    /// Everything before the first forward pass.
    fn prepare<'a>(&mut self, spec: &'a RunSpec, monitor: &mut dyn Monitor) -> Result<Job<'a>> {
        let started = Instant::now();
        let mut timing = Timing::default();
        let is_loaded = self
            .model
            .as_ref()
            .is_some_and(|(source, _)| *source == spec.experiment.model);
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
        let (picture, is_new) = self.picture(&model, &spec.experiment, spec, monitor)?;
        if is_new {
            timing.encode = ms(since);
        }
        let words = spec
            .readout
            .words
            .iter()
            .map(|word| model.tokenizer.word_token(word));
        let words = words.collect::<Result<_>>()?;
        let has_edits = spec.experiment.active().next().is_some();
        Ok(Job {
            spec,
            model,
            picture,
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
        experiment: &Experiment,
        spec: &RunSpec,
        monitor: &mut dyn Monitor,
    ) -> Result<(EncodedPicture, bool)> {
        let key = picture_key(&experiment.picture, experiment.crop);
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
        let (name, prepared) = prepare_picture(model, &experiment.picture, experiment.crop)?;
        tell(Stage::Encoding);
        let visual = model.encode(&prepared.pixel_values)?;
        self.n_pictures += 1;
        let seen = SeenPicture {
            revision: self.n_pictures,
            name,
            size: prepared.seen.width,
            rgb: prepared.seen.pixels,
            original_size: prepared.original_size,
        };
        let pixel_values = Arc::new(prepared.pixel_values);
        let picture = EncodedPicture {
            key,
            seen: Arc::new(seen),
            pixel_values,
            visual,
        };
        self.picture = Some(picture.clone());
        Ok((picture, true))
    }

    fn ensure_clean(&mut self, job: &mut Job<'_>, monitor: &mut dyn Monitor) -> Result<()> {
        let experiment = job.spec.experiment.clean();
        if !self
            .clean
            .as_ref()
            .is_some_and(|kept| kept.is_of(&experiment, job, &[]))
        {
            (self.clean, self.edited) = (None, None);
            let since = Instant::now();
            self.clean =
                Some(self.forward(job, experiment, Vec::new(), Stage::CleanRun, monitor)?);
            job.timing.baseline = ms(since);
        }
        if !job.has_edits {
            // The rows that are off are checked all the same, and the edited side is the clean one.
            self.compile(job, &job.spec.experiment.interventions, monitor)?;
            self.edited = None;
        }
        self.read_words(job, Which::Clean)
    }

    fn ensure_edited(&mut self, job: &mut Job<'_>, monitor: &mut dyn Monitor) -> Result<()> {
        let experiment = job.spec.experiment.clone();
        let outside = outside_stamps(&experiment);
        if !self
            .edited
            .as_ref()
            .is_some_and(|kept| kept.is_of(&experiment, job, &outside))
        {
            self.edited = None;
            let since = Instant::now();
            self.edited =
                Some(self.forward(job, experiment, outside, Stage::EditedRun, monitor)?);
            job.timing.edited = ms(since);
        }
        self.read_words(job, Which::Edited)
    }

    fn forward(
        &mut self,
        job: &Job<'_>,
        experiment: Experiment,
        outside: Vec<Option<FileStamp>>,
        stage: Stage,
        monitor: &mut dyn Monitor,
    ) -> Result<Kept> {
        let prompt = Arc::new(job.model.prompt(&experiment)?);
        let hooks = self.compile(job, &experiment.interventions, monitor)?;
        let embeds = job.model.embed_prompt(&prompt, &job.picture.visual)?;
        let mut watch = Watch {
            id: job.spec.id,
            stage,
            monitor,
        };
        let state = RunState::forward(&job.model, prompt, embeds, hooks, &mut watch)?;
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
        let model = &job.model;
        let prompt = model.prompt(&job.spec.experiment)?;
        let (n_layers, n_heads) = (model.facts.n_layers, model.facts.n_heads);
        let target = Target {
            layout: prompt.layout.clone(),
            n_layers,
            n_heads,
        };
        CompiledSet::new(rows, target, &mut |with, level| match with {
            Replacement::MeanOf(path) => Ok(Donor::Vector(self.load_vector(model, path)?)),
            Replacement::Image(path) => Ok(Donor::Rows(
                self.donor_rows(job, &prompt, path, level, monitor)?,
            )),
            other => Err(Error::internal(format!(
                "{other:?} takes nothing from outside"
            ))),
        })
    }

    /// The only tensor of a safetensors file, as a vector of the model's width.
    fn load_vector(&self, model: &Llava, path: &Path) -> Result<Tensor> {
        let bytes = files::read_bytes(path, 64 << 20)?;
        let bad = |why: String| {
            let width = model.facts.d_model;
            Error::input(format!(
                "{}: {why}; one float tensor of {width} numbers is needed",
                path.display()
            ))
        };
        let tensors = candle_core::safetensors::load_buffer(&bytes, &self.device)
            .map_err(|e| bad(format!("not a safetensors file ({e})")))?;
        let mut tensors = tensors.into_values();
        match (tensors.next(), tensors.next()) {
            (Some(tensor), None)
                if tensor.elem_count() == model.facts.d_model && tensor.dtype().is_float() =>
            {
                Ok(tensor.flatten_all()?.to_dtype(self.dtype)?)
            }
            (Some(tensor), None) => Err(bad(format!(
                "its tensor is {:?} {:?}",
                tensor.dtype(),
                tensor.dims()
            ))),
            (None, _) => Err(bad("it holds no tensor".to_owned())),
            (Some(_), Some(_)) => Err(bad("it holds several tensors".to_owned())),
        }
    }

    /// Rows of another picture's patches at a level, under the same prompt. `[patch, d_model]`
    fn donor_rows(
        &self,
        job: &Job<'_>,
        prompt: &Prompt,
        path: &Path,
        level: usize,
        monitor: &mut dyn Monitor,
    ) -> Result<Tensor> {
        let model = &job.model;
        let source = PictureSource::File(path.to_owned());
        let (_, prepared) = prepare_picture(model, &source, job.spec.experiment.crop)?;
        let visual = model.encode(&prepared.pixel_values)?;
        let layout = &prompt.layout;
        if level == 0 {
            return Ok(visual.narrow(0, layout.patch_offset, layout.grid.len())?);
        }
        let target = Target {
            layout: layout.clone(),
            n_layers: model.facts.n_layers,
            n_heads: model.facts.n_heads,
        };
        let nothing = CompiledSet::new(&[], target, &mut |_, _| Ok(Donor::Zero))?;
        let embeds = model.embed_prompt(prompt, &visual)?;
        let mut watch = Watch {
            id: job.spec.id,
            stage: Stage::EditedRun,
            monitor,
        };
        RunState::forward(model, Arc::new(prompt.clone()), embeds, nothing, &mut watch)?
            .patch_rows(level)
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
        self.kept(which)?
            .state
            .read_words(&job.model, &job.word_ids())
    }

    /// Reads one level of one run, unless it is read already.
    fn read(&mut self, job: &mut Job<'_>, which: Which, level: usize) -> Result<()> {
        let since = Instant::now();
        let (kept, clean) = match which {
            Which::Clean => (self.clean.as_mut(), None),
            Which::Edited => (
                self.edited.as_mut(),
                self.clean.as_ref().map(|kept| &kept.state),
            ),
        };
        let Some(kept) = kept else {
            return Err(Error::internal("a run is missing"));
        };
        if kept.state.readout.levels[level].is_none() {
            kept.state
                .read_level(&job.model, level, job.spec.readout.top_k, clean)?;
            kept.state
                .read_words_at(&job.model, level, &job.word_ids())?;
            job.timing.lens += ms(since);
        }
        Ok(())
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

    /// The level to read next: the one nearest to the level on screen, the edited run first.
    fn next_unread(&self, job: &Job<'_>, shown: usize) -> Option<(Which, usize)> {
        let unread = |which: Which, kept: &Option<Kept>| {
            let levels = kept.as_ref().map(|kept| &kept.state.readout.levels)?;
            let open = (0..levels.len()).filter(|level| levels[*level].is_none());
            open.min_by_key(|level| level.abs_diff(shown))
                .map(|level| (which, level))
        };
        let edited = if job.has_edits {
            unread(Which::Edited, &self.edited)
        } else {
            None
        };
        edited.or_else(|| unread(Which::Clean, &self.clean))
    }

    /// Tells everything known so far.
    fn emit(&self, job: &Job<'_>, complete: bool, monitor: &mut dyn Monitor) -> Arc<Trace> {
        let readout = |kept: &Option<Kept>| {
            kept.as_ref()
                .map_or_else(RunReadout::default, |kept| kept.state.readout.clone())
        };
        let baseline = Arc::new(readout(&self.clean));
        let edited = if job.has_edits {
            Arc::new(readout(&self.edited))
        } else {
            baseline.clone()
        };
        let prompt = self.clean.as_ref().map(|kept| kept.state.prompt.clone());
        let trace = Arc::new(Trace {
            id: job.spec.id,
            model: job.model.facts.clone(),
            picture: job.picture.seen.clone(),
            layout: prompt
                .as_ref()
                .map(|p| Arc::new(p.layout.clone()))
                .unwrap_or_default(),
            input_ids: prompt.map(|p| Arc::new(p.ids.clone())).unwrap_or_default(),
            words: job.words.clone(),
            baseline,
            edited,
            has_edits: job.has_edits,
            timing: Timing {
                total: ms(job.started),
                ..job.timing
            },
            complete,
        });
        monitor.emit(Event::Trace(trace.clone()));
        trace
    }
}

impl Runner for Engine {
    fn run(&mut self, spec: &RunSpec, monitor: &mut dyn Monitor) -> Result<()> {
        Self::run(self, spec, monitor).map(drop)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Clean,
    Edited,
}

impl Job<'_> {
    fn runs(&self) -> Vec<Which> {
        if self.has_edits {
            vec![Which::Clean, Which::Edited]
        } else {
            vec![Which::Clean]
        }
    }

    fn word_ids(&self) -> Vec<u32> {
        self.words.iter().map(|word| word.id).collect()
    }
}

impl Kept {
    /// Whether this is the run of `experiment` on the job's picture with the files behind it unchanged.
    fn is_of(&self, experiment: &Experiment, job: &Job<'_>, outside: &[Option<FileStamp>]) -> bool {
        self.experiment == *experiment
            && self.picture == job.picture.key
            && self.outside == outside
            && self.top_k == job.spec.readout.top_k
    }
}

/// Stamps of the files that replacements come from.
fn outside_stamps(experiment: &Experiment) -> Vec<Option<FileStamp>> {
    let stamp = |row: &Intervention| match row {
        Intervention::Ablation(a) => match &a.with {
            Replacement::MeanOf(path) | Replacement::Image(path) => FileStamp::of(path),
            _ => None,
        },
        Intervention::AttentionKnockout(_) => None,
    };
    experiment.interventions.iter().map(stamp).collect()
}

fn picture_key(source: &PictureSource, crop: Crop) -> PictureKey {
    let stamp = match source {
        PictureSource::Demo => None,
        PictureSource::File(path) => FileStamp::of(path),
    };
    PictureKey {
        source: source.clone(),
        crop,
        stamp,
    }
}

fn prepare_picture(
    model: &Llava,
    source: &PictureSource,
    crop: Crop,
) -> Result<(String, preprocess::PreparedPicture)> {
    let (name, picture) = match source {
        PictureSource::Demo => (
            demo::PICTURE_NAME.to_owned(),
            preprocess::decode(demo::PICTURE, demo::PICTURE_NAME)?,
        ),
        PictureSource::File(path) => {
            let name = path
                .file_name()
                .map_or_else(String::new, |n| n.to_string_lossy().into_owned());
            (name, preprocess::read(path)?)
        }
    };
    let mode = match crop {
        Crop::Center => CropMode::Center,
        Crop::Pad => CropMode::Pad,
    };
    Ok((
        name,
        preprocess::prepare(&picture, &model.picture_config, mode)?,
    ))
}

/// The newest snapshot of a model in the local Hugging Face cache.
pub fn hub_folder(id: &str) -> Result<PathBuf> {
    let home = |name: &str| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    let user = home("HOME")
        .or_else(|| home("USERPROFILE"))
        .unwrap_or_default();
    let hub = home("HF_HUB_CACHE")
        .or_else(|| home("HF_HOME").map(|h| h.join("hub")))
        .unwrap_or_else(|| user.join(".cache").join("huggingface").join("hub"));
    let snapshots = hub
        .join(format!("models--{}", id.replace('/', "--")))
        .join("snapshots");
    let folders = std::fs::read_dir(&snapshots)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let with_time = folders
        .filter(|f| f.is_dir())
        .map(|f| (FileStamp::of(&f).and_then(|s| s.modified), f));
    with_time.max().map(|(_, folder)| folder).ok_or_else(|| {
        Error::input(format!(
            "model {id} is neither a folder here nor in the Hugging Face cache ({}): \
             download it with `hf download {id}`, or name a folder",
            hub.display()
        ))
    })
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
