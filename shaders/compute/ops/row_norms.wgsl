// y [rows, 3] = the Euclidean norms of a row of a [rows, n], of the same row of b, and of their difference.
//
// One workgroup a row. Without a b the host binds a twice.
struct P { first_a: u32, first_b: u32, first_y: u32, rows: u32, n: u32 }
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> p: P;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.y * groups.x + group.x;
  if (row >= p.rows) { return; }
  let from_a = p.first_a + row * p.n;
  let from_b = p.first_b + row * p.n;
  var own = 0.0;
  var other = 0.0;
  var apart = 0.0;
  for (var i = lane; i < p.n; i += 256u) {
    let one = a[from_a + i];
    let two = b[from_b + i];
    own += one * one;
    other += two * two;
    apart += (one - two) * (one - two);
  }
  own = group_sum(own, lane);
  other = group_sum(other, lane);
  apart = group_sum(apart, lane);
  if (lane == 0u) {
    let to = p.first_y + row * 3u;
    y[to] = sqrt(own);
    y[to + 1u] = sqrt(other);
    y[to + 2u] = sqrt(apart);
  }
}
