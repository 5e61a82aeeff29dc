//! Weights as checkpoints hold them, their values as their formats define them, and sums over those in f64.

#![allow(dead_code)]

use half::f16;
use patchglass::compute::{Gpu, Kind, Slice, Weight, Without, adapters};
use rand::{Rng, SeedableRng, rngs::StdRng};

pub const KINDS: [Kind; 4] = [Kind::F32, Kind::F16, Kind::Q8_0, Kind::Q4K];

/// What rounding x and the weight to f16 makes of a product, at most.
pub const HALF: f64 = 5e-3;
pub const SINGLE: f64 = 2e-5;

pub fn gpu(without: Without) -> Option<Gpu> {
    let Some(first) = adapters().into_iter().next() else {
        println!("skipped: no Vulkan adapter");
        return None;
    };
    Some(Gpu::open(Some(first.index), without).unwrap())
}

pub fn widths(kind: Kind) -> &'static [usize] {
    match kind {
        Kind::F32 | Kind::F16 => &[5, 32, 300, 588],
        Kind::Q8_0 => &[32, 96, 608],
        Kind::Q4K => &[256, 768],
    }
}

pub fn random(rng: &mut StdRng, n: usize) -> Vec<f32> {
    (0..n).map(|_| rng.random_range(-1.0..1.0)).collect()
}

pub fn half_bytes(value: f32) -> [u8; 2] {
    f16::from_f32(value).to_le_bytes()
}

pub fn half_at(bytes: &[u8]) -> f64 {
    f16::from_le_bytes([bytes[0], bytes[1]]).to_f64()
}

/// Random bytes of a weight, as a checkpoint or a ggml file has them.
pub fn random_bytes(rng: &mut StdRng, kind: Kind, n: usize) -> Vec<u8> {
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
pub fn values(kind: Kind, bytes: &[u8]) -> Vec<f64> {
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

pub fn q4k(block: &[u8]) -> Vec<f64> {
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

pub struct Case {
    pub weight: Weight,
    pub values: Vec<f64>,
    pub x: Vec<f32>,
    pub on_card: Slice,
    pub n: usize,
}

pub fn build(gpu: &Gpu, rng: &mut StdRng, kind: Kind, shape: (usize, usize)) -> (Weight, Vec<f64>) {
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

pub fn case(gpu: &Gpu, kind: Kind, (n, n_out, n_in): (usize, usize, usize)) -> Case {
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
pub fn difference(
    got: &[f32],
    x: &[f32],
    w: &[f64],
    (n, n_out, n_in): (usize, usize, usize),
) -> f64 {
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
