// y [batch, m, n] = a [batch, m, k] times b [batch, k, n], a and b with any strides, all in f32.
//
// A workgroup computes 64 x 64 of one matrix, 16 of k at a time through workgroup memory; an invocation computes 4 x 4.
// a and b are read along whichever dimension their neighbours in memory lie.
struct P {
  first_a: u32, first_b: u32, first_y: u32,
  m: u32, k: u32, n: u32,
  a_batch: u32, a_m: u32, a_k: u32,
  b_batch: u32, b_k: u32, b_n: u32,
}
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> p: P;

// [16][64 of m] and [16][64 of n]
//if VECTORS
var<workgroup> at: array<vec4<f32>, 16 * 16>;
var<workgroup> bt: array<vec4<f32>, 16 * 16>;
fn set_a(i: u32, lane: u32, v: f32) { at[i][lane] = v; }
fn set_b(i: u32, lane: u32, v: f32) { bt[i][lane] = v; }
fn get_a(i: u32) -> vec4<f32> { return at[i]; }
fn get_b(i: u32) -> vec4<f32> { return bt[i]; }
//end
//if SCALARS
// Some compilers write a whole vector where one of its components is chosen at run time.
var<workgroup> at: array<f32, 16 * 64>;
var<workgroup> bt: array<f32, 16 * 64>;
fn set_a(i: u32, lane: u32, v: f32) { at[i * 4u + lane] = v; }
fn set_b(i: u32, lane: u32, v: f32) { bt[i * 4u + lane] = v; }
fn get_a(i: u32) -> vec4<f32> { return vec4<f32>(at[i * 4u], at[i * 4u + 1u], at[i * 4u + 2u], at[i * 4u + 3u]); }
fn get_b(i: u32) -> vec4<f32> { return vec4<f32>(bt[i * 4u], bt[i * 4u + 1u], bt[i * 4u + 2u], bt[i * 4u + 3u]); }
//end

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let row0 = group.y * 64u;
  let col0 = group.x * 64u;
  let tx = t % 16u;
  let ty = t / 16u;
  let a0 = p.first_a + group.z * p.a_batch;
  let b0 = p.first_b + group.z * p.b_batch;
  let a_along_k = p.a_k == 1u;
  let b_along_k = p.b_k == 1u && p.b_n != 1u;
  //for c in 4
  var sum_$c = vec4<f32>();
  //end
  for (var k = 0u; k < p.k; k += 16u) {
    workgroupBarrier();
    for (var e = t; e < 1024u; e += 256u) {
      let am = select(e % 64u, e / 16u, a_along_k);
      let ak = select(e / 64u, e % 16u, a_along_k);
      var v = 0.0;
      if (row0 + am < p.m && k + ak < p.k) { v = a[a0 + (row0 + am) * p.a_m + (k + ak) * p.a_k]; }
      set_a(ak * 16u + am / 4u, am % 4u, v);
      let bn = select(e % 64u, e / 16u, b_along_k);
      let bk = select(e / 64u, e % 16u, b_along_k);
      var w = 0.0;
      if (col0 + bn < p.n && k + bk < p.k) { w = b[b0 + (k + bk) * p.b_k + (col0 + bn) * p.b_n]; }
      set_b(bk * 16u + bn / 4u, bn % 4u, w);
    }
    workgroupBarrier();
    for (var kk = 0u; kk < 16u; kk++) {
      let v = get_a(kk * 16u + ty);
      let w = get_b(kk * 16u + tx);
      //for c in xyzw
      sum_$#c = fma(vec4<f32>(v.$c), w, sum_$#c);
      //end
    }
  }
  //for c in 4
  {
    let row = row0 + ty * 4u + $cu;
    if (row < p.m) {
      let out = p.first_y + (group.z * p.m + row) * p.n;
      let col = col0 + tx * 4u;
      //for j in 4
      if (col + $ju < p.n) { y[out + col + $ju] = sum_$c[$j]; }
      //end
    }
  }
  //end
}
