//! The questions of the experiments, with places for the object's word and its kind.

use serde::{Deserialize, Serialize};

use super::data::Item;
use crate::engine::study::Question;
use crate::error::{Error, Result};

/// Texts with `{word}`, `{a_word}`, `{kind}`, `{a_kind}`: the category and the one above it, with "a" or "an" or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wording {
    pub describe: String,
    pub poll: String,
    pub vqa: String,
    /// How the answer to `vqa` starts.
    pub vqa_prefix: String,
    /// Tokens of the description at most.
    pub describe_tokens: usize,
    pub poll_tokens: usize,
}

impl Default for Wording {
    /// The paper's, but for VQA, whose questions were written by hand there.
    fn default() -> Self {
        Self {
            describe: "Describe this image.".to_owned(),
            poll: "Is there {a_word} in this image?".to_owned(),
            vqa: "What {kind} is in the image?".to_owned(),
            vqa_prefix: " It is a".to_owned(),
            describe_tokens: 200,
            poll_tokens: 10,
        }
    }
}

/// What an object is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    Describe,
    Poll,
    Vqa,
}

impl Task {
    pub const ALL: [Self; 3] = [Self::Describe, Self::Poll, Self::Vqa];

    pub fn name(self) -> &'static str {
        match self {
            Self::Describe => "describe",
            Self::Poll => "poll",
            Self::Vqa => "vqa",
        }
    }
}

impl std::str::FromStr for Task {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let known = Self::ALL.into_iter().find(|task| task.name() == text);
        known.ok_or_else(|| Error::input(format!("task {text:?}: write describe, poll or vqa")))
    }
}

impl Wording {
    /// The question of a task about an object.
    pub fn question(&self, task: Task, item: &Item) -> Question {
        let (prompt, prefix, most) = match task {
            Task::Describe => (&self.describe, "", self.describe_tokens),
            Task::Poll => (&self.poll, "", self.poll_tokens),
            Task::Vqa => (&self.vqa, self.vqa_prefix.as_str(), 1),
        };
        Question {
            prompt: fill(prompt, item),
            answer_prefix: fill(prefix, item),
            most,
        }
    }
}

fn fill(text: &str, item: &Item) -> String {
    let kind = match item.kind.as_str() {
        "" => "thing",
        kind => kind,
    };
    text.replace("{word}", &item.word)
        .replace("{a_word}", &with_article(&item.word))
        .replace("{kind}", kind)
        .replace("{a_kind}", &with_article(kind))
}

fn with_article(word: &str) -> String {
    let vowel = word.starts_with(['a', 'e', 'i', 'o', 'u', 'A', 'E', 'I', 'O', 'U']);
    format!("{} {word}", if vowel { "an" } else { "a" })
}
