// Scaled scores out [batch * heads, n, n_keys] of every query against every key, with -inf where it must not see it.
//
// Workgroup (block of 32 queries, head, block of 64 keys). Joined to attention_scores; `nothing` holds the bits of -inf.
alias O = f32;

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let head = group.y;
  let q0 = group.x * 32u;
  let k0 = group.z * 64u;
  // Where no query of the block sees any of the keys, there is nothing to multiply.
  var raw = mat4x4<f32>();
  if (!CAUSAL || k0 < p.first_pos + q0 + 32u) { raw = products(head, q0, k0, p.n_keys, lane); }
  let row = q0 + (lane / 16u) * 4u;
  let key = k0 + (lane % 16u) * 4u;
  let nothing = bitcast<f32>(p.nothing);
  each i 4: let s$i = select(raw[$i] * bitcast<f32>(p.scale), vec4(nothing), hidden(head, row + $iu, key, p.n_keys));
  each i 4: let to$i = p.first_out + (head * p.n + row + $iu) * p.n_keys + key;
  each i 4, j 4: if (row + $iu < p.n && key + $ju < p.n_keys) { out[to$i + $ju] = s$i[$j]; }
}
