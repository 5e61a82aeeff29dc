// Weights in f32: rows of `pieces` pieces of 16 values, 4 vec4 each.
@group(0) @binding(1) var<storage, read> q: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> s: array<u32>;

struct Raw { a: vec4<u32>, b: vec4<u32>, c: vec4<u32>, d: vec4<u32> }

fn fetch(row: u32, piece: u32) -> Raw {
  let i = p.first_q / 4u + (row * p.pieces + piece) * 4u;
  return Raw(q[i], q[i + 1u], q[i + 2u], q[i + 3u]);
}

// A weight is x * its unit + y.
fn scale(raw: Raw) -> vec2<f32> {
  return vec2<f32>(1.0, 0.0);
}

fn units(raw: Raw) -> Piece {
  return Piece(bitcast<vec4<f32>>(raw.a), bitcast<vec4<f32>>(raw.b), bitcast<vec4<f32>>(raw.c), bitcast<vec4<f32>>(raw.d));
}

//if FEW
// What an invocation loads at a time for few rows: a piece.
struct Unit { part0: Raw }

fn fetch_unit(row: u32, i: u32) -> Unit {
  return Unit(fetch(row, i));
}

fn unit_scale(unit: Unit) -> vec2<f32> {
  return scale(unit.part0);
}
//end
