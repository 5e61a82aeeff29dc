//! The context: memory, launches, batching and errors, on whatever adapter there is.

#![allow(clippy::unwrap_used)]

use std::borrow::Cow;

use patchglass::compute::{ComputeError, Gpu, Kernel, Without, adapters};

fn gpu() -> Option<Gpu> {
    let Some(first) = adapters().into_iter().next() else {
        println!("skipped: no Vulkan adapter");
        return None;
    };
    Some(Gpu::open(Some(first.index), Without::default()).unwrap())
}

fn add() -> Kernel {
    let source = "
        struct P { first_x: u32, first_y: u32, n: u32, add: f32 }
        @group(0) @binding(0) var<storage, read> x: array<f32>;
        @group(0) @binding(1) var<storage, read_write> y: array<f32>;
        @group(0) @binding(2) var<uniform> p: P;
        @compute @workgroup_size(64)
        fn main(@builtin(global_invocation_id) id: vec3<u32>) {
            if (id.x < p.n) { y[p.first_y + id.x] = x[p.first_x + id.x] + p.add; }
        }";
    Kernel {
        name: "add",
        source: Cow::Borrowed(source),
        writes: &[false, true],
    }
}

#[test]
fn launches_run_in_order_through_many_submits() {
    let Some(gpu) = gpu() else { return };
    println!("{:?}", gpu.facts());
    let values: Vec<f32> = (0..1000).map(|i| i as f32).collect();
    let all = gpu.upload_f32(&values).unwrap();
    let mut x = all.slice(100, 500).unwrap();
    for _ in 0..1200 {
        let y = gpu.alloc(500).unwrap();
        gpu.launch(&add(), &[&x, &y], &[500, 1f32.to_bits()], [8, 1, 1], 1000)
            .unwrap();
        x = y;
    }
    let out = gpu.download_f32(&x).unwrap();
    assert!(
        out.iter()
            .zip(&values[100..600])
            .all(|(y, x)| *y == x + 1200.0)
    );
    let (in_use, pooled) = gpu.memory();
    assert!(in_use < 20_000 && pooled < 20_000, "{in_use} {pooled}");
}

#[test]
fn a_write_comes_after_what_was_launched() {
    let Some(gpu) = gpu() else { return };
    let x = gpu.upload_f32(&[1.0; 64]).unwrap();
    let y = gpu.alloc(64).unwrap();
    gpu.launch(&add(), &[&x, &y], &[64, 1f32.to_bits()], [1, 1, 1], 1)
        .unwrap();
    gpu.write(&x, bytemuck::cast_slice(&[7f32; 64])).unwrap();
    assert_eq!(gpu.download_f32(&y).unwrap(), [2.0; 64]);
    assert_eq!(gpu.download_f32(&x).unwrap(), [7.0; 64]);
    let again = gpu.upload_f32(&[3.0; 64]).unwrap();
    assert_eq!(
        gpu.download_f32(&again.slice(60, 4).unwrap()).unwrap(),
        [3.0; 4]
    );
}

#[test]
fn mistakes_are_errors() {
    let Some(gpu) = gpu() else { return };
    let x = gpu.upload_f32(&[1.0; 64]).unwrap();
    let twice = gpu.launch(&add(), &[&x, &x], &[64, 0], [1, 1, 1], 1);
    assert!(
        matches!(&twice, Err(ComputeError::Failed(what)) if what.contains("add")),
        "{twice:?}"
    );
    let broken = Kernel {
        name: "broken",
        source: Cow::Borrowed("fn main( {"),
        writes: &[true],
    };
    let built = gpu.launch(&broken, &[&x], &[], [1, 1, 1], 1);
    assert!(matches!(&built, Err(ComputeError::Failed(what)) if what.contains("broken")));
    assert!(matches!(
        gpu.alloc(1 << 40),
        Err(ComputeError::TooLarge { .. })
    ));
    assert!(x.slice(60, 5).is_err());
    assert_eq!(gpu.download_f32(&x).unwrap(), [1.0; 64]);
    assert!(matches!(
        Gpu::open(Some(99), Without::default()),
        Err(ComputeError::NoAdapter)
    ));
}

#[test]
fn threads_share_a_card() {
    let Some(gpu) = gpu() else { return };
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let gpu = gpu.clone();
            scope.spawn(move || {
                for round in 0..20 {
                    let x = gpu
                        .upload_f32(&[(thread * 100 + round) as f32; 300])
                        .unwrap();
                    let y = gpu.alloc(300).unwrap();
                    gpu.launch(&add(), &[&x, &y], &[300, 1f32.to_bits()], [5, 1, 1], 1)
                        .unwrap();
                    let y = gpu.download_f32(&y).unwrap();
                    assert_eq!(y, [(thread * 100 + round + 1) as f32; 300]);
                }
            });
        }
    });
}

#[test]
fn uploads_among_launches_do_not_overtake_them() {
    let Some(gpu) = gpu() else { return };
    let mut sums = Vec::new();
    for i in 0..700 {
        // The buffer of x goes back to the pool while its launch is only recorded.
        let x = gpu.upload_f32(&[i as f32; 64]).unwrap();
        let y = gpu.alloc(64).unwrap();
        gpu.launch(&add(), &[&x, &y], &[64, 1f32.to_bits()], [1, 1, 1], 1)
            .unwrap();
        sums.push(y);
    }
    for (i, y) in sums.iter().enumerate() {
        assert_eq!(gpu.download_f32(y).unwrap(), [i as f32 + 1.0; 64]);
    }
    drop(sums);
    let (in_use, pooled) = gpu.memory();
    assert_eq!(in_use, 0);
    assert!(pooled > 0);
    gpu.trim();
    assert_eq!(gpu.memory(), (0, 0));
}
