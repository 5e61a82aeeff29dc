//! The picture panel: the picture with heat, words and marks in every patch, its hover card, and the bar below it.
//!
//! It reads a [`ViewCtx`] and sends commands. Its own state is scratch: zoom, the stroke that is being drawn, what
//! was uploaded. It computes nothing about the model.

mod arrows;
mod brush;
mod controls;
mod empty;
mod ground;
mod hover_card;
mod legend;
mod marks;
mod sinks;
mod viewport;
mod words;

use eframe::egui_wgpu::RenderState;
use egui::{Event, Key, Modifiers, PointerButton, Pos2, Rect, Sense, Ui, Vec2, vec2};

use self::brush::Brush;
use self::controls::Controls;
use self::ground::{Ground, Overlay};
use self::viewport::Placed;
pub use self::viewport::Viewport;
use self::words::Words;
use super::greyed::Greyed;
use super::{CommandSender, ShownLevel, ViewCtx, heat, link};
use crate::engine::trace::Trace;
use crate::index::{Patch, PatchGrid};
use crate::session::Session;

/// Strength of what belongs to the run before.
const STALE: f32 = 0.65;
/// Points of the wheel that magnify e times.
const WHEEL: f32 = 300.0;

/// The panel's scratch.
pub struct ImageGrid {
    viewport: Viewport,
    brush: Brush,
    ground: Ground,
    words: Words,
    controls: Controls,
    /// Last position of a pan.
    panning: Option<Pos2>,
    /// The patch that the keyboard is at, once an arrow key was used.
    cursor: Option<Patch>,
    /// The patch under the pointer or at the cursor.
    pointed: Option<Patch>,
    /// The patch that another picture points at.
    linked: Option<Patch>,
    /// Patches that are outlined because something about them differs.
    outlined: Vec<Patch>,
    /// A patch that another panel asked for, and the number of its request.
    revealed: (Option<usize>, u64),
    /// The cursor was moved without the picture having the focus; it stays until the pointer is used.
    free_cursor: bool,
}

impl ImageGrid {
    /// With a render state the heat map is drawn by the shader, without one cell by cell.
    pub fn new(render_state: Option<&RenderState>) -> Self {
        if let Some(render_state) = render_state {
            crate::render::heatmap::install(render_state);
        }
        Self {
            viewport: Viewport::default(),
            brush: Brush::default(),
            ground: Ground::new(render_state.is_some()),
            words: Words::default(),
            controls: Controls::default(),
            panning: None,
            cursor: None,
            pointed: None,
            linked: None,
            outlined: Vec::new(),
            revealed: (None, 0),
            free_cursor: false,
        }
    }

    /// Fills the space that it is given.
    pub fn ui(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui) {
        let full = ui.available_rect_before_wrap();
        let bar_height = Self::bar_height(ctx, full.width());
        let (area, bar) = full.split_top_bottom_at_y((full.bottom() - bar_height).max(full.top()));
        self.area(ctx, area, ui);
        self.bar(ctx, bar, ui);
        ui.advance_cursor_after_rect(full);
    }

    /// Moves the cursor over the patches; the first step brings it to the middle.
    pub fn move_cursor_by(&mut self, rows: i32, cols: i32, grid: PatchGrid) {
        let within = |at: u16, by: i32, n: usize| {
            let last = i32::try_from(n).unwrap_or(i32::MAX).max(1) - 1;
            u16::try_from((i32::from(at) + by).clamp(0, last)).unwrap_or(0)
        };
        let middle = Patch::new((grid.rows / 2) as u16, (grid.cols / 2) as u16);
        self.cursor = Some(match self.cursor {
            Some(at) => Patch::new(
                within(at.row, rows, grid.rows),
                within(at.col, cols, grid.cols),
            ),
            None => middle,
        });
        self.free_cursor = true;
    }

    /// Does at the cursor what a click does there.
    pub fn click_cursor(&self, session: &Session, commands: &CommandSender) {
        if let Some(patch) = self.cursor.filter(|_| self.free_cursor) {
            brush::toggle(patch, session, commands);
        }
    }

    /// Takes the cursor away; tells whether there was one.
    pub fn clear_cursor(&mut self) -> bool {
        self.free_cursor = false;
        self.cursor.take().is_some()
    }

    /// Height of the bar below a picture of some width.
    pub fn bar_height(ctx: &ViewCtx<'_>, width: f32) -> f32 {
        controls::height(width, ctx.session.view.heat)
    }

    /// The picture alone.
    pub fn area(&mut self, ctx: &ViewCtx<'_>, area: Rect, ui: &mut Ui) {
        ui.painter().rect_filled(area, 0.0, ctx.theme.canvas);
        self.pointed = None;
        let shown = shown(ctx);
        match ctx.trace.or(ctx.previous) {
            Some(trace) if trace.picture.size > 0 && !trace.model.grid.is_empty() => {
                self.picture(ctx, trace, shown.as_ref(), area, ui);
            }
            _ => empty::show(ctx, area.shrink(8.0), ui),
        }
    }

    /// The bar below the picture.
    pub fn bar(&mut self, ctx: &ViewCtx<'_>, bar: Rect, ui: &mut Ui) {
        ui.painter().rect_filled(bar, 0.0, ctx.theme.panel);
        let heat = shown(ctx).and_then(|_| heat::of_view(ctx));
        let inner = bar.shrink2(vec2(8.0, 0.0));
        ui.scope_builder(egui::UiBuilder::new().max_rect(inner), |ui| {
            self.controls.ui(ctx, heat.as_ref(), bar.width(), ui);
        });
    }

    /// The patch under the pointer or at the keyboard's cursor, as it was drawn last.
    pub fn pointed(&self) -> Option<Patch> {
        self.pointed
    }

    /// Outlines the patch that another picture points at.
    pub fn link(&mut self, patch: Option<Patch>) {
        self.linked = patch;
    }

    /// Outlines patches that differ in something.
    pub fn outline(&mut self, patches: Vec<Patch>) {
        self.outlined = patches;
    }

    /// Which part of the picture is looked at.
    pub fn sight(&self) -> Viewport {
        self.viewport
    }

    /// Looks at the same part as another picture of the same size.
    pub fn set_sight(&mut self, sight: Viewport) {
        self.viewport = sight;
    }

    fn picture(
        &mut self,
        ctx: &ViewCtx<'_>,
        trace: &Trace,
        shown: Option<&ShownLevel<'_>>,
        area: Rect,
        ui: &Ui,
    ) {
        let grid = trace.model.grid;
        let (area, strip) = arrows::split(ctx, area.shrink(4.0));
        let before = self.viewport.place(area, grid, ui.pixels_per_point());
        let sense = ui.interact(area, ui.scope_id().with("picture"), Sense::drag());
        sense.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, "Picture"));
        self.navigate(ui, &before);
        let placed = self.viewport.place(area, grid, ui.pixels_per_point());
        self.stroke(ctx, ui, &placed);
        self.move_cursor(ctx, ui, &sense, &placed);
        self.draw(ctx, trace, shown, &placed, ui);
        if let Some(strip) = strip {
            arrows::show(ctx, &trace.layout, &placed, strip, ui);
        }
        cells(ctx, &placed, ui);
        let pointed = pointer_in(area, ui).and_then(|pos| placed.patch_at(pos));
        if pointed.is_some() && ui.input(|i| i.pointer.is_moving()) && self.free_cursor {
            self.clear_cursor();
        }
        let by_keys = self.cursor.filter(|_| self.free_cursor);
        let hovered = by_keys
            .or(pointed)
            .or(self.cursor)
            .filter(|_| self.panning.is_none());
        self.pointed = hovered;
        let around = ui.painter().with_clip_rect(area.expand(4.0));
        for patch in &self.outlined {
            marks::differs(*patch, &placed, &around);
        }
        if let (Some(patch), None) = (self.linked, hovered) {
            marks::hovered(patch, &placed, &around);
        }
        self.cursor_icon(ui, pointed.is_some());
        self.tell_others(ui, &placed, pointed, hovered);
        if let Some(patch) = hovered {
            let painter = ui.painter().with_clip_rect(area.expand(4.0));
            marks::hovered(patch, &placed, &painter);
            if !self.brush.is_active() {
                hover_card::show(ctx, shown, patch, placed.cell(patch), ui);
            }
        }
    }

    /// Tells the other panels what the pointer is over and which patch was pressed, and outlines what they point at.
    fn tell_others(
        &mut self,
        ui: &Ui,
        placed: &Placed,
        pointed: Option<Patch>,
        hovered: Option<Patch>,
    ) {
        let ctx = ui.ctx();
        let index = |patch: Patch| placed.grid.index(patch);
        let over: Vec<usize> = hovered.and_then(index).into_iter().collect();
        link::point(ctx, link::From::Picture, over);
        if let Some(patch) = pointed.and_then(index)
            && ui.input(|i| i.pointer.primary_pressed())
        {
            link::reveal(ctx, patch);
        }
        if let Some((patch, number)) = link::revealed(ctx)
            && number != self.revealed.1
        {
            // What was pressed here needs no outline.
            self.revealed = (Some(patch).filter(|_| pointed.is_none()), number);
        }
        let mut others = link::pointed(ctx, link::From::Picture);
        others.extend(self.revealed.0);
        if !others.is_empty() {
            let painter = ui.painter().with_clip_rect(placed.area.expand(4.0));
            marks::pointed(&others, placed, &painter);
        }
    }

    /// Wheel, pinch, and what brings the whole picture back.
    fn navigate(&mut self, ui: &Ui, placed: &Placed) {
        let area = placed.area;
        if let Some(pointer) = pointer_in(area, ui) {
            let (scroll, pinch) = ui.input(|i| (i.smooth_scroll_delta.y, i.zoom_delta()));
            let factor = (scroll / WHEEL).exp() * pinch;
            if factor != 1.0 {
                self.viewport.zoom_at(pointer, factor, placed);
                ui.input_mut(|i| i.smooth_scroll_delta = Vec2::ZERO);
            }
            if ui.input(|i| i.pointer.button_double_clicked(PointerButton::Middle)) {
                self.viewport = Viewport::default();
            }
        }
        if !ui.ctx().text_edit_focused()
            && ui.input(|i| i.key_pressed(Key::Num0) && i.modifiers.is_none())
        {
            self.viewport = Viewport::default();
        }
    }

    /// Walks through the pointer's events in order, so that fast drags keep their whole path.
    fn stroke(&mut self, ctx: &ViewCtx<'_>, ui: &Ui, placed: &Placed) {
        let events = ui.input(|i| i.events.clone());
        for event in events {
            match event {
                Event::PointerButton {
                    pos,
                    button,
                    pressed: true,
                    modifiers,
                } if owns(pos, placed.area, ui) => {
                    self.press(ctx, placed, pos, button, modifiers);
                }
                Event::PointerButton { pressed: false, .. } => {
                    self.brush.release(placed, ctx.session, ctx.commands);
                    self.panning = None;
                }
                Event::PointerMoved(pos) => self.follow(ctx, placed, pos),
                Event::Key {
                    key: Key::Escape, ..
                } => self.brush.cancel(),
                _ => {}
            }
        }
        // A release outside the window may never be told.
        if !ui.input(|i| i.pointer.any_down()) {
            self.brush.release(placed, ctx.session, ctx.commands);
            self.panning = None;
        }
    }

    fn press(
        &mut self,
        ctx: &ViewCtx<'_>,
        placed: &Placed,
        pos: Pos2,
        button: PointerButton,
        modifiers: Modifiers,
    ) {
        self.clear_cursor();
        match button {
            PointerButton::Primary if !modifiers.command => {
                self.brush
                    .press(pos, modifiers, placed, ctx.session, ctx.commands);
            }
            PointerButton::Primary | PointerButton::Middle | PointerButton::Secondary => {
                self.panning = Some(pos);
            }
            PointerButton::Extra1 | PointerButton::Extra2 => {}
        }
    }

    fn follow(&mut self, ctx: &ViewCtx<'_>, placed: &Placed, pos: Pos2) {
        if let Some(last) = self.panning {
            self.viewport.pan(pos - last, placed);
            self.panning = Some(pos);
        }
        self.brush.move_to(pos, placed, ctx.commands);
    }

    /// With the keyboard focus on the picture, arrows move a cursor and Enter is a click.
    fn move_cursor(&mut self, ctx: &ViewCtx<'_>, ui: &Ui, sense: &egui::Response, placed: &Placed) {
        if !sense.has_focus() {
            self.cursor = self.cursor.filter(|_| self.free_cursor);
            return;
        }
        let filter = egui::EventFilter {
            horizontal_arrows: true,
            vertical_arrows: true,
            ..egui::EventFilter::default()
        };
        ui.memory_mut(|m| m.set_focus_lock_filter(sense.id, filter));
        let at = self.cursor.get_or_insert(Patch::new(0, 0));
        let (rows, cols) = (placed.grid.rows as u16, placed.grid.cols as u16);
        ui.input(|i| {
            let n = |key| i.num_presses(key) as u16;
            at.row = (at.row + n(Key::ArrowDown)).min(rows - 1);
            at.row = at.row.saturating_sub(n(Key::ArrowUp));
            at.col = (at.col + n(Key::ArrowRight)).min(cols - 1);
            at.col = at.col.saturating_sub(n(Key::ArrowLeft));
        });
        if ui.input(|i| i.key_pressed(Key::Enter)) {
            brush::toggle(*at, ctx.session, ctx.commands);
        }
    }

    fn draw(
        &mut self,
        ctx: &ViewCtx<'_>,
        trace: &Trace,
        shown: Option<&ShownLevel<'_>>,
        placed: &Placed,
        ui: &Ui,
    ) {
        let view = &ctx.session.view;
        let strength = if shown.is_some_and(|s| s.stale) {
            STALE
        } else {
            1.0
        };
        let overlay = Overlay {
            heat: shown.and_then(|_| heat::of_view(ctx)),
            palette: view.reading.colours.into(),
            opacity: view.opacity * strength,
            show_grid: view.show_grid,
        };
        let painter = ui.painter().with_clip_rect(placed.area);
        self.ground.draw(&trace.picture, &overlay, placed, &painter);
        let around = ui.painter().with_clip_rect(placed.area.expand(3.0));
        let darkened = marks::below_words(ctx.session, placed, &around);
        self.ground.darken(&darkened);
        if let Some(shown) = shown
            && view.show_words
        {
            let vocabulary = &shown.trace.model.vocabulary;
            let greyed = Greyed::of(&view.reading, shown.words, placed.grid.len());
            self.words.draw(
                shown.words,
                &greyed,
                vocabulary,
                placed,
                &self.ground,
                strength,
                &painter,
            );
        }
        marks::above_words(ctx.session, placed, &around);
        sinks::draw(ctx, trace, placed, &around);
        if let Some((first, last, _)) = self.brush.rectangle() {
            marks::rectangle(first, last, placed, &around);
        }
        if let Some(line) = self.brush.lasso() {
            marks::lasso(line, placed, &around);
        }
        progress_line(ctx, placed, &around);
    }

    fn cursor_icon(&self, ui: &Ui, on_patch: bool) {
        let command = ui.input(|i| i.modifiers.command);
        let icon = match (self.panning.is_some(), on_patch) {
            (true, _) => egui::CursorIcon::Grabbing,
            (false, true) if command => egui::CursorIcon::Grab,
            (false, true) => egui::CursorIcon::Crosshair,
            (false, false) => return,
        };
        ui.ctx().set_cursor_icon(icon);
    }
}

/// The level to draw, unless it was read from another picture or grid than the one on screen.
fn shown<'a>(ctx: &'a ViewCtx<'_>) -> Option<ShownLevel<'a>> {
    let picture = ctx.trace.or(ctx.previous)?;
    ctx.shown().filter(|shown| {
        shown.trace.picture.revision == picture.picture.revision
            && shown.trace.model.grid == picture.model.grid
    })
}

/// One widget per cell for assistive technology and scripts. The pointer's clicks are the brush's.
fn cells(ctx: &ViewCtx<'_>, placed: &Placed, ui: &Ui) {
    let id = ui.scope_id().with("patch");
    for patch in placed.grid.patches() {
        let id = id.with((patch.row, patch.col));
        // Not focusable: 576 stops of the Tab key would be no way through the window.
        let response = ui.interact(placed.cell(patch), id, Sense::CLICK);
        let marked = brush::is_marked(ctx.session, patch);
        response.widget_info(|| {
            let name = format!("Patch row {} column {}", patch.row, patch.col);
            egui::WidgetInfo::selected(egui::Role::Button, true, marked, name)
        });
        if response.clicked() && !response.clicked_by(PointerButton::Primary) {
            brush::toggle(patch, ctx.session, ctx.commands);
        }
    }
}

/// Whether a point belongs to the picture and nothing lies above it there.
fn owns(pos: Pos2, area: Rect, ui: &Ui) -> bool {
    area.contains(pos)
        && ui.clip_rect().contains(pos)
        && ui
            .ctx()
            .layer_id_at(pos)
            .is_none_or(|layer| layer == ui.layer_id())
}

fn pointer_in(area: Rect, ui: &Ui) -> Option<Pos2> {
    let pointer = ui.input(|i| i.pointer.hover_pos());
    pointer.filter(|pos| owns(*pos, area, ui))
}

/// A thin line along the picture's upper edge while a run goes on.
fn progress_line(ctx: &ViewCtx<'_>, placed: &Placed, painter: &egui::Painter) {
    if let Some((_, fraction)) = &ctx.progress {
        let visible = placed.visible();
        let track = visible.with_max_y(visible.top() + 2.0);
        painter.rect_filled(track, 0.0, ctx.theme.panel.gamma_multiply(0.8));
        let done = track.with_max_x(track.left() + track.width() * fraction.clamp(0.0, 1.0));
        painter.rect_filled(done, 0.0, ctx.theme.text);
    }
}
