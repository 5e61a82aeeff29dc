// Splits x [batch * n, (heads + 2 * kv_heads) * d_head] into q [batch * heads, n, d_head], and writes keys and values of
// [batch * kv_heads] heads, which lie so many vectors apart, from position `first_pos` on. q and keys are rotated (first
// half with second) by cosines and sines [n, d_head / 2] where `ROTATES`; without, nothing is.
//
// The prelude gives `V` (f32 or vec4<f32>), `W` (its width) and `ROTATES`. An invocation takes a vector of the first half
// of a head of a row and the same of the second; `half_width` and strides count vectors. Without tables the host binds x
// in their place.
struct P {
  first_x: u32, first_cos: u32, first_sin: u32, first_q: u32, first_k: u32, first_v: u32,
  total: u32, half_width: u32, n: u32, heads: u32, kv_heads: u32, k_stride: u32, v_stride: u32, first_pos: u32,
}
@group(0) @binding(0) var<storage, read> x: array<V>;
@group(0) @binding(1) var<storage, read> cosines: array<V>;
@group(0) @binding(2) var<storage, read> sines: array<V>;
@group(0) @binding(3) var<storage, read_write> q: array<V>;
@group(0) @binding(4) var<storage, read_write> k: array<V>;
@group(0) @binding(5) var<storage, read_write> v: array<V>;
@group(0) @binding(6) var<uniform> p: P;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) at: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = at.y * (groups.x * 256u) + at.x;
  if (i >= p.total) { return; }
  let c = i % p.half_width;
  let head_row = i / p.half_width;
  let all_heads = p.heads + 2u * p.kv_heads;
  let head = head_row % all_heads;
  let row = head_row / all_heads % p.n;
  let sequence = head_row / all_heads / p.n;
  let width = 2u * p.half_width;
  var one = x[p.first_x / W + head_row * width + c];
  var two = x[p.first_x / W + head_row * width + c + p.half_width];
  if (head >= p.heads + p.kv_heads) {
    let kv_head = sequence * p.kv_heads + head - p.heads - p.kv_heads;
    let to = p.first_v / W + kv_head * p.v_stride + (p.first_pos + row) * width + c;
    v[to] = one;
    v[to + p.half_width] = two;
    return;
  }
  if (ROTATES) {
    let table = row * p.half_width + c;
    let cosine = cosines[p.first_cos / W + table];
    let sine = sines[p.first_sin / W + table];
    let turned = one * cosine - two * sine;
    two = two * cosine + one * sine;
    one = turned;
  }
  if (head < p.heads) {
    let to = p.first_q / W + ((sequence * p.heads + head) * p.n + row) * width + c;
    q[to] = one;
    q[to + p.half_width] = two;
  } else {
    let kv_head = sequence * p.kv_heads + head - p.heads;
    let to = p.first_k / W + kv_head * p.k_stride + (p.first_pos + row) * width + c;
    k[to] = one;
    k[to + p.half_width] = two;
  }
}
