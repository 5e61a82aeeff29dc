//! Products with weights of every kind by every path, against sums in f64 over the weight as its format defines it.

#![allow(clippy::unwrap_used, clippy::panic)]

use half::f16;
use patchglass::compute::ops::Strided;
use patchglass::compute::{
    ComputeError, Gpu, Kind, Matrix, Path, Slice, Weight, Without, adapters, batched, dequantise,
    product, product_back, product_by, rows,
};
use rand::{Rng, SeedableRng, rngs::StdRng};

const KINDS: [Kind; 4] = [Kind::F32, Kind::F16, Kind::Q8_0, Kind::Q4K];

fn gpu(without: Without) -> Option<Gpu> {
    let Some(first) = adapters().into_iter().next() else {
        println!("skipped: no Vulkan adapter");
        return None;
    };
    Some(Gpu::open(Some(first.index), without).unwrap())
}

const NO_MATRIX: Without = Without {
    f16: false,
    subgroups: false,
    cooperative_matrix: true,
};
const NOTHING: Without = Without {
    f16: true,
    subgroups: true,
    cooperative_matrix: true,
};

fn random(rng: &mut StdRng, n: usize) -> Vec<f32> {
    (0..n).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn half_bytes(value: f32) -> [u8; 2] {
    f16::from_f32(value).to_le_bytes()
}

fn half_at(bytes: &[u8]) -> f64 {
    f16::from_le_bytes([bytes[0], bytes[1]]).to_f64()
}

/// Random bytes of a weight, as a checkpoint or a ggml file has them.
fn random_bytes(rng: &mut StdRng, kind: Kind, n: usize) -> Vec<u8> {
    match kind {
        Kind::F32 => random(rng, n)
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect(),
        Kind::F16 => random(rng, n).iter().flat_map(|v| half_bytes(*v)).collect(),
        Kind::Q8_0 => (0..n / 32)
            .flat_map(|_| {
                let mut block = half_bytes(rng.random_range(-0.01..0.01)).to_vec();
                block.extend((0..32).map(|_| rng.random::<u8>()));
                block
            })
            .collect(),
        Kind::Q4K => (0..n / 256)
            .flat_map(|_| {
                let mut block = half_bytes(rng.random_range(0.0..0.003)).to_vec();
                block.extend(half_bytes(rng.random_range(0.0..0.02)));
                block.extend((0..140).map(|_| rng.random::<u8>()));
                block
            })
            .collect(),
    }
}

/// The values of such bytes, as ggml defines them.
fn values(kind: Kind, bytes: &[u8]) -> Vec<f64> {
    match kind {
        Kind::F32 => {
            let four = |b: &[u8]| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            bytes.chunks_exact(4).map(four).collect()
        }
        Kind::F16 => bytes.chunks_exact(2).map(half_at).collect(),
        Kind::Q8_0 => bytes
            .chunks_exact(34)
            .flat_map(|b| b[2..].iter().map(|q| half_at(b) * f64::from(*q as i8)))
            .collect(),
        Kind::Q4K => bytes.chunks_exact(144).flat_map(q4k).collect(),
    }
}

fn q4k(block: &[u8]) -> Vec<f64> {
    let (d, dmin, s) = (half_at(block), half_at(&block[2..]), &block[4..16]);
    let value = |i: usize| {
        let (j, byte) = (i / 32, block[16 + i / 64 * 32 + i % 32]);
        let q = if j % 2 == 0 { byte & 15 } else { byte >> 4 };
        let (scale, min) = if j < 4 {
            (s[j] & 63, s[j + 4] & 63)
        } else {
            let high = |k: usize| (s[k] >> 6) << 4;
            (s[j + 4] & 15 | high(j - 4), s[j + 4] >> 4 | high(j))
        };
        d * f64::from(scale) * f64::from(q) - dmin * f64::from(min)
    };
    (0..256).map(value).collect()
}

struct Case {
    weight: Weight,
    values: Vec<f64>,
    x: Vec<f32>,
    on_card: Slice,
    n: usize,
}

fn build(gpu: &Gpu, rng: &mut StdRng, kind: Kind, shape: (usize, usize)) -> (Weight, Vec<f64>) {
    let (n_out, n_in) = shape;
    let bytes = random_bytes(rng, kind, n_out * n_in);
    let mut builder = Weight::builder(gpu, kind, n_out, n_in).unwrap();
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rng.random_range(1..=rest.len().min(5000)));
        builder.push(piece).unwrap();
        rest = after;
    }
    (builder.finish().unwrap(), values(kind, &bytes))
}

fn case(gpu: &Gpu, kind: Kind, (n, n_out, n_in): (usize, usize, usize)) -> Case {
    let mut rng = StdRng::seed_from_u64((n * 31 + n_out * 7 + n_in) as u64);
    let (weight, values) = build(gpu, &mut rng, kind, (n_out, n_in));
    let x = random(&mut rng, n * n_in);
    let on_card = gpu.upload_f32(&x).unwrap();
    Case {
        weight,
        values,
        x,
        on_card,
        n,
    }
}

/// The largest difference from the sums in f64, over the root of the mean of their squares.
fn difference(got: &[f32], x: &[f32], w: &[f64], (n, n_out, n_in): (usize, usize, usize)) -> f64 {
    assert_eq!(got.len(), n * n_out);
    let (mut worst, mut squares) = (0f64, 0f64);
    for i in 0..n {
        for o in 0..n_out {
            let (x, w) = (&x[i * n_in..][..n_in], &w[o * n_in..][..n_in]);
            let sum: f64 = x.iter().zip(w).map(|(x, w)| f64::from(*x) * w).sum();
            let off = (f64::from(got[i * n_out + o]) - sum).abs();
            worst = if off.is_nan() {
                f64::INFINITY
            } else {
                worst.max(off)
            };
            squares += sum * sum;
        }
    }
    worst / (squares / (n * n_out) as f64).sqrt()
}

/// What rounding x and the weight to f16 makes of a product, at most.
const HALF: f64 = 5e-3;
const SINGLE: f64 = 2e-5;

fn widths(kind: Kind) -> &'static [usize] {
    match kind {
        Kind::F32 | Kind::F16 => &[5, 32, 300, 588],
        Kind::Q8_0 => &[32, 96, 608],
        Kind::Q4K => &[256, 768],
    }
}

fn check_products(gpu: &Gpu, numbers: &[usize], outs: &[usize], tolerance: f64) {
    for kind in KINDS {
        for &n_in in widths(kind) {
            let mut worst = 0f64;
            for (&n, &n_out) in numbers
                .iter()
                .flat_map(|n| outs.iter().map(move |o| (n, o)))
            {
                let it = case(gpu, kind, (n, n_out, n_in));
                let y = product(gpu, &it.on_card, n, &it.weight).unwrap();
                let y = gpu.download_f32(&y).unwrap();
                let off = difference(&y, &it.x, &it.values, (n, n_out, n_in));
                assert!(off < tolerance, "{kind:?} {n} x {n_in} -> {n_out}: {off:e}");
                worst = worst.max(off);
            }
            println!("{kind:?} in {n_in}: {worst:.1e}");
        }
    }
}

#[test]
fn few_rows() {
    let Some(gpu) = gpu(NO_MATRIX) else { return };
    check_products(&gpu, &[1, 2, 3, 5, 8], &[1, 65, 130], SINGLE);
}

#[test]
fn few_rows_without_subgroups() {
    let Some(gpu) = gpu(NOTHING) else { return };
    check_products(&gpu, &[1, 2, 3, 7], &[3, 64, 131], SINGLE);
}

#[test]
fn tiles() {
    let Some(gpu) = gpu(NO_MATRIX) else { return };
    check_products(&gpu, &[9, 32, 50, 64, 129], &[1, 130], SINGLE);
}

#[test]
fn cooperative_matrices() {
    let Some(gpu) = gpu(Without::default()) else {
        return;
    };
    if !gpu.has_cooperative_matrix() {
        println!("skipped: no cooperative matrices");
        return;
    }
    let sizes = [1, 7, 9, 16, 17, 40, 70, 128, 200, 257];
    check_products(&gpu, &sizes, &[16, 48, 128, 400, 33], HALF);
    let all = [
        [1, 2, 1, 1, 4, 1],
        [1, 2, 1, 1, 4, 4],
        [2, 2, 1, 1, 4, 2],
        [2, 2, 2, 1, 4, 2],
        [2, 2, 2, 1, 2, 1],
        [2, 4, 3, 2, 4, 1],
        [2, 4, 5, 2, 4, 1],
        [2, 4, 4, 2, 4, 1],
    ];
    for (tiles, kind) in all
        .iter()
        .flat_map(|tiles| KINDS.map(|kind| (*tiles, kind)))
    {
        let shape = (170, 144, 512);
        let it = case(&gpu, kind, shape);
        let path = Path::Matrix(Matrix::new(tiles, gpu.facts().subgroup.0));
        let y = product_by(&gpu, path, &it.on_card, it.n, &it.weight).unwrap();
        let off = difference(&gpu.download_f32(&y).unwrap(), &it.x, &it.values, shape);
        assert!(off < HALF, "{tiles:?} {kind:?}: {off:e}");
    }
    let it = case(&gpu, Kind::F16, (70, 64, 96));
    let huge: Vec<f32> = it.x.iter().map(|x| x * 1e6).collect();
    let y = product(&gpu, &gpu.upload_f32(&huge).unwrap(), 70, &it.weight).unwrap();
    assert!(gpu.download_f32(&y).unwrap().iter().all(|y| y.is_finite()));
}

#[test]
fn wide_rows_take_several_tiles() {
    let Some(gpu) = gpu(Without::default()) else {
        return;
    };
    for n in [1, 4, 8, 12] {
        for kind in KINDS {
            let it = case(&gpu, kind, (n, 48, 5120));
            let y = product(&gpu, &it.on_card, n, &it.weight).unwrap();
            let off = difference(
                &gpu.download_f32(&y).unwrap(),
                &it.x,
                &it.values,
                (n, 48, 5120),
            );
            let tolerance = if gpu.has_cooperative_matrix() && n > 4 || n > 8 {
                HALF
            } else {
                SINGLE
            };
            assert!(off < tolerance, "{kind:?} {n}: {off:e}");
        }
    }
}

#[test]
fn slices_may_begin_anywhere() {
    let Some(gpu) = gpu(Without::default()) else {
        return;
    };
    for n in [2, 20] {
        let it = case(&gpu, Kind::F16, (n, 32, 64));
        let all = gpu.upload_f32(&[&[9.0; 3], &it.x[..]].concat()).unwrap();
        let x = all.slice(3, it.x.len()).unwrap();
        let y = product(&gpu, &x, n, &it.weight).unwrap();
        let off = difference(
            &gpu.download_f32(&y).unwrap(),
            &it.x,
            &it.values,
            (n, 32, 64),
        );
        assert!(off < HALF, "{off:e}");
    }
}

#[test]
fn backwards() {
    let Some(gpu) = gpu(Without::default()) else {
        return;
    };
    for kind in KINDS {
        for &n_in in widths(kind) {
            for (n, n_out) in [(1, 1), (3, 40), (70, 33)] {
                let it = case(&gpu, kind, (n, n_out, n_in));
                let dy = &it
                    .x
                    .iter()
                    .cycle()
                    .take(n * n_out)
                    .copied()
                    .collect::<Vec<_>>();
                let on_card = gpu.upload_f32(dy).unwrap();
                let dx = product_back(&gpu, &on_card, n, &it.weight).unwrap();
                let turned: Vec<f64> = (0..n_in * n_out)
                    .map(|i| it.values[i % n_out * n_in + i / n_out])
                    .collect();
                let dx = gpu.download_f32(&dx).unwrap();
                let off = difference(&dx, dy, &turned, (n, n_in, n_out));
                let tolerance = if gpu.has_cooperative_matrix() {
                    HALF
                } else {
                    SINGLE
                };
                assert!(off < tolerance, "{kind:?} {n} x {n_out} -> {n_in}: {off:e}");
            }
        }
    }
}

#[test]
fn rows_and_whole_weights() {
    let Some(gpu) = gpu(Without::default()) else {
        return;
    };
    for kind in KINDS {
        for &n_in in widths(kind) {
            let it = case(&gpu, kind, (1, 37, n_in));
            let close = |got: &[f32], expected: &[f64]| {
                assert_eq!(got.len(), expected.len());
                got.iter()
                    .zip(expected)
                    .all(|(a, b)| (f64::from(*a) - b).abs() < 1e-6)
            };
            let whole = gpu
                .download_f32(&dequantise(&gpu, &it.weight).unwrap())
                .unwrap();
            assert!(close(&whole, &it.values), "{kind:?} {n_in}");
            let ids = [36, 0, 7, 7, 1];
            let some = gpu
                .download_f32(&rows(&gpu, &it.weight, &ids).unwrap())
                .unwrap();
            for (id, row) in ids.iter().zip(some.chunks(n_in)) {
                assert!(
                    close(row, &it.values[*id as usize * n_in..][..n_in]),
                    "{kind:?} {id}"
                );
            }
            assert!(
                !close(&some[..n_in], &it.values[..n_in]),
                "another row must differ"
            );
        }
        let it = case(&gpu, kind, (1, 3, 256));
        assert!(rows(&gpu, &it.weight, &[3]).is_err());
    }
}

#[test]
fn a_weight_of_many_parts() {
    let Some(gpu) = gpu(Without::default()) else {
        return;
    };
    // Parts are no larger than a binding: where bindings are small (lavapipe: 128 MiB), this weight has two.
    let (n_out, n_in) = (16 * 1100, 2048);
    let mut rng = StdRng::seed_from_u64(1);
    let bytes = random_bytes(&mut rng, Kind::F32, n_in * 7);
    let mut builder = Weight::builder(&gpu, Kind::F32, n_out, n_in).unwrap();
    let period: Vec<u8> = bytes
        .iter()
        .copied()
        .cycle()
        .take(bytes.len() * 100)
        .collect();
    let mut left = n_out * n_in * 4;
    while left > 0 {
        let piece = left.min(period.len());
        builder.push(&period[..piece]).unwrap();
        left -= piece;
    }
    let weight = builder.finish().unwrap();
    let seven = values(Kind::F32, &bytes);
    let x = random(&mut rng, n_in);
    let y = product(&gpu, &gpu.upload_f32(&x).unwrap(), 1, &weight).unwrap();
    let y = gpu.download_f32(&y).unwrap();
    let got: Vec<f32> = (0..7).map(|i| y[n_out - n_out % 7 - 7 + i]).collect();
    assert!(difference(&got, &x, &seven, (1, 7, n_in)) < SINGLE);
    assert_eq!(y[3], y[n_out - n_out % 7 - 4]);
    let ids = [3, n_out as u32 - 1];
    let some = gpu
        .download_f32(&rows(&gpu, &weight, &ids).unwrap())
        .unwrap();
    let last = (n_out - 1) % 7;
    assert!((f64::from(some[n_in + 5]) - seven[last * n_in + 5]).abs() < 1e-7);
}

#[test]
fn wrong_weights_and_wrong_products_are_noticed() {
    let Some(gpu) = gpu(Without::default()) else {
        return;
    };
    for kind in KINDS {
        let mut it = case(&gpu, kind, (5, 40, 256));
        let y = gpu
            .download_f32(&product(&gpu, &it.on_card, it.n, &it.weight).unwrap())
            .unwrap();
        it.values.rotate_left(1);
        let off = difference(&y, &it.x, &it.values, (5, 40, 256));
        assert!(off > 10.0 * HALF, "{kind:?}: {off:e}");
        let short = product(&gpu, &it.on_card, 6, &it.weight);
        assert!(matches!(short, Err(ComputeError::Failed(_))));
        let mut builder = Weight::builder(&gpu, kind, 2, 256).unwrap();
        assert!(builder.push(&[0; 4096]).is_err());
        assert!(builder.finish().is_err());
    }
    assert!(Weight::builder(&gpu, Kind::Q4K, 2, 128).is_err());
}

#[test]
fn paths_of_ones_own_choice_agree() {
    let Some(gpu) = gpu(NO_MATRIX) else { return };
    let it = case(&gpu, Kind::Q4K, (6, 100, 512));
    for path in [
        Path::Tiled { bm: 32, mv: 1 },
        Path::Tiled { bm: 64, mv: 2 },
        Path::Tiled { bm: 128, mv: 2 },
        Path::Few {
            n: 8,
            g: 16,
            r: 1,
            tile: 16,
            shuffles: false,
        },
        Path::Few {
            n: 8,
            g: 32,
            r: 3,
            tile: 8,
            shuffles: false,
        },
    ] {
        let y = product_by(&gpu, path, &it.on_card, 6, &it.weight).unwrap();
        let y = gpu.download_f32(&y).unwrap();
        let off = difference(&y, &it.x, &it.values, (6, 100, 512));
        assert!(off < SINGLE, "{path:?}: {off:e}");
    }
}

#[test]
fn batches_of_plain_matrices() {
    let Some(gpu) = gpu(Without::default()) else {
        return;
    };
    let mut rng = StdRng::seed_from_u64(5);
    for (batch, m, k, n) in [
        (1, 1, 1, 1),
        (3, 70, 33, 65),
        (2, 5, 100, 130),
        (4, 64, 16, 64),
    ] {
        let a = random(&mut rng, 7 + batch * m * k);
        let b = random(&mut rng, 3 + batch * k * n);
        let (a_card, b_card) = (gpu.upload_f32(&a).unwrap(), gpu.upload_f32(&b).unwrap());
        let a_layouts = [[m * k, k, 1], [m * k, 1, m]];
        let b_layouts = [[k * n, n, 1], [k * n, 1, k], [0, n, 1]];
        for (a_strides, b_strides) in a_layouts.iter().flat_map(|a| b_layouts.map(|b| (a, b))) {
            let a_view = Strided {
                data: &a_card,
                first: 7,
                dims: &[batch, m, k],
                strides: a_strides,
            };
            let b_view = Strided {
                data: &b_card,
                first: 3,
                dims: &[batch, k, n],
                strides: &b_strides,
            };
            let y = gpu
                .download_f32(&batched(&gpu, &a_view, &b_view).unwrap())
                .unwrap();
            for i in 0..batch {
                let at = |j: usize, l: usize| {
                    a[7 + i * a_strides[0] + j * a_strides[1] + l * a_strides[2]]
                };
                let bt = |j: usize, l: usize| {
                    b[3 + i * b_strides[0] + l * b_strides[1] + j * b_strides[2]]
                };
                let rows: Vec<f32> = (0..m * k).map(|e| at(e / k, e % k)).collect();
                let mut columns: Vec<f64> =
                    (0..n * k).map(|e| f64::from(bt(e / k, e % k))).collect();
                let y = &y[i * m * n..][..m * n];
                assert!(
                    difference(y, &rows, &columns, (m, n, k)) < SINGLE,
                    "{batch} {m} {k} {n}"
                );
                columns[0] += 10.0;
                assert!(difference(y, &rows, &columns, (m, n, k)) > SINGLE);
            }
        }
        let a_view = Strided {
            data: &a_card,
            first: 7,
            dims: &[batch, m, k],
            strides: &[0, 0, 0],
        };
        let b_view = Strided {
            data: &b_card,
            first: 3,
            dims: &[batch, k + 1, n],
            strides: &[0, 0, 0],
        };
        assert!(batched(&gpu, &a_view, &b_view).is_err());
    }
}
