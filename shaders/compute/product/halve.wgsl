// y [rows, width] in f16, two in a word = x [n, width] in f32, zeros beyond row n; what f16 cannot hold becomes its largest.
// width is a multiple of 8. One invocation writes 8 values.
struct P { first_x: u32, first_y: u32, n: u32, rows: u32, width: u32 }
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<u32>>;
@group(0) @binding(2) var<uniform> p: P;

fn two(v: vec4<f32>) -> vec2<u32> {
  let c = clamp(v, vec4<f32>(-65504.0), vec4<f32>(65504.0));
  return vec2<u32>(pack2x16float(c.xy), pack2x16float(c.zw));
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let e = (group.y * 32768u + group.x) * 256u + t;
  let row = e / (p.width / 8u);
  if (row >= p.rows) { return; }
  var v = vec4<u32>();
  if (row < p.n) {
    let at = p.first_x / 4u + e * 2u;
    v = vec4<u32>(two(x[at]), two(x[at + 1u]));
  }
  y[p.first_y / 4u + e] = v;
}
