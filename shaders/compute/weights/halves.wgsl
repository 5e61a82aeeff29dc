// 16 consecutive values of a row as f16; what f16 cannot hold becomes its largest.
struct Halves { a: vec4<f16>, b: vec4<f16>, c: vec4<f16>, d: vec4<f16> }

fn four(a: u32, b: u32) -> vec4<f16> {
  return vec4<f16>(vec4<f32>(unpack2x16float(a), unpack2x16float(b)));
}

//if IS_F16
fn halves(raw: Raw) -> Halves {
  return Halves(four(raw.a.x, raw.a.y), four(raw.a.z, raw.a.w), four(raw.b.x, raw.b.y), four(raw.b.z, raw.b.w));
}
//end
//if NOT_F16
fn half(v: vec4<f32>) -> vec4<f16> {
  return vec4<f16>(clamp(v, vec4<f32>(-65504.0), vec4<f32>(65504.0)));
}

fn halves(raw: Raw) -> Halves {
  let w = weights(raw);
  return Halves(half(w.a), half(w.b), half(w.c), half(w.d));
}
//end
