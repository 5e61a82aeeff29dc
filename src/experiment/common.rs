//! What all experiments over objects share: their settings, and an object on the picture as the model sees it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::data::{Filter, Item, Shard};
use crate::engine::study::Study;
use crate::error::{Error, Result};
use crate::files;
use crate::index::{PatchSet, choose};
use crate::model::preprocess::PreparedPicture;
use crate::spec::Crop;

/// Bytes of a file of a mean at most.
const MAX_MEAN: u64 = 1 << 30;

/// Settings that every experiment over objects has; they stand in the first line of its rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Common {
    pub model: String,
    pub coco: String,
    pub images: String,
    pub crop: Crop,
    pub filter: Filter,
    /// Leave out objects that the model names when their pixels are noise, or does not name at all.
    pub gate: bool,
    pub seed: u64,
}

/// How the rows are computed, as far as it changes their numbers; stands among the settings of the first line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Computed {
    /// Types of the activations and of the maps.
    pub dtype: String,
    /// The vision file, where it is not the one beside the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mmproj: Option<String>,
    /// CRC-32 of the file of the mean, in hexadecimal digits.
    #[serde(rename = "mean_of_crc32", skip_serializing_if = "Option::is_none")]
    pub mean_of: Option<String>,
}

impl Computed {
    /// What tells a file from another one of its name.
    ///
    /// # Errors
    /// A file that is missing or cannot be read.
    pub fn of_file(path: &Path) -> Result<String> {
        let bytes = files::read_bytes(path, MAX_MEAN)?;
        Ok(format!("{:08x}", crc32fast::hash(&bytes)))
    }
}

/// The first line of a file of rows; `n` is how many objects all shards together have.
///
/// # Errors
/// Settings that JSON cannot hold.
pub fn header<S: Serialize>(
    experiment: &str,
    (settings, computed): (&S, &Computed),
    (shard, n): (Shard, usize),
) -> Result<serde_json::Value> {
    let mut settings = serde_json::to_value(settings).map_err(Error::internal)?;
    let computed = serde_json::to_value(computed).map_err(Error::internal)?;
    if let (Some(settings), serde_json::Value::Object(computed)) =
        (settings.as_object_mut(), computed)
    {
        settings.extend(computed);
    }
    Ok(serde_json::json!({
        "patchglass": "experiment", "version": 1, "experiment": experiment, "shard": shard.to_string(), "objects": n,
        "settings": settings,
    }))
}

/// What a row says of its object, whatever the experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct About {
    pub file: String,
    pub image_id: u64,
    pub annotation: u64,
    pub word: String,
    /// Pixels of the original picture.
    pub area: f64,
    /// The patches that the object overlaps, in the session file's words.
    pub patches: PatchSet,
    /// Why the object was left out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub skipped: Option<String>,
}

/// An object on the picture as the model sees it.
pub struct Subject {
    pub about: About,
    pub prepared: PreparedPicture,
}

impl Subject {
    /// Reads the picture and finds the object's patches on what is seen of it.
    ///
    /// # Errors
    /// A picture that is missing or has another size than the COCO file says; an outline that cannot be read.
    pub fn of(study: &Study, item: &Item, crop: Crop) -> Result<Self> {
        let prepared = study.picture(&item.path, crop)?;
        let size = (item.image.width, item.image.height);
        if prepared.original_size != size {
            return Err(Error::input(format!(
                "{} has {}x{} pixels, but the COCO file says {}x{}: they must be the same pictures",
                item.path.display(),
                prepared.original_size.0,
                prepared.original_size.1,
                size.0,
                size.1
            )));
        }
        let patches = item
            .mask()?
            .patches(prepared.seen_in_original, study.facts().grid);
        let skipped = patches.is_empty().then(|| "none of it is seen".to_owned());
        let about = About {
            file: item.image.file_name.clone(),
            image_id: item.image.id,
            annotation: item.annotation.id,
            word: item.word.clone(),
            area: item.annotation.area,
            patches,
            skipped,
        };
        Ok(Self { about, prepared })
    }

    /// The object's patches and `rings` rings of neighbours around them.
    pub fn grown(&self, study: &Study, rings: usize) -> PatchSet {
        let grid = study.facts().grid;
        (0..rings).fold(self.about.patches.clone(), |set, _| {
            choose::grow(&set, grid)
        })
    }

    /// A seed of this object's own.
    pub fn seed(&self, seed: u64, n: usize) -> u64 {
        let mix = |a: u64, b: u64| (a ^ b).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
        mix(
            mix(mix(seed, self.about.image_id), self.about.annotation),
            n as u64,
        )
    }
}
