//! The panel "Difference": which cells changed their top word between the clean and the edited run, and how far.
//!
//! The list is that of the trace on screen, the most changed first; a click goes to the patch and its level.

use egui::{Align2, FontId, RichText, ScrollArea, Sense, Ui, vec2};

use super::glyphs::drawable;
use super::heat::above_floor;
use super::theme::GRID;
use super::{ViewCtx, link, style};
use crate::engine::protocol::RunId;
use crate::engine::trace::Trace;
use crate::labels;
use crate::session::{Command, HeatKind};

const ROW: f32 = 24.0;
/// Cells that are listed.
const N_LISTED: usize = 500;
/// Levels that are named as those that changed most.
const N_LEVELS: usize = 3;

/// A cell and what became of it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Changed {
    level: usize,
    patch: usize,
    was: (u32, f32),
    is: (u32, f32),
    /// KL from the clean run in nats, 0 within rounding; `None` where it is not measured.
    kl: Option<f32>,
    /// Relative change of the residual row.
    moved: f32,
}

/// What was found in a trace.
#[derive(Default)]
struct Found {
    /// Run, levels read, levels whose KL is measured.
    of: Option<(RunId, usize, usize)>,
    /// Cells whose top word changed, the most changed first.
    cells: Vec<Changed>,
    /// Of each level: cells that changed, and the largest KL.
    levels: Vec<(usize, f32)>,
    n_cells: usize,
}

/// The panel keeps what it found until another trace comes.
#[derive(Default)]
pub struct DifferencePanel {
    found: Found,
}

impl DifferencePanel {
    pub fn ui(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui) {
        switches(ctx, ui);
        let trace = ctx.trace.or(ctx.previous);
        let Some(trace) = trace.filter(|trace| trace.has_edits) else {
            link::point(ui.ctx(), link::From::Difference, Vec::new());
            return weak(
                ui,
                super::why_empty(
                    ctx,
                    "Switch an intervention on to see which words it changes",
                ),
            );
        };
        self.found.update(trace);
        if self.found.n_cells == 0 {
            link::point(ui.ctx(), link::From::Difference, Vec::new());
            return weak(ui, super::why_empty(ctx, "Nothing is read yet"));
        }
        self.summary(ctx, trace, ui);
        ui.add_space(GRID);
        self.list(ctx, trace, ui);
    }

    fn summary(&self, ctx: &ViewCtx<'_>, trace: &Trace, ui: &mut Ui) {
        let (found, level) = (&self.found, ctx.level());
        let n = found.cells.len();
        let share = 100.0 * n as f32 / found.n_cells as f32;
        let here = found.levels.get(level).map_or(0, |(n, _)| *n);
        let text = format!(
            "{n} of {} cells changed their top word ({share:.1} %), {here} at this level",
            found.n_cells
        );
        weak(ui, &text);
        let mut levels: Vec<usize> = (0..found.levels.len()).collect();
        levels.sort_by_key(|level| std::cmp::Reverse(found.levels[*level].0));
        ui.horizontal_wrapped(|ui| {
            ui.label(RichText::new("Most at").small().weak());
            for level in levels.into_iter().take(N_LEVELS) {
                let (n, _) = found.levels[level];
                let name = labels::level_label(level, trace.model.n_layers);
                let link = ui.link(RichText::new(format!("{name} ({n})")).small());
                if link.on_hover_text("Show this level").clicked() {
                    ctx.commands.send(Command::SetLevel(level));
                }
            }
        });
        let read = trace.edited.divergence.get(level).and_then(Option::as_ref);
        if let Some(read) = read {
            let largest = read.values.iter().copied().fold(0.0, f32::max);
            let text = format!(
                "KL at this level: largest {} nats; noise floor {} nats, the same pass with nothing changed",
                labels::number(largest),
                labels::number(read.floor)
            );
            weak(ui, &text);
        }
    }

    fn list(&self, ctx: &ViewCtx<'_>, trace: &Trace, ui: &mut Ui) {
        let mut pointed = Vec::new();
        ScrollArea::vertical()
            .id_salt("differences")
            .auto_shrink(false)
            .min_scrolled_height(160.0)
            .show_rows(
                ui,
                ROW,
                self.found.cells.len().min(N_LISTED),
                |ui, range| {
                    ui.spacing_mut().item_spacing.y = 0.0;
                    for cell in &self.found.cells[range] {
                        if row(ctx, trace, cell, ui) {
                            pointed = vec![cell.patch];
                        }
                    }
                },
            );
        link::point(ui.ctx(), link::From::Difference, pointed);
    }
}

impl Found {
    fn update(&mut self, trace: &Trace) {
        let n = |levels: usize| (trace.id, levels);
        let read = trace.edited.levels.iter().flatten().count();
        let measured = trace.edited.divergence.iter().flatten().count();
        let of = Some((n(read).0, read, measured));
        if self.of == of {
            return;
        }
        *self = Self {
            of,
            levels: vec![(0, 0.0); trace.edited.levels.len()],
            ..Self::default()
        };
        for level in 0..trace.edited.levels.len() {
            self.take(trace, level);
        }
        let most = |cell: &Changed| cell.kl.unwrap_or(cell.moved);
        self.cells.sort_by(|a, b| most(b).total_cmp(&most(a)));
    }

    fn take(&mut self, trace: &Trace, level: usize) {
        let of = |run: &crate::engine::trace::RunReadout| run.levels.get(level).cloned().flatten();
        let (Some(clean), Some(edited)) = (of(&trace.baseline), of(&trace.edited)) else {
            return;
        };
        let read = trace.edited.divergence.get(level).and_then(Option::as_ref);
        let kl: Option<Vec<f32>> = read.map(|read| above_floor(read).collect());
        for patch in 0..trace.model.grid.len() {
            let (Some(was), Some(is)) = (clean.top(patch).next(), edited.top(patch).next()) else {
                continue;
            };
            self.n_cells += 1;
            let kl = kl.as_ref().and_then(|kl| kl.get(patch).copied());
            self.levels[level].1 = self.levels[level].1.max(kl.unwrap_or(0.0));
            // Two words that are equally likely may change places by rounding alone.
            if was.0 != is.0 && kl != Some(0.0) {
                self.levels[level].0 += 1;
                let moved = edited.change.get(patch).copied().unwrap_or(0.0);
                self.cells.push(Changed {
                    level,
                    patch,
                    was,
                    is,
                    kl,
                    moved,
                });
            }
        }
    }
}

/// One cell; whether the pointer or the focus is on it.
fn row(ctx: &ViewCtx<'_>, trace: &Trace, cell: &Changed, ui: &mut Ui) -> bool {
    let theme = ctx.theme;
    let size = vec2(ui.available_width(), ROW);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    let patch = trace.model.grid.patch(cell.patch);
    let word = |id| trace.model.vocabulary.piece(id);
    let (was, is) = (word(cell.was.0), word(cell.is.0));
    let number = match cell.kl {
        Some(kl) => format!("KL {}", labels::number(kl)),
        None => format!("Δ {}", labels::number(cell.moved)),
    };
    let level = labels::level_label(cell.level, trace.model.n_layers);
    let name = format!("{patch}, {level}: {was} becomes {is}, {number}");
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &name));
    let lit = response.hovered() || response.has_focus();
    let painter = ui.painter();
    if lit {
        painter.rect_filled(rect, 4.0, theme.outline.gamma_multiply(0.5));
    }
    let mono = FontId::monospace(style::SMALL);
    let left = rect.left_center() + vec2(GRID, 0.0);
    let place = format!("{patch} · {}", cell.level);
    painter.text(
        left,
        Align2::LEFT_CENTER,
        place,
        mono.clone(),
        theme.text_weak,
    );
    let right = rect.right_center() - vec2(GRID, 0.0);
    let end = painter.text(right, Align2::RIGHT_CENTER, number, mono, theme.text);
    let room = rect
        .with_min_x(rect.left() + 100.0)
        .with_max_x(end.left() - GRID);
    let clipped = painter.with_clip_rect(room);
    let font = FontId::proportional(style::BODY);
    let text = format!("{was} {} → {is} {}", prob(cell.was.1), prob(cell.is.1));
    let text = drawable(&text, &font, &clipped);
    clipped.text(
        room.left_center(),
        Align2::LEFT_CENTER,
        text,
        font,
        theme.text,
    );
    if response.clicked() {
        ctx.commands.send(Command::SetLevel(cell.level));
        link::reveal(ui.ctx(), cell.patch);
    }
    response.on_hover_text(format!("{name}; click goes there"));
    lit
}

fn prob(p: f32) -> String {
    labels::probability(p)
}

fn switches(ctx: &ViewCtx<'_>, ui: &mut Ui) {
    ui.horizontal_wrapped(|ui| {
        let mut on = ctx.session.readout.divergence;
        let tip = "KL divergence of every cell's words from the clean run's, and the noise floor of the same pass; costs about twice the lens";
        let check = ui.checkbox(&mut on, "Measure KL").on_hover_text(tip);
        if check.changed() {
            ctx.commands.send(Command::MeasureDivergence(on));
        }
        let is_shown = ctx.session.view.heat == HeatKind::Divergence;
        let button = egui::Button::new("Show KL as heat map");
        let response = ui
            .add_enabled(!is_shown, button)
            .on_hover_text("Lay the KL from the clean run over the picture")
            .on_disabled_hover_text("The heat map shows it");
        if response.clicked() {
            ctx.commands.send(Command::SetHeat(HeatKind::Divergence));
        }
    });
}

fn weak(ui: &mut Ui, text: &str) {
    ui.add(egui::Label::new(RichText::new(text).small().weak()).wrap());
}
