//! Made-up sweeps of the fake engine: a bump in the middle of the picture, blocks and heads.

use std::sync::Arc;

use patchglass::engine::protocol::{Event, Monitor, RunSpec};
use patchglass::engine::sweep::{Effect, Sweep, Unit, subject, units};
use patchglass::engine::trace::ModelFacts;
use patchglass::error::{Error, Result};
use patchglass::spec::SweepSpec;

use super::fake_engine::{CLEAN, GRID};

/// Carries a sweep out in steps; the question `hang` makes it stop half-way until it is cancelled.
pub fn run(
    facts: &Arc<ModelFacts>,
    spec: &RunSpec,
    sweep: &SweepSpec,
    monitor: &mut dyn Monitor,
) -> Result<()> {
    let units = units(&sweep.over, facts)?;
    let n = units.len();
    let mut found = Sweep {
        id: spec.id,
        spec: sweep.clone(),
        experiment: subject(&spec.experiment),
        picture: 1,
        model: facts.clone(),
        answer: CLEAN[..=sweep.token].to_vec(),
        baseline: effect(0.0),
        noise: Effect {
            prob: 1e-7,
            log_prob: 1e-7,
            logit: 1e-6,
        },
        effects: vec![None; n],
        units: Arc::new(units),
        ms: 0.0,
        n_rows: n * 300,
        n_rows_whole: 602 * 8,
    };
    for step in 0..=8 {
        if monitor.cancelled() {
            return Err(Error::Cancelled);
        }
        for unit in (0..n).filter(|unit| unit % 8 < step) {
            found.effects[unit] = Some(effect(loss(&found.units[unit])));
        }
        found.ms = 150.0 * step as f64;
        monitor.emit(Event::Sweep(Arc::new(found.clone())));
        if step == 4 && spec.experiment.prompt == "hang after the run" {
            return super::fake_engine::hang(monitor);
        }
    }
    Ok(())
}

fn effect(loss: f32) -> Effect {
    let log_prob = 0.9f32.ln() - loss;
    Effect {
        prob: log_prob.exp(),
        log_prob,
        logit: 12.0 - 1.5 * loss,
    }
}

/// How much log-probability the token loses without the unit; a little is gained in a corner.
fn loss(unit: &Unit) -> f32 {
    let bump = |x: f32, y: f32| 2.5 * (-(x * x + y * y) / 9.0).exp();
    match unit {
        Unit::Patches(patches) => {
            let patch = GRID.patch(patches[0]);
            let corner = if patch.row > 20 && patch.col > 20 {
                0.2
            } else {
                0.0
            };
            bump(f32::from(patch.row) - 7.0, f32::from(patch.col) - 11.0) - corner
        }
        Unit::Blocks(blocks) => bump(*blocks.start() as f32 - 4.0, 0.0),
        Unit::Head { layer, head } => {
            bump(*layer as f32 - 3.0, 1.5 * (*head as f32 - 5.0)) - 0.1 * (*head as f32 / 8.0)
        }
    }
}
