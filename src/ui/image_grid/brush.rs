//! The brush: a press, a drag, a rectangle or a lasso becomes commands about patches, each patch once per gesture.
//!
//! It knows positions and the session, and no widget; it draws nothing.

use std::collections::BTreeSet;

use egui::{Modifiers, Pos2, Vec2};

use super::viewport::Placed;
use crate::index::{Patch, PatchSet, choose};
use crate::session::{Command, GestureId, Session, Tool};
use crate::spec::Intervention;
use crate::ui::CommandSender;

/// What the pointer is doing; at most one stroke at a time.
#[derive(Default)]
pub struct Brush {
    stroke: Option<Stroke>,
}

struct Stroke {
    tool: Tool,
    on: bool,
    gesture: GestureId,
    first: Patch,
    /// Where the pointer was, on the picture: zooming during a drag moves the screen below it.
    last: Vec2,
    done: BTreeSet<Patch>,
    /// The opposite corner, for a rectangle that is applied at the end.
    corner: Option<Patch>,
    /// The line so far, on the picture, for a lasso that is applied at the end.
    lasso: Vec<Vec2>,
}

impl Brush {
    /// Starts at `pos`; a plain click is a stroke of one patch. Outside the picture nothing starts.
    pub fn press(
        &mut self,
        pos: Pos2,
        modifiers: Modifiers,
        placed: &Placed,
        session: &Session,
        commands: &CommandSender,
    ) {
        let Some(first) = placed.patch_at(pos) else {
            return;
        };
        let tool = session.view.tool;
        let is_lasso = tool == Tool::Lasso && !modifiers.shift;
        let at = placed.picture_from_ui(pos);
        let mut stroke = Stroke {
            tool,
            // A lasso mostly begins beside what it goes round: only Alt makes it take away.
            on: !modifiers.alt && (is_lasso || !is_on(session, first)),
            gesture: commands.new_gesture(),
            first,
            last: at,
            done: BTreeSet::new(),
            corner: modifiers.shift.then_some(first),
            lasso: if is_lasso { vec![at] } else { Vec::new() },
        };
        if stroke.corner.is_none() && !is_lasso {
            stroke.apply(first, commands);
        }
        self.stroke = Some(stroke);
    }

    /// Follows the pointer, over every cell between its last position and this one.
    pub fn move_to(&mut self, pos: Pos2, placed: &Placed, commands: &CommandSender) {
        let Some(stroke) = &mut self.stroke else {
            return;
        };
        if let Some(corner) = &mut stroke.corner {
            *corner = nearest(pos, placed).unwrap_or(*corner);
            return;
        }
        if !stroke.lasso.is_empty() {
            stroke.lasso.push(placed.picture_from_ui(pos));
            return;
        }
        let from = placed.ui_from_picture(stroke.last);
        let step = placed.cell_size().min_elem() / 8.0;
        let n = ((pos - from).length() / step.max(0.1)).ceil().max(1.0) as usize;
        for i in 1..=n {
            let at = from + (pos - from) * (i as f32 / n as f32);
            if let Some(patch) = placed.patch_at(at) {
                stroke.apply(patch, commands);
            }
        }
        stroke.last = placed.picture_from_ui(pos);
    }

    /// Ends the stroke; a rectangle or a lasso is applied now.
    pub fn release(&mut self, placed: &Placed, session: &Session, commands: &CommandSender) {
        let Some(mut stroke) = self.stroke.take() else {
            return;
        };
        for patch in stroke.rectangle_patches() {
            stroke.apply(patch, commands);
        }
        let Some(patches) = stroke.lasso_patches(placed) else {
            return;
        };
        if patches.is_empty() {
            // A line that goes round no centre is a click.
            stroke.on &= !is_on(session, stroke.first);
            stroke.apply(stroke.first, commands);
        } else {
            select(patches, stroke.on, stroke.gesture, commands);
        }
    }

    /// The line of the lasso that is being drawn, on the picture.
    pub fn lasso(&self) -> Option<&[Vec2]> {
        let stroke = self.stroke.as_ref()?;
        (!stroke.lasso.is_empty()).then_some(&stroke.lasso)
    }

    /// Drops a rectangle or a lasso that is not applied yet.
    pub fn cancel(&mut self) {
        self.stroke = None;
    }

    pub fn is_active(&self) -> bool {
        self.stroke.is_some()
    }

    /// The corners of the rectangle that is being drawn, top left first, and whether it will switch patches on.
    pub fn rectangle(&self) -> Option<(Patch, Patch, bool)> {
        let stroke = self.stroke.as_ref()?;
        let (first, last) = corners(stroke.first, stroke.corner?);
        Some((first, last, stroke.on))
    }
}

impl Stroke {
    fn apply(&mut self, patch: Patch, commands: &CommandSender) {
        if self.done.insert(patch) {
            send(self.tool, patch, self.on, self.gesture, commands);
        }
    }

    /// What the lasso goes round; `None` where the stroke is none.
    fn lasso_patches(&self, placed: &Placed) -> Option<PatchSet> {
        let grid = placed.grid;
        let in_patches = |at: &Vec2| (at.x * grid.cols as f32, at.y * grid.rows as f32);
        let corners: Vec<_> = self.lasso.iter().map(in_patches).collect();
        (!corners.is_empty()).then(|| choose::lasso(&corners, grid))
    }

    fn rectangle_patches(&self) -> Vec<Patch> {
        let Some(corner) = self.corner else {
            return Vec::new();
        };
        let (first, last) = corners(self.first, corner);
        (first.row..=last.row)
            .flat_map(|row| (first.col..=last.col).map(move |col| Patch::new(row, col)))
            .collect()
    }
}

/// Switches one patch, as a click without a pointer does.
pub fn toggle(patch: Patch, session: &Session, commands: &CommandSender) {
    let on = !is_on(session, patch);
    let gesture = commands.new_gesture();
    send(session.view.tool, patch, on, gesture, commands);
}

fn send(tool: Tool, patch: Patch, on: bool, gesture: GestureId, commands: &CommandSender) {
    match tool {
        Tool::Ablate => commands.send(Command::Paint { patch, on, gesture }),
        Tool::Select | Tool::Lasso => {
            select(PatchSet::from_iter([patch]), on, gesture, commands);
        }
    }
}

fn select(patches: PatchSet, on: bool, gesture: GestureId, commands: &CommandSender) {
    commands.send(Command::SelectPatches {
        patches,
        on,
        gesture,
    });
}

/// Whether a click on the patch switches it off: it is selected, or ablated by the row that the brush edits.
///
/// A row that is switched off ablates nothing: painting switches it on again.
pub fn is_on(session: &Session, patch: Patch) -> bool {
    match session.view.tool {
        Tool::Select | Tool::Lasso => session.view.selection.contains(patch),
        Tool::Ablate => session.painted().is_some_and(|(row, patches)| {
            let enabled = session.experiment.interventions[row].enabled();
            enabled && patches.contains(patch)
        }),
    }
}

/// The state that assistive technology is told: selected, or ablated by any row that is switched on.
pub fn is_marked(session: &Session, patch: Patch) -> bool {
    let ablates = |row: &Intervention| match row {
        Intervention::Ablation(a) => a.enabled && a.patches.contains(patch),
        _ => false,
    };
    match session.view.tool {
        Tool::Select | Tool::Lasso => session.view.selection.contains(patch),
        Tool::Ablate => session.experiment.interventions.iter().any(ablates),
    }
}

fn corners(a: Patch, b: Patch) -> (Patch, Patch) {
    (
        Patch::new(a.row.min(b.row), a.col.min(b.col)),
        Patch::new(a.row.max(b.row), a.col.max(b.col)),
    )
}

/// The patch at a point or, outside the picture, the one nearest to it.
fn nearest(pos: Pos2, placed: &Placed) -> Option<Patch> {
    let inside = placed.rect().shrink(placed.pixel() / 2.0);
    placed.patch_at(inside.clamp(pos))
}
