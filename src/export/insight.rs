//! The parts of `result.json` that are there on request: attention, attribution, and what an edit does to the clean answer.

use serde::Serialize;

use crate::engine::insight::{Attention, Attribution};
use crate::engine::trace::Trace;
use crate::index::{QueryToken, TokenSet, choose};
use crate::spec::HeadMap;

/// Attention from one token.
#[derive(Serialize)]
pub struct AttentionFile<'a> {
    query: QueryToken,
    position: usize,
    into: &'a TokenSet,
    /// Share of every head's attention that goes there. `[layer][head]`
    mass: Vec<Vec<f32>>,
    /// Mean over all heads of all blocks. `[key]`
    mean: Vec<f32>,
    /// `[key]`
    #[serde(skip_serializing_if = "<[f32]>::is_empty")]
    rollout: &'a [f32],
    /// Patches that stand out for nearly every token of the text.
    sinks: String,
    /// `[layer][head][key]`
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pattern: Vec<Vec<&'a [f32]>>,
}

/// What a logit is made of.
#[derive(Serialize)]
pub struct AttributionFile<'a> {
    token: usize,
    id: u32,
    position: usize,
    logit: f32,
    /// The sum of what follows: `embedding`, `attention`, `mlp` and `other`.
    total: f32,
    embedding: f32,
    /// `[layer]`
    attention: &'a [f32],
    mlp: &'a [f32],
    other: f32,
    /// `[layer][head]`
    heads: Vec<Vec<f32>>,
    /// What comes from every token through all heads. `[key]`
    tokens: Vec<f32>,
    /// The same of the patches alone. `[patch]`
    patches: Vec<f32>,
    /// `[layer][head][key]`
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sources: Vec<Vec<&'a [f32]>>,
}

impl<'a> AttentionFile<'a> {
    /// What was asked for of one run's attention.
    pub fn new(trace: &'a Trace, found: &'a Attention) -> Option<Self> {
        let spec = trace.insight.asked.attention.as_ref()?;
        let layout = &trace.layout;
        let into = spec.into.positions(layout, found.n_keys).ok()?;
        let sinks = choose::of_indices(found.sinks.iter().copied(), layout.grid);
        Some(Self {
            query: spec.query,
            position: found.query,
            into: &spec.into,
            mass: rows(&found.mass(&into), found.n_heads),
            mean: found.map(HeadMap::All),
            rollout: &found.rollout,
            sinks: sinks.to_string(),
            pattern: cube(&found.pattern, found.n_heads, found.n_keys, spec.maps),
        })
    }
}

impl<'a> AttributionFile<'a> {
    /// What was asked for of one run's attribution.
    pub fn new(trace: &'a Trace, found: &'a Attribution) -> Option<Self> {
        let spec = trace.insight.asked.attribution.as_ref()?;
        let tokens = found.tokens();
        let patches = tokens.get(trace.layout.patches()).unwrap_or_default();
        Some(Self {
            token: found.token,
            id: found.id,
            position: found.position,
            logit: found.logit,
            total: found.total(),
            embedding: found.embedding,
            attention: &found.attention,
            mlp: &found.mlp,
            other: found.other,
            heads: rows(&found.heads(), found.n_heads),
            patches: patches.to_vec(),
            tokens,
            sources: cube(&found.sources, found.n_heads, found.n_keys, spec.maps),
        })
    }
}

fn rows(values: &[f32], width: usize) -> Vec<Vec<f32>> {
    values.chunks(width.max(1)).map(<[f32]>::to_vec).collect()
}

fn cube(values: &[f32], heads: usize, keys: usize, wanted: bool) -> Vec<Vec<&[f32]>> {
    if !wanted {
        return Vec::new();
    }
    let layers = values.chunks((heads * keys).max(1));
    layers
        .map(|layer| layer.chunks(keys.max(1)).collect())
        .collect()
}
