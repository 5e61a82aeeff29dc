// The heat map and the grid lines over the picture: premultiplied colour in gamma space, for blending over it.
//
// All positions are whole physical pixels of the frame, so that every driver draws the same lines.

struct Params {
    // Top left corner of the picture, in pixels; negative where it is scrolled out of sight.
    origin: vec2<i32>,
    // Side of the square picture, in pixels.
    side: i32,
    // Alpha of the heat map and of the grid lines, 0..=1.
    opacity: f32,
    // Columns and rows.
    grid: vec2<i32>,
    // The values that the ends of the colour scale stand for.
    range: vec2<f32>,
    // Straight colour of the grid lines, alpha in w.
    line: vec4<f32>,
};

@group(0) @binding(0) var<uniform> params: Params;
// One value per cell, R32Float; not a number where it is unknown.
@group(0) @binding(1) var heat: texture_2d<f32>;
// The colour scale, 256 x 1.
@group(0) @binding(2) var colormap: texture_2d<f32>;

// A triangle that covers the viewport.
@vertex
fn vs_main(@builtin(vertex_index) i: u32) -> @builtin(position) vec4<f32> {
    let corner = vec2<f32>(f32((i << 1u) & 2u), f32(i & 2u));
    return vec4<f32>(corner * 2.0 - 1.0, 0.0, 1.0);
}

// By the bits: compilers of shaders may assume that no value is NaN and drop `h != h`.
fn is_known(h: f32) -> bool {
    return (bitcast<u32>(h) & 0x7fffffffu) < 0x7f800000u;
}

// Premultiplied colour of one value: low values let more of the picture through. Keep in sync with `colormap::weight`.
fn heat_color(h: f32) -> vec4<f32> {
    if (!is_known(h)) {
        return vec4<f32>(0.0);
    }
    let span = params.range.y - params.range.x;
    var t = 0.0;
    if (span > 0.0) {
        t = clamp((h - params.range.x) / span, 0.0, 1.0);
    }
    let rgb = textureLoad(colormap, vec2<i32>(i32(t * 255.0 + 0.5), 0), 0).rgb;
    return vec4<f32>(rgb, 1.0) * params.opacity * (0.3 + 0.7 * t);
}

@fragment
fn fs_main(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    let pixel = vec2<i32>(floor(position.xy)) - params.origin;
    if (any(pixel < vec2<i32>(0)) || any(pixel >= vec2<i32>(params.side))) {
        return vec4<f32>(0.0);
    }
    let cell = pixel * params.grid / params.side;
    let color = heat_color(textureLoad(heat, cell, 0).r);
    // A line is the first pixel of a cell, except at the picture's own edge.
    let before = max(pixel - vec2<i32>(1), vec2<i32>(0)) * params.grid / params.side;
    if (any(before != cell)) {
        let line = vec4<f32>(params.line.rgb, 1.0) * params.line.a;
        return line + color * (1.0 - line.a);
    }
    return color;
}
