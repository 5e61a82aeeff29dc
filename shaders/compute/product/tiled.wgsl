// y [n, n_out] = x [n, in] times the transpose of some rows of a weight, all in f32.
//
// x has rows of `pieces` times 16 values (zeros at the end where the weight has fewer columns), y rows of n_out; the rows
// of the weight here are columns col0.. of y. A workgroup computes $BM rows and 128 columns, 16 values of a row at a time
// through workgroup memory, where tiles lie transposed; an invocation computes $MV times 4 rows and twice 4 columns.
struct P {
  first_x: u32, first_q: u32, first_s: u32, first_y: u32,
  n: u32, pieces: u32, scale_row: u32, rows: u32, col0: u32, n_out: u32,
}
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> p: P;

// [16][$BM] and [16][128]
//if VECTORS
var<workgroup> xs: array<vec4<f32>, 4 * $BM>;
var<workgroup> ws: array<vec4<f32>, 4 * 128>;
fn set_x(at: u32, lane: u32, v: f32) { xs[at][lane] = v; }
fn set_w(at: u32, lane: u32, v: f32) { ws[at][lane] = v; }
fn get_x(at: u32) -> vec4<f32> { return xs[at]; }
fn get_w(at: u32) -> vec4<f32> { return ws[at]; }
//end
//if SCALARS
// Some compilers write a whole vector where one of its components is chosen at run time.
var<workgroup> xs: array<f32, 16 * $BM>;
var<workgroup> ws: array<f32, 16 * 128>;
fn set_x(at: u32, lane: u32, v: f32) { xs[at * 4u + lane] = v; }
fn set_w(at: u32, lane: u32, v: f32) { ws[at * 4u + lane] = v; }
fn get_x(at: u32) -> vec4<f32> { return vec4<f32>(xs[at * 4u], xs[at * 4u + 1u], xs[at * 4u + 2u], xs[at * 4u + 3u]); }
fn get_w(at: u32) -> vec4<f32> { return vec4<f32>(ws[at * 4u], ws[at * 4u + 1u], ws[at * 4u + 2u], ws[at * 4u + 3u]); }
//end

@compute @workgroup_size($THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let row0 = group.x * $BMu;
  let first = group.y * 128u;
  let tx = t % 16u;
  let ty = t / 16u;
  // The last invocations fetch x and the first 128 the weight, a piece each.
  let x_t = t - $X_THREADu;
  let has_x = t >= $X_THREADu && x_t < $BMu;
  let has_w = t < 128u;
  let x_at = p.first_x / 4u + min(row0 + x_t, p.n - 1u) * p.pieces * 4u;
  let w_row = min(first + t, p.rows - 1u);
  //for i in MV
  //for c in 4
  //for h in 2
  var sum_$i_$c_$h = vec4<f32>();
  //end
  //end
  //end
  var x0: vec4<f32>;
  var x1: vec4<f32>;
  var x2: vec4<f32>;
  var x3: vec4<f32>;
  var raw: Raw;
  if (has_x) { x0 = x[x_at]; x1 = x[x_at + 1u]; x2 = x[x_at + 2u]; x3 = x[x_at + 3u]; }
  if (has_w) { raw = fetch(w_row, 0u); }
  for (var piece = 0u; piece < p.pieces; piece++) {
    workgroupBarrier();
    if (has_x) {
      let at = x_t / 4u;
      let lane = x_t % 4u;
      //for j in 4
      set_x(($ju * 4u + 0u) * ($BMu / 4u) + at, lane, x$j.x);
      set_x(($ju * 4u + 1u) * ($BMu / 4u) + at, lane, x$j.y);
      set_x(($ju * 4u + 2u) * ($BMu / 4u) + at, lane, x$j.z);
      set_x(($ju * 4u + 3u) * ($BMu / 4u) + at, lane, x$j.w);
      //end
    }
    if (has_w) {
      let at = t / 4u;
      let lane = t % 4u;
      let w = weights(raw);
      //for j in abcd
      set_w(($#ju * 4u + 0u) * 32u + at, lane, w.$j.x);
      set_w(($#ju * 4u + 1u) * 32u + at, lane, w.$j.y);
      set_w(($#ju * 4u + 2u) * 32u + at, lane, w.$j.z);
      set_w(($#ju * 4u + 3u) * 32u + at, lane, w.$j.w);
      //end
    }
    workgroupBarrier();
    if (piece + 1u < p.pieces) {
      let i = x_at + (piece + 1u) * 4u;
      if (has_x) { x0 = x[i]; x1 = x[i + 1u]; x2 = x[i + 2u]; x3 = x[i + 3u]; }
      if (has_w) { raw = fetch(w_row, piece + 1u); }
    }
    for (var k = 0u; k < 16u; k++) {
      let w0 = get_w(k * 32u + tx);
      let w1 = get_w(k * 32u + 16u + tx);
      //for i in MV
      let a$i = get_x(k * ($BMu / 4u) + $iu * ($BMu / $MVu / 4u) + ty);
      //for c in xyzw
      sum_$i_$#c_0 = fma(vec4<f32>(a$i.$c), w0, sum_$i_$#c_0);
      sum_$i_$#c_1 = fma(vec4<f32>(a$i.$c), w1, sum_$i_$#c_1);
      //end
      //end
    }
  }
  //for i in MV
  //for c in 4
  {
    let row = row0 + $iu * ($BMu / $MVu) + ty * 4u + $cu;
    if (row < p.n) {
      let at = p.first_y + row * p.n_out + p.col0;
      //for h in 2
      let col$h = first + $hu * 64u + tx * 4u;
      //for j in 4
      if (col$h + $ju < p.rows) { y[at + col$h + $ju] = sum_$i_$c_$h[$j]; }
      //end
      //end
    }
  }
  //end
  //end
}
