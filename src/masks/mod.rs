//! Masks of objects and the patches that they lie on: COCO files, polygons, run lengths, bitmaps.
//!
//! Shapes are in pixels of the upright original picture. A [`SeenRect`] says which part of it the model sees, so that
//! crop and pad are mapped exactly as the picture is prepared. No pictures are read here and nothing is drawn.

mod bitmap;
mod coco;
mod polygon;
mod rle;

use crate::index::{PatchGrid, PatchSet, choose};
use crate::model::preprocess::SeenRect;

pub use bitmap::Bitmap;
pub use coco::{Annotation, Coco, CocoCategory, CocoImage, Segmentation};
pub use polygon::Polygon;
pub use rle::Rle;

/// Shares below this are rounding: a shape that ends at a patch's edge does not lie on that patch.
const LEAST_SHARE: f64 = 1e-9;

/// Where an object is, in pixels of the original picture.
#[derive(Clone, Debug, PartialEq)]
pub enum Mask {
    /// The union of closed outlines.
    Polygons(Vec<Polygon>),
    Bitmap(Bitmap),
}

impl Mask {
    /// How much of each patch's area the mask covers, 0..=1, row-major. Polygons that overlap each other count twice,
    /// up to 1. `[patch]`
    pub fn shares(&self, seen: SeenRect, grid: PatchGrid) -> Vec<f64> {
        let cells = Cells { seen, grid };
        match self {
            Self::Polygons(polygons) => {
                let mut shares = vec![0.0; grid.len()];
                for polygon in polygons {
                    polygon.add_shares(&cells, &mut shares);
                }
                shares.into_iter().map(|share| share.min(1.0)).collect()
            }
            Self::Bitmap(bitmap) => bitmap.shares(&cells),
        }
    }

    /// The patches that the mask overlaps at all (paper, section 3: IoU above 0).
    pub fn patches(&self, seen: SeenRect, grid: PatchGrid) -> PatchSet {
        let shares = self.shares(seen, grid);
        let on = shares.iter().enumerate().filter(|(_, s)| **s > LEAST_SHARE);
        choose::of_indices(on.map(|(index, _)| index), grid)
    }
}

/// The patches as rectangles of the original picture: exact shares of what is seen, no whole pixels.
struct Cells {
    seen: SeenRect,
    grid: PatchGrid,
}

impl Cells {
    /// From pixels of the original to columns and rows of the grid, as fractions.
    fn to_grid(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let across = (x - self.seen.left) / self.seen.width * self.grid.cols as f64;
        let down = (y - self.seen.top) / self.seen.height * self.grid.rows as f64;
        (across, down)
    }
}

#[cfg(test)]
mod tests;
