//! JPEG, for the moment with the `image` crate's decoder (the exact one waits for its dependency).

use image::metadata::Orientation;
use image::{DynamicImage, ImageFormat};

use super::PictureError;
use super::decode::decode_as;

/// Decodes a JPEG to RGB, not yet turned upright, and tells how it must be turned.
pub(super) fn decode(
    bytes: &[u8],
    name: &str,
) -> Result<(DynamicImage, Orientation), PictureError> {
    decode_as(ImageFormat::Jpeg, bytes, name)
}
