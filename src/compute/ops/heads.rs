//! Between rows and heads: splitting with or without a rotation, and merging.

use super::kernels::{Family, floats};
use super::{
    AttentionShape, Keys, Strided, copy, expect_words, failed, flat_groups, moved, vector_width,
};
use crate::compute::{Gpu, Result, Slice};

/// How many of everything there is: `batch` sequences of `n` rows.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    batch: usize,
    n: usize,
    heads: usize,
    kv_heads: usize,
    d_head: usize,
}

/// Splits `[batch * n, (heads + 2 * kv_heads) * d_head]` into q `[batch * heads, n, d_head]`, then k, then v
/// `[batch * kv_heads, n, d_head]`, in one slice. With `tables` of cosines and sines `[n, d_head / 2]` q and k are rotated,
/// first half with second.
#[allow(
    clippy::too_many_arguments,
    reason = "they are the sizes of one tensor"
)]
pub fn split_heads(
    gpu: &Gpu,
    qkv: &Slice,
    tables: Option<(&Slice, &Slice)>,
    batch: usize,
    n: usize,
    heads: usize,
    kv_heads: usize,
    d_head: usize,
) -> Result<Slice> {
    let sizes = Sizes {
        batch,
        n,
        heads,
        kv_heads,
        d_head,
    };
    run_split(gpu, qkv, tables, sizes)
}

fn run_split(gpu: &Gpu, qkv: &Slice, tables: Option<(&Slice, &Slice)>, s: Sizes) -> Result<Slice> {
    static SPLIT_HEADS: Family = Family::new("split_heads", &[false, false, false, true]);
    let total = s.batch * s.n * (s.heads + 2 * s.kv_heads) * s.d_head;
    expect_words(qkv, total, "rows of heads")?;
    let unit = match tables {
        Some(_) if s.d_head % 2 == 1 => return failed("heads of an odd size cannot be rotated"),
        Some((cosines, sines)) => {
            expect_words(cosines, s.n * s.d_head / 2, "a table of cosines")?;
            expect_words(sines, s.n * s.d_head / 2, "a table of sines")?;
            s.d_head / 2
        }
        None => s.d_head,
    };
    let y = gpu.alloc(total)?;
    if total == 0 {
        return Ok(y);
    }
    let (cosines, sines) = tables.unwrap_or((qkv, qkv));
    let bind = [qkv, cosines, sines, &y];
    let width = vector_width(&[unit], &bind);
    let rotates = tables.is_some();
    let kernel = SPLIT_HEADS.kernel([width as u32, u32::from(rotates), 0, 0, 0], || {
        let rotates = format!("const ROTATES = {rotates};\n");
        let source = include_str!("../../../shaders/compute/ops/split_heads.wgsl");
        [floats(width), &rotates, source].concat()
    });
    let invocations = total / s.d_head * (unit / width);
    let params = [invocations, unit / width, s.batch, s.n, s.heads, s.kv_heads];
    let groups = flat_groups(invocations);
    gpu.launch_trusted(
        &kernel,
        &bind,
        &params.map(|n| n as u32),
        groups,
        moved(2 * total),
    )?;
    Ok(y)
}

/// The same split, but keys and values go straight to their places from position `first_pos` on in `caches`, which lie in
/// two buffers; gives q `[batch * heads, n, d_head]`. `n_keys` and `causal` play no part. d_head is even.
pub fn split_heads_into(
    gpu: &Gpu,
    qkv: &Slice,
    tables: Option<(&Slice, &Slice)>,
    caches: &Keys<'_>,
    s: &AttentionShape,
) -> Result<Slice> {
    static SPLIT_INTO: Family =
        Family::new("split_heads_into", &[false, false, false, true, true, true]);
    let total = s.batch * s.n * (s.heads + 2 * s.kv_heads) * s.d_head;
    check_caches(caches, s)?;
    expect_words(qkv, total, "rows of heads")?;
    let half = s.d_head / 2;
    if let Some((cosines, sines)) = tables {
        expect_words(cosines, s.n * half, "a table of cosines")?;
        expect_words(sines, s.n * half, "a table of sines")?;
    }
    let q = gpu.alloc(s.batch * s.heads * s.n * s.d_head)?;
    if total == 0 {
        return Ok(q);
    }
    let (cosines, sines) = tables.unwrap_or((qkv, qkv));
    let bind = [qkv, cosines, sines, &q, caches.k, caches.v];
    let width = vector_width(&[half, caches.k_stride, caches.v_stride], &bind);
    let rotates = tables.is_some();
    let kernel = SPLIT_INTO.kernel([width as u32, u32::from(rotates), 0, 0, 0], || {
        let rotates = format!("const ROTATES = {rotates};\n");
        let source = include_str!("../../../shaders/compute/ops/split_heads_into.wgsl");
        [floats(width), &rotates, source].concat()
    });
    let invocations = total / 2 / width;
    let params = [
        invocations,
        half / width,
        s.n,
        s.heads,
        s.kv_heads,
        caches.k_stride / width,
        caches.v_stride / width,
        s.first_pos,
    ];
    let groups = flat_groups(invocations);
    gpu.launch_trusted(
        &kernel,
        &bind,
        &params.map(|n| n as u32),
        groups,
        moved(2 * total),
    )?;
    Ok(q)
}

/// Whether the caches have room for the positions of a split.
fn check_caches(caches: &Keys<'_>, s: &AttentionShape) -> Result<()> {
    if s.d_head % 2 == 1 {
        return failed("heads of an odd size cannot be split into caches");
    }
    let n_heads = (s.batch * s.kv_heads).saturating_sub(1);
    let needed = (s.first_pos + s.n) * s.d_head;
    for (cache, stride) in [(caches.k, caches.k_stride), (caches.v, caches.v_stride)] {
        if n_heads > 0 && stride < needed {
            return failed("a cache has too little room for a head");
        }
        expect_words(cache, n_heads * stride + needed, "a cache")?;
    }
    Ok(())
}

/// `[batch * heads, n, d_head] -> [batch * n, heads * d_head]`
pub fn merge_heads(
    gpu: &Gpu,
    z: &Slice,
    batch: usize,
    n: usize,
    heads: usize,
    d_head: usize,
) -> Result<Slice> {
    let view = Strided {
        data: z,
        first: 0,
        dims: &[batch, n, heads, d_head],
        strides: &[heads * n * d_head, d_head, n * d_head, 1],
    };
    copy(gpu, &view)
}
