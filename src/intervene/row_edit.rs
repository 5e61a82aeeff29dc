//! Edits that make a row from itself: a word's direction added or projected out, a factor.
//!
//! They act wherever a row of their set passes by, generated tokens included. What stands for a word is handed in.

use crate::tensor::{D, DType, Tensor};

use crate::error::Result;
use crate::index::{TokenLayout, TokenSet};

/// What is done to each row, all in f32.
#[derive(Clone, Debug)]
pub enum RowEdit {
    /// The row's own length times `strength` is added along `direction`, `[d_model]`.
    Steer {
        direction: Tensor,
        strength: f32,
    },
    /// The part along `direction`, `[d_model]`, is taken out.
    Erase {
        direction: Tensor,
    },
    Scale {
        by: f32,
    },
}

/// One edit whose bounds were checked against the model.
#[derive(Clone, Debug)]
pub(super) struct CompiledEdit {
    pub tokens: TokenSet,
    pub edit: RowEdit,
}

impl CompiledEdit {
    /// Edits the rows of its set among `x`, `[n, d_model]`, the rows from position `first_pos` on.
    pub fn apply(&self, x: Tensor, first_pos: usize, layout: &TokenLayout) -> Result<Tensor> {
        let n = x.dim(0)?;
        let positions = self.tokens.positions(layout, first_pos + n)?;
        let here = positions.into_iter().filter(|at| *at >= first_pos);
        let rows: Vec<u32> = here.map(|at| (at - first_pos) as u32).collect();
        if rows.is_empty() {
            return Ok(x);
        }
        let mut index: Vec<u32> = (0..n as u32).collect();
        for (new, row) in rows.iter().enumerate() {
            index[*row as usize] = (n + new) as u32;
        }
        let rows = x.index_select(&Tensor::new(rows, x.device())?, 0)?;
        let edited = self.edit.of(&rows)?;
        let index = Tensor::new(index, x.device())?;
        Ok(Tensor::cat(&[&x, &edited], 0)?.index_select(&index, 0)?)
    }
}

impl RowEdit {
    /// The edited rows, `[n, d_model]`, in the type of `rows`.
    ///
    /// # Errors
    /// A direction of another width; a failing device.
    pub fn of(&self, rows: &Tensor) -> Result<Tensor> {
        let x = rows.to_dtype(DType::F32)?;
        let edited = match self {
            Self::Scale { by } => (x * f64::from(*by))?,
            Self::Steer {
                direction,
                strength,
            } => {
                let lengths = x.sqr()?.sum_keepdim(1)?.sqrt()?; // [n, 1]
                let steps = (lengths * f64::from(*strength))?;
                x.add(&steps.broadcast_mul(&unit(direction)?)?)?
            }
            Self::Erase { direction } => {
                let direction = unit(direction)?; // [1, d_model]
                let along = x.broadcast_mul(&direction)?.sum_keepdim(1)?; // [n, 1]
                let left = x.sub(&along.broadcast_mul(&direction)?)?;
                // Once more: what rounding left along the direction is as large as the rows are long.
                let along = left.broadcast_mul(&direction)?.sum_keepdim(1)?;
                left.sub(&along.broadcast_mul(&direction)?)?
            }
        };
        Ok(edited.to_dtype(rows.dtype())?)
    }
}

/// The direction with length 1, `[1, d_model]` in f32; zeros stay zeros.
fn unit(direction: &Tensor) -> Result<Tensor> {
    let direction = direction.to_dtype(DType::F32)?.reshape((1, ()))?;
    let length = direction.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
    let length = length.maximum(f64::from(f32::MIN_POSITIVE))?;
    Ok(direction.broadcast_div(&length)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::PatchGrid;
    use crate::tensor::Device;

    fn random(shape: &[usize]) -> Tensor {
        Tensor::randn(0f32, 4.0, shape, &Device::Cpu).unwrap()
    }

    fn values(x: &Tensor) -> Vec<Vec<f32>> {
        x.to_vec2().unwrap()
    }

    fn dot(a: &[f32], b: &[f32]) -> f64 {
        let products = a.iter().zip(b);
        products.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    }

    #[test]
    fn an_erased_direction_has_no_projection_left() {
        for _ in 0..50 {
            let (rows, direction) = (random(&[7, 32]), random(&[32]));
            let erased = RowEdit::Erase {
                direction: direction.clone(),
            };
            let direction: Vec<f32> = direction.to_vec1().unwrap();
            let before = values(&rows);
            for (row, was) in values(&erased.of(&rows).unwrap()).iter().zip(&before) {
                let length = dot(&direction, &direction).sqrt();
                let left = dot(row, &direction) / length;
                assert!(left.abs() < 1e-5, "{left}");
                // What is orthogonal to the direction stays: the rest differs along the direction alone.
                let taken: Vec<f32> = was.iter().zip(row).map(|(a, b)| a - b).collect();
                let along = dot(&taken, &direction) / length;
                assert!((along - dot(was, &direction) / length).abs() < 1e-4);
                assert!((dot(&taken, &taken) - along * along).abs() < 1e-3);
            }
            // Erasing again changes nothing more.
            let once = erased.of(&rows).unwrap();
            let twice = values(&erased.of(&once).unwrap());
            for (a, b) in values(&once).concat().iter().zip(twice.concat()) {
                assert!((a - b).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn steering_adds_so_many_lengths() {
        let (rows, direction) = (random(&[5, 16]), random(&[16]));
        let steered = |strength| {
            let direction = direction.clone();
            let edit = RowEdit::Steer {
                direction,
                strength,
            };
            values(&edit.of(&rows).unwrap())
        };
        let before = values(&rows);
        assert_eq!(steered(0.0), before);
        for (row, was) in steered(-1.5).iter().zip(&before) {
            let step: Vec<f32> = row.iter().zip(was).map(|(a, b)| a - b).collect();
            let (length, wanted) = (dot(&step, &step).sqrt(), 1.5 * dot(was, was).sqrt());
            assert!((length / wanted - 1.0).abs() < 1e-5);
            let direction: Vec<f32> = direction.to_vec1().unwrap();
            assert!(dot(&step, &direction) < 0.0);
        }
        assert_eq!(
            values(&RowEdit::Scale { by: 1.0 }.of(&rows).unwrap()),
            before
        );
    }

    #[test]
    fn only_the_rows_of_the_set_are_edited_in_every_pass() {
        let layout = TokenLayout {
            n_prompt: 8,
            image: 2..6,
            patch_offset: 0,
            grid: PatchGrid::new(2, 2),
        };
        let edit = |tokens: &str| CompiledEdit {
            tokens: tokens.parse().unwrap(),
            edit: RowEdit::Scale { by: 0.0 },
        };
        let edited = |tokens: &str, first: usize, n: usize| -> Vec<usize> {
            let x = Tensor::ones((n, 4), DType::F32, &Device::Cpu).unwrap();
            let rows = edit(tokens).apply(x, first, &layout).unwrap();
            let rows = values(&rows);
            let zero = rows.iter().enumerate().filter(|(_, row)| row[0] == 0.0);
            zero.map(|(row, _)| first + row).collect()
        };
        assert_eq!(edited("patches:r0c1-r1c1", 0, 8), [3, 5]);
        assert_eq!(edited("patches:r0c1-r1c1", 4, 4), [5]);
        assert!(edited("image", 6, 2).is_empty());
        assert_eq!(edited("answer", 0, 8), [7]);
        assert_eq!(edited("answer", 9, 1), [9]);
        assert!(edited("last", 9, 1).is_empty());
    }
}
