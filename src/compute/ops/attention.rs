//! Scaled dot-product attention, causal or not, with blocked pairs of query and key.
//!
//! The scores are never all there at once, except where [`masked_scores`] is asked for them.

use super::kernels::{Family, unrolled};
use super::{expect_words, failed, vector_width};
use crate::compute::{Gpu, Kernel, Result, Slice};
use std::sync::Arc;

/// Sizes of one attention: `batch` sequences of `n` queries each; heads of one sequence follow each other.
#[derive(Clone, Copy, Debug)]
pub struct AttentionShape {
    pub batch: usize,
    pub n: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub d_head: usize,
    pub n_keys: usize,
    /// Position of the first query; keys start at position 0.
    pub first_pos: usize,
    /// Whether a query sees no key after it.
    pub causal: bool,
}

/// Keys and values, `[batch * kv_heads, n_keys, d_head]` each, heads so many words apart.
#[derive(Clone, Copy, Debug)]
pub struct Keys<'a> {
    pub k: &'a Slice,
    pub k_stride: usize,
    pub v: &'a Slice,
    pub v_stride: usize,
}

/// A bit per key, 1 where it is hidden from a query: `[heads, n, ceil(n_keys / 32)]` words, the first key lowest. `heads` is
/// 1, those of a sequence, or those of all sequences.
#[derive(Clone, Copy, Debug)]
pub struct Blocked<'a> {
    pub bits: &'a Slice,
    pub heads: usize,
}

/// Packs rows of `n_keys` bytes, 0 or not, as [`Blocked`] takes them.
pub fn pack_bits(bytes: &[u8], n_keys: usize) -> Vec<u32> {
    let word = |bytes: &[u8]| {
        let bits = bytes.iter().enumerate();
        bits.fold(0, |word, (i, byte)| word | (u32::from(*byte != 0) << i))
    };
    let rows = bytes.chunks_exact(n_keys.max(1));
    rows.flat_map(|row| row.chunks(32).map(word)).collect()
}

/// How the work is shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttentionPlan {
    /// Blocks of 32 queries, which share what they read; with more than one split the keys of a block are shared out, too.
    Tiled { splits: usize },
    /// Queries one by one, each with many workgroups.
    Few,
    /// Blocks of 64 queries with cooperative matrices, which see queries, keys, values and weights in f16.
    Matrix,
}

/// Queries of a block, and keys that it takes at a time.
const QUERIES: usize = 32;
const KEYS: usize = 64;

/// Workgroups from which on a large card is busy.
const BUSY: usize = 400;

impl AttentionPlan {
    /// The plan that suits these sizes.
    pub fn of(shape: &AttentionShape) -> Self {
        if shape.n <= 4 {
            return Self::Few;
        }
        let groups = shape.n.div_ceil(QUERIES) * shape.batch * shape.heads;
        let tiles = shape.n_keys.div_ceil(KEYS).max(1);
        Self::Tiled {
            splits: (BUSY / groups.max(1)).clamp(1, tiles),
        }
    }
}

/// Whether [`AttentionPlan::Matrix`] can take such heads on this card. Where it cannot, or rows do not start at multiples of
/// four words, the plan is refused.
pub fn has_matrix_plan(gpu: &Gpu, d_head: usize) -> bool {
    let facts = gpu.facts();
    gpu.has_cooperative_matrix()
        && facts.subgroup == (32, 32)
        && facts.max_workgroup_memory >= 24 << 10
        && d_head.is_multiple_of(32)
        && (32..=128).contains(&d_head)
}

/// softmax(q kᵀ / √d_head) v without the blocked pairs, q `[batch * heads, n, d_head]`: `[batch * n, heads * d_head]`. A query
/// that sees no key gets 0.
pub fn attention(
    gpu: &Gpu,
    q: &Slice,
    keys: &Keys<'_>,
    blocked: Option<Blocked<'_>>,
    shape: &AttentionShape,
) -> Result<Slice> {
    attention_by(gpu, AttentionPlan::of(shape), q, keys, blocked, shape)
}

/// The same in a given way.
pub fn attention_by(
    gpu: &Gpu,
    plan: AttentionPlan,
    q: &Slice,
    keys: &Keys<'_>,
    blocked: Option<Blocked<'_>>,
    shape: &AttentionShape,
) -> Result<Slice> {
    check(q, keys, blocked, shape)?;
    let out = gpu.alloc(shape.batch * shape.n * shape.heads * shape.d_head)?;
    if out.is_empty() {
        return Ok(out);
    }
    let call = Call {
        gpu,
        q,
        keys,
        blocked,
        shape,
    };
    let tiles = shape.n_keys.div_ceil(KEYS).max(1);
    match plan {
        AttentionPlan::Tiled { splits } => {
            let span = tiles.div_ceil(splits.max(1));
            match tiles.div_ceil(span) {
                1 => call.tiled(&out, 1, 0)?,
                splits => {
                    let parts = call.parts(splits)?;
                    call.tiled(&parts, splits, span * KEYS)?;
                    call.join(&parts, &out, splits)?;
                }
            }
        }
        AttentionPlan::Few => {
            let parts = call.parts(tiles)?;
            call.few(&parts, tiles)?;
            call.join(&parts, &out, tiles)?;
        }
        AttentionPlan::Matrix => call.matrix(&out)?,
    }
    Ok(out)
}

/// Scaled scores with −∞ after each query (where causal) and where blocked, `[batch * heads, n, n_keys]`; k as in [`Keys`].
pub fn masked_scores(
    gpu: &Gpu,
    q: &Slice,
    k: &Slice,
    k_stride: usize,
    blocked: Option<Blocked<'_>>,
    shape: &AttentionShape,
) -> Result<Slice> {
    let keys = Keys {
        k,
        k_stride,
        v: k,
        v_stride: k_stride,
    };
    check(q, &keys, blocked, shape)?;
    let out = gpu.alloc(shape.batch * shape.heads * shape.n * shape.n_keys)?;
    if out.is_empty() {
        return Ok(out);
    }
    let call = Call {
        gpu,
        q,
        keys: &keys,
        blocked,
        shape,
    };
    call.scores(&out)?;
    Ok(out)
}

fn check(
    q: &Slice,
    keys: &Keys<'_>,
    blocked: Option<Blocked<'_>>,
    s: &AttentionShape,
) -> Result<()> {
    if s.d_head == 0 || s.d_head > 256 {
        return failed(format!(
            "heads of {} elements are beyond this attention",
            s.d_head
        ));
    }
    if s.kv_heads == 0 || !s.heads.is_multiple_of(s.kv_heads) {
        return failed("the heads of queries must be a multiple of those of keys");
    }
    expect_words(q, s.batch * s.heads * s.n * s.d_head, "queries")?;
    for (slice, stride, what) in [
        (keys.k, keys.k_stride, "keys"),
        (keys.v, keys.v_stride, "values"),
    ] {
        let last = (s.batch * s.kv_heads).saturating_sub(1) * stride;
        expect_words(slice, last + s.n_keys * s.d_head, what)?;
    }
    match blocked {
        Some(mask) if mask.heads == 0 => failed("a mask of no heads"),
        Some(mask) => {
            let words = mask.heads * s.n * s.n_keys.div_ceil(32);
            expect_words(mask.bits, words, "a mask")
        }
        None => Ok(()),
    }
}

const SCORES: &str = include_str!("../../../shaders/compute/ops/attention_scores.wgsl");
const TILED: &str = include_str!("../../../shaders/compute/ops/attention_tiled.wgsl");
const FEW: &str = include_str!("../../../shaders/compute/ops/attention_few.wgsl");
const JOIN: &str = include_str!("../../../shaders/compute/ops/attention_join.wgsl");
const MASKED: &str = include_str!("../../../shaders/compute/ops/masked_scores.wgsl");

const MATRIX: &str = include_str!("../../../shaders/compute/ops/attention_matrix.wgsl");
const MATRIX_SCORES: &str =
    include_str!("../../../shaders/compute/ops/attention_matrix_scores.wgsl");
const MATRIX_ENABLES: &str = "enable f16;\nenable wgpu_cooperative_matrix;\n";

const WRITES: &[bool] = &[false, false, false, false, true];

/// One call with what it was given.
struct Call<'a> {
    gpu: &'a Gpu,
    q: &'a Slice,
    keys: &'a Keys<'a>,
    blocked: Option<Blocked<'a>>,
    shape: &'a AttentionShape,
}

impl Call<'_> {
    fn d4(&self) -> usize {
        self.shape.d_head.div_ceil(4)
    }

    fn heads(&self) -> usize {
        self.shape.batch * self.shape.heads
    }

    /// Room for what the splits leave to be joined.
    fn parts(&self, splits: usize) -> Result<Slice> {
        let width = self.d4() * 4 + 4;
        self.gpu.alloc(self.heads() * self.shape.n * splits * width)
    }

    fn tiled(&self, out: &Slice, splits: usize, span: usize) -> Result<()> {
        static FAMILY: Family = Family::new("attention_tiled", WRITES);
        let is_split = splits > 1;
        let kernel = self.kernel(&FAMILY, "", is_split, || {
            let nv = self.d4().div_ceil(16);
            let kc = [32, 16, 8, 8][nv - 1];
            let more = format!("const NV = {nv}u;\nconst KC = {kc}u;\nconst SPLIT = {is_split};\n");
            let store = store(is_split || self.shape.d_head.is_multiple_of(4));
            let body = unrolled(&[SCORES, TILED].concat(), &[("NV", nv)]);
            [&more, store, &body].concat()
        });
        let blocks = self.shape.n.div_ceil(QUERIES);
        let groups = [8 * blocks, self.heads().div_ceil(8), splits];
        self.launch(&kernel, out, (splits, span), groups)
    }

    fn few(&self, parts: &Slice, splits: usize) -> Result<()> {
        static FAMILY: Family = Family::new("attention_few", WRITES);
        let kernel = self.kernel(&FAMILY, "", true, || {
            [store(true), &unrolled(FEW, &[])].concat()
        });
        let groups = [splits, self.heads(), self.shape.n];
        self.launch(&kernel, parts, (splits, KEYS), groups)
    }

    fn matrix(&self, out: &Slice) -> Result<()> {
        static FAMILY: Family = Family::new("attention_matrix", WRITES);
        if !has_matrix_plan(self.gpu, self.shape.d_head) || !self.is_aligned() {
            return failed("this attention cannot be done with cooperative matrices");
        }
        let kernel = self.kernel(&FAMILY, MATRIX_ENABLES, false, || {
            let d = self.shape.d_head;
            let whole = MATRIX.replace("    part scores\n", MATRIX_SCORES);
            let body = unrolled(&whole, &[("NC", d / 16), ("HC", d / 32)]);
            [store(true), &body].concat()
        });
        let blocks = self.shape.n.div_ceil(2 * QUERIES);
        let groups = [8 * blocks, self.heads().div_ceil(8), 1];
        self.launch(&kernel, out, (1, 0), groups)
    }

    fn scores(&self, out: &Slice) -> Result<()> {
        static FAMILY: Family = Family::new("masked_scores", WRITES);
        let kernel = self.kernel(&FAMILY, "", false, || {
            unrolled(&[SCORES, MASKED].concat(), &[])
        });
        let s = self.shape;
        let groups = [s.n.div_ceil(QUERIES), self.heads(), s.n_keys.div_ceil(KEYS)];
        self.launch(&kernel, out, (1, 0), groups)
    }

    fn join(&self, parts: &Slice, out: &Slice, splits: usize) -> Result<()> {
        static FAMILY: Family = Family::new("attention_join", &[false, true]);
        let (d, d4) = (self.shape.d_head, self.d4());
        let kernel = FAMILY.kernel([d as u32, 0, 0, 0, 0], || {
            let sizes = format!("const D = {d}u;\nconst D4 = {d4}u;\n");
            [&sizes, store(d.is_multiple_of(4)), JOIN].concat()
        });
        let (n, heads) = (self.shape.n as u32, self.shape.heads as u32);
        let work = super::moved(parts.len());
        let groups = [n, self.heads() as u32, 1];
        let params = [n, heads, splits as u32];
        self.gpu
            .launch_trusted(&kernel, &[parts, out], &params, groups, work)
    }

    /// Whether all rows start at multiples of four words.
    fn is_aligned(&self) -> bool {
        let keys = self.keys;
        let strides = [self.shape.d_head, keys.k_stride, keys.v_stride];
        vector_width(&strides, &[self.q, keys.k, keys.v]) == 4
    }

    /// A variant for these sizes, after what it `enables`; `more` gives what follows the prelude and the loads.
    fn kernel(
        &self,
        family: &Family,
        enables: &str,
        is_split: bool,
        more: impl FnOnce() -> String,
    ) -> Arc<Kernel> {
        let s = self.shape;
        let is_aligned = self.is_aligned();
        let is_masked = self.blocked.is_some();
        let flags = [is_aligned, s.causal, is_masked, is_split].map(u32::from);
        let variant = [s.d_head as u32, flags[0], flags[1], flags[2], flags[3]];
        family.kernel(variant, || {
            let (d, d4) = (s.d_head, self.d4());
            let prelude = format!(
                "const D = {d}u;\nconst D4 = {d4}u;\nconst CAUSAL = {};\nconst MASKED = {is_masked};\n",
                s.causal
            );
            [enables, &prelude, load(is_aligned), &more()].concat()
        })
    }

    fn launch(
        &self,
        kernel: &Kernel,
        out: &Slice,
        (splits, span): (usize, usize),
        groups: [usize; 3],
    ) -> Result<()> {
        let s = self.shape;
        // Without a mask something must still be bound in its place.
        let mask = self.blocked.map_or(self.q, |blocked| blocked.bits);
        let mask_heads = self.blocked.map_or(1, |blocked| blocked.heads);
        let sizes = [
            s.n,
            s.n_keys,
            s.heads,
            s.kv_heads,
            self.keys.k_stride,
            self.keys.v_stride,
            s.first_pos,
            mask_heads,
            s.n_keys.div_ceil(32),
        ];
        let scale = 1.0 / (s.d_head as f32).sqrt();
        let mut params: Vec<u32> = sizes.iter().map(|n| *n as u32).collect();
        params.extend([
            scale.to_bits(),
            splits as u32,
            span as u32,
            f32::NEG_INFINITY.to_bits(),
            self.heads() as u32,
        ]);
        let pairs = self.heads() * s.n.next_multiple_of(QUERIES) * s.n_keys;
        let work = (pairs * 4 * s.d_head) as u64 / if s.causal && s.first_pos == 0 { 2 } else { 1 };
        let bind = [self.q, self.keys.k, self.keys.v, mask, out];
        let groups = groups.map(|n| n as u32);
        self.gpu
            .launch_trusted(kernel, &bind, &params, groups, work)
    }
}

fn load(is_aligned: bool) -> &'static str {
    match is_aligned {
        true => include_str!("../../../shaders/compute/ops/attention_aligned.wgsl"),
        false => include_str!("../../../shaders/compute/ops/attention_any.wgsl"),
    }
}

fn store(is_aligned: bool) -> &'static str {
    match is_aligned {
        true => include_str!("../../../shaders/compute/ops/attention_store_aligned.wgsl"),
        false => include_str!("../../../shaders/compute/ops/attention_store_any.wgsl"),
    }
}
