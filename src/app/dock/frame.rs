//! How the docked panes look and what their tabs can do: titles, tooltips, the × that closes, colours, borders.
//!
//! It changes nothing itself: what was closed is told to the dock.

use egui::{Ui, WidgetText};
use egui_tiles::{
    Behavior, EditAction, SimplificationOptions, TabState, Tabs, TileId, Tiles, UiResponse,
};

use super::{LEAST, TABS};
use crate::ui::pane::Pane;
use crate::ui::theme::{GRID, Theme};

/// What the tree asks while it is drawn.
pub struct FrameOfDock<'a> {
    pub theme: &'a Theme,
    pub draw: &'a mut dyn FnMut(&mut Ui, Pane),
    pub picture: Option<TileId>,
    pub close: Option<TileId>,
    pub changed: bool,
}

impl Behavior<Pane> for FrameOfDock<'_> {
    fn pane_ui(&mut self, ui: &mut Ui, _tile: TileId, pane: &mut Pane) -> UiResponse {
        (self.draw)(ui, *pane);
        UiResponse::None
    }

    fn tab_title_for_pane(&mut self, pane: &Pane) -> WidgetText {
        pane.title().into()
    }

    fn on_tab_button(
        &mut self,
        tiles: &mut Tiles<Pane>,
        tile: TileId,
        response: egui::Response,
    ) -> egui::Response {
        match tiles.get_pane(&tile) {
            Some(pane) => response.on_hover_text(format!("{} (drag it elsewhere)", pane.tooltip())),
            None => response,
        }
    }

    fn top_bar_right_ui(
        &mut self,
        tiles: &Tiles<Pane>,
        ui: &mut Ui,
        _tile: TileId,
        tabs: &Tabs,
        _offset: &mut f32,
    ) {
        let Some(active) = tabs.active else { return };
        let Some(pane) = tiles
            .get_pane(&active)
            .filter(|pane| **pane != Pane::Picture)
        else {
            return;
        };
        ui.add_space(GRID);
        let close = egui::Button::new("×").frame(false);
        let name = format!("Close {}", pane.title());
        let tip = format!("{name} (the menu View brings it back)");
        let close = ui.add(close).on_hover_text(tip);
        close.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &name));
        if close.clicked() {
            self.close = Some(active);
        }
    }

    fn is_tab_bar_visible(&self, _tile: TileId, tabs: &Tabs) -> bool {
        let only_picture = matches!(tabs.children[..], [one] if Some(one) == self.picture);
        !only_picture
    }

    fn tab_bar_height(&self, _style: &egui::Style) -> f32 {
        TABS
    }

    fn min_size(&self) -> f32 {
        LEAST
    }

    fn simplification_options(&self) -> SimplificationOptions {
        SimplificationOptions {
            all_panes_must_have_tabs: true,
            prune_single_child_tabs: false,
            ..SimplificationOptions::default()
        }
    }

    fn tab_bar_color(&self, _visuals: &egui::Visuals) -> egui::Color32 {
        self.theme.canvas
    }

    fn tab_bg_color(
        &self,
        _visuals: &egui::Visuals,
        _tiles: &Tiles<Pane>,
        _tile: TileId,
        state: &TabState,
    ) -> egui::Color32 {
        if state.active {
            self.theme.panel
        } else {
            egui::Color32::TRANSPARENT
        }
    }

    fn tab_outline_stroke(
        &self,
        _visuals: &egui::Visuals,
        _tiles: &Tiles<Pane>,
        _tile: TileId,
        _state: &TabState,
    ) -> egui::Stroke {
        egui::Stroke::NONE
    }

    fn tab_text_color(
        &self,
        _visuals: &egui::Visuals,
        _tiles: &Tiles<Pane>,
        _tile: TileId,
        state: &TabState,
    ) -> egui::Color32 {
        if state.active {
            self.theme.text
        } else {
            self.theme.text_weak
        }
    }

    fn resize_stroke(&self, style: &egui::Style, state: egui_tiles::ResizeState) -> egui::Stroke {
        match state {
            egui_tiles::ResizeState::Idle => egui::Stroke::new(1.0, self.theme.outline),
            egui_tiles::ResizeState::Hovering => style.visuals.widgets.hovered.bg_stroke,
            egui_tiles::ResizeState::Dragging => egui::Stroke::new(1.0, self.theme.accent),
        }
    }

    fn on_edit(&mut self, action: EditAction) {
        self.changed |= action != EditAction::TileDragged;
    }
}
