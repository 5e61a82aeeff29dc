//! Reading inside a run that is through: attention from one token, sinks, rollout, and what a logit is made of.
//!
//! Every block is run once more by itself over the rows that matter, from the stream that entered it, under the run's own
//! knockouts; nothing is propagated, so this costs little and changes nothing. It runs when asked for only.

use std::sync::Arc;

use crate::tensor::{DType, Tensor};

use super::insight::{Attention, Attribution, Inside};
use super::state::{CancelCheck, RunState, Watch};
use crate::error::{Error, Result};
use crate::index::{QueryToken, choose};
use crate::model::hooks::{Chain, HookPoint, HookSite, Hooks};
use crate::model::{KvCache, Llava};
use crate::spec::{AttentionSpec, AttributionSpec, Readout};

/// Share of the text's tokens that a sink must stand out for.
const SINK_SHARE: f64 = 0.9;

/// What was read inside a run, and what was asked for.
#[derive(Default)]
pub(in crate::engine) struct Looked {
    attention: Option<(QueryToken, bool, Arc<Attention>)>,
    attribution: Option<(usize, Arc<Attribution>)>,
}

impl Looked {
    /// What a readout asks for, as far as it is there.
    pub fn of(&self, readout: &Readout) -> Inside {
        let attention = |spec: &AttentionSpec| match &self.attention {
            Some((query, rollout, found)) if (*query, *rollout) == (spec.query, spec.rollout) => {
                Some(found.clone())
            }
            _ => None,
        };
        let attribution = |spec: &AttributionSpec| match &self.attribution {
            Some((token, found)) if *token == spec.token => Some(found.clone()),
            _ => None,
        };
        Inside {
            attention: readout.attention.as_ref().and_then(attention),
            attribution: readout.attribution.as_ref().and_then(attribution),
        }
    }
}

/// A run with some tokens after its prompt, given rather than generated.
struct Given {
    /// Rows of those tokens at every level, `[level][n, d_model]`; empty where there are none.
    tail: Vec<Tensor>,
    /// Keys and values of the prompt and those tokens.
    cache: KvCache,
}

/// Masks like the run's interventions; what they do to the stream is in its rows already.
struct Knockouts<'a>(&'a mut dyn Hooks);

impl Hooks for Knockouts<'_> {
    fn blocked(
        &mut self,
        layer: usize,
        pass: (usize, usize, usize),
        device: &crate::tensor::Device,
    ) -> Result<Option<Tensor>> {
        self.0.blocked(layer, pass, device)
    }
}

/// Keeps what passes some points, in the order of the points.
struct Points {
    sites: &'static [HookSite],
    found: Vec<Tensor>,
}

impl Hooks for Points {
    fn wants(&self, at: HookPoint) -> bool {
        self.sites.contains(&at.site)
    }

    fn visit(&mut self, _at: HookPoint, _first_pos: usize, x: Tensor) -> Result<Tensor> {
        self.found.push(x.clone());
        Ok(x)
    }
}

const PATTERN: &[HookSite] = &[HookSite::Pattern];
const PARTS: &[HookSite] = &[HookSite::Pattern, HookSite::AttnOut, HookSite::MlpOut];

impl RunState {
    /// Reads what a readout asks for and what is not there yet. `answer` is the clean run's.
    pub fn look_inside(
        &mut self,
        model: &Llava,
        readout: &Readout,
        answer: &[u32],
        watch: &mut Watch<'_>,
    ) -> Result<()> {
        let known = self.looked.of(readout);
        if let (Some(spec), None) = (&readout.attention, known.attention)
            && let Some(found) = self.attention(model, spec, answer, watch)?
        {
            self.looked.attention = Some((spec.query, spec.rollout, Arc::new(found)));
        }
        if let (Some(spec), None) = (&readout.attribution, known.attribution)
            && let Some(found) = self.attribution(model, spec.token, answer, watch)?
        {
            self.looked.attribution = Some((spec.token, Arc::new(found)));
        }
        Ok(())
    }

    fn give(&mut self, model: &Llava, tokens: &[u32], watch: &Watch<'_>) -> Result<Given> {
        let mut cache = self.prompt_cache().clone();
        if tokens.is_empty() {
            return Ok(Given {
                tail: Vec::new(),
                cache,
            });
        }
        let mut streams = Points {
            sites: &[HookSite::ResidPre],
            found: Vec::new(),
        };
        let mut cancel = CancelCheck(watch);
        let mut chain = Chain(vec![&mut self.hooks, &mut streams, &mut cancel]);
        let x = model.llama.embed(tokens)?;
        let last = model.llama.forward(x, &mut cache, &mut chain)?;
        let mut tail = streams.found;
        tail.push(last);
        Ok(Given { tail, cache })
    }

    /// Rows of the stream at a level, `[n, d_model]`.
    fn rows(&self, given: &Given, level: usize, first: usize, n: usize) -> Result<Tensor> {
        let (prompt, n_prompt) = (&self.resid[level], self.prompt.layout.n_prompt);
        if first >= n_prompt {
            return Ok(given.tail[level].narrow(0, first - n_prompt, n)?);
        }
        let from_prompt = prompt.narrow(0, first, n.min(n_prompt - first))?;
        match first + n {
            end if end > n_prompt => {
                let tail = given.tail[level].narrow(0, 0, end - n_prompt)?;
                Ok(Tensor::cat(&[&from_prompt, &tail], 0)?)
            }
            _ => Ok(from_prompt),
        }
    }

    /// What one block shows at some points for rows from `first` on.
    fn points(
        &mut self,
        model: &Llava,
        given: &Given,
        (layer, first, n): (usize, usize, usize),
        sites: &'static [HookSite],
    ) -> Result<Vec<Tensor>> {
        let rows = self.rows(given, layer, first, n)?;
        let mut points = Points {
            sites,
            found: Vec::new(),
        };
        let mut knockouts = Knockouts(&mut self.hooks);
        let mut chain = Chain(vec![&mut knockouts, &mut points]);
        let attention_only = sites == PATTERN;
        let llama = &model.llama;
        llama.look_inside(
            layer,
            &rows,
            first,
            &given.cache,
            &mut chain,
            attention_only,
        )?;
        Ok(points.found)
    }

    /// The pattern of some queries in one block, f32, `[head, query, key]`.
    fn pattern(
        &mut self,
        model: &Llava,
        given: &Given,
        place: (usize, usize, usize),
    ) -> Result<Tensor> {
        let found = self.points(model, given, place, PATTERN)?;
        let pattern = found.first().ok_or_else(missing)?;
        Ok(pattern.to_dtype(DType::F32)?)
    }

    /// `None` where prompt and clean answer have no such token; [`super::insight::Insight::why_no_attention`] tells why.
    fn attention(
        &mut self,
        model: &Llava,
        spec: &AttentionSpec,
        answer: &[u32],
        watch: &mut Watch<'_>,
    ) -> Result<Option<Attention>> {
        let layout = self.prompt.layout.clone();
        let Ok(query) = spec.query.position(&layout, answer.len()) else {
            return Ok(None);
        };
        let n_given = (query + 1).saturating_sub(layout.n_prompt);
        let given = self.give(model, &answer[..n_given], watch)?;
        let (n_layers, n_heads) = (model.facts.n_layers, model.facts.n_heads);
        let mut pattern = Vec::with_capacity(n_layers * n_heads * (query + 1));
        for layer in 0..n_layers {
            watch.check()?;
            watch.tell(layer as f32 / n_layers as f32);
            let found = self.pattern(model, &given, (layer, query, 1))?;
            pattern.extend(found.flatten_all()?.to_vec1::<f32>()?);
        }
        let rollout = match spec.rollout {
            true => self.rollout(model, &given, query, watch)?,
            false => Vec::new(),
        };
        Ok(Some(Attention {
            query,
            n_layers,
            n_heads,
            n_keys: query + 1,
            pattern,
            rollout,
            sinks: self.sinks(model, &given, watch)?,
        }))
    }

    /// The query's row of the product of all blocks' (mean pattern + identity) / 2, the last block first. `[key]`
    fn rollout(
        &mut self,
        model: &Llava,
        given: &Given,
        query: usize,
        watch: &Watch<'_>,
    ) -> Result<Vec<f32>> {
        let n = query + 1;
        let mut row = vec![0f32; n];
        row[query] = 1.0;
        let mut row = Tensor::from_vec(row, (1, n), model.llama.device())?;
        for layer in (0..model.facts.n_layers).rev() {
            watch.check()?;
            let mean = self.pattern(model, given, (layer, 0, n))?.mean(0)?; // [query, key]
            row = ((&row + row.matmul(&mean)?)? * 0.5)?;
        }
        Ok(row.flatten_all()?.to_vec1::<f32>()?)
    }

    /// Patches whose attention, averaged over all heads and blocks, lies above the mean of the patches by two standard
    /// deviations for nearly every token of the text after the picture.
    fn sinks(&mut self, model: &Llava, given: &Given, watch: &Watch<'_>) -> Result<Vec<usize>> {
        let layout = self.prompt.layout.clone();
        let first = layout.image.end.min(layout.last());
        let n = layout.n_prompt - first;
        let mut sum: Option<Tensor> = None; // [query, key]
        for layer in 0..model.facts.n_layers {
            watch.check()?;
            let mean = self.pattern(model, given, (layer, first, n))?.mean(0)?;
            sum = Some(match sum {
                Some(sum) => (sum + mean)?,
                None => mean,
            });
        }
        let Some(sum) = sum else {
            return Ok(Vec::new());
        };
        let mut n_stands_out = vec![0usize; layout.grid.len()];
        for row in sum.to_vec2::<f32>()? {
            let patches = row.get(layout.patches()).unwrap_or_default();
            for patch in choose::registers(patches, layout.grid).indices(layout.grid)? {
                n_stands_out[patch] += 1;
            }
        }
        let enough = (n as f64 * SINK_SHARE).ceil() as usize;
        let is_sink = |patch: &usize| n_stands_out[*patch] >= enough.max(1);
        Ok((0..layout.grid.len()).filter(is_sink).collect())
    }

    /// `None` where the clean answer has no such token. Without an answer, token 0 is the likeliest next one.
    fn attribution(
        &mut self,
        model: &Llava,
        token: usize,
        answer: &[u32],
        watch: &mut Watch<'_>,
    ) -> Result<Option<Attribution>> {
        let Some(&id) = answer.get(token) else {
            return Ok(None);
        };
        let position = self.prompt.layout.last() + token;
        let given = self.give(model, &answer[..token], watch)?;
        let llama = &model.llama;
        let n_layers = model.facts.n_layers;
        let output = self.rows(&given, n_layers, position, 1)?;
        let direction = llama.logit_direction(id, &output)?;
        let along = |row: &Tensor| -> Result<f64> {
            let product = row.to_dtype(DType::F32)?.matmul(&direction)?;
            Ok(f64::from(product.flatten_all()?.to_vec1::<f32>()?[0]))
        };
        let logits = llama.unembed(&llama.final_norm(&output)?)?;
        let embedding = along(&self.rows(&given, 0, position, 1)?)?;
        let mut found = Attribution {
            token,
            id,
            position,
            logit: logits.flatten_all()?.to_vec1::<f32>()?[id as usize],
            embedding: embedding as f32,
            n_heads: model.facts.n_heads,
            n_keys: position + 1,
            ..Attribution::default()
        };
        let (mut other, mut before) = (0.0, embedding);
        for layer in 0..n_layers {
            watch.check()?;
            watch.tell(layer as f32 / n_layers as f32);
            let points = self.points(model, &given, (layer, position, 1), PARTS)?;
            let [pattern, attention, mlp] = points.as_slice() else {
                return Err(missing());
            };
            let (attention, mlp) = (along(attention)?, along(mlp)?);
            let after = along(&self.rows(&given, layer + 1, position, 1)?)?;
            other += after - before - attention - mlp;
            before = after;
            found.attention.push(attention as f32);
            found.mlp.push(mlp as f32);
            let values = given.cache.values(layer).ok_or_else(missing)?;
            let slices = llama.before_output_map(layer, &direction)?; // [kv_head, d_head, group]
            found.sources.extend(carried(pattern, values, &slices)?);
        }
        found.other = other as f32;
        Ok(Some(found))
    }
}

/// Pattern `[head, 1, key]` times what every value `[kv_head, key.., d_head]` is along the direction: `[head, key]`.
fn carried(pattern: &Tensor, values: &Tensor, slices: &Tensor) -> Result<Vec<f32>> {
    let (heads, _, n_keys) = pattern.dims3()?;
    let values = values.narrow(1, 0, n_keys)?.to_dtype(DType::F32)?;
    let along = values.contiguous()?.matmul(slices)?; // [kv_head, key, group]
    let along = along.transpose(1, 2)?.reshape((heads, n_keys))?;
    let pattern = pattern.to_dtype(DType::F32)?.reshape((heads, n_keys))?;
    Ok((pattern * along)?.flatten_all()?.to_vec1::<f32>()?)
}

fn missing() -> Error {
    Error::internal("a block did not show what was looked for")
}
