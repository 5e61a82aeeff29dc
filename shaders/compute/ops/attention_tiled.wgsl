// Attention of 32 queries of one head by a workgroup of 128, 64 keys at a time, with a running softmax in f32.
//
// out [batch * n, heads * d_head]. Where `SPLIT`, workgroup z takes only `span` keys, a multiple of 64, and out
// [batch * heads * n, splits, D4 * 4 + 4] gets sums that are not yet divided, then the maximum and the sum of the
// weights, for attention_join. Workgroup (8 * block + head % 8, head / 8, part of the keys), blocks counted from the last,
// which see the most keys and so start first; neighbours share heads, which keeps their keys in caches. Joined to
// attention_scores. The prelude adds `NV` (sixteens of vectors that hold d_head), `KC` (keys whose values are staged at
// once) and `SPLIT`.

// Staged values [KC, DS].
const VS = 512u;
const DS = 16u * NV;
// What a hidden score becomes: finite, so that no backend's fast arithmetic can trip over it.
const NOTHING = -1e30;

fn stage_values(kv_head: u32, key: u32, stop: u32, lane: u32) {
  for (var e = lane; e < KC * DS; e += 128u) {
    let at = key + e / DS;
    let c = e % DS;
    var value = vec4(0.0);
    if (at < stop && c < D4) { value = load_v(p.first_v + kv_head * p.v_stride + at * D, c); }
    tile[VS + e] = value;
  }
}
fn of_hidden(scores: vec4<f32>, unseen: vec4<bool>) -> vec4<f32> {
  return select(scores * bitcast<f32>(p.scale), vec4(NOTHING), unseen);
}
fn weights_of(scores: vec4<f32>, most: f32) -> vec4<f32> {
  return select(exp(scores - vec4(most)), vec4(0.0), scores < vec4(0.5 * NOTHING));
}
fn highest(x: vec4<f32>) -> f32 { return max(max(x.x, x.y), max(x.z, x.w)); }
fn total(x: vec4<f32>) -> f32 { return (x.x + x.y) + (x.z + x.w); }

@compute @workgroup_size(128)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let tx = lane % 16u;
  let ty = lane / 16u;
  let head = group.y * 8u + group.x % 8u;
  if (head >= p.all_heads) { return; }
  let kv_head = kv_head_of(head);
  let q0 = (groups.x / 8u - 1u - group.x / 8u) * 32u;
  let row = q0 + ty * 4u;
  var stop = p.n_keys;
  if (CAUSAL) { stop = min(stop, p.first_pos + min(q0 + 32u, p.n)); }
  var begin = 0u;
  if (SPLIT) {
    begin = group.z * p.span;
    stop = min(stop, begin + p.span);
  }
  // One component a query.
  var most = vec4(NOTHING);
  var sum = vec4(0.0); // Of the keys of this invocation only.
  each i 4, v NV: var o$i_$v = vec4(0.0);

  for (var k0 = begin; k0 < stop; k0 += 64u) {
    let raw = products(head, q0, k0, stop, lane);
    let key = k0 + tx * 4u;
    each i 4: let s$i = of_hidden(raw[$i], hidden(head, row + $iu, key, stop));
    workgroupBarrier();
    tile[VS + lane] = vec4(highest(s0), highest(s1), highest(s2), highest(s3));
    workgroupBarrier();
    var now = most;
    for (var i = 0u; i < 16u; i++) { now = max(now, tile[VS + ty * 16u + i]); }
    let shrink = exp(most - now);
    most = now;
    each i 4: let w$i = weights_of(s$i, now[$i]);
    each i 4: tile[(ty * 4u + $iu) * 16u + tx] = w$i;
    sum = fma(sum, shrink, vec4(total(w0), total(w1), total(w2), total(w3)));
    each i 4, v NV: o$i_$v *= shrink[$i];
    let n_here = min(64u, stop - k0);
    for (var first = 0u; first < n_here; first += KC) {
      workgroupBarrier();
      stage_values(kv_head, k0 + first, stop, lane);
      workgroupBarrier();
      for (var four = 0u; four < KC / 4u; four++) {
        let at = ty * 64u + first / 4u + four;
        each i 4: let p$i = tile[at + $iu * 16u];
        let values = VS + four * 4u * DS + tx;
        each j 4, v NV: let v$j_$v = tile[values + $ju * DS + $vu * 16u];
        each j 4, i 4, v NV: o$i_$v = fma(vec4(p$i[$j]), v$j_$v, o$i_$v);
      }
    }
  }

  workgroupBarrier();
  tile[VS + lane] = sum;
  workgroupBarrier();
  sum = vec4(0.0);
  for (var i = 0u; i < 16u; i++) { sum += tile[VS + ty * 16u + i]; }
  if (SPLIT) {
    let width = D4 * 4u + 4u;
    each i 4: let to$i = p.first_out + ((head * p.n + row + $iu) * p.splits + group.z) * width;
    each i 4, v NV: if (row + $iu < p.n && $vu * 16u + tx < D4) { store(to$i, $vu * 16u + tx, o$i_$v); }
    each i 4: if (row + $iu < p.n && tx == 0u) { store(to$i, D4, vec4(most[$i], sum[$i], 0.0, 0.0)); }
  } else {
    let inverse = select(vec4(0.0), vec4(1.0) / sum, sum > vec4(0.0));
    let rows = (head / p.heads) * p.n + row;
    each i 4: let to$i = p.first_out + ((rows + $iu) * p.heads + head % p.heads) * D;
    each i 4, v NV: if (row + $iu < p.n && $vu * 16u + tx < D4) { store(to$i, $vu * 16u + tx, o$i_$v * inverse[$i]); }
  }
}
