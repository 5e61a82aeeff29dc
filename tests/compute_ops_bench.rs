//! How long the kernels other than products take at the sizes of a 7B model, on the first adapter: run it with
//! `--ignored --nocapture`. It checks nothing. SMALL=1 takes sizes that a software adapter can do.

#![allow(clippy::unwrap_used)]

mod compute_support;

use std::time::Instant;

use compute_support::{Dice, gpu};
use patchglass::compute::ops::{
    self, AttentionPlan, AttentionShape, Binary, Blocked, Keys, Strided, Unary, attention_by,
};
use patchglass::compute::{Gpu, Slice};

/// Milliseconds of one call, the best of three series; `bytes` and `flops` say what it moves and computes at least.
fn time<T>(gpu: &Gpu, what: &str, bytes: usize, flops: usize, call: impl Fn() -> T) {
    let repeats = if is_small() { 2 } else { 50 };
    let series = |_| {
        call();
        gpu.wait().unwrap();
        let start = Instant::now();
        (0..repeats).for_each(|_| drop(call()));
        gpu.wait().unwrap();
        start.elapsed().as_secs_f64() * 1e3 / f64::from(repeats)
    };
    let best = (0..3).map(series).fold(f64::MAX, f64::min);
    let (gigabytes, teraflops) = (bytes as f64 / best / 1e6, flops as f64 / best / 1e9);
    println!("{what:<58} {best:>9.4} ms {gigabytes:>8.1} GB/s {teraflops:>7.2} TFLOP/s");
}

fn is_small() -> bool {
    std::env::var("SMALL").is_ok()
}

fn random(gpu: &Gpu, n: usize) -> Slice {
    gpu.upload_f32(&Dice::new(n as u64).floats(n, 1.0)).unwrap()
}

fn rows(gpu: &Gpu, n: usize, d: usize, ff: usize) {
    let (x, y, wide) = (
        random(gpu, n * d),
        random(gpu, n * d),
        random(gpu, 2 * n * ff),
    );
    let (weight, bias) = (random(gpu, d), random(gpu, d));
    let words = n * d;
    time(gpu, &format!("rms_norm {n} x {d}"), 8 * words, 0, || {
        ops::rms_norm(gpu, &x, n, d, &weight, 1e-5).unwrap()
    });
    time(
        gpu,
        &format!("add_rms_norm {n} x {d}"),
        16 * words,
        0,
        || ops::add_rms_norm(gpu, &x, &y, n, d, &weight, 1e-5).unwrap(),
    );
    time(gpu, &format!("layer_norm {n} x {d}"), 8 * words, 0, || {
        ops::layer_norm(gpu, &x, n, d, (&weight, &bias), 1e-5).unwrap()
    });
    time(gpu, &format!("silu_mul {n} x {ff}"), 12 * n * ff, 0, || {
        ops::silu_mul(gpu, &wide, n, ff).unwrap()
    });
    time(gpu, &format!("quick_gelu {n} x {d}"), 8 * words, 0, || {
        ops::unary(gpu, Unary::QuickGelu, &x, words).unwrap()
    });
    time(
        gpu,
        &format!("row_norms {n} x {d}, two"),
        8 * words,
        0,
        || ops::row_norms(gpu, &x, Some(&y), n, d).unwrap(),
    );
    pairs(gpu, [&x, &y, &weight], n, d);
    let ids: Vec<u32> = (0..n as u32).rev().collect();
    time(
        gpu,
        &format!("index_select {n} x {d}, with its upload"),
        8 * words,
        0,
        || ops::index_select(gpu, &x, 1, n, d, &ids).unwrap(),
    );
    time(
        gpu,
        &format!("sum over rows of {n} x {d}"),
        4 * words,
        0,
        || ops::reduce(gpu, ops::Reduce::Sum, &x, 1, n, d).unwrap(),
    );
    time(
        gpu,
        &format!("sum within rows of {n} x {d}"),
        4 * words,
        0,
        || ops::reduce(gpu, ops::Reduce::Sum, &x, n, d, 1).unwrap(),
    );
}

fn pairs(gpu: &Gpu, [x, y, weight]: [&Slice; 3], n: usize, d: usize) {
    let dims = &[n, d];
    let view = |data, strides| Strided {
        data,
        first: 0,
        dims,
        strides,
    };
    let whole = &[d, 1];
    let cases: [(&str, &Slice, &[usize], usize); 3] = [
        ("add", y, whole, 12),
        ("add a bias", weight, &[0, 1], 8),
        ("multiply by a number a row", y, &[1, 0], 8),
    ];
    for (what, other, strides, bytes) in cases {
        time(gpu, &format!("{what} {n} x {d}"), bytes * n * d, 0, || {
            ops::binary(gpu, Binary::Add, &view(x, whole), &view(other, strides)).unwrap()
        });
    }
    let turned = Strided {
        data: x,
        first: 0,
        dims: &[d, n],
        strides: &[1, d],
    };
    time(
        gpu,
        &format!("copy of the transpose of {n} x {d}"),
        8 * n * d,
        0,
        || ops::copy(gpu, &turned).unwrap(),
    );
}

fn heads(gpu: &Gpu, n: usize, heads: usize, d: usize) {
    let qkv = random(gpu, 3 * n * heads * d);
    let tables = (random(gpu, n * d / 2), random(gpu, n * d / 2));
    let tables = Some((&tables.0, &tables.1));
    time(
        gpu,
        &format!("split_heads {n} x 3 x {heads} x {d}"),
        24 * n * heads * d,
        0,
        || ops::split_heads(gpu, &qkv, tables, 1, n, heads, heads, d).unwrap(),
    );
    let part = qkv.slice(0, n * heads * d).unwrap();
    time(
        gpu,
        &format!("merge_heads {n} x {heads} x {d}"),
        8 * n * heads * d,
        0,
        || ops::merge_heads(gpu, &part, 1, n, heads, d).unwrap(),
    );
    let room = ops::fill(gpu, (n + 64) * heads * d, 0).unwrap();
    let (strides, dims) = (&[(n + 64) * d, d, 1], &[heads, n, d]);
    time(
        gpu,
        &format!("write_into a cache {heads} x {n} x {d}"),
        8 * n * heads * d,
        0,
        || ops::write_into(gpu, &room, 0, strides, dims, &part).unwrap(),
    );
}

fn attend(gpu: &Gpu, shape: AttentionShape, plans: &[AttentionPlan], is_masked: bool) {
    let s = &shape;
    let q = random(gpu, s.heads * s.n * s.d_head);
    let room = (s.n_keys + 64) * s.d_head;
    let (k, v) = (
        random(gpu, s.kv_heads * room),
        random(gpu, s.kv_heads * room),
    );
    let keys = Keys {
        k: &k,
        k_stride: room,
        v: &v,
        v_stride: room,
    };
    let bits = ops::fill(gpu, s.n * s.n_keys.div_ceil(32), 0).unwrap();
    let blocked = is_masked.then_some(Blocked {
        bits: &bits,
        heads: 1,
    });
    let pairs = match s.causal && s.first_pos == 0 {
        true => s.n * (s.n + 1) / 2,
        false => s.n * s.n_keys,
    };
    let flops = 4 * s.heads * pairs * s.d_head;
    let bytes = 4 * s.d_head * (2 * s.heads * s.n + 2 * s.kv_heads * s.n_keys);
    let matrix = ops::has_matrix_plan(gpu, s.d_head) && s.n > 4;
    for plan in plans.iter().chain(matrix.then_some(&AttentionPlan::Matrix)) {
        let what = format!(
            "attention {} x {} q x {} keys x {} {plan:?}{}{}",
            s.heads,
            s.n,
            s.n_keys,
            s.d_head,
            if s.causal { "" } else { " full" },
            if is_masked { " masked" } else { "" }
        );
        time(gpu, &what, bytes, flops, || {
            attention_by(gpu, *plan, &q, &keys, blocked, s).unwrap()
        });
    }
}

fn scores(gpu: &Gpu, heads: usize, n: usize, d: usize) {
    let (q, k) = (random(gpu, heads * n * d), random(gpu, heads * n * d));
    let shape = decoder(heads, n, n, d);
    let out = ops::masked_scores(gpu, &q, &k, n * d, None, &shape).unwrap();
    time(
        gpu,
        &format!("masked_scores {heads} x {n} x {n}"),
        4 * out.len(),
        2 * out.len() * d,
        || ops::masked_scores(gpu, &q, &k, n * d, None, &shape).unwrap(),
    );
    time(
        gpu,
        &format!("softmax {heads} x {n} x {n}"),
        8 * out.len(),
        0,
        || ops::softmax(gpu, &out, heads * n, n).unwrap(),
    );
}

fn decoder(heads: usize, n: usize, n_keys: usize, d_head: usize) -> AttentionShape {
    AttentionShape {
        batch: 1,
        n,
        heads,
        kv_heads: heads,
        d_head,
        n_keys,
        first_pos: n_keys - n,
        causal: true,
    }
}

#[test]
#[ignore = "takes long and checks nothing"]
fn how_fast_the_kernels_are() {
    let Some(gpu) = gpu() else { return };
    let (n, d, ff, n_heads) = if is_small() {
        (40, 512, 1376, 4)
    } else {
        (600, 4096, 11008, 32)
    };
    let d_head = d / n_heads;
    rows(gpu, n, d, ff);
    heads(gpu, n, n_heads, d_head);
    let tiled = |splits| AttentionPlan::Tiled { splits };
    attend(
        gpu,
        decoder(n_heads, n, n, d_head),
        &[tiled(1), tiled(2)],
        false,
    );
    attend(gpu, decoder(n_heads, n, n, d_head), &[tiled(1)], true);
    attend(
        gpu,
        decoder(n_heads, 20, n, d_head),
        &[tiled(1), tiled(4), tiled(10), AttentionPlan::Few],
        false,
    );
    attend(
        gpu,
        decoder(n_heads, 4, n, d_head),
        &[tiled(10), AttentionPlan::Few],
        false,
    );
    attend(
        gpu,
        decoder(n_heads, 1, n, d_head),
        &[tiled(10), AttentionPlan::Few],
        false,
    );
    let vision = AttentionShape {
        causal: false,
        ..decoder(n_heads / 2, n - 23, n - 23, 64)
    };
    attend(gpu, vision, &[tiled(1), tiled(2)], false);
    scores(gpu, n_heads, n, d_head);
    let vocab = if is_small() { 4000 } else { 32_064 };
    let logits = random(gpu, n * vocab);
    for k in [5, 10, 64] {
        time(
            gpu,
            &format!("read_logits {n} x {vocab}, {k} best"),
            4 * n * vocab,
            0,
            || ops::read_logits(gpu, &logits, n, vocab, vocab, k).unwrap(),
        );
    }
}
