// y = (x - mean) / sqrt(variance + eps) * weight + bias for every row of x [rows, n]; weight and bias [n].
//
// One workgroup a row. The prelude gives `V` (f32 or vec4<f32>), `W` (its width) and `total(v: V) -> f32`. n counts
// vectors, `size` words.
struct P {
  first_x: u32, first_weight: u32, first_bias: u32, first_y: u32,
  rows: u32, n: u32, size: u32, eps: u32,
}
@group(0) @binding(0) var<storage, read> x: array<V>;
@group(0) @binding(1) var<storage, read> weight: array<V>;
@group(0) @binding(2) var<storage, read> bias: array<V>;
@group(0) @binding(3) var<storage, read_write> y: array<V>;
@group(0) @binding(4) var<uniform> p: P;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.y * groups.x + group.x;
  if (row >= p.rows) { return; }
  let base = p.first_x / W + row * p.n;
  let to = p.first_y / W + row * p.n;
  var sum = 0.0;
  for (var i = lane; i < p.n; i += 256u) { sum += total(x[base + i]); }
  let mean = group_sum(sum, lane) / f32(p.size);
  var squares = 0.0;
  for (var i = lane; i < p.n; i += 256u) {
    let apart = x[base + i] - V(mean);
    squares += total(apart * apart);
  }
  squares = group_sum(squares, lane);
  let scale = 1.0 / sqrt(squares / f32(p.size) + bitcast<f32>(p.eps));
  for (var i = lane; i < p.n; i += 256u) {
    y[to + i] = (x[base + i] - V(mean)) * scale * weight[p.first_weight / W + i]
      + bias[p.first_bias / W + i];
  }
}
