//! How fast products are on the first adapter that is no software: run it with `--ignored --nocapture`. It checks little.
//!
//! PATHS names which of few, matrix, tiled, choice to time; each line also says how far one output is from its sum in f64.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Instant;

use half::f16;
use patchglass::compute::{
    Gpu, Kind, Matrix, Path, Slice, Weight, Without, dequantise, product, product_back, product_by,
};
use rand::{Rng, SeedableRng, rngs::StdRng};

fn weight(gpu: &Gpu, rng: &mut StdRng, kind: Kind, n_out: usize, n_in: usize) -> Weight {
    let mut builder = Weight::builder(gpu, kind, n_out, n_in).unwrap();
    let bytes = n_in / kind.block() * kind.block_bytes();
    let mut rows = vec![0u8; bytes * 64];
    rng.fill(&mut rows[..]);
    let half = |v: f32| f16::from_f32(v).to_le_bytes();
    match kind {
        Kind::F32 => rows.chunks_exact_mut(4).for_each(|b| {
            b.copy_from_slice(&rng.random_range(-1f32..1.0).to_le_bytes());
        }),
        Kind::F16 => rows.chunks_exact_mut(2).for_each(|b| {
            b.copy_from_slice(&half(rng.random_range(-1f32..1.0)));
        }),
        Kind::Q8_0 => rows
            .chunks_exact_mut(34)
            .for_each(|b| b[..2].copy_from_slice(&half(0.01))),
        Kind::Q4K => rows.chunks_exact_mut(144).for_each(|b| {
            b[..2].copy_from_slice(&half(0.002));
            b[2..4].copy_from_slice(&half(0.015));
        }),
    }
    for first in (0..n_out).step_by(64) {
        builder
            .push(&rows[..bytes * (n_out - first).min(64)])
            .unwrap();
    }
    builder.finish().unwrap()
}

/// Seconds for one, the median of some rounds of several in a row over different weights.
fn time(gpu: &Gpu, weights: &[Weight], reps: usize, mut once: impl FnMut(&Weight) -> Slice) -> f64 {
    // Long enough for the clocks of the card to rise.
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < 0.15 {
        for weight in weights {
            drop(once(weight));
        }
        gpu.wait().unwrap();
    }
    let mut rounds: Vec<f64> = (0..5)
        .map(|_| {
            let start = Instant::now();
            for i in 0..reps {
                drop(once(&weights[i % weights.len()]));
            }
            gpu.wait().unwrap();
            start.elapsed().as_secs_f64() / reps as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[2]
}

fn off(gpu: &Gpu, y: &Slice, x: &[f32], w: &[f32], n: usize, n_in: usize, n_out: usize) -> f64 {
    let y = gpu.download_f32(y).unwrap();
    let (mut worst, mut squares) = (0f64, 0f64);
    for k in 0..200 {
        let (i, o) = (k * 7 % n, (k * 131) % n_out);
        let w = &w[(o % 64) * n_in..][..n_in];
        let sum: f64 = x[i * n_in..][..n_in]
            .iter()
            .zip(w)
            .map(|(x, w)| f64::from(*x) * f64::from(*w))
            .sum();
        let off = (f64::from(y[i * n_out + o]) - sum).abs();
        worst = if off.is_nan() {
            f64::INFINITY
        } else {
            worst.max(off)
        };
        squares += sum * sum;
    }
    worst / (squares / 200.0).sqrt()
}

fn paths(n: usize, wanted: &str) -> Vec<Option<Path>> {
    let mut paths = Vec::new();
    if wanted.contains("choice") {
        paths.push(None);
    }
    if wanted.contains("few") && n <= 8 {
        let n = (n as u32).next_power_of_two();
        for (r, tile) in [
            (2, 256),
            (4, 256),
            (8, 256),
            (2, 128),
            (4, 128),
            (2, 64),
            (4, 64),
        ] {
            if n * tile * 72 <= 48 << 10
                && n * r <= 32
                && (tile == 256 || n * tile * 144 > 48 << 10)
            {
                paths.push(Some(Path::Few {
                    n,
                    g: 32,
                    r,
                    tile,
                    shuffles: true,
                }));
            }
        }
    }
    if wanted.contains("tiled") && n > 4 {
        paths.extend([(64, 2), (128, 4)].map(|(bm, mv)| {
            Some(Path::Tiled {
                bm,
                mv,
                scalars: false,
            })
        }));
    }
    if wanted.contains("matrix") && n > 1 {
        let all: &[[u32; 6]] = match n {
            ..=16 => &[
                [1, 2, 1, 1, 4, 1],
                [1, 2, 1, 1, 4, 4],
                [1, 1, 1, 1, 4, 4],
                [1, 1, 1, 1, 4, 8],
            ],
            17..=32 => &[
                [2, 2, 1, 1, 4, 1],
                [2, 2, 1, 1, 4, 2],
                [2, 1, 1, 1, 4, 4],
                [1, 2, 2, 1, 4, 4],
            ],
            33..=64 => &[
                [2, 2, 2, 1, 4, 1],
                [2, 2, 2, 1, 4, 2],
                [2, 2, 2, 2, 2, 1],
                [2, 1, 2, 1, 4, 2],
            ],
            _ => &[[2, 4, 4, 2, 4, 1], [2, 4, 5, 2, 4, 1], [2, 4, 3, 2, 4, 1]],
        };
        paths.extend(
            all.iter()
                .map(|it| Some(Path::Matrix(Matrix::new(*it, 32)))),
        );
    }
    paths
}

#[test]
#[ignore = "a measurement"]
fn launches() {
    let Ok(gpu) = Gpu::open(None, Without::default()) else {
        return println!("no graphics card");
    };
    let mut rng = StdRng::seed_from_u64(3);
    let small = weight(&gpu, &mut rng, Kind::F16, 64, 64);
    let x = gpu.upload_f32(&[1.0; 64]).unwrap();
    for round in 0..3 {
        let start = Instant::now();
        for _ in 0..3000 {
            drop(product(&gpu, &x, 1, &small).unwrap());
        }
        let recorded = start.elapsed().as_secs_f64() / 3000.0;
        gpu.wait().unwrap();
        let done = start.elapsed().as_secs_f64() / 3000.0;
        println!(
            "round {round}: {:.1} us to record, {:.1} us with the work",
            recorded * 1e6,
            done * 1e6
        );
    }
    let start = Instant::now();
    for _ in 0..100 {
        let y = product(&gpu, &x, 1, &small).unwrap();
        drop(gpu.download_f32(&y).unwrap());
    }
    println!(
        "{:.1} us for a launch and a download",
        start.elapsed().as_secs_f64() * 1e4
    );
}

#[test]
#[ignore = "a measurement"]
fn products() {
    let Ok(gpu) = Gpu::open(None, Without::default()) else {
        return println!("no graphics card");
    };
    println!("{:?}", gpu.facts());
    let var = |name: &str, otherwise: &str| std::env::var(name).unwrap_or(otherwise.to_owned());
    let wanted = var("PATHS", "choice");
    let numbers = var("NS", "1,8,600");
    let shapes = var("SHAPES", "4096x4096,22016x4096,4096x11008");
    let kinds = var("KINDS", "F16,Q8_0,Q4K");
    let mut rng = StdRng::seed_from_u64(3);
    for shape in shapes.split(',') {
        let (n_out, n_in) = shape.split_once('x').unwrap();
        let (n_out, n_in): (usize, usize) = (n_out.parse().unwrap(), n_in.parse().unwrap());
        for kind in [Kind::F32, Kind::F16, Kind::Q8_0, Kind::Q4K] {
            if !kinds.split(',').any(|it| it == format!("{kind:?}")) {
                continue;
            }
            let first = weight(&gpu, &mut rng, kind, n_out, n_in);
            // More bytes than the caches of a card hold.
            let copies = (200_000_000 / first.n_bytes() as usize + 1).min(24);
            let mut weights = vec![first];
            weights.extend((1..copies).map(|_| weight(&gpu, &mut rng, kind, n_out, n_in)));
            let whole = weight(&gpu, &mut rng, kind, 64, n_in);
            drop(whole);
            let plain = gpu
                .download_f32(&dequantise(&gpu, &weights[0]).unwrap())
                .unwrap();
            let plain = &plain[..64 * n_in];
            for n in numbers.split(',').map(|n| n.parse::<usize>().unwrap()) {
                let x: Vec<f32> = (0..n * n_in).map(|_| rng.random_range(-1.0..1.0)).collect();
                let on_card = gpu.upload_f32(&x).unwrap();
                for path in paths(n, &wanted) {
                    let once = |w: &Weight| match path {
                        Some(path) => product_by(&gpu, path, &on_card, n, w),
                        None => product(&gpu, &on_card, n, w),
                    };
                    let y = match once(&weights[0]) {
                        Ok(y) => y,
                        Err(error) => {
                            println!("{kind:?} {n} {shape} {path:?}: {error}");
                            return;
                        }
                    };
                    let off = off(&gpu, &y, &x, plain, n, n_in, n_out);
                    drop(y);
                    let flops = 2.0 * (n * n_out * n_in) as f64;
                    let reps = ((3e12 / flops) as usize).clamp(12, 100);
                    let s = time(&gpu, &weights, reps, |w| once(w).unwrap());
                    let bytes = weights[0].n_bytes() as f64 + ((n * n_in + n * n_out) * 4) as f64;
                    println!(
                        "{kind:?} {n} x {n_in} -> {n_out}: {:.3} ms {:.1} TFLOP/s {:.0} GB/s off {off:.1e} {path:?}",
                        s * 1e3,
                        flops / s / 1e12,
                        bytes / s / 1e9
                    );
                }
                if wanted.contains("back") {
                    let dy: Vec<f32> = (0..n * n_out)
                        .map(|_| rng.random_range(-1.0..1.0))
                        .collect();
                    let dy = gpu.upload_f32(&dy).unwrap();
                    let s = time(&gpu, &weights, 12, |w| {
                        product_back(&gpu, &dy, n, w).unwrap()
                    });
                    let flops = 2.0 * (n * n_out * n_in) as f64;
                    println!(
                        "{kind:?} {n} x {n_out} -> {n_in} back: {:.3} ms {:.1} TFLOP/s",
                        s * 1e3,
                        flops / s / 1e12
                    );
                }
            }
        }
    }
}
