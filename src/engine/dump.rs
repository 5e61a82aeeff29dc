//! The tensors of the contract's dump, as plain numbers: pixels, visual tokens, residual stream, logits, patterns.

use crate::tensor::{DType, Tensor};

use super::job::Which;
use super::run::Engine;
use super::state::RunState;
use crate::error::{Error, Result};
use crate::model::hooks::{Chain, HookPoint, HookSite, Hooks};
use crate::model::{KvCache, Llava};

impl Engine {
    /// Tensors of the contract's dump, of the last run's edited side: name, shape, values.
    ///
    /// # Errors
    /// No run yet; a failing device.
    pub fn dump(&mut self, patterns: bool) -> Result<Vec<Named>> {
        collect(self.last_parts()?, patterns)
    }

    pub(super) fn last_parts(&mut self) -> Result<Parts<'_>> {
        let which = match self.edited {
            Some(_) => Which::Edited,
            None => Which::Clean,
        };
        self.bring(which)?;
        let none = || Error::internal("there is no run to dump");
        let (_, model) = self.model.as_ref().ok_or_else(none)?;
        let picture = self.picture.as_ref().ok_or_else(none)?;
        let kept = self
            .edited
            .as_mut()
            .or(self.clean.as_mut())
            .ok_or_else(none)?;
        Ok(Parts {
            model,
            pixel_values: &picture.pixel_values,
            visual: &picture.visual,
            state: &mut kept.state,
        })
    }
}

/// Name, shape and values of a tensor, f32.
pub type Named = (String, Vec<usize>, Vec<f32>);

/// What a dump is taken from.
pub(super) struct Parts<'a> {
    pub model: &'a Llava,
    pub pixel_values: &'a [f32],
    pub visual: &'a Tensor,
    pub state: &'a mut RunState,
}

/// Everything that `--dump` writes; `patterns` adds the attention patterns, which are computed anew.
pub(super) fn collect(parts: Parts<'_>, patterns: bool) -> Result<Vec<Named>> {
    let size = parts.model.config.vision.image_size;
    let mut out = vec![
        (
            "pixel_values".to_owned(),
            vec![3, size, size],
            parts.pixel_values.to_vec(),
        ),
        named("visual_tokens".to_owned(), parts.visual)?,
        (
            "logits".to_owned(),
            vec![parts.state.logits.len()],
            parts.state.logits.clone(),
        ),
    ];
    for (level, resid) in parts.state.resid.iter().enumerate() {
        out.push(named(format!("resid.{level}"), resid)?);
    }
    if patterns {
        for (layer, pattern) in attention_patterns(parts)?.iter().enumerate() {
            out.push(named(format!("pattern.{layer}"), pattern)?);
        }
    }
    Ok(out)
}

fn named(name: String, tensor: &Tensor) -> Result<Named> {
    let values = tensor
        .to_dtype(DType::F32)?
        .flatten_all()?
        .to_vec1::<f32>()?;
    Ok((name, tensor.dims().to_vec(), values))
}

/// Keeps the pattern of every block.
struct PatternRecorder(Vec<Tensor>);

impl Hooks for PatternRecorder {
    fn wants(&self, at: HookPoint) -> bool {
        at.site == HookSite::Pattern
    }

    fn visit(&mut self, _at: HookPoint, _first_pos: usize, x: Tensor) -> Result<Tensor> {
        self.0.push(x.clone());
        Ok(x)
    }
}

/// One more pass over the prompt under the same interventions. `[layer][head, query, key]`
fn attention_patterns(parts: Parts<'_>) -> Result<Vec<Tensor>> {
    let embeds = parts
        .model
        .embed_prompt(&parts.state.prompt, parts.visual)?;
    let mut recorder = PatternRecorder(Vec::new());
    let mut chain = Chain(vec![&mut parts.state.hooks, &mut recorder]);
    let mut cache = KvCache::new(parts.model.facts.n_layers);
    parts.model.llama.forward(embeds, &mut cache, &mut chain)?;
    Ok(recorder.0)
}
