// y [n, in]: rows of a weight in f32, those that `ids` names, or all of them in order. One invocation makes a piece of 16
// values; ids that are not among the rows first_row.. of this part of the weight belong to another launch.
struct P {
  first_ids: u32, first_q: u32, first_s: u32, first_y: u32,
  n: u32, pieces: u32, scale_row: u32, rows: u32, first_row: u32, n_in: u32, has_ids: u32,
}
@group(0) @binding(0) var<storage, read> ids: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> p: P;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let e = (group.y * 32768u + group.x) * 64u + t;
  let i = e / p.pieces;
  let piece = e % p.pieces;
  if (i >= p.n) { return; }
  var row = i;
  var out = p.first_row + i;
  if (p.has_ids == 1u) {
    row = ids[p.first_ids + i] - p.first_row;
    out = i;
  }
  if (row >= p.rows) { return; }
  let w = weights(fetch(row, piece));
  let at = p.first_y + out * p.n_in + piece * 16u;
  //for j in abcd
  //for c in 4
  if (piece * 16u + $#ju * 4u + $cu < p.n_in) { y[at + $#ju * 4u + $cu] = w.$j[$c]; }
  //end
  //end
}
