// y [n, in] (+)= d [n, n_out] times some rows of a weight, all in f32: the columns col0.. of d belong to these rows.
//
// A workgroup computes 64 rows and 128 columns, 16 rows of the weight at a time through workgroup memory; an invocation
// computes 4 rows and twice 4 columns. With `adds` 1 the sums of the rows of the weight before these are in y already.
struct P {
  first_d: u32, first_q: u32, first_s: u32, first_y: u32,
  n: u32, pieces: u32, scale_row: u32, rows: u32, col0: u32, n_out: u32, n_in: u32, adds: u32,
}
@group(0) @binding(0) var<storage, read> d: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> p: P;

//if VECTORS
var<workgroup> ds: array<vec4<f32>, 16 * 16>; // [16][64]
fn set_d(at: u32, lane: u32, v: f32) { ds[at][lane] = v; }
fn get_d(at: u32) -> vec4<f32> { return ds[at]; }
//end
//if SCALARS
// Some compilers write a whole vector where one of its components is chosen at run time.
var<workgroup> ds: array<f32, 16 * 64>; // [16][64]
fn set_d(at: u32, lane: u32, v: f32) { ds[at * 4u + lane] = v; }
fn get_d(at: u32) -> vec4<f32> { return vec4<f32>(ds[at * 4u], ds[at * 4u + 1u], ds[at * 4u + 2u], ds[at * 4u + 3u]); }
//end
var<workgroup> ws: array<vec4<f32>, 16 * 32>; // [16][128]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let row0 = group.x * 64u;
  let first = group.y * 8u; // piece
  let tx = t % 16u;
  let ty = t / 16u;
  //for c in 4
  //for h in 2
  var sum_$c_$h = vec4<f32>();
  //end
  //end
  for (var k = 0u; k < p.rows; k += 16u) {
    workgroupBarrier();
    for (var e = t; e < 1024u; e += 256u) {
      let row = row0 + e / 16u;
      let col = k + e % 16u;
      var v = 0.0;
      if (row < p.n && col < p.rows) { v = d[p.first_d + row * p.n_out + p.col0 + col]; }
      set_d((e % 16u) * 16u + e / 64u, (e / 16u) % 4u, v);
    }
    if (t < 128u) {
      let row = k + t / 8u;
      let piece = first + t % 8u;
      var w = Piece();
      if (row < p.rows && piece < p.pieces) { w = weights(fetch(row, piece)); }
      let at = (t / 8u) * 32u + (t % 8u) * 4u;
      ws[at] = w.a;
      ws[at + 1u] = w.b;
      ws[at + 2u] = w.c;
      ws[at + 3u] = w.d;
    }
    workgroupBarrier();
    for (var kk = 0u; kk < 16u; kk++) {
      let w0 = ws[kk * 32u + tx];
      let w1 = ws[kk * 32u + 16u + tx];
      let a = get_d(kk * 16u + ty);
      //for c in xyzw
      sum_$#c_0 = fma(vec4<f32>(a.$c), w0, sum_$#c_0);
      sum_$#c_1 = fma(vec4<f32>(a.$c), w1, sum_$#c_1);
      //end
    }
  }
  //for c in 4
  {
    let row = row0 + ty * 4u + $cu;
    if (row < p.n) {
      let at = p.first_y + row * p.n_in;
      //for h in 2
      let col$h = group.y * 128u + $hu * 64u + tx * 4u;
      //for j in 4
      if (col$h + $ju < p.n_in) {
        if (p.adds == 1u) { y[at + col$h + $ju] += sum_$c_$h[$j]; } else { y[at + col$h + $ju] = sum_$c_$h[$j]; }
      }
      //end
      //end
    }
  }
  //end
}
