// y [rows, n] = silu(gate) * up of rows [rows, 2 * n] that hold both, gate first.
//
// The prelude gives `V` (f32 or vec4<f32>) and `W` (its width). total and n count vectors.
struct P { first_x: u32, first_y: u32, total: u32, n: u32 }
@group(0) @binding(0) var<storage, read> x: array<V>;
@group(0) @binding(1) var<storage, read_write> y: array<V>;
@group(0) @binding(2) var<uniform> p: P;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) at: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = at.y * (groups.x * 256u) + at.x;
  if (i >= p.total) { return; }
  let base = p.first_x / W + (i / p.n) * 2u * p.n + i % p.n;
  let gate = x[base];
  // Beyond 87 the exponential leaves f32, and the quotient is 0 anyway.
  y[p.first_y / W + i] = gate / (V(1.0) + exp(min(-gate, V(87.0)))) * x[base + p.n];
}
