//! Operations that only cards carry out: a launch in the form that candle asks for. On the CPU other bodies are taken.

use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, CustomOp2, InplaceOp1, InplaceOp2, InplaceOp3, Layout,
    Result, Shape, Tensor,
};

/// Storage and layout of an argument.
pub(super) type Part<'a> = (&'a CudaStorage, &'a Layout);
type Made = Result<(CudaStorage, Shape)>;

/// What `launch` makes of a tensor on a card.
pub(super) fn apply1(x: &Tensor, launch: impl Fn(Part<'_>) -> Made) -> Result<Tensor> {
    x.apply_op1_no_bwd(&OnCard(launch))
}

/// What `launch` makes of two tensors on a card.
pub(super) fn apply2(
    x: &Tensor,
    y: &Tensor,
    launch: impl Fn(Part<'_>, Part<'_>) -> Made,
) -> Result<Tensor> {
    x.apply_op2_no_bwd(y, &OnCard(launch))
}

/// Lets `launch` write into a tensor on a card.
pub(super) fn in_place(x: &Tensor, launch: impl Fn(Part<'_>) -> Result<()>) -> Result<()> {
    x.inplace_op1(&OnCard(launch))
}

/// The same with another tensor to read.
pub(super) fn in_place2(
    x: &Tensor,
    y: &Tensor,
    launch: impl Fn(Part<'_>, Part<'_>) -> Result<()>,
) -> Result<()> {
    x.inplace_op2(y, &OnCard(launch))
}

/// The same with two other tensors to read.
pub(super) fn in_place3(
    x: &Tensor,
    y: &Tensor,
    z: &Tensor,
    launch: impl Fn(Part<'_>, Part<'_>, Part<'_>) -> Result<()>,
) -> Result<()> {
    x.inplace_op3(y, z, &OnCard(launch))
}

struct OnCard<F>(F);

const NAME: &str = "on-card";
const NO_CPU: &str = "this operation has no body for the CPU";

impl<F: Fn(Part<'_>) -> Made> CustomOp1 for OnCard<F> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        candle_core::bail!("{NO_CPU}")
    }

    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Made {
        (self.0)((x, layout))
    }
}

impl<F: Fn(Part<'_>, Part<'_>) -> Made> CustomOp2 for OnCard<F> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        candle_core::bail!("{NO_CPU}")
    }

    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        x_layout: &Layout,
        y: &CudaStorage,
        y_layout: &Layout,
    ) -> Made {
        (self.0)((x, x_layout), (y, y_layout))
    }
}

impl<F: Fn(Part<'_>) -> Result<()>> InplaceOp1 for OnCard<F> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout) -> Result<()> {
        candle_core::bail!("{NO_CPU}")
    }

    fn cuda_fwd(&self, x: &mut CudaStorage, layout: &Layout) -> Result<()> {
        (self.0)((x, layout))
    }
}

impl<F: Fn(Part<'_>, Part<'_>) -> Result<()>> InplaceOp2 for OnCard<F> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<()> {
        candle_core::bail!("{NO_CPU}")
    }

    fn cuda_fwd(
        &self,
        x: &mut CudaStorage,
        x_layout: &Layout,
        y: &CudaStorage,
        y_layout: &Layout,
    ) -> Result<()> {
        (self.0)((x, x_layout), (y, y_layout))
    }
}

impl<F: Fn(Part<'_>, Part<'_>, Part<'_>) -> Result<()>> InplaceOp3 for OnCard<F> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        _: &mut CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<()> {
        candle_core::bail!("{NO_CPU}")
    }

    fn cuda_fwd(
        &self,
        x: &mut CudaStorage,
        x_layout: &Layout,
        y: &CudaStorage,
        y_layout: &Layout,
        z: &CudaStorage,
        z_layout: &Layout,
    ) -> Result<()> {
        (self.0)((x, x_layout), (y, y_layout), (z, z_layout))
    }
}
