//! The panel "Lens table": rows are patches or all tokens, columns levels, cells top words shaded by probability.
//!
//! Only what is in sight is laid out, so that thousands of cells scroll freely. Hovering a row outlines its patch in the
//! picture and the other way round; a click on a cell sets the level and, as one on a row's name, keeps the patch
//! outlined.

mod cells;
mod rows;

use egui::{Rect, ScrollArea, Ui, Vec2, pos2, vec2};

use self::cells::{Cells, Texts};
use super::theme::GRID;
use super::{ViewCtx, link};
use crate::engine::trace::Trace;
use crate::session::{Command, LensKind, ReadingView, TableRows};

/// Size of a cell, and of the names at the left and above.
const CELL: Vec2 = vec2(76.0, 22.0);
const PATCH_NAMES: f32 = 60.0;
const TOKEN_NAMES: f32 = 148.0;
const LEVELS: f32 = 24.0;

/// The table's scratch.
#[derive(Default)]
pub struct LensTable {
    texts: Texts,
    /// The request to bring a patch into sight that was followed last.
    followed: u64,
}

impl LensTable {
    pub fn ui(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui) {
        choices(ctx, ui);
        ui.add_space(GRID);
        let trace = ctx.trace.or(ctx.previous);
        let levels = trace.map(|trace| &run_of(ctx, trace).levels);
        if !levels.is_some_and(|levels| levels.iter().any(Option::is_some)) {
            link::point(ui.ctx(), link::From::Table, Vec::new());
            let text = super::why_empty(ctx, "The words appear here with the first run");
            ui.label(egui::RichText::new(text).small().weak());
            return;
        }
        if let Some(trace) = trace {
            self.table(ctx, trace, ui);
        }
    }

    fn table(&mut self, ctx: &ViewCtx<'_>, trace: &Trace, ui: &mut Ui) {
        let rows = rows::of_view(ctx, trace);
        let n_levels = trace.model.n_layers + 1;
        let names = match rows.iter().all(|row| row.patch().is_some()) {
            true => PATCH_NAMES,
            false => TOKEN_NAMES,
        };
        let size = vec2(
            names + CELL.x * n_levels as f32,
            LEVELS + CELL.y * rows.len() as f32,
        );
        let mut area = ScrollArea::both()
            .id_salt("lens table")
            .auto_shrink(false)
            .min_scrolled_height(240.0);
        if let Some((patch, number)) = link::revealed(ui.ctx())
            && number != self.followed
        {
            self.followed = number;
            let at = rows.iter().position(|row| row.patch() == Some(patch));
            if let Some(at) = at {
                let half = (ui.available_height() - LEVELS) / 2.0;
                let offset = CELL.y * at as f32 - half;
                area = area.vertical_scroll_offset(offset.max(0.0));
            }
        }
        area.show_viewport(ui, |ui, viewport| {
            ui.set_min_size(size);
            let origin = ui.min_rect().min;
            let place = Place {
                origin,
                viewport: viewport.translate(origin.to_vec2()),
                n_rows: rows.len(),
                n_levels,
                names,
            };
            let cells = Cells::new(ctx, trace, &rows, &place);
            let pointed = cells.ui(&mut self.texts, ui);
            link::point(ui.ctx(), link::From::Table, pointed);
        });
        // What was asked for here is in sight already.
        self.followed = link::revealed(ui.ctx()).map_or(0, |(_, number)| number);
    }
}

/// Where the cells lie on the screen.
struct Place {
    origin: egui::Pos2,
    /// What is in sight.
    viewport: Rect,
    n_rows: usize,
    n_levels: usize,
    /// Width of the rows' names.
    names: f32,
}

impl Place {
    fn cell(&self, row: usize, level: usize) -> Rect {
        let x = self.origin.x + self.names + CELL.x * level as f32;
        let y = self.origin.y + LEVELS + CELL.y * row as f32;
        Rect::from_min_size(pos2(x, y), CELL)
    }

    /// A row's name: always at the left edge.
    fn row_name(&self, row: usize) -> Rect {
        let y = self.origin.y + LEVELS + CELL.y * row as f32;
        Rect::from_min_size(pos2(self.viewport.left(), y), vec2(self.names, CELL.y))
    }

    /// A level's name: always at the upper edge.
    fn level_name(&self, level: usize) -> Rect {
        let x = self.origin.x + self.names + CELL.x * level as f32;
        Rect::from_min_size(pos2(x, self.viewport.top()), vec2(CELL.x, LEVELS))
    }

    /// The part of the cells that no name covers.
    fn body(&self) -> Rect {
        Rect::from_min_max(
            self.viewport.min + vec2(self.names, LEVELS),
            self.viewport.max,
        )
    }

    fn rows(&self) -> std::ops::Range<usize> {
        let body = self.body();
        let at = |y: f32| ((y - self.origin.y - LEVELS) / CELL.y).max(0.0);
        let last = (at(body.bottom()).ceil() as usize).min(self.n_rows);
        (at(body.top()) as usize).min(last)..last
    }

    fn levels(&self) -> std::ops::Range<usize> {
        let body = self.body();
        let at = |x: f32| ((x - self.origin.x - self.names) / CELL.x).max(0.0);
        let last = (at(body.right()).ceil() as usize).min(self.n_levels);
        (at(body.left()) as usize).min(last)..last
    }
}

/// The run on screen.
fn run_of<'a>(ctx: &ViewCtx<'_>, trace: &'a Trace) -> &'a crate::engine::trace::RunReadout {
    if ctx.session.view.show_clean {
        &trace.baseline
    } else {
        &trace.edited
    }
}

/// Which rows, and by which lens.
fn choices(ctx: &ViewCtx<'_>, ui: &mut Ui) {
    let before = &ctx.session.view.reading;
    let mut reading: ReadingView = before.clone();
    ui.horizontal_wrapped(|ui| {
        ui.label("Rows");
        for (rows, name, tip) in [
            (
                TableRows::Patches,
                "Patches",
                "The selected patches; all where none is selected",
            ),
            (
                TableRows::AllTokens,
                "All tokens",
                "System, picture, question and answer; reads the other tokens as well",
            ),
        ] {
            let item = ui.selectable_label(reading.rows == rows, name);
            if item.on_hover_text(tip).clicked() {
                reading.rows = rows;
            }
        }
        ui.add_space(2.0 * GRID);
        ui.label("Lens");
        for (lens, name, tip) in [
            (
                LensKind::Logit,
                "Logit",
                "softmax(lm_head(final_norm(residual))): what the model would say if this level were its last",
            ),
            (
                LensKind::Cosine,
                "Cosine",
                "Cosine to the input embeddings: clearer at the first levels; in the picture, too",
            ),
        ] {
            let item = ui.selectable_label(reading.lens == lens, name);
            if item.on_hover_text(tip).clicked() {
                reading.lens = lens;
            }
        }
    });
    if reading != *before {
        ctx.commands.send(Command::SetReading(reading));
    }
}
