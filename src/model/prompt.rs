//! The prompt: template, question and start of the answer, tokenised, with the picture's place made room for.
//!
//! Positions are found by the id of `<image>`, never assumed. No tensors.

use super::tokenizer::Tokenizer;
use crate::error::{Error, Result};
use crate::index::{PatchGrid, TokenLayout};
use crate::spec::Experiment;

/// The template of LLaVA-1.5 where the session names none.
pub const DEFAULT_TEMPLATE: &str = "USER: <image>\n{prompt} ASSISTANT:";

/// The merged sequence and where its parts lie.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    /// One id per position; every visual token has the id of `<image>`.
    pub ids: Vec<u32>,
    pub layout: TokenLayout,
}

/// What of a model a prompt depends on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PromptRules {
    pub image_token_id: u32,
    pub n_visual_tokens: usize,
    pub grid: PatchGrid,
    pub vocab_size: usize,
    pub max_position_embeddings: usize,
}

impl Prompt {
    /// Tokenises an experiment's text and makes room for the picture.
    ///
    /// # Errors
    /// A template without its two places, `<image>` in the question, a tokenizer of another model, a prompt that is
    /// longer than the model reads.
    pub fn new(
        experiment: &Experiment,
        tokenizer: &Tokenizer,
        rules: &PromptRules,
    ) -> Result<Self> {
        let text = fill(experiment)?;
        let short = tokenizer.encode(&text)?;
        let at = image_position(&short, rules)?;
        let mut ids = short[..at].to_vec();
        ids.extend(std::iter::repeat_n(
            rules.image_token_id,
            rules.n_visual_tokens,
        ));
        ids.extend(&short[at + 1..]);
        let text_ids = ids.iter().filter(|id| **id != rules.image_token_id);
        if let Some(id) = text_ids
            .copied()
            .find(|id| *id as usize >= rules.vocab_size)
        {
            return Err(Error::input(format!(
                "the tokenizer makes token {id}, but the model has only {} words: tokenizer.json belongs to another model",
                rules.vocab_size
            )));
        }
        let n_prompt = ids.len();
        if n_prompt > rules.max_position_embeddings {
            return Err(Error::input(format!(
                "the prompt has {n_prompt} tokens, but the model reads at most {}: shorten the question",
                rules.max_position_embeddings
            )));
        }
        let image = at..at + rules.n_visual_tokens;
        let patch_offset = rules.n_visual_tokens - rules.grid.len();
        Ok(Self {
            ids,
            layout: TokenLayout {
                n_prompt,
                image,
                patch_offset,
                grid: rules.grid,
            },
        })
    }
}

impl Prompt {
    /// Everything up to the picture's end, as a prompt of its own.
    #[must_use]
    pub fn up_to_image(&self) -> Self {
        let n_prompt = self.layout.image.end;
        let layout = TokenLayout {
            n_prompt,
            ..self.layout.clone()
        };
        Self {
            ids: self.ids[..n_prompt].to_vec(),
            layout,
        }
    }
}

/// The text with the question in its place.
fn fill(experiment: &Experiment) -> Result<String> {
    let template = experiment.template.as_deref().unwrap_or(DEFAULT_TEMPLATE);
    for place in ["<image>", "{prompt}"] {
        let n = template.matches(place).count();
        if n != 1 {
            return Err(Error::input(format!(
                "field template: {place} must stand in it once, and stands {n} times in {template:?}"
            )));
        }
    }
    for (field, text) in [
        ("prompt", &experiment.prompt),
        ("answer_prefix", &experiment.answer_prefix),
    ] {
        if text.contains("<image>") {
            return Err(Error::input(format!(
                "field {field}: take <image> out of it; the template places the picture"
            )));
        }
    }
    Ok(template.replace("{prompt}", &experiment.prompt) + &experiment.answer_prefix)
}

fn image_position(ids: &[u32], rules: &PromptRules) -> Result<usize> {
    let mut places = (0..ids.len()).filter(|&i| ids[i] == rules.image_token_id);
    match (places.next(), places.next()) {
        (Some(at), None) => Ok(at),
        _ => Err(Error::input(format!(
            "the tokenizer does not turn <image> into the one token {} that config.json names (image_token_index): \
             tokenizer.json belongs to another model",
            rules.image_token_id
        ))),
    }
}
