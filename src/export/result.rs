//! `result.json` of the contract, made from a trace. Its form is fixed; new fields may be added.

use std::sync::Arc;

use serde::Serialize;

use super::insight::{AttentionFile, AttributionFile};
use crate::engine::insight::{Comparison, Control, Inside};
use crate::engine::trace::{LevelReadout, RunReadout, Timing, Trace, WordToken};

/// The whole file.
#[derive(Serialize)]
pub struct ResultFile<'a> {
    layout: Layout<'a>,
    baseline: Run<'a>,
    edited: Run<'a>,
    /// What the edit does to the clean answer; only where something is switched on.
    #[serde(skip_serializing_if = "Option::is_none")]
    comparison: Option<&'a Comparison>,
    /// Where the readout asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    control: Option<&'a Control>,
    timing_ms: TimingMs,
}

#[derive(Serialize)]
struct Layout<'a> {
    n_tokens: usize,
    /// First position of the picture and the one after its last.
    image: [usize; 2],
    grid: [usize; 2],
    n_layers: usize,
    input_ids: &'a [u32],
}

#[derive(Serialize)]
struct Run<'a> {
    lens: Lens<'a>,
    next_token: Vec<Candidate<'a>>,
    answer: AnswerFile<'a>,
    /// Only where the session's readout names words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    words: Vec<Word<'a>>,
    /// Cosine of every patch with the readout's `similar_to`, where it names one. `[level][patch]`
    #[serde(skip_serializing_if = "Vec::is_empty")]
    similar: Vec<&'a [f32]>,
    /// Only where the session's readout asks for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    attention: Option<AttentionFile<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attribution: Option<AttributionFile<'a>>,
    /// Only where the readout asks for all tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<Tokens<'a>>,
    /// Only where the readout asks for cosines.
    #[serde(skip_serializing_if = "Option::is_none")]
    cosine: Option<Cosine<'a>>,
    /// Only of the edited run, where the readout asks for the divergence.
    #[serde(skip_serializing_if = "Option::is_none")]
    divergence: Option<DivergenceFile<'a>>,
}

/// The lens of the positions that are no patches.
#[derive(Serialize)]
struct Tokens<'a> {
    positions: &'a [usize],
    input_ids: &'a [u32],
    /// `[level][position][k]`
    lens: Lens<'a>,
    /// `[level][position][k]`, only where the readout asks for cosines.
    #[serde(skip_serializing_if = "Option::is_none")]
    cosine: Option<Cosine<'a>>,
}

/// The lens by cosine to the input embeddings, `[level][patch][k]`, of other tokens `[level][position][k]`.
#[derive(Serialize)]
struct Cosine<'a> {
    ids: Vec<Vec<&'a [u32]>>,
    cosines: Vec<Vec<&'a [f32]>>,
}

/// KL(clean ‖ edited) in nats.
#[derive(Serialize)]
struct DivergenceFile<'a> {
    /// `[level][patch]`
    kl: Vec<&'a [f32]>,
    /// The largest of the same pass with nothing changed. `[level]`
    noise: Vec<f32>,
}

#[derive(Serialize)]
struct Lens<'a> {
    /// `[level][patch][k]`
    ids: Vec<Vec<&'a [u32]>>,
    probs: Vec<Vec<&'a [f32]>>,
}

#[derive(Serialize)]
struct Candidate<'a> {
    id: u32,
    token: &'a str,
    prob: f32,
    logit: f32,
}

#[derive(Serialize)]
struct AnswerFile<'a> {
    text: &'a str,
    ids: &'a [u32],
    probs: &'a [f32],
}

#[derive(Serialize)]
struct Word<'a> {
    word: &'a str,
    /// The token that stands for it.
    id: u32,
    n_tokens: usize,
    /// `[level][patch]`
    probs: Vec<&'a [f32]>,
    /// Natural logarithms. `[level][patch]`
    log_probs: Vec<&'a [f32]>,
    /// 1 for the likeliest; only where the readout asks for ranks. `[level][patch]`
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ranks: Vec<&'a [u32]>,
}

#[derive(Serialize)]
struct TimingMs {
    load: f64,
    encode: f64,
    baseline: f64,
    edited: f64,
    lens: f64,
    decode: f64,
    total: f64,
}

impl<'a> ResultFile<'a> {
    /// The result of a complete trace.
    pub fn new(trace: &'a Trace) -> Self {
        let layout = &trace.layout;
        Self {
            layout: Layout {
                n_tokens: layout.n_prompt,
                image: [layout.image.start, layout.image.end],
                grid: [layout.grid.rows, layout.grid.cols],
                n_layers: trace.model.n_layers,
                input_ids: &trace.input_ids,
            },
            baseline: run(&trace.baseline, trace, &trace.insight.clean),
            edited: run(&trace.edited, trace, &trace.insight.edited),
            comparison: trace.insight.comparison.as_deref(),
            control: trace.insight.control.as_deref(),
            timing_ms: timing(&trace.timing),
        }
    }
}

fn run<'a>(readout: &'a RunReadout, trace: &'a Trace, inside: &'a Inside) -> Run<'a> {
    let words = &trace.words;
    let levels: Vec<_> = readout.levels.iter().flatten().collect();
    let lens = lens(&readout.levels);
    let candidate = |s: &'a crate::engine::trace::TokenScore| Candidate {
        id: s.id,
        token: &s.text,
        prob: s.prob,
        logit: s.logit,
    };
    let word = |(i, w): (usize, &'a WordToken)| Word {
        word: &w.word,
        id: w.id,
        n_tokens: w.n_tokens,
        probs: levels
            .iter()
            .filter_map(|l| l.words.get(i).map(Vec::as_slice))
            .collect(),
        log_probs: levels
            .iter()
            .filter_map(|l| l.word_log_probs.get(i).map(Vec::as_slice))
            .collect(),
        ranks: levels
            .iter()
            .filter_map(|l| l.word_ranks.get(i).map(Vec::as_slice))
            .collect(),
    };
    let tokens = readout.tokens.as_ref().map(|tokens| Tokens {
        positions: &tokens.positions,
        input_ids: &tokens.ids,
        lens: self::lens(&tokens.levels),
        cosine: cosine(&tokens.cosine),
    });
    let divergence = (!readout.divergence.is_empty()).then(|| {
        let levels: Vec<_> = readout.divergence.iter().flatten().collect();
        DivergenceFile {
            kl: levels.iter().map(|l| l.values.as_slice()).collect(),
            noise: levels.iter().map(|l| l.floor).collect(),
        }
    });
    let answer = &readout.answer;
    Run {
        lens,
        next_token: readout.next_token.iter().map(candidate).collect(),
        answer: AnswerFile {
            text: &answer.text,
            ids: &answer.ids,
            probs: &answer.probs,
        },
        words: words.iter().enumerate().map(word).collect(),
        similar: levels
            .iter()
            .map(|l| l.similar.as_slice())
            .filter(|similar| !similar.is_empty())
            .collect(),
        attention: (inside.attention.as_deref()).and_then(|found| AttentionFile::new(trace, found)),
        attribution: (inside.attribution.as_deref())
            .and_then(|found| AttributionFile::new(trace, found)),
        tokens,
        cosine: cosine(&readout.cosine),
        divergence,
    }
}

/// `None` where no level was read.
fn cosine(levels: &[Option<Arc<LevelReadout>>]) -> Option<Cosine<'_>> {
    let Lens { ids, probs } = lens(levels);
    (!ids.is_empty()).then_some(Cosine {
        ids,
        cosines: probs,
    })
}

fn lens(levels: &[Option<Arc<LevelReadout>>]) -> Lens<'_> {
    let levels: Vec<_> = levels.iter().flatten().collect();
    let k = |l: &LevelReadout| l.top_k.max(1);
    Lens {
        ids: levels
            .iter()
            .map(|l| l.ids.chunks(k(l)).collect())
            .collect(),
        probs: levels
            .iter()
            .map(|l| l.probs.chunks(k(l)).collect())
            .collect(),
    }
}

fn timing(t: &Timing) -> TimingMs {
    let Timing {
        load,
        encode,
        baseline,
        edited,
        lens,
        decode,
        total,
    } = *t;
    TimingMs {
        load,
        encode,
        baseline,
        edited,
        lens,
        decode,
        total,
    }
}
