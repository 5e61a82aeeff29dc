// Weights of 4 bits (Q4_K), blocks of 32 with a scale and an offset of 6 bits, 8 such blocks with two f16 that scale those.
// q: rows of `pieces` pieces of 16 values, 2 words each, the first value lowest; s: rows of `scale_row` words, 5 for each
// 256 values: the two f16, then four times (scale, offset, scale, offset) as bytes.
//
// The unit of a nibble u is 1 + u / 16: the nibble goes to the top of the mantissa, which needs no conversion and is exact.
//if FEW
@group(0) @binding(1) var<storage, read> q: array<vec4<u32>>;
//end
//if NOT_FEW
@group(0) @binding(1) var<storage, read> q: array<vec2<u32>>;
//end
@group(0) @binding(2) var<storage, read> s: array<u32>;

struct Raw { a: vec2<u32>, d: u32, s: u32 }

//if NOT_FEW
fn fetch(row: u32, piece: u32) -> Raw {
  let block = piece >> 1u;
  let i = p.first_s + row * p.scale_row + (piece >> 4u) * 5u;
  let pair = s[i + 1u + ((block >> 1u) & 3u)];
  return Raw(q[p.first_q / 2u + row * p.pieces + piece], s[i], pair >> ((block & 1u) * 16u));
}
//end

// A weight is x * its unit + y: 16 s (1 + u / 16) - (16 s + offset).
fn scale(raw: Raw) -> vec2<f32> {
  let d = unpack2x16float(raw.d);
  let step = d.x * f32(raw.s & 255u) * 16.0;
  return vec2<f32>(step, -step - d.y * f32((raw.s >> 8u) & 255u));
}

fn units_of(w: vec4<u32>) -> vec4<f32> {
  return bitcast<vec4<f32>>((w & vec4<u32>(0x780000u)) | vec4<u32>(0x3f800000u));
}

fn units(raw: Raw) -> Piece {
  let a = raw.a.x;
  let b = raw.a.y;
  return Piece(
    units_of(vec4<u32>(a << 19u, a << 15u, a << 11u, a << 7u)),
    units_of(vec4<u32>(a << 3u, a >> 1u, a >> 5u, a >> 9u)),
    units_of(vec4<u32>(b << 19u, b << 15u, b << 11u, b << 7u)),
    units_of(vec4<u32>(b << 3u, b >> 1u, b >> 5u, b >> 9u)),
  );
}

//if FEW
// What an invocation loads at a time for few rows: a block of 32.
struct Unit { part0: Raw, part1: Raw }

fn fetch_unit(row: u32, i: u32) -> Unit {
  let at = p.first_s + row * p.scale_row + (i >> 3u) * 5u;
  let d = s[at];
  let pair = s[at + 1u + ((i >> 1u) & 3u)] >> ((i & 1u) * 16u);
  let two = q[p.first_q / 4u + row * (p.pieces / 2u) + i];
  return Unit(Raw(two.xy, d, pair), Raw(two.zw, d, pair));
}

fn unit_scale(unit: Unit) -> vec2<f32> {
  return scale(unit.part0);
}
//end
