// y [outer, inner] = x [outer, n, inner] reduced over n. A workgroup takes 32 results, and 8 invocations share each.
//
// The prelude gives `join(a: f32, b: f32) -> f32` and `IS_SUM`, as for whole rows.
struct P { first_x: u32, first_y: u32, total: u32, n: u32, inner: u32 }
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
  let result = (group.y * groups.x + group.x) * 32u + lane % 32u;
  var all = 0.0;
  if (result < p.total) {
    let base = p.first_x + (result / p.inner) * p.n * p.inner + result % p.inner;
    if (!IS_SUM) { all = x[base]; }
    for (var i = lane / 32u; i < p.n; i += 8u) { all = join(all, x[base + i * p.inner]); }
  }
  of_lanes[lane] = all;
  workgroupBarrier();
  if (lane < 32u && result < p.total) {
    for (var i = 1u; i < 8u; i++) { all = join(all, of_lanes[lane + i * 32u]); }
    y[p.first_y + result] = all;
  }
}
