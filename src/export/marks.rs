//! Marks of interventions and of the selection on a picture: hatching, crosses, contours, as the window draws them.

use super::canvas::Canvas;
use crate::index::{PatchGrid, PatchSet, TokenSet};
use crate::spec::Intervention;

/// What the person did.
const ACCENT: [u8; 3] = [0xff, 0x9f, 0x45];
const DARK: [u8; 3] = [0x0c, 0x0d, 0x10];

/// Where the grid lies on the canvas.
#[derive(Clone, Copy)]
pub struct Place {
    pub left: usize,
    pub top: usize,
    pub cell: usize,
    pub grid: PatchGrid,
    /// Pixels of a thin line.
    pub line: usize,
}

/// Patches whose rows an intervention changes, and patches that it hides from others.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Touched {
    pub changed: Vec<bool>,
    pub hidden: Vec<bool>,
}

impl Touched {
    /// Read off the row's own fields `patches` and `keys`, whatever its kind.
    pub fn of(row: &Intervention, grid: PatchGrid) -> Self {
        let fields = serde_json::to_value(row).unwrap_or_default();
        let field = |name: &str| fields.get(name).and_then(|f| f.as_str());
        let set = field("patches").and_then(|text| text.parse::<PatchSet>().ok());
        let keys = match field("keys").and_then(|text| text.parse().ok()) {
            Some(TokenSet::Patches(set)) => Some(set),
            Some(TokenSet::Image | TokenSet::All) => Some(PatchSet::All),
            _ => None,
        };
        Self {
            changed: members(set.as_ref(), grid),
            hidden: members(keys.as_ref(), grid),
        }
    }
}

/// One flag per cell.
pub fn members(set: Option<&PatchSet>, grid: PatchGrid) -> Vec<bool> {
    let inside = |patch| set.is_some_and(|set| set.contains(patch));
    grid.patches().map(inside).collect()
}

/// What lies beneath the words.
pub fn below_words(canvas: &mut Canvas, place: Place, rows: &[&Intervention]) {
    for row in rows {
        let touched = Touched::of(row, place.grid);
        for (left, top) in corners(&touched.changed, place) {
            hatch(canvas, place, (left, top));
        }
        contour(canvas, place, &touched.changed, ACCENT, place.line);
    }
}

/// What lies above the words.
pub fn above_words(
    canvas: &mut Canvas,
    place: Place,
    rows: &[&Intervention],
    selection: &PatchSet,
) {
    for row in rows {
        let touched = Touched::of(row, place.grid);
        for (left, top) in corners(&touched.hidden, place) {
            cross(canvas, place, (left + place.cell, top));
        }
    }
    let selected = members(Some(selection), place.grid);
    contour(canvas, place, &selected, DARK, 4 * place.line);
    contour(canvas, place, &selected, ACCENT, 2 * place.line);
}

/// Corners of the members' cells.
fn corners(inside: &[bool], place: Place) -> Vec<(usize, usize)> {
    let members = (0..inside.len()).filter(|i| inside[*i]);
    let corner = |i: usize| {
        let patch = place.grid.patch(i);
        let (row, col) = (usize::from(patch.row), usize::from(patch.col));
        (place.left + col * place.cell, place.top + row * place.cell)
    };
    members.map(corner).collect()
}

/// A scrim and diagonal lines that run on from cell to cell.
fn hatch(canvas: &mut Canvas, place: Place, (left, top): (usize, usize)) {
    canvas.fill((left, top, place.cell, place.cell), DARK, 0.47);
    let spacing = 8 * place.line;
    for y in top..top + place.cell {
        for x in left..left + place.cell {
            if (x + y) % spacing < place.line {
                canvas.blend(x, y, ACCENT, 0.8);
            }
        }
    }
}

/// A small cross in the corner left of and below `(right, top)`.
fn cross(canvas: &mut Canvas, place: Place, (right, top): (usize, usize)) {
    let side = (place.cell / 4).max(3);
    let (left, top) = (right - side - place.line, top + place.line);
    for (color, width) in [(DARK, 3 * place.line), (ACCENT, place.line)] {
        for i in 0..side {
            for x in [left + i, left + side - 1 - i] {
                let half = width / 2;
                let area = (x.saturating_sub(half), top + i, width.max(1), 1);
                canvas.fill(area, color, 0.9);
            }
        }
    }
}

/// One line around the set.
fn contour(canvas: &mut Canvas, place: Place, inside: &[bool], color: [u8; 3], width: usize) {
    let grid = place.grid;
    let at = |row: usize, col: usize| {
        row < grid.rows && col < grid.cols && inside[row * grid.cols + col]
    };
    let (cell, half) = (place.cell, width / 2);
    let x = |col: usize| (place.left + col * cell).saturating_sub(half);
    let y = |row: usize| (place.top + row * cell).saturating_sub(half);
    for row in 0..=grid.rows {
        for col in 0..=grid.cols {
            let here = at(row, col);
            if here != (row > 0 && at(row - 1, col)) {
                canvas.fill((x(col), y(row), cell + width, width), color, 1.0);
            }
            if here != (col > 0 && at(row, col - 1)) {
                canvas.fill((x(col), y(row), width, cell + width), color, 1.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn touched_patches_are_read_off_any_row() {
        let grid = PatchGrid::new(2, 2);
        let of = |json: &str| Touched::of(&serde_json::from_str(json).unwrap(), grid);
        let ablation = of(r#"{"type":"ablation","patches":"r0c1"}"#);
        assert_eq!(ablation.changed, [false, true, false, false]);
        assert_eq!(ablation.hidden, [false; 4]);
        let knockout =
            of(r#"{"type":"attention_knockout","queries":"last","keys":"patches:r1c0"}"#);
        assert_eq!(knockout.changed, [false; 4]);
        assert_eq!(knockout.hidden, [false, false, true, false]);
    }
}
