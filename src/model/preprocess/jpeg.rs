//! JPEG, level for level as libjpeg-turbo (and so Pillow) decodes it.
//!
//! The `image` crate's own decoder (zune-jpeg 0.5) is not used: against Pillow 13 it differs after
//! [`prepare`](super::prepare) by up to 11 grey levels, with as little as 64 % of the values equal (55 photographs
//! and 60 synthetic colour pictures, 4:4:4 to 4:2:0), and it fills what is missing from a truncated file with grey.
//! `jpeg-decoder` 0.3 differs by up to 4 levels before the resize. `libjpeg-turbo-rs` 0.9, without its SIMD code, is
//! equal in every value of all of them.

use image::metadata::Orientation;
use image::{DynamicImage, ImageFormat, RgbImage};
use libjpeg_turbo_rs::{Decoder, JpegError, PixelFormat};

use super::decode::{MAX_ALLOC, check_size, decode_as, one_line, orientation_of};
use super::{MAX_PIXELS, PictureError};

/// The most scans of a progressive file; real ones have about ten, and each costs time for the whole
/// picture.
const MAX_SCANS: u32 = 200;

/// Decodes a JPEG to RGB, not yet turned upright, and tells how it must be turned.
pub(super) fn decode(
    bytes: &[u8],
    name: &str,
) -> Result<(DynamicImage, Orientation), PictureError> {
    let failed = |e: JpegError| from_jpeg_error(&e, name);
    let broken = |detail: &str| PictureError::Broken {
        name: String::from(name),
        detail: String::from(detail),
    };
    let mut decoder = Decoder::new(bytes).map_err(failed)?;
    let (width, height) = (decoder.header().width, decoder.header().height);
    check_size(name, width.into(), height.into())?;
    if is_subsampled_cmyk(&decoder) {
        // That decoder fills what is missing with grey, so it must not be asked for a truncated file.
        if !runs_to_its_end(bytes) {
            return Err(broken("its end marker is missing"));
        }
        return decode_as(ImageFormat::Jpeg, bytes, name);
    }
    decoder.set_max_pixels(MAX_PIXELS);
    decoder.set_max_memory(usize::try_from(MAX_ALLOC).unwrap_or(usize::MAX));
    decoder.set_scan_limit(MAX_SCANS);
    decoder.set_output_format(PixelFormat::Rgb);
    let orientation = orientation_of(decoder.exif_data(), decoder.xmp_data());
    let pixels = decoder.decode_image().map_err(failed)?.data;
    let picture = RgbImage::from_raw(width.into(), height.into(), pixels)
        .ok_or_else(|| broken("its size is contradictory"))?;
    Ok((DynamicImage::ImageRgb8(picture), orientation))
}

/// Whether the picture has four channels of unequal resolution: version 0.9 of the decoder panics on
/// these (in `decode/color.rs`). They are rare, and the `image` crate's decoder comes close.
fn is_subsampled_cmyk(decoder: &Decoder<'_>) -> bool {
    let components = &decoder.header().components;
    let mut sampling = components
        .iter()
        .map(|c| (c.horizontal_sampling, c.vertical_sampling));
    let first = sampling.next();
    components.len() == 4 && sampling.any(|x| Some(x) != first)
}

/// Whether the first picture in the file goes on to its end marker.
///
/// In compressed data 0xFF is always followed by 0 or by a restart marker, so the search from the end
/// of one segment finds the true start of the next.
fn runs_to_its_end(bytes: &[u8]) -> bool {
    let is_marker = |pair: &[u8]| matches!(*pair, [0xFF, 0x02..=0xCF | 0xD8..=0xFE]);
    let mut rest = bytes.get(2..).unwrap_or_default();
    loop {
        let Some(at) = rest.windows(2).position(is_marker) else {
            return false;
        };
        rest = rest.get(at + 1..).unwrap_or_default();
        match *rest {
            [0xD9, ..] => return true,
            [_, high, low, ..] => {
                let length = usize::from(u16::from_be_bytes([high, low]));
                rest = rest.get(1 + length..).unwrap_or_default();
            }
            _ => return false,
        }
    }
}

/// An error of the decoder in our words.
fn from_jpeg_error(error: &JpegError, name: &str) -> PictureError {
    let (name, detail) = (String::from(name), one_line(error));
    match error {
        JpegError::Unsupported(_) => PictureError::Unsupported { name, detail },
        _ => PictureError::Broken { name, detail },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_thumbnail_is_not_the_end_of_the_picture() {
        let thumbnail = [0xFF, 0xE1, 0, 6, 0xFF, 0xD9, 1, 2];
        let scan = [0xFF, 0xDA, 0, 2, 1, 0xFF, 0, 0xFF, 0xD0, 7];
        let cut = [&[0xFF, 0xD8][..], &thumbnail, &scan].concat();
        assert!(!runs_to_its_end(&cut));
        assert!(runs_to_its_end(&[&cut[..], &[0xFF, 0xD9]].concat()));
        assert!(runs_to_its_end(
            &[&cut[..], &[0xFF, 0xD9, 1, 2, 3]].concat()
        ));
        assert!(!runs_to_its_end(&[0xFF]) && !runs_to_its_end(&[0xFF, 0xD8, 0xFF, 0xE0, 0]));
    }
}
