// 16 consecutive values of a row as f16, two in a word; what f16 cannot hold becomes its largest.
struct Halves { a: vec4<u32>, b: vec4<u32> }

//if IS_F16
fn halves(raw: Raw) -> Halves {
  return Halves(raw.a, raw.b);
}
//end
//if NOT_F16
fn two(v: vec4<f32>) -> vec2<u32> {
  let c = clamp(v, vec4<f32>(-65504.0), vec4<f32>(65504.0));
  return vec2<u32>(pack2x16float(c.xy), pack2x16float(c.zw));
}

fn halves(raw: Raw) -> Halves {
  let w = weights(raw);
  return Halves(vec4<u32>(two(w.a), two(w.b)), vec4<u32>(two(w.c), two(w.d)));
}
//end
