//! RMSNorm, alone or after a sum, and LayerNorm.

use super::kernels::{Family, floats};
use super::reduce::GROUP;
use super::{expect_words, folded, moved, vector_width};
use crate::compute::{Gpu, Result, Slice};

/// x / rms(x) * weight for every row of `[n, d]`.
pub fn rms_norm(
    gpu: &Gpu,
    x: &Slice,
    n: usize,
    d: usize,
    weight: &Slice,
    eps: f32,
) -> Result<Slice> {
    static RMS_NORM: Family = Family::new("rms_norm", &[false, false, true]);
    expect_words(x, n * d, "rows to normalise")?;
    expect_words(weight, d, "the weight of a norm")?;
    let y = gpu.alloc(n * d)?;
    if n * d == 0 {
        return Ok(y);
    }
    let bind = [x, weight, &y];
    let width = vector_width(&[d], &bind);
    let kernel = RMS_NORM.kernel([width as u32, 0, 0, 0, 0], || {
        let source = include_str!("../../../shaders/compute/ops/rms_norm.wgsl");
        [floats(width), GROUP, source].concat()
    });
    gpu.launch_trusted(
        &kernel,
        &bind,
        &params(n, d, width, eps),
        folded(n),
        moved(3 * n * d),
    )?;
    Ok(y)
}

/// x + delta, and its RMSNorm. `[n, d]` each.
pub fn add_rms_norm(
    gpu: &Gpu,
    x: &Slice,
    delta: &Slice,
    n: usize,
    d: usize,
    weight: &Slice,
    eps: f32,
) -> Result<(Slice, Slice)> {
    static ADD_RMS_NORM: Family = Family::new("add_rms_norm", &[false, false, false, true, true]);
    expect_words(x, n * d, "rows to normalise")?;
    expect_words(delta, n * d, "rows to add")?;
    expect_words(weight, d, "the weight of a norm")?;
    let (sum, normed) = (gpu.alloc(n * d)?, gpu.alloc(n * d)?);
    if n * d == 0 {
        return Ok((sum, normed));
    }
    let bind = [x, delta, weight, &sum, &normed];
    let width = vector_width(&[d], &bind);
    let kernel = ADD_RMS_NORM.kernel([width as u32, 0, 0, 0, 0], || {
        let source = include_str!("../../../shaders/compute/ops/add_rms_norm.wgsl");
        [floats(width), GROUP, source].concat()
    });
    gpu.launch_trusted(
        &kernel,
        &bind,
        &params(n, d, width, eps),
        folded(n),
        moved(5 * n * d),
    )?;
    Ok((sum, normed))
}

/// (x − mean) / √(variance + eps) * weight + bias for every row of `[n, d]`.
pub fn layer_norm(
    gpu: &Gpu,
    x: &Slice,
    n: usize,
    d: usize,
    (weight, bias): (&Slice, &Slice),
    eps: f32,
) -> Result<Slice> {
    static LAYER_NORM: Family = Family::new("layer_norm", &[false, false, false, true]);
    expect_words(x, n * d, "rows to normalise")?;
    expect_words(weight, d, "the weight of a norm")?;
    expect_words(bias, d, "the bias of a norm")?;
    let y = gpu.alloc(n * d)?;
    if n * d == 0 {
        return Ok(y);
    }
    let bind = [x, weight, bias, &y];
    let width = vector_width(&[d], &bind);
    let kernel = LAYER_NORM.kernel([width as u32, 0, 0, 0, 0], || {
        let source = include_str!("../../../shaders/compute/ops/layer_norm.wgsl");
        [floats(width), GROUP, source].concat()
    });
    gpu.launch_trusted(
        &kernel,
        &bind,
        &params(n, d, width, eps),
        folded(n),
        moved(4 * n * d),
    )?;
    Ok(y)
}

/// Rows, vectors of a row, words of a row, eps.
fn params(n: usize, d: usize, width: usize, eps: f32) -> [u32; 4] {
    [n as u32, (d / width) as u32, d as u32, eps.to_bits()]
}
