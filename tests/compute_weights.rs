//! Weights on the card: whole, by rows, and in several parts, against their values as their formats define them.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "compute_support/weights.rs"]
mod weights;

use patchglass::compute::{Kind, Weight, Without, dequantise, product, rows};
use rand::{SeedableRng, rngs::StdRng};
use weights::{KINDS, SINGLE, case, difference, gpu, random, random_bytes, values, widths};

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
