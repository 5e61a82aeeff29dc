//! The window's side of the engine: which request is the newest, what has come of it, and what came before.
//!
//! It draws nothing and changes no session.

use std::sync::Arc;

use super::sweeps::Sweeps;
use super::tasks::Tasks;
use crate::engine::protocol::{Event, RunId, RunSpec, Runner, Stage};
use crate::engine::trace::Trace;
use crate::engine::verification::Task;
use crate::engine::worker::{EngineHandle, Wake};
use crate::error::Result;
use crate::session::Session;
use crate::ui::status::LastRun;
use crate::ui::sweep_view::SweepView;

pub struct Runs {
    engine: Option<EngineHandle>,
    newest: u64,
    running: bool,
    progress: Option<(Stage, f32)>,
    trace: Option<Arc<Trace>>,
    previous: Option<Arc<Trace>>,
    error: Option<String>,
    /// The failure was a card's lack of memory.
    can_use_cpu: bool,
    /// The person chose the CPU after such a failure.
    on_cpu: bool,
    last: LastRun,
    sweeps: Sweeps,
    tasks: Tasks,
}

impl Runs {
    /// Starts the engine's thread; where that fails the window opens all the same and says why.
    pub fn new<R: Runner>(make: impl Fn() -> Result<R> + Send + 'static, wake: Wake) -> Self {
        let (engine, error) = match EngineHandle::spawn(make, wake) {
            Ok(engine) => (Some(engine), None),
            Err(error) => (None, Some(error.to_string())),
        };
        Self {
            engine,
            newest: 0,
            running: false,
            progress: None,
            trace: None,
            previous: None,
            error,
            can_use_cpu: false,
            on_cpu: false,
            last: LastRun::None,
            sweeps: Sweeps::default(),
            tasks: Tasks::default(),
        }
    }

    /// Asks for a run of the session as it is; whatever ran before is dropped.
    pub fn request(&mut self, session: &Session) {
        let Some(engine) = &self.engine else {
            return;
        };
        if self.sweeps.is_running() {
            self.sweeps.stop();
        }
        self.tasks.stop();
        self.newest += 1;
        self.running = true;
        let first = self.trace.is_none() && self.previous.is_none();
        let stage = if first {
            Stage::LoadingModel
        } else {
            Stage::EditedRun
        };
        self.progress = Some((stage, 0.0));
        engine.request(RunSpec {
            on_cpu: self.on_cpu,
            ..session.run_spec(RunId(self.newest))
        });
    }

    /// Asks for the session's sweep, or for the rest of one that was stopped; it starts when the run is through.
    pub fn want_sweep(&mut self) {
        if !self.sweeps.is_running() {
            self.sweeps.want();
        }
    }

    /// Starts the sweep that waits, if nothing runs.
    pub fn start_wanted_sweep(&mut self, session: &Session) {
        if self.running || self.tasks.is_running() || !self.sweeps.is_wanted() {
            return;
        }
        let (Some(engine), true) = (&self.engine, self.trace.is_some()) else {
            return self.sweeps.stop();
        };
        self.newest += 1;
        let id = RunId(self.newest);
        self.sweeps.begin(id);
        engine.request(RunSpec {
            on_cpu: self.on_cpu,
            ..session.sweep_spec(id)
        });
    }

    /// Shows results that were saved with the session; nothing is run until something is edited.
    pub fn show_recorded(&mut self, trace: Trace) {
        if let Some(engine) = &self.engine {
            engine.cancel();
        }
        self.newest += 1;
        self.sweeps.stop();
        self.running = false;
        (self.progress, self.previous, self.error) = (None, None, None);
        self.trace = Some(Arc::new(trace));
        self.last = LastRun::Recorded;
    }

    /// Asks for a task; it starts when nothing runs.
    pub fn want_task(&mut self, task: Task) {
        self.tasks.want(task);
    }

    /// Starts the task that waits, if nothing runs.
    pub fn start_wanted_task(&mut self, session: &Session) {
        if self.running || self.sweeps.is_running() {
            return;
        }
        let Some(engine) = &self.engine else {
            return self.tasks.stop();
        };
        if let Some(task) = self.tasks.begin(RunId(self.newest + 1)) {
            self.newest += 1;
            engine.request(RunSpec {
                task: Some(task),
                on_cpu: self.on_cpu,
                ..session.run_spec(RunId(self.newest))
            });
        }
    }

    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// The tensors that a task brought, once.
    pub fn take_tensors(&mut self) -> Option<Arc<Vec<crate::engine::Named>>> {
        self.tasks.take_tensors()
    }

    pub fn set_shown_level(&self, level: usize) {
        if let Some(engine) = &self.engine {
            engine.set_shown_level(level);
        }
    }

    /// Stops what runs; the last result stays.
    pub fn cancel(&mut self) {
        let Some(engine) = &self.engine else {
            return;
        };
        if self.running || self.sweeps.is_running() || self.tasks.is_running() {
            engine.cancel();
        }
        self.tasks.stop();
        self.sweeps.stop();
        if self.running {
            self.finish(LastRun::Cancelled);
        }
    }

    /// Takes in what the engine has told since the last frame.
    pub fn drain(&mut self) {
        loop {
            match self.engine.as_ref().map(EngineHandle::try_next) {
                Some(Ok(Some(event))) => self.take(event),
                Some(Err(error)) => {
                    self.engine = None;
                    self.fail(error.to_string());
                }
                Some(Ok(None)) | None => return,
            }
        }
    }

    fn take(&mut self, event: Event) {
        let id = match &event {
            Event::Progress { id, .. } | Event::Failed { id, .. } | Event::Cancelled { id } => *id,
            Event::Trace(trace) => trace.id,
            Event::Sweep(sweep) => sweep.id,
            Event::Verified(found) => found.id,
            Event::Dumped { id, .. } => *id,
        };
        if id.0 != self.newest {
            return;
        }
        if self.sweeps.is_running() {
            return self.take_of_sweep(event);
        }
        if self.tasks.is_running() {
            if let Some((message, can_use_cpu)) = self.tasks.take(event) {
                (self.error, self.can_use_cpu) = (Some(message), can_use_cpu);
            }
            return;
        }
        if !self.running {
            return;
        }
        match event {
            Event::Progress {
                stage, fraction, ..
            } => self.progress = Some((stage, fraction)),
            Event::Trace(trace) => self.merge(trace),
            Event::Sweep(_) | Event::Verified(_) | Event::Dumped { .. } => {}
            Event::Failed {
                message,
                can_use_cpu,
                ..
            } => {
                self.fail(message);
                self.can_use_cpu = can_use_cpu;
            }
            Event::Cancelled { .. } => self.finish(LastRun::Cancelled),
        }
    }

    fn take_of_sweep(&mut self, event: Event) {
        match event {
            Event::Sweep(sweep) => {
                if self.sweeps.take(sweep) {
                    self.sweeps.stop();
                    self.error = None;
                }
            }
            Event::Failed {
                message,
                can_use_cpu,
                ..
            } => {
                self.sweeps.stop();
                (self.error, self.can_use_cpu) = (Some(message), can_use_cpu);
            }
            Event::Cancelled { .. } => self.sweeps.stop(),
            Event::Progress { .. }
            | Event::Trace(_)
            | Event::Verified(_)
            | Event::Dumped { .. } => {}
        }
    }

    /// The newest trace takes the place of the one before; of another run, only a complete one is kept.
    fn merge(&mut self, trace: Arc<Trace>) {
        if let Some(old) = self.trace.take()
            && old.id != trace.id
            && old.complete
        {
            self.previous = Some(old);
        }
        if trace.complete {
            self.error = None;
            self.finish(LastRun::Done);
        }
        self.trace = Some(trace);
    }

    fn finish(&mut self, last: LastRun) {
        self.running = false;
        self.progress = None;
        self.last = last;
        if last != LastRun::Done {
            self.sweeps.stop();
        }
        // A run that stopped half-way leaves the last complete one on the screen.
        if last != LastRun::Done
            && self.previous.is_some()
            && self.trace.as_ref().is_some_and(|t| !t.complete)
        {
            self.trace = self.previous.take();
        }
    }

    fn fail(&mut self, message: String) {
        self.error = Some(message);
        self.can_use_cpu = false;
        self.finish(LastRun::Failed);
    }

    /// Shows a failure that was not the engine's, e.g. of a file.
    pub fn show_error(&mut self, message: String) {
        self.can_use_cpu = false;
        self.error = Some(message);
    }

    pub fn dismiss_error(&mut self) {
        self.error = None;
    }

    pub fn trace(&self) -> Option<&Trace> {
        self.trace.as_deref()
    }

    /// The result of the session as it is: the newest run, if it is through, or what was saved with the session.
    /// Nothing after a run that was stopped or failed, though an older trace is still on the screen.
    pub fn result(&self) -> Option<&Arc<Trace>> {
        let trace = self.trace.as_ref()?;
        let is_of_session = matches!(self.last, LastRun::Done | LastRun::Recorded);
        (!self.running && is_of_session && trace.complete).then_some(trace)
    }

    /// Shows a kept result until the run that was asked for has more.
    pub fn recall(&mut self, trace: Arc<Trace>) {
        if let Some(old) = self.trace.replace(trace)
            && old.complete
        {
            self.previous = Some(old);
        }
    }

    pub fn previous(&self) -> Option<&Trace> {
        self.previous.as_deref()
    }

    pub fn progress(&self) -> Option<(Stage, f32)> {
        self.progress.clone()
    }

    /// From now on runs are computed on the CPU.
    pub fn use_cpu(&mut self) {
        self.on_cpu = true;
    }

    /// Whether the CPU is a way out of the failure that is shown.
    pub fn can_use_cpu(&self) -> bool {
        self.error.is_some() && self.can_use_cpu && !self.on_cpu
    }

    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    pub fn running(&self) -> bool {
        self.running
    }

    pub fn sweeps(&self) -> SweepView<'_> {
        self.sweeps.view()
    }

    pub fn last(&self) -> LastRun {
        self.last
    }
}
