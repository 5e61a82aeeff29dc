// Writing a vector of four of a row of d_head words that starts at a multiple of four.
alias O = vec4<f32>;
fn store(row: u32, c: u32, value: vec4<f32>) { out[row / 4u + c] = value; }
