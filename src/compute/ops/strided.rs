//! Views of slices with a stride per dimension, and merging dimensions that lie behind each other. Launches nothing.

use super::failed;
use crate::compute::{Result, Slice};

/// Words of a slice, those of dimension i `strides[i]` apart; a stride of 0 repeats.
#[derive(Clone, Copy, Debug)]
pub struct Strided<'a> {
    pub data: &'a Slice,
    pub first: usize,
    pub dims: &'a [usize],
    pub strides: &'a [usize],
}

impl Strided<'_> {
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The part of the slice that the view touches, which begins with the view's first word.
    pub(super) fn extent(&self) -> Result<Slice> {
        extent(self.data, self.first, self.dims, self.strides)
    }
}

/// The part of a slice that a view touches.
pub(super) fn extent(
    data: &Slice,
    first: usize,
    dims: &[usize],
    strides: &[usize],
) -> Result<Slice> {
    if dims.len() != strides.len() {
        return failed("a view has another number of strides than of dimensions");
    }
    let is_empty = dims.contains(&0);
    let steps = dims.iter().zip(strides);
    let last: usize = steps.map(|(n, stride)| n.saturating_sub(1) * stride).sum();
    data.slice(first, if is_empty { 0 } else { last + 1 })
}

/// At most this many dimensions are left for a kernel.
pub(super) const RANK: usize = 5;

/// Dimensions and K sets of strides over them, outermost first.
pub(super) struct Walk<const K: usize> {
    pub dims: Vec<usize>,
    pub strides: Vec<[usize; K]>,
}

impl<const K: usize> Walk<K> {
    /// Leaves out dimensions of one, and merges those that every set of strides runs through without a gap.
    pub fn new(dims: &[usize], strides: [&[usize]; K]) -> Result<Self> {
        let mut walk = Self {
            dims: Vec::new(),
            strides: Vec::new(),
        };
        for (i, &n) in dims.iter().enumerate().filter(|(_, n)| **n != 1) {
            let steps = strides.map(|set| set[i]);
            match (walk.dims.last_mut(), walk.strides.last_mut()) {
                (Some(outer), Some(before)) if (0..K).all(|set| before[set] == steps[set] * n) => {
                    *outer *= n;
                    *before = steps;
                }
                _ => {
                    walk.dims.push(n);
                    walk.strides.push(steps);
                }
            }
        }
        if walk.dims.is_empty() {
            walk.dims.push(1);
            walk.strides.push([0; K]);
        }
        match walk.dims.len() {
            1..=RANK => Ok(walk),
            n => failed(format!("a view has {n} dimensions that cannot be merged")),
        }
    }

    pub fn rank(&self) -> usize {
        self.dims.len()
    }

    /// Counts everything in vectors of four where the innermost dimension allows it; gives the width.
    pub fn in_vectors(&mut self, firsts: &[usize]) -> usize {
        let inner = self.rank() - 1;
        let fits = self.dims[inner].is_multiple_of(4)
            && self.strides[inner] == [1; K]
            && self.strides[..inner]
                .iter()
                .flatten()
                .chain(firsts)
                .all(|n| n % 4 == 0);
        if !fits {
            return 1;
        }
        self.dims[inner] /= 4;
        self.strides[..inner]
            .iter_mut()
            .flatten()
            .for_each(|stride| *stride /= 4);
        4
    }

    /// The sizes of dimensions 1 to 4 as kernels take them: the inner ones last.
    pub fn inner_dims(&self) -> [u32; 4] {
        let mut out = [1; 4];
        let inner = self.dims[1..].iter().rev();
        out.iter_mut()
            .rev()
            .zip(inner)
            .for_each(|(out, n)| *out = *n as u32);
        out
    }

    /// One set of strides as kernels take it: that of the outermost dimension first, the inner ones last.
    pub fn steps(&self, set: usize) -> [u32; 5] {
        let mut out = [0; 5];
        let inner = self.strides[1..].iter().rev();
        out.iter_mut()
            .rev()
            .zip(inner)
            .for_each(|(out, steps)| *out = steps[set] as u32);
        out[0] = self.strides[0][set] as u32;
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_merge_where_all_strides_do() {
        let walk = Walk::new(&[2, 1, 3, 4], [&[12, 5, 4, 1]]).unwrap();
        assert_eq!((walk.dims, walk.strides), (vec![24], vec![[1]]));
        let walk = Walk::new(&[2, 3, 4], [&[12, 4, 1], &[0, 4, 1]]).unwrap();
        assert_eq!(walk.dims, [2, 12]);
        assert_eq!(walk.strides, [[12, 0], [1, 1]]);
        assert_eq!(walk.inner_dims(), [1, 1, 1, 12]);
        assert_eq!(walk.steps(0), [12, 0, 0, 0, 1]);
    }
}
