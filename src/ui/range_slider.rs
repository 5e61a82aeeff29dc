//! A slider with two ends: a range of blocks, of which either end or the whole is dragged. It sends nothing.

use egui::{Id, Pos2, Rect, Response, Sense, Ui, pos2, vec2};

use super::theme::Theme;

/// Height of the slider, and of its line.
const HEIGHT: f32 = 20.0;
const LINE: f32 = 6.0;
const HANDLE: f32 = 6.0;

/// What is being dragged.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Held {
    First,
    Last,
    /// The whole range, held this many blocks after its first.
    Whole(usize),
}

/// Shows the range `first..=last` of `0..n`; gives what it is dragged to.
pub fn show(
    ui: &mut Ui,
    theme: &Theme,
    (first, last): (usize, usize),
    n: usize,
) -> (Response, Option<(usize, usize)>) {
    let size = vec2(ui.available_width().min(320.0), HEIGHT);
    let (rect, response) = ui.allocate_exact_size(size, Sense::drag());
    let place = Place {
        rect: rect.shrink2(vec2(HANDLE, 0.0)),
        n: n.max(1),
    };
    let id = response.id.with("held");
    let to = drag(ui, &response, &place, id, (first, last));
    paint(ui, theme, &place, to.unwrap_or((first, last)), &response);
    let name = "Range of blocks";
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Slider, true, name));
    let text = format!("{first} to {last}");
    ui.ctx()
        .accesskit_node_builder(response.id, |node| node.set_value(text));
    let response = response.on_hover_text(
        "Drag an end, or the middle to move the whole window; the numbers above do the same by keyboard",
    );
    (response, to.filter(|to| *to != (first, last)))
}

/// Blocks along the line.
struct Place {
    rect: Rect,
    n: usize,
}

impl Place {
    fn block(&self, at: Pos2) -> usize {
        let share = (at.x - self.rect.left()) / self.rect.width().max(1.0);
        ((share * self.n as f32).max(0.0) as usize).min(self.n - 1)
    }

    /// Where a block begins.
    fn x(&self, block: usize) -> f32 {
        self.rect.left() + self.rect.width() * block as f32 / self.n as f32
    }
}

fn drag(
    ui: &Ui,
    response: &Response,
    place: &Place,
    id: Id,
    (first, last): (usize, usize),
) -> Option<(usize, usize)> {
    let at = response.interact_pointer_pos()?;
    let block = place.block(at);
    if response.drag_started() {
        let start = ui.input(|i| i.pointer.press_origin()).unwrap_or(at);
        let held = held(place, start, (first, last));
        ui.data_mut(|data| data.insert_temp(id, held));
    }
    let held = ui.data(|data| data.get_temp::<Held>(id))?;
    if !response.dragged() {
        return None;
    }
    Some(dragged(held, block, (first, last), place.n))
}

/// Near an end it is that end, between them the whole, elsewhere the nearer end.
fn held(place: &Place, at: Pos2, (first, last): (usize, usize)) -> Held {
    let to_first = (at.x - place.x(first)).abs();
    let to_last = (at.x - place.x(last + 1)).abs();
    let block = place.block(at);
    let inside = (first..=last).contains(&block);
    match to_first.min(to_last) > 1.5 * HANDLE && inside {
        true => Held::Whole(block - first),
        false if to_first < to_last => Held::First,
        false => Held::Last,
    }
}

/// The range after a drag to a block; never empty, never outside `0..n`.
fn dragged(held: Held, block: usize, (first, last): (usize, usize), n: usize) -> (usize, usize) {
    match held {
        Held::First => (block.min(last), last),
        Held::Last => (first, block.max(first)),
        Held::Whole(offset) => {
            let length = last - first;
            let start = block.saturating_sub(offset);
            let start = start.min(n.saturating_sub(length + 1));
            (start, start + length)
        }
    }
}

fn paint(
    ui: &Ui,
    theme: &Theme,
    place: &Place,
    (first, last): (usize, usize),
    response: &Response,
) {
    let y = place.rect.center().y;
    let line = |from: f32, to: f32| {
        Rect::from_min_max(pos2(from, y - LINE / 2.0), pos2(to, y + LINE / 2.0))
    };
    let painter = ui.painter();
    let whole = line(place.rect.left(), place.rect.right());
    painter.rect_filled(whole, LINE / 2.0, theme.outline);
    let (from, to) = (place.x(first), place.x(last + 1));
    painter.rect_filled(line(from, to), LINE / 2.0, theme.accent);
    let lit = response.hovered() || response.dragged();
    let radius = if lit { HANDLE } else { HANDLE - 1.0 };
    for x in [from, to] {
        painter.circle_filled(pos2(x, y), radius, theme.text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_stay_in_order_and_inside() {
        let n = 32;
        for first in 0..n {
            for last in first..n {
                for block in 0..n {
                    for held in [Held::First, Held::Last, Held::Whole((last - first) / 2)] {
                        let (a, b) = dragged(held, block, (first, last), n);
                        assert!(a <= b && b < n, "{held:?} {block} {first}..={last}");
                        if let Held::Whole(_) = held {
                            assert_eq!(b - a, last - first);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_held_depends_on_where_it_is_taken() {
        let place = Place {
            rect: Rect::from_min_size(Pos2::ZERO, vec2(320.0, 20.0)),
            n: 32,
        };
        let at = |x: f32| held(&place, pos2(x, 10.0), (8, 15));
        assert_eq!(at(81.0), Held::First);
        assert_eq!(at(158.0), Held::Last);
        assert_eq!(at(115.0), Held::Whole(3));
        assert_eq!((at(10.0), at(300.0)), (Held::First, Held::Last));
    }
}
