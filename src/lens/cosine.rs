//! The second lens: cosine between a residual row and every row of the input embeddings, without the final norm.
//!
//! At the first levels, where the stream still lies among the embeddings, it is clearer than the logit lens.

use crate::tensor::{D, DType, Tensor};
use rayon::prelude::*;

use super::logit_lens::chunk_rows;
use super::readout::LevelReadout;
use super::rows::{Reading, best, read_rows};
use crate::error::Result;
use crate::model::Llama;

/// Rows of the embeddings that are made f32 at once.
const EMBEDDINGS: usize = 8192;

/// Euclidean norms of all rows of the input embeddings, `[vocab]` f32 on the model's device.
pub fn embedding_norms(llama: &Llama) -> Result<Tensor> {
    let vocab = llama.vocab_size() as u32;
    let chunk = |start: u32| -> Result<Tensor> {
        let ids: Vec<u32> = (start..vocab.min(start + EMBEDDINGS as u32)).collect();
        let rows = llama.embed(&ids)?.to_dtype(DType::F32)?;
        Ok(rows.sqr()?.sum(D::Minus1)?.sqrt()?)
    };
    let norms: Vec<Tensor> = (0..vocab)
        .step_by(EMBEDDINGS)
        .map(chunk)
        .collect::<Result<_>>()?;
    Ok(Tensor::cat(&norms, 0)?)
}

/// The words whose input embedding has the largest cosine with each row of `resid`, `[patch, d_model]`, of the first
/// `n_words`. `norms` are those of [`embedding_norms`]. Of the readout only `ids` and `probs` are filled; `probs` holds
/// cosines, −1..=1.
pub fn cosine_level(
    llama: &Llama,
    resid: &Tensor,
    norms: &Tensor,
    top_k: usize,
    n_words: usize,
) -> Result<LevelReadout> {
    let n = resid.dim(0)?;
    let norms = norms.maximum(f64::from(f32::MIN_POSITIVE))?.unsqueeze(0)?;
    let mut out = LevelReadout::default();
    let mut start = 0;
    while start < n {
        let rows = chunk_rows(n, llama).min(n - start);
        let cosines = cosines(llama, &resid.narrow(0, start, rows)?, &norms)?;
        for row in read(&cosines, n_words, top_k)? {
            out.ids.extend(row.iter().map(|(id, _)| *id));
            out.probs.extend(row.iter().map(|(_, cosine)| *cosine));
        }
        start += rows;
    }
    out.top_k = out.ids.len() / n.max(1);
    Ok(out)
}

/// `[n, d_model] -> [n, vocab]`, f32.
fn cosines(llama: &Llama, resid: &Tensor, norms: &Tensor) -> Result<Tensor> {
    let x = resid.to_dtype(DType::F32)?;
    let length = x.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
    // Of length 1 before the product: a few rows of LLaMA are so long that f16 would run over.
    let unit = x.broadcast_div(&length.maximum(f64::from(f32::MIN_POSITIVE))?)?;
    let products = llama.embedding_products(&unit.to_dtype(resid.dtype())?)?;
    Ok(products.broadcast_div(norms)?)
}

/// The best of each row; a card tells them as probabilities, whose logarithms differ from cosines by a constant.
fn read(cosines: &Tensor, n_words: usize, k: usize) -> Result<Vec<Vec<(u32, f32)>>> {
    if cosines.device().is_cpu() {
        let vocab = cosines.dim(1)?.max(1);
        let values = cosines.flatten_all()?.to_vec1::<f32>()?;
        let row = |row: &[f32]| best(&row[..n_words.min(vocab)], k);
        return Ok(values.par_chunks(vocab).map(row).collect());
    }
    let rows: Reading = read_rows(cosines, n_words, k)?;
    let back = |row: super::rows::RowReadout| {
        let cosine = |(id, prob): (u32, f32)| (id, prob.ln() + row.log_sum_exp);
        row.best.into_iter().map(cosine).collect()
    };
    Ok(rows.get()?.into_iter().map(back).collect())
}
