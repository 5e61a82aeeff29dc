//! What can be wrong with a picture or with `preprocessor_config.json`, each told in one sentence for the person who
//! gave it.
//!
//! Nothing is recovered here.

use super::decode::{MAX_ASPECT_RATIO, MAX_PIXELS, MIN_SIDE};

/// Why a picture cannot be used. `Display` is one sentence that names the file and says what would be right.
///
/// In the fields, `name` and `file` are the file as it was given, sides are in pixels, and `detail` is what the system
/// or the decoder said, on one line.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum PictureError {
    /// The operating system would not give the file's bytes.
    #[error(
        "picture {name:?} cannot be read ({detail}): give the path of a PNG, JPEG, WebP or BMP file"
    )]
    Unreadable { name: String, detail: String },
    /// There is nothing at the path.
    #[error("picture {name:?} does not exist: check the path")]
    Missing { name: String },
    /// The path is a folder or another thing that is not a file.
    #[error("picture {name:?} is {found}: give the path of a PNG, JPEG, WebP or BMP file")]
    NotAFile { name: String, found: &'static str },
    /// The file has more bytes than any picture within the limits needs.
    #[error(
        "picture {name:?} has {bytes} bytes; the limit is {limit}: save it as PNG or JPEG, or scale it down first"
    )]
    FileTooLarge {
        name: String,
        bytes: u64,
        limit: u64,
    },
    /// The file has no bytes.
    #[error("picture {name:?} is empty (0 bytes): give a PNG, JPEG, WebP or BMP file")]
    Empty { name: String },
    /// The first bytes are not those of a format that is read here.
    #[error("picture {name:?} is {found}: convert it to PNG, JPEG, WebP or BMP first")]
    UnknownFormat { name: String, found: String },
    /// The bytes stop early or contradict themselves.
    #[error("picture {name:?} is damaged or cut short ({detail}): save or download it again")]
    Broken { name: String, detail: String },
    /// The file is sound but uses a part of its format that is not read here.
    #[error(
        "picture {name:?} uses a kind of its format that is not supported ({detail}): convert it to 8-bit RGB PNG first"
    )]
    Unsupported { name: String, detail: String },
    /// More pixels than Pillow opens either.
    #[error(
        "picture {name:?} is {width}x{height} px ({} megapixels); the limit is {} megapixels: scale it down first",
        *width as u128 * *height as u128 / 1_000_000,
        MAX_PIXELS / 1_000_000
    )]
    TooManyPixels {
        name: String,
        width: usize,
        height: usize,
    },
    /// The decoder would need more memory than any picture within the limits.
    #[error(
        "picture {name:?} asks for more memory than a picture of {} megapixels needs: scale it down first",
        MAX_PIXELS / 1_000_000
    )]
    TooMuchMemory { name: String },
    /// A side is shorter than [`MIN_SIDE`].
    #[error(
        "picture {name:?} is too small ({width}x{height} px): each side must be at least {MIN_SIDE} px"
    )]
    TooSmall {
        name: String,
        width: usize,
        height: usize,
    },
    /// One side is more than [`MAX_ASPECT_RATIO`] times the other.
    #[error(
        "picture {name:?} is {width}x{height} px; its long side may be at most {MAX_ASPECT_RATIO} times its short side: crop it first"
    )]
    TooThin {
        name: String,
        width: usize,
        height: usize,
    },
    /// An [`Rgb8`](super::Rgb8) whose buffer does not fit its size.
    #[error("a picture of {width}x{height} px needs {} bytes of RGB, but has {bytes}", *width as u128 * *height as u128 * 3)]
    WrongBuffer {
        width: usize,
        height: usize,
        bytes: usize,
    },
    /// The configuration file is not JSON.
    #[error(
        "{file:?} is not a JSON object ({detail}): it must be the preprocessor_config.json of a CLIP image processor"
    )]
    NotJson { file: String, detail: String },
    /// A field of the configuration has a value that cannot be followed.
    #[error("{file:?}: field {field:?} is {found}; it must be {wanted}")]
    Field {
        file: String,
        field: &'static str,
        found: String,
        wanted: String,
    },
}
