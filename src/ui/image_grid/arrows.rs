//! Attention knockouts as arrows: from the tokens that can no longer be seen to those that may no longer look, over the
//! picture and a strip of the sequence's parts below it. A function of the session and the place.

use egui::epaint::CubicBezierShape;
use egui::{Align2, Color32, FontId, Painter, Pos2, Rect, Sense, Shape, Stroke, Ui, pos2, vec2};

use super::viewport::Placed;
use crate::index::{PatchSet, TokenLayout, TokenSet};
use crate::spec::{AttentionKnockout, Intervention};
use crate::ui::forms::facts;
use crate::ui::theme::{GRID, over_picture};
use crate::ui::wording::describe;
use crate::ui::{ViewCtx, style};

/// Height of the strip, and the width below which there is none.
const STRIP: f32 = 22.0;
const LEAST: f32 = 300.0;
const PART: f32 = 84.0;
/// Arrows that leave one set of patches at most; of more patches some stand for all.
const N_ARROWS: usize = 5;

/// The parts of the sequence in the strip.
const PARTS: [(&str, &TokenSet); 5] = [
    ("system", &TokenSet::System),
    ("picture", &TokenSet::Image),
    ("question", &TokenSet::Question),
    ("last", &TokenSet::Last),
    ("answer", &TokenSet::Answer),
];

/// Takes the strip from the bottom of the picture's area, where a knockout is switched on and there is room.
pub fn split(ctx: &ViewCtx<'_>, area: Rect) -> (Rect, Option<Rect>) {
    let wanted = knockouts(ctx).next().is_some() && area.width() > LEAST;
    if !wanted || area.height() < 4.0 * STRIP {
        return (area, None);
    }
    let (picture, strip) = area.split_top_bottom_at_y(area.bottom() - STRIP);
    (picture.with_max_y(picture.bottom() - GRID), Some(strip))
}

fn knockouts<'a>(ctx: &'a ViewCtx<'_>) -> impl Iterator<Item = &'a AttentionKnockout> {
    let rows = ctx.session.experiment.interventions.iter();
    rows.filter_map(|row| match row {
        Intervention::AttentionKnockout(knockout) if knockout.enabled => Some(knockout),
        _ => None,
    })
}

/// Draws the strip and the arrows of every knockout that is switched on.
pub fn show(ctx: &ViewCtx<'_>, layout: &TokenLayout, placed: &Placed, strip: Rect, ui: &Ui) {
    let parts = Parts {
        strip: Rect::from_center_size(
            pos2(placed.visible().center().x, strip.center().y),
            vec2((PART * 5.0).min(strip.width()), STRIP - 4.0),
        ),
        placed,
    };
    name(ctx, ui, parts.strip);
    parts.paint(ctx, layout, ui);
    let clip = placed.area.union(strip).expand(3.0);
    let painter = ui.painter().with_clip_rect(clip);
    for knockout in knockouts(ctx) {
        let from = parts.places(&knockout.keys);
        let to = parts.places(&knockout.queries);
        fan(&from, &middle(&to), &painter);
    }
}

/// The knockouts in words, for the pointer and for screen readers.
fn name(ctx: &ViewCtx<'_>, ui: &Ui, strip: Rect) {
    let said: Vec<String> = knockouts(ctx)
        .map(|k| describe(&Intervention::AttentionKnockout(k.clone()), facts(ctx)))
        .collect();
    let said = said.join("\n");
    let id = ui.scope_id().with("strip of tokens");
    let response = ui.interact(strip, id, Sense::hover());
    let name = format!("Knockouts as arrows: {said}");
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, &name));
    response.on_hover_text(said);
}

/// Where everything lies.
struct Parts<'a> {
    strip: Rect,
    placed: &'a Placed,
}

impl Parts<'_> {
    fn part(&self, at: usize) -> Rect {
        let width = self.strip.width() / PARTS.len() as f32;
        let left = self.strip.left() + width * at as f32;
        Rect::from_min_size(
            pos2(left, self.strip.top()),
            vec2(width, self.strip.height()),
        )
    }

    fn paint(&self, ctx: &ViewCtx<'_>, layout: &TokenLayout, ui: &Ui) {
        let counts = [
            layout.image.start,
            layout.image.len(),
            layout.last().saturating_sub(layout.image.end),
            1,
            ctx.session.experiment.decode.max_new_tokens,
        ];
        for (at, ((name, _), n)) in PARTS.iter().zip(counts).enumerate() {
            let rect = self.part(at).shrink2(vec2(2.0, 0.0));
            ui.painter().rect_filled(rect, 3.0, ctx.theme.panel);
            let ink = match n {
                0 => ctx.theme.text_weak.gamma_multiply(0.5),
                _ => ctx.theme.text_weak,
            };
            let font = FontId::proportional(style::SMALL);
            let center = rect.center();
            ui.painter()
                .text(center, Align2::CENTER_CENTER, name, font, ink);
        }
    }

    /// Where arrows of a set begin or end: cells of the picture, or parts of the strip.
    fn places(&self, set: &TokenSet) -> Vec<Pos2> {
        match set {
            TokenSet::Patches(patches) => self.cells(patches),
            TokenSet::Image => self.cells(&PatchSet::All),
            TokenSet::All => {
                let parts = [0, 2, 3].map(|at| self.part(at).center_top());
                parts
                    .into_iter()
                    .chain(self.cells(&PatchSet::All))
                    .collect()
            }
            word => PARTS
                .iter()
                .position(|(_, part)| *part == word)
                .map(|at| self.part(at).center_top())
                .into_iter()
                .collect(),
        }
    }

    /// Middles of cells, evenly chosen of many.
    fn cells(&self, set: &PatchSet) -> Vec<Pos2> {
        let indices = set.indices(self.placed.grid).unwrap_or_default();
        let step = indices.len().div_ceil(N_ARROWS).max(1);
        let cell = |at: &usize| self.placed.cell(self.placed.grid.patch(*at)).center();
        indices
            .iter()
            .skip(step / 2)
            .step_by(step)
            .map(cell)
            .collect()
    }
}

fn middle(places: &[Pos2]) -> Option<Pos2> {
    let n = places.len() as f32;
    let sum = |of: fn(&Pos2) -> f32| places.iter().map(of).sum::<f32>() / n;
    (!places.is_empty()).then(|| pos2(sum(|p| p.x), sum(|p| p.y)))
}

/// Arrows from many places to one; one cross says that nothing passes.
fn fan(from: &[Pos2], to: &Option<Pos2>, painter: &Painter) {
    let (Some(to), Some(center)) = (*to, middle(from)) else {
        return;
    };
    let dark = over_picture::INK_DARK.gamma_multiply(0.55);
    let bright = over_picture::ACCENT;
    for (width, color) in [(3.0, dark), (1.2, bright)] {
        for start in from {
            painter.add(curve(*start, to, Stroke::new(width, color)));
        }
        let sides = [vec2(-4.5, -8.0), vec2(4.5, -8.0)].map(|side| to + side);
        painter.add(Shape::line(
            vec![sides[0], to, sides[1]],
            Stroke::new(width + 0.6, color),
        ));
    }
    cross(at(center, to, 0.72), painter, bright);
}

/// Leaves downwards and arrives from above; between two parts of the strip it rises over them.
fn points(from: Pos2, to: Pos2) -> [Pos2; 4] {
    let drop = (to.y - from.y).abs();
    match drop < 4.0 {
        true => [from, from - vec2(0.0, 26.0), to - vec2(0.0, 26.0), to],
        false => {
            let bend = vec2(0.0, 0.45 * drop);
            [from, from + bend, to - bend, to]
        }
    }
}

fn curve(from: Pos2, to: Pos2, stroke: Stroke) -> Shape {
    let points = points(from, to);
    CubicBezierShape::from_points_stroke(points, false, Color32::TRANSPARENT, stroke).into()
}

/// A place on the curve, `t` from 0 to 1.
fn at(from: Pos2, to: Pos2, t: f32) -> Pos2 {
    let shape = CubicBezierShape::from_points_stroke(
        points(from, to),
        false,
        Color32::TRANSPARENT,
        Stroke::NONE,
    );
    shape.sample(t)
}

/// On a disc, so that it is seen among the arrows.
fn cross(at: Pos2, painter: &Painter, bright: Color32) {
    painter.circle_filled(at, 9.0, over_picture::INK_DARK);
    painter.circle_stroke(at, 9.0, Stroke::new(1.2, bright));
    for arm in [vec2(4.5, 4.5), vec2(4.5, -4.5)] {
        painter.line_segment([at - arm, at + arm], Stroke::new(2.0, bright));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::PatchGrid;
    use crate::ui::image_grid::viewport::Viewport;

    #[test]
    fn arrows_begin_in_their_patches_and_end_at_their_part() {
        let grid = PatchGrid::new(24, 24);
        let area = Rect::from_min_size(Pos2::ZERO, vec2(480.0, 480.0));
        let placed = Viewport::default().place(area, grid, 1.0);
        let strip = Rect::from_min_size(pos2(0.0, 484.0), vec2(480.0, 22.0));
        let parts = Parts {
            strip,
            placed: &placed,
        };
        let set: PatchSet = "r2c3-r8c9".parse().unwrap();
        let from = parts.places(&TokenSet::Patches(set.clone()));
        assert!(from.len() > 1 && from.len() <= N_ARROWS);
        for place in from {
            assert!(set.contains(placed.patch_at(place).unwrap()));
        }
        for (at, (_, part)) in PARTS.iter().enumerate().filter(|(at, _)| *at != 1) {
            let to = middle(&parts.places(part)).unwrap();
            assert!(parts.part(at).x_range().contains(to.x) && to.y == strip.top());
        }
        assert!(
            parts
                .places(&TokenSet::Patches(PatchSet::default()))
                .is_empty()
        );
    }
}
