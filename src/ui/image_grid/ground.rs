//! What lies under the words: the picture's texture, its brightness in every cell, the heat map over it.
//!
//! It draws both; without an adapter for the shader it paints the same heat map cell by cell.

use std::sync::Arc;

use eframe::egui_wgpu;
use egui::{Color32, Painter, Rect, pos2};

use super::viewport::Placed;
use crate::engine::trace::SeenPicture;
use crate::index::PatchGrid;
use crate::render::colormap::{self, Palette};
use crate::render::heatmap::{HeatCallback, HeatValues};
use crate::ui::heat::Heat;
use crate::ui::theme::over_picture;

/// The ends of the colour scale, in places of a heat map.
const PLACES: (f32, f32) = (0.0, 1.0);

/// How the heat map is laid over the picture in this frame.
pub struct Overlay {
    pub heat: Option<Heat>,
    pub palette: Palette,
    pub opacity: f32,
    pub show_grid: bool,
}

/// The picture and the heat map, and what was uploaded of them.
#[derive(Default)]
pub struct Ground {
    /// Whether the shader is there.
    has_shader: bool,
    picture: Option<Arc<SeenPicture>>,
    texture: Option<egui::TextureHandle>,
    /// Mean brightness of the picture in every cell, 0..=1.
    brightness: Vec<f32>,
    grid: Option<PatchGrid>,
    values: Arc<HeatValues>,
    /// Whether the ground of a cell is dark, with the heat map of this frame.
    dark: Vec<bool>,
}

impl Ground {
    /// `has_shader` says whether the pipeline of the heat map is installed.
    pub fn new(has_shader: bool) -> Self {
        Self {
            has_shader,
            ..Self::default()
        }
    }

    /// Draws the picture and what lies over it.
    pub fn draw(
        &mut self,
        picture: &Arc<SeenPicture>,
        overlay: &Overlay,
        placed: &Placed,
        painter: &Painter,
    ) {
        self.prepare(picture, placed.grid, painter);
        if let Some(texture) = &self.texture {
            let whole = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
            painter.image(texture.id(), placed.rect(), whole, over_picture::INK_LIGHT);
        }
        self.find_dark(overlay);
        if self.has_shader {
            self.draw_by_shader(overlay, placed, painter);
        } else {
            draw_by_cells(overlay, placed, painter);
        }
    }

    /// Whether light text is right for a cell.
    pub fn is_dark(&self, index: usize) -> bool {
        self.dark.get(index).copied().unwrap_or(true)
    }

    /// Uploads another picture; measures its brightness.
    fn prepare(&mut self, picture: &Arc<SeenPicture>, grid: PatchGrid, painter: &Painter) {
        let same = |kept: &Arc<SeenPicture>| Arc::ptr_eq(kept, picture);
        let same_picture = self.picture.as_ref().is_some_and(same);
        if !same_picture {
            self.picture = Some(picture.clone());
            self.texture = upload(picture, painter);
        }
        if !same_picture || self.grid != Some(grid) {
            self.grid = Some(grid);
            self.brightness = brightness(picture, grid);
        }
    }

    /// Takes note of cells that something dark was laid over.
    pub fn darken(&mut self, covered: &[bool]) {
        for (dark, covered) in self.dark.iter_mut().zip(covered) {
            *dark |= covered;
        }
    }

    fn find_dark(&mut self, overlay: &Overlay) {
        let heat_brightness = |index: usize| {
            let heat = overlay.heat.as_ref()?;
            let place = *heat.places.get(index)?;
            let rgb = overlay.palette.color(place, PLACES)?;
            Some((luma(rgb), colormap::weight(place, PLACES)))
        };
        let is_dark = |(index, picture): (usize, &f32)| {
            let mixed = heat_brightness(index).map_or(*picture, |(heat, weight)| {
                picture + (heat - picture) * overlay.opacity * weight
            });
            mixed < 0.55
        };
        self.dark = self.brightness.iter().enumerate().map(is_dark).collect();
    }

    fn draw_by_shader(&mut self, overlay: &Overlay, placed: &Placed, painter: &Painter) {
        let n = placed.grid.len();
        let nothing = || vec![f32::NAN; n];
        let values = overlay
            .heat
            .as_ref()
            .map_or_else(nothing, |h| h.places.clone());
        self.keep(values, placed.grid);
        let mut line = over_picture::GRID;
        line[3] *= f32::from(u8::from(overlay.show_grid));
        let callback = HeatCallback {
            values: self.values.clone(),
            origin: placed.origin,
            side: placed.side,
            opacity: overlay.opacity,
            range: PLACES,
            palette: overlay.palette,
            line,
        };
        let rect = placed.visible();
        painter.add(egui_wgpu::Callback::new_paint_callback(rect, callback));
    }

    /// Counts the revision up only where something changed.
    fn keep(&mut self, values: Vec<f32>, grid: PatchGrid) {
        let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        let kept = &self.values;
        let same =
            (kept.rows, kept.cols) == (grid.rows, grid.cols) && bits(&kept.values) == bits(&values);
        if !same {
            self.values = Arc::new(HeatValues {
                revision: kept.revision + 1,
                rows: grid.rows,
                cols: grid.cols,
                values,
            });
        }
    }
}

fn upload(picture: &SeenPicture, painter: &Painter) -> Option<egui::TextureHandle> {
    let whole = picture.size > 0 && picture.rgb.len() == picture.size * picture.size * 3;
    whole.then(|| {
        let image = egui::ColorImage::from_rgb([picture.size; 2], &picture.rgb);
        let options = egui::TextureOptions::LINEAR;
        painter.ctx().load_texture("picture", image, options)
    })
}

/// The heat map without a shader: a rectangle for every cell, then the lines.
fn draw_by_cells(overlay: &Overlay, placed: &Placed, painter: &Painter) {
    if let Some(heat) = &overlay.heat {
        for (patch, place) in placed.grid.patches().zip(&heat.places) {
            if let Some(rgb) = overlay.palette.color(*place, PLACES) {
                let color = over_picture::rgb(rgb)
                    .gamma_multiply(overlay.opacity * colormap::weight(*place, PLACES));
                painter.rect_filled(placed.cell(patch), 0.0, color);
            }
        }
    }
    if overlay.show_grid {
        let color: Color32 = over_picture::INK_DARK.gamma_multiply(over_picture::GRID[3]);
        let pixel = placed.pixel();
        for patch in placed.grid.patches().filter(|p| p.row == 0 || p.col == 0) {
            let (cell, whole) = (placed.cell(patch), placed.rect());
            if patch.row == 0 && patch.col > 0 {
                let line =
                    Rect::from_x_y_ranges(cell.left()..=cell.left() + pixel, whole.y_range());
                painter.rect_filled(line, 0.0, color);
            }
            if patch.col == 0 && patch.row > 0 {
                let line = Rect::from_x_y_ranges(whole.x_range(), cell.top()..=cell.top() + pixel);
                painter.rect_filled(line, 0.0, color);
            }
        }
    }
}

/// Brightness as the eye weighs it, of gamma values: good enough to choose between light and dark text.
fn luma([r, g, b]: [u8; 3]) -> f32 {
    (0.299 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b)) / 255.0
}

/// Mean brightness of the picture in every cell; grey where a cell has no pixel.
fn brightness(picture: &SeenPicture, grid: PatchGrid) -> Vec<f32> {
    let mut sums = vec![(0.0f32, 0.0f32); grid.len()];
    let side = picture.size.max(1);
    for (index, pixel) in picture.rgb.as_chunks::<3>().0.iter().enumerate() {
        let (x, y) = (index % side, index / side);
        let cell = y * grid.rows / side * grid.cols + x * grid.cols / side;
        if let Some((sum, n)) = sums.get_mut(cell) {
            *sum += luma(*pixel);
            *n += 1.0;
        }
    }
    let mean = |(sum, n): (f32, f32)| if n > 0.0 { sum / n } else { 0.5 };
    sums.into_iter().map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brightness_is_that_of_the_cell() {
        let mut rgb = vec![0; 4 * 4 * 3];
        for y in 0..4 {
            for x in 2..4 {
                rgb[(y * 4 + x) * 3..][..3].copy_from_slice(&[255; 3]);
            }
        }
        let picture = SeenPicture {
            revision: 0,
            name: String::new(),
            size: 4,
            rgb,
            original_size: (4, 4),
            seen_in_original: crate::model::preprocess::SeenRect::whole(4, 4),
        };
        let cells = brightness(&picture, PatchGrid::new(1, 2));
        assert!(cells[0] < 0.01 && cells[1] > 0.99);
    }
}
