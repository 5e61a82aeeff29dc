//! Between rows and heads: splitting, rotating, repeating and merging. No scores here.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

#[cfg(feature = "cuda")]
use super::on_card::{self, Part};
use super::{AttentionShape, contiguous, has_body};

/// Splits `[batch * n, (heads + 2 * kv_heads) * d_head]` into q `[batch * head, n, d_head]`, k and v
/// `[batch * kv_head, n, d_head]`, q and k rotated. `cos` and `sin` are f32, `[n, d_head / 2]`.
pub(super) fn split_rotated_heads(
    qkv: &Tensor,
    cos: &Tensor,
    sin: &Tensor,
    shape: &AttentionShape,
) -> Result<(Tensor, Tensor, Tensor)> {
    if !has_body(qkv) {
        let (q, k, v) = split_heads(qkv, shape)?;
        return Ok((rotate(&q, cos, sin)?, rotate(&k, cos, sin)?, v));
    }
    let heads = qkv.apply_op3_no_bwd(cos, sin, &SplitRotatedHeads(*shape))?;
    parts(&heads, shape)
}

fn parts(heads: &Tensor, shape: &AttentionShape) -> Result<(Tensor, Tensor, Tensor)> {
    let (q, kv) = (shape.batch * shape.heads, shape.batch * shape.kv_heads);
    Ok((
        heads.narrow(0, 0, q)?,
        heads.narrow(0, q, kv)?,
        heads.narrow(0, q + kv, kv)?,
    ))
}

/// The same split, nothing rotated.
pub(super) fn split_heads(
    qkv: &Tensor,
    shape: &AttentionShape,
) -> Result<(Tensor, Tensor, Tensor)> {
    #[cfg(feature = "cuda")]
    if super::is_cuda(qkv) && shape.d_head % 2 == 0 {
        let split = |qkv: Part<'_>| super::cuda::split_heads(qkv, None, shape);
        return parts(&on_card::apply1(qkv, split)?, shape);
    }
    let part = |first: usize, heads: usize| {
        qkv.narrow(1, first * shape.d_head, heads * shape.d_head)?
            .reshape((shape.batch, shape.n, heads, shape.d_head))?
            .transpose(1, 2)?
            .reshape((shape.batch * heads, shape.n, shape.d_head))
    };
    Ok((
        part(0, shape.heads)?,
        part(shape.heads, shape.kv_heads)?,
        part(shape.heads + shape.kv_heads, shape.kv_heads)?,
    ))
}

/// Rotary embedding of `[head, n, d_head]`; `cos` and `sin` are f32, `[n, d_head / 2]`.
pub(super) fn rotate(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
    let x = x.contiguous()?.unsqueeze(0)?; // [1, head, n, d_head]
    let (cos, sin) = (cos.to_dtype(x.dtype())?, sin.to_dtype(x.dtype())?);
    candle_nn::rotary_emb::rope(&x, &cos.contiguous()?, &sin.contiguous()?)?.squeeze(0)
}

/// Grouped-query attention: each key/value head serves query heads that follow each other.
/// `[batch * kv_head, keys, d_head] -> [batch * head, keys, d_head]`
pub(super) fn repeat_heads(x: &Tensor, shape: &AttentionShape) -> Result<Tensor> {
    let groups = shape.heads / shape.kv_heads;
    if groups == 1 {
        return Ok(x.clone());
    }
    candle_transformers::utils::repeat_kv(x.unsqueeze(0)?, groups)?.squeeze(0)
}

/// `[batch * head, n, d_head] -> [batch * n, heads * d_head]`
pub(super) fn merge_heads(z: &Tensor, shape: &AttentionShape) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if super::is_cuda(z) {
        return on_card::apply1(&z.contiguous()?, |z| super::cuda::merge_heads(z, shape));
    }
    z.reshape((shape.batch, shape.heads, shape.n, shape.d_head))?
        .transpose(1, 2)?
        .reshape((shape.batch * shape.n, shape.heads * shape.d_head))
}

/// The positions of `old`, which may be a view of more, and then those of `added`: `[head, n, d_head]` each.
pub(super) fn append_positions(old: &Tensor, added: &Tensor) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if super::is_cuda(old) {
        return on_card::apply2(old, &added.contiguous()?, super::cuda::append_positions);
    }
    Tensor::cat(&[&old.contiguous()?, &added.contiguous()?], 1)
}

/// Writes the first `n_old` positions of `old` (none where they are there already) and then those of `added`
/// `[head, n, d_head]` into `room` `[head, at least as many, d_head]`.
pub(super) fn write_positions(
    room: &Tensor,
    old: Option<&Tensor>,
    added: &Tensor,
    n_old: usize,
) -> Result<()> {
    let added = added.contiguous()?;
    #[cfg(feature = "cuda")]
    if super::is_cuda(room) {
        use super::cuda::write_positions as write;
        return match old {
            Some(old) => on_card::in_place3(room, old, &added, |room, old, added| {
                write(room, Some(old), added, n_old)
            }),
            None => on_card::in_place2(room, &added, |room, added| write(room, None, added, n_old)),
        };
    }
    if let Some(old) = old {
        room.slice_set(&old.narrow(1, 0, n_old)?.contiguous()?, 1, 0)?;
    }
    room.slice_set(&added, 1, n_old)
}

struct SplitRotatedHeads(AttentionShape);

impl CustomOp3 for SplitRotatedHeads {
    fn name(&self) -> &'static str {
        "split-rotated-heads"
    }

    fn cpu_fwd(
        &self,
        qkv: &CpuStorage,
        qkv_layout: &Layout,
        cos: &CpuStorage,
        cos_layout: &Layout,
        sin: &CpuStorage,
        sin_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let qkv = &qkv.as_slice::<f32>()?[contiguous(qkv_layout)?];
        let cos = &cos.as_slice::<f32>()?[contiguous(cos_layout)?];
        let sin = &sin.as_slice::<f32>()?[contiguous(sin_layout)?];
        let s = &self.0;
        let n_heads = s.heads + 2 * s.kv_heads;
        let mut out = vec![0f32; s.batch * n_heads * s.n * s.d_head];
        let rows = out.par_chunks_mut(s.n * s.d_head).enumerate();
        rows.for_each(|(i, out)| {
            let (sequence, head, is_rotated) = head_of(i, s);
            for (row, out) in out.chunks_exact_mut(s.d_head).enumerate() {
                let at = ((sequence * s.n + row) * n_heads + head) * s.d_head;
                let x = &qkv[at..at + s.d_head];
                if is_rotated {
                    let half = s.d_head / 2;
                    let table = row * half..(row + 1) * half;
                    rotate_row(x, &cos[table.clone()], &sin[table], out);
                } else {
                    out.copy_from_slice(x);
                }
            }
        });
        Ok((
            CpuStorage::F32(out),
            (s.batch * n_heads, s.n, s.d_head).into(),
        ))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        qkv: &CudaStorage,
        qkv_layout: &Layout,
        cos: &CudaStorage,
        cos_layout: &Layout,
        sin: &CudaStorage,
        sin_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let tables = super::cuda::tables((cos, cos_layout), (sin, sin_layout))?;
        super::cuda::split_heads((qkv, qkv_layout), Some(tables), &self.0)
    }
}

/// Of the `i`-th head of the result: its sequence, its place among the heads of a row, and whether it is rotated.
fn head_of(i: usize, s: &AttentionShape) -> (usize, usize, bool) {
    let (q, kv) = (s.batch * s.heads, s.batch * s.kv_heads);
    if i < q {
        (i / s.heads, i % s.heads, true)
    } else {
        let part = (i - q) / kv;
        let i = (i - q) % kv;
        let head = s.heads + part * s.kv_heads + i % s.kv_heads;
        (i / s.kv_heads, head, part == 0)
    }
}

fn rotate_row(x: &[f32], cos: &[f32], sin: &[f32], out: &mut [f32]) {
    let (first, second) = x.split_at(cos.len());
    let (out_first, out_second) = out.split_at_mut(cos.len());
    for i in 0..cos.len() {
        out_first[i] = first[i] * cos[i] - second[i] * sin[i];
        out_second[i] = first[i] * sin[i] + second[i] * cos[i];
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{random, worst};
    use super::*;

    #[test]
    fn splitting_agrees_with_its_slow_twin() {
        for (batch, n, heads, kv_heads) in [(1, 7, 4, 4), (1, 1, 6, 2), (3, 5, 4, 1)] {
            let shape = AttentionShape {
                batch,
                n,
                heads,
                kv_heads,
                d_head: 8,
                first_pos: 0,
            };
            let qkv = random(&[batch * n, (heads + 2 * kv_heads) * 8], 1.0);
            let (cos, sin) = (random(&[n, 4], 1.0), random(&[n, 4], 1.0));
            let (q, k, v) = split_rotated_heads(&qkv, &cos, &sin, &shape).unwrap();
            let (slow_q, slow_k, slow_v) = split_heads(&qkv, &shape).unwrap();
            assert!(worst(&v, &slow_v) == 0.0);
            assert!(
                worst(&q, &slow_q) > 1e-2,
                "without the rotation it must differ"
            );
            assert!(worst(&q, &rotate(&slow_q, &cos, &sin).unwrap()) < 1e-6);
            assert!(worst(&k, &rotate(&slow_k, &cos, &sin).unwrap()) < 1e-6);
        }
    }
}
