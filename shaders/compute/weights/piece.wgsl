// 16 consecutive values of a row.
struct Piece { a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32> }

fn weights(raw: Raw) -> Piece {
  let by = scale(raw);
  let u = units(raw);
  let y = vec4<f32>(by.y);
  let x = vec4<f32>(by.x);
  return Piece(fma(u.a, x, y), fma(u.b, x, y), fma(u.c, x, y), fma(u.d, x, y));
}
