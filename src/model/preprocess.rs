//! Turns a picture file into what the vision encoder sees, exactly as Pillow and `CLIPImageProcessor` do.
//!
//! Three steps: [`read`] or [`decode`] gives 8-bit RGB as a person sees it; [`prepare`] resizes and crops (or pads)
//! it to the model's square; its `pixel_values` are normalised per channel. The result equals Pillow's bit for bit,
//! but for 16-bit grey (see `preprocess/decode.rs`) and the rare CMYK JPEG with subsampled channels (see
//! `preprocess/jpeg.rs`; within 2 grey levels). There are no tensors, no devices and no patches here: the model's
//! code turns `pixel_values` into a tensor.

mod config;
mod decode;
mod error;
mod jpeg;
mod resample;

pub use config::{PictureConfig, Resample};
pub use decode::{MAX_ASPECT_RATIO, MAX_PIXELS, MIN_SIDE, decode, read};
pub use error::PictureError;

use resample::{Axis, resample};

/// How a picture that is not square becomes one. Names and meaning are those of the session file's `crop`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CropMode {
    /// The shortest edge is resized to the model's size and the middle is kept: what lies outside is not seen.
    #[default]
    Center,
    /// The picture is centred on a square of the mean colour, which is then resized: everything is seen, smaller.
    Pad,
}

/// A picture of 8 bits a channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rgb8 {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `[height, width, 3]`, row-major, red first: `3 * width * height` bytes.
    pub pixels: Vec<u8>,
}

/// The rectangle of the original picture (upright, see [`decode`]) that the model sees, in original pixels.
///
/// With [`CropMode::Pad`] it is larger than the picture, so `left` or `top` is negative.
/// `width` and `height` are equal up to less than one pixel: Pillow rounds the resized long edge down.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SeenRect {
    /// From the left edge of the original to the left edge of what is seen.
    pub left: f64,
    /// From the top edge of the original to the top edge of what is seen.
    pub top: f64,
    /// How many original columns are seen.
    pub width: f64,
    /// How many original rows are seen.
    pub height: f64,
}

impl SeenRect {
    /// All of a picture of that size.
    pub const fn whole(width: usize, height: usize) -> Self {
        Self {
            left: 0.0,
            top: 0.0,
            width: width as f64,
            height: height as f64,
        }
    }

    /// The same part of the picture at another size.
    #[must_use]
    pub fn scaled(self, x: f64, y: f64) -> Self {
        Self {
            left: self.left * x,
            top: self.top * y,
            width: self.width * x,
            height: self.height * y,
        }
    }
}

/// What the model sees of a picture, and where that lies in the original.
#[derive(Clone, PartialEq, Debug)]
pub struct PreparedPicture {
    /// The square of `size` x `size` px that the model sees, before normalisation.
    pub seen: Rgb8,
    /// `[3, size, size]`: `(seen * rescale_factor - mean) / std` in f32.
    pub pixel_values: Vec<f32>,
    /// Width and height of the upright original, in pixels.
    pub original_size: (usize, usize),
    /// Which part of the original `seen` shows.
    pub seen_in_original: SeenRect,
}

/// Resizes, crops or pads, and normalises a picture for a model.
///
/// # Errors
/// [`PictureError::WrongBuffer`] if `picture.pixels` is not `3 * width * height` bytes, [`PictureError::TooSmall`],
/// [`PictureError::TooManyPixels`] and [`PictureError::TooThin`] for the limits that [`decode`] also checks.
pub fn prepare(
    picture: &Rgb8,
    config: &PictureConfig,
    mode: CropMode,
) -> Result<PreparedPicture, PictureError> {
    decode::check_buffer(picture)?;
    decode::check_size("(in memory)", picture.width, picture.height)?;
    let (seen, seen_in_original) = match mode {
        CropMode::Center => crop_to_center(picture, config),
        CropMode::Pad => pad_to_square(picture, config),
    };
    let pixel_values = pixel_values(&seen, config);
    let original_size = (picture.width, picture.height);
    Ok(PreparedPicture {
        seen,
        pixel_values,
        original_size,
        seen_in_original,
    })
}

/// Resizes the shortest edge to the model's size and keeps the middle.
fn crop_to_center(picture: &Rgb8, config: &PictureConfig) -> (Rgb8, SeenRect) {
    let (size, short) = (config.size, picture.width.min(picture.height));
    let axis = |picture: usize| {
        let full = size * picture / short;
        Axis {
            picture,
            canvas: picture,
            offset: 0,
            full,
            start: (full - size) / 2,
            len: size,
        }
    };
    let (columns, rows) = (axis(picture.width), axis(picture.height));
    let seen = resample(picture, columns, rows, [0; 3], config.resample);
    (seen, seen_rect(columns, rows))
}

/// Puts the picture in the middle of a square of the mean colour and resizes that.
fn pad_to_square(picture: &Rgb8, config: &PictureConfig) -> (Rgb8, SeenRect) {
    let (size, side) = (config.size, picture.width.max(picture.height));
    let axis = |picture: usize| Axis {
        picture,
        canvas: side,
        offset: (side - picture) / 2,
        full: size,
        start: 0,
        len: size,
    };
    let (columns, rows) = (axis(picture.width), axis(picture.height));
    let seen = resample(picture, columns, rows, config.pad_colour, config.resample);
    (seen, seen_rect(columns, rows))
}

/// The window of both axes in original pixels.
fn seen_rect(columns: Axis, rows: Axis) -> SeenRect {
    let span = |axis: Axis| {
        let scale = axis.canvas as f64 / axis.full as f64;
        (
            axis.start as f64 * scale - axis.offset as f64,
            axis.len as f64 * scale,
        )
    };
    let ((left, width), (top, height)) = (span(columns), span(rows));
    SeenRect {
        left,
        top,
        width,
        height,
    }
}

/// What the model is given of a picture of its size: `[height, width, 3]` bytes to `[3, height, width]` floats.
///
/// The product with `rescale_factor` is taken in f64 and rounded to f32 once, as `CLIPImageProcessor` does; for 1/255
/// this equals `x / 255` in f32 for all 256 levels (a test checks it). The rest is f32, as in numpy.
pub fn pixel_values(picture: &Rgb8, config: &PictureConfig) -> Vec<f32> {
    let mut values = Vec::with_capacity(picture.pixels.len());
    for (channel, (mean, std)) in config.mean.iter().zip(config.std).enumerate() {
        let level = |x: u8| ((f64::from(x) * config.rescale_factor) as f32 - mean) / std;
        values.extend(
            picture
                .pixels
                .iter()
                .skip(channel)
                .step_by(3)
                .map(|x| level(*x)),
        );
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(width: usize, height: usize) -> Rgb8 {
        Rgb8 {
            width,
            height,
            pixels: vec![100; 3 * width * height],
        }
    }

    #[test]
    fn rescaling_equals_division_by_255_for_every_level() {
        let config = PictureConfig {
            mean: [0.0; 3],
            std: [1.0; 3],
            ..PictureConfig::default()
        };
        let levels = Rgb8 {
            width: 256,
            height: 1,
            pixels: (0..=255).flat_map(|x| [x; 3]).collect(),
        };
        let want: Vec<f32> = (0..3)
            .flat_map(|_| (0..=255u8).map(|x| f32::from(x) / 255.0))
            .collect();
        assert_eq!(pixel_values(&levels, &config), want);
    }

    #[test]
    fn the_seen_rectangle_lies_where_the_crop_was_taken() {
        let config = PictureConfig {
            size: 100,
            ..PictureConfig::default()
        };
        let seen = prepare(&grey(400, 200), &config, CropMode::Center)
            .unwrap()
            .seen_in_original;
        assert_eq!(
            seen,
            SeenRect {
                left: 100.0,
                top: 0.0,
                width: 200.0,
                height: 200.0
            }
        );
        let seen = prepare(&grey(400, 200), &config, CropMode::Pad)
            .unwrap()
            .seen_in_original;
        assert_eq!(
            seen,
            SeenRect {
                left: 0.0,
                top: -100.0,
                width: 400.0,
                height: 400.0
            }
        );
    }

    #[test]
    fn a_buffer_of_the_wrong_length_is_an_error() {
        let picture = Rgb8 {
            width: 10,
            height: 10,
            pixels: vec![0; 299],
        };
        let error = prepare(&picture, &PictureConfig::default(), CropMode::Center).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a picture of 10x10 px needs 300 bytes of RGB, but has 299"
        );
    }

    #[test]
    fn the_thinnest_and_the_smallest_allowed_pictures_work_in_both_modes() {
        let config = PictureConfig {
            size: 56,
            ..PictureConfig::default()
        };
        for (width, height) in [(2, 2), (2, 400), (400, 2), (3, 2)] {
            for mode in [CropMode::Center, CropMode::Pad] {
                let prepared = prepare(&grey(width, height), &config, mode).unwrap();
                assert_eq!(prepared.pixel_values.len(), 3 * 56 * 56);
                assert!(mode == CropMode::Pad || prepared.seen == grey(56, 56));
            }
        }
    }
}
