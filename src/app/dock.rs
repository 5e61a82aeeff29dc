//! The docked panes: their tree, its sizes, what is open, and the form in which the layout is remembered.
//!
//! It knows no panel: drawing a pane is the caller's closure. When the window's size changes, the picture takes the
//! change and everything beside it keeps its size; results never move a border.

mod frame;

use egui::{Ui, Vec2, vec2};
use egui_tiles::{Container, Linear, LinearDir, Tile, TileId, Tiles, Tree};
use serde::{Deserialize, Serialize};

use crate::ui::pane::{Home, Pane};
use crate::ui::theme::Theme;
use frame::FrameOfDock;

/// Height of a bar of tabs.
const TABS: f32 = 28.0;
/// Width of the column at the right that is aimed at, and the least and most of it.
const SIDE: std::ops::RangeInclusive<f32> = 392.0..=600.0;
/// Height of the upper part of that column, where there is room for it.
const TOP: f32 = 436.0;
/// Room for controls beneath the picture.
const BENEATH: f32 = 68.0;
/// A pane is never made smaller than this by dragging a border, or by a smaller window.
const LEAST: f32 = 120.0;
const VERSION: u32 = 1;

/// The panes of the window.
pub struct Dock {
    tree: Tree<Pane>,
    /// The size that the tree's shares belong to; `None` until it was drawn.
    size: Option<Vec2>,
    /// Something was moved, closed or opened since [`Dock::take_change`].
    changed: bool,
}

/// The layout in its file.
#[derive(Serialize, Deserialize)]
struct Remembered {
    version: u32,
    size: [f32; 2],
    tree: Tree<Pane>,
}

impl Default for Dock {
    fn default() -> Self {
        Self {
            tree: default_tree(vec2(1376.0, 772.0)),
            size: None,
            changed: false,
        }
    }
}

impl Dock {
    /// The layout that was remembered; `None` if the text is of another version or makes no sense.
    pub fn from_text(text: &str) -> Option<Self> {
        let found: Remembered = serde_json::from_str(text).ok()?;
        let mut tree = found.tree;
        let size = Vec2::from(found.size);
        if found.version != VERSION || !(size.x >= LEAST && size.y >= LEAST) || !is_sound(&tree) {
            return None;
        }
        for pane in all_tiles(&tree) {
            if tree.tiles.get_pane(&pane) == Some(&Pane::Unknown) {
                tree.remove_recursively(pane);
            }
        }
        Some(Self {
            tree,
            size: Some(size),
            changed: false,
        })
    }

    /// The text that [`Dock::from_text`] reads; `None` for the first layout, which need not be remembered.
    pub fn to_text(&self) -> Option<String> {
        let size = self.size?;
        serde_json::to_string_pretty(&Remembered {
            version: VERSION,
            size: [size.x, size.y],
            tree: self.tree.clone(),
        })
        .ok()
    }

    /// Whether the layout was changed since the last call.
    pub fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Everything back to its first place.
    pub fn reset(&mut self) {
        *self = Self {
            changed: true,
            ..Self::default()
        };
    }

    pub fn is_open(&self, pane: Pane) -> bool {
        self.tree.tiles.find_pane(&pane).is_some()
    }

    /// Closes an open pane, opens a closed one. The picture cannot be closed.
    pub fn toggle(&mut self, pane: Pane) {
        match self.tree.tiles.find_pane(&pane) {
            Some(tile) if pane != Pane::Picture => {
                self.tree.remove_recursively(tile);
                self.changed = true;
            }
            _ => self.show(pane),
        }
    }

    /// Brings a pane to the front of its tabs; opens it first where it is closed.
    pub fn show(&mut self, pane: Pane) {
        if !self.is_open(pane) {
            self.open(pane);
        }
        self.tree
            .make_active(|_, tile| matches!(tile, Tile::Pane(p) if *p == pane));
        self.changed = true;
    }

    /// Beside a pane of the same home; if none is open, beside any but the picture; else in a column of its own.
    fn open(&mut self, pane: Pane) {
        let tile = self.tree.tiles.insert_pane(pane);
        let home = match pane.home() {
            Home::Closed => Home::Bottom,
            home => home,
        };
        let beside = |wanted: &dyn Fn(Pane) -> bool| {
            let found = Pane::ALL
                .iter()
                .copied()
                .filter(|p| *p != pane && wanted(*p));
            found
                .filter_map(|p| self.tree.tiles.find_pane(&p))
                .find_map(|tile| self.tree.tiles.parent_of(tile))
        };
        let tabs = beside(&|p| p.home() == home).or_else(|| beside(&|p| p != Pane::Picture));
        if let Some(Tile::Container(container)) = tabs.and_then(|id| self.tree.tiles.get_mut(id)) {
            container.add_child(tile);
            return;
        }
        let tabs = self.tree.tiles.insert_tab_tile(vec![tile]);
        let row = match self.tree.root {
            Some(root) => vec![root, tabs],
            None => vec![tabs],
        };
        let mut linear = Linear::new(LinearDir::Horizontal, row);
        linear.shares.set_share(tabs, 0.6);
        let root = self.tree.tiles.insert_container(linear);
        self.tree.root = Some(root);
    }

    /// Draws all open panes in the place that is left; `draw` fills one.
    pub fn ui(&mut self, ui: &mut Ui, theme: &Theme, draw: &mut dyn FnMut(&mut Ui, Pane)) {
        self.fit(ui.available_size());
        let mut frame = FrameOfDock {
            theme,
            draw,
            picture: self.tree.tiles.find_pane(&Pane::Picture),
            close: None,
            changed: false,
        };
        self.tree.ui(&mut frame, ui);
        let (close, changed) = (frame.close, frame.changed);
        if let Some(tile) = close {
            self.tree.remove_recursively(tile);
        }
        self.changed |= changed || close.is_some();
    }

    /// Keeps sizes in points when the window's size changes.
    fn fit(&mut self, size: Vec2) {
        match self.size {
            None => self.tree = with_open_panes_of(&self.tree, default_tree(size)),
            Some(old) if old != size => {
                if let Some(root) = self.tree.root {
                    stretch(&mut self.tree.tiles, root, old, size);
                }
            }
            Some(_) => {}
        }
        self.size = Some(size);
    }
}

/// The first layout, without what was closed before it was drawn for the first time.
fn with_open_panes_of(before: &Tree<Pane>, mut tree: Tree<Pane>) -> Tree<Pane> {
    for pane in Pane::ALL {
        if before.tiles.find_pane(pane).is_none()
            && let Some(tile) = tree.tiles.find_pane(pane)
        {
            tree.remove_recursively(tile);
        }
    }
    tree
}

/// The picture large at the left; question and answer above at the right, the rest as tabs below.
fn default_tree(size: Vec2) -> Tree<Pane> {
    let mut tiles = Tiles::default();
    let mut tabs_of = |home: Home| {
        let panes = Pane::ALL.iter().filter(|pane| pane.home() == home);
        let panes: Vec<TileId> = panes.map(|pane| tiles.insert_pane(*pane)).collect();
        tiles.insert_tab_tile(panes)
    };
    let (left, top, bottom) = (
        tabs_of(Home::Left),
        tabs_of(Home::Top),
        tabs_of(Home::Bottom),
    );
    let height = TOP.min(0.63 * size.y);
    let split = |first, second, share: f32| (vec![first, second], share.clamp(0.05, 0.95));
    let (column, share) = split(top, bottom, height / size.y.max(1.0));
    let column = linear(LinearDir::Vertical, &column, share);
    let column = tiles.insert_container(column);
    let side = (size.x - (size.y - BENEATH)).clamp(*SIDE.start(), *SIDE.end());
    let (row, share) = split(left, column, 1.0 - side / size.x.max(1.0));
    let row = linear(LinearDir::Horizontal, &row, share);
    let root = tiles.insert_container(row);
    Tree::new(egui::Id::unique("dock"), root, tiles)
}

/// Two tiles, the first with this share of the extent; shares have the mean 1, which a new child gets as well.
fn linear(dir: LinearDir, children: &[TileId], share: f32) -> Linear {
    let mut linear = Linear::new(dir, children.to_vec());
    for (child, share) in children.iter().zip([2.0 * share, 2.0 * (1.0 - share)]) {
        linear.shares.set_share(*child, share);
    }
    linear
}

/// Gives the change of a split's extent to the child with the picture, or to the last one, as far as it has room.
fn stretch(tiles: &mut Tiles<Pane>, at: TileId, old: Vec2, new: Vec2) {
    let Some(Tile::Container(container)) = tiles.get(at) else {
        return;
    };
    let Container::Linear(split) = container.clone() else {
        for child in container.children_vec() {
            stretch(tiles, child, old, new);
        }
        return;
    };
    let axis = usize::from(split.dir == LinearDir::Vertical);
    let children = &split.children;
    let before = split.shares.split(children, old[axis]);
    let picture = |child: &TileId| holds_picture(tiles, *child);
    let elastic = children.iter().position(picture);
    let elastic = elastic.unwrap_or(children.len().saturating_sub(1));
    let mut after = before.clone();
    if let Some(size) = after.get_mut(elastic) {
        *size = (*size + new[axis] - old[axis]).max(LEAST.min(*size));
    }
    let (n, sum) = (children.len() as f32, after.iter().sum::<f32>().max(1.0));
    for (child, size) in children.iter().zip(&after) {
        if let Some(Tile::Container(Container::Linear(split))) = tiles.get_mut(at) {
            split.shares.set_share(*child, size * n / sum);
        }
    }
    for (at, child) in children.iter().enumerate() {
        let (mut from, mut to) = (old, new);
        (from[axis], to[axis]) = (before[at], after[at] * new[axis] / sum);
        stretch(tiles, *child, from, to);
    }
}

fn holds_picture(tiles: &Tiles<Pane>, at: TileId) -> bool {
    match tiles.get(at) {
        Some(Tile::Pane(pane)) => *pane == Pane::Picture,
        Some(Tile::Container(container)) => container
            .children()
            .any(|child| holds_picture(tiles, *child)),
        None => false,
    }
}

fn all_tiles(tree: &Tree<Pane>) -> Vec<TileId> {
    let mut ids: Vec<TileId> = tree.tiles.tile_ids().collect();
    ids.sort_by_key(|id| id.0);
    ids
}

/// Whether every tile hangs in the tree exactly once, every known pane stands there at most once, and the picture does.
fn is_sound(tree: &Tree<Pane>) -> bool {
    let (Some(root), mut seen) = (tree.root, Vec::new()) else {
        return false;
    };
    let mut todo = vec![root];
    let mut panes: Vec<Pane> = Vec::new();
    while let Some(at) = todo.pop() {
        if seen.contains(&at) {
            return false;
        }
        seen.push(at);
        match tree.tiles.get(at) {
            Some(Tile::Pane(pane)) if panes.contains(pane) && *pane != Pane::Unknown => {
                return false;
            }
            Some(Tile::Pane(pane)) => panes.push(*pane),
            Some(Tile::Container(container)) => todo.extend(container.children()),
            None => return false,
        }
    }
    seen.len() == tree.tiles.len() && panes.contains(&Pane::Picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn() -> Dock {
        let mut dock = Dock::default();
        dock.fit(vec2(1216.0, 672.0));
        dock
    }

    #[test]
    fn a_layout_comes_back_as_it_was() {
        let mut dock = drawn();
        dock.toggle(Pane::Sweep);
        let again = Dock::from_text(&dock.to_text().unwrap()).unwrap();
        assert!(again.tree == dock.tree);
        assert!(!again.is_open(Pane::Sweep) && again.is_open(Pane::Answer));
    }

    #[test]
    fn strangers_are_dropped_and_nonsense_is_refused() {
        let text = drawn().to_text().unwrap();
        let dock = Dock::from_text(&text.replace("\"Sweep\"", "\"Hologram\"")).unwrap();
        assert!(!dock.is_open(Pane::Sweep) && dock.is_open(Pane::Picture));
        for (from, to) in [
            ("\"Sweep\"", "\"Answer\""),
            ("\"Picture\"", "\"Hologram\""),
            ("\"version\": 1", "\"version\": 2"),
            ("\"children\": [", "\"children\": [77,"),
        ] {
            assert!(
                Dock::from_text(&text.replacen(from, to, 1)).is_none(),
                "{to}"
            );
        }
        assert!(Dock::from_text("{").is_none());
    }

    #[test]
    fn what_is_closed_can_be_opened_again_and_the_picture_stays() {
        let mut dock = drawn();
        for pane in Pane::ALL {
            dock.toggle(*pane);
        }
        let open = |dock: &Dock| Pane::ALL.iter().filter(|p| dock.is_open(**p)).count();
        assert!(dock.is_open(Pane::Picture));
        assert_eq!(
            open(&dock),
            1 + Pane::ALL
                .iter()
                .filter(|p| p.home() == Home::Closed)
                .count()
        );
        for pane in Pane::ALL {
            dock.show(*pane);
        }
        assert_eq!(open(&dock), Pane::ALL.len());
        assert!(dock.take_change() && !dock.take_change());
    }

    #[test]
    fn the_column_at_the_side_keeps_its_width() {
        let mut dock = drawn();
        let side = |dock: &Dock| {
            let Some(Tile::Container(Container::Linear(row))) =
                dock.tree.tiles.get(dock.tree.root.unwrap())
            else {
                panic!("the root is a row")
            };
            row.shares.split(&row.children, dock.size.unwrap().x)[1]
        };
        let before = side(&dock);
        dock.fit(vec2(1856.0, 952.0));
        assert!(
            (side(&dock) - before).abs() < 0.5,
            "{before} {}",
            side(&dock)
        );
        dock.fit(vec2(836.0, 472.0));
        assert!(
            (side(&dock) - before).abs() < 0.5,
            "{before} {}",
            side(&dock)
        );
    }
}
