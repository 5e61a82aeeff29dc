// Splits x [batch * n, (heads + 2 * kv_heads) * d_head] into q [batch * heads, n, d_head], then k and v
// [batch * kv_heads, n, d_head] each, one after the other in y. q and k are rotated (first half with second) by cosines
// and sines [n, d_head / 2] where `ROTATES`; without, nothing is.
//
// The prelude gives `V` (f32 or vec4<f32>), `W` (its width) and `ROTATES`. `width` counts the vectors that one head of one
// row gives to an invocation each: those of half a head where it rotates, else of a head. Without tables the host binds
// x in their place.
struct P {
  first_x: u32, first_cos: u32, first_sin: u32, first_y: u32,
  total: u32, width: u32, batch: u32, n: u32, heads: u32, kv_heads: u32,
}
@group(0) @binding(0) var<storage, read> x: array<V>;
@group(0) @binding(1) var<storage, read> cosines: array<V>;
@group(0) @binding(2) var<storage, read> sines: array<V>;
@group(0) @binding(3) var<storage, read_write> y: array<V>;
@group(0) @binding(4) var<uniform> p: P;

// The row of y [.., n, d_head] that a head of a row of x goes to.
fn row_of(sequence: u32, head: u32, row: u32) -> u32 {
  if (head < p.heads) { return (sequence * p.heads + head) * p.n + row; }
  let part = (head - p.heads) / p.kv_heads;
  let before = p.batch * (p.heads + part * p.kv_heads);
  return (before + sequence * p.kv_heads + (head - p.heads) % p.kv_heads) * p.n + row;
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) at: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = at.y * (groups.x * 256u) + at.x;
  if (i >= p.total) { return; }
  let c = i % p.width;
  let head_row = i / p.width;
  let all_heads = p.heads + 2u * p.kv_heads;
  let head = head_row % all_heads;
  let row = head_row / all_heads;
  let target_row = row_of(row / p.n, head, row % p.n);
  if (!ROTATES) {
    y[p.first_y / W + target_row * p.width + c] = x[p.first_x / W + i];
    return;
  }
  let base = p.first_x / W + head_row * 2u * p.width + c;
  let to = p.first_y / W + target_row * 2u * p.width + c;
  let one = x[base];
  let two = x[base + p.width];
  if (head >= p.heads + p.kv_heads) {
    y[to] = one;
    y[to + p.width] = two;
    return;
  }
  let table = (row % p.n) * p.width + c;
  let cosine = cosines[p.first_cos / W + table];
  let sine = sines[p.first_sin / W + table];
  y[to] = one * cosine - two * sine;
  y[to + p.width] = two * cosine + one * sine;
}
