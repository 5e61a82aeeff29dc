// Attention of one query of one head to 64 keys by a workgroup of 128, for few queries: many workgroups share the keys.
//
// Shapes, prelude and parameters as in attention_tiled with `SPLIT` and a span of 64. Workgroup (part of the keys, head,
// query).
struct P {
  first_q: u32, first_k: u32, first_v: u32, first_blocked: u32, first_out: u32,
  n: u32, n_keys: u32, heads: u32, kv_heads: u32, k_stride: u32, v_stride: u32,
  first_pos: u32, mask_heads: u32, words: u32, scale: u32, splits: u32, span: u32, nothing: u32, all_heads: u32,
}
@group(0) @binding(0) var<storage, read> q: array<F>;
@group(0) @binding(1) var<storage, read> k: array<F>;
@group(0) @binding(2) var<storage, read> v: array<F>;
@group(0) @binding(3) var<storage, read> blocked: array<u32>;
@group(0) @binding(4) var<storage, read_write> out: array<O>;
@group(0) @binding(5) var<uniform> p: P;

// Parts of products [64 keys, 8], later sums of values of the groups of invocations [PHASES, D4] as vectors.
var<workgroup> parts: array<f32, 576>;
var<workgroup> sums: array<vec4<f32>, 128>;
var<workgroup> weights: array<f32, 64>;
const NOTHING = -1e30;
// So many groups of invocations, one invocation a vector of values, take every so many-th key.
const PHASES = 128u / D4;

fn is_hidden(head: u32, row: u32, key: u32, stop: u32) -> bool {
  if (key >= stop) { return true; }
  if (MASKED) {
    let mask_row = p.first_blocked + ((head % p.mask_heads) * p.n + row) * p.words;
    return ((blocked[mask_row + key / 32u] >> (key % 32u)) & 1u) != 0u;
  }
  return false;
}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let head = group.y;
  let row = group.z;
  let kv_head = (head / p.heads) * p.kv_heads + (head % p.heads) / (p.heads / p.kv_heads);
  let k0 = group.x * 64u;
  var stop = min(p.n_keys, k0 + 64u);
  if (CAUSAL) { stop = min(stop, p.first_pos + row + 1u); }

  // Eight invocations a key, 16 keys at a time.
  let query = p.first_q + (head * p.n + row) * D;
  let keys = p.first_k + kv_head * p.k_stride;
  let at = lane / 8u;
  let part = lane % 8u;
  var product = vec4(0.0);
  for (var c = part; c < D4; c += 8u) {
    let x = load_q(query, c);
    each j 4: if (k0 + at + 16u * $ju < stop) { product[$j] += dot(x, load_k(keys + (k0 + at + 16u * $ju) * D, c)); }
  }
  each j 4: parts[(at + 16u * $ju) * 9u + part] = product[$j];
  workgroupBarrier();
  if (lane < 64u) {
    var score = 0.0;
    for (var i = 0u; i < 8u; i++) { score += parts[lane * 9u + i]; }
    weights[lane] = select(score * bitcast<f32>(p.scale), NOTHING, is_hidden(head, row, k0 + lane, stop));
  }
  workgroupBarrier();
  var most = NOTHING;
  for (var i = 0u; i < 64u; i++) { most = max(most, weights[i]); }
  workgroupBarrier();
  if (lane < 64u) {
    let score = weights[lane];
    weights[lane] = select(exp(score - most), 0.0, score < 0.5 * NOTHING);
  }
  workgroupBarrier();

  let c = lane % D4;
  let phase = lane / D4;
  var values = vec4(0.0);
  if (phase < PHASES) {
    for (var key = k0 + phase; key < stop; key += PHASES) {
      values = fma(vec4(weights[key - k0]), load_v(p.first_v + kv_head * p.v_stride + key * D, c), values);
    }
    sums[lane] = values;
  }
  workgroupBarrier();
  let to = p.first_out + ((head * p.n + row) * p.splits + group.x) * (D4 * 4u + 4u);
  if (phase == 0u) {
    for (var i = 1u; i < PHASES; i++) { values += sums[i * D4 + c]; }
    store(to, c, values);
  }
  if (lane == 127u) {
    var sum = 0.0;
    for (var i = 0u; i < 64u; i++) { sum += weights[i]; }
    store(to, D4, vec4(most, sum, 0.0, 0.0));
  }
}
