//! The best words of rows of logits, with log-sum-exp and entropy, read where they are.

use super::kernels::{Family, floats, unrolled};
use super::reduce::GROUP;
use super::{expect_words, failed, folded, moved, vector_width};
use crate::compute::{Gpu, Result, Slice};

/// The most words that can be asked for.
pub const MOST_KEPT: usize = 64;

/// Reads `[n, vocab]` logits: `[n, 2 * kept + 2]`, where `kept` is k, or `n_words` where that is less. A row holds the ids
/// of the best words below `n_words` (as bits, best first, ties by the smaller id), their probabilities over all of vocab,
/// log-sum-exp and entropy in nats. −∞ counts nothing, but is an id like any other where there are too few better ones.
pub fn read_logits(
    gpu: &Gpu,
    logits: &Slice,
    n: usize,
    vocab: usize,
    n_words: usize,
    k: usize,
) -> Result<Slice> {
    static READ_LOGITS: Family = Family::new("read_logits", &[false, true]);
    expect_words(logits, n * vocab, "rows of logits")?;
    let n_words = n_words.min(vocab);
    let kept = k.min(n_words);
    if kept > MOST_KEPT {
        return failed(format!(
            "{k} words are more than the {MOST_KEPT} that can be asked for"
        ));
    }
    let y = gpu.alloc(n * (2 * kept + 2))?;
    if n == 0 || vocab == 0 {
        return Ok(y);
    }
    let width = vector_width(&[vocab], &[logits]);
    let kernel = READ_LOGITS.kernel([width as u32, 0, 0, 0, 0], || {
        let source = include_str!("../../../shaders/compute/ops/read_logits.wgsl");
        let source = unrolled(source, &[("W", width)]);
        [floats(width), GROUP, &source].concat()
    });
    let sizes = [n, vocab, vocab / width, n_words, kept];
    let params = sizes.map(|n| n as u32);
    gpu.launch_trusted(&kernel, &[logits, &y], &params, folded(n), moved(n * vocab))?;
    Ok(y)
}
