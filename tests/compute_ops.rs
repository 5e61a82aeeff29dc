//! The kernels for single elements, pairs, copies and reductions against plain loops on the CPU.
//!
//! Rows and heads, attention and the reading of logits have files of their own.

#![allow(clippy::unwrap_used)]

mod compute_support;

use compute_support::{Dice, assert_apart, assert_close, gpu};
use patchglass::compute::ops::{self, Binary, Reduce, Strided, Unary};

fn erf(x: f64) -> f64 {
    // The series converges well below 4, and beyond erf is 1 to 2e-8.
    if x.abs() > 4.0 {
        return x.signum();
    }
    let (mut sum, mut term) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

fn unary_twin(op: Unary, x: f32) -> f32 {
    let x = f64::from(x);
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let y = match op {
        Unary::Exp => x.exp(),
        Unary::Log => x.ln(),
        Unary::Sqr => x * x,
        Unary::Sqrt => x.sqrt(),
        Unary::Neg => -x,
        Unary::Abs => x.abs(),
        Unary::Recip => 1.0 / x,
        Unary::Tanh => x.tanh(),
        Unary::Sigmoid => sigmoid(x),
        Unary::Silu => x * sigmoid(x),
        Unary::QuickGelu => x * sigmoid(1.702 * x),
        Unary::GeluErf => 0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2)),
        Unary::Gelu => {
            0.5 * x * (1.0 + (0.797_884_560_802_865_4 * x * (1.0 + 0.044715 * x * x)).tanh())
        }
        Unary::Relu => x.max(0.0),
    };
    y as f32
}

const UNARY: [Unary; 14] = [
    Unary::Exp,
    Unary::Log,
    Unary::Sqr,
    Unary::Sqrt,
    Unary::Neg,
    Unary::Abs,
    Unary::Recip,
    Unary::Tanh,
    Unary::Sigmoid,
    Unary::Silu,
    Unary::QuickGelu,
    Unary::GeluErf,
    Unary::Gelu,
    Unary::Relu,
];

#[test]
fn functions_of_one_element() {
    let Some(gpu) = gpu() else { return };
    for (n, first) in [(1, 0), (1000, 0), (1000, 4), (1003, 3)] {
        for op in UNARY {
            let mut x = Dice::new(n as u64).floats(first + n, 8.0);
            if matches!(op, Unary::Log | Unary::Sqrt | Unary::Recip) {
                x.iter_mut().for_each(|x| *x = x.abs() + 0.05);
            }
            let on_card = gpu.upload_f32(&x).unwrap().slice(first, n).unwrap();
            let found = gpu
                .download_f32(&ops::unary(gpu, op, &on_card, n).unwrap())
                .unwrap();
            let expected: Vec<f32> = x[first..].iter().map(|x| unary_twin(op, *x)).collect();
            assert_close(
                &found,
                &expected,
                1e-5,
                &format!("{op:?} of {n} from {first}"),
            );
            let wrong: Vec<f32> = expected.iter().map(|y| y * 1.001 + 1e-3).collect();
            assert_apart(&found, &wrong, 1e-5, "a wrong function");
        }
    }
}

#[test]
fn functions_stay_finite_far_out() {
    let Some(gpu) = gpu() else { return };
    let x = [-3e4, -200.0, -90.0, 90.0, 200.0, 3e4];
    let on_card = gpu.upload_f32(&x).unwrap();
    for op in [
        Unary::Tanh,
        Unary::Sigmoid,
        Unary::Silu,
        Unary::QuickGelu,
        Unary::GeluErf,
        Unary::Gelu,
    ] {
        let found = gpu
            .download_f32(&ops::unary(gpu, op, &on_card, 6).unwrap())
            .unwrap();
        let expected = x.map(|x| unary_twin(op, x));
        assert_close(&found, &expected, 1e-6, &format!("{op:?}"));
    }
}

#[test]
fn lines_and_bounds() {
    let Some(gpu) = gpu() else { return };
    let x = Dice::new(1).floats(77, 3.0);
    let on_card = gpu.upload_f32(&x).unwrap();
    let found = gpu
        .download_f32(&ops::affine(gpu, &on_card, 77, -1.5, 0.25).unwrap())
        .unwrap();
    let expected: Vec<f32> = x.iter().map(|x| x * -1.5 + 0.25).collect();
    assert_close(&found, &expected, 1e-6, "affine");
    assert_apart(&found, &x, 1e-6, "no line");
    let found = gpu
        .download_f32(&ops::clamp(gpu, &on_card, 77, -1.0, 0.5).unwrap())
        .unwrap();
    let expected: Vec<f32> = x.iter().map(|x| x.clamp(-1.0, 0.5)).collect();
    assert_close(&found, &expected, 0.0, "clamp");
    assert_apart(&found, &x, 1e-6, "no bounds");
    let found = gpu.download(&ops::fill(gpu, 300, 7).unwrap()).unwrap();
    assert_eq!(found, [7; 300]);
}

/// The elements of a view, in order.
fn gather(words: &[f32], first: usize, dims: &[usize], strides: &[usize]) -> Vec<f32> {
    let n: usize = dims.iter().product();
    let at = |mut i: usize| {
        let mut from = first;
        for (n, stride) in dims.iter().zip(strides).rev() {
            from += i % n * stride;
            i /= n;
        }
        words[from]
    };
    (0..n).map(at).collect()
}

fn binary_twin(op: Binary, a: f32, b: f32) -> f32 {
    match op {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Max => a.max(b),
        Binary::Min => a.min(b),
        Binary::Greater => f32::from(u8::from(a > b)),
    }
}

#[test]
fn functions_of_two_elements() {
    let Some(gpu) = gpu() else { return };
    let mut dice = Dice::new(2);
    let (a, b) = (dice.floats(5000, 3.0), dice.floats(5000, 3.0));
    let (on_a, on_b) = (gpu.upload_f32(&a).unwrap(), gpu.upload_f32(&b).unwrap());
    type Case<'a> = (&'a [usize], usize, &'a [usize], usize, &'a [usize]);
    let cases: &[Case<'_>] = &[
        (&[1], 0, &[1], 0, &[1]),
        (&[40, 100], 0, &[100, 1], 0, &[100, 1]),
        (&[40, 100], 8, &[100, 1], 4, &[0, 1]),
        (&[40, 101], 3, &[101, 1], 1, &[0, 1]),
        (&[2, 20, 100], 0, &[2000, 100, 1], 0, &[0, 0, 1]),
        (&[40, 100], 0, &[100, 1], 0, &[1, 0]),
        (&[40, 100], 0, &[0, 1], 0, &[100, 1]),
        (&[40, 100], 0, &[100, 1], 17, &[0, 0]),
        (&[7, 5, 3], 2, &[1, 7, 35], 5, &[15, 3, 1]),
        (&[3, 4, 5, 6], 1, &[120, 1, 24, 4], 9, &[1, 18, 0, 3]),
        (
            &[2, 3, 4, 5, 6],
            1,
            &[1, 360, 2, 72, 8],
            0,
            &[360, 120, 30, 6, 1],
        ),
    ];
    for (dims, first_a, strides_a, first_b, strides_b) in cases {
        let from_a = Strided {
            data: &on_a,
            first: *first_a,
            dims,
            strides: strides_a,
        };
        let from_b = Strided {
            data: &on_b,
            first: *first_b,
            dims,
            strides: strides_b,
        };
        let twin = |op, first_b| -> Vec<f32> {
            let pairs = gather(&a, *first_a, dims, strides_a).into_iter();
            let pairs = pairs.zip(gather(&b, first_b, dims, strides_b));
            pairs.map(|(a, b)| binary_twin(op, a, b)).collect()
        };
        for op in [
            Binary::Add,
            Binary::Sub,
            Binary::Mul,
            Binary::Div,
            Binary::Max,
            Binary::Min,
            Binary::Greater,
        ] {
            let found = gpu
                .download_f32(&ops::binary(gpu, op, &from_a, &from_b).unwrap())
                .unwrap();
            assert_close(
                &found,
                &twin(op, *first_b),
                1e-5,
                &format!("{op:?} {dims:?}"),
            );
            if found.len() > 100 {
                assert_apart(&found, &twin(op, first_b + 1), 1e-5, "one word further");
            }
        }
    }
    let short = Strided {
        data: &on_a,
        first: 0,
        dims: &[50, 101],
        strides: &[101, 1],
    };
    assert!(
        ops::binary(gpu, Binary::Add, &short, &short).is_err(),
        "beyond the end"
    );
}

#[test]
fn copies_and_writes() {
    let Some(gpu) = gpu() else { return };
    let x = Dice::new(3).floats(6000, 1.0);
    let on_card = gpu.upload_f32(&x).unwrap();
    let cases: &[(&[usize], usize, &[usize])] = &[
        (&[6000], 0, &[1]),
        (&[1, 1], 5, &[1, 1]),
        (&[8, 12, 40], 0, &[480, 40, 1]),
        (&[12, 8, 40], 0, &[40, 480, 1]),
        (&[12, 8, 41], 3, &[41, 492, 1]),
        (&[40, 30], 7, &[1, 40]),
        (&[3, 4, 5, 6], 2, &[1, 3, 72, 12]),
        (&[2, 3, 4, 5, 6], 1, &[1, 360, 2, 72, 8]),
        (&[5, 6, 4], 0, &[0, 100, 1]),
    ];
    for (dims, first, strides) in cases {
        let view = Strided {
            data: &on_card,
            first: *first,
            dims,
            strides,
        };
        let found = gpu.download_f32(&ops::copy(gpu, &view).unwrap()).unwrap();
        let expected = gather(&x, *first, dims, strides);
        assert_close(&found, &expected, 0.0, &format!("{dims:?} {strides:?}"));
        if found.len() > 10 && found.len() < 6000 {
            assert_apart(
                &found,
                &gather(&x, first + 1, dims, strides),
                1e-6,
                "one word further",
            );
        }
    }
    for (dims, first, strides) in &cases[..8] {
        let n: usize = dims.iter().product();
        let target = ops::fill(gpu, 6000, (-5f32).to_bits()).unwrap();
        ops::write_into(gpu, &target, *first, strides, dims, &on_card).unwrap();
        let found = gpu.download_f32(&target).unwrap();
        assert_close(
            &gather(&found, *first, dims, strides),
            &x[..n],
            0.0,
            "what was written",
        );
        let untouched = found.iter().filter(|x| **x == -5.0).count();
        assert_eq!(untouched, 6000 - n, "{dims:?}");
    }
    let whole = Strided {
        data: &on_card,
        first: 1,
        dims: &[6000],
        strides: &[1],
    };
    assert!(ops::copy(gpu, &whole).is_err(), "beyond the end");
    assert!(
        ops::write_into(
            gpu,
            &on_card,
            0,
            &[1],
            &[10],
            &on_card.slice(20, 10).unwrap()
        )
        .is_err(),
        "a buffer that is read and written"
    );
}

#[test]
fn picking_rows() {
    let Some(gpu) = gpu() else { return };
    for (outer, n, inner) in [(1, 50, 64), (3, 20, 7), (2, 9, 1), (1, 5, 0)] {
        let x = Dice::new(4).floats(outer * n * inner, 1.0);
        let ids: Vec<u32> = (0..13).map(|i| (i * 7 % n) as u32).collect();
        let on_card = gpu.upload_f32(&x).unwrap();
        let found = ops::index_select(gpu, &on_card, outer, n, inner, &ids).unwrap();
        let found = gpu.download_f32(&found).unwrap();
        let pick = |shift: usize| -> Vec<f32> {
            let rows =
                (0..outer).flat_map(|o| ids.iter().map(move |id| (o, (*id as usize + shift) % n)));
            rows.flat_map(|(o, id)| x[(o * n + id) * inner..][..inner].to_vec())
                .collect()
        };
        assert_close(&found, &pick(0), 0.0, "rows");
        if inner > 0 {
            assert_apart(&found, &pick(1), 1e-6, "the next rows");
        }
        assert!(ops::index_select(gpu, &on_card, outer, n, inner, &[n as u32]).is_err());
    }
}

#[test]
fn reductions() {
    let Some(gpu) = gpu() else { return };
    let sizes = [
        (1, 1, 1),
        (5, 300, 1),
        (1, 4099, 1),
        (300, 7, 1),
        (2, 37, 50),
        (1, 600, 33),
    ];
    for (outer, n, inner) in sizes {
        let x = Dice::new(5).floats(outer * n * inner, 2.0);
        let on_card = gpu.upload_f32(&x).unwrap();
        for op in [Reduce::Sum, Reduce::Max, Reduce::Min] {
            let found = gpu.download_f32(&ops::reduce(gpu, op, &on_card, outer, n, inner).unwrap());
            let twin = |n_taken: usize| -> Vec<f32> {
                let results = (0..outer).flat_map(|o| (0..inner).map(move |i| (o, i)));
                let one = |(o, i)| {
                    let values = (0..n_taken).map(|j| f64::from(x[(o * n + j) * inner + i]));
                    match op {
                        Reduce::Sum => values.sum::<f64>() as f32,
                        Reduce::Max => values.fold(f64::MIN, f64::max) as f32,
                        Reduce::Min => values.fold(f64::MAX, f64::min) as f32,
                    }
                };
                results.map(one).collect()
            };
            let found = found.unwrap();
            assert_close(
                &found,
                &twin(n),
                1e-5,
                &format!("{op:?} {outer} {n} {inner}"),
            );
            if op == Reduce::Sum && outer * inner > 20 {
                assert_apart(&found, &twin(n - 1), 1e-5, "one element less");
            }
        }
    }
}

#[test]
fn a_maximum_may_be_infinite() {
    let Some(gpu) = gpu() else { return };
    let x = gpu.upload_f32(&[f32::NEG_INFINITY; 200]).unwrap();
    for (n, inner) in [(200, 1), (50, 4)] {
        let found = gpu
            .download_f32(&ops::reduce(gpu, Reduce::Max, &x, 1, n, inner).unwrap())
            .unwrap();
        assert!(found.iter().all(|x| *x == f32::NEG_INFINITY));
    }
}

#[test]
fn gates() {
    let Some(gpu) = gpu() else { return };
    for (n, ff) in [(1, 1), (5, 64), (9, 53)] {
        let x = Dice::new(9).floats(2 * n * ff, 6.0);
        let on_card = gpu.upload_f32(&x).unwrap();
        let found = gpu
            .download_f32(&ops::silu_mul(gpu, &on_card, n, ff).unwrap())
            .unwrap();
        let twin = |swap: bool| -> Vec<f32> {
            let rows = x.chunks(2 * ff).flat_map(|row| {
                let (one, two) = row.split_at(ff);
                let (gate, up) = if swap { (two, one) } else { (one, two) };
                gate.iter()
                    .zip(up)
                    .map(|(g, u)| unary_twin(Unary::Silu, *g) * u)
            });
            rows.collect()
        };
        assert_close(&found, &twin(false), 1e-5, "gates");
        assert_apart(&found, &twin(true), 1e-5, "gates for values");
    }
}

#[test]
fn many_elements_take_two_dimensions_of_workgroups() {
    let Some(gpu) = gpu() else { return };
    // 70,000 rows are more than a dimension of workgroups holds.
    let x = Dice::new(11).floats(70_000 * 64, 1.0);
    let on_card = gpu.upload_f32(&x).unwrap();
    let found = gpu.download_f32(&ops::reduce(gpu, Reduce::Sum, &on_card, 70_000, 64, 1).unwrap());
    let expected: Vec<f32> = x.chunks(64).map(|row| row.iter().sum()).collect();
    assert_close(&found.unwrap(), &expected, 1e-5, "sums of many rows");
}
