// How attention reads and writes rows of d_head words that start anywhere, the last vector filled up with zeros.
alias F = f32;
fn load_q(row: u32, c: u32) -> vec4<f32> {
  var all = vec4(0.0);
  for (var i = 0u; i < 4u; i++) { if (c * 4u + i < D) { all[i] = q[row + c * 4u + i]; } }
  return all;
}
fn load_k(row: u32, c: u32) -> vec4<f32> {
  var all = vec4(0.0);
  for (var i = 0u; i < 4u; i++) { if (c * 4u + i < D) { all[i] = k[row + c * 4u + i]; } }
  return all;
}
fn load_v(row: u32, c: u32) -> vec4<f32> {
  var all = vec4(0.0);
  for (var i = 0u; i < 4u; i++) { if (c * 4u + i < D) { all[i] = v[row + c * 4u + i]; } }
  return all;
}
