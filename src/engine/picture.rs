//! Pictures on their way into the model: read, prepared, encoded, and kept as long as their file stays the same.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use crate::tensor::Tensor;

use super::trace::SeenPicture;
use crate::demo;
use crate::error::Result;
use crate::model::Llava;
use crate::model::preprocess::{self, CropMode, PreparedPicture};
use crate::spec::{Crop, PictureSource};

/// A picture as the model sees it, for as long as its file stays the same.
#[derive(Clone)]
pub(super) struct EncodedPicture {
    pub key: PictureKey,
    pub seen: Arc<SeenPicture>,
    pub pixel_values: Arc<Vec<f32>>,
    pub visual: Tensor, // [visual tokens, d_model]
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct PictureKey {
    source: PictureSource,
    crop: Crop,
    stamp: Option<FileStamp>,
}

/// Tells a file from a later one of the same name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FileStamp {
    pub modified: Option<SystemTime>,
    len: u64,
}

impl FileStamp {
    pub fn of(path: &Path) -> Option<Self> {
        let meta = std::fs::metadata(path).ok()?;
        Some(Self {
            modified: meta.modified().ok(),
            len: meta.len(),
        })
    }
}

impl PictureKey {
    pub fn of(source: &PictureSource, crop: Crop) -> Self {
        let stamp = match source {
            PictureSource::Demo => None,
            PictureSource::File(path) => FileStamp::of(path),
        };
        Self {
            source: source.clone(),
            crop,
            stamp,
        }
    }
}

/// Reads a picture and makes it what the model sees; gives its file name with it.
///
/// # Errors
/// A file that is missing, no picture, or beyond the limits.
pub(super) fn prepare(
    model: &Llava,
    source: &PictureSource,
    crop: Crop,
) -> Result<(String, PreparedPicture)> {
    let (name, picture) = match source {
        PictureSource::Demo => (
            demo::PICTURE_NAME.to_owned(),
            preprocess::decode(demo::PICTURE, demo::PICTURE_NAME)?,
        ),
        PictureSource::File(path) => {
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
            (name.unwrap_or_default(), preprocess::read(path)?)
        }
    };
    let mode = match crop {
        Crop::Center => CropMode::Center,
        Crop::Pad => CropMode::Pad,
    };
    Ok((
        name,
        preprocess::prepare(&picture, &model.picture_config, mode)?,
    ))
}

impl EncodedPicture {
    /// Runs the vision tower and the projector. `revision` is for views that upload the picture.
    ///
    /// # Errors
    /// A failing device.
    pub fn new(
        model: &Llava,
        key: PictureKey,
        name: String,
        prepared: PreparedPicture,
        revision: u64,
    ) -> Result<Self> {
        let visual = model.encode(&prepared.pixel_values)?;
        let seen = SeenPicture {
            revision,
            name,
            size: prepared.seen.width,
            rgb: prepared.seen.pixels,
            original_size: prepared.original_size,
            seen_in_original: prepared.seen_in_original,
        };
        let pixel_values = Arc::new(prepared.pixel_values);
        Ok(Self {
            key,
            seen: Arc::new(seen),
            pixel_values,
            visual,
        })
    }
}
