//! Ablation of sets of visual tokens (paper, section 3): what is asked of each picture, and a row of answers.

use std::time::Instant;

use serde::{Deserialize, Serialize};

pub use super::ablation_summary::summary;
use super::common::{About, Common, Subject};
use super::data::Item;
use super::gate;
use super::matching::{self, Verdict, WordTokens};
use super::sets::{Made, SetKind};
use super::wording::{Task, Wording};
use crate::engine::study::{Asked, Edited, Question, Seen, Study};
use crate::engine::sweep::Effect;
use crate::error::Result;
use crate::index::PatchSet;
use crate::spec::Replacement;

/// Everything that the rows depend on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    #[serde(flatten)]
    pub common: Common,
    pub with: Replacement,
    pub sets: Vec<SetKind>,
    pub tasks: Vec<Task>,
    pub wording: Wording,
    /// Also ablate where the clean run is wrong, which takes time and changes no table.
    pub even_wrong: bool,
    /// Steps of the integrated gradients.
    pub gradient_steps: usize,
}

/// One object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    #[serde(flatten)]
    pub about: About,
    /// The picture as it is; one of each task.
    pub clean: Vec<TaskRow>,
    /// Only the tasks that the clean run got right, leniently, unless the settings say otherwise.
    pub sets: Vec<SetRow>,
    pub ms: f64,
}

/// The answers with one set ablated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetRow {
    pub set: SetKind,
    pub patches: PatchSet,
    pub n: usize,
    pub tasks: Vec<TaskRow>,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskRow {
    pub task: Task,
    pub text: String,
    /// The most likely first token.
    pub token: u32,
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Of the clean run's first token, whatever this run's is.
    pub prob: f32,
    pub logit: f32,
}

/// The row of an object.
///
/// # Errors
/// A picture that is missing or of another size; a failing device.
pub fn row(study: &Study, settings: &Settings, item: &Item) -> Result<Row> {
    let since = Instant::now();
    let common = &settings.common;
    let subject = Subject::of(study, item, common.crop)?;
    let mut row = Row {
        about: subject.about.clone(),
        clean: Vec::new(),
        sets: Vec::new(),
        ms: 0.0,
    };
    if row.about.skipped.is_none() {
        let seen = study.look(&subject.prepared.pixel_values)?;
        row.about.skipped = gate_closed(study, settings, item, &subject)?;
        if row.about.skipped.is_none() {
            fill(study, settings, item, &subject, &seen, &mut row)?;
        }
    }
    row.ms = since.elapsed().as_secs_f64() * 1e3;
    Ok(row)
}

/// Why the gate leaves an object out.
fn gate_closed(
    study: &Study,
    settings: &Settings,
    item: &Item,
    subject: &Subject,
) -> Result<Option<String>> {
    if !settings.common.gate {
        return Ok(None);
    }
    gate::closed(
        study,
        &settings.wording,
        item,
        subject,
        settings.common.seed,
    )
}

fn fill(
    study: &Study,
    settings: &Settings,
    item: &Item,
    subject: &Subject,
    seen: &Seen<'_>,
    row: &mut Row,
) -> Result<()> {
    let words = WordTokens::new(study, &item.word)?;
    let question = |task: &Task| settings.wording.question(*task, item);
    let asked = settings.tasks.iter().map(|task| seen.ask(&question(task)));
    let asked = asked.collect::<Result<Vec<_>>>()?;
    let judge =
        |task: Task, text: &str, first: u32| judge(study, &words, &item.word, task, text, first);
    let mut right: Vec<(Task, &Asked<'_>)> = Vec::new();
    for (task, asked) in settings.tasks.iter().zip(&asked) {
        let first = asked.first_token();
        let verdict = judge(*task, &asked.answer.text, first)?;
        let watched = Effect::of(&asked.logits, first);
        row.clean
            .push(task_row(*task, &asked.answer.text, first, verdict, watched));
        if verdict.lenient || settings.even_wrong {
            right.push((*task, asked));
        }
    }
    if right.is_empty() {
        return Ok(());
    }
    let made = Made::new(study, settings, item, subject, seen)?;
    let sets: Vec<PatchSet> = settings.sets.iter().map(|set| made.set(*set)).collect();
    let grid = study.facts().grid;
    let indices = sets.iter().map(|set| set.indices(grid));
    let indices: Vec<Vec<usize>> = indices.collect::<Result<_>>()?;
    let donor = study.donor(&settings.with)?;
    let questions: Vec<&Asked<'_>> = right.iter().map(|(_, asked)| *asked).collect();
    let found = seen.ablate(&indices, &donor, &questions)?;
    for ((set, patches), edited) in settings.sets.iter().zip(sets).zip(found) {
        let answer = |((task, _), edited): (&(Task, _), &Edited)| {
            let text = &edited.answer.text;
            let verdict = judge(*task, text, edited.first)?;
            Ok(task_row(*task, text, edited.first, verdict, edited.watched))
        };
        let tasks = right
            .iter()
            .zip(&edited)
            .map(answer)
            .collect::<Result<_>>()?;
        let n = patches.count(grid);
        row.sets.push(SetRow {
            set: *set,
            patches,
            n,
            tasks,
        });
    }
    Ok(())
}

fn task_row(task: Task, text: &str, token: u32, verdict: Verdict, watched: Effect) -> TaskRow {
    TaskRow {
        task,
        text: text.to_owned(),
        token,
        verdict,
        prob: watched.prob,
        logit: watched.logit,
    }
}

/// Whether an answer is right.
fn judge(
    study: &Study,
    words: &WordTokens,
    name: &str,
    task: Task,
    text: &str,
    first: u32,
) -> Result<Verdict> {
    Ok(match task {
        Task::Describe => matching::names(text, name),
        Task::Poll => matching::says_yes(text),
        Task::Vqa => words.verdict(first, &study.text(&[first])?),
    })
}

/// The polling question and the token that its answer starts with if it is yes: what gradients are taken of. The paper's
/// code took the first token that the tokenizer gives for "Yes", which is the one that starts every text.
///
/// # Errors
/// Text that cannot be tokenised.
pub fn yes_token(study: &Study, question: &Question, asked: &Asked<'_>) -> Result<u32> {
    match matching::says_yes(&asked.answer.text).strict {
        true => Ok(asked.first_token()),
        false => study.token_in_context(question, "Yes"),
    }
}
