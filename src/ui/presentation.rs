//! The window in a talk: the picture, its words and the answer, large; a light around the pointer; no controls.
//!
//! The scale of the type is the shell's matter. It sends nothing but what the picture and a tour send.

use egui::{Color32, Frame, Margin, Mesh, Order, Panel, Pos2, RichText, ScrollArea, Ui, vec2};

use super::ViewCtx;
use super::answer::AnswerPanel;
use super::image_grid::ImageGrid;
use super::labels::level_label;
use super::shortcuts::Actions;
use super::theme::GRID;
use super::tour_card::{self, Playing};

/// Radius of the light, in points.
const LIGHT: f32 = 90.0;

pub fn ui(
    ctx: &ViewCtx<'_>,
    ui: &mut Ui,
    (picture, answer): (&mut ImageGrid, &mut AnswerPanel),
    tour: Option<Playing<'_>>,
    actions: &Actions,
) {
    let size = ui.available_size();
    let side = (size.x - size.y).clamp(0.36 * size.x, 0.5 * size.x);
    let frame = Frame::new()
        .fill(ctx.theme.panel)
        .inner_margin(Margin::symmetric(20, 16));
    Panel::right("presented answer")
        .frame(frame)
        .resizable(false)
        .exact_size(side)
        .show(ui, |ui| {
            ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
                let question = &ctx.session.experiment.prompt;
                ui.add(egui::Label::new(RichText::new(question).heading()).wrap());
                ui.add_space(2.0 * GRID);
                answer.answers(ctx, ui);
                ui.add_space(2.0 * GRID);
                if let Some(trace) = ctx.trace.or(ctx.previous) {
                    let (level, n) = (ctx.level(), trace.model.n_layers);
                    let text = format!("level {level} of {n} · {}", level_label(level, n));
                    ui.label(RichText::new(text).weak());
                }
                if tour.is_some() {
                    ui.separator();
                    tour_card::ui(ctx, ui, tour, actions);
                }
            });
        });
    let shown = egui::CentralPanel::default()
        .frame(Frame::new().fill(ctx.theme.canvas))
        .show(ui, |ui| picture.area(ctx, ui.max_rect(), ui));
    spotlight(ui, shown.response.rect);
}

/// While the pointer is over the picture, all of it but a circle around the pointer is a little darker.
fn spotlight(ui: &Ui, picture: egui::Rect) {
    let pointer = ui.input(|i| i.pointer.hover_pos());
    let Some(pointer) = pointer.filter(|pos| picture.contains(*pos)) else {
        return;
    };
    let far = picture.size().length();
    let shade = super::theme::over_picture::SHADE;
    let mut mesh = Mesh::default();
    let n = 72_u32;
    for step in 0..n {
        let angle = std::f32::consts::TAU * step as f32 / n as f32;
        let out = vec2(angle.cos(), angle.sin());
        let at = |radius: f32| -> Pos2 { pointer + out * radius };
        mesh.colored_vertex(at(LIGHT), Color32::TRANSPARENT);
        mesh.colored_vertex(at(LIGHT + 24.0), shade);
        mesh.colored_vertex(at(far), shade);
        let (here, next) = (3 * step, 3 * ((step + 1) % n));
        for ring in 0..2 {
            mesh.add_triangle(here + ring, here + ring + 1, next + ring);
            mesh.add_triangle(next + ring, here + ring + 1, next + ring + 1);
        }
    }
    let layer = egui::LayerId::new(Order::Foreground, egui::Id::unique("spotlight"));
    let painter = ui.ctx().layer_painter(layer);
    painter.with_clip_rect(picture).add(mesh);
}
