// Attention of 64 queries of one head by four subgroups of 32, 32 keys at a time, with cooperative matrices: f16 in, f32
// sums. Cooperative matrices cannot be scaled by rows, so there are two passes: the first finds the maximum of every
// row of scores, the second forms the same scores again and sums values with their exponentials.
//
// Shapes, parameters and order of workgroups as in attention_tiled without `SPLIT`; rows must start at multiples of four
// words, and d_head is a multiple of 32, 128 at most. The prelude gives `D`, `D4`, `CAUSAL`, `MASKED` and for unrolling
// `NC` (sixteenths of d_head) and `HC` (half as many); `part scores` stands for attention_matrix_scores.
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

// Rows of what is staged lie GAP or QG vectors apart, those of scores and weights SG and PG numbers: so that banks differ.
const GAP = D4 + 2u;
const QG = D4 / 2u + 2u;
const SG = 36u;
const PG = 40u;
const NOTHING = -1e30;
// 64 halves of queries, 32 keys or values; scores [4 subgroups, 16, 32] and their exponentials; one number an invocation.
var<workgroup> staged: array<vec4<f16>, 64u * QG>;
var<workgroup> scores: array<f32, 64u * SG>;
var<workgroup> weights: array<f16, 64u * PG>;
var<workgroup> pairs: array<f32, 128>;

fn halves(x: vec4<f32>) -> vec4<f16> { return vec4<f16>(clamp(x, vec4(-65504.0), vec4(65504.0))); }
// Half of the columns of 64 queries.
fn stage_queries(head: u32, first: u32, column: u32, t: u32) {
  for (var e = t; e < 32u * D4; e += 128u) {
    let local = e / (D4 / 2u);
    let c = e % (D4 / 2u);
    let row = first + local;
    var value = vec4(0.0);
    if (row < p.n) { value = load_q(p.first_q + (head * p.n + row) * D, column + c); }
    staged[local * QG + c] = halves(value);
  }
}
fn stage_keys(kv_head: u32, first: u32, stop: u32, t: u32) {
  for (var e = t; e < 32u * D4; e += 128u) {
    let key = first + e / D4;
    var value = vec4(0.0);
    if (key < stop) { value = load_k(p.first_k + kv_head * p.k_stride + key * D, e % D4); }
    staged[(e / D4) * GAP + e % D4] = halves(value);
  }
}
fn stage_values(kv_head: u32, first: u32, stop: u32, t: u32) {
  for (var e = t; e < 32u * D4; e += 128u) {
    let key = first + e / D4;
    var value = vec4(0.0);
    if (key < stop) { value = load_v(p.first_v + kv_head * p.v_stride + key * D, e % D4); }
    staged[(e / D4) * GAP + e % D4] = halves(value);
  }
}

// A bit for each of 32 keys, of which the first is a multiple of 32: whether the query sees it.
fn seen_bits(head: u32, row: u32, first: u32, stop: u32) -> u32 {
  var end = stop;
  if (CAUSAL) { end = min(end, p.first_pos + row + 1u); }
  if (end <= first) { return 0u; }
  var bits = 0xffffffffu;
  if (end - first < 32u) { bits = (1u << (end - first)) - 1u; }
  if (MASKED) {
    if (row < p.n) { bits &= ~blocked[p.first_blocked + ((head % p.mask_heads) * p.n + row) * p.words + first / 32u]; }
  }
  return bits;
}

@compute @workgroup_size(128)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  let head = group.y * 8u + group.x % 8u;
  if (head >= p.all_heads) { return; }
  let kv_head = (head / p.heads) * p.kv_heads + (head % p.heads) / (p.heads / p.kv_heads);
  let block = (groups.x / 8u - 1u - group.x / 8u) * 64u;
  var stop = p.n_keys;
  if (CAUSAL) { stop = min(stop, p.first_pos + min(block + 64u, p.n)); }
  let scale = bitcast<f32>(p.scale);
  let staged_gap = GAP;
  let scores_gap = SG;
  let weights_gap = PG;
  let my_scores = subgroup * 16u * SG;
  let my_weights = subgroup * 16u * PG;

  // Queries come in two halves of their columns: there is no room for all at once.
  let my_queries = subgroup * 16u * QG;
  let queries_gap = QG;
  stage_queries(head, block, 0u, t);
  workgroupBarrier();
  each c HC: let x$c = coopLoadT<coop_mat16x16<f16, A>>(&staged[my_queries + $cu * 4u], queries_gap);
  workgroupBarrier();
  stage_queries(head, block, D4 / 2u, t);
  workgroupBarrier();
  each c HC: let z$c = coopLoadT<coop_mat16x16<f16, A>>(&staged[my_queries + $cu * 4u], queries_gap);

  // Two invocations share a row of scores: of every four keys each takes two, in an order in which banks differ.
  let local_row = t / 2u;
  let row = block + local_row;
  let flip = (local_row / 8u) % 2u;
  var most = NOTHING;
  var sum = 0.0;
  var zero: coop_mat16x16<f32, C>;
  var low: coop_mat16x16<f32, C>;
  var high: coop_mat16x16<f32, C>;
  each c NC: var o$c: coop_mat16x16<f32, C>;

  for (var k0 = 0u; k0 < stop; k0 += 32u) {
    part scores
    for (var i = 0u; i < 16u; i++) {
      let key = 4u * (i / 2u) + 2u * (t % 2u) + ((i + flip) % 2u);
      let is_seen = ((bits >> key) & 1u) != 0u;
      most = max(most, select(NOTHING, scores[local_row * SG + key] * scale, is_seen));
    }
  }
  workgroupBarrier();
  pairs[t] = most;
  workgroupBarrier();
  most = max(most, pairs[t ^ 1u]);

  for (var k0 = 0u; k0 < stop; k0 += 32u) {
    part scores
    for (var i = 0u; i < 16u; i++) {
      let key = 4u * (i / 2u) + 2u * (t % 2u) + ((i + flip) % 2u);
      let is_seen = ((bits >> key) & 1u) != 0u;
      let weight = select(0.0, exp(scores[local_row * SG + key] * scale - most), is_seen);
      sum += weight;
      weights[local_row * PG + key] = f16(weight);
    }
    workgroupBarrier();
    stage_values(kv_head, k0, stop, t);
    workgroupBarrier();
    let more_weights = my_weights + 16u;
    let w0 = coopLoadT<coop_mat16x16<f16, A>>(&weights[my_weights], weights_gap);
    let w1 = coopLoadT<coop_mat16x16<f16, A>>(&weights[more_weights], weights_gap);
    each c NC: { let y = coopLoadT<coop_mat16x16<f16, B>>(&staged[$cu * 4u], staged_gap); o$c = coopMultiplyAdd(w0, y, o$c); }
    each c NC: { let y = coopLoadT<coop_mat16x16<f16, B>>(&staged[16u * GAP + $cu * 4u], staged_gap); o$c = coopMultiplyAdd(w1, y, o$c); }
  }
  workgroupBarrier();
  pairs[t] = sum;
  workgroupBarrier();
  sum += pairs[t ^ 1u];

  let inverse = select(0.0, 1.0 / sum, sum > 0.0);
  let to = p.first_out + (((head / p.heads) * p.n + row) * p.heads + head % p.heads) * D;
  each c NC: { workgroupBarrier(); let done = o$c; coopStoreT(done, &scores[my_scores], scores_gap); workgroupBarrier(); write_out(to, $cu, row, t, inverse); }
}

// Half a row of 16 columns, which lie where the scores were.
fn write_out(to: u32, c: u32, row: u32, t: u32, inverse: f32) {
  if (row >= p.n) { return; }
  let at = (t / 2u) * SG + (t % 2u) * 8u;
  let column = c * 4u + (t % 2u) * 2u;
  store(to, column, vec4(scores[at], scores[at + 1u], scores[at + 2u], scores[at + 3u]) * inverse);
  store(to, column + 1u, vec4(scores[at + 4u], scores[at + 5u], scores[at + 6u], scores[at + 7u]) * inverse);
}
