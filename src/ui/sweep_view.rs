//! What panels may know of sweeps, and how their numbers are put into words. Pure; it draws nothing.

use super::labels;
use crate::engine::protocol::RunId;
use crate::engine::sweep::{Effect, Sweep};
use crate::session::Measure;
use crate::spec::SweepKind;

/// Whether a sweep goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SweepState {
    #[default]
    Idle,
    /// It starts when the run is through.
    Waiting,
    Running,
}

/// The sweeps of the window.
#[derive(Clone, Copy, Debug, Default)]
pub struct SweepView<'a> {
    /// The newest of each kind, in the order of [`SweepKind::ALL`].
    pub found: [Option<&'a Sweep>; SweepKind::ALL.len()],
    pub state: SweepState,
    /// The newest request for a sweep.
    pub id: RunId,
}

impl<'a> SweepView<'a> {
    /// The newest sweep of a kind, whatever it was about.
    pub fn newest(&self, kind: SweepKind) -> Option<&'a Sweep> {
        let at = SweepKind::ALL.iter().position(|of| *of == kind)?;
        self.found.get(at).copied().flatten()
    }

    /// The one that goes on, once the engine has begun it.
    pub fn current(&self) -> Option<&'a Sweep> {
        let mut found = self.found.iter().flatten().copied();
        found.find(|sweep| self.state == SweepState::Running && sweep.id == self.id)
    }
}

/// The number as the panel's switch names it.
pub fn measure_label(measure: Measure) -> &'static str {
    match measure {
        Measure::LogProbability => "log-probability",
        Measure::Probability => "probability",
        Measure::Logit => "logit",
    }
}

pub fn measure_explanation(measure: Measure) -> &'static str {
    match measure {
        Measure::LogProbability => {
            "How much the natural logarithm of the token's probability falls: 0.69 halves the probability"
        }
        Measure::Probability => "How much the token's probability falls",
        Measure::Logit => "How much the token's score before the softmax falls",
    }
}

/// The unit of a loss, for legends.
pub fn loss_unit(measure: Measure) -> &'static str {
    match measure {
        Measure::LogProbability => "nats lost",
        Measure::Probability => "prob. lost",
        Measure::Logit => "logit lost",
    }
}

/// A loss above rounding; what lies below it is 0.
pub fn above_noise(loss: f32, sweep: &Sweep, measure: Measure) -> f32 {
    match loss.abs() <= measure.of(&sweep.noise).abs() {
        true => 0.0,
        false => loss,
    }
}

/// The loss of a unit by a measure, `None` until it is computed.
pub fn loss(sweep: &Sweep, unit: usize, measure: Measure) -> Option<f32> {
    let loss = measure.of(&sweep.loss(unit)?);
    Some(above_noise(loss, sweep, measure))
}

/// The numbers of a unit in lines of name and value; the same lines for every unit, so that nothing jumps.
pub fn lines(sweep: &Sweep, unit: Option<usize>) -> [(String, String); 3] {
    let token = sweep.model.vocabulary.piece(sweep.token_id());
    let effect = unit.and_then(|unit| sweep.effects.get(unit).copied().flatten());
    let loss = |measure: Measure| {
        let loss = unit.and_then(|unit| loss(sweep, unit, measure));
        labels::number(loss.unwrap_or(f32::NAN))
    };
    let of = |effect: &Effect| labels::probability(effect.prob);
    let without = effect.map_or_else(|| "–".to_owned(), |effect| of(&effect));
    [
        (
            format!("{token} without it"),
            format!("{} → {without}", of(&sweep.baseline)),
        ),
        (
            "loss of log-probability".to_owned(),
            loss(Measure::LogProbability),
        ),
        ("loss of logit".to_owned(), loss(Measure::Logit)),
    ]
}

/// `120 of 576`
pub fn progress(sweep: &Sweep) -> String {
    format!("{} of {}", sweep.n_done(), sweep.units.len())
}
