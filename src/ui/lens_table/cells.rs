//! The cells of the lens table that are in sight, and the names at its edges.

use std::collections::HashMap;
use std::sync::Arc;

use egui::epaint::Mesh;
use egui::text::LayoutJob;
use egui::{Align2, Color32, FontId, Painter, Rect, Sense, Shape, Stroke, Ui, pos2, vec2};

use super::rows::Row;
use super::{CELL, LEVELS, Place};
use crate::engine::trace::{LevelReadout, RunReadout, Trace, Vocabulary};
use crate::labels;
use crate::render::colormap::{self, Palette};
use crate::session::{Command, LensKind, Scale};
use crate::ui::glyphs::drawable;
use crate::ui::greyed::Greyed;
use crate::ui::scale::Placing;
use crate::ui::theme::{over_picture, over_scale};
use crate::ui::{ViewCtx, link, style};

/// Texts of tokens, as far as the fonts can draw them.
#[derive(Default)]
pub struct Texts {
    vocabulary: Option<Arc<Vocabulary>>,
    texts: HashMap<u32, Arc<str>>,
}

impl Texts {
    fn keep_for(&mut self, vocabulary: &Arc<Vocabulary>) {
        let same = |kept: &Arc<Vocabulary>| Arc::ptr_eq(kept, vocabulary);
        if !self.vocabulary.as_ref().is_some_and(same) {
            self.texts.clear();
            self.vocabulary = Some(vocabulary.clone());
        }
    }

    fn get(&mut self, id: u32, vocabulary: &Vocabulary, painter: &Painter) -> Arc<str> {
        let text = self.texts.entry(id).or_insert_with(|| {
            let font = FontId::proportional(style::SMALL);
            drawable(&vocabulary.short(id), &font, painter).into()
        });
        text.clone()
    }
}

/// All that is in sight, for one frame.
pub struct Cells<'a> {
    ctx: &'a ViewCtx<'a>,
    trace: &'a Trace,
    run: &'a RunReadout,
    rows: &'a [Row],
    place: &'a Place,
    lens: LensKind,
}

/// What a level's column needs.
struct Column {
    level: usize,
    greyed: Greyed,
    placing: Placing,
}

impl<'a> Cells<'a> {
    pub fn new(ctx: &'a ViewCtx<'a>, trace: &'a Trace, rows: &'a [Row], place: &'a Place) -> Self {
        Self {
            ctx,
            trace,
            run: super::run_of(ctx, trace),
            rows,
            place,
            lens: ctx.session.view.reading.lens,
        }
    }

    /// Draws them and gives the patch under the pointer.
    pub fn ui(&self, texts: &mut Texts, ui: &Ui) -> Vec<usize> {
        texts.keep_for(&self.trace.model.vocabulary);
        let columns: Vec<Column> = self.place.levels().map(|l| self.column(l)).collect();
        let others = link::pointed(ui.ctx(), link::From::Table);
        let body = self.place.body();
        let painter = ui.painter().with_clip_rect(body.intersect(ui.clip_rect()));
        let mut over = None;
        let (mut ground, mut shapes) = (Mesh::default(), Vec::new());
        for at in self.place.rows() {
            for column in &columns {
                let rect = self.place.cell(at, column.level);
                let top = self.rows[at].top(self.run, column.level, self.lens);
                let ink = self.ground(rect, top, column, &mut ground);
                if let Some((id, _)) = top {
                    let text = texts.get(id, &self.trace.model.vocabulary, &painter);
                    shapes.push(word(&text, rect, ink, &painter));
                }
                if self.interact(at, column.level, top, rect.intersect(body), ui) {
                    over = Some(at);
                }
            }
        }
        painter.add(Shape::mesh(ground));
        painter.extend(shapes);
        self.level_on_screen(&painter);
        over = self.row_names(&others, ui).or(over);
        self.level_names(ui);
        if let Some(at) = over {
            self.outline(at, &painter, self.ctx.theme.text);
        }
        for (at, row) in self.rows.iter().enumerate() {
            if row.patch().is_some_and(|patch| others.contains(&patch)) {
                self.outline(at, &painter, self.ctx.theme.accent);
            }
        }
        let patch = over.and_then(|at| self.rows[at].patch());
        patch.into_iter().collect()
    }

    fn column(&self, level: usize) -> Column {
        let reading = &self.ctx.session.view.reading;
        let readout = match self.lens {
            LensKind::Logit => self.run.levels.get(level),
            LensKind::Cosine => self.run.cosine.get(level),
        };
        let nothing = LevelReadout::default();
        let readout = readout.and_then(Option::as_deref).unwrap_or(&nothing);
        let n = self.trace.model.grid.len();
        let firsts = || readout.probs.iter().step_by(readout.top_k.max(1)).copied();
        let values: Vec<f32> = match reading.scale {
            Scale::Percentile => firsts().collect(),
            _ => Vec::new(),
        };
        Column {
            level,
            greyed: Greyed::of(reading, readout, n),
            placing: Placing::new(reading.scale, (0.0, 1.0), &values),
        }
    }

    /// Shades a cell and gives the colour of its text.
    fn ground(
        &self,
        rect: Rect,
        top: Option<(u32, f32)>,
        column: &Column,
        mesh: &mut Mesh,
    ) -> Color32 {
        let theme = self.ctx.theme;
        let rect = rect.shrink(0.5);
        let Some((id, value)) = top else {
            mesh.add_colored_rect(rect, theme.outline.gamma_multiply(0.25));
            return theme.text_weak;
        };
        if column.greyed.is(id, &self.trace.model.vocabulary) {
            return theme.text_weak;
        }
        let palette = Palette::from(self.ctx.session.view.reading.colours);
        let place = column.placing.place(value);
        let Some(rgb) = palette.color(place, (0.0, 1.0)) else {
            return theme.text_weak;
        };
        mesh.add_colored_rect(rect, over_picture::rgb(rgb));
        match colormap::wants_dark_text(rgb) {
            true => over_scale::DARK,
            false => over_scale::LIGHT,
        }
    }

    /// Name and click of a cell; whether the pointer is on it.
    fn interact(
        &self,
        at: usize,
        level: usize,
        top: Option<(u32, f32)>,
        rect: Rect,
        ui: &Ui,
    ) -> bool {
        if !rect.is_positive() {
            return false;
        }
        let id = ui.scope_id().with(("cell", at, level));
        // Not focusable: thousands of stops of the Tab key would be no way through the window.
        let response = ui.interact(rect, id, Sense::CLICK);
        let text = || {
            let row = self.rows[at].name(self.trace, self.run);
            let level = labels::level_label(level, self.trace.model.n_layers);
            match top {
                Some((id, value)) => {
                    let piece = self.trace.model.vocabulary.piece(id);
                    format!("{row}, {level}: {piece} {}", self.number(value))
                }
                None => format!("{row}, {level}: not read yet"),
            }
        };
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, text()));
        if response.clicked() {
            self.ctx.commands.send(Command::SetLevel(level));
            if let Some(patch) = self.rows[at].patch() {
                link::reveal(ui.ctx(), patch);
            }
        }
        let hovered = response.hovered();
        if hovered {
            response.on_hover_text(text());
        }
        hovered
    }

    fn number(&self, value: f32) -> String {
        match self.lens {
            LensKind::Logit => labels::probability(value),
            LensKind::Cosine => format!("cos {}", labels::number(value)),
        }
    }

    fn level_on_screen(&self, painter: &Painter) {
        let level = self.ctx.level();
        let column = self.place.cell(0, level);
        let y = self.place.body().y_range();
        let stroke = Stroke::new(1.5, self.ctx.theme.accent);
        for x in [column.left(), column.right()] {
            painter.vline(x, y, stroke);
        }
    }

    fn outline(&self, at: usize, painter: &Painter, color: Color32) {
        let first = self.place.cell(at, 0);
        let last = self.place.cell(at, self.place.n_levels.saturating_sub(1));
        let rect = first.union(last);
        if rect.intersects(self.place.body()) {
            let stroke = Stroke::new(1.5, color);
            painter.rect_stroke(rect, 0.0, stroke, egui::StrokeKind::Inside);
        }
    }

    /// Names of the rows, which a click keeps outlined in the picture; gives the one under the pointer.
    fn row_names(&self, others: &[usize], ui: &Ui) -> Option<usize> {
        let theme = self.ctx.theme;
        let names = Rect::from_min_max(
            self.place.viewport.min + vec2(0.0, LEVELS),
            pos2(
                self.place.viewport.left() + self.place.names,
                self.place.viewport.bottom(),
            ),
        );
        let painter = ui.painter().with_clip_rect(names.intersect(ui.clip_rect()));
        painter.rect_filled(names, 0.0, theme.panel);
        let selection = &self.ctx.session.view.selection;
        let mut over = None;
        for at in self.place.rows() {
            let row = self.rows[at];
            let rect = self.place.row_name(at);
            let name = row.name(self.trace, self.run);
            let sense = if row.patch().is_some() {
                Sense::click()
            } else {
                Sense::hover()
            };
            let id = ui.scope_id().with(("row", at));
            let response = ui.interact(rect.intersect(names), id, sense);
            let patch = row.patch().map(|patch| self.trace.model.grid.patch(patch));
            let on = patch.is_some_and(|patch| selection.contains(patch));
            let role = if patch.is_some() {
                egui::Role::Button
            } else {
                egui::Role::Label
            };
            response.widget_info(|| {
                let name = format!("Row {name}");
                egui::WidgetInfo::selected(role, true, on, name)
            });
            if response.clicked()
                && let Some(index) = row.patch()
            {
                link::reveal(ui.ctx(), index);
            }
            let lit = response.hovered() || row.patch().is_some_and(|p| others.contains(&p));
            let ink = if lit || on {
                theme.text
            } else {
                theme.text_weak
            };
            let font = FontId::proportional(style::SMALL);
            let at_left = rect.left_center() + vec2(4.0, 0.0);
            let text = drawable(&name, &font, &painter);
            painter.text(at_left, Align2::LEFT_CENTER, text, font, ink);
            if response.hovered() {
                over = Some(at);
            }
        }
        over
    }

    /// Numbers of the levels, which a click shows.
    fn level_names(&self, ui: &Ui) {
        let theme = self.ctx.theme;
        let viewport = self.place.viewport;
        let names = viewport.with_max_y(viewport.top() + LEVELS);
        let clip = names.intersect(ui.clip_rect());
        ui.painter()
            .with_clip_rect(clip)
            .rect_filled(names, 0.0, theme.panel);
        let names = names.with_min_x(names.left() + self.place.names);
        let painter = ui.painter().with_clip_rect(names.intersect(ui.clip_rect()));
        for level in self.place.levels() {
            let rect = self.place.level_name(level);
            let id = ui.scope_id().with(("level", level));
            let response = ui.interact(rect.intersect(names), id, Sense::CLICK);
            let long = labels::level_label(level, self.trace.model.n_layers);
            let name = format!("Column {level}, {long}");
            response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &name));
            if response.clicked() {
                self.ctx.commands.send(Command::SetLevel(level));
            }
            let ink = match level == self.ctx.level() {
                true => theme.text,
                false => theme.text_weak,
            };
            let font = FontId::monospace(style::SMALL);
            painter.text(rect.center(), Align2::CENTER_CENTER, level, font, ink);
        }
    }
}

fn word(text: &str, rect: Rect, ink: Color32, painter: &Painter) -> Shape {
    let font = FontId::proportional(style::SMALL);
    let mut job = LayoutJob::simple_singleline(text.to_owned(), font, Color32::PLACEHOLDER);
    job.wrap = egui::text::TextWrapping::truncate_at_width(CELL.x - 8.0);
    let galley = painter.layout_job(job);
    let pos = pos2(rect.left() + 4.0, rect.center().y - galley.size().y / 2.0);
    Shape::galley(pos, galley, ink)
}
