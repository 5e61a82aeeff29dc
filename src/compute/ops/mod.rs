//! The operations of the model that are no products with weights: each a WGSL kernel over f32 words in slices.
//!
//! Everything is contiguous unless it comes as [`Strided`]. Sizes are checked here, so the kernels guard their indices by
//! hand and run without further checks. Nothing here knows what a layer or a hook is.

mod attention;
mod elementwise;
mod heads;
mod kernels;
mod logits;
mod moving;
mod norm;
mod reduce;
mod strided;

pub use attention::{
    AttentionPlan, AttentionShape, Blocked, Keys, attention, attention_by, has_matrix_plan,
    masked_scores, pack_bits,
};
pub use elementwise::{Binary, Unary, affine, binary, clamp, fill, silu_mul, unary};
pub use heads::{merge_heads, split_heads, split_heads_into};
pub use logits::{MOST_KEPT, read_logits};
pub use moving::{copy, index_select, write_into};
pub use norm::{add_rms_norm, layer_norm, rms_norm};
pub use reduce::{Reduce, reduce, row_norms, softmax};
pub use strided::Strided;

use super::{ComputeError, Result, Slice};

/// An error unless the slice holds so many words.
fn expect_words(slice: &Slice, words: usize, what: &str) -> Result<()> {
    if slice.len() >= words {
        return Ok(());
    }
    Err(ComputeError::Failed(format!(
        "{what} holds {} words where {words} are needed",
        slice.len()
    )))
}

fn failed<T>(what: impl Into<String>) -> Result<T> {
    Err(ComputeError::Failed(what.into()))
}

/// Workgroups of a kernel that numbers them along x and then y.
fn folded(n: usize) -> [u32; 3] {
    const MOST: usize = 65535;
    let y = n.div_ceil(MOST).max(1);
    [n.div_ceil(y) as u32, y as u32, 1]
}

/// Workgroups of 256 for so many invocations.
fn flat_groups(n: usize) -> [u32; 3] {
    folded(n.div_ceil(256))
}

/// 4 where all these sizes and the places of these slices are multiples of four words, so that vectors can be read.
fn vector_width(sizes: &[usize], slices: &[&Slice]) -> usize {
    let fits = sizes.iter().all(|n| n % 4 == 0) && slices.iter().all(|x| x.first() % 4 == 0);
    if fits { 4 } else { 1 }
}

/// The work of moving so many words, in the unit of a launch.
fn moved(words: usize) -> u64 {
    words as u64 * 40
}
