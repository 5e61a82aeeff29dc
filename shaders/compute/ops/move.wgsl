// y[strided i] = x[strided i] for every i < n; words of any type.
//
// The prelude gives `U` (u32 or vec4<u32>), `W` (its width) and `RANK`. Dimension 0 is the outermost of five; of those in
// use, the last RANK, the outermost takes the strides of dimension 0. All offsets and n count vectors of W.
struct P {
  first_x: u32, first_y: u32, n: u32,
  d1: u32, d2: u32, d3: u32, d4: u32,
  x0: u32, x1: u32, x2: u32, x3: u32, x4: u32,
  y0: u32, y1: u32, y2: u32, y3: u32, y4: u32,
}
@group(0) @binding(0) var<storage, read> x: array<U>;
@group(0) @binding(1) var<storage, read_write> y: array<U>;
@group(0) @binding(2) var<uniform> p: P;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) at: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = at.y * (groups.x * 256u) + at.x;
  if (i >= p.n) { return; }
  var base = p.first_x / W;
  var to = p.first_y / W;
  var rest = i;
  if (RANK > 1u) { let j = rest % p.d4; rest /= p.d4; base += j * p.x4; to += j * p.y4; }
  if (RANK > 2u) { let j = rest % p.d3; rest /= p.d3; base += j * p.x3; to += j * p.y3; }
  if (RANK > 3u) { let j = rest % p.d2; rest /= p.d2; base += j * p.x2; to += j * p.y2; }
  if (RANK > 4u) { let j = rest % p.d1; rest /= p.d1; base += j * p.x1; to += j * p.y1; }
  base += rest * p.x0;
  to += rest * p.y0;
  y[to] = x[base];
}
