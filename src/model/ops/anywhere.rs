//! Every operation of the model by where its tensors lie: a body for candle's devices is in the other files of this folder.

use super::attention as attending;
use super::product as products;
use super::{AttentionShape, Norms, activation, back, heads, norm, on_gpu, rows};
use crate::compute::ops::{MOST_KEPT, Unary};
use crate::tensor::{Device, Result, Tensor};

/// silu(gate) * up of rows that hold both side by side. `[n, 2 * d] -> [n, d]`
pub(in crate::model) fn silu_mul(gate_up: &Tensor) -> Result<Tensor> {
    match gate_up.card() {
        Some(gate_up) => on_gpu::silu_mul(gate_up),
        None => gate_up.by(activation::silu_mul),
    }
}

/// x * sigmoid(1.702 x), any shape.
pub(in crate::model) fn quick_gelu(x: &Tensor) -> Result<Tensor> {
    match x.card() {
        Some(x) => Ok(x.unary(Unary::QuickGelu)?.into()),
        None => x.by(activation::quick_gelu),
    }
}

/// Softmax over the last dimension, in f32, given back in the type of the scores.
pub(in crate::model) fn softmax(scores: &Tensor) -> Result<Tensor> {
    match scores.card() {
        Some(scores) => on_gpu::softmax(scores),
        None => scores.by(attending::softmax),
    }
}

/// `x [n, in]` times the transpose of `weight [out, in]`: `[n, out]`.
pub(in crate::model) fn product(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    match x.beside_on_card(weight)? {
        Some((x, weight)) => on_gpu::product(&x, &weight),
        None => x.with(weight, products::product),
    }
}

/// The same with an f32 result.
pub(in crate::model) fn product_f32(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    match x.beside_on_card(weight)? {
        Some((x, weight)) => on_gpu::product(&x, &weight),
        None => x.with(weight, products::product_f32),
    }
}

/// `x + y`, y repeated along the first dimensions of x.
pub(in crate::model) fn add(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    match x.beside_on_card(y)? {
        Some(_) => x.broadcast_add(y),
        None => x.with(y, products::add),
    }
}

/// `[n, d]`, weight `[d]`.
pub(in crate::model) fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    match x.beside_on_card(weight)? {
        Some((x, weight)) => on_gpu::rms_norm(&x, &weight, eps),
        None => x.with(weight, |x, weight| norm::rms_norm(x, weight, eps)),
    }
}

/// `x + delta` and its RMSNorm. `[n, d]` each.
pub(in crate::model) fn add_rms_norm(
    x: &Tensor,
    delta: &Tensor,
    weight: &Tensor,
    eps: f64,
) -> Result<(Tensor, Tensor)> {
    if let Some((x, delta)) = x.beside_on_card(delta)? {
        return on_gpu::add_rms_norm(&x, &delta, &weight.on(&x.gpu)?, eps);
    }
    let (sum, normed) = norm::add_rms_norm(&x.candle()?, &delta.candle()?, &weight.candle()?, eps)?;
    Ok((x.beside(sum)?, x.beside(normed)?))
}

/// `[n, d]`, weight and bias `[d]`.
pub(in crate::model) fn layer_norm(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    eps: f32,
) -> Result<Tensor> {
    if let Some(x) = x.card() {
        return on_gpu::layer_norm(x, &weight.on(&x.gpu)?, &bias.on(&x.gpu)?, eps);
    }
    let (weight, bias) = (weight.candle()?, bias.candle()?);
    x.by(|x| candle_nn::ops::layer_norm(&x.contiguous()?, &weight, &bias, eps))
}

/// See [`heads::split_rotated_heads`].
pub(in crate::model) fn split_rotated_heads(
    qkv: &Tensor,
    cos: &Tensor,
    sin: &Tensor,
    shape: &AttentionShape,
) -> Result<(Tensor, Tensor, Tensor)> {
    if let Some(qkv) = qkv.card() {
        let tables = (cos.on(&qkv.gpu)?, sin.on(&qkv.gpu)?);
        return on_gpu::split_heads(qkv, Some((&tables.0, &tables.1)), shape);
    }
    let (cos, sin) = (cos.candle()?, sin.candle()?);
    three(
        qkv,
        heads::split_rotated_heads(&qkv.candle()?, &cos, &sin, shape)?,
    )
}

/// The same split, nothing rotated.
pub(in crate::model) fn split_heads(
    qkv: &Tensor,
    shape: &AttentionShape,
) -> Result<(Tensor, Tensor, Tensor)> {
    if let Some(qkv) = qkv.card() {
        return on_gpu::split_heads(qkv, None, shape);
    }
    three(qkv, heads::split_heads(&qkv.candle()?, shape)?)
}

type Candle = candle_core::Tensor;

fn three(beside: &Tensor, (q, k, v): (Candle, Candle, Candle)) -> Result<(Tensor, Tensor, Tensor)> {
    Ok((beside.beside(q)?, beside.beside(k)?, beside.beside(v)?))
}

/// Rotary embedding of `[head, n, d_head]`; `cos` and `sin` are f32, `[n, d_head / 2]`.
pub(in crate::model) fn rotate(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
    let (cos, sin) = (cos.candle()?, sin.candle()?);
    x.by(|x| heads::rotate(x, &cos, &sin))
}

/// `[batch * kv_head, keys, d_head] -> [batch * head, keys, d_head]`
pub(in crate::model) fn repeat_heads(x: &Tensor, shape: &AttentionShape) -> Result<Tensor> {
    match x.card() {
        Some(_) if shape.heads == shape.kv_heads => Ok(x.clone()),
        Some(_) => {
            let group = shape.heads / shape.kv_heads;
            let heads = (0..x.dim(0)? * group).map(|head| (head / group) as u32);
            let heads: Vec<_> = heads.collect();
            x.contiguous()?
                .index_select(&Tensor::new(heads, &Device::Cpu)?, 0)
        }
        None => x.by(|x| heads::repeat_heads(x, shape)),
    }
}

/// `[batch * head, n, d_head] -> [batch * n, heads * d_head]`
pub(in crate::model) fn merge_heads(z: &Tensor, shape: &AttentionShape) -> Result<Tensor> {
    match z.card() {
        Some(z) => on_gpu::merge_heads(z, shape),
        None => z.by(|z| heads::merge_heads(z, shape)),
    }
}

/// The positions of `old`, which may be a view of more, and then those of `added`: `[head, n, d_head]` each.
pub(in crate::model) fn append_positions(old: &Tensor, added: &Tensor) -> Result<Tensor> {
    match old.card() {
        Some(_) => Tensor::cat(&[old, added], 1),
        None => old.with(added, heads::append_positions),
    }
}

/// See [`heads::write_positions`].
pub(in crate::model) fn write_positions(
    room: &Tensor,
    old: Option<&Tensor>,
    added: &Tensor,
    n_old: usize,
) -> Result<()> {
    if room.card().is_some() {
        if let Some(old) = old {
            room.slice_set(&old.narrow(1, 0, n_old)?, 1, 0)?;
        }
        return room.slice_set(added, 1, n_old);
    }
    let old = old.map(Tensor::candle).transpose()?;
    heads::write_positions(&room.candle()?, old.as_ref(), &added.candle()?, n_old)
}

/// See [`attending::attention`].
pub(in crate::model) fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    blocked: Option<&Tensor>,
    shape: &AttentionShape,
) -> Result<Tensor> {
    if let Some(q) = q.card() {
        let (k, v) = (k.on(&q.gpu)?, v.on(&q.gpu)?);
        return on_gpu::attention(q, (&k, &v), blocked, shape, true);
    }
    let blocked = blocked.map(Tensor::candle).transpose()?;
    let (k, v) = (k.candle()?, v.candle()?);
    q.by(|q| attending::attention(q, &k, &v, blocked.as_ref(), shape))
}

/// The same without a mask: every query attends to every key.
pub(in crate::model) fn full_attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    shape: &AttentionShape,
) -> Result<Tensor> {
    if let Some(q) = q.card() {
        let (k, v) = (k.on(&q.gpu)?, v.on(&q.gpu)?);
        return on_gpu::attention(q, (&k, &v), None, shape, false);
    }
    let (k, v) = (k.candle()?, v.candle()?);
    q.by(|q| attending::full_attention(q, &k, &v, shape))
}

/// Scaled scores with −∞ after each query and where blocked, `[batch * head, query, key]`; k has all heads.
pub(in crate::model) fn masked_scores(
    q: &Tensor,
    k: &Tensor,
    blocked: Option<&Tensor>,
    shape: &AttentionShape,
) -> Result<Tensor> {
    if let Some(q) = q.card() {
        return on_gpu::masked_scores(q, &k.on(&q.gpu)?, blocked, shape);
    }
    let (k, blocked) = (k.candle()?, blocked.map(Tensor::candle).transpose()?);
    q.by(|q| attending::masked_scores(q, &k, blocked.as_ref(), shape))
}

/// See [`back::rms_norm_back`].
pub(in crate::model) fn rms_norm_back(
    x: &Tensor,
    weight: &Tensor,
    eps: f64,
    dy: &Tensor,
) -> Result<Tensor> {
    let (weight, dy) = (weight.candle()?, dy.candle()?);
    x.by(|x| back::rms_norm_back(x, &weight, eps, &dy))
}

/// See [`back::silu_mul_back`].
pub(in crate::model) fn silu_mul_back(gate_up: &Tensor, dy: &Tensor) -> Result<Tensor> {
    gate_up.with(dy, back::silu_mul_back)
}

/// Of a softmax over the last dimension that gave `p`.
pub(in crate::model) fn softmax_back(p: &Tensor, dp: &Tensor) -> Result<Tensor> {
    p.with(dp, back::softmax_back)
}

/// `[heads, n, d_head] -> [kv_heads, n, d_head]`
pub(in crate::model) fn sum_of_groups(dx: &Tensor, shape: &AttentionShape) -> Result<Tensor> {
    dx.by(|dx| back::sum_of_groups(dx, shape))
}

/// One per row of `[n, d]` tensors. Without a `b` the two are the same.
pub(crate) fn row_norms(a: &Tensor, b: Option<&Tensor>) -> Result<Norms> {
    if let Some(a) = a.card() {
        let b = b.map(|b| b.on(&a.gpu)).transpose()?;
        return Ok(Norms::OnDevice(on_gpu::row_norms(a, b.as_ref())?));
    }
    let b = b.map(Tensor::candle).transpose()?;
    rows::row_norms(&a.candle()?, b.as_ref())
}

/// See [`rows::read_logits`].
pub(crate) fn read_logits(logits: &Tensor, k: usize, n_words: usize) -> Result<Option<Tensor>> {
    if let Some(logits) = logits.card()
        && k <= MOST_KEPT.min(n_words)
    {
        return on_gpu::read_logits(logits, k, n_words).map(Some);
    }
    Ok(rows::read_logits(&logits.candle()?, k, n_words)?.map(Tensor::from))
}
