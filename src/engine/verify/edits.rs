//! Edits to verify with, and how far two runs of the same edit are apart.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

use super::super::dump::Named;
use super::super::trace::Trace;
use crate::index::{HeadSet, LayerRange, PatchSet, TokenSet};
use crate::spec::{Ablation, AttentionKnockout, Intervention, Replacement};

/// Edits that are carried out and must not change a bit: a patch replaced by itself, and hidden from itself alone.
pub(super) fn without_effect(trace: &Trace) -> Vec<Intervention> {
    let grid = trace.model.grid;
    let patch = grid.patch(grid.len() / 2);
    let own: PatchSet = [patch].into_iter().collect();
    let ablation = |layer| {
        Intervention::Ablation(Ablation {
            with: Replacement::Patch(patch),
            layer,
            ..Ablation::of(own.clone())
        })
    };
    let knockout = AttentionKnockout {
        queries: TokenSet::Patches(own.clone()),
        keys: TokenSet::Patches(own.clone()),
        layers: LayerRange::All,
        heads: HeadSet::All,
        enabled: true,
        name: None,
    };
    vec![
        ablation(0),
        ablation(trace.model.n_layers / 2),
        Intervention::AttentionKnockout(knockout),
    ]
}

/// An ablation of random patches at a random level, and every second time a knockout of random blocks as well.
pub(super) fn random(trace: &Trace, seed: u64) -> Vec<Intervention> {
    let mut draw = ChaCha8Rng::seed_from_u64(seed);
    let mut below = |n: usize| (draw.next_u64() % n.max(1) as u64) as usize;
    let (grid, n_layers) = (trace.model.grid, trace.model.n_layers);
    let n = 1 + below(grid.len() / 8);
    let patches: PatchSet = (0..n).map(|_| grid.patch(below(grid.len()))).collect();
    let with = match below(3) {
        0 => Replacement::Mean,
        1 => Replacement::Zero,
        _ => Replacement::Patch(grid.patch(below(grid.len()))),
    };
    let ablation = Ablation {
        with,
        layer: below(n_layers),
        ..Ablation::of(patches.clone())
    };
    let first = below(n_layers);
    let knockout = AttentionKnockout {
        queries: TokenSet::Last,
        keys: TokenSet::Patches(patches),
        layers: LayerRange::Blocks {
            first,
            last: first + below(n_layers - first),
        },
        heads: HeadSet::All,
        enabled: true,
        name: None,
    };
    let mut rows = vec![Intervention::AttentionKnockout(knockout)];
    if !seed.is_multiple_of(3) {
        rows.push(Intervention::Ablation(ablation));
    }
    rows
}

/// The larger of two differences; what is no number stays one.
pub(super) fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() {
        return f64::NAN;
    }
    a.max(b)
}

fn pairs<'a>(
    a: &'a [Named],
    b: &'a [Named],
) -> impl Iterator<Item = (&'a [f32], &'a [f32])> + use<'a> {
    a.iter().zip(b).map(|(a, b)| (&*a.2, &*b.2))
}

/// The largest difference of two numbers at the same place, over all tensors.
pub(super) fn largest_gap(a: &[Named], b: &[Named]) -> f64 {
    let gap = |(a, b): (&f32, &f32)| f64::from((a - b).abs());
    let of = |(a, b): (&[f32], &[f32])| a.iter().zip(b).map(gap).fold(0.0, larger);
    pairs(a, b).map(of).fold(0.0, larger)
}

/// ‖a − b‖ / ‖b‖ of the tensor where it is largest.
pub(super) fn relative_gap(a: &[Named], b: &[Named]) -> f64 {
    let of = |(a, b): (&[f32], &[f32])| {
        let gap = norm(a.iter().zip(b).map(|(a, b)| f64::from(a - b)));
        gap / norm(b.iter().map(|b| f64::from(*b))).max(1e-12)
    };
    pairs(a, b).map(of).fold(0.0, larger)
}

/// The largest difference of a next token's probability; a token that only one of the runs has counts whole.
pub(super) fn probability_gap(a: &Trace, b: &Trace) -> f64 {
    let other = |id| b.edited.next_token.iter().find(|score| score.id == id);
    let last = b.edited.next_token.last().map_or(0.0, |score| score.prob);
    let gap = |score: &crate::lens::TokenScore| {
        let prob = other(score.id).map_or(last, |other| other.prob);
        f64::from((score.prob - prob).abs())
    };
    a.edited.next_token.iter().map(gap).fold(0.0, larger)
}

pub(super) fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|v| v * v).sum::<f64>().sqrt()
}
