// y[i] = apply(x[i]) for every i < n.
//
// The prelude gives `V` (f32 or vec4<f32>), `W` (its width) and `apply(x: V, a: f32, b: f32) -> V`. x and y are
// contiguous; n counts vectors of W.
struct P { first_x: u32, first_y: u32, n: u32, a: u32, b: u32 }
@group(0) @binding(0) var<storage, read> x: array<V>;
@group(0) @binding(1) var<storage, read_write> y: array<V>;
@group(0) @binding(2) var<uniform> p: P;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) at: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = at.y * (groups.x * 256u) + at.x;
  if (i >= p.n) { return; }
  y[p.first_y / W + i] = apply(x[p.first_x / W + i], bitcast<f32>(p.a), bitcast<f32>(p.b));
}
