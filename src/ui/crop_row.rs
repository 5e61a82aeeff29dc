//! How a picture that is no square is made one: cut to its middle or padded, with a drawing of what the model sees.

use egui::{RichText, Sense, Stroke, StrokeKind, Ui, vec2};

use super::ViewCtx;
use super::theme::GRID;
use crate::engine::trace::SeenPicture;
use crate::session::Command;
use crate::spec::Crop;

/// Longer side of the drawing.
const SIDE: f32 = 44.0;

const CHOICES: [(Crop, &str, &str); 2] = [
    (
        Crop::Center,
        "Cut to the middle",
        "The shorter edge fills the square and the ends of the longer one are cut off, as the published model is run",
    ),
    (
        Crop::Pad,
        "Padded",
        "All of the picture, with bars of the mean colour, as LLaVA-1.5 was trained and llama.cpp runs it",
    ),
];

/// The choice, and what it does to the picture on screen.
pub fn show(ctx: &ViewCtx<'_>, ui: &mut Ui) {
    let now = ctx.session.experiment.crop;
    ui.vertical(|ui| {
        ui.horizontal_wrapped(|ui| {
            for (crop, name, tip) in CHOICES {
                let item = ui.selectable_label(now == crop, name).on_hover_text(tip);
                if item.clicked() && now != crop {
                    ctx.commands.send(Command::SetCrop(crop));
                }
            }
        });
        let Some(trace) = ctx.trace.or(ctx.previous) else {
            return;
        };
        ui.horizontal(|ui| {
            drawing(ctx, ui, &trace.picture);
            let text = RichText::new(in_words(&trace.picture)).small().weak();
            ui.add(egui::Label::new(text).wrap());
        });
    });
}

/// The file's frame, and in the accent the square that the model sees; what only one of them covers is shaded.
fn drawing(ctx: &ViewCtx<'_>, ui: &mut Ui, picture: &SeenPicture) {
    let (width, height) = picture.original_size;
    let seen = picture.seen_in_original;
    let left = seen.left.min(0.0);
    let top = seen.top.min(0.0);
    let right = (seen.left + seen.width).max(width as f64);
    let bottom = (seen.top + seen.height).max(height as f64);
    let scale = f64::from(SIDE) / (right - left).max(bottom - top).max(1.0);
    let size = vec2(
        ((right - left) * scale) as f32,
        ((bottom - top) * scale) as f32,
    );
    let (rect, response) = ui.allocate_exact_size(size + vec2(2.0, 2.0), Sense::hover());
    let origin = rect.min + vec2(1.0, 1.0);
    let part = |x: f64, y: f64, w: f64, h: f64| {
        let min = origin + vec2(((x - left) * scale) as f32, ((y - top) * scale) as f32);
        egui::Rect::from_min_size(min, vec2((w * scale) as f32, (h * scale) as f32))
    };
    let file = part(0.0, 0.0, width as f64, height as f64);
    let square = part(seen.left, seen.top, seen.width, seen.height);
    let painter = ui.painter();
    painter.rect_filled(file.union(square), 0.0, ctx.theme.outline);
    painter.rect_filled(file.intersect(square), 0.0, ctx.theme.accent_weak);
    let edge = |color, width| Stroke::new(width, color);
    painter.rect_stroke(
        file,
        0.0,
        edge(ctx.theme.text_weak, 1.0),
        StrokeKind::Inside,
    );
    painter.rect_stroke(square, 0.0, edge(ctx.theme.accent, 1.5), StrokeKind::Inside);
    let name = format!("What the model sees: {}", in_words(picture));
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, &name));
    ui.add_space(GRID);
}

/// How much of the file the model sees.
pub fn in_words(picture: &SeenPicture) -> String {
    let (width, height) = picture.original_size;
    let seen = picture.seen_in_original;
    let size = format!("{width} × {height} px");
    let (w, h) = (seen.width.round() as usize, seen.height.round() as usize);
    match (w.cmp(&width), h.cmp(&height)) {
        (std::cmp::Ordering::Less, _) => format!(
            "{size}: {} px at the left and at the right are not seen",
            ((width - w) as f64 / 2.0).round()
        ),
        (_, std::cmp::Ordering::Less) => format!(
            "{size}: {} px above and below are not seen",
            ((height - h) as f64 / 2.0).round()
        ),
        (std::cmp::Ordering::Greater, _) => {
            format!("{size}, all of it, between bars at the left and at the right")
        }
        (_, std::cmp::Ordering::Greater) => {
            format!("{size}, all of it, between bars above and below")
        }
        _ => format!("{size}, all of it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::preprocess::SeenRect;

    fn picture(size: (usize, usize), left: f64, top: f64, side: f64) -> SeenPicture {
        SeenPicture {
            revision: 1,
            name: "a.png".to_owned(),
            size: 336,
            rgb: Vec::new(),
            original_size: size,
            seen_in_original: SeenRect {
                left,
                top,
                width: side,
                height: side,
            },
        }
    }

    #[test]
    fn what_is_cut_and_what_is_padded() {
        for (picture, words) in [
            (picture((640, 480), 80.0, 0.0, 480.0), "80 px at the left"),
            (picture((480, 640), 0.0, 80.0, 480.0), "80 px above"),
            (
                picture((640, 480), 0.0, -80.0, 640.0),
                "bars above and below",
            ),
            (picture((480, 640), -80.0, 0.0, 640.0), "bars at the left"),
            (
                picture((336, 336), 0.0, 0.0, 336.0),
                "336 × 336 px, all of it",
            ),
        ] {
            assert!(in_words(&picture).contains(words), "{}", in_words(&picture));
        }
    }
}
