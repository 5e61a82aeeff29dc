// y [rows] = x [rows, n] reduced over n, one workgroup a row.
//
// The prelude gives `join(a: f32, b: f32) -> f32`, which has no need of a neutral element: invocations start with the
// first value of their row, or with 0 where `IS_SUM`.
struct P { first_x: u32, first_y: u32, rows: u32, n: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> p: P;
var<workgroup> of_lanes: array<f32, 256>;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.y * groups.x + group.x;
  if (row >= p.rows) { return; }
  let base = p.first_x + row * p.n;
  var all = 0.0;
  if (!IS_SUM) { all = x[base]; }
  for (var i = lane; i < p.n; i += 256u) { all = join(all, x[base + i]); }
  of_lanes[lane] = all;
  workgroupBarrier();
  for (var half = 128u; half > 0u; half /= 2u) {
    if (lane < half) { of_lanes[lane] = join(of_lanes[lane], of_lanes[lane + half]); }
    workgroupBarrier();
  }
  if (lane == 0u) { y[p.first_y + row] = of_lanes[0]; }
}
