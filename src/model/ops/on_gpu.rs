//! The bodies of operations for cards that wgpu reaches: which kernel of `compute` each is. Shapes are those of `anywhere`.

use std::cell::RefCell;

use super::AttentionShape;
use crate::compute::{Gpu, Slice, batched, ops};
use crate::tensor::{OnCard, Result, Tensor};

pub(super) fn silu_mul(gate_up: &OnCard) -> Result<Tensor> {
    let (n, width) = rows(gate_up)?;
    let data = ops::silu_mul(&gate_up.gpu, &gate_up.slice()?, n, width / 2)?;
    made(gate_up, data, &[n, width / 2])
}

pub(super) fn softmax(scores: &OnCard) -> Result<Tensor> {
    let (n, width) = rows(scores)?;
    let data = ops::softmax(&scores.gpu, &scores.slice()?, n, width)?;
    made(scores, data, scores.layout.dims())
}

/// `x [n, in]` times the transpose of `weight [out, in]`.
pub(super) fn product(x: &OnCard, weight: &OnCard) -> Result<Tensor> {
    let ((n, _), (n_out, _)) = (rows(x)?, rows(weight)?);
    let one = |x: &OnCard| x.reshape([&[1], x.layout.dims()].concat().into());
    let (a, b) = (one(x)?, one(weight)?);
    let turned = b.layout.transpose(1, 2)?;
    let data = batched(&x.gpu, &a.strided(&a.layout), &b.strided(&turned))?;
    made(x, data, &[n, n_out])
}

pub(super) fn rms_norm(x: &OnCard, weight: &OnCard, eps: f64) -> Result<Tensor> {
    let (n, d) = rows(x)?;
    let data = ops::rms_norm(&x.gpu, &x.slice()?, n, d, &weight.slice()?, eps as f32)?;
    made(x, data, x.layout.dims())
}

pub(super) fn add_rms_norm(
    x: &OnCard,
    delta: &OnCard,
    weight: &OnCard,
    eps: f64,
) -> Result<(Tensor, Tensor)> {
    let (n, d) = rows(x)?;
    let (x_rows, delta) = (x.slice()?, delta.slice()?);
    let weight = weight.slice()?;
    let (sum, normed) = ops::add_rms_norm(&x.gpu, &x_rows, &delta, n, d, &weight, eps as f32)?;
    let dims = x.layout.dims();
    Ok((made(x, sum, dims)?, made(x, normed, dims)?))
}

pub(super) fn layer_norm(x: &OnCard, weight: &OnCard, bias: &OnCard, eps: f32) -> Result<Tensor> {
    let (n, d) = rows(x)?;
    let (weight, bias) = (weight.slice()?, bias.slice()?);
    let data = ops::layer_norm(&x.gpu, &x.slice()?, n, d, (&weight, &bias), eps)?;
    made(x, data, x.layout.dims())
}

/// Rotated where there are tables.
pub(super) fn split_heads(
    qkv: &OnCard,
    tables: Option<(&OnCard, &OnCard)>,
    s: &AttentionShape,
) -> Result<(Tensor, Tensor, Tensor)> {
    let tables = match tables {
        Some((cos, sin)) => Some((cos.slice()?, sin.slice()?)),
        None => None,
    };
    let tables = tables.as_ref().map(|(cos, sin)| (cos, sin));
    let data = ops::split_heads(
        &qkv.gpu,
        &qkv.slice()?,
        tables,
        s.batch,
        s.n,
        s.heads,
        s.kv_heads,
        s.d_head,
    )?;
    let (q, kv) = (s.batch * s.heads, s.batch * s.kv_heads);
    let part = |first: usize, heads: usize| {
        let n = s.n * s.d_head;
        made(
            qkv,
            data.slice(first * n, heads * n)?,
            &[heads, s.n, s.d_head],
        )
    };
    Ok((part(0, q)?, part(q, kv)?, part(q + kv, kv)?))
}

pub(super) fn merge_heads(z: &OnCard, s: &AttentionShape) -> Result<Tensor> {
    let data = ops::merge_heads(&z.gpu, &z.slice()?, s.batch, s.n, s.heads, s.d_head)?;
    made(z, data, &[s.batch * s.n, s.heads * s.d_head])
}

/// `blocked` is u8, `[head or 1, query, key]`, on the CPU.
pub(super) fn attention(
    q: &OnCard,
    (k, v): (&OnCard, &OnCard),
    blocked: Option<&Tensor>,
    shape: &AttentionShape,
    is_causal: bool,
) -> Result<Tensor> {
    let (k_heads, v_heads) = (in_heads(k)?, in_heads(v)?);
    let keys = ops::Keys {
        k: &k_heads.0,
        k_stride: k_heads.1,
        v: &v_heads.0,
        v_stride: v_heads.1,
    };
    let bits = packed(q, blocked)?;
    let shape = sizes(shape, k.layout.dims()[1], is_causal);
    let data = ops::attention(
        &q.gpu,
        &q.slice()?,
        &keys,
        as_blocked(bits.as_ref()),
        &shape,
    )?;
    made(
        q,
        data,
        &[shape.batch * shape.n, shape.heads * shape.d_head],
    )
}

/// Scaled, with −∞ where nothing is to be seen; k has all heads.
pub(super) fn masked_scores(
    q: &OnCard,
    k: &OnCard,
    blocked: Option<&Tensor>,
    shape: &AttentionShape,
) -> Result<Tensor> {
    let (keys, stride) = in_heads(k)?;
    let bits = packed(q, blocked)?;
    let shape = AttentionShape {
        kv_heads: shape.heads,
        ..*shape
    };
    let shape = sizes(&shape, k.layout.dims()[1], true);
    let blocked = as_blocked(bits.as_ref());
    let data = ops::masked_scores(&q.gpu, &q.slice()?, &keys, stride, blocked, &shape)?;
    made(q, data, &[shape.batch * shape.heads, shape.n, shape.n_keys])
}

fn sizes(s: &AttentionShape, n_keys: usize, causal: bool) -> ops::AttentionShape {
    ops::AttentionShape {
        batch: s.batch,
        n: s.n,
        heads: s.heads,
        kv_heads: s.kv_heads,
        d_head: s.d_head,
        n_keys,
        first_pos: s.first_pos,
        causal,
    }
}

/// Keys or values as they lie in their room, and the words from one head to the next.
fn in_heads(x: &OnCard) -> Result<(Slice, usize)> {
    match x.heads()? {
        Some(heads) => Ok(heads),
        None => Ok((x.slice()?, x.layout.dims()[1..].iter().product())),
    }
}

/// A mask with a bit for each key, and its heads.
fn packed(q: &OnCard, blocked: Option<&Tensor>) -> Result<Option<(Slice, usize)>> {
    let Some(blocked) = blocked else {
        return Ok(None);
    };
    let (heads, _, n_keys) = blocked.dims3()?;
    let blocked = blocked.candle()?;
    let made = LAST_MASK.with_borrow(|last| match last {
        Some(last) if last.of == blocked.id() && last.gpu.is(&q.gpu) => Some(last.bits.clone()),
        _ => None,
    });
    if let Some(bits) = made {
        return Ok(Some((bits, heads)));
    }
    let bytes = blocked.flatten_all()?.to_vec1::<u8>()?;
    let bits = q.gpu.upload(&ops::pack_bits(&bytes, n_keys))?;
    let last = LastMask {
        of: blocked.id(),
        gpu: q.gpu.clone(),
        bits: bits.clone(),
    };
    LAST_MASK.set(Some(last));
    Ok(Some((bits, heads)))
}

/// Most blocks of a pass have the same mask: it is packed and copied to the card once.
struct LastMask {
    of: candle_core::TensorId,
    gpu: Gpu,
    bits: Slice,
}

thread_local! {
    static LAST_MASK: RefCell<Option<LastMask>> = const { RefCell::new(None) };
}

fn as_blocked(bits: Option<&(Slice, usize)>) -> Option<ops::Blocked<'_>> {
    bits.map(|(bits, heads)| ops::Blocked {
        bits,
        heads: *heads,
    })
}

/// `[n, 3]`: norms of a row, of the other's, and of the difference.
pub(super) fn row_norms(a: &OnCard, b: Option<&OnCard>) -> Result<Tensor> {
    let (n, d) = rows(a)?;
    let b = b.map(OnCard::slice).transpose()?;
    let data = ops::row_norms(&a.gpu, &a.slice()?, b.as_ref(), n, d)?;
    made(a, data, &[n, 3])
}

/// `[n, 2 * kept + 2]`
pub(super) fn read_logits(logits: &OnCard, k: usize, n_words: usize) -> Result<Tensor> {
    let (n, vocab) = rows(logits)?;
    let data = ops::read_logits(&logits.gpu, &logits.slice()?, n, vocab, n_words, k)?;
    let width = data.len() / n.max(1);
    made(logits, data, &[n, width])
}

/// All dimensions but the last, and the last.
fn rows(x: &OnCard) -> Result<(usize, usize)> {
    match x.layout.dims().split_last() {
        Some((width, before)) => Ok((before.iter().product(), *width)),
        None => candle_core::bail!("rows are needed, not a single number"),
    }
}

fn made(beside: &OnCard, data: Slice, dims: &[usize]) -> Result<Tensor> {
    Ok(OnCard::new(&beside.gpu, data, dims).into())
}
