//! All levels of the view as an animated GIF, from the embeddings to the output, again and again.

use std::time::Duration;

use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, DynamicImage, Frame};

use super::complete;
use super::picture::{View, draw};
use crate::engine::trace::Trace;
use crate::error::{Error, Result};

/// How long a level stays, and the last one, in milliseconds.
const STAY: u64 = 600;
const STAY_AT_END: u64 = 1800;
/// Of the choice of 256 colours: 1 is the finest, 30 the fastest.
const SPEED: i32 = 20;

/// The animation; `view` gives what each level shows.
///
/// # Errors
/// A trace that is not complete; a scale beyond 1 to 4.
pub fn levels(trace: &Trace, scale: usize, view: impl Fn(usize) -> View) -> Result<Vec<u8>> {
    complete(trace)?;
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new_with_speed(&mut bytes, SPEED);
    encoder
        .set_repeat(Repeat::Infinite)
        .map_err(Error::internal)?;
    let last = trace.model.n_layers;
    for level in 0..=last {
        let image = DynamicImage::ImageRgb8(draw(trace, &view(level), scale)?).into_rgba8();
        let stay = if level == last { STAY_AT_END } else { STAY };
        let delay = Delay::from_saturating_duration(Duration::from_millis(stay));
        encoder
            .encode_frame(Frame::from_parts(image, 0, 0, delay))
            .map_err(Error::internal)?;
    }
    drop(encoder);
    Ok(bytes)
}
