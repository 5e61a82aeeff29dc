//! Tensors on a wgpu card: f32, in the layouts that candle's views have. Kernels and memory are `compute`'s.

use candle_core::{DType, Layout, Result, Shape};

use super::{Device, Place, Tensor};
use crate::compute::{ComputeError, Gpu, Slice, batched, ops};

/// Where a tensor lies on a card.
#[derive(Clone, Debug)]
pub(crate) struct OnCard {
    pub gpu: Gpu,
    data: Slice,
    pub layout: Layout,
}

impl From<ComputeError> for candle_core::Error {
    fn from(error: ComputeError) -> Self {
        Self::wrap(error)
    }
}

impl OnCard {
    /// `data` as a contiguous tensor.
    pub fn new(gpu: &Gpu, data: Slice, shape: impl Into<Shape>) -> Self {
        Self {
            gpu: gpu.clone(),
            data,
            layout: Layout::contiguous(shape),
        }
    }

    /// Floats of candle's, copied to the card.
    pub fn upload(gpu: &Gpu, tensor: &candle_core::Tensor) -> Result<Self> {
        let values = tensor.to_dtype(DType::F32)?.flatten_all()?;
        let data = gpu.upload_f32(&values.to_vec1::<f32>()?)?;
        Ok(Self::new(gpu, data, tensor.shape()))
    }

    /// A copy on the CPU.
    pub fn download(&self) -> Result<candle_core::Tensor> {
        let values = self.gpu.download_f32(&self.slice()?)?;
        candle_core::Tensor::from_vec(values, self.layout.shape(), &candle_core::Device::Cpu)
    }

    /// All its numbers one after the other; copied where they are not.
    pub fn slice(&self) -> Result<Slice> {
        match self.layout.contiguous_offsets() {
            Some((first, end)) => Ok(self.data.slice(first, end - first)?),
            None => Ok(ops::copy(&self.gpu, &self.strided(&self.layout))?),
        }
    }

    /// Its numbers in a layout of the same memory.
    pub fn strided<'a>(&'a self, layout: &'a Layout) -> ops::Strided<'a> {
        ops::Strided {
            data: &self.data,
            first: layout.start_offset(),
            dims: layout.dims(),
            strides: layout.stride(),
        }
    }

    /// The memory, for keys and values that lie in a larger room: from the first number on, and the words from one
    /// index of the first dimension to the next. `None` where the other dimensions do not follow each other.
    pub fn heads(&self) -> Result<Option<(Slice, usize)>> {
        let (dims, strides) = (self.layout.dims(), self.layout.stride());
        if dims.len() != 3 || strides[2] != 1 || strides[1] != dims[2] {
            return Ok(None);
        }
        let first = self.layout.start_offset();
        let rest = self.data.slice(first, self.data.len() - first)?;
        Ok(Some((rest, strides[0])))
    }

    /// Writes a contiguous block into the place that this view has in its memory.
    pub fn overwrite(&self, source: &Slice) -> Result<()> {
        let (first, dims) = (self.layout.start_offset(), self.layout.dims());
        let strides = self.layout.stride();
        Ok(ops::write_into(
            &self.gpu, &self.data, first, strides, dims, source,
        )?)
    }

    /// Another view of the same memory.
    pub fn view(&self, layout: Layout) -> Self {
        Self {
            layout,
            ..self.clone()
        }
    }

    pub fn reshape(&self, shape: Shape) -> Result<Self> {
        match self.layout.contiguous_offsets() {
            Some((first, _)) => Ok(self.view(Layout::contiguous_with_offset(shape, first))),
            None => Ok(Self::new(&self.gpu, self.slice()?, shape)),
        }
    }
}

/// Work on one or two tensors, each result contiguous.
impl OnCard {
    pub fn copy(&self) -> Result<Self> {
        let data = ops::copy(&self.gpu, &self.strided(&self.layout))?;
        Ok(Self::new(&self.gpu, data, self.layout.shape()))
    }

    pub fn unary(&self, op: ops::Unary) -> Result<Self> {
        let n = self.layout.shape().elem_count();
        let data = ops::unary(&self.gpu, op, &self.slice()?, n)?;
        Ok(Self::new(&self.gpu, data, self.layout.shape()))
    }

    /// `mul * x + add`
    pub fn affine(&self, mul: f64, add: f64) -> Result<Self> {
        let n = self.layout.shape().elem_count();
        let data = ops::affine(&self.gpu, &self.slice()?, n, mul as f32, add as f32)?;
        Ok(Self::new(&self.gpu, data, self.layout.shape()))
    }

    /// Number by number, each repeated to the shape of both.
    pub fn binary(&self, op: ops::Binary, other: &Self) -> Result<Self> {
        let shape = common_shape(self.layout.dims(), other.layout.dims())?;
        let (a, b) = (
            self.layout.broadcast_as(&shape)?,
            other.layout.broadcast_as(&shape)?,
        );
        let data = ops::binary(&self.gpu, op, &self.strided(&a), &other.strided(&b))?;
        Ok(Self::new(&self.gpu, data, shape))
    }

    /// Over one dimension, which goes or is left as 1.
    pub fn reduce(&self, op: ops::Reduce, dim: usize, is_kept: bool) -> Result<Self> {
        let (outer, n, inner) = around(self.layout.dims(), dim);
        let data = ops::reduce(&self.gpu, op, &self.slice()?, outer, n, inner)?;
        let mut dims = self.layout.dims().to_vec();
        match is_kept {
            true => dims[dim] = 1,
            false => drop(dims.remove(dim)),
        }
        Ok(Self::new(&self.gpu, data, dims))
    }

    pub fn index_select(&self, ids: &[u32], dim: usize) -> Result<Self> {
        let (outer, n, inner) = around(self.layout.dims(), dim);
        if let Some(id) = ids.iter().find(|id| **id as usize >= n) {
            candle_core::bail!("index {id} is not below {n}");
        }
        let data = ops::index_select(&self.gpu, &self.slice()?, outer, n, inner, ids)?;
        let mut dims = self.layout.dims().to_vec();
        dims[dim] = ids.len();
        Ok(Self::new(&self.gpu, data, dims))
    }

    /// `[.., m, k]` times `[.., k, n]` with the same dimensions before.
    pub fn matmul(&self, other: &Self) -> Result<Self> {
        let (a, b) = (self.three()?, other.three()?);
        let data = batched(&self.gpu, &a.strided(&a.layout), &b.strided(&b.layout))?;
        let mut dims = self.layout.dims().to_vec();
        if let (Some(last), Some(n)) = (dims.last_mut(), other.layout.dims().last()) {
            *last = *n;
        }
        Ok(Self::new(&self.gpu, data, dims))
    }

    /// With all but the last two dimensions as one.
    fn three(&self) -> Result<Self> {
        match self.layout.dims() {
            [_, _, _] => Ok(self.clone()),
            &[m, n] => {
                let strides = self.layout.stride();
                let strides = vec![0, strides[0], strides[1]];
                let first = self.layout.start_offset();
                Ok(self.view(Layout::new((1, m, n).into(), strides, first)))
            }
            [before @ .., m, n] => self.reshape((before.iter().product(), *m, *n).into()),
            _ => candle_core::bail!("a product needs matrices"),
        }
    }
}

/// Numbers before a dimension, along it, and after it.
fn around(dims: &[usize], dim: usize) -> (usize, usize, usize) {
    let product = |dims: &[usize]| dims.iter().product();
    (product(&dims[..dim]), dims[dim], product(&dims[dim + 1..]))
}

/// The shape that both repeat to.
fn common_shape(a: &[usize], b: &[usize]) -> Result<Shape> {
    let rank = a.len().max(b.len());
    let dim = |dims: &[usize], i: usize| {
        let missing = rank - dims.len();
        i.checked_sub(missing).map_or(1, |i| dims[i])
    };
    let dims = (0..rank).map(|i| match (dim(a, i), dim(b, i)) {
        (a, b) if a == b || b == 1 => Ok(a),
        (1, b) => Ok(b),
        _ => candle_core::bail!("shapes {a:?} and {b:?} do not go together"),
    });
    Ok(dims.collect::<Result<Vec<_>>>()?.into())
}

/// Tensors of one card along a dimension.
pub(super) fn cat(parts: &[OnCard], dim: usize) -> Result<Tensor> {
    let Some(one) = parts.first() else {
        candle_core::bail!("nothing to put together");
    };
    let mut dims = one.layout.dims().to_vec();
    dims[dim] = parts.iter().map(|part| part.layout.dims()[dim]).sum();
    let all = Layout::contiguous(dims);
    let data = one.gpu.alloc(all.shape().elem_count())?;
    let all = OnCard {
        gpu: one.gpu.clone(),
        data,
        layout: all,
    };
    let mut first = 0;
    for part in parts {
        let n = part.layout.dims()[dim];
        all.view(all.layout.narrow(dim, first, n)?)
            .overwrite(&part.slice()?)?;
        first += n;
    }
    Ok(all.into())
}

impl From<OnCard> for Tensor {
    fn from(tensor: OnCard) -> Self {
        Self {
            device: Device::Wgpu(tensor.gpu.clone()),
            place: Place::Card(tensor),
        }
    }
}

impl Tensor {
    /// Where it lies on a wgpu card, if it does.
    pub(crate) fn card(&self) -> Option<&OnCard> {
        match &self.place {
            Place::Card(tensor) => Some(tensor),
            Place::Candle(_) => None,
        }
    }

    /// The same on a card: itself, or a copy.
    pub(crate) fn on(&self, gpu: &Gpu) -> Result<OnCard> {
        match &self.place {
            Place::Card(tensor) => Ok(tensor.clone()),
            Place::Candle(tensor) => OnCard::upload(gpu, tensor),
        }
    }
}
