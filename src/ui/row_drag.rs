//! Rows of the interventions taken by their handle and dropped at another place of the list. It sends one command.

use egui::{CursorIcon, Rect, Sense, Stroke, Ui, pos2, vec2};

use super::ViewCtx;
use super::theme::GRID;
use crate::session::Command;

/// The row that is being dragged.
struct Dragged(usize);

/// Six dots by which a row is taken.
pub fn handle(ctx: &ViewCtx<'_>, ui: &mut Ui, at: usize) {
    let (rect, response) = ui.allocate_exact_size(vec2(10.0, 24.0), Sense::drag());
    let color = match response.hovered() || response.dragged() {
        true => ctx.theme.text,
        false => ctx.theme.text_weak,
    };
    for row in [-1.0, 0.0, 1.0] {
        for col in [-1.0, 1.0] {
            let dot = rect.center() + vec2(2.0 * col, GRID * row);
            ui.painter().circle_filled(dot, 1.2, color);
        }
    }
    let name = format!("Drag intervention {}", at + 1);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &name));
    response.dnd_set_drag_payload(Dragged(at));
    response
        .on_hover_cursor(CursorIcon::Grab)
        .on_hover_text("Drag the row to another place; Alt+Up and Alt+Down move the chosen row");
}

/// Where the dragged row would come to lie if it is let go over this one: a line; sends the command when it is.
pub fn drop_on(ctx: &ViewCtx<'_>, ui: &Ui, at: usize, rect: Rect) {
    let Some(dragged) = egui::DragAndDrop::payload::<Dragged>(ui.ctx()) else {
        return;
    };
    let pointer = ui.input(|i| i.pointer.interact_pos());
    let near = rect.expand2(vec2(0.0, GRID));
    let Some(pointer) = pointer.filter(|pointer| near.contains(*pointer)) else {
        return;
    };
    let before = pointer.y < rect.center().y;
    let to = place(dragged.0, at, before);
    if to != dragged.0 {
        let y = if before { rect.top() } else { rect.bottom() };
        let ends = [pos2(rect.left(), y), pos2(rect.right(), y)];
        let stroke = Stroke::new(2.0, ctx.theme.accent);
        ui.painter().line_segment(ends, stroke);
    }
    if ui.input(|i| i.pointer.any_released()) {
        egui::DragAndDrop::clear_payload(ui.ctx());
        if to != dragged.0 {
            let row = dragged.0;
            ctx.commands.send(Command::MoveIntervention { row, to });
        }
    }
}

/// The place in the list of a row that is dropped before or after the row at `at`.
fn place(row: usize, at: usize, before: bool) -> usize {
    let gap = if before { at } else { at + 1 };
    if gap > row { gap - 1 } else { gap }
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn a_row_goes_where_the_line_is() {
        for row in 0..4 {
            for at in 0..4 {
                for before in [true, false] {
                    let mut list: Vec<usize> = (0..4).collect();
                    let moved = list.remove(row);
                    list.insert(place(row, at, before), moved);
                    let (here, there) = (
                        list.iter().position(|r| *r == row).unwrap(),
                        list.iter().position(|r| *r == at).unwrap(),
                    );
                    let fits = match before {
                        true => here + 1 == there,
                        false => here == there + 1,
                    };
                    assert!(fits || row == at, "{row} {at} {before}: {list:?}");
                }
            }
        }
    }
}
