//! What lies over the picture for a while: the last failure, and the hint while a file is being dragged in.
//!
//! Both float, so that nothing moves when they come or go.

use egui::{Align2, Area, Frame, Id, Order, Rect, RichText, Stroke, Ui, vec2};

use super::ViewCtx;
use super::shortcuts::{Action, Actions};
use super::style;

/// At the bottom edge of `over`: what failed and what to do; `can_use_cpu` offers the CPU.
pub fn error_bar(ctx: &ViewCtx<'_>, ui: &Ui, over: Rect, can_use_cpu: bool, actions: &Actions) {
    let Some(error) = ctx.error else {
        return;
    };
    let width = over.width() - 32.0;
    Area::new(Id::unique("error bar"))
        .order(Order::Middle)
        .pivot(Align2::CENTER_BOTTOM)
        .fixed_pos(over.center_bottom() - vec2(0.0, 12.0))
        .show(ui.ctx(), |ui| {
            let frame = Frame::window(ui.style())
                .stroke(Stroke::new(1.0, ctx.theme.error))
                .inner_margin(egui::Margin::symmetric(12, 6));
            let response = frame.show(ui, |ui| {
                ui.set_width(width - 24.0);
                ui.horizontal(|ui| {
                    ui.label(RichText::new("Failed").color(ctx.theme.error).strong());
                    // The whole sentence: it says what to do.
                    let text = egui::Label::new(error).selectable(true).wrap();
                    let buttons = if can_use_cpu { 190.0 } else { 80.0 };
                    let room = vec2(ui.available_width() - buttons, 24.0);
                    let layout = egui::Layout::top_down(egui::Align::Min);
                    ui.allocate_ui_with_layout(room, layout, |ui| {
                        ui.set_min_width(room.x);
                        ui.add(text);
                    });
                    let use_cpu =
                        "Compute on the CPU from now on: slower, with the machine's own memory";
                    if can_use_cpu && ui.button("Use the CPU").on_hover_text(use_cpu).clicked() {
                        actions.send(Action::UseCpu);
                    }
                    if ui
                        .button("Dismiss")
                        .on_hover_text("Close this message")
                        .clicked()
                    {
                        actions.send(Action::DismissError);
                    }
                });
            });
            let id = response.response.id;
            response
                .response
                .widget_info(|| egui::WidgetInfo::labeled(egui::Role::Alert, true, "Error"));
            ui.ctx()
                .accesskit_node_builder(id, |node| node.set_value(error));
        });
}

/// A line under the menus: a session was not saved and can be brought back.
pub fn bring_back(ctx: &ViewCtx<'_>, ui: &mut Ui, actions: &Actions) {
    ui.horizontal(|ui| {
        ui.label(RichText::new("Not saved").color(ctx.theme.accent).strong());
        ui.label("An earlier session was not saved.");
        if ui
            .button("Bring back")
            .on_hover_text("Open the session as it was after the last edit")
            .clicked()
        {
            actions.send(Action::BringBack);
        }
        if ui
            .button("Discard")
            .on_hover_text("Delete what was kept of it")
            .clicked()
        {
            actions.send(Action::DiscardLost);
        }
    });
}

/// Covers the window while files are held over it.
pub fn drop_hint(ctx: &ViewCtx<'_>, ui: &Ui) {
    let hovering = ui.input(|i| !i.raw.hovered_files.is_empty());
    if !hovering {
        return;
    }
    let screen = ui.ctx().content_rect();
    let painter = ui.ctx().layer_painter(egui::LayerId::new(
        Order::Foreground,
        Id::unique("drop hint"),
    ));
    painter.rect_filled(screen, 0.0, ctx.theme.canvas.gamma_multiply(0.94));
    let frame = screen.shrink(24.0);
    let corners = [
        frame.left_top(),
        frame.right_top(),
        frame.right_bottom(),
        frame.left_bottom(),
        frame.left_top(),
    ];
    painter.extend(egui::Shape::dashed_line(
        &corners,
        Stroke::new(2.0, ctx.theme.accent),
        12.0,
        8.0,
    ));
    painter.text(
        screen.center(),
        Align2::CENTER_CENTER,
        "Drop a picture, a model (a folder or .gguf) or a session file",
        egui::FontId::proportional(style::LARGE),
        ctx.theme.text,
    );
}
