//! Pillow's resize of 8-bit pictures, bit for bit: antialiased, rows first, then columns, rounded to u8 in between.
//!
//! It follows `src/libImaging/Resample.c` of Pillow 13 (MIT-CMU licence), whose coefficients are computed in f64 and rounded to
//! 22 fractional bits. Only the part of the result that is asked for is computed.
//! The crate `fast_image_resize` 6.1 was measured first and not used: against Pillow its Catmull-Rom on U8x3 differs in 22.4 % of
//! 7.2 million values (20 pictures, noise and smooth) and by up to 26 grey levels, since it works with 16-bit coefficients and
//! goes over the columns first.

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;

use super::{Resample, Rgb8};

/// Fractional bits of a coefficient: 32, less 8 of a level and 2 of headroom for the negative lobes.
const PRECISION_BITS: u32 = 22;

/// One half in fixed point, so that the final shift rounds.
const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// A picture that lies on a larger plain rectangle, which is never built.
pub(super) struct Canvas<'a> {
    picture: &'a Rgb8,
    /// Size of the whole, in pixels.
    width: usize,
    height: usize,
    /// Where the picture's top left corner lies.
    pub(super) left: usize,
    pub(super) top: usize,
    colour: [u8; 3],
}

impl<'a> Canvas<'a> {
    /// The picture with nothing around it.
    pub(super) fn of(picture: &'a Rgb8) -> Self {
        Self {
            picture,
            width: picture.width,
            height: picture.height,
            left: 0,
            top: 0,
            colour: [0; 3],
        }
    }

    /// The picture in the middle of the smallest square that holds it.
    pub(super) fn square(picture: &'a Rgb8, colour: [u8; 3]) -> Self {
        let side = picture.width.max(picture.height);
        let (left, top) = ((side - picture.width) / 2, (side - picture.height) / 2);
        Self {
            picture,
            width: side,
            height: side,
            left,
            top,
            colour,
        }
    }

    /// The rows that the picture covers.
    fn picture_rows(&self) -> Range<usize> {
        self.top..self.top + self.picture.height
    }

    /// One row, `[width, 3]`; `None` where the picture does not reach.
    fn picture_row(&self, y: usize) -> Option<Cow<'a, [u8]>> {
        let stride = 3 * self.picture.width;
        let start = y.checked_sub(self.top)? * stride;
        let pixels = self.picture.pixels.get(start..start + stride)?;
        if self.width == self.picture.width {
            return Some(Cow::Borrowed(pixels));
        }
        let mut row = self.plain_row();
        let to = row.iter_mut().skip(3 * self.left);
        to.zip(pixels).for_each(|(to, from)| *to = *from);
        Some(Cow::Owned(row))
    }

    /// A row of nothing but the colour, `[width, 3]`.
    fn plain_row(&self) -> Vec<u8> {
        self.colour.repeat(self.width)
    }
}

/// The samples `start..start + len` of an axis that is resized to `full` samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) full: usize,
    pub(super) start: usize,
    pub(super) len: usize,
}

/// Resizes the canvas to `columns.full` x `rows.full` and returns the window of that, as Pillow's `resize` then `crop` do.
pub(super) fn resample(
    canvas: &Canvas<'_>,
    columns: Window,
    rows: Window,
    filter: Resample,
) -> Rgb8 {
    let (x_taps, y_taps) = (
        taps(canvas.width, columns, filter),
        taps(canvas.height, rows, filter),
    );
    let stride = 3 * columns.len;
    // Only the rows that some output row needs and that hold a part of the picture are resized; all others are alike.
    let needed = needed(&y_taps, &canvas.picture_rows());
    let mut narrow = vec![0; stride * needed.len()]; // [needed, columns.len, 3]
    narrow
        .par_chunks_mut(stride)
        .zip(needed.clone())
        .for_each(|(out, y)| {
            if let Some(row) = canvas.picture_row(y) {
                resize_row(&row, &x_taps, out);
            }
        });
    let mut plain = vec![0; stride];
    resize_row(&canvas.plain_row(), &x_taps, &mut plain);
    let narrow_row = |y: usize| {
        let index = y.checked_sub(needed.start);
        index
            .and_then(|i| narrow.get(i * stride..(i + 1) * stride))
            .unwrap_or(&plain)
    };
    let mut pixels = vec![0; stride * rows.len];
    pixels
        .par_chunks_mut(stride)
        .zip(&y_taps)
        .for_each(|(out, tap)| mix_rows(tap, narrow_row, out));
    Rgb8 {
        width: columns.len,
        height: rows.len,
        pixels,
    }
}

/// The input rows that the taps reach, as far as they lie in `within`.
fn needed(taps: &[Tap], within: &Range<usize>) -> Range<usize> {
    let first = taps.iter().map(|tap| tap.first).min().unwrap_or(0);
    let end = taps
        .iter()
        .map(|tap| tap.first + tap.weights.len())
        .max()
        .unwrap_or(0);
    first.clamp(within.start, within.end)..end.clamp(within.start, within.end)
}

/// The inputs of one output sample: `weights` apply to the samples from `first` on, and never reach past the last.
struct Tap {
    first: usize,
    weights: Vec<i32>,
}

/// `precompute_coeffs` and `normalize_coeffs_8bpc` of Pillow, for the outputs in the window.
fn taps(input: usize, window: Window, filter: Resample) -> Vec<Tap> {
    let scale = input as f64 / window.full as f64;
    let filter_scale = scale.max(1.0);
    let support = filter.support() * filter_scale;
    let tap = |out: usize| {
        let center = (out as f64 + 0.5) * scale;
        // The casts truncate towards zero and saturate at zero, as the C code's casts and clamps do.
        let first = (center - support + 0.5) as usize;
        let end = ((center + support + 0.5) as usize).min(input);
        let weight = |x: usize| filter.weight((x as f64 - center + 0.5) * (1.0 / filter_scale));
        Tap {
            first,
            weights: fixed_point((first..end).map(weight).collect()),
        }
    };
    (window.start..window.start + window.len).map(tap).collect()
}

/// Scales weights to a sum of one and rounds them, halves away from zero.
fn fixed_point(weights: Vec<f64>) -> Vec<i32> {
    let sum: f64 = weights.iter().sum();
    let one = f64::from(1 << PRECISION_BITS);
    let round = |w: f64| (w * one + if w < 0.0 { -0.5 } else { 0.5 }) as i32;
    weights
        .into_iter()
        .map(|w| round(if sum == 0.0 { w } else { w / sum }))
        .collect()
}

impl Resample {
    /// How far the filter reaches from its centre, in samples of the smaller side.
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    /// The filter at a distance from its centre; the order of operations is Pillow's, since it decides the last bit.
    fn weight(self, distance: f64) -> f64 {
        const A: f64 = -0.5;
        let x = distance.abs();
        match self {
            Self::Bilinear => (1.0 - x).max(0.0),
            Self::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            Self::Bicubic => 0.0,
        }
    }
}

/// The horizontal pass over one row.
///
/// An i32 suffices: the weights of a tap sum to one and their magnitudes to less than 1.5, so that a sum stays below
/// 255 * 1.5 * 2^22 < 2^31.
fn resize_row(row: &[u8], taps: &[Tap], out: &mut [u8]) {
    for (tap, out) in taps.iter().zip(out.chunks_exact_mut(3)) {
        let pixels = row.chunks_exact(3).skip(tap.first);
        let sum = pixels
            .zip(&tap.weights)
            .fold([HALF; 3], |sum, (pixel, weight)| match *pixel {
                [r, g, b] => [
                    sum[0] + i32::from(r) * weight,
                    sum[1] + i32::from(g) * weight,
                    sum[2] + i32::from(b) * weight,
                ],
                _ => sum,
            });
        out.copy_from_slice(&sum.map(clip8));
    }
}

/// The vertical pass for one row of the result; `row` gives the rows of the horizontal pass.
fn mix_rows<'a>(tap: &Tap, row: impl Fn(usize) -> &'a [u8], out: &mut [u8]) {
    let mut sums = vec![HALF; out.len()];
    for (y, weight) in (tap.first..).zip(&tap.weights) {
        for (sum, level) in sums.iter_mut().zip(row(y)) {
            *sum += i32::from(*level) * weight;
        }
    }
    out.iter_mut()
        .zip(sums)
        .for_each(|(out, sum)| *out = clip8(sum));
}

/// Fixed point back to a level.
fn clip8(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}
