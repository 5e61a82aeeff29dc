//! Looking at tensors and making new ones of them, under candle's names.

use candle_core::shape::{Dim, Dims, ShapeWithOneHole};

use super::{DType, Device, Place, Result, Shape, Tensor};

impl Tensor {
    pub fn shape(&self) -> &Shape {
        match &self.place {
            Place::Candle(tensor) => tensor.shape(),
        }
    }

    pub fn dims(&self) -> &[usize] {
        self.shape().dims()
    }

    pub fn dim(&self, dim: impl Dim) -> Result<usize> {
        Ok(self.dims()[dim.to_index(self.shape(), "dim")?])
    }

    pub fn dims2(&self) -> Result<(usize, usize)> {
        self.shape().dims2()
    }

    pub fn dims3(&self) -> Result<(usize, usize, usize)> {
        self.shape().dims3()
    }

    pub fn elem_count(&self) -> usize {
        self.shape().elem_count()
    }

    pub fn dtype(&self) -> DType {
        match &self.place {
            Place::Candle(tensor) => tensor.dtype(),
        }
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Whether both are the same tensor, not only of the same numbers.
    pub fn is(&self, other: &Self) -> bool {
        match (&self.place, &other.place) {
            (Place::Candle(a), Place::Candle(b)) => a.id() == b.id(),
        }
    }

    pub fn to_vec1<S: candle_core::WithDType>(&self) -> Result<Vec<S>> {
        self.candle()?.to_vec1()
    }

    pub fn to_vec2<S: candle_core::WithDType>(&self) -> Result<Vec<Vec<S>>> {
        self.candle()?.to_vec2()
    }

    pub fn to_vec3<S: candle_core::WithDType>(&self) -> Result<Vec<Vec<Vec<S>>>> {
        self.candle()?.to_vec3()
    }

    pub fn to_scalar<S: candle_core::WithDType>(&self) -> Result<S> {
        self.candle()?.to_scalar()
    }

    pub fn to_device(&self, device: &Device) -> Result<Self> {
        Ok(self.candle()?.to_device(&device.candle())?.into())
    }

    /// Another number type; on a wgpu card floats are f32 whatever is asked for.
    pub fn to_dtype(&self, dtype: DType) -> Result<Self> {
        self.by(|x| x.to_dtype(dtype))
    }

    /// Tensors one after the other along a dimension.
    pub fn cat<T: AsRef<Tensor>>(tensors: &[T], dim: impl Dim) -> Result<Self> {
        let parts = tensors.iter().map(|tensor| tensor.as_ref().candle());
        let parts = parts.collect::<Result<Vec<_>>>()?;
        let all = candle_core::Tensor::cat(&parts, dim)?;
        match tensors.first() {
            Some(first) => first.as_ref().beside(all),
            None => Ok(all.into()),
        }
    }

    /// Writes `source` into this tensor from an index of a dimension on.
    pub fn slice_set(&self, source: &Self, dim: impl Dim, first: usize) -> Result<()> {
        self.candle()?.slice_set(&source.candle()?, dim, first)
    }

    pub fn narrow(&self, dim: impl Dim, first: usize, n: usize) -> Result<Self> {
        self.by(|x| x.narrow(dim, first, n))
    }

    pub fn get(&self, i: usize) -> Result<Self> {
        self.by(|x| x.get(i))
    }

    pub fn reshape(&self, shape: impl ShapeWithOneHole) -> Result<Self> {
        self.by(|x| x.reshape(shape))
    }

    pub fn flatten_all(&self) -> Result<Self> {
        self.by(candle_core::Tensor::flatten_all)
    }

    pub fn flatten_from(&self, dim: impl Dim) -> Result<Self> {
        self.by(|x| x.flatten_from(dim))
    }

    pub fn transpose(&self, a: impl Dim, b: impl Dim) -> Result<Self> {
        self.by(|x| x.transpose(a, b))
    }

    pub fn t(&self) -> Result<Self> {
        self.by(candle_core::Tensor::t)
    }

    pub fn permute(&self, dims: impl Dims) -> Result<Self> {
        self.by(|x| x.permute(dims))
    }

    pub fn unsqueeze(&self, dim: impl Dim) -> Result<Self> {
        self.by(|x| x.unsqueeze(dim))
    }

    pub fn squeeze(&self, dim: impl Dim) -> Result<Self> {
        self.by(|x| x.squeeze(dim))
    }

    pub fn broadcast_as(&self, shape: impl Into<Shape>) -> Result<Self> {
        self.by(|x| x.broadcast_as(shape))
    }

    pub fn repeat(&self, shape: impl Into<Shape>) -> Result<Self> {
        self.by(|x| x.repeat(shape))
    }

    pub fn contiguous(&self) -> Result<Self> {
        self.by(candle_core::Tensor::contiguous)
    }

    /// A copy of its own, even where the numbers follow each other already.
    pub fn force_contiguous(&self) -> Result<Self> {
        self.by(candle_core::Tensor::force_contiguous)
    }

    pub fn zeros_like(&self) -> Result<Self> {
        self.by(candle_core::Tensor::zeros_like)
    }

    pub fn index_select(&self, index: &Self, dim: impl Dim) -> Result<Self> {
        let index = index.candle()?;
        self.by(|x| x.index_select(&index, dim))
    }

    pub fn pad_with_zeros(&self, dim: impl Dim, before: usize, after: usize) -> Result<Self> {
        self.by(|x| x.pad_with_zeros(dim, before, after))
    }

    /// What candle makes of it, beside it.
    pub(crate) fn by(
        &self,
        f: impl FnOnce(&candle_core::Tensor) -> Result<candle_core::Tensor>,
    ) -> Result<Self> {
        self.beside(f(&self.candle()?)?)
    }
}
