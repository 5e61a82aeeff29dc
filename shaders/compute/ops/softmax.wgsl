// y = softmax of every row of x [rows, n], one workgroup a row. -inf gets exactly 0, and so does a row of nothing else.
struct P { first_x: u32, first_y: u32, rows: u32, n: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> p: P;
// Scores below this are taken for -inf: finite, so that no backend's fast arithmetic can trip over it.
const NOTHING = -1e38;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.y * groups.x + group.x;
  if (row >= p.rows) { return; }
  let base = p.first_x + row * p.n;
  let to = p.first_y + row * p.n;
  var most = NOTHING;
  for (var i = lane; i < p.n; i += 256u) { most = max(most, x[base + i]); }
  most = group_max(most, lane);
  var sum = 0.0;
  for (var i = lane; i < p.n; i += 256u) {
    let value = x[base + i];
    sum += select(0.0, exp(max(value, NOTHING) - most), value > NOTHING);
  }
  sum = group_sum(sum, lane);
  let inverse = select(0.0, 1.0 / sum, sum > 0.0);
  for (var i = lane; i < p.n; i += 256u) {
    let value = x[base + i];
    y[to + i] = select(0.0, exp(max(value, NOTHING) - most) * inverse, value > NOTHING);
  }
}
