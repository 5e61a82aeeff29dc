//! Attention in all its plans, and its scores, against plain sums in f64 on the CPU.

#![allow(clippy::unwrap_used)]

mod compute_support;

use compute_support::{Dice, assert_apart, assert_close, gpu, worst};
use patchglass::compute::Gpu;
use patchglass::compute::ops::{
    self, AttentionPlan, AttentionShape, Blocked, Keys, attention_by, has_matrix_plan,
    masked_scores, pack_bits,
};

const PLANS: [AttentionPlan; 4] = [
    AttentionPlan::Tiled { splits: 1 },
    AttentionPlan::Tiled { splits: 2 },
    AttentionPlan::Tiled { splits: 100 },
    AttentionPlan::Few,
];

const TOLERANCE: f32 = 1e-5;

/// What one attention is given, with `gap` words between the heads of keys and of values.
#[derive(Clone)]
struct Case {
    shape: AttentionShape,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    strides: (usize, usize),
    /// A byte per pair, `[mask heads, n, keys]`.
    blocked: Option<(Vec<u8>, usize)>,
}

impl Case {
    fn new(shape: AttentionShape, gap: usize, mask_heads: Option<usize>) -> Self {
        let mut dice = Dice::new((shape.n * 1000 + shape.n_keys) as u64);
        let stride = shape.n_keys * shape.d_head;
        let strides = (stride + gap, stride + 2 * gap);
        let (heads, kv) = (shape.batch * shape.heads, shape.batch * shape.kv_heads);
        let blocked = mask_heads.map(|heads| {
            let pairs = heads * shape.n * shape.n_keys;
            let byte = |i: usize, dice: &mut Dice| {
                let (query, key) = (i / shape.n_keys % shape.n, i % shape.n_keys);
                u8::from(dice.below(3) == 0 && key != shape.first_pos + query)
            };
            ((0..pairs).map(|i| byte(i, &mut dice)).collect(), heads)
        });
        Self {
            shape,
            q: dice.floats(heads * shape.n * shape.d_head, 3.0),
            k: dice.floats(kv * strides.0, 3.0),
            v: dice.floats(kv * strides.1, 1.0),
            strides,
            blocked,
        }
    }

    fn is_hidden(&self, head: usize, query: usize, key: usize) -> bool {
        let s = &self.shape;
        let is_blocked = self.blocked.as_ref().is_some_and(|(bytes, heads)| {
            bytes[(head % heads * s.n + query) * s.n_keys + key] != 0
        });
        is_blocked || s.causal && key > s.first_pos + query
    }

    fn kv_head(&self, head: usize) -> usize {
        let s = &self.shape;
        head / s.heads * s.kv_heads + head % s.heads / (s.heads / s.kv_heads)
    }

    /// Scaled scores of one query.
    fn scores(&self, head: usize, query: usize) -> Vec<f64> {
        let (s, d) = (&self.shape, self.shape.d_head);
        let q = &self.q[(head * s.n + query) * d..][..d];
        let score = |key: usize| {
            if self.is_hidden(head, query, key) {
                return f64::NEG_INFINITY;
            }
            let k = &self.k[self.kv_head(head) * self.strides.0 + key * d..][..d];
            let sum: f64 = q
                .iter()
                .zip(k)
                .map(|(q, k)| f64::from(*q) * f64::from(*k))
                .sum();
            sum / (d as f64).sqrt()
        };
        (0..s.n_keys).map(score).collect()
    }

    fn twin(&self) -> Vec<f32> {
        let (s, d) = (&self.shape, self.shape.d_head);
        let mut out = vec![0.0; s.batch * s.n * s.heads * d];
        for head in 0..s.batch * s.heads {
            for query in 0..s.n {
                let scores = self.scores(head, query);
                let max = scores.iter().copied().fold(f64::MIN, f64::max);
                let weights: Vec<f64> = scores.iter().map(|x| (x - max).exp()).collect();
                let sum: f64 = weights.iter().sum();
                let row = head / s.heads * s.n + query;
                let to = &mut out[(row * s.heads + head % s.heads) * d..][..d];
                for (i, to) in to.iter_mut().enumerate() {
                    let values = &self.v[self.kv_head(head) * self.strides.1..];
                    let parts = weights
                        .iter()
                        .enumerate()
                        .map(|(key, w)| w * f64::from(values[key * d + i]));
                    *to = if sum > 0.0 {
                        (parts.sum::<f64>() / sum) as f32
                    } else {
                        0.0
                    };
                }
            }
        }
        out
    }

    /// On the card, everything `shift` words into its slice.
    fn with_card<T>(
        &self,
        gpu: &Gpu,
        shift: usize,
        run: impl FnOnce(&patchglass::compute::Slice, &Keys<'_>, Option<Blocked<'_>>) -> T,
    ) -> T {
        let up = |x: &[f32]| {
            let shifted: Vec<f32> = std::iter::repeat_n(9.0, shift)
                .chain(x.iter().copied())
                .collect();
            gpu.upload_f32(&shifted)
                .unwrap()
                .slice(shift, x.len())
                .unwrap()
        };
        let (q, k, v) = (up(&self.q), up(&self.k), up(&self.v));
        let keys = Keys {
            k: &k,
            k_stride: self.strides.0,
            v: &v,
            v_stride: self.strides.1,
        };
        let bits = self.blocked.as_ref().map(|(bytes, heads)| {
            (
                gpu.upload(&pack_bits(bytes, self.shape.n_keys)).unwrap(),
                *heads,
            )
        });
        let blocked = bits.as_ref().map(|(bits, heads)| Blocked {
            bits,
            heads: *heads,
        });
        run(&q, &keys, blocked)
    }

    fn found(&self, gpu: &Gpu, plan: AttentionPlan, shift: usize) -> Vec<f32> {
        self.with_card(gpu, shift, |q, keys, blocked| {
            let found = attention_by(gpu, plan, q, keys, blocked, &self.shape).unwrap();
            gpu.download_f32(&found).unwrap()
        })
    }
}

fn shape(
    batch: usize,
    n: usize,
    heads: (usize, usize),
    d_head: usize,
    first_pos: usize,
) -> AttentionShape {
    AttentionShape {
        batch,
        n,
        heads: heads.0,
        kv_heads: heads.1,
        d_head,
        n_keys: first_pos + n,
        first_pos,
        causal: true,
    }
}

#[test]
fn every_plan_agrees_with_the_sums() {
    let Some(gpu) = gpu() else { return };
    let cases = [
        Case::new(shape(1, 1, (2, 2), 128, 0), 0, None),
        Case::new(shape(1, 1, (4, 2), 128, 200), 512, Some(1)),
        Case::new(shape(1, 150, (2, 1), 64, 0), 0, Some(2)),
        Case::new(shape(1, 33, (9, 3), 16, 70), 64, None),
        Case::new(shape(3, 9, (4, 2), 32, 60), 0, Some(4)),
        Case::new(shape(1, 37, (1, 1), 256, 100), 0, Some(1)),
        Case::new(shape(1, 35, (2, 1), 160, 0), 8, None),
        Case::new(shape(1, 34, (2, 1), 6, 31), 5, Some(1)),
        Case::new(shape(1, 5, (1, 1), 1, 64), 1, None),
    ];
    for case in &cases {
        let expected = case.twin();
        for plan in PLANS {
            let what = format!("{plan:?} of {:?}", case.shape);
            assert_close(&case.found(gpu, plan, 0), &expected, TOLERANCE, &what);
        }
    }
}

#[test]
fn sizes_of_real_models() {
    let Some(gpu) = gpu() else { return };
    let language = Case::new(shape(1, 600, (2, 1), 128, 0), 0, Some(1));
    let vision = AttentionShape {
        causal: false,
        ..shape(1, 577, (1, 1), 64, 0)
    };
    for case in [language, Case::new(vision, 0, None)] {
        let expected = case.twin();
        let plan = AttentionPlan::of(&case.shape);
        assert_close(
            &case.found(gpu, plan, 0),
            &expected,
            TOLERANCE,
            &format!("{plan:?}"),
        );
    }
}

/// What rounding queries, keys and weights to f16 may cost at scores of some units.
const ROUNDED: f32 = 1e-2;

#[test]
fn cooperative_matrices_agree_with_the_sums() {
    let Some(gpu) = gpu() else { return };
    if !has_matrix_plan(gpu, 128) {
        println!("skipped: no cooperative matrices");
        return;
    }
    let whole = AttentionShape {
        causal: false,
        ..shape(1, 577, (2, 2), 64, 0)
    };
    let cases = [
        Case::new(shape(1, 600, (2, 1), 128, 0), 0, Some(1)),
        Case::new(shape(1, 1, (2, 2), 128, 77), 64, None),
        Case::new(shape(3, 70, (4, 2), 32, 33), 0, Some(4)),
        Case::new(shape(1, 65, (9, 3), 96, 0), 4, Some(1)),
        Case::new(whole, 0, None),
    ];
    for case in &cases {
        let found = case.found(gpu, AttentionPlan::Matrix, 0);
        assert_close(&found, &case.twin(), ROUNDED, &format!("{:?}", case.shape));
        let mut wrong = case.clone();
        wrong.k.rotate_left(case.shape.d_head);
        let is_wrong = worst(&found, &wrong.twin()) > 10.0 * ROUNDED;
        assert!(is_wrong, "keys one place late must show: {:?}", case.shape);
    }
    let odd = Case::new(shape(1, 40, (2, 2), 32, 0), 3, None);
    let refused = odd.with_card(gpu, 0, |q, keys, blocked| {
        attention_by(gpu, AttentionPlan::Matrix, q, keys, blocked, &odd.shape).is_err()
    });
    assert!(refused, "heads that start at odd words");
}

#[test]
fn slices_may_begin_anywhere() {
    let Some(gpu) = gpu() else { return };
    let case = Case::new(shape(1, 40, (2, 2), 32, 10), 3, Some(1));
    let expected = case.twin();
    for plan in PLANS {
        for shift in [4, 7] {
            let what = format!("{plan:?} from {shift}");
            assert_close(&case.found(gpu, plan, shift), &expected, TOLERANCE, &what);
        }
    }
}

#[test]
fn without_a_causal_mask_every_key_counts() {
    let Some(gpu) = gpu() else { return };
    let whole = AttentionShape {
        causal: false,
        ..shape(2, 77, (3, 3), 64, 0)
    };
    let case = Case::new(whole, 0, None);
    let mut causal = Case::new(whole, 0, None);
    causal.shape.causal = true;
    for plan in PLANS {
        let found = case.found(gpu, plan, 0);
        assert_close(&found, &case.twin(), TOLERANCE, &format!("{plan:?}"));
        assert_apart(&found, &causal.twin(), TOLERANCE, "a causal mask too many");
    }
}

#[test]
fn a_lost_or_shifted_mask_shows() {
    let Some(gpu) = gpu() else { return };
    let case = Case::new(shape(1, 40, (2, 2), 16, 20), 0, Some(2));
    let mut lost = Case::new(case.shape, 0, Some(2));
    lost.blocked = None;
    let mut late = Case::new(case.shape, 0, Some(2));
    late.shape.first_pos += 1;
    let mut swapped = Case::new(case.shape, 0, Some(2));
    if let Some((bytes, _)) = &mut swapped.blocked {
        let half = bytes.len() / 2;
        bytes.rotate_left(half);
    }
    for plan in PLANS {
        let found = case.found(gpu, plan, 0);
        for (wrong, what) in [
            (&lost, "lost"),
            (&late, "one key late"),
            (&swapped, "of another head"),
        ] {
            assert_apart(&found, &wrong.twin(), TOLERANCE, what);
        }
    }
}

#[test]
fn a_query_that_sees_nothing_gets_zero() {
    let Some(gpu) = gpu() else { return };
    let mut case = Case::new(shape(1, 6, (1, 1), 16, 100), 0, Some(1));
    if let Some((bytes, _)) = &mut case.blocked {
        bytes[2 * 106..3 * 106].fill(1);
    }
    let expected = case.twin();
    for plan in PLANS {
        let found = case.found(gpu, plan, 0);
        assert!(found[2 * 16..3 * 16].iter().all(|x| *x == 0.0), "{plan:?}");
        assert_close(&found, &expected, TOLERANCE, &format!("{plan:?}"));
    }
}

#[test]
fn large_scores_do_not_overflow() {
    let Some(gpu) = gpu() else { return };
    let mut case = Case::new(shape(1, 40, (1, 1), 32, 50), 0, None);
    case.q.iter_mut().for_each(|x| *x *= 100.0);
    let expected = case.twin();
    for plan in PLANS {
        // Scores of some thousands are exact to about 1e-3 in f32, and so are their exponentials.
        assert_close(
            &case.found(gpu, plan, 0),
            &expected,
            5e-3,
            &format!("{plan:?}"),
        );
    }
}

#[test]
fn scores_are_masked() {
    let Some(gpu) = gpu() else { return };
    let cases = [
        Case::new(shape(1, 1, (4, 2), 32, 70), 8, Some(1)),
        Case::new(shape(2, 40, (4, 2), 16, 33), 0, Some(4)),
        Case::new(shape(1, 67, (2, 2), 6, 0), 3, None),
    ];
    for case in &cases {
        let s = &case.shape;
        let found = case.with_card(gpu, 0, |q, keys, blocked| {
            let found = masked_scores(gpu, q, keys.k, keys.k_stride, blocked, s).unwrap();
            gpu.download_f32(&found).unwrap()
        });
        let rows = (0..s.batch * s.heads).flat_map(|head| (0..s.n).map(move |query| (head, query)));
        let expected: Vec<f32> = rows
            .flat_map(|(head, query)| case.scores(head, query))
            .map(|x| x as f32)
            .collect();
        assert_close(&found, &expected, TOLERANCE, "scores");
        let wrong: Vec<f32> = expected.iter().map(|x| x * 1.01).collect();
        assert_apart(&found, &wrong, TOLERANCE, "another scale");
    }
}

#[test]
fn few_queries_take_many_workgroups() {
    let one = shape(1, 1, (32, 32), 128, 599);
    assert_eq!(AttentionPlan::of(&one), AttentionPlan::Few);
    let some = shape(1, 20, (32, 32), 128, 580);
    assert_eq!(
        AttentionPlan::of(&some),
        AttentionPlan::Tiled { splits: 10 }
    );
    let all = shape(1, 600, (32, 32), 128, 0);
    assert_eq!(AttentionPlan::of(&all), AttentionPlan::Tiled { splits: 1 });
}

#[test]
fn wrong_sizes_are_refused() {
    let Some(gpu) = gpu() else { return };
    let case = Case::new(shape(1, 4, (2, 2), 16, 0), 0, None);
    case.with_card(gpu, 0, |q, keys, _| {
        let long = AttentionShape {
            n_keys: 5,
            ..case.shape
        };
        assert!(ops::attention(gpu, q, keys, None, &long).is_err());
        let wide = AttentionShape {
            d_head: 300,
            ..case.shape
        };
        assert!(ops::attention(gpu, q, keys, None, &wide).is_err());
    });
}
