// normed = x / rms(x) * weight for every row of x [rows, n], one workgroup a row; weight [n].
//
// The prelude gives `V` (f32 or vec4<f32>), `W` (its width) and `total(v: V) -> f32`. n counts vectors, `size` words.
struct P { first_x: u32, first_weight: u32, first_normed: u32, rows: u32, n: u32, size: u32, eps: u32 }
@group(0) @binding(0) var<storage, read> x: array<V>;
@group(0) @binding(1) var<storage, read> weight: array<V>;
@group(0) @binding(2) var<storage, read_write> normed: array<V>;
@group(0) @binding(3) var<uniform> p: P;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.y * groups.x + group.x;
  if (row >= p.rows) { return; }
  let base = p.first_x / W + row * p.n;
  let to = p.first_normed / W + row * p.n;
  let weights = p.first_weight / W;
  var squares = 0.0;
  for (var i = lane; i < p.n; i += 256u) {
    let value = x[base + i];
    squares += total(value * value);
  }
  squares = group_sum(squares, lane);
  let scale = 1.0 / sqrt(squares / f32(p.size) + bitcast<f32>(p.eps));
  for (var i = lane; i < p.n; i += 256u) {
    normed[to + i] = x[base + i] * scale * weight[weights + i];
  }
}
