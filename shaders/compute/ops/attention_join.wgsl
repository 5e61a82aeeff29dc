// Joins the parts that attention over split keys left: parts [batch * heads * n, splits, D4 * 4 + 4] to out [batch * n,
// heads * d_head].
//
// One workgroup of 64 a query of a head, one invocation a vector. The prelude gives `D` (d_head) and `D4` (vectors that
// hold it). A query that saw no key gets 0.
struct P { first_parts: u32, first_out: u32, n: u32, heads: u32, splits: u32 }
@group(0) @binding(0) var<storage, read> parts: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> out: array<O>;
@group(0) @binding(2) var<uniform> p: P;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) c: u32) {
  let row = group.x;
  let head = group.y;
  let base = p.first_parts / 4u + (head * p.n + row) * p.splits * (D4 + 1u);
  var most = -1e30;
  for (var i = 0u; i < p.splits; i++) { most = max(most, parts[base + i * (D4 + 1u) + D4].x); }
  if (c >= D4) { return; }
  var sum = 0.0;
  var values = vec4(0.0);
  for (var i = 0u; i < p.splits; i++) {
    let part = base + i * (D4 + 1u);
    let of_part = parts[part + D4];
    let shrink = exp(of_part.x - most);
    sum = fma(of_part.y, shrink, sum);
    values = fma(parts[part + c], vec4(shrink), values);
  }
  let inverse = select(0.0, 1.0 / sum, sum > 0.0);
  let to = p.first_out + (((head / p.heads) * p.n + row) * p.heads + head % p.heads) * D;
  store(to, c, values * inverse);
}
