//! The kernels for rows and heads, softmax, norms, splitting and merging, against plain loops on the CPU.

#![allow(clippy::unwrap_used)]

mod compute_support;

use compute_support::{Dice, assert_apart, assert_close, gpu};
use patchglass::compute::ops::{self, AttentionShape, Keys};
use patchglass::compute::{Gpu, Slice};

fn softmax_twin(x: &[f32], width: usize) -> Vec<f32> {
    let rows = x.chunks(width).flat_map(|row| {
        let max = row.iter().copied().fold(f32::MIN, f32::max);
        let weights: Vec<f64> = row.iter().map(|x| f64::from(x - max).exp()).collect();
        let sum: f64 = weights.iter().sum();
        weights
            .into_iter()
            .map(move |w| if sum > 0.0 { (w / sum) as f32 } else { 0.0 })
    });
    rows.collect()
}

#[test]
fn softmax_of_rows() {
    let Some(gpu) = gpu() else { return };
    for (rows, width) in [(1, 1), (3, 600), (70, 33), (2, 5000)] {
        let mut x = Dice::new(6).floats(rows * width, 6.0);
        if width > 1 {
            x.iter_mut().step_by(5).for_each(|x| *x = f32::NEG_INFINITY);
            x[..width].fill(f32::NEG_INFINITY);
        }
        let on_card = gpu.upload_f32(&x).unwrap();
        let found = gpu
            .download_f32(&ops::softmax(gpu, &on_card, rows, width).unwrap())
            .unwrap();
        assert_close(&found, &softmax_twin(&x, width), 1e-6, "softmax");
        let warm: Vec<f32> = x.iter().map(|x| x * 0.9).collect();
        if width > 1 {
            assert_apart(
                &found,
                &softmax_twin(&warm, width),
                1e-6,
                "another temperature",
            );
        }
    }
}

#[test]
fn norms_of_rows() {
    let Some(gpu) = gpu() else { return };
    for (n, d) in [(1, 8), (7, 33), (5, 4096), (3, 1027)] {
        let mut dice = Dice::new(7);
        let (a, b) = (dice.floats(n * d, 2.0), dice.floats(n * d, 2.0));
        let (on_a, on_b) = (gpu.upload_f32(&a).unwrap(), gpu.upload_f32(&b).unwrap());
        let norm = |x: &[f32], y: &[f32]| {
            let squares = x.iter().zip(y).map(|(x, y)| f64::from(x - y).powi(2));
            squares.sum::<f64>().sqrt() as f32
        };
        let twin = |b: &[f32]| -> Vec<f32> {
            let zeros = vec![0.0; d];
            let rows = a.chunks(d).zip(b.chunks(d));
            rows.flat_map(|(a, b)| [norm(a, &zeros), norm(b, &zeros), norm(a, b)])
                .collect()
        };
        let found = ops::row_norms(gpu, &on_a, Some(&on_b), n, d).unwrap();
        let found = gpu.download_f32(&found).unwrap();
        assert_close(&found, &twin(&b), 1e-5, "norms of two");
        assert_apart(&found, &twin(&a), 1e-5, "norms of one");
        let found = gpu
            .download_f32(&ops::row_norms(gpu, &on_a, None, n, d).unwrap())
            .unwrap();
        assert_close(&found, &twin(&a), 1e-5, "norms of one");
    }
}

fn rms_twin(x: &[f32], weight: &[f32], eps: f32) -> Vec<f32> {
    let d = weight.len();
    let rows = x.chunks(d).flat_map(|row| {
        let squares: f64 = row.iter().map(|x| f64::from(*x).powi(2)).sum();
        let scale = 1.0 / (squares / d as f64 + f64::from(eps)).sqrt();
        row.iter()
            .zip(weight)
            .map(move |(x, w)| (f64::from(*x) * scale * f64::from(*w)) as f32)
    });
    rows.collect()
}

fn layer_twin(x: &[f32], weight: &[f32], bias: &[f32], eps: f32) -> Vec<f32> {
    let d = weight.len();
    let rows = x.chunks(d).flat_map(|row| {
        let mean = row.iter().map(|x| f64::from(*x)).sum::<f64>() / d as f64;
        let variance = row
            .iter()
            .map(|x| (f64::from(*x) - mean).powi(2))
            .sum::<f64>()
            / d as f64;
        let scale = 1.0 / (variance + f64::from(eps)).sqrt();
        let parts = row.iter().zip(weight.iter().zip(bias));
        parts.map(move |(x, (w, b))| ((f64::from(*x) - mean) * scale * f64::from(*w)) as f32 + b)
    });
    rows.collect()
}

#[test]
fn normed_rows() {
    let Some(gpu) = gpu() else { return };
    for (n, d) in [(1, 8), (7, 33), (5, 4096), (3, 1026)] {
        let mut dice = Dice::new(8);
        let (x, delta) = (dice.floats(n * d, 3.0), dice.floats(n * d, 1.0));
        let (weight, bias) = (dice.floats(d, 1.0), dice.floats(d, 1.0));
        let up = |x: &[f32]| gpu.upload_f32(x).unwrap();
        let (on_x, on_delta, on_weight, on_bias) = (up(&x), up(&delta), up(&weight), up(&bias));
        let found = ops::rms_norm(gpu, &on_x, n, d, &on_weight, 1e-5).unwrap();
        let found = gpu.download_f32(&found).unwrap();
        assert_close(&found, &rms_twin(&x, &weight, 1e-5), 1e-5, "rms norm");
        assert_apart(&found, &rms_twin(&x, &weight, 1e-1), 1e-5, "another eps");

        let sum: Vec<f32> = x.iter().zip(&delta).map(|(x, y)| x + y).collect();
        let (summed, normed) =
            ops::add_rms_norm(gpu, &on_x, &on_delta, n, d, &on_weight, 1e-5).unwrap();
        assert_close(&gpu.download_f32(&summed).unwrap(), &sum, 0.0, "the sum");
        let normed = gpu.download_f32(&normed).unwrap();
        assert_close(&normed, &rms_twin(&sum, &weight, 1e-5), 1e-5, "its norm");
        assert_apart(&normed, &rms_twin(&x, &weight, 1e-5), 1e-5, "a lost sum");

        let found = ops::layer_norm(gpu, &on_x, n, d, (&on_weight, &on_bias), 1e-5).unwrap();
        let found = gpu.download_f32(&found).unwrap();
        assert_close(
            &found,
            &layer_twin(&x, &weight, &bias, 1e-5),
            2e-5,
            "layer norm",
        );
        assert_apart(&found, &rms_twin(&x, &weight, 1e-5), 2e-5, "another norm");
    }
}

struct Heads {
    batch: usize,
    n: usize,
    heads: usize,
    kv_heads: usize,
    d: usize,
}

/// The head of row `row` of sequence `s` at place `head` among all of a row.
fn split_twin(x: &[f32], tables: Option<(&[f32], &[f32])>, h: &Heads) -> Vec<f32> {
    let all = h.heads + 2 * h.kv_heads;
    let mut out = Vec::new();
    for (first, count, rotates) in [
        (0, h.heads, true),
        (h.heads, h.kv_heads, true),
        (h.heads + h.kv_heads, h.kv_heads, false),
    ] {
        for (s, head) in
            (0..h.batch).flat_map(|s| (first..first + count).map(move |head| (s, head)))
        {
            for row in 0..h.n {
                let from = &x[((s * h.n + row) * all + head) * h.d..][..h.d];
                match tables.filter(|_| rotates) {
                    Some((cos, sin)) => {
                        let half = h.d / 2;
                        let (c, s) = (&cos[row * half..][..half], &sin[row * half..][..half]);
                        out.extend((0..half).map(|i| from[i] * c[i] - from[i + half] * s[i]));
                        out.extend((0..half).map(|i| from[i + half] * c[i] + from[i] * s[i]));
                    }
                    None => out.extend(from),
                }
            }
        }
    }
    out
}

#[test]
fn splitting_heads() {
    let Some(gpu) = gpu() else { return };
    for (batch, n, heads, kv_heads, d) in [(1, 7, 4, 4, 8), (1, 1, 6, 2, 6), (3, 5, 4, 1, 16)] {
        let h = Heads {
            batch,
            n,
            heads,
            kv_heads,
            d,
        };
        let mut dice = Dice::new(10);
        let x = dice.floats(batch * n * (heads + 2 * kv_heads) * d, 1.0);
        let (cos, sin) = (dice.floats(n * d / 2, 1.0), dice.floats(n * d / 2, 1.0));
        let up = |x: &[f32]| gpu.upload_f32(x).unwrap();
        let (on_x, on_cos, on_sin) = (up(&x), up(&cos), up(&sin));
        let split = |tables: Option<(&Slice, &Slice)>| {
            let found = ops::split_heads(gpu, &on_x, tables, batch, n, heads, kv_heads, d);
            gpu.download_f32(&found.unwrap()).unwrap()
        };
        let found = split(Some((&on_cos, &on_sin)));
        assert_close(
            &found,
            &split_twin(&x, Some((&cos, &sin)), &h),
            1e-6,
            "rotated",
        );
        assert_apart(
            &found,
            &split_twin(&x, Some((&sin, &cos)), &h),
            1e-6,
            "tables swapped",
        );
        let found = split(None);
        assert_close(&found, &split_twin(&x, None, &h), 0.0, "as they are");
        merging_undoes(gpu, &found, &x, &h);
    }
}

/// Merging the queries of a split must give their columns of the rows again.
fn merging_undoes(gpu: &Gpu, split: &[f32], x: &[f32], h: &Heads) {
    let on_card = gpu
        .upload_f32(&split[..h.batch * h.heads * h.n * h.d])
        .unwrap();
    let found = ops::merge_heads(gpu, &on_card, h.batch, h.n, h.heads, h.d).unwrap();
    let rows = x.chunks((h.heads + 2 * h.kv_heads) * h.d);
    let expected: Vec<f32> = rows.flat_map(|row| row[..h.heads * h.d].to_vec()).collect();
    assert_close(&gpu.download_f32(&found).unwrap(), &expected, 0.0, "merged");
}

#[test]
fn splitting_into_caches() {
    let Some(gpu) = gpu() else { return };
    for (batch, n, heads, kv_heads, d, first_pos) in
        [(1, 7, 4, 4, 8, 3), (2, 1, 6, 2, 6, 0), (3, 5, 4, 1, 16, 9)]
    {
        let h = Heads {
            batch,
            n,
            heads,
            kv_heads,
            d,
        };
        let shape = AttentionShape {
            batch,
            n,
            heads,
            kv_heads,
            d_head: d,
            n_keys: first_pos + n,
            first_pos,
            causal: true,
        };
        let mut dice = Dice::new(12);
        let x = dice.floats(batch * n * (heads + 2 * kv_heads) * d, 1.0);
        let (cos, sin) = (dice.floats(n * d / 2, 1.0), dice.floats(n * d / 2, 1.0));
        let up = |x: &[f32]| gpu.upload_f32(x).unwrap();
        let (on_x, on_cos, on_sin) = (up(&x), up(&cos), up(&sin));
        let (k_stride, v_stride) = ((first_pos + n) * d + 4, (first_pos + n) * d + 9);
        let room =
            |stride: usize| ops::fill(gpu, batch * kv_heads * stride, 7f32.to_bits()).unwrap();
        let (k, v) = (room(k_stride), room(v_stride));
        let caches = Keys {
            k: &k,
            k_stride,
            v: &v,
            v_stride,
        };
        let tables = Some((&on_cos, &on_sin));
        let q = ops::split_heads_into(gpu, &on_x, tables, &caches, &shape).unwrap();
        let mut found = gpu.download_f32(&q).unwrap();
        for (cache, stride) in [(&k, k_stride), (&v, v_stride)] {
            let words = gpu.download_f32(cache).unwrap();
            for head in words.chunks(stride) {
                found.extend(&head[first_pos * d..][..n * d]);
                let around = head[..first_pos * d]
                    .iter()
                    .chain(&head[(first_pos + n) * d..]);
                assert!(
                    around.into_iter().all(|x| *x == 7.0),
                    "other positions stay"
                );
            }
        }
        let expected = split_twin(&x, Some((&cos, &sin)), &h);
        assert_close(&found, &expected, 1e-6, "rotated");
        assert_apart(&found, &split_twin(&x, None, &h), 1e-6, "not rotated");
        let beyond = AttentionShape {
            first_pos: first_pos + 2,
            ..shape
        };
        assert!(ops::split_heads_into(gpu, &on_x, tables, &caches, &beyond).is_err());
        let one = Keys {
            v: &k,
            v_stride: k_stride,
            ..caches
        };
        assert!(ops::split_heads_into(gpu, &on_x, tables, &one, &shape).is_err());
    }
}
