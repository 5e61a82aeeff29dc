//! Instance files in COCO's form: pictures, categories, one annotation an object.
//!
//! Fields that are not needed are left alone: COCO's files have many, and so have those made after its example.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

use super::{Mask, Polygon, Rle};
use crate::error::{Error, Result};
use crate::files;

/// COCO's own training file has 450 MB.
const MAX_BYTES: u64 = 4 << 30;

/// A whole file.
#[derive(Clone, Debug, Deserialize)]
pub struct Coco {
    pub images: Vec<CocoImage>,
    pub annotations: Vec<Annotation>,
    pub categories: Vec<CocoCategory>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct CocoImage {
    pub id: u64,
    pub file_name: String,
    /// In pixels, as stored.
    pub width: usize,
    pub height: usize,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct CocoCategory {
    pub id: u64,
    pub name: String,
    #[serde(default)]
    pub supercategory: String,
}

/// One object, or a crowd.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Annotation {
    pub id: u64,
    pub image_id: u64,
    pub category_id: u64,
    pub segmentation: Segmentation,
    /// In pixels of the original picture.
    pub area: f64,
    #[serde(default)]
    pub iscrowd: u8,
}

/// The outline in any of COCO's three forms.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Segmentation {
    /// Flat lists `x0, y0, x1, y1, …`.
    Polygons(Vec<Vec<f64>>),
    RunLengths {
        size: [usize; 2],
        counts: Counts,
    },
}

/// Run lengths as numbers or as COCO's compressed text.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Counts {
    Plain(Vec<usize>),
    Compressed(String),
}

impl Coco {
    /// Reads a file and checks that its parts name each other.
    ///
    /// # Errors
    /// A file that is missing or of another form; an annotation of a picture or category that is not in it.
    pub fn read(path: &Path) -> Result<Self> {
        let text = files::read_text(path, MAX_BYTES)?;
        Self::from_json(&text, &path.display().to_string())
    }

    /// The same from text; `name` is how messages call it.
    ///
    /// # Errors
    /// As [`Coco::read`].
    pub fn from_json(text: &str, name: &str) -> Result<Self> {
        let mut json = serde_json::Deserializer::from_str(text);
        let coco: Self = serde_path_to_error::deserialize(&mut json).map_err(|e| {
            Error::input(format!(
                "{name} is not an instance file in COCO's form: {e}; images, annotations and categories are needed"
            ))
        })?;
        let images: BTreeSet<u64> = coco.images.iter().map(|image| image.id).collect();
        let categories: BTreeSet<u64> = coco.categories.iter().map(|c| c.id).collect();
        for annotation in &coco.annotations {
            let missing = match annotation {
                a if !images.contains(&a.image_id) => format!("image_id {}", a.image_id),
                a if !categories.contains(&a.category_id) => {
                    format!("category_id {}", a.category_id)
                }
                _ => continue,
            };
            return Err(Error::input(format!(
                "{name}: annotation {} has {missing}, which is not in the file",
                annotation.id
            )));
        }
        Ok(coco)
    }

    /// The annotations of every picture, in the file's order.
    pub fn by_image(&self) -> BTreeMap<u64, Vec<&Annotation>> {
        let mut by_image: BTreeMap<u64, Vec<&Annotation>> = BTreeMap::new();
        for annotation in &self.annotations {
            by_image
                .entry(annotation.image_id)
                .or_default()
                .push(annotation);
        }
        by_image
    }

    /// A category by its id.
    pub fn category(&self, id: u64) -> Option<&CocoCategory> {
        self.categories.iter().find(|category| category.id == id)
    }
}

impl Annotation {
    /// The outline as a shape.
    ///
    /// # Errors
    /// An outline that cannot be read, by the annotation's id.
    pub fn mask(&self) -> Result<Mask> {
        let mask = match &self.segmentation {
            Segmentation::Polygons(polygons) => {
                let polygons = polygons.iter().map(|flat| Polygon::from_flat(flat));
                polygons.collect::<Result<_>>().map(Mask::Polygons)
            }
            Segmentation::RunLengths { size, counts } => {
                let rle = match counts {
                    Counts::Plain(counts) => Rle::new(*size, counts.clone()),
                    Counts::Compressed(text) => Rle::from_compressed(*size, text),
                };
                rle.map(|rle| Mask::Bitmap(rle.bitmap()))
            }
        };
        mask.map_err(|e| Error::input(format!("annotation {}: segmentation: {e}", self.id)))
    }
}
