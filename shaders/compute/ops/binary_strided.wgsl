// y[i] = apply(a[strided i], b[strided i]) for every i < n; y is contiguous.
//
// The prelude gives `V` = f32, `RANK` and `apply(a: V, b: V) -> V`. Dimension 0 is the outermost of five; those in use
// are the last RANK. Offsets are in words.
struct P {
  first_a: u32, first_b: u32, first_y: u32, n: u32,
  d1: u32, d2: u32, d3: u32, d4: u32,
  a0: u32, a1: u32, a2: u32, a3: u32, a4: u32,
  b0: u32, b1: u32, b2: u32, b3: u32, b4: u32,
}
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> p: P;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) at: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = at.y * (groups.x * 256u) + at.x;
  if (i >= p.n) { return; }
  var from_a = p.first_a;
  var from_b = p.first_b;
  var rest = i;
  if (RANK > 1u) { let j = rest % p.d4; rest /= p.d4; from_a += j * p.a4; from_b += j * p.b4; }
  if (RANK > 2u) { let j = rest % p.d3; rest /= p.d3; from_a += j * p.a3; from_b += j * p.b3; }
  if (RANK > 3u) { let j = rest % p.d2; rest /= p.d2; from_a += j * p.a2; from_b += j * p.b2; }
  if (RANK > 4u) { let j = rest % p.d1; rest /= p.d1; from_a += j * p.a1; from_b += j * p.b1; }
  from_a += rest * p.a0;
  from_b += rest * p.b0;
  y[p.first_y + i] = apply(a[from_a], b[from_b]);
}
