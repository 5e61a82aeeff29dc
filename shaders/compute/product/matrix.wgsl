// y [n, n_out] = x [n, in] times the transpose of some rows of a weight, with cooperative matrices: f16 in, f32 sums.
//
// x is f16 already: rows of `pieces` times 2 vec4 of eight values, as many rows as the grid covers. y has room for n rounded
// up to 16 rows of n_out; the rows of the weight here, a multiple of 16, are columns col0.. of y. A workgroup computes $BM
// rows and $BN columns, $KP pieces of a row at a time through workgroup memory; one of its $WR times $WC subgroups computes
// $TM times $TN blocks of 16x16; $SLICES subgroups can share these blocks, each with its slice of the row. Rows in workgroup
// memory have a gap of 16 bytes against bank conflicts. (Tiles of another element than f16 fail to compile on NVIDIA's driver, though SPIR-V allows them.)
enable f16;
enable wgpu_cooperative_matrix;
struct P {
  first_x: u32, first_q: u32, first_s: u32, first_y: u32,
  n: u32, pieces: u32, scale_row: u32, rows: u32, col0: u32, n_out: u32,
}
@group(0) @binding(0) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> p: P;

const PIECES: u32 = $KPu * $SLICESu; // of a row at a time
const GAP: u32 = PIECES * 4u + 2u;
var<workgroup> xs: array<vec4<f16>, $BM * GAP>;
var<workgroup> ws: array<vec4<f16>, $BN * GAP>;
//if SLICED
var<workgroup> sums: array<f32, $SLICES * $BM * $BN>;
//end

@compute @workgroup_size($THREADS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  let row0 = group.x * $BMu;
  let first = group.y * $BNu;
  let x_at = p.first_x / 4u;
  //if WHOLE
  let warp_row = (subgroup / $WCu) * ($TMu * 16u);
  const slice = 0u;
  //end
  //if SLICED
  let warp_row = (subgroup / $WCu) % $WRu * ($TMu * 16u);
  let slice = subgroup / ($WCu * $WRu) * ($KPu * 4u);
  //end
  let warp_col = (subgroup % $WCu) * ($TNu * 16u);
  //for i in TM
  //for j in TN
  var sum_$i_$j: coop_mat16x16<f32, C>;
  //end
  //end
  //for l in XL
  var x_a$l: vec4<u32>;
  var x_b$l: vec4<u32>;
  let x_e$l = t + $lu * $THREADSu;
  let x_i$l = x_at + ((row0 + x_e$l / PIECES) * p.pieces + x_e$l % PIECES) * 2u;
  let x_p$l = x_e$l % PIECES;
  if (x_p$l < p.pieces && x_e$l < $BMu * PIECES) { x_a$l = x[x_i$l]; x_b$l = x[x_i$l + 1u]; }
  //end
  //for l in WL
  var raw$l: Raw;
  let w_e$l = t + $lu * $THREADSu;
  let w_row$l = min(first + w_e$l / PIECES, p.rows - 1u);
  let w_p$l = w_e$l % PIECES;
  if (w_p$l < p.pieces && w_e$l < $BNu * PIECES) { raw$l = fetch(w_row$l, w_p$l); }
  //end
  for (var piece = 0u; piece < p.pieces; piece += PIECES) {
    workgroupBarrier();
    //for l in XL
    if (x_e$l < $BMu * PIECES) {
      let at = (x_e$l / PIECES) * GAP + (x_e$l % PIECES) * 4u;
      xs[at] = four(x_a$l.x, x_a$l.y);
      xs[at + 1u] = four(x_a$l.z, x_a$l.w);
      xs[at + 2u] = four(x_b$l.x, x_b$l.y);
      xs[at + 3u] = four(x_b$l.z, x_b$l.w);
    }
    //end
    //for l in WL
    if (w_e$l < $BNu * PIECES) {
      let at = (w_e$l / PIECES) * GAP + (w_e$l % PIECES) * 4u;
      let w = halves(raw$l);
      ws[at] = w.a;
      ws[at + 1u] = w.b;
      ws[at + 2u] = w.c;
      ws[at + 3u] = w.d;
    }
    //end
    workgroupBarrier();
    let next = piece + PIECES;
    //if WHOLE
    if (next < p.pieces) {
      //for l in XL
      if (x_e$l < $BMu * PIECES) {
        x_a$l = x[x_i$l + next * 2u];
        x_b$l = x[x_i$l + next * 2u + 1u];
      }
      //end
      //for l in WL
      if (w_e$l < $BNu * PIECES) { raw$l = fetch(w_row$l, next + w_p$l); }
      //end
    }
    //end
    //if SLICED
    //for l in XL
    x_a$l = vec4<u32>();
    x_b$l = vec4<u32>();
    if (next + x_p$l < p.pieces && x_e$l < $BMu * PIECES) {
      x_a$l = x[x_i$l + next * 2u];
      x_b$l = x[x_i$l + next * 2u + 1u];
    }
    //end
    //for l in WL
    raw$l = Raw();
    if (next + w_p$l < p.pieces && w_e$l < $BNu * PIECES) { raw$l = fetch(w_row$l, next + w_p$l); }
    //end
    //end
    //for k in KP
    {
      //for i in TM
      let m$i = coopLoadT<coop_mat16x16<f16, A>>(&xs[(warp_row + $iu * 16u) * GAP + slice + $ku * 4u], GAP);
      //end
      //for j in TN
      let v$j = coopLoad<coop_mat16x16<f16, B>>(&ws[(warp_col + $ju * 16u) * GAP + slice + $ku * 4u], GAP);
      //for i in TM
      sum_$i_$j = coopMultiplyAdd(m$i, v$j, sum_$i_$j);
      //end
      //end
    }
    //end
  }
  //if WHOLE
  let n_out = p.n_out;
  //for i in TM
  //for j in TN
  {
    let row = row0 + warp_row + $iu * 16u;
    let col = first + warp_col + $ju * 16u;
    if (row < p.n && col < p.rows) {
      let at = p.first_y + row * n_out + p.col0 + col;
      let sum = sum_$i_$j;
      coopStoreT(sum, &y[at], n_out);
    }
  }
  //end
  //end
  //end
  //if SLICED
  // Every slice has its sums in workgroup memory, where they are added up.
  let slice_at = slice / ($KPu * 4u) * ($BMu * $BNu);
  let width = $BNu;
  //for i in TM
  //for j in TN
  {
    let at = slice_at + (warp_row + $iu * 16u) * width + warp_col + $ju * 16u;
    let sum = sum_$i_$j;
    coopStoreT(sum, &sums[at], width);
  }
  //end
  //end
  workgroupBarrier();
  for (var e = t; e < $BMu * $BNu; e += $THREADSu) {
    let row = row0 + e / $BNu;
    let col = first + e % $BNu;
    var all = 0.0;
    for (var i = 0u; i < $SLICESu; i++) { all += sums[i * ($BMu * $BNu) + e]; }
    if (row < p.n && col < p.rows) { y[p.first_y + row * p.n_out + p.col0 + col] = all; }
  }
  //end
}
