// y [n, n_out] = x [n, in] times the transpose of some rows of a weight, for few rows of x: the weight is read once.
//
// x has rows of `pieces` times 16 values (zeros at the end where the weight has fewer columns), y rows of n_out; the rows
// of the weight here are columns col0.. of y. A group of $G invocations computes $R of them for $N rows of x, an
// invocation $UNIT pieces at a time; 256 / $G
// groups share a tile of x in workgroup memory, with a gap after every 8 vec4 against bank conflicts.
struct P {
  first_x: u32, first_q: u32, first_s: u32, first_y: u32,
  n: u32, pieces: u32, scale_row: u32, rows: u32, col0: u32, n_out: u32,
}
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> p: P;

const TILE: u32 = $TILEu; // pieces of x in a tile
const STEP: u32 = min($Gu, TILE / $UNITu); // units from one step of an invocation to its next
const X_ROW: u32 = TILE * 4u + TILE / 2u;
var<workgroup> xs: array<vec4<f32>, $N * X_ROW>;
//if NO_SHUFFLE
var<workgroup> sums: array<f32, 256 * $N>;
//end

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let lane = t % $Gu;
  let first_row = ((group.y * 32768u + group.x) * (256u / $Gu) + t / $Gu) * $Ru;
  let x_row = p.pieces * 4u;
  let units_in_row = p.pieces / $UNITu;
  //for r in R
  let row$r = min(first_row + $ru, p.rows - 1u);
  //end
  //for i in N
  //for r in R
  var sum_$i_$r = 0.0;
  //end
  //end
  // The weight of the next step is under way while this one is computed.
  //for r in R
  var next$r = fetch_unit(row$r, min(lane, units_in_row - 1u));
  //end
  for (var tile = 0u; tile < p.pieces; tile += TILE) {
    workgroupBarrier();
    for (var e = t; e < $Nu * TILE * 4u; e += 256u) {
      let i = e / (TILE * 4u);
      let j = e % (TILE * 4u);
      var v = vec4<f32>();
      if (i < p.n && tile * 4u + j < x_row) { v = x[p.first_x / 4u + i * x_row + tile * 4u + j]; }
      xs[i * X_ROW + j + (j >> 3u)] = v;
    }
    workgroupBarrier();
    let last = min(TILE, p.pieces - tile) / $UNITu;
    for (var unit = lane; unit < last; unit += $Gu) {
      let next = min(tile / $UNITu + unit + STEP, units_in_row - 1u);
      //for r in R
      let now$r = next$r;
      next$r = fetch_unit(row$r, next);
      let by$r = unit_scale(now$r);
      //end
      let at = unit * $UNITu * 4u + ((unit * $UNITu) >> 1u);
      //for h in UNIT
      {
        //for r in R
        let u$r = units(now$r.part$h);
        //end
        //for i in N
        {
          let x0 = xs[$iu * X_ROW + at + $hu * 4u];
          let x1 = xs[$iu * X_ROW + at + $hu * 4u + 1u];
          let x2 = xs[$iu * X_ROW + at + $hu * 4u + 2u];
          let x3 = xs[$iu * X_ROW + at + $hu * 4u + 3u];
          //if HAS_OFFSET
          let all = dot(x0 + x1 + x2 + x3, vec4<f32>(1.0));
          //end
          //for r in R
          let v$r = fma(x0, u$r.a, fma(x1, u$r.b, fma(x2, u$r.c, x3 * u$r.d)));
          //if HAS_OFFSET
          sum_$i_$r = fma(by$r.x, (v$r.x + v$r.y) + (v$r.z + v$r.w), fma(by$r.y, all, sum_$i_$r));
          //end
          //if NO_OFFSET
          sum_$i_$r += (v$r.x + v$r.y) + (v$r.z + v$r.w);
          //end
          //end
        }
        //end
      }
      //end
    }
  }
  //for r in R
  //if SHUFFLE
  //for i in N
  for (var step = $Gu / 2u; step > 0u; step /= 2u) { sum_$i_$r += subgroupShuffleXor(sum_$i_$r, step); }
  if (lane == 0u && first_row + $ru < p.rows && $iu < p.n) {
    y[p.first_y + $iu * p.n_out + p.col0 + first_row + $ru] = sum_$i_$r;
  }
  //end
  //end
  //if NO_SHUFFLE
  workgroupBarrier();
  //for i in N
  sums[$iu * 256u + t] = sum_$i_$r;
  //end
  workgroupBarrier();
  if (lane < min($Nu, p.n) && first_row + $ru < p.rows) {
    var all = 0.0;
    for (var j = 0u; j < $Gu; j++) { all += sums[lane * 256u + (t - lane) + j]; }
    y[p.first_y + lane * p.n_out + p.col0 + first_row + $ru] = all;
  }
  //end
  //end
}
