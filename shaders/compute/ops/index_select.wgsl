// y [outer, n_ids, inner] = x [outer, n, inner] at ids [n_ids] of the middle dimension; words of any type.
//
// The prelude gives `U` (u32 or vec4<u32>) and `W` (its width); inner and total count vectors. The host has checked ids.
struct P { first_x: u32, first_ids: u32, first_y: u32, total: u32, n: u32, n_ids: u32, inner: u32 }
@group(0) @binding(0) var<storage, read> x: array<U>;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<U>;
@group(0) @binding(3) var<uniform> p: P;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) at: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = at.y * (groups.x * 256u) + at.x;
  if (i >= p.total) { return; }
  let row = i / p.inner;
  let id = ids[p.first_ids + row % p.n_ids];
  let base = ((row / p.n_ids) * p.n + id) * p.inner + i % p.inner;
  y[p.first_y / W + i] = x[p.first_x / W + base];
}
