// The first half of attention: scores of 32 queries of one head against 64 keys by a workgroup of 128.
//
// q [batch * heads, n, d_head], k and v [batch * kv_heads, n_keys, d_head] with their heads so many words apart, blocked
// [mask_heads, n, words] with a bit per key. Invocation lane = 16 ty + tx has queries 4 ty + i and keys 4 tx + j.
//
// The prelude gives `D` (d_head), `D4` (vectors that hold it), `CAUSAL` and `MASKED`; `F` and the loads are joined, too.
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

// 512 vectors for the weights [32 queries, 64 keys], then 512 for whatever is staged: 16 KiB in all.
var<workgroup> tile: array<vec4<f32>, 1024>;
// Staged queries [4 vectors, 34] and keys [4 vectors, 70]; the padding keeps banks apart. Key 4 a + b lies at 17 b + a.
const QS = 512u;
const KS = 648u;
const CHUNKS = (D4 + 3u) / 4u;

fn kv_head_of(head: u32) -> u32 {
  return (head / p.heads) * p.kv_heads + (head % p.heads) / (p.heads / p.kv_heads);
}
fn query_vector(head: u32, row: u32, c: u32) -> vec4<f32> {
  if (row >= p.n || c >= D4) { return vec4(0.0); }
  return load_q(p.first_q + (head * p.n + row) * D, c);
}
fn key_vector(kv_head: u32, key: u32, stop: u32, c: u32) -> vec4<f32> {
  if (key >= stop || c >= D4) { return vec4(0.0); }
  return load_k(p.first_k + kv_head * p.k_stride + key * D, c);
}

// Bits 0 to 3: whether a query must not see four keys, of which the first is a multiple of 4.
fn hidden(head: u32, row: u32, key: u32, stop: u32) -> vec4<bool> {
  var seen = stop;
  if (CAUSAL) { seen = min(seen, p.first_pos + row + 1u); }
  var unseen = vec4(key, key + 1u, key + 2u, key + 3u) >= vec4(seen);
  if (MASKED) {
    if (row < p.n && key < p.n_keys) {
      let mask_row = p.first_blocked + ((head % p.mask_heads) * p.n + row) * p.words;
      let word = blocked[mask_row + key / 32u] >> (key % 32u);
      unseen = unseen | ((vec4(word) & vec4(1u, 2u, 4u, 8u)) != vec4(0u));
    }
  }
  return unseen;
}

// Column i holds the products of query 4 ty + i with the keys k0 + 4 tx + j. All invocations must call it.
fn products(head: u32, q0: u32, k0: u32, stop: u32, lane: u32) -> mat4x4<f32> {
  let tx = lane % 16u;
  let ty = lane / 16u;
  let kv_head = kv_head_of(head);
  // Every invocation fetches one vector of queries and two of keys for the next step while this one is computed.
  let at = lane / 4u;
  let part = lane % 4u;
  let q_place = QS + part * 34u + at;
  let k_place = KS + part * 70u + (at % 4u) * 17u + at / 4u;
  var q_next = query_vector(head, q0 + at, part);
  var k_next = key_vector(kv_head, k0 + at, stop, part);
  var k_more = key_vector(kv_head, k0 + at + 32u, stop, part);
  var s0 = vec4(0.0);
  var s1 = vec4(0.0);
  var s2 = vec4(0.0);
  var s3 = vec4(0.0);
  for (var chunk = 0u; chunk < CHUNKS; chunk++) {
    workgroupBarrier();
    tile[q_place] = q_next;
    tile[k_place] = k_next;
    tile[k_place + 8u] = k_more;
    workgroupBarrier();
    if (chunk + 1u < CHUNKS) {
      let c = chunk * 4u + 4u + part;
      q_next = query_vector(head, q0 + at, c);
      k_next = key_vector(kv_head, k0 + at, stop, c);
      k_more = key_vector(kv_head, k0 + at + 32u, stop, c);
    }
    for (var c = 0u; c < 4u; c++) {
      let keys = KS + c * 70u + tx;
      let y = transpose(mat4x4(tile[keys], tile[keys + 17u], tile[keys + 34u], tile[keys + 51u]));
      let queries = QS + c * 34u + ty * 4u;
      let x0 = tile[queries];
      let x1 = tile[queries + 1u];
      let x2 = tile[queries + 2u];
      let x3 = tile[queries + 3u];
      each i 4: s$i = fma(vec4(x$i.x), y[0], s$i);
      each i 4: s$i = fma(vec4(x$i.y), y[1], s$i);
      each i 4: s$i = fma(vec4(x$i.z), y[2], s$i);
      each i 4: s$i = fma(vec4(x$i.w), y[3], s$i);
    }
  }
  return mat4x4(s0, s1, s2, s3);
}
