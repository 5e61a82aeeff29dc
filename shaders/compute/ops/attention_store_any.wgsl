// Writing those words of a vector of four that lie within a row of d_head words.
alias O = f32;
fn store(row: u32, c: u32, value: vec4<f32>) {
  for (var i = 0u; i < 4u; i++) { if (c * 4u + i < D) { out[row + c * 4u + i] = value[i]; } }
}
