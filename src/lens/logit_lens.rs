//! softmax(lm_head(final_norm(residual))): the final norm exactly once, at every level alike (paper, section 4.1).
//!
//! At level `n_layers` this is the model's own output. One level is read at a time, in chunks of rows, so that the
//! full logits of all levels never exist together.

use crate::tensor::Tensor;

use super::readout::{LevelReadout, TokenScore};
use super::rows::{Reading, best, read_rows, read_rows_here};
use crate::error::Result;
use crate::model::{Llama, Norms, RowNorms, Tokenizer, row_norms};

/// Logits that are held at once, as numbers (80 MB in f32): all patches of LLaVA-1.5 at a level.
const CHUNK: usize = 20 << 20;
/// The same on the CPU, where they are read again at once and had better still be in its cache (1 MB).
const CHUNK_ON_CPU: usize = 1 << 18;

/// Rows of a chunk on the CPU, however large the vocabulary: fewer make the product slow.
const FEWEST_ROWS: usize = 64;

/// A level that is being read; a card may still be at it.
pub struct LevelReading {
    norms: Norms,
    chunks: Vec<Reading>,
    top_k: usize,
}

/// Reads the residual rows of patches at one level, `[patch, d_model]`. `clean` are the same rows of the run that the
/// change is told against, `None` for that run itself. On a card this only queues the work, so that several levels
/// can follow each other without a pause.
pub fn start_level(
    llama: &Llama,
    resid: &Tensor,
    clean: Option<&Tensor>,
    top_k: usize,
    n_words: usize,
) -> Result<LevelReading> {
    let (n, _) = resid.dims2()?;
    let norms = row_norms(resid, clean)?;
    let mut chunks = Vec::new();
    let mut start = 0;
    while start < n {
        let rows = chunk_rows(n, llama).min(n - start);
        let normed = llama.final_norm(&resid.narrow(0, start, rows)?)?;
        chunks.push(read_rows(&llama.unembed(&normed)?, n_words, top_k)?);
        start += rows;
    }
    Ok(LevelReading {
        norms,
        chunks,
        top_k,
    })
}

impl LevelReading {
    /// Waits for the level. `words` is left empty.
    pub fn finish(self) -> Result<LevelReadout> {
        let norms = self.norms.get()?;
        let n = norms.len();
        let mut out = LevelReadout {
            top_k: self.top_k,
            norm: norms.iter().map(|row| row.own).collect(),
            change: norms.iter().map(relative_change).collect(),
            ..LevelReadout::default()
        };
        for chunk in self.chunks {
            for row in chunk.get()? {
                out.ids.extend(row.best.iter().map(|(id, _)| *id));
                out.probs.extend(row.best.iter().map(|(_, prob)| *prob));
                out.entropy.push(row.entropy);
                out.log_sum_exp.push(row.log_sum_exp);
            }
        }
        out.top_k = out.ids.len() / n.max(1);
        Ok(out)
    }
}

/// ‖edited − clean‖ / ‖clean‖; rows that are equal give exactly 0.
fn relative_change(row: &RowNorms) -> f32 {
    if row.apart == 0.0 {
        0.0
    } else {
        row.apart / row.other.max(f32::MIN_POSITIVE)
    }
}

/// Rows of a chunk; chunks are of about one size, for a few rows cost almost as much as many.
pub(super) fn chunk_rows(n: usize, llama: &Llama) -> usize {
    let chunk = match llama.device().is_cpu() {
        true => CHUNK_ON_CPU.max(FEWEST_ROWS * llama.vocab_size()),
        false => CHUNK,
    };
    let n_chunks = (n * llama.vocab_size()).div_ceil(chunk).max(1);
    n.div_ceil(n_chunks).max(1)
}

/// The `k` best candidates of a row of logits, `[vocab]`, with probabilities over the whole vocabulary.
pub fn next_token(logits: &[f32], tokenizer: &Tokenizer, k: usize) -> Result<Vec<TokenScore>> {
    let n_words = tokenizer.n_words().min(logits.len());
    let readout = read_rows_here(logits, logits.len(), n_words, k);
    let scores = readout
        .iter()
        .flat_map(|row| &row.best)
        .zip(best(&logits[..n_words], k));
    scores
        .map(|(&(id, prob), (_, logit))| {
            Ok(TokenScore {
                id,
                text: tokenizer.decode(&[id])?,
                prob,
                logit,
            })
        })
        .collect()
}
