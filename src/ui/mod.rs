//! The window's parts: one file per panel, drawn from the session and a trace.
//!
//! A panel reads a [`ViewCtx`] and sends [`Command`]s; it never edits the session, never touches a tensor, never
//! opens a file. Its own `&mut self` is scratch: scroll, hover, text being typed.

mod ablation_form;
pub mod about;
pub mod answer;
pub mod answer_diff;
pub mod attention_panel;
pub mod attribution_panel;
mod candidates;
pub mod compare;
mod control_view;
mod crop_row;
pub mod difference_panel;
pub mod draft;
mod edit_form;
mod forced_answer;
mod forms;
mod glyphs;
pub mod greyed;
mod head_grid;
pub mod heat;
pub mod help;
pub mod image_grid;
pub mod inside_view;
pub mod interventions;
mod knockout_form;
pub use crate::labels;
pub mod legend_panel;
pub mod lens_table;
pub mod level_strip;
pub mod link;
pub mod models_window;
pub mod notices;
pub mod palette;
pub mod pane;
mod paper_presets;
pub mod path_prompt;
pub mod presentation;
pub mod question;
mod range_slider;
mod row_drag;
pub mod run_list;
pub mod scale;
pub mod selection_panel;
pub mod shortcuts;
pub mod status;
pub mod style;
mod sweep_curve;
mod sweep_form;
pub mod sweep_panel;
pub mod sweep_view;
pub mod theme;
pub mod tool_strip;
pub mod top_bar;
pub mod tour_card;
pub mod verify_window;
mod word_curve;
pub mod word_panel;
use crate::wording;

use std::cell::RefCell;

use crate::engine::protocol::Stage;
use crate::engine::sweep::Sweep;
use crate::engine::trace::{LevelReadout, RunReadout, Trace};
use crate::session::{Command, GestureId, LensKind, Session};
use crate::spec::SweepKind;
use sweep_view::SweepView;
use theme::Theme;

/// What every panel may read.
pub struct ViewCtx<'a> {
    pub session: &'a Session,
    /// The newest trace, perhaps still incomplete.
    pub trace: Option<&'a Trace>,
    /// The last complete trace before it; fills the gaps, dimmed, while a run goes on.
    pub previous: Option<&'a Trace>,
    /// What the engine is doing and how far; `None` when idle.
    pub progress: Option<(Stage, f32)>,
    pub sweeps: SweepView<'a>,
    /// The last failure, until it is dismissed or a run succeeds.
    pub error: Option<&'a str>,
    pub theme: &'a Theme,
    pub commands: &'a CommandSender,
}

/// A level as it is to be drawn.
pub struct ShownLevel<'a> {
    pub trace: &'a Trace,
    pub readout: &'a LevelReadout,
    /// The words of the lens that is chosen; of [`Self::readout`] unless that lens is another.
    pub words: &'a LevelReadout,
    /// The run that it is of.
    pub run: &'a RunReadout,
    /// It belongs to the run before: draw it dimmed.
    pub stale: bool,
}

impl ViewCtx<'_> {
    /// The level on screen.
    pub fn level(&self) -> usize {
        let trace = self.trace.or(self.previous);
        let (last, default) = trace.map_or((0, 0), |t| (t.model.n_layers, t.model.default_level));
        self.session.view.level.unwrap_or(default).min(last)
    }

    /// What a sweep of this kind found about the experiment as it is now.
    pub fn sweep(&self, kind: SweepKind) -> Option<&Sweep> {
        let trace = self.trace.or(self.previous)?;
        self.sweeps.newest(kind).filter(|sweep| {
            sweep.is_about(&self.session.experiment)
                && sweep.picture == trace.picture.revision
                && sweep.model.grid == trace.model.grid
        })
    }

    /// The readout of the level on screen, of the edited run or (with `show_clean`) the clean one; from the run
    /// before, if it was of the same picture, where the new one has not come so far.
    pub fn shown(&self) -> Option<ShownLevel<'_>> {
        let level = self.level();
        let previous = self.previous.filter(|previous| {
            self.trace
                .is_none_or(|trace| trace.picture.revision == previous.picture.revision)
        });
        for (trace, stale) in [(self.trace, false), (previous, true)] {
            let Some(trace) = trace else { continue };
            let run = if self.session.view.show_clean {
                &trace.baseline
            } else {
                &trace.edited
            };
            if let Some(Some(readout)) = run.levels.get(level) {
                let wants_cosine = self.session.view.reading.lens == LensKind::Cosine;
                let cosine = run.cosine.get(level).and_then(Option::as_deref);
                return Some(ShownLevel {
                    trace,
                    readout,
                    words: cosine.filter(|_| wants_cosine).unwrap_or(readout),
                    run,
                    stale,
                });
            }
        }
        None
    }
}

/// Why a panel has nothing to show: what failed, what goes on, or `nothing`.
fn why_empty(ctx: &ViewCtx<'_>, nothing: &'static str) -> &'static str {
    match (ctx.error, &ctx.progress) {
        (_, Some((stage, _))) => match stage {
            Stage::LoadingModel => "Loading the model…",
            _ => "Reading…",
        },
        (Some(_), None) => "Nothing to show: the run failed; the message on the picture says why",
        (None, None) => nothing,
    }
}

/// Collects the commands of a frame; the shell applies them at its end, in order.
#[derive(Default)]
pub struct CommandSender {
    commands: RefCell<Vec<Command>>,
    next_gesture: std::cell::Cell<u64>,
}

impl CommandSender {
    pub fn send(&self, command: Command) {
        self.commands.borrow_mut().push(command);
    }

    /// A new identity for a drag or a run of keystrokes.
    pub fn new_gesture(&self) -> GestureId {
        self.next_gesture.set(self.next_gesture.get() + 1);
        GestureId(self.next_gesture.get())
    }

    /// Whether anything was sent since the last [`Self::take`].
    pub fn any(&self) -> bool {
        !self.commands.borrow().is_empty()
    }

    /// What was sent since the last call.
    pub fn take(&self) -> Vec<Command> {
        self.commands.take()
    }
}
