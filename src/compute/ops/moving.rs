//! Copies between strided and contiguous places, and rows picked by their ids. Words of any type.

use super::kernels::{Family, words};
use super::strided::{Walk, extent};
use super::{Strided, expect_words, failed, flat_groups, moved, vector_width};
use crate::compute::{Gpu, Result, Slice};

/// A contiguous copy.
pub fn copy(gpu: &Gpu, x: &Strided<'_>) -> Result<Slice> {
    let y = gpu.alloc(x.len())?;
    let strides = contiguous_strides(x.dims);
    run(gpu, &x.extent()?, &y, x.dims, [x.strides, &strides])?;
    Ok(y)
}

/// Writes a contiguous block into a strided place of `target`, which must lie in another buffer.
pub fn write_into(
    gpu: &Gpu,
    target: &Slice,
    first: usize,
    strides: &[usize],
    dims: &[usize],
    source: &Slice,
) -> Result<()> {
    let n = dims.iter().product();
    expect_words(source, n, "what is to be written")?;
    let target = extent(target, first, dims, strides)?;
    run(
        gpu,
        source,
        &target,
        dims,
        [&contiguous_strides(dims), strides],
    )
}

fn contiguous_strides(dims: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; dims.len()];
    for i in (1..dims.len()).rev() {
        strides[i - 1] = strides[i] * dims[i];
    }
    strides
}

fn run(gpu: &Gpu, x: &Slice, y: &Slice, dims: &[usize], strides: [&[usize]; 2]) -> Result<()> {
    static MOVE: Family = Family::new("move", &[false, true]);
    let n: usize = dims.iter().product();
    let mut walk = Walk::new(dims, strides)?;
    let width = walk.in_vectors(&[x.first(), y.first()]);
    let rank = walk.rank();
    let kernel = MOVE.kernel([width as u32, rank as u32, 0, 0, 0], || {
        let rank = format!("const RANK = {rank}u;\n");
        let source = include_str!("../../../shaders/compute/ops/move.wgsl");
        [words(width), &rank, source].concat()
    });
    let mut params = vec![(n / width) as u32];
    params.extend(walk.inner_dims());
    params.extend(walk.steps(0));
    params.extend(walk.steps(1));
    gpu.launch_trusted(
        &kernel,
        &[x, y],
        &params,
        flat_groups(n / width),
        moved(2 * n),
    )
}

/// `[outer, n, inner] -> [outer, ids, inner]`
pub fn index_select(
    gpu: &Gpu,
    x: &Slice,
    outer: usize,
    n: usize,
    inner: usize,
    ids: &[u32],
) -> Result<Slice> {
    static INDEX_SELECT: Family = Family::new("index_select", &[false, false, true]);
    expect_words(x, outer * n * inner, "what is picked from")?;
    if let Some(id) = ids.iter().find(|id| **id as usize >= n) {
        return failed(format!("there is no row {id} among {n}"));
    }
    let total = outer * ids.len() * inner;
    let y = gpu.alloc(total)?;
    if total == 0 {
        return Ok(y);
    }
    let on_card = gpu.upload(ids)?;
    let width = vector_width(&[inner], &[x, &y]);
    let kernel = INDEX_SELECT.kernel([width as u32, 0, 0, 0, 0], || {
        let source = include_str!("../../../shaders/compute/ops/index_select.wgsl");
        [words(width), source].concat()
    });
    let sizes = [total / width, n, ids.len(), inner / width];
    let groups = flat_groups(total / width);
    let bind = [x, &on_card, &y];
    gpu.launch_trusted(
        &kernel,
        &bind,
        &sizes.map(|n| n as u32),
        groups,
        moved(2 * total),
    )?;
    Ok(y)
}
