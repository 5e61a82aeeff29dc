//! Arithmetic on tensors, under candle's names.

use candle_core::shape::{Dim, Dims};

use super::{OnCard, Result, Tensor};
use crate::compute::ops::{Binary, Reduce, Unary};

type Candle = candle_core::Tensor;

impl Tensor {
    pub fn matmul(&self, other: &Self) -> Result<Self> {
        match self.beside_on_card(other)? {
            Some((a, b)) => Ok(a.matmul(&b)?.into()),
            None => self.with(other, Candle::matmul),
        }
    }

    /// The larger of each number and `least`.
    pub fn maximum(&self, least: f64) -> Result<Self> {
        self.by(|x| x.maximum(least))
    }

    /// `mul * x + add`
    pub fn affine(&self, mul: f64, add: f64) -> Result<Self> {
        match self.card() {
            Some(x) => Ok(x.affine(mul, add)?.into()),
            None => self.by(|x| x.affine(mul, add)),
        }
    }

    pub fn sum(&self, dims: impl Dims) -> Result<Self> {
        let dims = dims.to_indexes(self.shape(), "sum")?;
        match (self.card(), dims.as_slice()) {
            (Some(x), [dim]) => Ok(x.reduce(Reduce::Sum, *dim, false)?.into()),
            _ => self.by(|x| x.sum(dims)),
        }
    }

    pub fn sum_keepdim(&self, dims: impl Dims) -> Result<Self> {
        let dims = dims.to_indexes(self.shape(), "sum_keepdim")?;
        match (self.card(), dims.as_slice()) {
            (Some(x), [dim]) => Ok(x.reduce(Reduce::Sum, *dim, true)?.into()),
            _ => self.by(|x| x.sum_keepdim(dims)),
        }
    }

    pub fn mean(&self, dims: impl Dims) -> Result<Self> {
        let dims = dims.to_indexes(self.shape(), "mean")?;
        let n: usize = dims.iter().map(|dim| self.dims()[*dim]).product();
        self.sum(dims)?.affine(1.0 / n as f64, 0.0)
    }

    pub fn mean_keepdim(&self, dims: impl Dims) -> Result<Self> {
        let dims = dims.to_indexes(self.shape(), "mean_keepdim")?;
        let n: usize = dims.iter().map(|dim| self.dims()[*dim]).product();
        self.sum_keepdim(dims)?.affine(1.0 / n as f64, 0.0)
    }

    pub fn max_keepdim(&self, dim: impl Dim) -> Result<Self> {
        let dim = dim.to_index(self.shape(), "max_keepdim")?;
        match self.card() {
            Some(x) => Ok(x.reduce(Reduce::Max, dim, true)?.into()),
            None => self.by(|x| x.max_keepdim(dim)),
        }
    }

    pub fn max(&self, dim: impl Dim) -> Result<Self> {
        let dim = dim.to_index(self.shape(), "max")?;
        match self.card() {
            Some(x) => Ok(x.reduce(Reduce::Max, dim, false)?.into()),
            None => self.by(|x| x.max(dim)),
        }
    }

    pub fn argmax(&self, dim: impl Dim) -> Result<Self> {
        self.by(|x| x.argmax(dim))
    }

    pub fn broadcast_gt(&self, other: &Self) -> Result<Self> {
        self.with(other, Candle::broadcast_gt)
    }

    pub fn add(&self, other: &Self) -> Result<Self> {
        self + other
    }

    pub fn sub(&self, other: &Self) -> Result<Self> {
        self - other
    }

    /// What candle makes of two, beside the first.
    pub(crate) fn with(
        &self,
        other: &Self,
        f: impl FnOnce(&Candle, &Candle) -> Result<Candle>,
    ) -> Result<Self> {
        self.beside(f(&self.candle()?, &other.candle()?)?)
    }

    /// Number by number, on the card where either lies.
    fn number_by_number(
        &self,
        other: &Self,
        op: Binary,
        f: impl FnOnce(&Candle, &Candle) -> Result<Candle>,
    ) -> Result<Self> {
        match self.beside_on_card(other)? {
            Some((a, b)) => Ok(a.binary(op, &b)?.into()),
            None => self.with(other, f),
        }
    }

    /// Both on the card where either lies, if one does and both hold floats.
    pub(crate) fn beside_on_card(&self, other: &Self) -> Result<Option<(OnCard, OnCard)>> {
        let Some(card) = self.card().or(other.card()) else {
            return Ok(None);
        };
        if !self.dtype().is_float() || !other.dtype().is_float() {
            return Ok(None);
        }
        Ok(Some((self.on(&card.gpu)?, other.on(&card.gpu)?)))
    }
}

/// Of two tensors, each repeated to the shape of both.
macro_rules! of_two {
    ($($name:ident $op:ident;)*) => {
        impl Tensor {
            $(pub fn $name(&self, other: &Self) -> Result<Self> {
                self.number_by_number(other, Binary::$op, Candle::$name)
            })*
        }
    };
}

of_two! {
    broadcast_add Add;
    broadcast_sub Sub;
    broadcast_mul Mul;
    broadcast_div Div;
    broadcast_maximum Max;
}

/// Of one tensor, number by number.
macro_rules! of_one {
    ($($name:ident $op:ident;)*) => {
        impl Tensor {
            $(pub fn $name(&self) -> Result<Self> {
                match self.card() {
                    Some(x) => Ok(x.unary(Unary::$op)?.into()),
                    None => self.by(Candle::$name),
                }
            })*
        }
    };
}

of_one! {
    sqr Sqr;
    sqrt Sqrt;
    exp Exp;
    log Log;
    neg Neg;
    abs Abs;
    recip Recip;
    silu Silu;
    gelu Gelu;
    gelu_erf GeluErf;
    relu Relu;
}

/// Two tensors of one shape, or a tensor and a number, on the sides of an operator.
macro_rules! operators {
    ($($operator:ident $name:ident |$x:ident| $scalar:expr;)*) => {
        $(
            impl std::ops::$operator<&Tensor> for &Tensor {
                type Output = Result<Tensor>;

                fn $name(self, other: &Tensor) -> Self::Output {
                    self.number_by_number(other, Binary::$operator, Candle::$name)
                }
            }

            impl std::ops::$operator<Tensor> for &Tensor {
                type Output = Result<Tensor>;

                fn $name(self, other: Tensor) -> Self::Output {
                    std::ops::$operator::$name(self, &other)
                }
            }

            impl std::ops::$operator<&Tensor> for Tensor {
                type Output = Result<Tensor>;

                fn $name(self, other: &Tensor) -> Self::Output {
                    std::ops::$operator::$name(&self, other)
                }
            }

            impl std::ops::$operator<Tensor> for Tensor {
                type Output = Result<Tensor>;

                fn $name(self, other: Tensor) -> Self::Output {
                    std::ops::$operator::$name(&self, &other)
                }
            }

            impl std::ops::$operator<f64> for &Tensor {
                type Output = Result<Tensor>;

                fn $name(self, $x: f64) -> Self::Output {
                    let (mul, add) = $scalar;
                    self.affine(mul, add)
                }
            }

            impl std::ops::$operator<f64> for Tensor {
                type Output = Result<Tensor>;

                fn $name(self, number: f64) -> Self::Output {
                    std::ops::$operator::$name(&self, number)
                }
            }
        )*
    };
}

operators! {
    Add add |x| (1.0, x);
    Sub sub |x| (1.0, -x);
    Mul mul |x| (x, 0.0);
    Div div |x| (1.0 / x, 0.0);
}
