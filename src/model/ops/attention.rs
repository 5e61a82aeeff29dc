//! Scaled dot-product attention, causal or not, with blocked pairs. The fused body never holds all scores at once.

use candle_core::{CpuStorage, CustomOp3, DType, Device, Layout, Result, Shape, Storage, Tensor};
use rayon::prelude::*;

use super::heads::{merge_heads, repeat_heads};
use super::{AttentionShape, contiguous, exp, is_cpu_f32, with_vectors};

/// softmax(q kᵀ / √d_head) v, causal, where pairs with 1 in `blocked` (`[head or 1, query, key]`, u8) get weight 0.
///
/// q `[batch * head, n, d_head]`, k and v `[batch * kv_head, keys, d_head]`; gives `[batch * n, heads * d_head]`.
pub(super) fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    blocked: Option<&Tensor>,
    shape: &AttentionShape,
) -> Result<Tensor> {
    if is_cpu_f32(q) {
        return fused(q, k, v, blocked, shape, true);
    }
    #[cfg(feature = "cuda")]
    if super::is_cuda(q) {
        return with_masked_softmax(q, k, v, blocked, shape, true);
    }
    by_steps(q, k, v, blocked, shape)
}

/// The same without a mask: every query attends to every key.
pub(super) fn full_attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    shape: &AttentionShape,
) -> Result<Tensor> {
    if is_cpu_f32(q) {
        return fused(q, k, v, None, shape, false);
    }
    #[cfg(feature = "cuda")]
    if super::is_cuda(q) {
        return with_masked_softmax(q, k, v, None, shape, false);
    }
    let scores = (q.matmul(&k.t()?)? * f64::from(shape.scale()))?;
    merge_heads(&softmax(&scores)?.matmul(v)?, shape)
}

/// The slow twin of [`attention`].
fn by_steps(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    blocked: Option<&Tensor>,
    shape: &AttentionShape,
) -> Result<Tensor> {
    let scores = masked_scores(q, &repeat_heads(k, shape)?, blocked, shape)?;
    let z = softmax(&scores)?.matmul(&repeat_heads(v, shape)?)?;
    merge_heads(&z, shape)
}

/// Scaled scores with −∞ after each query and where blocked, `[batch * head, query, key]`; k has all heads.
pub(super) fn masked_scores(
    q: &Tensor,
    k: &Tensor,
    blocked: Option<&Tensor>,
    shape: &AttentionShape,
) -> Result<Tensor> {
    let scores = (q.matmul(&k.t()?)? * f64::from(shape.scale()))?;
    let (_, n, n_keys) = scores.dims3()?;
    let later = later_keys(shape.first_pos, n, n_keys, scores.device())?;
    let blocked = match blocked {
        Some(blocked) => blocked.broadcast_maximum(&later.unsqueeze(0)?)?,
        None => later.unsqueeze(0)?,
    };
    let blocked = match blocked.dim(0)? {
        1 => blocked,
        _ => blocked.repeat((shape.batch, 1, 1))?,
    };
    let minus_infinity =
        Tensor::new(f32::NEG_INFINITY, scores.device())?.to_dtype(scores.dtype())?;
    let minus_infinity = minus_infinity.broadcast_as(scores.shape())?;
    let blocked = blocked.broadcast_as(scores.shape())?.contiguous()?;
    blocked.where_cond(&minus_infinity, &scores)
}

/// Softmax over the last dimension, in f32, given back in the type of the scores.
pub(super) fn softmax(scores: &Tensor) -> Result<Tensor> {
    candle_nn::ops::softmax_last_dim(&scores.to_dtype(DType::F32)?.contiguous()?)?
        .to_dtype(scores.dtype())
}

/// 1 where a key comes after the query, `[query, key]`.
fn later_keys(first_pos: usize, n: usize, n_keys: usize, device: &Device) -> Result<Tensor> {
    let values: Vec<u8> = (first_pos..first_pos + n)
        .flat_map(|query| (0..n_keys).map(move |key| u8::from(key > query)))
        .collect();
    Tensor::from_vec(values, (n, n_keys), device)
}

fn fused(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    blocked: Option<&Tensor>,
    shape: &AttentionShape,
    is_causal: bool,
) -> Result<Tensor> {
    let op = Fused {
        shape: *shape,
        is_causal,
        blocked: blocked.map(Tensor::contiguous).transpose()?,
    };
    let z = q
        .contiguous()?
        .apply_op3_no_bwd(&k.contiguous()?, &v.contiguous()?, &op)?;
    merge_heads(&z, shape)
}

/// On CUDA: scores, one kernel that scales, masks and normalises them in place, and the sum of values.
#[cfg(feature = "cuda")]
fn with_masked_softmax(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    blocked: Option<&Tensor>,
    shape: &AttentionShape,
    is_causal: bool,
) -> Result<Tensor> {
    let scores = q.matmul(&repeat_heads(k, shape)?.t()?)?;
    let blocked = blocked.map(Tensor::contiguous).transpose()?;
    super::on_card::in_place(&scores, |scores| {
        super::cuda::masked_softmax(scores, blocked.as_ref(), shape, is_causal)
    })?;
    merge_heads(&scores.matmul(&repeat_heads(v, shape)?)?, shape)
}

/// Queries that one task computes.
const BLOCK: usize = 64;

/// One task per head and block of queries; keys after the block are never touched.
struct Fused {
    shape: AttentionShape,
    is_causal: bool,
    blocked: Option<Tensor>,
}

impl CustomOp3 for Fused {
    fn name(&self) -> &'static str {
        "fused-attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        k: &CpuStorage,
        k_layout: &Layout,
        v: &CpuStorage,
        v_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (n_heads, n, d) = q_layout.shape().dims3()?;
        let n_keys = k_layout.shape().dims3()?.1;
        let blocked = self.blocked.as_ref().map(Tensor::storage_and_layout);
        let blocked = match &blocked {
            Some((storage, layout)) => match &**storage {
                Storage::Cpu(storage) => Some(&storage.as_slice::<u8>()?[contiguous(layout)?]),
                _ => candle_core::bail!("the mask must be on the CPU"),
            },
            None => None,
        };
        let rows = Rows {
            q: &q.as_slice::<f32>()?[contiguous(q_layout)?],
            k: &k.as_slice::<f32>()?[contiguous(k_layout)?],
            v: &v.as_slice::<f32>()?[contiguous(v_layout)?],
            blocked,
            n_blocked_heads: self.blocked.as_ref().map_or(0, |mask| mask.dims()[0]),
            n,
            n_keys,
            d,
            op: self,
        };
        let mut out = vec![0f32; n_heads * n * d];
        out.par_chunks_mut(n * d)
            .enumerate()
            .flat_map(|(head, out)| {
                let blocks = out.par_chunks_mut(BLOCK * d).enumerate();
                blocks.map(move |(i, out)| (head, i * BLOCK, out))
            })
            .for_each_init(Vec::new, |scores, (head, first, out)| {
                rows.attend(head, first, scores, out)
            });
        Ok((CpuStorage::F32(out), (n_heads, n, d).into()))
    }
}

struct Rows<'a> {
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    blocked: Option<&'a [u8]>,
    n_blocked_heads: usize,
    n: usize,
    n_keys: usize,
    d: usize,
    op: &'a Fused,
}

impl Rows<'_> {
    /// The queries of `head` from row `first` on, as many as `out` has room for, `[rows, d]`.
    fn attend(&self, head: usize, first: usize, scores: &mut Vec<f32>, out: &mut [f32]) {
        let (d, shape) = (self.d, &self.op.shape);
        let n_rows = out.len() / d;
        let seen = match self.op.is_causal {
            true => (shape.first_pos + first + n_rows).min(self.n_keys),
            false => self.n_keys,
        };
        scores.resize(n_rows * seen, 0.0);
        let queries = &self.q[(head * self.n + first) * d..][..n_rows * d];
        let kv_head = head / (shape.heads / shape.kv_heads);
        let keys = &self.k[kv_head * self.n_keys * d..][..seen * d];
        let values = &self.v[kv_head * self.n_keys * d..][..seen * d];
        product(scores, queries, keys, (n_rows, d, seen), true);
        for (row, scores) in scores.chunks_exact_mut(seen).enumerate() {
            let row = first + row;
            let n_seen = match self.op.is_causal {
                true => (shape.first_pos + row + 1).min(seen),
                false => seen,
            };
            let blocked = self.blocked.map(|mask| {
                let head = head % self.n_blocked_heads;
                &mask[(head * self.n + row) * self.n_keys..][..n_seen]
            });
            let (scores, later) = scores.split_at_mut(n_seen);
            with_vectors(
                #[inline(always)]
                || softmax_row(scores, shape.scale(), blocked),
            );
            later.fill(0.0);
        }
        product(out, scores, values, (n_rows, seen, d), false);
    }
}

/// Sums and maxima run in lanes, so that the loops become vector code.
const LANES: usize = 16;

#[inline(always)]
fn softmax_row(row: &mut [f32], scale: f32, blocked: Option<&[u8]>) {
    row.iter_mut().for_each(|x| *x *= scale);
    if let Some(blocked) = blocked {
        for (x, blocked) in row.iter_mut().zip(blocked) {
            if *blocked != 0 {
                *x = f32::NEG_INFINITY;
            }
        }
    }
    let mut maxima = [f32::NEG_INFINITY; LANES];
    for chunk in row.chunks(LANES) {
        for (max, x) in maxima.iter_mut().zip(chunk) {
            *max = if *x > *max { *x } else { *max };
        }
    }
    let max = maxima.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sums = [0f32; LANES];
    for chunk in row.chunks_mut(LANES) {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *x = exp(*x - max);
            *sum += *x;
        }
    }
    let inverse = 1.0 / sums.iter().sum::<f32>();
    row.iter_mut().for_each(|x| *x *= inverse);
}

/// `out [m, n] = a [m, k] b`, where b is `[n, k]` if `is_transposed`, else `[k, n]`; on the calling thread.
pub(super) fn product(
    out: &mut [f32],
    a: &[f32],
    b: &[f32],
    (m, k, n): (usize, usize, usize),
    is_transposed: bool,
) {
    assert!(out.len() >= m * n && a.len() >= m * k && b.len() >= k * n);
    let (b_column, b_row) = match is_transposed {
        true => (k as isize, 1),
        false => (1, n as isize),
    };
    #[allow(unsafe_code, reason = "the gemm crate takes pointers and strides")]
    // SAFETY: the strides stay inside the three slices, whose lengths were checked above; `out` is borrowed mutably.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            false,
            a.as_ptr(),
            1,
            k as isize,
            b.as_ptr(),
            b_column,
            b_row,
            0f32,
            1f32,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{random, worst};
    use super::*;

    fn shape(batch: usize, n: usize, heads: (usize, usize), first_pos: usize) -> AttentionShape {
        AttentionShape {
            batch,
            n,
            heads: heads.0,
            kv_heads: heads.1,
            d_head: 16,
            first_pos,
        }
    }

    fn inputs(s: &AttentionShape) -> (Tensor, Tensor, Tensor) {
        let n_keys = s.first_pos + s.n;
        (
            random(&[s.batch * s.heads, s.n, s.d_head], 2.0),
            random(&[s.batch * s.kv_heads, n_keys, s.d_head], 2.0),
            random(&[s.batch * s.kv_heads, n_keys, s.d_head], 1.0),
        )
    }

    /// Ones at about a third of the pairs, never at a query's own key.
    fn random_mask(n_heads: usize, s: &AttentionShape) -> Tensor {
        let n_keys = s.first_pos + s.n;
        let dice = random(&[n_heads * s.n * n_keys], 1.0)
            .to_vec1::<f32>()
            .unwrap();
        let value = |(i, dice): (usize, &f32)| {
            let (query, key) = (i / n_keys % s.n, i % n_keys);
            u8::from(*dice > 0.4 && key != s.first_pos + query)
        };
        let values: Vec<u8> = dice.iter().enumerate().map(value).collect();
        Tensor::from_vec(values, (n_heads, s.n, n_keys), &Device::Cpu).unwrap()
    }

    #[test]
    fn fused_attention_agrees_with_its_slow_twin() {
        for s in [
            shape(1, 1, (4, 4), 0),
            shape(1, 1, (4, 2), 70),
            shape(1, 150, (2, 1), 0),
            shape(1, 65, (2, 2), 33),
            shape(3, 9, (4, 2), 20),
        ] {
            let (q, k, v) = inputs(&s);
            for mask in [None, Some(1), Some(s.heads)] {
                let mask = mask.map(|heads| random_mask(heads, &s));
                let fast = attention(&q, &k, &v, mask.as_ref(), &s).unwrap();
                let slow = by_steps(&q, &k, &v, mask.as_ref(), &s).unwrap();
                assert!(worst(&fast, &slow) < 2e-6, "{s:?}");
                if mask.is_some() && s.first_pos > 0 {
                    let wrong = by_steps(&q, &k, &v, None, &s).unwrap();
                    assert!(worst(&fast, &wrong) > 1e-3, "a lost mask must show");
                }
            }
        }
    }

    #[test]
    fn a_causal_mask_one_key_too_wide_shows() {
        let s = shape(1, 40, (2, 2), 0);
        let (q, k, v) = inputs(&s);
        let fast = attention(&q, &k, &v, None, &s).unwrap();
        let late = AttentionShape { first_pos: 1, ..s };
        assert!(worst(&fast, &by_steps(&q, &k, &v, None, &late).unwrap()) > 1e-3);
    }

    #[test]
    fn full_attention_agrees_with_its_slow_twin() {
        let s = shape(1, 77, (3, 3), 0);
        let (q, k, v) = inputs(&s);
        let fast = full_attention(&q, &k, &v, &s).unwrap();
        let scores = (q.matmul(&k.t().unwrap()).unwrap() * f64::from(s.scale())).unwrap();
        let slow = merge_heads(&softmax(&scores).unwrap().matmul(&v).unwrap(), &s).unwrap();
        assert!(worst(&fast, &slow) < 2e-6);
        assert!(worst(&fast, &attention(&q, &k, &v, None, &s).unwrap()) > 1e-3);
    }
}
