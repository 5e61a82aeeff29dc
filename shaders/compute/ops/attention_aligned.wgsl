// How attention reads and writes rows of d_head words where every row starts at a multiple of four of them.
alias F = vec4<f32>;
fn load_q(row: u32, c: u32) -> vec4<f32> { return q[row / 4u + c]; }
fn load_k(row: u32, c: u32) -> vec4<f32> { return k[row / 4u + c]; }
fn load_v(row: u32, c: u32) -> vec4<f32> { return v[row / 4u + c]; }
