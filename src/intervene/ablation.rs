//! Ablation: the residual rows of patches at one level are replaced (paper, section 3).
//!
//! It acts where the picture's rows pass by, in the prefill; generated tokens see it through keys and values.

use crate::tensor::{D, DType, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use rand_distr::{Distribution as _, StandardNormal};

use crate::error::{Error, Result};
use crate::index::TokenLayout;

/// What takes the place of ablated rows, with everything from outside already there.
#[derive(Clone, Debug)]
pub enum Donor {
    /// Mean of this picture's patches at that level.
    Mean,
    Zero,
    /// One vector for every row. `[d_model]`
    Vector(Tensor),
    /// Gaussian, per dimension with the mean and sample standard deviation of this picture's patches at that level.
    Noise(u64),
    /// The row of another patch, by row-major index.
    Patch(usize),
    /// The rows of the same patches in another run. `[patch, d_model]`
    Rows(Tensor),
    /// A row for each patch that is replaced, in their order. `[replaced, d_model]`
    Each(Tensor),
}

/// Row-major patch indices and what replaces them.
#[derive(Clone, Debug)]
pub(super) struct CompiledAblation {
    pub patches: Vec<usize>,
    pub donor: Donor,
}

/// Applies the ablations of one level to `x`, `[n, d_model]`, in order, each computed from the rows as they came in.
pub(super) fn apply(
    x: &Tensor,
    ablations: &[CompiledAblation],
    layout: &TokenLayout,
) -> Result<Tensor> {
    let n = x.dim(0)?;
    let clean = x.narrow(0, layout.patches().start, layout.grid.len())?; // [patch, d_model]
    let mut sources = vec![x.clone()];
    let mut n_rows = n;
    // Row i of the result is row index[i] of all sources one after the other.
    let mut index: Vec<u32> = (0..n as u32).collect();
    for ablation in ablations {
        let rows = donor_rows(&ablation.donor, &clean, &ablation.patches)?; // [1 or patches, d_model]
        let n_new = rows.dim(0)?;
        for (i, &patch) in ablation.patches.iter().enumerate() {
            index[layout.position(patch)] = (n_rows + i.min(n_new - 1)) as u32;
        }
        n_rows += n_new;
        sources.push(rows.to_dtype(x.dtype())?);
    }
    let index = Tensor::new(index, x.device())?;
    Ok(Tensor::cat(&sources, 0)?.index_select(&index, 0)?)
}

/// What would stand in the place of each patch if it were ablated: `[1 or patch, d_model]`, one row for all or one for
/// each. `clean` are the patches' rows at that level, `[patch, d_model]`.
///
/// # Errors
/// A donor of another width; a failing device.
pub fn replacing_rows(donor: &Donor, clean: &Tensor) -> Result<Tensor> {
    let patches: Vec<usize> = (0..clean.dim(0)?).collect();
    Ok(donor_rows(donor, clean, &patches)?.to_dtype(clean.dtype())?)
}

/// The replacing rows: one for all, or one per ablated patch. At least one row.
fn donor_rows(donor: &Donor, clean: &Tensor, patches: &[usize]) -> Result<Tensor> {
    let (n_patches, d_model) = clean.dims2()?;
    Ok(match donor {
        Donor::Mean => clean.to_dtype(DType::F32)?.mean_keepdim(0)?,
        Donor::Zero => Tensor::zeros((1, d_model), clean.dtype(), clean.device())?,
        Donor::Vector(vector) => {
            check_width("the replacing vector", vector.dim(D::Minus1)?, d_model)?;
            vector.reshape((1, d_model))?
        }
        Donor::Noise(seed) => noise(clean, patches, *seed)?,
        Donor::Patch(patch) => clean.narrow(0, *patch, 1)?,
        Donor::Rows(rows) => {
            check_width("the other picture's rows", rows.dim(D::Minus1)?, d_model)?;
            debug_assert_eq!(rows.dim(0)?, n_patches);
            let index: Vec<u32> = patches.iter().map(|p| *p as u32).collect();
            rows.index_select(&Tensor::new(index, rows.device())?, 0)?
        }
        Donor::Each(rows) => {
            check_width("the other picture's rows", rows.dim(D::Minus1)?, d_model)?;
            rows.clone()
        }
    })
}

fn check_width(what: &str, found: usize, wanted: usize) -> Result<()> {
    match found == wanted {
        true => Ok(()),
        false => Err(Error::input(format!(
            "{what} has {found} numbers, but the model's width is {wanted}"
        ))),
    }
}

/// Each patch has a random stream of its own, so that its noise does not depend on what else is ablated.
fn noise(clean: &Tensor, patches: &[usize], seed: u64) -> Result<Tensor> {
    let (n, d_model) = clean.dims2()?;
    let clean = clean.to_dtype(DType::F32)?;
    let mean = clean.mean_keepdim(0)?; // [1, d_model]
    let spread = clean.broadcast_sub(&mean)?.sqr()?.sum_keepdim(0)?;
    let sd = (spread / (n.max(2) - 1) as f64)?.sqrt()?; // [1, d_model]
    let mut values: Vec<f32> = Vec::with_capacity(patches.len() * d_model);
    for &patch in patches {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(patch as u64);
        values.extend((0..d_model).map(|_| -> f32 { StandardNormal.sample(&mut rng) }));
    }
    let values = Tensor::from_vec(values, (patches.len(), d_model), clean.device())?;
    Ok(values.broadcast_mul(&sd)?.broadcast_add(&mean)?)
}
