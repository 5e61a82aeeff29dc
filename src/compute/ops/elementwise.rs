//! Functions of single elements, of pairs with broadcasting, and the gate of a feed-forward block.

use super::kernels::{Family, floats};
use super::strided::Walk;
use super::{Strided, expect_words, failed, flat_groups, moved, vector_width};
use crate::compute::{Gpu, Result, Slice};

/// A function of one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unary {
    Exp,
    Log,
    Sqr,
    Sqrt,
    Neg,
    Abs,
    Recip,
    Tanh,
    Sigmoid,
    Silu,
    /// x * sigmoid(1.702 x)
    QuickGelu,
    /// With the error function, to about 2e-7.
    GeluErf,
    /// With the hyperbolic tangent.
    Gelu,
    Relu,
}

/// What limits an exponent so that its exponential stays in f32.
const BELOW_87: &str = "fn capped(x: V) -> V { return min(x, V(87.0)); }\n";

/// Abramowitz and Stegun 7.1.26; tanh is bounded since some drivers form it of exponentials that overflow.
const HELPERS: &str = "\
fn bounded_tanh(x: V) -> V { return tanh(min(max(x, V(-12.0)), V(12.0))); }
fn error_function(x: V) -> V {
  let y = abs(x);
  let t = V(1.0) / (V(1.0) + 0.3275911 * y);
  let p = t * (V(0.254829592) + t * (V(-0.284496736) + t * (V(1.421413741)
    + t * (V(-1.453152027) + t * 1.061405429))));
  return sign(x) * (V(1.0) - p * exp(-(y * y)));
}
";

impl Unary {
    fn expression(self) -> &'static str {
        match self {
            Self::Exp => "exp(x)",
            Self::Log => "log(x)",
            Self::Sqr => "x * x",
            Self::Sqrt => "sqrt(x)",
            Self::Neg => "-x",
            Self::Abs => "abs(x)",
            Self::Recip => "V(1.0) / x",
            Self::Tanh => "bounded_tanh(x)",
            Self::Sigmoid => "V(1.0) / (V(1.0) + exp(capped(-x)))",
            Self::Silu => "x / (V(1.0) + exp(capped(-x)))",
            Self::QuickGelu => "x / (V(1.0) + exp(capped(-1.702 * x)))",
            Self::GeluErf => "0.5 * x * (V(1.0) + error_function(x * 0.70710678))",
            Self::Gelu => {
                "0.5 * x * (V(1.0) + bounded_tanh(0.7978845608 * x * (V(1.0) + 0.044715 * x * x)))"
            }
            Self::Relu => "max(x, V(0.0))",
        }
    }
}

/// `op` of n elements.
pub fn unary(gpu: &Gpu, op: Unary, x: &Slice, n: usize) -> Result<Slice> {
    run_unary(gpu, op as u32, op.expression(), x, n, [0.0; 2])
}

/// x * mul + add
pub fn affine(gpu: &Gpu, x: &Slice, n: usize, mul: f32, add: f32) -> Result<Slice> {
    run_unary(gpu, 100, "x * a + V(b)", x, n, [mul, add])
}

/// x, but at least `low` and at most `high`.
pub fn clamp(gpu: &Gpu, x: &Slice, n: usize, low: f32, high: f32) -> Result<Slice> {
    run_unary(gpu, 101, "min(max(x, V(a)), V(b))", x, n, [low, high])
}

fn run_unary(
    gpu: &Gpu,
    op: u32,
    expression: &str,
    x: &Slice,
    n: usize,
    ab: [f32; 2],
) -> Result<Slice> {
    static UNARY: Family = Family::new("unary", &[false, true]);
    expect_words(x, n, "the argument of an elementwise function")?;
    let y = gpu.alloc(n)?;
    let width = vector_width(&[n], &[x, &y]);
    let kernel = UNARY.kernel([op, width as u32, 0, 0, 0], || {
        let apply = format!("fn apply(x: V, a: f32, b: f32) -> V {{ return {expression}; }}\n");
        let source = include_str!("../../../shaders/compute/ops/unary.wgsl");
        [floats(width), BELOW_87, HELPERS, &apply, source].concat()
    });
    let params = [(n / width) as u32, ab[0].to_bits(), ab[1].to_bits()];
    gpu.launch_trusted(
        &kernel,
        &[x, &y],
        &params,
        flat_groups(n / width),
        moved(2 * n),
    )?;
    Ok(y)
}

/// n words of one value.
pub fn fill(gpu: &Gpu, n: usize, value: u32) -> Result<Slice> {
    static FILL: Family = Family::new("fill", &[true]);
    let y = gpu.alloc(n)?;
    let kernel = FILL.kernel([0; 5], || {
        include_str!("../../../shaders/compute/ops/fill.wgsl").to_owned()
    });
    gpu.launch_trusted(&kernel, &[&y], &[n as u32, value], flat_groups(n), moved(n))?;
    Ok(y)
}

/// A function of two elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Max,
    Min,
    /// 1 where a > b, else 0.
    Greater,
}

impl Binary {
    fn expression(self) -> &'static str {
        match self {
            Self::Add => "a + b",
            Self::Sub => "a - b",
            Self::Mul => "a * b",
            Self::Div => "a / b",
            Self::Max => "max(a, b)",
            Self::Min => "min(a, b)",
            Self::Greater => "select(V(0.0), V(1.0), a > b)",
        }
    }

    fn apply(self) -> String {
        format!(
            "fn apply(a: V, b: V) -> V {{ return {}; }}\n",
            self.expression()
        )
    }
}

/// `op` of two views of the same dimensions; strides of 0 broadcast. Contiguous.
pub fn binary(gpu: &Gpu, op: Binary, a: &Strided<'_>, b: &Strided<'_>) -> Result<Slice> {
    if a.dims != b.dims {
        return failed(format!(
            "{:?} and {:?} are no shapes of one elementwise operation",
            a.dims, b.dims
        ));
    }
    let n = a.len();
    let (from_a, from_b) = (a.extent()?, b.extent()?);
    let y = gpu.alloc(n)?;
    let walk = Walk::new(a.dims, [a.strides, b.strides])?;
    if let Some(period) = period_of(&walk) {
        binary_flat(gpu, op, [&from_a, &from_b, &y], n, period)?;
    } else {
        binary_strided(gpu, op, [&from_a, &from_b, &y], n, &walk)?;
    }
    Ok(y)
}

/// Where a is contiguous and b is, or repeats along a's first dimensions: after how many elements b repeats.
fn period_of(walk: &Walk<2>) -> Option<usize> {
    match (walk.dims.as_slice(), walk.strides.as_slice()) {
        ([n], [[1, 1]]) => Some(*n),
        ([_, inner], [[outer, 0], [1, 1]]) if outer == inner => Some(*inner),
        _ => None,
    }
}

fn binary_flat(gpu: &Gpu, op: Binary, bind: [&Slice; 3], n: usize, period: usize) -> Result<()> {
    static FLAT: Family = Family::new("binary_flat", &[false, false, true]);
    let width = vector_width(&[n, period], &bind);
    let kernel = FLAT.kernel([op as u32, width as u32, 0, 0, 0], || {
        let source = include_str!("../../../shaders/compute/ops/binary_flat.wgsl");
        [floats(width), &op.apply(), source].concat()
    });
    let params = [(n / width) as u32, (period / width) as u32];
    gpu.launch_trusted(
        &kernel,
        &bind,
        &params,
        flat_groups(n / width),
        moved(3 * n),
    )
}

fn binary_strided(
    gpu: &Gpu,
    op: Binary,
    bind: [&Slice; 3],
    n: usize,
    walk: &Walk<2>,
) -> Result<()> {
    static STRIDED: Family = Family::new("binary_strided", &[false, false, true]);
    let rank = walk.rank();
    let kernel = STRIDED.kernel([op as u32, rank as u32, 0, 0, 0], || {
        let rank = format!("const RANK = {rank}u;\n");
        let source = include_str!("../../../shaders/compute/ops/binary_strided.wgsl");
        [floats(1), &rank, &op.apply(), source].concat()
    });
    let mut params = vec![n as u32];
    params.extend(walk.inner_dims());
    params.extend(walk.steps(0));
    params.extend(walk.steps(1));
    gpu.launch_trusted(&kernel, &bind, &params, flat_groups(n), moved(4 * n))
}

/// silu(gate) * up of rows that hold both, gate first. `[n, 2 * ff] -> [n, ff]`
pub fn silu_mul(gpu: &Gpu, gate_up: &Slice, n: usize, ff: usize) -> Result<Slice> {
    static SILU_MUL: Family = Family::new("silu_mul", &[false, true]);
    expect_words(gate_up, 2 * n * ff, "a gate and its values")?;
    let y = gpu.alloc(n * ff)?;
    let width = vector_width(&[ff], &[gate_up, &y]);
    let kernel = SILU_MUL.kernel([width as u32, 0, 0, 0, 0], || {
        let source = include_str!("../../../shaders/compute/ops/silu_mul.wgsl");
        [floats(width), source].concat()
    });
    let total = n * ff / width;
    let params = [total as u32, (ff / width) as u32];
    gpu.launch_trusted(
        &kernel,
        &[gate_up, &y],
        &params,
        flat_groups(total),
        moved(3 * n * ff),
    )?;
    Ok(y)
}
