//! Products with weights of every kind by every path, against sums in f64 over the weight as its format defines it.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "compute_support/weights.rs"]
mod weights;

use patchglass::compute::ops::Strided;
use patchglass::compute::{
    ComputeError, Gpu, Kind, Matrix, Path, Weight, Without, batched, product, product_back,
    product_by,
};
use rand::{SeedableRng, rngs::StdRng};
use weights::{HALF, KINDS, SINGLE, case, difference, gpu, random, widths};

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
        Path::Tiled {
            bm: 32,
            mv: 1,
            scalars: false,
        },
        Path::Tiled {
            bm: 64,
            mv: 2,
            scalars: false,
        },
        Path::Tiled {
            bm: 128,
            mv: 2,
            scalars: false,
        },
        Path::Tiled {
            bm: 64,
            mv: 2,
            scalars: true,
        },
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
