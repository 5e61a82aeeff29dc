//! Looking at tensors and making new ones of them, under candle's names.

use candle_core::Layout;
use candle_core::shape::{D, Dim, Dims, ShapeWithOneHole};

use super::{DType, Device, Place, Result, Shape, Tensor};

impl Tensor {
    pub fn shape(&self) -> &Shape {
        match &self.place {
            Place::Candle(tensor) => tensor.shape(),
            Place::Card(tensor) => tensor.layout.shape(),
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
            Place::Card(_) => DType::F32,
        }
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Whether both are the same tensor, not only of the same numbers.
    pub fn is(&self, other: &Self) -> bool {
        match (&self.place, &other.place) {
            (Place::Candle(a), Place::Candle(b)) => a.id() == b.id(),
            _ => false,
        }
    }

    pub fn to_vec1<S: candle_core::WithDType>(&self) -> Result<Vec<S>> {
        self.candle()?.to_vec1()
    }

    /// Looks at its f32 numbers, one after the other, without a copy where they lie so in memory.
    pub fn with_floats<R>(&self, look: impl FnOnce(&[f32]) -> R) -> Result<R> {
        if let Place::Candle(x) = &self.place
            && x.device().is_cpu()
        {
            let (storage, layout) = x.storage_and_layout();
            if let (candle_core::Storage::Cpu(floats), Some((first, end))) =
                (&*storage, layout.contiguous_offsets())
            {
                return Ok(look(&floats.as_slice::<f32>()?[first..end]));
            }
        }
        Ok(look(&self.candle()?.flatten_all()?.to_vec1::<f32>()?))
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
        match self.device.same_device(device) {
            true => Ok(self.clone()),
            false => Self::put(self.candle()?.to_device(&device.candle())?, device),
        }
    }

    /// Another number type; on a wgpu card floats are f32 whatever is asked for.
    pub fn to_dtype(&self, dtype: DType) -> Result<Self> {
        match self.card() {
            Some(_) if dtype.is_float() => Ok(self.clone()),
            _ => self.by(|x| x.to_dtype(dtype)),
        }
    }

    /// Tensors one after the other along a dimension.
    pub fn cat<T: AsRef<Tensor>>(tensors: &[T], dim: impl Dim) -> Result<Self> {
        let on_card = tensors.iter().find_map(|tensor| tensor.as_ref().card());
        if let (Some(card), Some(first)) = (on_card, tensors.first()) {
            let dim = dim.to_index(first.as_ref().shape(), "cat")?;
            let parts = tensors.iter().map(|tensor| tensor.as_ref().on(&card.gpu));
            return super::card::cat(&parts.collect::<Result<Vec<_>>>()?, dim);
        }
        let parts = tensors.iter().map(|tensor| tensor.as_ref().candle());
        let all = candle_core::Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, dim)?;
        match tensors.first() {
            Some(first) => first.as_ref().beside(all),
            None => Ok(all.into()),
        }
    }

    /// Writes `source` into this tensor from an index of a dimension on.
    pub fn slice_set(&self, source: &Self, dim: impl Dim, first: usize) -> Result<()> {
        let dim = dim.to_index(self.shape(), "slice_set")?;
        match self.card() {
            Some(card) => {
                let place = card.layout.narrow(dim, first, source.dim(dim)?)?;
                card.view(place).overwrite(&source.on(&card.gpu)?.slice()?)
            }
            None => self.candle()?.slice_set(&source.candle()?, dim, first),
        }
    }

    pub fn narrow(&self, dim: impl Dim, first: usize, n: usize) -> Result<Self> {
        let dim = dim.to_index(self.shape(), "narrow")?;
        self.view(|x| x.narrow(dim, first, n), |x| x.narrow(dim, first, n))
    }

    pub fn get(&self, i: usize) -> Result<Self> {
        self.narrow(0, i, 1)?.squeeze(0)
    }

    pub fn reshape(&self, shape: impl ShapeWithOneHole) -> Result<Self> {
        let shape = shape.into_shape(self.elem_count())?;
        match &self.place {
            Place::Candle(x) => self.of_candle(x.reshape(shape)?),
            Place::Card(x) => Ok(x.reshape(shape)?.into()),
        }
    }

    pub fn flatten_all(&self) -> Result<Self> {
        self.reshape(self.elem_count())
    }

    /// The dimensions from `dim` on as one.
    pub fn flatten_from(&self, dim: impl Dim) -> Result<Self> {
        let dim = dim.to_index(self.shape(), "flatten_from")?;
        let (before, rest) = self.dims().split_at(dim);
        let mut dims = before.to_vec();
        dims.push(rest.iter().product());
        self.reshape(dims)
    }

    pub fn transpose(&self, a: impl Dim, b: impl Dim) -> Result<Self> {
        let a = a.to_index(self.shape(), "transpose")?;
        let b = b.to_index(self.shape(), "transpose")?;
        self.view(|x| x.transpose(a, b), |x| x.transpose(a, b))
    }

    pub fn t(&self) -> Result<Self> {
        self.transpose(D::Minus2, D::Minus1)
    }

    pub fn permute(&self, dims: impl Dims) -> Result<Self> {
        let dims = dims.to_indexes(self.shape(), "permute")?;
        self.view(|x| x.permute(dims.as_slice()), |x| x.permute(&dims))
    }

    pub fn unsqueeze(&self, dim: impl Dim) -> Result<Self> {
        let dim = dim.to_index_plus_one(self.shape(), "unsqueeze")?;
        let with_one = |x: &Layout| {
            let (mut dims, mut strides) = (x.dims().to_vec(), x.stride().to_vec());
            let stride = dims.get(dim).map_or(1, |n| n * strides[dim]);
            dims.insert(dim, 1);
            strides.insert(dim, stride);
            Ok(Layout::new(dims.into(), strides, x.start_offset()))
        };
        self.view(|x| x.unsqueeze(dim), with_one)
    }

    pub fn squeeze(&self, dim: impl Dim) -> Result<Self> {
        let dim = dim.to_index(self.shape(), "squeeze")?;
        let without = |x: &Layout| {
            let (mut dims, mut strides) = (x.dims().to_vec(), x.stride().to_vec());
            if dims[dim] == 1 {
                dims.remove(dim);
                strides.remove(dim);
            }
            Ok(Layout::new(dims.into(), strides, x.start_offset()))
        };
        self.view(|x| x.squeeze(dim), without)
    }

    pub fn broadcast_as(&self, shape: impl Into<Shape>) -> Result<Self> {
        let shape = shape.into();
        self.view(|x| x.broadcast_as(&shape), |x| x.broadcast_as(&shape))
    }

    pub fn repeat(&self, shape: impl Into<Shape>) -> Result<Self> {
        self.by(|x| x.repeat(shape))
    }

    pub fn contiguous(&self) -> Result<Self> {
        match &self.place {
            Place::Candle(x) => self.of_candle(x.contiguous()?),
            Place::Card(x) => Ok(x.reshape(x.layout.shape().clone())?.into()),
        }
    }

    /// A copy of its own, even where the numbers follow each other already.
    pub fn force_contiguous(&self) -> Result<Self> {
        match &self.place {
            Place::Candle(x) => self.of_candle(x.force_contiguous()?),
            Place::Card(x) => x.copy().map(Self::from),
        }
    }

    pub fn zeros_like(&self) -> Result<Self> {
        Self::zeros(self.shape(), self.dtype(), &self.device)
    }

    pub fn index_select(&self, index: &Self, dim: impl Dim) -> Result<Self> {
        let (dim, index) = (dim.to_index(self.shape(), "index_select")?, index.candle()?);
        match &self.place {
            Place::Candle(x) => self.of_candle(x.index_select(&index, dim)?),
            Place::Card(x) => Ok(x.index_select(&index.to_vec1::<u32>()?, dim)?.into()),
        }
    }

    pub fn pad_with_zeros(&self, dim: impl Dim, before: usize, after: usize) -> Result<Self> {
        self.by(|x| x.pad_with_zeros(dim, before, after))
    }

    fn view(
        &self,
        of_candle: impl FnOnce(&candle_core::Tensor) -> Result<candle_core::Tensor>,
        of_layout: impl FnOnce(&Layout) -> Result<Layout>,
    ) -> Result<Self> {
        match &self.place {
            Place::Candle(x) => self.of_candle(of_candle(x)?),
            Place::Card(x) => Ok(x.view(of_layout(&x.layout)?).into()),
        }
    }

    /// What candle made of a tensor of its own, which counts as lying where that one did.
    fn of_candle(&self, made: candle_core::Tensor) -> Result<Self> {
        Ok(Self {
            device: self.device.clone(),
            place: Place::Candle(made),
        })
    }

    /// What candle makes of it, beside it.
    pub(crate) fn by(
        &self,
        f: impl FnOnce(&candle_core::Tensor) -> Result<candle_core::Tensor>,
    ) -> Result<Self> {
        self.beside(f(&self.candle()?)?)
    }
}
