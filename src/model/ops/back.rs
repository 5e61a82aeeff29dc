//! Derivatives of the operations of a block, in plain candle operations: for gradients, which no click waits for.

use candle_core::{D, DType, Result, Tensor};

use super::AttentionShape;

/// Of [`super::rms_norm`] with respect to `x`: `[n, d] -> [n, d]`, in the type of x.
pub(super) fn rms_norm_back(x: &Tensor, weight: &Tensor, eps: f64, dy: &Tensor) -> Result<Tensor> {
    let (dtype, d) = (x.dtype(), x.dim(D::Minus1)? as f64);
    let (x, weight) = (x.to_dtype(DType::F32)?, weight.to_dtype(DType::F32)?);
    let dy = dy.to_dtype(DType::F32)?.broadcast_mul(&weight)?;
    let scale = (x.sqr()?.mean_keepdim(D::Minus1)? + eps)?.sqrt()?.recip()?; // [n, 1]
    let along = (&x * &dy)?.sum_keepdim(D::Minus1)?; // [n, 1]
    let along = ((along * scale.powf(3.0)?)? / d)?;
    (dy.broadcast_mul(&scale)? - x.broadcast_mul(&along)?)?.to_dtype(dtype)
}

/// Of [`super::silu_mul`]: `[n, 2 * d_ff]` and `[n, d_ff]` to `[n, 2 * d_ff]`.
pub(super) fn silu_mul_back(gate_up: &Tensor, dy: &Tensor) -> Result<Tensor> {
    let dtype = gate_up.dtype();
    let (gate_up, dy) = (gate_up.to_dtype(DType::F32)?, dy.to_dtype(DType::F32)?);
    let d_ff = dy.dim(D::Minus1)?;
    let gate = gate_up.narrow(D::Minus1, 0, d_ff)?.contiguous()?;
    let up = gate_up.narrow(D::Minus1, d_ff, d_ff)?;
    let sigmoid = (gate.neg()?.exp()? + 1.0)?.recip()?;
    let silu = (&gate * &sigmoid)?;
    // σ(g) (1 + g (1 − σ(g))) = σ + silu − silu σ
    let slope = ((&sigmoid + &silu)? - (&silu * &sigmoid)?)?;
    let d_gate = ((&dy * up)? * slope)?;
    let d_up = (dy * silu)?;
    Tensor::cat(&[d_gate, d_up], D::Minus1)?.to_dtype(dtype)
}

/// Of a softmax over the last dimension that gave `p`.
pub(super) fn softmax_back(p: &Tensor, dp: &Tensor) -> Result<Tensor> {
    let dtype = p.dtype();
    let (p, dp) = (p.to_dtype(DType::F32)?, dp.to_dtype(DType::F32)?);
    let weighted = (&p * dp)?;
    let sum = weighted.sum_keepdim(D::Minus1)?;
    (weighted - p.broadcast_mul(&sum)?)?.to_dtype(dtype)
}

/// Of [`super::repeat_heads`]: `[heads, n, d_head] -> [kv_heads, n, d_head]`.
pub(super) fn sum_of_groups(dx: &Tensor, shape: &AttentionShape) -> Result<Tensor> {
    let groups = shape.heads / shape.kv_heads;
    match groups {
        1 => Ok(dx.clone()),
        _ => dx
            .contiguous()?
            .reshape((shape.kv_heads, groups, shape.n, shape.d_head))?
            .sum(1),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Var;

    use super::super::testing::{random, worst};
    use super::*;

    /// The gradient that candle finds of Σ dy · f(x).
    fn by_candle(x: &Tensor, dy: &Tensor, f: &dyn Fn(&Tensor) -> Result<Tensor>) -> Tensor {
        let x = Var::from_tensor(x).unwrap();
        let sum = (f(x.as_tensor()).unwrap() * dy).unwrap().sum_all().unwrap();
        let gradients = sum.backward().unwrap();
        gradients.get(x.as_tensor()).unwrap().clone()
    }

    #[test]
    fn derivatives_are_those_of_plain_operations() {
        let (x, weight, dy) = (
            random(&[5, 12], 2.0),
            random(&[12], 1.0),
            random(&[5, 12], 1.0),
        );
        let norm = |x: &Tensor| candle_nn::ops::rms_norm_slow(x, &weight, 1e-5);
        let ours = rms_norm_back(&x, &weight, 1e-5, &dy).unwrap();
        assert!(worst(&ours, &by_candle(&x, &dy, &norm)) < 1e-5);
        assert!(
            worst(&dy, &by_candle(&x, &dy, &norm)) > 1e-2,
            "the comparison can fail"
        );

        let dy = random(&[5, 6], 1.0);
        let gated = |x: &Tensor| x.narrow(1, 0, 6)?.silu()? * x.narrow(1, 6, 6)?;
        let ours = silu_mul_back(&x, &dy).unwrap();
        assert!(worst(&ours, &by_candle(&x, &dy, &gated)) < 1e-5);

        let dy = random(&[5, 12], 1.0);
        let softmax = |x: &Tensor| candle_nn::ops::softmax(x, D::Minus1);
        let ours = softmax_back(&softmax(&x).unwrap(), &dy).unwrap();
        assert!(worst(&ours, &by_candle(&x, &dy, &softmax)) < 1e-5);
    }

    #[test]
    fn groups_are_summed_as_they_were_repeated() {
        let shape = AttentionShape {
            batch: 1,
            n: 3,
            heads: 6,
            kv_heads: 2,
            d_head: 4,
            first_pos: 0,
        };
        let (x, dy) = (random(&[2, 3, 4], 1.0), random(&[6, 3, 4], 1.0));
        let repeat = |x: &Tensor| super::super::heads::repeat_heads(x, &shape);
        let ours = sum_of_groups(&dy, &shape).unwrap();
        assert!(worst(&ours, &by_candle(&x, &dy, &repeat)) < 1e-5);
    }
}
