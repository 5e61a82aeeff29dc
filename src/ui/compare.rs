//! Before, after and difference: three pictures with one cursor and one zoom.
//!
//! The picture in the middle is the window's own; the other two follow it. Each is drawn from the same trace with a view
//! of its own.

use egui::{Align2, FontId, Rect, Ui, pos2, vec2};

use super::image_grid::ImageGrid;
use super::theme::GRID;
use super::{ViewCtx, style};
use crate::index::Patch;
use crate::session::{HeatKind, Session, ViewState};

/// Height of a title.
const TITLE: f32 = 22.0;
/// Room between two pictures.
const GAP: f32 = 8.0;

/// The two pictures beside the window's own.
pub struct ComparePanes {
    before: ImageGrid,
    difference: ImageGrid,
    hovered: Option<Patch>,
}

impl Default for ComparePanes {
    fn default() -> Self {
        // The shader draws one map a frame, which is the middle picture's.
        Self {
            before: ImageGrid::new(None),
            difference: ImageGrid::new(None),
            hovered: None,
        }
    }
}

impl ComparePanes {
    /// Fills the space that it is given; `after` is the window's own picture.
    pub fn ui(&mut self, after: &mut ImageGrid, ctx: &ViewCtx<'_>, ui: &mut Ui) {
        let full = ui.available_rect_before_wrap();
        let bar = ImageGrid::bar_height(ctx, full.width());
        let (pictures, bar) = full.split_top_bottom_at_y((full.bottom() - bar).max(full.top()));
        ui.painter().rect_filled(pictures, 0.0, ctx.theme.canvas);
        let before = seen(ctx.session, |view| view.show_clean = true);
        let now = seen(ctx.session, |view| view.show_clean = false);
        let difference = seen(ctx.session, |view| {
            view.show_clean = false;
            view.heat = HeatKind::Change;
        });
        let changed = changed(ctx);
        self.difference.outline(changed.clone());
        let titles = [
            "Before".to_owned(),
            "After".to_owned(),
            match changed.len() {
                0 => "Difference".to_owned(),
                1 => "Difference · 1 word changed".to_owned(),
                n => format!("Difference · {n} words changed"),
            },
        ];
        let panes = [&mut self.before, &mut *after, &mut self.difference];
        let sessions = [&before, &now, &difference];
        let mut hovered = None;
        let mut moved = None;
        let places = places(pictures, panes.len());
        for (((pane, session), title), place) in
            panes.into_iter().zip(sessions).zip(&titles).zip(places)
        {
            let ctx = with_session(ctx, session);
            let (head, area) = place.split_top_bottom_at_y(place.top() + TITLE);
            let font = FontId::proportional(style::SMALL);
            let at = pos2(head.left() + 2.0 * GRID, head.center().y);
            let painter = ui.painter();
            painter.text(at, Align2::LEFT_CENTER, title, font, ctx.theme.text);
            pane.link(self.hovered);
            let start = pane.sight();
            ui.push_id(title.split(' ').next(), |ui| pane.area(&ctx, area, ui));
            if pane.sight() != start {
                moved = Some(pane.sight());
            }
            hovered = hovered.or(pane.pointed());
        }
        if let Some(sight) = moved {
            for pane in [&mut self.before, &mut *after, &mut self.difference] {
                pane.set_sight(sight);
            }
        }
        if self.hovered != hovered {
            self.hovered = hovered;
            ui.ctx().request_repaint();
        }
        after.bar(ctx, bar, ui);
        ui.advance_cursor_after_rect(full);
    }
}

/// Equal parts side by side, or in two rows where the pictures become larger so.
fn places(area: Rect, n: usize) -> Vec<Rect> {
    let size_in = |columns: usize| {
        let rows = n.div_ceil(columns);
        let part = |whole: f32, n: usize| (whole - GAP * (n - 1) as f32) / n as f32;
        vec2(part(area.width(), columns), part(area.height(), rows))
    };
    let side = |columns: usize| size_in(columns).x.min(size_in(columns).y - TITLE);
    let columns = if side(2) > side(n) { 2 } else { n };
    let size = size_in(columns);
    let place = |i: usize| {
        let at = vec2((i % columns) as f32, (i / columns) as f32);
        Rect::from_min_size(area.min + at * (size + vec2(GAP, GAP)), size)
    };
    (0..n).map(place).collect()
}

/// The session as one of the pictures sees it; its history is left out, for it is not drawn.
fn seen(session: &Session, change: impl FnOnce(&mut ViewState)) -> Session {
    let mut view = session.view.clone();
    change(&mut view);
    Session {
        experiment: session.experiment.clone(),
        readout: session.readout.clone(),
        view,
        grid: session.grid,
        ..Session::default()
    }
}

fn with_session<'a>(ctx: &ViewCtx<'a>, session: &'a Session) -> ViewCtx<'a> {
    ViewCtx {
        session,
        progress: ctx.progress.clone(),
        ..*ctx
    }
}

/// Patches whose likeliest word at the level on screen is another one after the edit.
fn changed(ctx: &ViewCtx<'_>) -> Vec<Patch> {
    let (Some(trace), level) = (ctx.trace, ctx.level()) else {
        return Vec::new();
    };
    let of = |run: &crate::engine::trace::RunReadout| run.levels.get(level).cloned().flatten();
    let (Some(before), Some(after)) = (of(&trace.baseline), of(&trace.edited)) else {
        return Vec::new();
    };
    let grid = trace.model.grid;
    let top = |readout: &crate::engine::trace::LevelReadout, index| {
        readout.top(index).next().map(|(id, _)| id)
    };
    let differs = |index: &usize| top(&before, *index) != top(&after, *index);
    (0..grid.len())
        .filter(differs)
        .map(|i| grid.patch(i))
        .collect()
}
