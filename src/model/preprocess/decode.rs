//! From the bytes of a PNG, JPEG, WebP or BMP file to upright 8-bit RGB, under limits.
//!
//! Colour profiles and gamma chunks are not applied and alpha is dropped, as Pillow's `convert("RGB")` does. Of
//! 16-bit channels the high byte is kept. Pillow does so for colour, but clips 16-bit *grey* at 255, which turns
//! nearly all of such a picture white; here grey is treated like colour.

use std::io::Cursor;
use std::panic::catch_unwind;
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::{PictureError, Rgb8, jpeg};

/// The most pixels a picture may have: where Pillow too refuses (twice its `MAX_IMAGE_PIXELS`).
pub const MAX_PIXELS: usize = 178_956_970;

/// The shortest side that is a picture, in pixels.
pub const MIN_SIDE: usize = 2;

/// The longest that a long side may be, in short sides.
pub const MAX_ASPECT_RATIO: usize = 200;

/// The most bytes a decoder may ask for: [`MAX_PIXELS`] of 16-bit RGBA, and some for itself.
pub(super) const MAX_ALLOC: u64 = 8 * MAX_PIXELS as u64 + (64 << 20);

/// The longest file that is read: an uncompressed 32-bit BMP of [`MAX_PIXELS`] fits.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Reads and decodes a picture file; see [`decode`].
///
/// # Errors
/// [`PictureError::Missing`], [`PictureError::Unreadable`], [`PictureError::NotAFile`] and [`PictureError::FileTooLarge`] for the path,
/// else those of [`decode`].
pub fn read(path: &Path) -> Result<Rgb8, PictureError> {
    let name = path.display().to_string();
    let unreadable = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => PictureError::Missing { name: name.clone() },
        _ => PictureError::Unreadable {
            name: name.clone(),
            detail: one_line(&e),
        },
    };
    // The kind is checked before opening, since opening a pipe would wait for its writer.
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        let found = if metadata.is_dir() {
            "a folder"
        } else {
            "not a file"
        };
        return Err(PictureError::NotAFile { name, found });
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(PictureError::FileTooLarge {
            name,
            bytes: metadata.len(),
            limit: MAX_FILE_BYTES,
        });
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    decode(&bytes, &name)
}

/// Decodes the bytes of a PNG, JPEG, WebP or BMP file; the format is known by its first bytes, `name` is only for
/// messages.
///
/// The result is upright (the EXIF orientation is applied, or that of XMP where EXIF has none), opaque, and `[height,
/// width, 3]`. Of an animation it is the first frame. The size is checked in the header, before memory is taken for
/// the pixels.
///
/// # Errors
/// Every variant of [`PictureError`] but those for paths and for the configuration.
pub fn decode(bytes: &[u8], name: &str) -> Result<Rgb8, PictureError> {
    if bytes.is_empty() {
        return Err(PictureError::Empty {
            name: String::from(name),
        });
    }
    let format = known_format(bytes, name)?;
    let broken = |_| PictureError::Broken {
        name: String::from(name),
        detail: String::from("its decoder gave up"),
    };
    // The decoders have panicked on damaged files before, which must not end the program.
    let decoded = catch_unwind(|| {
        if format == ImageFormat::Jpeg {
            jpeg::decode(bytes, name)
        } else {
            decode_as(format, bytes, name)
        }
    });
    let (mut picture, orientation) = decoded.unwrap_or_else(|e| Err(broken(e)))?;
    picture.apply_orientation(orientation);
    Ok(into_rgb8(picture))
}

/// Decodes any format but JPEG, not yet turned upright, and tells how it must be turned.
pub(super) fn decode_as(
    format: ImageFormat,
    bytes: &[u8],
    name: &str,
) -> Result<(DynamicImage, Orientation), PictureError> {
    let failed = |e: ImageError| from_image_error(&e, name);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_ALLOC);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(failed)?;
    let (width, height) = decoder.dimensions();
    check_size(name, width as usize, height as usize)?;
    // Metadata that cannot be read is taken to say nothing, as Pillow does.
    let exif = decoder.exif_metadata().ok().flatten();
    let xmp = decoder.xmp_metadata().ok().flatten();
    let orientation = orientation_of(exif.as_deref(), xmp.as_deref());
    Ok((
        DynamicImage::from_decoder(decoder).map_err(failed)?,
        orientation,
    ))
}

/// Checks the limits on a picture's sides.
pub(super) fn check_size(name: &str, width: usize, height: usize) -> Result<(), PictureError> {
    let name = || String::from(name);
    if width.saturating_mul(height) > MAX_PIXELS {
        return Err(PictureError::TooManyPixels {
            name: name(),
            width,
            height,
        });
    }
    if width.min(height) < MIN_SIDE {
        return Err(PictureError::TooSmall {
            name: name(),
            width,
            height,
        });
    }
    if width.max(height) > MAX_ASPECT_RATIO * width.min(height) {
        return Err(PictureError::TooThin {
            name: name(),
            width,
            height,
        });
    }
    Ok(())
}

/// Checks that a picture has as many bytes as its size says.
pub(super) fn check_buffer(picture: &Rgb8) -> Result<(), PictureError> {
    let Rgb8 {
        width,
        height,
        ref pixels,
    } = *picture;
    match width.checked_mul(height).and_then(|n| n.checked_mul(3)) == Some(pixels.len()) {
        true => Ok(()),
        false => Err(PictureError::WrongBuffer {
            width,
            height,
            bytes: pixels.len(),
        }),
    }
}

/// The format by the first bytes, if it is one of the four.
fn known_format(bytes: &[u8], name: &str) -> Result<ImageFormat, PictureError> {
    let found = match image::guess_format(bytes) {
        Ok(
            format @ (ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::WebP | ImageFormat::Bmp),
        ) => return Ok(format),
        Ok(other) => format!("in the format {other:?}, which is not supported"),
        Err(_) => String::from("in no known picture format"),
    };
    Err(PictureError::UnknownFormat {
        name: String::from(name),
        found,
    })
}

/// An error of the decoders in our words.
fn from_image_error(error: &ImageError, name: &str) -> PictureError {
    let (name, detail) = (String::from(name), one_line(error));
    match error {
        ImageError::Limits(_) => PictureError::TooMuchMemory { name },
        ImageError::Unsupported(_) => PictureError::Unsupported { name, detail },
        _ => PictureError::Broken { name, detail },
    }
}

/// A message without line breaks or trailing stops, so that it fits into a sentence.
pub(super) fn one_line(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    let words: Vec<&str> = text.split_whitespace().collect();
    String::from(words.join(" ").trim_end_matches('.'))
}

/// How a picture must be turned to be upright: as EXIF says, or else XMP, or else not at all.
pub(super) fn orientation_of(exif: Option<&[u8]>, xmp: Option<&[u8]>) -> Orientation {
    let exif = exif.map(|x| x.strip_prefix(b"Exif\0\0").unwrap_or(x));
    let from_exif = exif.and_then(Orientation::from_exif_chunk);
    from_exif
        .or_else(|| xmp.and_then(xmp_orientation))
        .unwrap_or(Orientation::NoTransforms)
}

/// The digit after `tiff:Orientation`, in either of the forms that Pillow looks for.
fn xmp_orientation(xmp: &[u8]) -> Option<Orientation> {
    const KEY: &[u8] = b"tiff:Orientation";
    let tails = (0..xmp.len()).filter_map(|at| xmp.get(at..)?.strip_prefix(KEY));
    let mut values = tails.filter_map(|tail| {
        tail.strip_prefix(b"=\"")
            .or_else(|| tail.strip_prefix(b">"))
    });
    let digit = values.find_map(|value| value.first().filter(|x| x.is_ascii_digit()))?;
    Orientation::from_exif(digit - b'0')
}

/// Opaque 8-bit RGB of whatever the decoder gave.
fn into_rgb8(picture: DynamicImage) -> Rgb8 {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let high_byte = |x: u16| x.to_be_bytes()[0];
    let pixels = match picture {
        DynamicImage::ImageRgb8(x) => x.into_raw(),
        DynamicImage::ImageLuma8(x) => opaque_rgb(&x, 1, |x| x),
        DynamicImage::ImageLumaA8(x) => opaque_rgb(&x, 2, |x| x),
        DynamicImage::ImageRgba8(x) => opaque_rgb(&x, 4, |x| x),
        DynamicImage::ImageLuma16(x) => opaque_rgb(&x, 1, high_byte),
        DynamicImage::ImageLumaA16(x) => opaque_rgb(&x, 2, high_byte),
        DynamicImage::ImageRgb16(x) => opaque_rgb(&x, 3, high_byte),
        DynamicImage::ImageRgba16(x) => opaque_rgb(&x, 4, high_byte),
        // None of the four formats holds floats.
        other => other.into_rgb8().into_raw(),
    };
    Rgb8 {
        width,
        height,
        pixels,
    }
}

/// Grey (one or two channels) is repeated; a second or fourth channel is alpha and dropped.
fn opaque_rgb<T: Copy>(samples: &[T], channels: usize, byte: impl Fn(T) -> u8) -> Vec<u8> {
    let rgb = |pixel: &[T]| match *pixel {
        [r, g, b] | [r, g, b, _] => [byte(r), byte(g), byte(b)],
        [grey] | [grey, _] => [byte(grey); 3],
        _ => [0; 3],
    };
    samples.chunks_exact(channels).flat_map(rgb).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xmp_gives_the_orientation_in_both_forms() {
        assert_eq!(
            xmp_orientation(b"<x tiff:Orientation=\"6\"/>"),
            Orientation::from_exif(6)
        );
        assert_eq!(
            xmp_orientation(b"<tiff:Orientation>8</tiff:Orientation>"),
            Orientation::from_exif(8)
        );
        assert_eq!(xmp_orientation(b"tiff:Orientation"), None);
        assert_eq!(xmp_orientation(b""), None);
    }
}
