//! What the tests of the kernels share: the adapter that there is, random numbers, and comparing. Tests nothing itself.
#![allow(clippy::unwrap_used)]
#![allow(dead_code, reason = "every test file uses its own part")]

use std::sync::OnceLock;

use patchglass::compute::{Gpu, Without, adapters};

/// The first adapter, software if there is no other; `None`, said once, where there is none.
pub fn gpu() -> Option<&'static Gpu> {
    static GPU: OnceLock<Option<Gpu>> = OnceLock::new();
    let gpu = GPU.get_or_init(|| {
        let found = adapters();
        if found.is_empty() {
            println!("skipped: no Vulkan adapter");
            return None;
        }
        let gpu = Gpu::open(Some(0), Without::default()).unwrap();
        println!("on {}", gpu.facts().name);
        Some(gpu)
    });
    gpu.as_ref()
}

/// Numbers that are the same in every run.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// From −spread to spread.
    pub fn float(&mut self, spread: f32) -> f32 {
        ((self.next() >> 40) as f32 / 8_388_608.0 - 1.0) * spread
    }

    pub fn floats(&mut self, n: usize, spread: f32) -> Vec<f32> {
        (0..n).map(|_| self.float(spread)).collect()
    }
}

/// The largest difference, relative where numbers are above 1. Numbers that are not finite must be the same.
pub fn worst(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let apart = a.iter().zip(b).map(|(a, b)| match a == b {
        true => 0.0,
        false if !a.is_finite() || !b.is_finite() => f32::INFINITY,
        false => (a - b).abs() / b.abs().max(1.0),
    });
    apart.fold(0.0, f32::max)
}

#[track_caller]
pub fn assert_close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    let worst = worst(found, expected);
    assert!(
        worst <= tolerance,
        "{what}: {worst} is more than {tolerance}"
    );
}

/// The negative control of a comparison: what is wrong must be far outside of its tolerance.
#[track_caller]
pub fn assert_apart(found: &[f32], wrong: &[f32], tolerance: f32, what: &str) {
    let worst = worst(found, wrong);
    assert!(
        worst > 30.0 * tolerance,
        "{what}: {worst} would pass for right"
    );
}
