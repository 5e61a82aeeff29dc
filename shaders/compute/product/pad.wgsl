// y [rows, width] = x [n, n_in] in f32, zeros beyond; width is a multiple of 4. One invocation writes 4 values.
struct P { first_x: u32, first_y: u32, n: u32, n_in: u32, rows: u32, width: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(2) var<uniform> p: P;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let e = (group.y * 32768u + group.x) * 256u + t;
  let row = e / (p.width / 4u);
  let col = e % (p.width / 4u) * 4u;
  if (row >= p.rows) { return; }
  var v = vec4<f32>();
  if (row < p.n) {
    let at = p.first_x + row * p.n_in + col;
    //for c in 4
    if (col + $cu < p.n_in) { v[$c] = x[at + $cu]; }
    //end
  }
  y[p.first_y / 4u + e] = v;
}
