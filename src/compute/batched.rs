//! Products of plain activations with any strides, batch by batch, in f32.

use std::sync::LazyLock;

use super::ops::Strided;
use super::variant::needs_scalars;
use super::{ComputeError, Gpu, Kernel, Result, Slice, template};

/// `a [batch, m, k]` times `b [batch, k, n]`: `[batch, m, n]`. A batch stride of 0 repeats a matrix.
pub fn batched(gpu: &Gpu, a: &Strided<'_>, b: &Strided<'_>) -> Result<Slice> {
    let (a_dims, a_strides) = matrices(a)?;
    let (b_dims, b_strides) = matrices(b)?;
    let [batch, m, k] = a_dims;
    let n = b_dims[2];
    if b_dims[..2] != [batch, k] || batch > 65535 {
        let what = format!("matrices of {a_dims:?} and {b_dims:?} cannot be multiplied");
        return Err(ComputeError::Failed(what));
    }
    let y = gpu.alloc(batch * m * n)?;
    let params = [[m, k, n], a_strides, b_strides].concat();
    let params: Vec<u32> = params.into_iter().map(|it| it as u32).collect();
    let groups = [n.div_ceil(64) as u32, m.div_ceil(64) as u32, batch as u32];
    let bind = [
        &part(a, a_dims, a_strides)?,
        &part(b, b_dims, b_strides)?,
        &y,
    ];
    let work = (batch * m * n) as u64 * (2 * k as u64).max(60);
    gpu.launch_trusted(&kernel(needs_scalars(gpu)), &bind, &params, groups, work)?;
    Ok(y)
}

fn matrices(it: &Strided<'_>) -> Result<([usize; 3], [usize; 3])> {
    match (
        <[usize; 3]>::try_from(it.dims),
        <[usize; 3]>::try_from(it.strides),
    ) {
        (Ok(dims), Ok(strides)) => Ok((dims, strides)),
        _ => {
            let what = format!(
                "a product by batches takes 3 dimensions, not {}",
                it.dims.len()
            );
            Err(ComputeError::Failed(what))
        }
    }
}

/// The words that a view covers.
fn part(it: &Strided<'_>, dims: [usize; 3], strides: [usize; 3]) -> Result<Slice> {
    let last: usize = (0..3).map(|i| dims[i].saturating_sub(1) * strides[i]).sum();
    it.data
        .slice(it.first, if dims.contains(&0) { 0 } else { last + 1 })
}

fn kernel(scalars: bool) -> Kernel {
    static SOURCES: LazyLock<[String; 2]> = LazyLock::new(|| {
        let text = include_str!("../../shaders/compute/product/batched.wgsl");
        ["VECTORS", "SCALARS"].map(|flag| template::expand(text, &[], &[flag]))
    });
    let source = SOURCES[usize::from(scalars)].as_str().into();
    Kernel {
        name: "product by batches",
        source,
        writes: &[false, false, true],
    }
}
