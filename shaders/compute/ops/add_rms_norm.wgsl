// sum = x + delta and normed = sum / rms(sum) * weight for every row of x and delta [rows, n]; weight [n].
//
// One workgroup a row. The prelude gives `V` (f32 or vec4<f32>), `W` (its width) and `total(v: V) -> f32`. n counts
// vectors, `size` words.
struct P {
  first_x: u32, first_delta: u32, first_weight: u32, first_sum: u32, first_normed: u32,
  rows: u32, n: u32, size: u32, eps: u32,
}
@group(0) @binding(0) var<storage, read> x: array<V>;
@group(0) @binding(1) var<storage, read> delta: array<V>;
@group(0) @binding(2) var<storage, read> weight: array<V>;
@group(0) @binding(3) var<storage, read_write> sums: array<V>;
@group(0) @binding(4) var<storage, read_write> normed: array<V>;
@group(0) @binding(5) var<uniform> p: P;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.y * groups.x + group.x;
  if (row >= p.rows) { return; }
  let at = row * p.n;
  var squares = 0.0;
  for (var i = lane; i < p.n; i += 256u) {
    let value = x[p.first_x / W + at + i] + delta[p.first_delta / W + at + i];
    sums[p.first_sum / W + at + i] = value;
    squares += total(value * value);
  }
  squares = group_sum(squares, lane);
  let scale = 1.0 / sqrt(squares / f32(p.size) + bitcast<f32>(p.eps));
  // An invocation reads back only what it wrote itself.
  for (var i = lane; i < p.n; i += 256u) {
    normed[p.first_normed / W + at + i] =
      sums[p.first_sum / W + at + i] * scale * weight[p.first_weight / W + i];
  }
}
