//! Sums, maxima and minima along a dimension, softmax of rows, and norms of rows.

use super::kernels::Family;
use super::{expect_words, failed, folded, moved};
use crate::compute::{Gpu, Result, Slice};

/// Joined to shaders whose workgroups share a row.
pub(super) const GROUP: &str = include_str!("../../../shaders/compute/ops/group.wgsl");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduce {
    Sum,
    Max,
    Min,
}

impl Reduce {
    fn prelude(self) -> &'static str {
        match self {
            Self::Sum => "const IS_SUM = true;\nfn join(a: f32, b: f32) -> f32 { return a + b; }\n",
            Self::Max => {
                "const IS_SUM = false;\nfn join(a: f32, b: f32) -> f32 { return max(a, b); }\n"
            }
            Self::Min => {
                "const IS_SUM = false;\nfn join(a: f32, b: f32) -> f32 { return min(a, b); }\n"
            }
        }
    }
}

/// Rows shorter than this are no work for a whole workgroup.
const LONG: usize = 64;

/// `[outer, n, inner] -> [outer, inner]`; n is not 0.
pub fn reduce(
    gpu: &Gpu,
    op: Reduce,
    x: &Slice,
    outer: usize,
    n: usize,
    inner: usize,
) -> Result<Slice> {
    static ROWS: Family = Family::new("reduce_rows", &[false, true]);
    static COLUMNS: Family = Family::new("reduce_columns", &[false, true]);
    if n == 0 {
        return failed("there is nothing to reduce along a dimension of 0");
    }
    expect_words(x, outer * n * inner, "what is to be reduced")?;
    let total = outer * inner;
    let y = gpu.alloc(total)?;
    let work = moved(total * (n + 1));
    if total == 0 {
        return Ok(y);
    }
    if inner == 1 && n >= LONG {
        let kernel = ROWS.kernel([op as u32, 0, 0, 0, 0], || {
            let source = include_str!("../../../shaders/compute/ops/reduce_rows.wgsl");
            [op.prelude(), source].concat()
        });
        let params = [outer as u32, n as u32];
        gpu.launch_trusted(&kernel, &[x, &y], &params, folded(outer), work)?;
    } else {
        let kernel = COLUMNS.kernel([op as u32, 0, 0, 0, 0], || {
            let source = include_str!("../../../shaders/compute/ops/reduce_columns.wgsl");
            [op.prelude(), source].concat()
        });
        let params = [total as u32, n as u32, inner as u32];
        gpu.launch_trusted(&kernel, &[x, &y], &params, folded(total.div_ceil(32)), work)?;
    }
    Ok(y)
}

/// Softmax of every row of `[rows, width]`. −∞ gets exactly 0, and so does a row of nothing else.
pub fn softmax(gpu: &Gpu, x: &Slice, rows: usize, width: usize) -> Result<Slice> {
    static SOFTMAX: Family = Family::new("softmax", &[false, true]);
    expect_words(x, rows * width, "what softmax is taken of")?;
    let y = gpu.alloc(rows * width)?;
    if rows * width == 0 {
        return Ok(y);
    }
    let kernel = SOFTMAX.kernel([0; 5], || {
        [
            GROUP,
            include_str!("../../../shaders/compute/ops/softmax.wgsl"),
        ]
        .concat()
    });
    let params = [rows as u32, width as u32];
    gpu.launch_trusted(
        &kernel,
        &[x, &y],
        &params,
        folded(rows),
        moved(3 * rows * width),
    )?;
    Ok(y)
}

/// Euclidean norms of a row of x, of the same row of `other`, and of their difference: `[n, 3]`. Without an `other` the
/// two are the same.
pub fn row_norms(gpu: &Gpu, x: &Slice, other: Option<&Slice>, n: usize, d: usize) -> Result<Slice> {
    static ROW_NORMS: Family = Family::new("row_norms", &[false, false, true]);
    let other = other.unwrap_or(x);
    expect_words(x, n * d, "rows to measure")?;
    expect_words(other, n * d, "rows to compare with")?;
    let y = gpu.alloc(3 * n)?;
    if n == 0 {
        return Ok(y);
    }
    let kernel = ROW_NORMS.kernel([0; 5], || {
        [
            GROUP,
            include_str!("../../../shaders/compute/ops/row_norms.wgsl"),
        ]
        .concat()
    });
    let params = [n as u32, d as u32];
    gpu.launch_trusted(
        &kernel,
        &[x, other, &y],
        &params,
        folded(n),
        moved(2 * n * d),
    )?;
    Ok(y)
}
