//! The exponential in a form that compilers turn into vector code, and running code with the vector units that the
//! processor turns out to have.

use std::sync::LazyLock;

/// Runs `work` compiled for the widest vector instructions of this processor. What `work` calls must be inlined.
pub(crate) fn with_vectors<T>(work: impl FnOnce() -> T) -> T {
    static ARCH: LazyLock<pulp::Arch> = LazyLock::new(pulp::Arch::new);
    ARCH.dispatch(work)
}

/// e^x to about 1e-7 relative, in a form that compilers turn into vector code; below −87 it is 0.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Adding and taking away 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, the first exact in few bits, so that the remainder loses nothing.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let x_bounded = x.max(-87.0);
    let rounded = x_bounded * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let f = (x_bounded - n * LN_2[0]) - n * LN_2[1]; // |f| <= ln 2 / 2
    let p = 1.0
        + f * (1.0
            + f * (0.5
                + f * (1.0 / 6.0 + f * (1.0 / 24.0 + f * (1.0 / 120.0 + f * (1.0 / 720.0))))));
    let n_bits = rounded.to_bits().wrapping_sub(ROUND.to_bits());
    let power = f32::from_bits(n_bits.wrapping_add(127) << 23);
    if x < -87.0 { 0.0 } else { p * power }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_exact_enough() {
        for i in -8700..=8700 {
            let x = i as f32 / 100.0;
            let (found, expected) = (f64::from(exp(x)), f64::from(x).exp());
            assert!(
                (found / expected - 1.0).abs() < 2e-6,
                "{x}: {found} {expected}"
            );
        }
        assert_eq!(
            (exp(f32::NEG_INFINITY), exp(-100.0), exp(0.0)),
            (0.0, 0.0, 1.0)
        );
    }
}
