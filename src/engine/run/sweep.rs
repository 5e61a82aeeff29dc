//! `Engine::sweep`: the clean run again and again with one small intervention each, many of them in one forward.
//!
//! What is done so far is kept, so that a sweep that was stopped goes on where it was when it is asked for again.

mod forced;
mod work;

use std::sync::Arc;
use std::time::Instant;

use self::forced::Forced;
use self::work::Work;
use super::super::job::{Job, Which, ms};
use super::super::outside::stamp_of;
use super::super::picture::{FileStamp, PictureKey};
use super::super::protocol::{Event, Monitor, RunSpec, Stage};
use super::super::state::Watch;
use super::super::sweep::{Effect, Sweep, Unit, subject, units};
use super::Engine;
use crate::error::{Error, Result};
use crate::model::Llava;
use crate::spec::{SweepOver, SweepSpec};

/// A sweep as far as it has come, and what it is a sweep of.
pub(in crate::engine) struct KeptSweep {
    picture: PictureKey,
    outside: Option<FileStamp>,
    sweep: Arc<Sweep>,
}

impl Engine {
    /// One attempt at a sweep.
    pub(super) fn sweep_once(
        &mut self,
        spec: &RunSpec,
        sweep: &SweepSpec,
        monitor: &mut dyn Monitor,
    ) -> Result<Arc<Sweep>> {
        let mut job = self.prepare(spec, monitor)?;
        let all = units(&sweep.over, &job.model.facts)?;
        self.ensure_clean(&mut job, &mut WithoutTraces(monitor))?;
        if self.keeps_one {
            // The sweep goes on from the clean run and needs the room beside it.
            self.edited = None;
        }
        self.bring(Which::Clean)?;
        self.answer_up_to(&job, sweep.token, monitor)?;
        let mut watch = Watch {
            id: spec.id,
            stage: Stage::Sweep,
            monitor,
        };
        let Some(clean) = &self.clean else {
            return Err(Error::internal("a run is missing"));
        };
        let forced = Forced::new(&job, &clean.state, sweep.token, &watch)?;
        let work = Work::new(self, &job, &forced, (&sweep.over, &all), watch.monitor)?;
        let begun = take_begun(&mut self.sweeps, &job, sweep);
        let mut kept = begun.unwrap_or_else(|| KeptSweep::new(&job, sweep, all.clone(), &forced));
        let outcome = kept.go_on(&work, &forced, &mut watch);
        let found = kept.sweep.clone();
        self.sweeps.push(kept);
        outcome.map(|()| found)
    }

    /// Goes on with the clean answer until it has the watched token.
    fn answer_up_to(
        &mut self,
        job: &Job<'_>,
        token: usize,
        monitor: &mut dyn Monitor,
    ) -> Result<()> {
        let most = job.spec.experiment.decode.max_new_tokens;
        let watch = Watch {
            id: job.spec.id,
            stage: Stage::Answer,
            monitor,
        };
        let state = &mut self.kept(Which::Clean)?.state;
        while state.readout.answer.ids.len() <= token {
            watch.check()?;
            if state.decode_step(&job.model, most, &watch)? {
                break;
            }
        }
        let answer = &state.readout.answer.ids;
        match answer.len() {
            n if n > token => Ok(()),
            0 => Err(Error::input(
                "a sweep watches a token of the answer, but an answer of 0 tokens was asked for: allow at least one",
            )),
            n => Err(Error::input(format!(
                "token {token}: the clean answer has the tokens 0..={} ({})",
                n - 1,
                numbered(answer, &job.model)
            ))),
        }
    }
}

/// The sweep that was begun before, if it is this one. Of each kind one is kept.
fn take_begun(sweeps: &mut Vec<KeptSweep>, job: &Job<'_>, sweep: &SweepSpec) -> Option<KeptSweep> {
    let kind = sweep.over.kind();
    let at = sweeps.iter().position(|kept| kept.sweep.kind() == kind)?;
    let kept = sweeps.swap_remove(at);
    let same = kept.sweep.spec == *sweep
        && kept.sweep.is_about(&job.spec.experiment)
        && kept.picture == job.picture.key
        && kept.outside == outside(sweep);
    same.then_some(kept)
}

/// Stamp of the file that replacements come from.
fn outside(sweep: &SweepSpec) -> Option<FileStamp> {
    match &sweep.over {
        SweepOver::Patches { with, .. } => stamp_of(with),
        SweepOver::Layers { .. } | SweepOver::Heads { .. } => None,
    }
}

/// `0 A, 1 ␣crab, …`
fn numbered(answer: &[u32], model: &Llava) -> String {
    let piece = |(at, id): (usize, &u32)| format!("{at} {}", model.facts.vocabulary.piece(*id));
    let pieces: Vec<String> = answer.iter().enumerate().map(piece).collect();
    pieces.join(", ")
}

impl KeptSweep {
    fn new(job: &Job<'_>, sweep: &SweepSpec, units: Vec<Unit>, forced: &Forced<'_>) -> Self {
        let sweep_of = Sweep {
            id: job.spec.id,
            spec: sweep.clone(),
            experiment: subject(&job.spec.experiment),
            picture: job.picture.seen.revision,
            model: job.model.facts.clone(),
            answer: forced.answer.clone(),
            baseline: forced.baseline,
            noise: Effect::default(),
            effects: vec![None; units.len()],
            units: Arc::new(units),
            ms: 0.0,
            n_rows: 0,
            n_rows_whole: forced.n * job.model.facts.n_layers,
        };
        Self {
            picture: job.picture.key.clone(),
            outside: outside(sweep),
            sweep: Arc::new(sweep_of),
        }
    }

    /// Computes what is missing, batch by batch.
    fn go_on(&mut self, work: &Work<'_>, forced: &Forced<'_>, watch: &mut Watch<'_>) -> Result<()> {
        Arc::make_mut(&mut self.sweep).id = watch.id;
        self.tell(watch);
        let open = |unit: &usize| self.sweep.effects[*unit].is_none();
        let batches = work.batches(forced.n, &open);
        for (i, batch) in batches.iter().enumerate() {
            watch.check()?;
            let since = Instant::now();
            // The shapes differ most between the first batch and the last: what rounding does is measured in both.
            let with_control = i == 0 || i + 1 == batches.len();
            let done = work.carry_out(forced, batch, with_control, watch)?;
            let sweep = Arc::make_mut(&mut self.sweep);
            if let Some(control) = &done.control {
                sweep.noise = sweep.noise.widest(&forced.baseline.minus(control));
            }
            for (unit, effect) in batch.iter().zip(&done.effects) {
                sweep.effects[*unit] = Some(*effect);
            }
            sweep.n_rows += done.n_rows;
            sweep.ms += ms(since);
            self.tell(watch);
        }
        Ok(())
    }

    fn tell(&self, watch: &mut Watch<'_>) {
        let sweep = &self.sweep;
        watch.tell(sweep.n_done() as f32 / sweep.units.len().max(1) as f32);
        watch.monitor.emit(Event::Sweep(sweep.clone()));
    }
}

/// Passes everything on but traces: a sweep's request shows none.
struct WithoutTraces<'a>(&'a mut dyn Monitor);

impl Monitor for WithoutTraces<'_> {
    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }

    fn shown_level(&self) -> Option<usize> {
        self.0.shown_level()
    }

    fn emit(&mut self, event: Event) {
        if !matches!(event, Event::Trace(_)) {
            self.0.emit(event);
        }
    }
}
