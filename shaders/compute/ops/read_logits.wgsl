// Reads rows of logits x [rows, n]: y [rows, 2 * kept + 2] gets the ids of the `kept` best of the first n_words (as bits,
// best first, ties by the smaller id), their probabilities over all n, log-sum-exp and entropy in nats.
//
// One workgroup a row, nothing sorted. The first pass finds every invocation's sums and its best word. At least `kept`
// words are no worse than the kept-th best of those 256, so the second pass, in which only invocations with such a word
// take part, collects the few that are no worse; their ranks are counted. Where ties let too many through, the best are
// found one after the other.
//
// The prelude gives `V` (f32 or vec4<f32>), `W` (its width), `part(v: V, i: u32) -> f32` and `highest(v: V) -> f32`, and
// unrolls lines that begin with `each`.
// count = n / W; kept <= 64, kept <= n_words <= n.
struct P { first_x: u32, first_y: u32, rows: u32, n: u32, count: u32, n_words: u32, kept: u32 }
@group(0) @binding(0) var<storage, read> x: array<V>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> p: P;

const ROOM = 1024u;
// Stands for -inf in sums: finite, so that it has weight 0 and no product with it is no number.
const LOWEST = -1e38;
const NO_ID = 0xffffffffu;
var<workgroup> lane_best: array<vec4<u32>, 64>;
var<workgroup> keys: array<u32, ROOM>;
var<workgroup> ids: array<u32, ROOM>;
var<workgroup> n_found: atomic<u32>;
var<workgroup> threshold: u32;

// Orders as the numbers do; -0 and 0 are one.
fn key_of(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  if (bits == 0x80000000u) { return 0x80000000u; }
  return select(bits | 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);
}
fn value_of(key: u32) -> f32 {
  return bitcast<f32>(select(~key, key & 0x7fffffffu, (key & 0x80000000u) != 0u));
}

// Puts a word on the list unless it is worse than the bound.
fn offer(key: u32, id: u32, bound: u32) {
  if (key < bound || id >= p.n_words) { return; }
  let place = atomicAdd(&n_found, 1u);
  if (place < ROOM) {
    keys[place] = key;
    ids[place] = id;
  }
}

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.y * groups.x + group.x;
  if (row >= p.rows) { return; }
  let base = p.first_x / W + row * p.count;
  if (lane == 0u) {
    atomicStore(&n_found, 0u);
    threshold = 0u;
  }

  // sum = Σ e^(x - most) and weighted = Σ e^(x - most) (x - most) of this invocation.
  var most = LOWEST;
  var sum = 0.0;
  var weighted = 0.0;
  var best = 0u;
  for (var i = lane; i < p.count; i += 256u) {
    let values = max(x[base + i], V(LOWEST));
    let high = highest(values);
    if (high > most) {
      let rise = most - high;
      let shrink = exp(rise);
      weighted = select(0.0, shrink * fma(rise, sum, weighted), shrink > 0.0);
      sum *= shrink;
      most = high;
    }
    each j W: { let below = part(values, $ju) - most; let e = exp(below); sum += e; weighted = fma(e, below, weighted); }
    if (i * W + W <= p.n_words) {
      best = max(best, key_of(high));
    } else {
      each j W: if (i * W + $ju < p.n_words) { best = max(best, key_of(part(values, $ju))); }
    }
  }
  let all_most = group_max(most, lane);
  let apart = most - all_most;
  let shrink = exp(apart);
  let all_sum = group_sum(sum * shrink, lane);
  let all_weighted = group_sum(select(0.0, shrink * fma(apart, sum, weighted), shrink > 0.0), lane);

  // The kept-th best of the invocations' best words.
  keys[lane] = best;
  workgroupBarrier();
  if (lane < 64u) { lane_best[lane] = vec4(keys[4u * lane], keys[4u * lane + 1u], keys[4u * lane + 2u], keys[4u * lane + 3u]); }
  workgroupBarrier();
  var better = 0u;
  for (var i = 0u; i < 64u; i++) {
    let others = lane_best[i];
    let index = vec4(4u * i, 4u * i + 1u, 4u * i + 2u, 4u * i + 3u);
    let ahead = (others > vec4(best)) | ((others == vec4(best)) & (index < vec4(lane)));
    let ones = select(vec4(0u), vec4(1u), ahead);
    better += ones.x + ones.y + ones.z + ones.w;
  }
  if (better + 1u == p.kept) { threshold = best; }
  workgroupBarrier();

  // All words that are no worse.
  let bound = threshold;
  if (best >= bound) {
    for (var i = lane; i < p.count; i += 256u) {
      let values = max(x[base + i], V(LOWEST));
      if (key_of(highest(values)) >= bound) {
        each j W: offer(key_of(part(values, $ju)), i * W + $ju, bound);
      }
    }
  }
  workgroupBarrier();
  let found = atomicLoad(&n_found);

  let to = p.first_y + row * (2u * p.kept + 2u);
  let log_sum = log(all_sum);
  if (lane == 0u) {
    y[to + 2u * p.kept] = all_most + log_sum;
    // Rounding must not make it negative.
    y[to + 2u * p.kept + 1u] = max(log_sum - all_weighted / all_sum, 0.0);
  }
  if (found <= ROOM) { rank_found(found, to, lane, all_most, all_sum); }
  one_after_the_other(found > ROOM, base, to, lane, all_most, all_sum);
}

// Every word on the list finds its place by counting the better ones.
fn rank_found(found: u32, to: u32, lane: u32, all_most: f32, all_sum: f32) {
  for (var i = lane; i < found; i += 256u) {
    let key = keys[i];
    let id = ids[i];
    var rank = 0u;
    for (var j = 0u; j < found; j++) {
      rank += select(0u, 1u, keys[j] > key || (keys[j] == key && ids[j] < id));
    }
    if (rank < p.kept) {
      y[to + rank] = bitcast<f32>(id);
      y[to + p.kept + rank] = exp(value_of(key) - all_most) / all_sum;
    }
  }
}

// The best words that come after the one found last, again and again, where it is needed. The barriers stand outside of
// that condition: some compilers take no barrier under one that comes out of workgroup memory.
fn one_after_the_other(is_needed: bool, base: u32, to: u32, lane: u32, all_most: f32, all_sum: f32) {
  var last_key = 0xffffffffu;
  var last_id = 0u;
  for (var rank = 0u; rank < p.kept; rank++) {
    var key = 0u;
    var id = NO_ID;
    if (is_needed) {
      for (var i = lane; i < p.count; i += 256u) {
        let values = max(x[base + i], V(LOWEST));
        for (var j = 0u; j < W; j++) {
          let here = i * W + j;
          let its = key_of(part(values, j));
          let comes_after = rank == 0u || its < last_key || (its == last_key && here > last_id);
          // Ids rise within an invocation, so the first of equal words stays.
          if (comes_after && here < p.n_words && (its > key || id == NO_ID)) {
            key = its;
            id = here;
          }
        }
      }
    }
    workgroupBarrier();
    if (is_needed) {
      keys[lane] = key;
      ids[lane] = id;
    }
    workgroupBarrier();
    if (is_needed) {
      for (var i = 0u; i < 256u; i++) {
        let its = keys[i];
        if (ids[i] != NO_ID && (id == NO_ID || its > key || (its == key && ids[i] < id))) {
          key = its;
          id = ids[i];
        }
      }
      last_key = key;
      last_id = id;
      if (lane == 0u) {
        y[to + rank] = bitcast<f32>(id);
        y[to + p.kept + rank] = exp(value_of(key) - all_most) / all_sum;
      }
    }
  }
}
