//! The pictures and objects of an experiment: read from a COCO file, filtered as the paper does, cut into shards.
//!
//! No picture is opened here.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::masks::{Annotation, Coco, CocoImage, Mask};

/// Which objects count (paper, section 3).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Filter {
    /// The annotation's area lies above this, in pixels of the original picture; the paper's 1,000.
    pub above_area: Option<f64>,
    /// And below this; the paper's 2,000.
    pub below_area: Option<f64>,
    /// Pictures with more annotations are left out; the paper's 3.
    pub max_annotations: Option<usize>,
    /// Objects of a picture, the largest first.
    pub per_image: usize,
    /// The first pictures only that have an object.
    pub limit: Option<usize>,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            above_area: None,
            below_area: None,
            max_annotations: None,
            per_image: 1,
            limit: None,
        }
    }
}

/// One object of one picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Its place among all objects that pass the filters, whatever the shard.
    pub index: usize,
    pub path: PathBuf,
    pub image: CocoImage,
    pub annotation: Annotation,
    /// The category's name and that of the category above it.
    pub word: String,
    pub kind: String,
}

impl Item {
    /// Where the object is.
    ///
    /// # Errors
    /// An outline that cannot be read.
    pub fn mask(&self) -> Result<Mask> {
        self.annotation
            .mask()
            .map_err(|e| Error::input(format!("{}: {e}", self.image.file_name)))
    }
}

/// The objects of a COCO file that pass the filters, by picture id: no crowds, and only things of which the picture has
/// one.
///
/// # Errors
/// No object at all passes.
pub fn items(coco: &Coco, folder: &Path, filter: &Filter) -> Result<Vec<Item>> {
    let by_image = coco.by_image();
    let mut images: Vec<&CocoImage> = coco.images.iter().collect();
    images.sort_by_key(|image| image.id);
    let mut items: Vec<Item> = Vec::new();
    let mut n_images = 0;
    for image in images {
        if filter.limit.is_some_and(|limit| n_images >= limit) {
            break;
        }
        let all = by_image.get(&image.id).map_or(&[][..], Vec::as_slice);
        if filter.max_annotations.is_some_and(|most| all.len() > most) {
            continue;
        }
        let mut passing: Vec<&Annotation> = all
            .iter()
            .copied()
            .filter(|a| passes(a, all, filter))
            .collect();
        passing.sort_by(|a, b| b.area.total_cmp(&a.area).then(a.id.cmp(&b.id)));
        passing.truncate(filter.per_image);
        n_images += usize::from(!passing.is_empty());
        for annotation in passing {
            let category = coco.category(annotation.category_id);
            let category = category.ok_or_else(|| Error::internal("a category is missing"))?;
            items.push(Item {
                index: items.len(),
                path: folder.join(&image.file_name),
                image: image.clone(),
                annotation: annotation.clone(),
                word: category.name.clone(),
                kind: category.supercategory.clone(),
            });
        }
    }
    match items.is_empty() {
        true => Err(Error::input(
            "no object passes the filters: allow other areas (--min-area, --max-area) or more annotations",
        )),
        false => Ok(items),
    }
}

fn passes(annotation: &Annotation, all: &[&Annotation], filter: &Filter) -> bool {
    let same = all
        .iter()
        .filter(|a| a.category_id == annotation.category_id);
    annotation.iscrowd == 0
        && same.count() == 1
        && filter.above_area.is_none_or(|area| annotation.area > area)
        && filter.below_area.is_none_or(|area| annotation.area < area)
}

/// A part of all objects: every N-th, from the I-th on. Written `I/N`, I from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From 0.
    pub at: usize,
    pub of: usize,
}

impl Shard {
    pub const WHOLE: Self = Self { at: 0, of: 1 };

    pub fn has(self, index: usize) -> bool {
        index % self.of == self.at
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.at + 1, self.of)
    }
}

crate::index::serde_as_text!(Shard);

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || {
            Error::input(format!(
                "shard {text}: write I/N, for example 1/8 for the first of eight; I is 1 to N"
            ))
        };
        let (at, of) = text.split_once('/').ok_or_else(bad)?;
        let number = |t: &str| t.parse::<usize>().map_err(|_not_a_number| bad());
        let (at, of) = (number(at)?, number(of)?);
        match (1..=of).contains(&at) {
            true => Ok(Self { at: at - 1, of }),
            false => Err(bad()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coco() -> Coco {
        let annotation = |id: u64, image: u64, category: u64, area: f64, crowd: u8| {
            format!(
                r#"{{"id": {id}, "image_id": {image}, "category_id": {category}, "area": {area}, "iscrowd": {crowd}, "segmentation": []}}"#
            )
        };
        let annotations = [
            annotation(1, 1, 1, 1500.0, 0),
            annotation(2, 1, 2, 1999.0, 0),
            annotation(3, 2, 1, 1500.0, 0),
            annotation(4, 2, 1, 1500.0, 0),
            annotation(5, 3, 1, 1000.0, 0),
            annotation(6, 4, 1, 1500.0, 1),
            annotation(7, 5, 2, 1200.0, 0),
        ];
        let images = (1..=5).rev().map(|id| {
            format!(r#"{{"id": {id}, "file_name": "{id}.jpg", "width": 9, "height": 9}}"#)
        });
        let text = format!(
            r#"{{"images": [{}], "annotations": [{}], "categories": [{{"id": 1, "name": "cat", "supercategory": "animal"}}, {{"id": 2, "name": "cup"}}]}}"#,
            images.collect::<Vec<_>>().join(","),
            annotations.join(",")
        );
        Coco::from_json(&text, "test").unwrap()
    }

    /// The paper's window is open at both ends, one instance of a kind, no crowds.
    #[test]
    fn filters_are_those_of_the_paper() {
        let paper = Filter {
            above_area: Some(1000.0),
            below_area: Some(2000.0),
            max_annotations: Some(3),
            per_image: 9,
            limit: None,
        };
        let ids = |filter: &Filter| -> Vec<u64> {
            let items = items(&coco(), Path::new("p"), filter).unwrap();
            items.iter().map(|item| item.annotation.id).collect()
        };
        assert_eq!(ids(&paper), [2, 1, 7]);
        assert_eq!(
            ids(&Filter {
                per_image: 1,
                ..paper.clone()
            }),
            [2, 7]
        );
        assert_eq!(
            ids(&Filter {
                limit: Some(1),
                ..paper.clone()
            }),
            [2, 1]
        );
        assert_eq!(
            ids(&Filter {
                max_annotations: Some(1),
                ..paper.clone()
            }),
            [7]
        );
        assert_eq!(
            ids(&Filter {
                above_area: None,
                ..paper.clone()
            }),
            [2, 1, 5, 7]
        );
        let nothing = Filter {
            above_area: Some(1e9),
            ..paper
        };
        assert!(items(&coco(), Path::new("p"), &nothing).is_err());
    }

    #[test]
    fn shards_are_disjoint_and_cover_everything() {
        let shards: Vec<Shard> = ["1/3", "2/3", "3/3"].map(|s| s.parse().unwrap()).to_vec();
        for index in 0..20 {
            assert_eq!(shards.iter().filter(|s| s.has(index)).count(), 1);
        }
        assert_eq!(shards[1].to_string(), "2/3");
        for bad in ["0/3", "4/3", "3", "a/b", "1/0"] {
            assert!(bad.parse::<Shard>().is_err(), "{bad}");
        }
    }
}
