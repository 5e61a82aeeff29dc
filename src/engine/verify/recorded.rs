//! Numbers that Hugging Face transformers gave for the same model, where they are at hand: the demo model's are part of
//! the program, and a model's folder may hold its own as `patchglass-recorded.json`.

use std::borrow::Cow;
use std::path::Path;

use serde::Deserialize;

use super::super::trace::{RunReadout, Trace};
use super::{Check, Work, edits};
use crate::error::{Error, Result};
use crate::spec::{Decode, Experiment, Intervention, ModelSource};
use crate::{demo, files};

/// Name of the file in a model's folder.
pub(super) const FILE: &str = "patchglass-recorded.json";
const MAX_BYTES: u64 = 64 << 20;

/// One experiment on the built-in picture and what came of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recorded {
    /// By what it was made.
    made_with: String,
    prompt: String,
    interventions: Vec<Intervention>,
    max_new_tokens: usize,
    /// L2 norm of the whole residual stream of the edited run. `[level]`
    resid_norms: Vec<f64>,
    /// Levels whose top words are recorded.
    levels: Vec<usize>,
    baseline: RecordedRun,
    edited: RecordedRun,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordedRun {
    /// `[levels][patch]`
    top: Vec<Vec<u32>>,
    next_ids: Vec<u32>,
    next_probs: Vec<f32>,
    answer: Vec<u32>,
}

fn text_for(model: &ModelSource) -> Result<Option<Cow<'static, str>>> {
    match model {
        ModelSource::Demo => Ok(Some(demo::RECORDED.into())),
        ModelSource::Folder(folder) => {
            let path: &Path = &folder.join(FILE);
            match path.is_file() {
                true => Ok(Some(files::read_text(path, MAX_BYTES)?.into())),
                false => Ok(None),
            }
        }
        _ => Ok(None),
    }
}

impl Work<'_> {
    pub(super) fn recorded(&mut self, trace: &Trace) -> Result<()> {
        let name = "Recorded numbers";
        let Some(text) = text_for(&self.experiment.model)? else {
            self.push(Check {
                name,
                compared: "none are at hand for this model".to_owned(),
                worst: None,
                allowed: 0.0,
            });
            return Ok(());
        };
        let recorded: Recorded = serde_json::from_str(&text)
            .map_err(|e| Error::input(format!("{FILE} of {}: {e}", trace.model.name)))?;
        let experiment = Experiment {
            prompt: recorded.prompt.clone(),
            interventions: recorded.interventions.clone(),
            decode: Decode {
                max_new_tokens: recorded.max_new_tokens,
            },
            ..self.experiment.clone()
        };
        let (trace, dump) = self.observe_experiment(experiment, false)?;
        let made_with = &recorded.made_with;
        let norms = norms(&recorded, &dump);
        self.add(
            name,
            format!("norms of all levels, {made_with}"),
            norms,
            self.allowed.norm,
        );
        let runs = [
            (&recorded.baseline, &trace.baseline),
            (&recorded.edited, &trace.edited),
        ];
        let share = words(&recorded.levels, &runs);
        let compared = format!(
            "share of top words that differ, {} levels, before and after",
            recorded.levels.len()
        );
        self.add(name, compared, share, self.allowed.words);
        let gap = runs.iter().map(probabilities).fold(0.0, edits::larger);
        let compared = "next-token probabilities, before and after".to_owned();
        self.add(name, compared, gap, self.allowed.probability);
        let differ =
            |(a, b): &&(&RecordedRun, &std::sync::Arc<RunReadout>)| a.answer != b.answer.ids;
        let n = runs.iter().filter(differ).count();
        let compared = "answers that differ, before and after an ablation".to_owned();
        self.add(name, compared, n as f64, 0.0);
        Ok(())
    }
}

/// Worst relative difference of a level's norm.
fn norms(recorded: &Recorded, dump: &[super::Named]) -> f64 {
    let gap = |(level, wanted): (usize, &f64)| {
        let name = format!("resid.{level}");
        let values = dump.iter().find(|(found, ..)| *found == name);
        let norm = |values: &[f32]| edits::norm(values.iter().map(|v| f64::from(*v)));
        values.map_or(f64::NAN, |(_, _, values)| {
            (norm(values) - wanted).abs() / wanted
        })
    };
    let levels = recorded.resid_norms.iter().enumerate();
    levels.map(gap).fold(0.0, edits::larger)
}

/// Share of the patches whose top word is another one.
fn words(levels: &[usize], runs: &[(&RecordedRun, &std::sync::Arc<RunReadout>)]) -> f64 {
    let (mut n, mut n_differ) = (0, 0);
    for (recorded, run) in runs {
        for (level, wanted) in levels.iter().zip(&recorded.top) {
            let found = run.levels.get(*level).cloned().flatten();
            for (patch, wanted) in wanted.iter().enumerate() {
                let top = found.as_ref().and_then(|level| level.top(patch).next());
                n += 1;
                n_differ += usize::from(top.map(|(id, _)| id) != Some(*wanted));
            }
        }
    }
    f64::from(n_differ as u32) / f64::from(n.max(1))
}

fn probabilities((recorded, run): &(&RecordedRun, &std::sync::Arc<RunReadout>)) -> f64 {
    let wanted = recorded.next_ids.iter().zip(&recorded.next_probs);
    let gap = |(id, prob): (&u32, &f32)| {
        let found = run.next_token.iter().find(|score| score.id == *id);
        f64::from((found.map_or(0.0, |score| score.prob) - prob).abs())
    };
    wanted.map(gap).fold(0.0, edits::larger)
}
