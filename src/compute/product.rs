//! Products of activations in f32 with weights of any kind. Weights are never made f32 in memory; sums are f32.
//!
//! Few rows of x read the weight once (memory decides), many rows go through tiles: in f32, or with cooperative matrices,
//! where x and the weight are rounded to f16 on the way.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use super::variant::{Path, choose, needs_scalars};
use super::weight::{Kind, Part, Weight};
use super::{ComputeError, Gpu, Kernel, Result, Slice, template};

/// `x [n, in]` times the transpose of the weight: `[n, out]`.
pub fn product(gpu: &Gpu, x: &Slice, n: usize, w: &Weight) -> Result<Slice> {
    product_by(gpu, choose(gpu, n, w), x, n, w)
}

/// The same by a path of one's own choice, for tests and measurements.
#[doc(hidden)]
pub fn product_by(gpu: &Gpu, path: Path, x: &Slice, n: usize, w: &Weight) -> Result<Slice> {
    check(x, n, w.n_in(), "x")?;
    let x = padded(gpu, x, n, w)?;
    let (bm, bn) = path.tile();
    let (x, room) = match path {
        Path::Matrix(_) => (
            halved(gpu, &x, n, n.next_multiple_of(bm), w)?,
            n.next_multiple_of(16),
        ),
        _ => (x, n),
    };
    let y = gpu.alloc(room * w.n_out())?;
    for part in &w.parts {
        for rows in portions(gpu, n, w, part, bn)? {
            let bind = [&x, &rows.quants, &rows.scales, &y];
            let params = params(n, w, &rows);
            let blocks = rows.rows.div_ceil(bn);
            let groups = match path {
                Path::Few { .. } => folded(blocks),
                _ => [n.div_ceil(bm) as u32, blocks as u32, 1],
            };
            gpu.launch_trusted(
                &path.kernel(w.kind()),
                &bind,
                &params,
                groups,
                work(n, w, rows.rows),
            )?;
        }
    }
    y.slice(0, n * w.n_out())
}

/// `dy [n, out]` times the weight: `[n, in]`.
pub fn product_back(gpu: &Gpu, dy: &Slice, n: usize, w: &Weight) -> Result<Slice> {
    check(dy, n, w.n_out(), "dy")?;
    let y = gpu.alloc(n * w.n_in())?;
    let kernel = Path::Back {
        scalars: needs_scalars(gpu),
    }
    .kernel(w.kind());
    for part in &w.parts {
        for rows in portions(gpu, n, w, part, 16)? {
            let bind = [dy, &rows.quants, &rows.scales, &y];
            let mut params = params(n, w, &rows).to_vec();
            params.extend([w.n_in() as u32, u32::from(rows.first_row > 0)]);
            let groups = [n.div_ceil(64) as u32, w.n_in().div_ceil(128) as u32, 1];
            gpu.launch_trusted(&kernel, &bind, &params, groups, work(n, w, rows.rows))?;
        }
    }
    Ok(y)
}

/// The rows of the weight that `ids` names, in f32: `[ids, in]`.
pub fn rows(gpu: &Gpu, w: &Weight, ids: &[u32]) -> Result<Slice> {
    if let Some(id) = ids.iter().find(|id| **id as usize >= w.n_out()) {
        return Err(ComputeError::Failed(format!(
            "there is no row {id} among {}",
            w.n_out()
        )));
    }
    let y = gpu.alloc(ids.len() * w.n_in())?;
    let ids_there = gpu.upload(ids)?;
    for part in &w.parts {
        launch_rows(gpu, w, part, (&ids_there, true), ids.len(), &y)?;
    }
    Ok(y)
}

/// The whole weight in f32: `[out, in]`.
pub fn dequantise(gpu: &Gpu, w: &Weight) -> Result<Slice> {
    let y = gpu.alloc(w.n_out() * w.n_in())?;
    let none = gpu.alloc(1)?;
    for part in &w.parts {
        launch_rows(gpu, w, part, (&none, false), part.rows, &y)?;
    }
    Ok(y)
}

fn launch_rows(
    gpu: &Gpu,
    w: &Weight,
    part: &Part,
    (ids, has_ids): (&Slice, bool),
    n: usize,
    y: &Slice,
) -> Result<()> {
    let params = [
        n,
        w.pieces,
        w.scale_row,
        part.rows,
        part.first_row,
        w.n_in(),
        usize::from(has_ids),
    ];
    let params = params.map(|it| it as u32);
    let groups = folded((n * w.pieces).div_ceil(64));
    let bind = [ids, &part.quants, &part.scales, y];
    let work = (n * w.n_in()) as u64 * 60;
    gpu.launch_trusted(&Path::Rows.kernel(w.kind()), &bind, &params, groups, work)
}

fn check(x: &Slice, n: usize, width: usize, name: &str) -> Result<()> {
    if n == 0 || x.len() < n * width {
        let what = format!("{name} has {} words, not {n} rows of {width}", x.len());
        return Err(ComputeError::Failed(what));
    }
    Ok(())
}

fn params(n: usize, w: &Weight, rows: &Part) -> [u32; 6] {
    [
        n,
        w.pieces,
        w.scale_row,
        rows.rows,
        rows.first_row,
        w.n_out(),
    ]
    .map(|it| it as u32)
}

/// A number of workgroups as a grid.
fn folded(groups: usize) -> [u32; 3] {
    [groups.min(32768) as u32, groups.div_ceil(32768) as u32, 1]
}

/// What a launch with so many rows of the weight costs: operations, or ten times the bytes.
fn work(n: usize, w: &Weight, rows: usize) -> u64 {
    let bytes = w.n_bytes() / w.n_out() as u64 * rows as u64;
    (2 * n as u64 * rows as u64 * w.n_in() as u64).max(bytes * 10)
}

/// A part as pieces that are no more work than one launch should be.
fn portions(gpu: &Gpu, n: usize, w: &Weight, part: &Part, multiple: usize) -> Result<Vec<Part>> {
    let for_one = work(n, w, 1).max(1);
    let most = (gpu.largest_work() / for_one) as usize;
    if part.rows <= most {
        return Ok(vec![part.clone()]);
    }
    let step = (most / multiple).max(8) * multiple;
    let starts = (0..part.rows).step_by(step);
    starts
        .map(|first| w.rows_of(part, first, step.min(part.rows - first)))
        .collect()
}

/// x with rows of whole pieces from an aligned word on; x itself where it is so already.
fn padded(gpu: &Gpu, x: &Slice, n: usize, w: &Weight) -> Result<Slice> {
    let width = w.pieces * 16;
    if w.n_in() == width && x.first().is_multiple_of(4) {
        return Ok(x.clone());
    }
    let y = gpu.alloc(n * width)?;
    let source = include_str!("../../shaders/compute/product/pad.wgsl");
    let kernel = helper("rows with zeros at their ends", source);
    let params = [n, w.n_in(), n, width].map(|it| it as u32);
    let groups = folded((n * width / 4).div_ceil(256));
    gpu.launch_trusted(&kernel, &[x, &y], &params, groups, (n * width) as u64 * 80)?;
    Ok(y)
}

/// x in f16 with as many rows as a grid of tiles has.
fn halved(gpu: &Gpu, x: &Slice, n: usize, rows: usize, w: &Weight) -> Result<Slice> {
    let width = w.pieces * 16;
    let y = gpu.alloc(rows * width / 2)?;
    let source = include_str!("../../shaders/compute/product/halve.wgsl");
    let kernel = helper("rows in f16", source);
    let params = [n, rows, width].map(|it| it as u32);
    let groups = folded((rows * width / 8).div_ceil(256));
    gpu.launch_trusted(
        &kernel,
        &[x, &y],
        &params,
        groups,
        (rows * width) as u64 * 60,
    )?;
    Ok(y)
}

/// A kernel that needs no weight; its text is written out once.
fn helper(name: &'static str, text: &'static str) -> Kernel {
    static WRITTEN: LazyLock<Mutex<HashMap<&'static str, &'static str>>> =
        LazyLock::new(Mutex::default);
    let mut written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
    let source = written
        .entry(name)
        .or_insert_with(|| template::expand(text, &[], &[]).leak());
    Kernel {
        name,
        source: Cow::Borrowed(source),
        writes: &[false, true],
    }
}

/// Whether the driver's cooperative matrices give right products: some drivers offer them and cannot compile them.
pub(super) fn has_right_matrices(gpu: &Gpu) -> Result<bool> {
    let (n, n_out, n_in) = (65, 32, 64);
    let value = |i: usize| ((i * 37 + i / 64) % 17) as f32 - 8.0;
    let x: Vec<f32> = (0..n * n_in).map(value).collect();
    let w: Vec<f32> = (0..n_out * n_in).map(|i| value(i * 3 + 5)).collect();
    let mut builder = Weight::builder(gpu, Kind::F32, n_out, n_in)?;
    builder.push(bytemuck::cast_slice(&w))?;
    let y = product(gpu, &gpu.upload_f32(&x)?, n, &builder.finish()?)?;
    let y = gpu.download_f32(&y)?;
    // All of these are whole numbers that f16 and f32 hold.
    let sum = |i: usize| -> f32 {
        let (x, w) = (
            &x[i / n_out * n_in..][..n_in],
            &w[i % n_out * n_in..][..n_in],
        );
        x.iter().zip(w).map(|(x, w)| x * w).sum()
    };
    Ok(y.iter().enumerate().all(|(i, y)| *y == sum(i)))
}
