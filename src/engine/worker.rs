//! The one thread: it owns the runner, takes requests from a one-slot mailbox and sends events back.
//!
//! The latest request wins: a newer one overwrites a waiting one and cancels a running one between two layers.
//! It knows nothing of models; a panic in a run becomes a [`Event::Failed`] and the runner is made anew.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::protocol::{Event, Monitor, RunId, RunSpec, Runner};
use crate::error::{Error, Result};

/// Events that may wait for the window; the worker waits when they are this many.
const EVENT_BOUND: usize = 256;
/// Request ids start at 1: 0 cancels without asking for anything, `STOP` ends the thread.
const NOTHING: u64 = 0;
const STOP: u64 = u64::MAX;
const NO_LEVEL: usize = usize::MAX;

/// Called from the worker whenever there is news.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// The window's end of the engine. Nothing here blocks.
pub struct EngineHandle {
    shared: Arc<Shared>,
    events: Receiver<Event>,
}

/// Communication around the mailbox: instant, never queued.
struct Shared {
    mailbox: Mutex<Option<RunSpec>>,
    filled: Condvar,
    latest: AtomicU64,
    shown_level: AtomicUsize,
}

impl Shared {
    /// A poisoned mailbox holds a whole request all the same: requests are swapped, never edited in place.
    fn mailbox(&self) -> MutexGuard<'_, Option<RunSpec>> {
        self.mailbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EngineHandle {
    /// Starts the thread `engine`. `make` builds the runner there, and again after a panic.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn spawn<R: Runner>(
        make: impl Fn() -> Result<R> + Send + 'static,
        wake: Wake,
    ) -> Result<Self> {
        let shared = Arc::new(Shared {
            mailbox: Mutex::new(None),
            filled: Condvar::new(),
            latest: AtomicU64::new(NOTHING),
            shown_level: AtomicUsize::new(NO_LEVEL),
        });
        let (sender, events) = sync_channel(EVENT_BOUND);
        let worker = Worker {
            shared: shared.clone(),
            sender,
            wake,
        };
        std::thread::Builder::new()
            .name("engine".to_owned())
            .stack_size(16 << 20)
            .spawn(move || worker.work(make))
            .map_err(|e| {
                Error::internal(format!("the engine's thread could not be started: {e}"))
            })?;
        Ok(Self { shared, events })
    }

    /// Asks for a run; whatever waited or ran before is dropped. `spec.id` must be above 0 and grow.
    pub fn request(&self, spec: RunSpec) {
        if let Some(level) = spec.shown_level {
            self.set_shown_level(level);
        }
        self.shared.latest.store(spec.id.0, Ordering::SeqCst);
        *self.shared.mailbox() = Some(spec);
        self.shared.filled.notify_one();
    }

    /// Stops what runs, asks for nothing.
    pub fn cancel(&self) {
        self.shared.mailbox().take();
        self.shared.latest.store(NOTHING, Ordering::SeqCst);
    }

    /// Tells a run which level to read next.
    pub fn set_shown_level(&self, level: usize) {
        self.shared.shown_level.store(level, Ordering::Relaxed);
    }

    /// The next event, if there is one.
    ///
    /// # Errors
    /// The thread is gone.
    pub fn try_next(&self) -> Result<Option<Event>> {
        match self.events.try_recv() {
            Ok(event) => Ok(Some(event)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(Error::internal(
                "the engine has stopped: start Patchglass again",
            )),
        }
    }
}

impl Drop for EngineHandle {
    /// Signals and does not join: the thread may wait for the events channel, which goes with us.
    fn drop(&mut self) {
        self.shared.latest.store(STOP, Ordering::SeqCst);
        self.shared.filled.notify_one();
    }
}

struct Worker {
    shared: Arc<Shared>,
    sender: SyncSender<Event>,
    wake: Wake,
}

impl Worker {
    fn work<R: Runner>(self, make: impl Fn() -> Result<R>) {
        let mut runner = None;
        while let Some(spec) = self.next_request() {
            let id = spec.id;
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                let runner = match &mut runner {
                    Some(runner) => runner,
                    none => none.insert(make()?),
                };
                runner.run(&spec, &mut Line { id, worker: &self })
            }));
            let event = match outcome {
                Ok(Ok(())) => continue,
                Ok(Err(Error::Cancelled)) => Event::Cancelled { id },
                Ok(Err(error)) => Event::Failed {
                    id,
                    message: error.to_string(),
                    can_use_cpu: matches!(
                        error,
                        Error::OutOfMemory {
                            can_use_cpu: true,
                            ..
                        }
                    ),
                },
                Err(panic) => {
                    runner = None;
                    let message = format!(
                        "the run failed inside Patchglass ({}); undo the last change and please report this",
                        panic_text(panic.as_ref())
                    );
                    Event::Failed {
                        id,
                        message,
                        can_use_cpu: false,
                    }
                }
            };
            self.send(event);
        }
    }

    /// Waits for a request; `None` ends the thread.
    fn next_request(&self) -> Option<RunSpec> {
        let mut mailbox = self.shared.mailbox();
        loop {
            if self.shared.latest.load(Ordering::SeqCst) == STOP {
                return None;
            }
            if let Some(spec) = mailbox.take() {
                return Some(spec);
            }
            mailbox = self
                .shared
                .filled
                .wait(mailbox)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn send(&self, event: Event) {
        // A send fails only when the window is gone; then `latest` says STOP and the loop ends.
        if self.sender.send(event).is_ok() {
            (self.wake)();
        }
    }
}

/// The monitor of one run.
struct Line<'a> {
    id: RunId,
    worker: &'a Worker,
}

impl Monitor for Line<'_> {
    fn cancelled(&self) -> bool {
        self.worker.shared.latest.load(Ordering::SeqCst) != self.id.0
    }

    fn shown_level(&self) -> Option<usize> {
        let level = self.worker.shared.shown_level.load(Ordering::Relaxed);
        (level != NO_LEVEL).then_some(level)
    }

    fn emit(&mut self, event: Event) {
        self.worker.send(event);
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no reason given".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::protocol::Stage;

    /// Steps until it is cancelled or has made `steps`; panics or fails on demand through the prompt.
    struct Stepper {
        gate: Receiver<()>,
        steps: usize,
    }

    impl Runner for Stepper {
        fn run(&mut self, spec: &RunSpec, monitor: &mut dyn Monitor) -> Result<()> {
            match spec.experiment.prompt.as_str() {
                "panic" => panic!("on demand"),
                "fail" => return Err(Error::input("bad on demand")),
                _ => {}
            }
            for step in 0..self.steps {
                let fraction = step as f32;
                monitor.emit(Event::Progress {
                    id: spec.id,
                    stage: Stage::CleanRun,
                    fraction,
                });
                if self.gate.recv().is_err() || monitor.cancelled() {
                    return Err(Error::Cancelled);
                }
            }
            Ok(())
        }
    }

    fn spec(id: u64, prompt: &str) -> RunSpec {
        let mut spec = RunSpec {
            id: RunId(id),
            ..RunSpec::default()
        };
        spec.experiment.prompt = prompt.to_owned();
        spec
    }

    fn next(handle: &EngineHandle) -> Event {
        handle.events.recv().unwrap()
    }

    #[test]
    fn the_latest_request_wins_and_stops_what_runs() {
        let (open, gate) = std::sync::mpsc::channel();
        let gate = Mutex::new(Some(gate));
        let make = move || {
            Ok(Stepper {
                gate: gate.lock().unwrap().take().unwrap(),
                steps: 2,
            })
        };
        let handle = EngineHandle::spawn(make, Arc::new(|| {})).unwrap();
        handle.request(spec(1, ""));
        assert!(matches!(
            next(&handle),
            Event::Progress { id: RunId(1), .. }
        ));
        for id in 2..=20 {
            handle.request(spec(id, ""));
        }
        open.send(()).unwrap();
        assert!(matches!(next(&handle), Event::Cancelled { id: RunId(1) }));
        assert!(matches!(
            next(&handle),
            Event::Progress { id: RunId(20), .. }
        ));
    }

    #[test]
    fn a_panic_is_contained() {
        let make = || {
            let (_, gate) = std::sync::mpsc::channel();
            Ok(Stepper { gate, steps: 0 })
        };
        let handle = EngineHandle::spawn(make, Arc::new(|| {})).unwrap();
        handle.request(spec(1, "panic"));
        assert!(
            matches!(next(&handle), Event::Failed { message, .. } if message.contains("on demand"))
        );
        handle.request(spec(2, "fail"));
        assert!(
            matches!(next(&handle), Event::Failed { message, .. } if message == "bad on demand")
        );
    }
}
