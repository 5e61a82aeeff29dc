//! A picture that the model has seen, and a question about it: the clean run, kept with everything edits go on from.

use crate::tensor::{DType, Tensor};

use super::{Question, Study};
use crate::error::{Error, Result};
use crate::index::TokenLayout;
use crate::lens;
use crate::model::hooks::{HookPoint, HookSite, Hooks, NoHooks};
use crate::model::{KvCache, Prompt};

/// The decoder after the picture: every level and the keys and values up to the picture's end.
pub struct Seen<'a> {
    pub(super) study: &'a Study,
    /// Everything up to the picture's end.
    pub(super) prompt: Prompt,
    pub(super) visual: Tensor, // [visual tokens, d_model]
    /// `[level][n, d_model]`
    pub(super) resid: Vec<Tensor>,
    pub(super) cache: KvCache,
}

/// A greedy answer.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Answered {
    pub text: String,
    /// Ends with the end token where one was produced.
    pub ids: Vec<u32>,
}

/// A question that was asked about the picture as it is.
pub struct Asked<'a> {
    pub(super) seen: &'a Seen<'a>,
    pub(super) prompt: Prompt,
    pub(super) most: usize,
    /// Rows after the picture, `[level][n, d_model]`.
    pub(super) tail: Vec<Tensor>,
    /// Keys and values of the prompt.
    pub(super) cache: KvCache,
    /// At the last prompt position. `[vocab]`
    pub logits: Vec<f32>,
    pub answer: Answered,
}

/// Keeps what enters every block.
struct Streams(Vec<Tensor>);

impl Hooks for Streams {
    fn wants(&self, at: HookPoint) -> bool {
        at.site == HookSite::ResidPre
    }

    fn visit(&mut self, _at: HookPoint, _first_pos: usize, x: Tensor) -> Result<Tensor> {
        self.0.push(x.clone());
        Ok(x)
    }
}

impl<'a> Seen<'a> {
    pub(super) fn new(study: &'a Study, pixel_values: &[f32]) -> Result<Self> {
        let model = &study.model;
        let visual = model.encode(pixel_values)?;
        let any = Question {
            prompt: String::new(),
            answer_prefix: String::new(),
            most: 0,
        };
        let prompt = study.prompt(&any)?.up_to_image();
        let embeds = model.embed_prompt(&prompt, &visual)?;
        let mut cache = KvCache::new(model.facts.n_layers);
        let mut streams = Streams(Vec::new());
        let last = model.llama.forward(embeds, &mut cache, &mut streams)?;
        let mut resid = streams.0;
        resid.push(last);
        Ok(Self {
            study,
            prompt,
            visual,
            resid,
            cache,
        })
    }

    pub(super) fn layout(&self) -> &TokenLayout {
        &self.prompt.layout
    }

    /// L2 norms of what the projector made of each patch. `[patch]`
    ///
    /// # Errors
    /// A failing device.
    pub fn norms(&self) -> Result<Vec<f32>> {
        let rows = self.study.patch_rows(&self.visual)?.to_dtype(DType::F32)?;
        Ok(rows.sqr()?.sum(1)?.sqrt()?.to_vec1::<f32>()?)
    }

    /// The `top_k` best tokens of some patches at every level under the logit lens, `[level][patch][k]`. What is asked
    /// comes after the picture and cannot change them.
    ///
    /// # Errors
    /// A failing device.
    pub fn lens(&self, patches: &[usize], top_k: usize) -> Result<Vec<Vec<Vec<u32>>>> {
        let model = &self.study.model;
        let position = |patch: &usize| self.layout().position(*patch) as u32;
        let index: Vec<u32> = patches.iter().map(position).collect();
        let index = Tensor::new(index, &self.study.device)?;
        let read = |resid: &Tensor| -> Result<Vec<Vec<u32>>> {
            let rows = resid.index_select(&index, 0)?;
            let n_words = model.tokenizer.n_words();
            let level = lens::start_level(&model.llama, &rows, None, top_k, n_words)?.finish()?;
            let words = |patch| level.top(patch).map(|(id, _)| id).collect();
            Ok((0..patches.len()).map(words).collect())
        };
        self.resid.iter().map(read).collect()
    }

    /// Asks a question and answers it greedily.
    ///
    /// # Errors
    /// A question that does not follow the picture or is too long; a failing device.
    pub fn ask(&'a self, question: &Question) -> Result<Asked<'a>> {
        let model = &self.study.model;
        let prompt = self.study.prompt(question)?;
        let image_end = prompt.layout.image.end;
        if prompt.up_to_image().ids != self.prompt.ids || prompt.ids.len() == image_end {
            return Err(Error::input(
                "the model's template puts the question before the picture: experiments need it after the picture",
            ));
        }
        let suffix = model.llama.embed(&prompt.ids[image_end..])?;
        let mut cache = self.cache.clone();
        let mut streams = Streams(Vec::new());
        let last = model.llama.forward(suffix, &mut cache, &mut streams)?;
        let row = last.narrow(0, last.dim(0)? - 1, 1)?;
        let logits = self.study.logits(&row)?.flatten_all()?.to_vec1::<f32>()?;
        let mut tail = streams.0;
        tail.push(last);
        let room = model.config.text.max_position_embeddings - prompt.ids.len();
        let mut asked = Asked {
            seen: self,
            most: question.most.min(room),
            prompt,
            tail,
            cache,
            logits,
            answer: Answered::default(),
        };
        asked.answer = asked.answer_clean()?;
        Ok(asked)
    }
}

impl Asked<'_> {
    /// The clean run's most likely first token.
    pub fn first_token(&self) -> u32 {
        largest(&self.logits)
    }

    fn answer_clean(&self) -> Result<Answered> {
        let (study, mut cache) = (self.seen.study, self.cache.clone());
        let mut ids = Vec::new();
        let mut next = self.first_token();
        while ids.len() < self.most {
            ids.push(next);
            if self.is_end(next) || ids.len() == self.most {
                break;
            }
            let x = study.model.llama.embed(&[next])?;
            let row = study.model.llama.forward(x, &mut cache, &mut NoHooks)?;
            next = largest(&study.logits(&row)?.flatten_all()?.to_vec1::<f32>()?);
        }
        self.answered(ids)
    }

    pub(super) fn is_end(&self, token: u32) -> bool {
        let text = &self.seen.study.model.config.text;
        text.eos_token_ids.contains(&token)
    }

    /// With its text.
    pub(super) fn answered(&self, ids: Vec<u32>) -> Result<Answered> {
        let shown = match ids.last() {
            Some(last) if self.is_end(*last) => &ids[..ids.len() - 1],
            _ => &ids[..],
        };
        let text = self.seen.study.text(shown)?.trim().to_owned();
        Ok(Answered { text, ids })
    }

    /// The residual stream at a level, rows from `first` on, `[n - first, d_model]`.
    pub(super) fn rows(&self, level: usize, first: usize) -> Result<Tensor> {
        let (before, tail) = (&self.seen.resid[level], &self.tail[level]);
        let n = before.dim(0)?;
        if first >= n {
            return Ok(tail.narrow(0, first - n, tail.dim(0)? + n - first)?);
        }
        Ok(Tensor::cat(
            &[&before.narrow(0, first, n - first)?, tail],
            0,
        )?)
    }
}

/// The first of the largest.
pub(super) fn largest(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (id, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = id;
        }
    }
    best as u32
}
