//! Where the panels stand in the window, and the context that they read. It changes nothing.

use egui::{CentralPanel, Frame, Margin, Panel, ScrollArea, Stroke, Ui};

use super::{Panels, PatchglassApp};
use crate::ui::shortcuts::Actions;
use crate::ui::top_bar::FileState;
use crate::ui::{ViewCtx, about, help, level_strip, notices, status, tool_strip, top_bar};

impl PatchglassApp {
    /// All panels of one frame.
    pub(super) fn draw(&mut self, ui: &mut Ui, name: &str, unsaved: bool) {
        let theme = if ui.visuals().dark_mode {
            &self.dark
        } else {
            &self.light
        };
        let view = ViewCtx {
            session: &self.session,
            trace: self.runs.trace(),
            previous: self.runs.previous(),
            progress: self.runs.progress(),
            sweeps: self.runs.sweeps(),
            error: self.runs.error(),
            theme,
            commands: &self.commands,
        };
        let file = FileState {
            name,
            unsaved,
            theme: ui.ctx().options(|o| o.theme_preference),
        };
        let (panels, actions) = (&mut self.panels, &self.actions);
        let frame = |x, y| {
            Frame::new()
                .fill(theme.panel)
                .inner_margin(Margin::symmetric(x, y))
        };
        Panel::top("top bar")
            .frame(frame(8, 6))
            .show(ui, |ui| top_bar::ui(&view, ui, &file, actions));
        Panel::bottom("status")
            .frame(frame(8, 0))
            .exact_size(status::HEIGHT)
            .show(ui, |ui| {
                status::ui(&view, ui, self.runs.last(), actions);
            });
        Panel::bottom("levels")
            .frame(frame(12, 4))
            .exact_size(level_strip::HEIGHT + 8.0)
            .show(ui, |ui| {
                panels.level_strip.ui(&view, ui, actions);
            });
        Panel::left("tools")
            .frame(frame(4, 8))
            .resizable(false)
            .exact_size(tool_strip::WIDTH + 8.0)
            .show(ui, |ui| {
                tool_strip::ui(&view, ui, actions);
            });
        side_panel(&view, ui, frame(0, 0), panels, actions);
        let canvas = Frame::new().fill(theme.canvas);
        let over = CentralPanel::default()
            .frame(canvas)
            .show(ui, |ui| panels.picture.ui(&view, ui))
            .response
            .rect;
        notices::error_bar(&view, ui, over, actions);
        notices::drop_hint(&view, ui);
        panels.path_prompt.ui(ui.ctx(), actions);
        help::window(ui.ctx(), &mut panels.show_keys);
        about::window(ui.ctx(), &mut panels.show_about);
    }
}

/// Question, answers, interventions and sweeps, at the right.
fn side_panel(
    view: &ViewCtx<'_>,
    ui: &mut Ui,
    frame: Frame,
    panels: &mut Panels,
    actions: &Actions,
) {
    let most = (ui.available_width() - 400.0).max(320.0);
    let panel = Panel::right("side")
        .frame(frame)
        .default_size(408.0)
        .size_range(320.0..=most);
    panel.show(ui, |ui| {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            Frame::new()
                .inner_margin(Margin::symmetric(12, 8))
                .show(ui, |ui| {
                    panels.question.ui(view, ui);
                    divider(view, ui);
                    panels.answer.ui(view, ui);
                    divider(view, ui);
                    panels.interventions.ui(view, ui, actions);
                    divider(view, ui);
                    panels.sweep.ui(view, ui, actions);
                    divider(view, ui);
                    panels.selection.ui(view, ui, actions);
                });
        });
    });
}

fn divider(view: &ViewCtx<'_>, ui: &mut Ui) {
    ui.add_space(4.0);
    let (rect, _) =
        ui.allocate_exact_size(egui::vec2(ui.available_width(), 1.0), egui::Sense::hover());
    ui.painter().hline(
        rect.x_range(),
        rect.center().y,
        Stroke::new(1.0, view.theme.outline),
    );
}
