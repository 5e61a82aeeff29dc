//! What the person did, drawn over the picture by form: hatching, contours, crosses, the hovered cell.
//!
//! Everything here is a function of the session and the place; nothing is remembered or decided.

use egui::{Color32, Painter, Pos2, Rect, Shape, Stroke, Vec2, pos2, vec2};

use super::viewport::Placed;
use crate::index::{Patch, PatchGrid, PatchSet, TokenSet};
use crate::session::Session;
use crate::spec::Intervention;
use crate::ui::theme::over_picture;

/// Width of the selection's contour, in points.
const CONTOUR: f32 = 2.0;

/// How an ablation row is hatched.
struct Hatch {
    color: Color32,
    width: f32,
    /// Distance of the lines along an edge of a cell.
    spacing: f32,
    scrim: bool,
}

/// Draws all marks that lie below the words; tells which cells they darken.
pub fn below_words(session: &Session, placed: &Placed, painter: &Painter) -> Vec<bool> {
    let mut darkened = vec![false; placed.grid.len()];
    let brush_row = session.brush_row();
    for (index, row) in session.experiment.interventions.iter().enumerate() {
        let Intervention::Ablation(ablation) = row else {
            continue;
        };
        let hatch = match (ablation.enabled, brush_row == Some(index)) {
            (true, true) => hatch(0.95, 1.6, true),
            (true, false) => hatch(0.6, 1.0, true),
            (false, _) => hatch(0.35, 1.0, false),
        };
        let inside = members(&ablation.patches, placed.grid);
        hatch_cells(&inside, placed, &hatch, painter);
        if ablation.enabled {
            let color = over_picture::ACCENT.gamma_multiply(0.8);
            contour(&inside, placed, 1.0, color, painter);
            let both = darkened.iter_mut().zip(&inside);
            both.for_each(|(dark, inside)| *dark |= inside);
        }
    }
    darkened
}

/// Draws all marks that lie above the words.
pub fn above_words(session: &Session, placed: &Placed, painter: &Painter) {
    for row in &session.experiment.interventions {
        if let Intervention::AttentionKnockout(knockout) = row
            && let Some(keys) = key_patches(&knockout.keys, placed.grid)
        {
            let strength = if knockout.enabled { 1.0 } else { 0.4 };
            let color = over_picture::ACCENT.gamma_multiply(strength);
            crosses(&keys, placed, color, painter);
            dotted_contour(&keys, placed, color, painter);
        }
    }
    for row in &session.experiment.interventions {
        if let Some(patches) = edited_patches(row) {
            let strength = if row.enabled() { 1.0 } else { 0.4 };
            let color = over_picture::ACCENT.gamma_multiply(strength);
            dotted_contour(&members(patches, placed.grid), placed, color, painter);
        }
    }
    let selected = members(&session.view.selection, placed.grid);
    // Opaque: the bars overlap at every cell.
    let underlay = over_picture::INK_DARK;
    contour(&selected, placed, CONTOUR + 2.0, underlay, painter);
    contour(&selected, placed, CONTOUR, over_picture::ACCENT, painter);
}

/// Outlines one cell, dark beneath light, so that it is seen on any ground.
pub fn hovered(patch: Patch, placed: &Placed, painter: &Painter) {
    let rect = placed.cell(patch);
    let stroke = |width: f32, color| Stroke::new(width, color);
    let dark = over_picture::INK_DARK.gamma_multiply(0.8);
    painter.rect_stroke(rect, 0.0, stroke(3.5, dark), egui::StrokeKind::Middle);
    let light = stroke(1.5, over_picture::INK_LIGHT);
    painter.rect_stroke(rect, 0.0, light, egui::StrokeKind::Middle);
}

/// A thin frame inside a cell in which something differs from the other picture.
pub fn differs(patch: Patch, placed: &Placed, painter: &Painter) {
    let rect = placed.cell(patch).shrink(1.0);
    let dark = Stroke::new(2.5, over_picture::INK_DARK.gamma_multiply(0.7));
    painter.rect_stroke(rect, 0.0, dark, egui::StrokeKind::Inside);
    let light = Stroke::new(1.0, over_picture::INK_LIGHT);
    painter.rect_stroke(rect.shrink(0.75), 0.0, light, egui::StrokeKind::Inside);
}

/// Outlines the patches that another panel points at, dark beneath light.
pub fn pointed(patches: &[usize], placed: &Placed, painter: &Painter) {
    let mut inside = vec![false; placed.grid.len()];
    for patch in patches {
        if let Some(inside) = inside.get_mut(*patch) {
            *inside = true;
        }
    }
    contour(&inside, placed, 4.0, over_picture::INK_DARK, painter);
    contour(&inside, placed, 2.0, over_picture::INK_LIGHT, painter);
}

/// The rectangle that is being drawn with Shift: dashed, accent on dark.
pub fn rectangle(first: Patch, last: Patch, placed: &Placed, painter: &Painter) {
    let rect = placed.cell(first).union(placed.cell(last));
    painter.rect_filled(rect, 0.0, over_picture::ACCENT.gamma_multiply(0.18));
    let corners = [
        rect.left_top(),
        rect.right_top(),
        rect.right_bottom(),
        rect.left_bottom(),
        rect.left_top(),
    ];
    let dark = Stroke::new(3.0, over_picture::INK_DARK.gamma_multiply(0.7));
    painter.add(Shape::line(corners.to_vec(), dark));
    let accent = Stroke::new(1.5, over_picture::ACCENT);
    painter.extend(Shape::dashed_line(&corners, accent, 6.0, 4.0));
}

/// The line of a lasso that is being drawn, closed as it will be: dashed, accent on dark.
pub fn lasso(line: &[Vec2], placed: &Placed, painter: &Painter) {
    let first = line.first().copied();
    let points: Vec<Pos2> = line
        .iter()
        .copied()
        .chain(first)
        .map(|at| placed.ui_from_picture(at))
        .collect();
    let dark = Stroke::new(3.0, over_picture::INK_DARK.gamma_multiply(0.7));
    painter.add(Shape::line(points.clone(), dark));
    let accent = Stroke::new(1.5, over_picture::ACCENT);
    painter.extend(Shape::dashed_line(&points, accent, 6.0, 4.0));
}

fn hatch(strength: f32, width: f32, scrim: bool) -> Hatch {
    Hatch {
        color: over_picture::ACCENT.gamma_multiply(strength),
        width,
        spacing: if strength > 0.9 { 9.0 } else { 13.0 },
        scrim,
    }
}

/// The patches among the keys of a knockout; `None` where no patch is among them.
fn key_patches(keys: &TokenSet, grid: PatchGrid) -> Option<Vec<bool>> {
    match keys {
        TokenSet::Patches(set) => Some(members(set, grid)),
        TokenSet::Image | TokenSet::All => Some(vec![true; grid.len()]),
        TokenSet::System | TokenSet::Question | TokenSet::Last | TokenSet::Answer => None,
    }
}

/// The patches that are edited rather than ablated: swapped, steered, erased from, scaled.
fn edited_patches(row: &Intervention) -> Option<&PatchSet> {
    let tokens = match row {
        Intervention::Ablation(_) | Intervention::AttentionKnockout(_) => return None,
        Intervention::Swap(swap) => return Some(&swap.patches),
        Intervention::Steer(steer) => &steer.tokens,
        Intervention::Erase(erase) => &erase.tokens,
        Intervention::Scale(scale) => &scale.tokens,
    };
    match tokens {
        TokenSet::Patches(patches) => Some(patches),
        TokenSet::Image | TokenSet::All => Some(&PatchSet::All),
        _ => None,
    }
}

/// One flag per cell. Cells outside the grid are left out.
fn members(set: &PatchSet, grid: PatchGrid) -> Vec<bool> {
    let mut inside = vec![*set == PatchSet::All; grid.len()];
    if let PatchSet::Cells(cells) = set {
        for index in cells.iter().filter_map(|&patch| grid.index(patch)) {
            inside[index] = true;
        }
    }
    inside
}

/// The visible cells of a set.
fn visible_cells<'a>(
    inside: &'a [bool],
    placed: &'a Placed,
) -> impl Iterator<Item = (Patch, Rect)> + 'a {
    let indices = inside.iter().enumerate().filter(|(_, on)| **on);
    indices
        .map(|(index, _)| placed.grid.patch(index))
        .map(|patch| (patch, placed.cell(patch)))
        .filter(|(_, rect)| rect.intersects(placed.area))
}

/// Diagonal lines that run on from cell to cell.
fn hatch_cells(inside: &[bool], placed: &Placed, hatch: &Hatch, painter: &Painter) {
    let origin = placed.rect().min;
    let mut lines = Vec::new();
    for (_, rect) in visible_cells(inside, placed) {
        if hatch.scrim {
            painter.rect_filled(rect, 0.0, over_picture::SCRIM);
        }
        let (low, high) = (rect.min - origin, rect.max - origin);
        let first = ((low.x + low.y) / hatch.spacing).ceil() as i32;
        let last = ((high.x + high.y) / hatch.spacing).floor() as i32;
        for k in first..=last {
            let sum = k as f32 * hatch.spacing;
            let (left, right) = ((sum - high.y).max(low.x), (sum - low.y).min(high.x));
            if left < right {
                let ends = [
                    origin + vec2(left, sum - left),
                    origin + vec2(right, sum - right),
                ];
                lines.push(Shape::line_segment(
                    ends,
                    Stroke::new(hatch.width, hatch.color),
                ));
            }
        }
    }
    painter.extend(lines);
}

/// The sides of cells that part a member from a non-member, as segments.
fn borders(inside: &[bool], placed: &Placed) -> Vec<[Pos2; 2]> {
    let grid = placed.grid;
    let at = |row: i32, col: i32| {
        let on_grid = row >= 0 && col >= 0 && row < grid.rows as i32 && col < grid.cols as i32;
        on_grid && inside[row as usize * grid.cols + col as usize]
    };
    let mut out = Vec::new();
    for (patch, rect) in visible_cells(inside, placed) {
        let (row, col) = (i32::from(patch.row), i32::from(patch.col));
        for (other, side) in [
            (at(row - 1, col), [rect.left_top(), rect.right_top()]),
            (at(row + 1, col), [rect.left_bottom(), rect.right_bottom()]),
            (at(row, col - 1), [rect.left_top(), rect.left_bottom()]),
            (at(row, col + 1), [rect.right_top(), rect.right_bottom()]),
        ] {
            if !other {
                out.push(side);
            }
        }
    }
    out
}

/// One contour around the set: bars along the borders, long enough to close every corner.
fn contour(inside: &[bool], placed: &Placed, width: f32, color: Color32, painter: &Painter) {
    let half = Vec2::splat(width / 2.0);
    let bars = borders(inside, placed).into_iter().map(|[a, b]| {
        let rect = Rect::from_min_max(a - half, b + half);
        Shape::rect_filled(rect, 0.0, color)
    });
    painter.extend(bars);
}

fn dotted_contour(inside: &[bool], placed: &Placed, color: Color32, painter: &Painter) {
    let mut shapes = Vec::new();
    for [a, b] in borders(inside, placed) {
        let n = ((b - a).length() / 6.0).round().max(2.0) as usize;
        for i in 0..n {
            let center = a + (b - a) * ((i as f32 + 0.5) / n as f32);
            let dark = over_picture::INK_DARK.gamma_multiply(0.7);
            shapes.push(Shape::circle_filled(center, 2.4, dark));
            shapes.push(Shape::circle_filled(center, 1.5, color));
        }
    }
    painter.extend(shapes);
}

/// A small cross in the corner of every cell, beside its word.
fn crosses(inside: &[bool], placed: &Placed, color: Color32, painter: &Painter) {
    let cell = placed.cell_size().min_elem();
    let arm = (cell * 0.11).clamp(1.5, 5.0);
    let inset = arm + (cell * 0.08).clamp(1.5, 6.0);
    let dark = Stroke::new(3.0, over_picture::INK_DARK.gamma_multiply(0.65));
    let bright = Stroke::new(1.3, color);
    for (_, rect) in visible_cells(inside, placed) {
        let center = pos2(rect.right() - inset, rect.top() + inset);
        for stroke in [dark, bright] {
            for diagonal in [vec2(arm, arm), vec2(arm, -arm)] {
                painter.line_segment([center - diagonal, center + diagonal], stroke);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::image_grid::viewport::Viewport;

    #[test]
    fn a_set_has_one_outline() {
        let grid = PatchGrid::new(4, 4);
        let area = Rect::from_min_size(Pos2::ZERO, Vec2::splat(400.0));
        let placed = Viewport::default().place(area, grid, 1.0);
        let count = |text: &str| {
            let set: PatchSet = text.parse().unwrap_or_default();
            borders(&members(&set, grid), &placed).len()
        };
        assert_eq!(count("none"), 0);
        assert_eq!(count("r1c1"), 4);
        assert_eq!(count("r1c1-r2c2"), 8);
        assert_eq!(count("all"), 16);
        assert_eq!(count("r9c9"), 0);
    }
}
