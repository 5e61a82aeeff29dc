//! What a lens needs of rows: norms, and the best words of rows of logits, without moving the rows off the device.

use candle_core::{D, DType, Result, Tensor};

#[cfg(feature = "cuda")]
use super::on_card;

/// Euclidean norms of a row of `a`, of the same row of `b`, and of their difference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RowNorms {
    pub own: f32,
    pub other: f32,
    pub apart: f32,
}

/// Norms that may still be on their way from the device.
pub(crate) enum Norms {
    Ready(Vec<RowNorms>),
    /// `[n, 3]`
    OnDevice(crate::tensor::Tensor),
}

impl Norms {
    /// Waits for them.
    pub fn get(self) -> Result<Vec<RowNorms>> {
        let rows = match self {
            Self::Ready(rows) => return Ok(rows),
            Self::OnDevice(rows) => rows.flatten_all()?.to_vec1::<f32>()?,
        };
        let unpack = |row: &[f32]| RowNorms {
            own: row[0],
            other: row[1],
            apart: row[2],
        };
        Ok(rows.chunks_exact(3).map(unpack).collect())
    }
}

/// One per row of `[n, d]` tensors. Without a `b` the two are the same.
pub(super) fn row_norms(a: &Tensor, b: Option<&Tensor>) -> Result<Norms> {
    #[cfg(feature = "cuda")]
    if super::is_cuda(a) {
        let b = b.map(Tensor::contiguous).transpose()?;
        let rows = on_card::apply1(&a.contiguous()?, |a| super::cuda::row_norms(a, b.as_ref()))?;
        return Ok(Norms::OnDevice(rows.into()));
    }
    let norm = |x: &Tensor| x.sqr()?.sum(D::Minus1)?.sqrt()?.to_vec1::<f32>();
    let a = a.to_dtype(DType::F32)?;
    let own = norm(&a)?;
    let (other, apart) = match b {
        Some(b) => {
            let b = b.to_dtype(DType::F32)?;
            (norm(&b)?, norm(&(&a - &b)?)?)
        }
        None => (own.clone(), vec![0.0; own.len()]),
    };
    let rows = own.iter().zip(other).zip(apart);
    let rows = rows.map(|((&own, other), apart)| RowNorms { own, other, apart });
    Ok(Norms::Ready(rows.collect()))
}

/// Rows of f32 logits `[n, vocab]` read where they are: `[n, 2 * kept + 2]` with `kept >= k` ids of words below `n_words`
/// (as bits, best first), their probabilities, log-sum-exp and entropy in nats. `None` where the device has no kernel.
pub(super) fn read_logits(logits: &Tensor, k: usize, n_words: usize) -> Result<Option<Tensor>> {
    #[cfg(feature = "cuda")]
    if super::is_cuda(logits) && n_words >= k {
        let Some(&kept) = super::cuda::TOP_K.iter().find(|kept| **kept >= k) else {
            return Ok(None);
        };
        let read = |logits: on_card::Part<'_>| super::cuda::read_logits(logits, kept, n_words);
        return on_card::apply1(&logits.contiguous()?, read).map(Some);
    }
    let _ = (logits, k, n_words);
    Ok(None)
}
