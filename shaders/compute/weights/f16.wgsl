// Weights in f16: rows of `pieces` pieces of 16 values, 2 vec4 of pairs each.
@group(0) @binding(1) var<storage, read> q: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> s: array<u32>;

struct Raw { a: vec4<u32>, b: vec4<u32> }

fn fetch(row: u32, piece: u32) -> Raw {
  let i = p.first_q / 4u + (row * p.pieces + piece) * 2u;
  return Raw(q[i], q[i + 1u]);
}

// A weight is x * its unit + y.
fn scale(raw: Raw) -> vec2<f32> {
  return vec2<f32>(1.0, 0.0);
}

fn quad(a: u32, b: u32) -> vec4<f32> {
  return vec4<f32>(unpack2x16float(a), unpack2x16float(b));
}

fn units(raw: Raw) -> Piece {
  return Piece(quad(raw.a.x, raw.a.y), quad(raw.a.z, raw.a.w), quad(raw.b.x, raw.b.y), quad(raw.b.z, raw.b.w));
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
