//! Where the panels stand in the window, and the context that they read. It changes nothing.

use egui::{CentralPanel, Frame, Margin, Panel, Rect, ScrollArea, Stroke, Ui};

use super::{Panels, PatchglassApp};
use crate::ui::image_grid::ImageGrid;
use crate::ui::pane::Pane;
use crate::ui::shortcuts::Actions;
use crate::ui::top_bar::FileState;
use crate::ui::tour_card::Playing;
use crate::ui::{
    ViewCtx, about, help, level_strip, notices, presentation, status, tool_strip, top_bar,
    tour_card, verify_window,
};

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
        let open: Vec<Pane> = Pane::ALL
            .iter()
            .copied()
            .filter(|pane| self.dock.is_open(*pane))
            .collect();
        let recent: Vec<(&str, &str)> = self.memory.recent.all().collect();
        let file = FileState {
            name,
            unsaved,
            theme: ui.ctx().options(|o| o.theme_preference),
            open: &open,
            recent: &recent,
        };
        let (panels, actions) = (&mut self.panels, &self.actions);
        let tour = self.tour.as_ref().map(super::touring::Play::playing);
        if self.presenting {
            let parts = (&mut panels.picture, &mut panels.answer);
            return presentation::ui(&view, ui, parts, tour, actions);
        }
        let frame = |x, y| {
            Frame::new()
                .fill(theme.panel)
                .inner_margin(Margin::symmetric(x, y))
        };
        Panel::top("top bar")
            .frame(frame(8, 6))
            .show(ui, |ui| top_bar::ui(&view, ui, &file, actions));
        if self.memory.can_bring_back() {
            Panel::top("bring back")
                .frame(frame(12, 4))
                .show(ui, |ui| notices::bring_back(&view, ui, actions));
        }
        Panel::bottom("status")
            .frame(frame(8, 0))
            .exact_size(status::HEIGHT)
            .show(ui, |ui| {
                let (last, task) = (self.runs.last(), self.runs.tasks().now());
                status::ui(&view, ui, last, task, actions);
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
        let mut over = Rect::NOTHING;
        let dock = &mut self.dock;
        CentralPanel::default()
            .frame(Frame::new().fill(theme.panel))
            .show(ui, |ui| {
                dock.ui(ui, theme, &mut |ui, pane| {
                    if pane == Pane::Picture {
                        let room = ui.max_rect();
                        let bar = ImageGrid::bar_height(&view, room.width());
                        over = room.with_max_y(room.bottom() - bar);
                    }
                    panels.draw_pane(&view, ui, pane, (tour, actions));
                });
            });
        notices::error_bar(&view, ui, over, self.runs.can_use_cpu(), actions);
        notices::drop_hint(&view, ui);
        panels.path_prompt.ui(ui.ctx(), actions);
        panels
            .palette
            .ui(&view, ui, self.memory.recent.all(), actions);
        help::window(ui.ctx(), &mut panels.show_keys);
        about::window(ui.ctx(), &mut panels.show_about);
        let (models, show) = (&mut panels.models, &mut panels.show_models);
        let recent: Vec<&str> = self
            .memory
            .recent
            .models
            .iter()
            .map(String::as_str)
            .collect();
        let known = (&self.models.state, recent.as_slice());
        models.ui(ui.ctx(), theme, known, show, actions);
        let tasks = self.runs.tasks();
        let verifying = verify_window::Verifying {
            found: tasks.found(),
            running: tasks.is_busy(),
            stage: tasks.progress(),
        };
        verify_window::window(
            ui.ctx(),
            theme,
            &verifying,
            &mut panels.show_verify,
            actions,
        );
    }
}

/// The tour that is played, and where actions go.
type About<'a> = (Option<Playing<'a>>, &'a Actions);

impl Panels {
    /// Draws one pane in its place. A new pane is an arm here and a row in `ui/pane.rs`.
    fn draw_pane(&mut self, view: &ViewCtx<'_>, ui: &mut Ui, pane: Pane, about: About<'_>) {
        if !pane.scrolls() {
            return self.fill_pane(view, ui, pane, about);
        }
        let margin = Frame::new().inner_margin(Margin::symmetric(12, 8));
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            margin.show(ui, |ui| self.fill_pane(view, ui, pane, about));
        });
    }

    fn fill_pane(&mut self, view: &ViewCtx<'_>, ui: &mut Ui, pane: Pane, about: About<'_>) {
        let (tour, actions) = about;
        match pane {
            Pane::Picture => {
                ui.painter()
                    .rect_filled(ui.max_rect(), 0.0, view.theme.canvas);
                match view.session.view.compare {
                    true => self.compare.ui(&mut self.picture, view, ui),
                    false => self.picture.ui(view, ui),
                }
            }
            Pane::Answer => {
                self.question.ui(view, ui);
                divider(view, ui);
                self.answer.ui(view, ui);
            }
            Pane::Interventions => self.interventions.ui(view, ui, actions),
            Pane::Sweep => self.sweep.ui(view, ui, actions),
            Pane::Selection => self.selection.ui(view, ui, actions),
            Pane::Words => self.words.ui(view, ui),
            Pane::LensTable | Pane::Difference | Pane::Legend => {
                let margin = Frame::new().inner_margin(Margin::symmetric(12, 8));
                margin.show(ui, |ui| match pane {
                    Pane::LensTable => self.table.ui(view, ui),
                    Pane::Difference => self.difference.ui(view, ui),
                    _ => self.legend.ui(view, ui),
                });
            }
            Pane::Attention => self.attention.ui(view, ui, actions),
            Pane::Attribution => self.attribution.ui(view, ui, actions),
            Pane::Runs => self.run_list.ui(view, ui, actions),
            Pane::Tour => tour_card::ui(view, ui, tour, actions),
            Pane::Unknown => {}
        }
    }
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
