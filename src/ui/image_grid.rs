//! A stand-in for the picture panel: the shell's tests need its cells; the real panel takes its place.

use egui::{Align2, FontId, Rect, Sense, Stroke, Ui, pos2, vec2};

use super::ViewCtx;
use crate::index::Patch;
use crate::session::{Command, GestureId, Tool};

pub struct ImageGrid {
    stroke: Option<(GestureId, bool)>,
}

impl ImageGrid {
    pub fn new(_render_state: Option<&eframe::egui_wgpu::RenderState>) -> Self {
        Self { stroke: None }
    }

    pub fn ui(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui) {
        let area = ui.available_rect_before_wrap();
        ui.allocate_rect(area, Sense::hover());
        ui.painter().rect_filled(area, 0.0, ctx.theme.canvas);
        let Some(grid) = ctx.session.grid else {
            let text = if ctx.progress.is_some() {
                "Loading the model …"
            } else {
                "No picture yet"
            };
            ui.painter().text(
                area.center(),
                Align2::CENTER_CENTER,
                text,
                FontId::proportional(18.0),
                ctx.theme.text_weak,
            );
            return;
        };
        let side = (area.shrink(16.0).size() - vec2(0.0, 48.0)).min_elem();
        let cell = (side / grid.cols as f32).floor();
        let origin = area.center() - vec2(cell * grid.cols as f32, cell * grid.rows as f32) / 2.0;
        let released = ui.input(|i| i.pointer.any_released());
        let pointer = ui.input(|i| {
            i.pointer
                .interact_pos()
                .filter(|_| i.pointer.primary_down())
        });
        for patch in grid.patches() {
            let at = pos2(
                origin.x + f32::from(patch.col) * cell,
                origin.y + f32::from(patch.row) * cell,
            );
            self.cell(
                ctx,
                ui,
                patch,
                Rect::from_min_size(at, vec2(cell, cell)),
                pointer,
            );
        }
        if released {
            self.stroke = None;
        }
    }

    fn cell(
        &mut self,
        ctx: &ViewCtx<'_>,
        ui: &Ui,
        patch: Patch,
        rect: Rect,
        pointer: Option<egui::Pos2>,
    ) {
        let view = &ctx.session.view;
        let on = match view.tool {
            Tool::Ablate => ctx
                .session
                .painted()
                .is_some_and(|(_, set)| set.contains(patch)),
            Tool::Select => view.selection.contains(patch),
        };
        let response = ui.interact(rect, ui.scope_id().with(patch), Sense::click_and_drag());
        let name = format!("Patch row {} column {}", patch.row, patch.col);
        response.widget_info(|| egui::WidgetInfo::selected(egui::Role::Button, true, on, &name));
        let fill = if on {
            ctx.theme.accent_weak
        } else {
            ctx.theme.panel
        };
        ui.painter().rect(
            rect,
            0.0,
            fill,
            Stroke::new(1.0, ctx.theme.outline),
            egui::StrokeKind::Inside,
        );
        let begun = response.is_pointer_button_down_on() || response.dragged();
        let touched =
            pointer.is_some_and(|at| rect.contains(at)) && (begun || self.stroke.is_some());
        let by_key = response.clicked() && self.stroke.is_none() && pointer.is_none();
        if !touched && !by_key {
            return;
        }
        let (gesture, paint) = *self
            .stroke
            .get_or_insert_with(|| (ctx.commands.new_gesture(), !on));
        if by_key {
            self.stroke = None;
        }
        if on != paint {
            ctx.commands.send(match view.tool {
                Tool::Ablate => Command::Paint {
                    patch,
                    on: paint,
                    gesture,
                },
                Tool::Select => Command::SelectPatch { patch, on: paint },
            });
        }
    }
}
