// Weights of 8 bits, blocks of 32 with one f16 scale. q: rows of `pieces` pieces of 16 bytes, each byte the quant + 128;
// s: rows of `scale_row` words, two scales in each.
//
// The unit of a byte u is 1 + u / 256: the byte goes to the top of the mantissa, which needs no conversion and is exact.
@group(0) @binding(1) var<storage, read> q: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> s: array<u32>;

struct Raw { a: vec4<u32>, s: f32 }

fn fetch(row: u32, piece: u32) -> Raw {
  let block = piece >> 1u;
  let two = unpack2x16float(s[p.first_s + row * p.scale_row + (block >> 1u)]);
  return Raw(q[p.first_q / 4u + row * p.pieces + piece], select(two.x, two.y, (block & 1u) == 1u));
}

// A weight is x * its unit + y: 256 s (1 + u / 256) - (256 + 128) s.
fn scale(raw: Raw) -> vec2<f32> {
  return vec2<f32>(256.0, -384.0) * raw.s;
}

fn quad(w: u32) -> vec4<f32> {
  return bitcast<vec4<f32>>((vec4<u32>(w << 15u, w << 7u, w >> 1u, w >> 9u) & vec4<u32>(0x7f8000u)) | vec4<u32>(0x3f800000u));
}

fn units(raw: Raw) -> Piece {
  return Piece(quad(raw.a.x), quad(raw.a.y), quad(raw.a.z), quad(raw.a.w));
}

//if FEW
// What an invocation loads at a time for few rows: a block of 32.
struct Unit { part0: Raw, part1: Raw }

fn fetch_unit(row: u32, i: u32) -> Unit {
  let two = unpack2x16float(s[p.first_s + row * p.scale_row + (i >> 1u)]);
  let scale = select(two.x, two.y, (i & 1u) == 1u);
  let at = p.first_q / 4u + row * p.pieces + i * 2u;
  return Unit(Raw(q[at], scale), Raw(q[at + 1u], scale));
}

fn unit_scale(unit: Unit) -> vec2<f32> {
  return scale(unit.part0);
}
//end
