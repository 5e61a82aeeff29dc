//! What a readout can ask of the fake engine beyond the words: a searched word, KL, cosines, the tokens of the text.
//! Made-up numbers; the same request gives the same.

use std::sync::Arc;

use patchglass::engine::protocol::RunSpec;
use patchglass::engine::trace::{Divergence, LevelReadout, RunReadout, TokenReadout, WordToken};

use super::fake_engine::{GRID, N_LAYERS};

/// Tokens before the picture, and of the prompt and the answer after it.
const BEFORE: usize = 5;
const AFTER: usize = 21;
const LENGTH: usize = 602;

/// The searched word stands for the dinosaur's token.
pub fn words(spec: &RunSpec) -> Vec<WordToken> {
    let word = |word: &String| WordToken {
        word: word.clone(),
        id: 2,
        n_tokens: 1,
        ids: vec![2],
    };
    spec.readout.words.iter().map(word).collect()
}

/// Fills in what the request asks for.
pub fn add(spec: &RunSpec, edited: bool, run: &mut RunReadout) {
    let asked = &spec.readout;
    for (level, readout) in run.levels.iter_mut().enumerate() {
        let Some(readout) = readout else { continue };
        let mut full = LevelReadout::clone(readout);
        for _ in &asked.words {
            let probs = (0..GRID.len()).map(|patch| word(patch, level, edited));
            let probs: Vec<f32> = probs.collect();
            full.word_log_probs
                .push(probs.iter().map(|p| p.ln()).collect());
            full.word_ranks.push(
                probs
                    .iter()
                    .map(|p| 1 + (90.0 * (1.0 - p)) as u32)
                    .collect(),
            );
            full.words.push(probs);
        }
        *readout = Arc::new(full);
    }
    if asked.cosine {
        run.cosine = run.levels.clone();
    }
    if asked.divergence && edited {
        run.divergence = (0..=N_LAYERS).map(divergence).collect();
    }
    if asked.all_tokens {
        let positions = (0..BEFORE).chain(LENGTH - AFTER..LENGTH);
        run.tokens = Some(TokenReadout {
            ids: (0..(BEFORE + AFTER) as u32).map(|at| at % 30).collect(),
            positions: positions.collect(),
            levels: run.levels.clone(),
            cosine: run.cosine.clone(),
        });
    }
}

/// Largest at the dinosaur, which grows level by level; the edit takes most of it away.
fn word(patch: usize, level: usize, edited: bool) -> f32 {
    let near = bump(patch, (9.0, 5.0));
    let sure = level as f32 / N_LAYERS as f32;
    0.002 + near * sure * if edited { 0.2 } else { 0.8 }
}

fn divergence(level: usize) -> Option<Arc<Divergence>> {
    let kl = |patch| 2.5 * bump(patch, (9.0, 5.0)) * level as f32 / N_LAYERS as f32;
    Some(Arc::new(Divergence {
        values: (0..GRID.len()).map(kl).collect(),
        floor: 3.1e-7,
    }))
}

fn bump(patch: usize, (row, col): (f32, f32)) -> f32 {
    let down = (patch / GRID.cols) as f32 - row;
    let right = (patch % GRID.cols) as f32 - col;
    (-(down * down + right * right) / 14.0).exp()
}
