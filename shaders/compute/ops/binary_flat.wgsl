// y[i] = apply(a[i], b[i % period]) for every i < n: equal shapes (period = n), or b repeated along a's first dimensions.
//
// The prelude gives `V` (f32 or vec4<f32>), `W` (its width) and `apply(a: V, b: V) -> V`. n and period count vectors.
struct P { first_a: u32, first_b: u32, first_y: u32, n: u32, period: u32 }
@group(0) @binding(0) var<storage, read> a: array<V>;
@group(0) @binding(1) var<storage, read> b: array<V>;
@group(0) @binding(2) var<storage, read_write> y: array<V>;
@group(0) @binding(3) var<uniform> p: P;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) at: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = at.y * (groups.x * 256u) + at.x;
  if (i >= p.n) { return; }
  y[p.first_y / W + i] = apply(a[p.first_a / W + i], b[p.first_b / W + i % p.period]);
}
