//! Arithmetic on tensors, under candle's names.

use candle_core::shape::{Dim, Dims};

use super::{Result, Tensor};

type Candle = candle_core::Tensor;

impl Tensor {
    pub fn matmul(&self, other: &Self) -> Result<Self> {
        self.with(other, Candle::matmul)
    }

    pub fn broadcast_add(&self, other: &Self) -> Result<Self> {
        self.with(other, Candle::broadcast_add)
    }

    pub fn broadcast_sub(&self, other: &Self) -> Result<Self> {
        self.with(other, Candle::broadcast_sub)
    }

    pub fn broadcast_mul(&self, other: &Self) -> Result<Self> {
        self.with(other, Candle::broadcast_mul)
    }

    pub fn broadcast_div(&self, other: &Self) -> Result<Self> {
        self.with(other, Candle::broadcast_div)
    }

    pub fn broadcast_maximum(&self, other: &Self) -> Result<Self> {
        self.with(other, Candle::broadcast_maximum)
    }

    pub fn broadcast_gt(&self, other: &Self) -> Result<Self> {
        self.with(other, Candle::broadcast_gt)
    }

    /// `mul * x + add`
    pub fn affine(&self, mul: f64, add: f64) -> Result<Self> {
        self.by(|x| x.affine(mul, add))
    }

    pub fn sum(&self, dims: impl Dims) -> Result<Self> {
        self.by(|x| x.sum(dims))
    }

    pub fn sum_keepdim(&self, dims: impl Dims) -> Result<Self> {
        self.by(|x| x.sum_keepdim(dims))
    }

    pub fn mean(&self, dims: impl Dims) -> Result<Self> {
        self.by(|x| x.mean(dims))
    }

    pub fn mean_keepdim(&self, dims: impl Dims) -> Result<Self> {
        self.by(|x| x.mean_keepdim(dims))
    }

    pub fn max_keepdim(&self, dim: impl Dim) -> Result<Self> {
        self.by(|x| x.max_keepdim(dim))
    }

    pub fn max(&self, dim: impl Dim) -> Result<Self> {
        self.by(|x| x.max(dim))
    }

    pub fn argmax(&self, dim: impl Dim) -> Result<Self> {
        self.by(|x| x.argmax(dim))
    }

    pub fn clamp(&self, least: f64, most: f64) -> Result<Self> {
        self.by(|x| x.clamp(least, most))
    }

    /// The larger of each number and `least`.
    pub fn maximum(&self, least: f64) -> Result<Self> {
        self.by(|x| x.maximum(least))
    }

    pub fn add(&self, other: &Self) -> Result<Self> {
        self.with(other, Candle::add)
    }

    pub fn sub(&self, other: &Self) -> Result<Self> {
        self.with(other, Candle::sub)
    }

    /// What candle makes of two, beside the first.
    pub(crate) fn with(
        &self,
        other: &Self,
        f: impl FnOnce(&Candle, &Candle) -> Result<Candle>,
    ) -> Result<Self> {
        self.beside(f(&self.candle()?, &other.candle()?)?)
    }
}

/// Of one tensor, number by number.
macro_rules! number_by_number {
    ($($name:ident)*) => {
        impl Tensor {
            $(pub fn $name(&self) -> Result<Self> {
                self.by(Candle::$name)
            })*
        }
    };
}

number_by_number!(sqr sqrt exp log neg abs recip silu gelu gelu_erf relu);

/// Two tensors of one shape, or a tensor and a number, on the sides of an operator.
macro_rules! operators {
    ($($operator:ident $name:ident $candle:ident |$x:ident| $scalar:expr;)*) => {
        $(
            impl std::ops::$operator<&Tensor> for &Tensor {
                type Output = Result<Tensor>;

                fn $name(self, other: &Tensor) -> Self::Output {
                    self.with(other, |a, b| a.$candle(b))
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
    Add add add |x| (1.0, x);
    Sub sub sub |x| (1.0, -x);
    Mul mul mul |x| (x, 0.0);
    Div div div |x| (1.0 / x, 0.0);
}
