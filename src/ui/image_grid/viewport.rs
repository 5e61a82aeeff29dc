//! Where the picture lies: zoom, pan, and the exact pixels of every cell.
//!
//! All edges are whole physical pixels, by the same integer maths as in `shaders/heatmap.wgsl`. It draws nothing.

use egui::{Pos2, Rect, Vec2, pos2, vec2};

use crate::index::{Patch, PatchGrid};

/// Largest magnification.
const MAX_ZOOM: f32 = 16.0;

/// Zoom and pan: which part of the picture is looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Viewport {
    /// 1 is the whole picture.
    zoom: f32,
    /// The point of the picture, in 0..=1, that lies in the middle of the space.
    center: Vec2,
}

/// The picture laid out in a space: all edges are final.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placed {
    /// The space that the picture may use.
    pub area: Rect,
    pub grid: PatchGrid,
    /// Top left corner, in physical pixels.
    pub origin: [i32; 2],
    /// Side of the picture, in physical pixels.
    pub side: i32,
    pixels_per_point: f32,
}

impl Default for Viewport {
    fn default() -> Self {
        Self {
            zoom: 1.0,
            center: vec2(0.5, 0.5),
        }
    }
}

impl Viewport {
    /// Lays the picture out; keeps the space filled where the picture is larger than it.
    pub fn place(&mut self, area: Rect, grid: PatchGrid, pixels_per_point: f32) -> Placed {
        let fit = area.width().min(area.height()) * pixels_per_point;
        let side = whole_cells((fit.max(1.0) * self.zoom) as i32, grid);
        let px = area * pixels_per_point;
        let (x, center_x) = axis(px.min.x, px.max.x, side, self.center.x);
        let (y, center_y) = axis(px.min.y, px.max.y, side, self.center.y);
        self.center = vec2(center_x, center_y);
        Placed {
            area,
            grid,
            origin: [x, y],
            side,
            pixels_per_point,
        }
    }

    /// Magnifies by `factor` and keeps the point under the pointer where it is.
    pub fn zoom_at(&mut self, pointer: Pos2, factor: f32, placed: &Placed) {
        let zoom = (self.zoom * factor).clamp(1.0, MAX_ZOOM);
        let before = placed.rect();
        let at = (pointer - before.min) / before.width();
        let side = before.width() * zoom / self.zoom;
        let from_center = (pointer - placed.area.center()) / side;
        self.center = at - from_center;
        self.zoom = zoom;
    }

    /// Moves the picture by a drag of the pointer.
    pub fn pan(&mut self, delta: Vec2, placed: &Placed) {
        self.center -= delta / placed.rect().width();
    }
}

/// Origin of the picture along one axis, and the centre that it really has.
fn axis(min: f32, max: f32, side: i32, center: f32) -> (i32, f32) {
    let middle = (min + max) / 2.0;
    let s = side as f32;
    let origin = if s <= max - min {
        middle - s / 2.0
    } else {
        (middle - center * s).clamp(max - s, min)
    };
    (origin.round() as i32, (middle - origin) / s)
}

/// The largest side that gives every cell the same whole number of pixels, where that costs little space.
fn whole_cells(side: i32, grid: PatchGrid) -> i32 {
    let (rows, cols) = (grid.rows.max(1) as i32, grid.cols.max(1) as i32);
    let both = rows / gcd(rows, cols) * cols;
    let unit = if both * 8 <= side {
        both
    } else {
        rows.max(cols)
    };
    (side / unit * unit).max(unit)
}

fn gcd(a: i32, b: i32) -> i32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Placed {
    /// The whole picture, also where it is out of sight.
    pub fn rect(&self) -> Rect {
        self.points(self.origin, [self.side; 2])
    }

    /// The part of the picture that is in sight.
    pub fn visible(&self) -> Rect {
        self.rect().intersect(self.area)
    }

    /// A length of one physical pixel, in points.
    pub fn pixel(&self) -> f32 {
        1.0 / self.pixels_per_point
    }

    /// The rectangle of a cell.
    pub fn cell(&self, patch: Patch) -> Rect {
        let (row, col) = (usize::from(patch.row), usize::from(patch.col));
        let (x, right) = (
            self.edge(col, self.grid.cols),
            self.edge(col + 1, self.grid.cols),
        );
        let (y, bottom) = (
            self.edge(row, self.grid.rows),
            self.edge(row + 1, self.grid.rows),
        );
        let origin = [self.origin[0] + x, self.origin[1] + y];
        self.points(origin, [right - x, bottom - y])
    }

    /// Size of a cell, in points, to within a pixel.
    pub fn cell_size(&self) -> Vec2 {
        let side = self.rect().width();
        vec2(
            side / self.grid.cols.max(1) as f32,
            side / self.grid.rows.max(1) as f32,
        )
    }

    /// The patch at a point, wherever it is on the screen; `None` outside the picture.
    pub fn patch_at(&self, pos: Pos2) -> Option<Patch> {
        let index = |at: f32, origin: i32, n: usize| {
            let pixel = (at * self.pixels_per_point).floor() as i32 - origin;
            let inside = (0..self.side).contains(&pixel) && n > 0;
            inside.then(|| (i64::from(pixel) * n as i64 / i64::from(self.side)) as u16)
        };
        let col = index(pos.x, self.origin[0], self.grid.cols)?;
        let row = index(pos.y, self.origin[1], self.grid.rows)?;
        Some(Patch::new(row, col))
    }

    /// The point of the picture, in 0..=1 inside it, under a point of the screen.
    pub fn picture_from_ui(&self, pos: Pos2) -> Vec2 {
        (pos - self.rect().min) / self.rect().width()
    }

    /// The reverse of [`Self::picture_from_ui`].
    pub fn ui_from_picture(&self, at: Vec2) -> Pos2 {
        self.rect().min + at * self.rect().width()
    }

    /// First pixel of cell `index` of `n`, from the picture's edge: the first one that the shader counts to it.
    fn edge(&self, index: usize, n: usize) -> i32 {
        let n = n.max(1) as i64;
        ((index as i64 * i64::from(self.side) + n - 1) / n) as i32
    }

    fn points(&self, origin: [i32; 2], size: [i32; 2]) -> Rect {
        let pixel = self.pixel();
        let min = pos2(origin[0] as f32 * pixel, origin[1] as f32 * pixel);
        Rect::from_min_size(min, vec2(size[0] as f32, size[1] as f32) * pixel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AREA: Rect = Rect {
        min: pos2(10.0, 20.0),
        max: pos2(710.0, 620.0),
    };

    #[test]
    fn at_zoom_one_every_cell_has_whole_pixels() {
        for (rows, cols, scale) in [(24, 24, 1.0), (3, 5, 1.0), (24, 24, 1.5), (7, 11, 2.0)] {
            let grid = PatchGrid::new(rows, cols);
            let placed = Viewport::default().place(AREA, grid, scale);
            assert_eq!(placed.side % rows as i32, 0);
            assert_eq!(placed.side % cols as i32, 0);
            assert!(AREA.contains_rect(placed.rect()), "{:?}", placed.rect());
            assert!(placed.rect().width() > 550.0);
        }
    }

    #[test]
    fn a_point_in_a_cell_finds_it_back() {
        for (grid, zoom) in [
            (PatchGrid::new(24, 24), 1.0),
            (PatchGrid::new(3, 5), 2.37),
            (PatchGrid::new(23, 24), 5.1),
        ] {
            let mut viewport = Viewport {
                zoom,
                ..Viewport::default()
            };
            let placed = viewport.place(AREA, grid, 1.25);
            for patch in grid.patches() {
                let cell = placed.cell(patch).shrink(placed.pixel() / 2.0);
                for pos in [cell.min, cell.center(), cell.max] {
                    assert_eq!(placed.patch_at(pos), Some(patch));
                }
            }
        }
    }

    #[test]
    fn zooming_keeps_the_point_under_the_pointer() {
        let grid = PatchGrid::new(24, 24);
        let mut viewport = Viewport::default();
        let pointer = pos2(300.0, 250.0);
        let mut placed = viewport.place(AREA, grid, 1.0);
        let before = placed.picture_from_ui(pointer);
        for _ in 0..10 {
            viewport.zoom_at(pointer, 1.2, &placed);
            placed = viewport.place(AREA, grid, 1.0);
        }
        assert!(viewport.zoom > 6.0);
        let off = placed.picture_from_ui(pointer) - before;
        assert!(off.length() < 0.01, "{off:?}");
    }

    #[test]
    fn panning_never_leaves_a_gap() {
        let grid = PatchGrid::new(24, 24);
        let mut viewport = Viewport {
            zoom: 4.0,
            ..Viewport::default()
        };
        let placed = viewport.place(AREA, grid, 1.0);
        viewport.pan(vec2(9000.0, -9000.0), &placed);
        let placed = viewport.place(AREA, grid, 1.0);
        assert!(placed.rect().contains_rect(AREA));
        assert!((placed.rect().min.x - AREA.min.x).abs() < 1.0);
        assert!((placed.rect().max.y - AREA.max.y).abs() < 1.0);
    }
}
