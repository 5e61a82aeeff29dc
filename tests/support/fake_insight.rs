//! Made-up attention, attribution and comparison of the fake engine: one head that looks at the middle of the picture, two
//! sinks, a logit whose parts sum up.

use std::sync::Arc;

use patchglass::engine::insight::{
    Attention, Attribution, Comparison, Control, Forced, Inside, Insight,
};
use patchglass::engine::protocol::RunSpec;
use patchglass::engine::trace::RunReadout;

use super::fake_engine::{CLEAN, GRID, N_LAYERS};

const N_HEADS: usize = 8;
const IMAGE: usize = 5;
const N_PROMPT: usize = 602;
/// Patches that draw attention whatever is asked.
const SINKS: [usize; 2] = [24 * 22 + 1, 24 * 3 + 21];

/// What a complete run of this request would have read.
pub fn of(spec: &RunSpec, baseline: &RunReadout, edited: &RunReadout, has_edits: bool) -> Insight {
    let token = spec.readout.attribution.as_ref().map(|a| a.token);
    let inside = |strength: f32| Inside {
        attention: (spec.readout.attention.as_ref())
            .map(|asked| Arc::new(attention(strength, asked.rollout))),
        attribution: token
            .filter(|token| *token < CLEAN.len())
            .map(|token| Arc::new(attribution(strength, token))),
    };
    let clean = inside(1.0);
    let comparison = has_edits.then(|| Arc::new(comparison(baseline, edited)));
    let control = (spec.readout.control.as_ref()).and_then(|asked| {
        let kept = Forced {
            probs: baseline.answer.probs.iter().map(|p| 0.95 * p).collect(),
            ids: baseline.answer.ids.clone(),
            best_ids: baseline.answer.ids.clone(),
            best_probs: baseline.answer.probs.clone(),
        };
        let runs = vec![kept; asked.seeds.len()];
        let forced = &comparison.as_ref()?.forced;
        let probs = &baseline.answer.probs;
        Some(Arc::new(Control::new(
            asked.seeds.clone(),
            runs,
            forced,
            probs,
        )))
    });
    Insight {
        asked: spec.readout.clone(),
        comparison,
        control,
        edited: match has_edits {
            true => inside(0.3),
            false => clean.clone(),
        },
        clean,
    }
}

/// A bump in the middle of the picture.
fn bump(patch: usize) -> f32 {
    let (row, col) = (
        (patch / GRID.cols) as f32 - 9.0,
        (patch % GRID.cols) as f32 - 12.0,
    );
    (-(row * row + col * col) / 12.0).exp()
}

fn row(layer: usize, head: usize, strength: f32) -> Vec<f32> {
    let looks = (-((layer as f32 - 5.0).powi(2) + (head as f32 - 3.0).powi(2)) / 3.0).exp();
    let mut row = vec![0.02; N_PROMPT];
    row[0] = 6.0;
    for patch in 0..GRID.len() {
        row[IMAGE + patch] += strength * looks * bump(patch);
    }
    for sink in SINKS {
        row[IMAGE + sink] += 0.8;
    }
    let sum: f32 = row.iter().sum();
    row.iter().map(|x| x / sum).collect()
}

fn attention(strength: f32, rollout: bool) -> Attention {
    let heads = (0..N_LAYERS).flat_map(|l| (0..N_HEADS).map(move |h| (l, h)));
    Attention {
        query: N_PROMPT - 1,
        n_layers: N_LAYERS,
        n_heads: N_HEADS,
        n_keys: N_PROMPT,
        pattern: heads.flat_map(|(l, h)| row(l, h, strength)).collect(),
        rollout: match rollout {
            true => row(3, 3, strength),
            false => Vec::new(),
        },
        sinks: SINKS.to_vec(),
    }
}

fn attribution(strength: f32, token: usize) -> Attribution {
    let n_keys = N_PROMPT + token;
    let mut sources = Vec::new();
    let mut attention = Vec::new();
    for layer in 0..N_LAYERS {
        let mut sum = 0.0;
        for head in 0..N_HEADS {
            let sign = if (layer + head) % 5 == 4 { -0.4 } else { 1.0 };
            let mut part = row(layer, head, strength);
            part.resize(n_keys, 0.0);
            part[0] = 0.0;
            sources.extend(part.iter().map(|x| 4.0 * sign * x));
            sum += 4.0 * sign * part.iter().sum::<f32>();
        }
        attention.push(sum);
    }
    let mlp: Vec<f32> = (0..N_LAYERS).map(|l| 0.5 * (l as f32 - 2.0)).collect();
    let embedding = 0.31;
    let logit = embedding + attention.iter().chain(&mlp).sum::<f32>();
    Attribution {
        token,
        id: CLEAN[token],
        position: N_PROMPT - 1 + token,
        logit,
        embedding,
        attention,
        mlp,
        other: 0.0,
        n_heads: N_HEADS,
        n_keys,
        sources,
    }
}

fn comparison(baseline: &RunReadout, edited: &RunReadout) -> Comparison {
    let (clean, after) = (&baseline.answer, &edited.answer);
    let forced = clean.ids.iter().enumerate().map(|(i, id)| {
        let best = after.ids.get(i).copied().unwrap_or(*id);
        let kept = if best == *id { 0.8 } else { 0.07 };
        (clean.probs[i] * kept, best)
    });
    let (probs, best_ids): (Vec<f32>, Vec<u32>) = forced.unzip();
    Comparison {
        flipped: clean.ids != after.ids,
        next_token_kl: 0.271,
        forced: Forced {
            ids: clean.ids.clone(),
            best_probs: probs.iter().map(|p| p.max(0.62)).collect(),
            probs,
            best_ids,
        },
    }
}
