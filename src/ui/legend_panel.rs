//! The panel "Legend": the top words of the level on screen, the most frequent first, and what is dimmed.
//!
//! Hovering a word outlines its patches in the other panels, a click selects them.

use std::sync::Arc;

use egui::{Align2, FontId, RichText, ScrollArea, Sense, Ui, vec2};

use super::glyphs::drawable;
use super::greyed::{Counted, Greyed, counts, least_patches};
use super::theme::GRID;
use super::{ShownLevel, ViewCtx, link, style};
use crate::engine::trace::LevelReadout;
use crate::index::PatchSet;
use crate::labels;
use crate::session::{Command, ReadingView};

const ROW: f32 = 24.0;

/// The words of the level that was counted last.
#[derive(Default)]
pub struct LegendPanel {
    of: Option<Arc<LevelReadout>>,
    words: Vec<Counted>,
}

impl LegendPanel {
    pub fn ui(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui) {
        switches(ctx, ui);
        let shown = ctx.shown();
        let Some(shown) = shown.filter(|shown| !shown.words.ids.is_empty()) else {
            link::point(ui.ctx(), link::From::Legend, Vec::new());
            weak(
                ui,
                super::why_empty(ctx, "The words appear here with the first run"),
            );
            return;
        };
        self.count(&shown);
        let level = labels::level_label(ctx.level(), shown.trace.model.n_layers);
        let n = shown.trace.model.grid.len();
        let text = format!("{} words on {n} patches, {level}", self.words.len());
        weak(ui, text);
        self.list(ctx, &shown, ui);
    }

    /// Counts again where another level is shown.
    fn count(&mut self, shown: &ShownLevel<'_>) {
        let same = |kept: &Arc<LevelReadout>| kept.ids == shown.words.ids;
        if !self.of.as_ref().is_some_and(same) {
            self.words = counts(shown.words, shown.trace.model.grid.len());
            self.of = Some(Arc::new(LevelReadout {
                ids: shown.words.ids.clone(),
                ..LevelReadout::default()
            }));
        }
    }

    fn list(&self, ctx: &ViewCtx<'_>, shown: &ShownLevel<'_>, ui: &mut Ui) {
        let n = shown.trace.model.grid.len();
        let reading = &ctx.session.view.reading;
        let greyed = Greyed::of(reading, shown.words, n);
        let least = least_patches(reading, n);
        let most = self.words.first().map_or(1, |word| word.patches.len());
        let mut pointed = Vec::new();
        ScrollArea::vertical()
            .id_salt("legend")
            .auto_shrink(false)
            .min_scrolled_height(160.0)
            .show_rows(ui, ROW, self.words.len(), |ui, range| {
                ui.spacing_mut().item_spacing.y = 0.0;
                for word in &self.words[range] {
                    let dim = greyed.is(word.id, &shown.trace.model.vocabulary);
                    let note = if word.patches.len() >= least {
                        "shared"
                    } else {
                        ""
                    };
                    let share = word.patches.len() as f32 / most as f32;
                    if row(ctx, shown, word, (dim, note, share), ui) {
                        pointed.clone_from(&word.patches);
                    }
                }
            });
        link::point(ui.ctx(), link::From::Legend, pointed);
    }
}

/// One word; whether the pointer or the focus is on it.
fn row(
    ctx: &ViewCtx<'_>,
    shown: &ShownLevel<'_>,
    word: &Counted,
    (dim, note, share): (bool, &str, f32),
    ui: &mut Ui,
) -> bool {
    let theme = ctx.theme;
    let size = vec2(ui.available_width(), ROW);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    let piece = shown.trace.model.vocabulary.piece(word.id);
    let n = word.patches.len();
    let name = format!("Select the {n} patches of {piece}");
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &name));
    let painter = ui.painter();
    let lit = response.hovered() || response.has_focus();
    if lit {
        painter.rect_filled(rect, 4.0, theme.outline.gamma_multiply(0.5));
    }
    let number = FontId::monospace(style::SMALL);
    let right = rect.right_center() - vec2(GRID, 0.0);
    let ink = if dim { theme.text_weak } else { theme.text };
    painter.text(right, Align2::RIGHT_CENTER, n, number, ink);
    let bar = egui::Rect::from_min_max(
        egui::pos2(rect.center().x, rect.center().y - 3.0),
        egui::pos2(rect.right() - 44.0, rect.center().y + 3.0),
    );
    painter.rect_filled(
        bar.with_max_x(bar.left() + bar.width() * share),
        2.0,
        theme.text_weak,
    );
    let room = painter.with_clip_rect(rect.with_max_x(bar.left() - GRID));
    let font = FontId::proportional(style::BODY);
    let text = drawable(&piece, &font, &room);
    let left = rect.left_center() + vec2(GRID, 0.0);
    let end = room
        .text(left, Align2::LEFT_CENTER, text, font, ink)
        .right();
    let small = FontId::proportional(style::SMALL);
    let after = egui::pos2(end + 2.0 * GRID, rect.center().y);
    room.text(after, Align2::LEFT_CENTER, note, small, theme.text_weak);
    if response.clicked() {
        let grid = shown.trace.model.grid;
        let patches: PatchSet = word.patches.iter().map(|at| grid.patch(*at)).collect();
        ctx.commands.send(Command::SetSelection(patches));
    }
    response.on_hover_text("Click selects these patches");
    lit
}

/// What is dimmed, in the picture, the table and here.
fn switches(ctx: &ViewCtx<'_>, ui: &mut Ui) {
    let before = &ctx.session.view.reading;
    let mut reading: ReadingView = before.clone();
    ui.checkbox(&mut reading.grey_non_words, "Grey what is no word")
        .on_hover_text("Dims tokens without letters, bytes and single letters, in the picture, the table and here");
    ui.horizontal_wrapped(|ui| {
        ui.checkbox(&mut reading.grey_shared, "Grey words that stand on")
            .on_hover_text("Dims words that one level writes on many patches at once: often the level's own filler, which also comes with unrelated pictures; sometimes a large background");
        let mut percent = (100.0 * reading.shared_from).round();
        let drag = egui::DragValue::new(&mut percent)
            .range(2.0..=100.0)
            .suffix(" %");
        let label = ui
            .add_enabled(reading.grey_shared, drag)
            .on_hover_text("Share of the level's patches from which on a word counts as shared");
        label.widget_info(|| {
            egui::WidgetInfo::labeled(egui::Role::SpinButton, true, "Share of patches")
        });
        if label.changed() {
            reading.shared_from = percent / 100.0;
        }
        ui.label("of the patches");
    });
    if reading != *before {
        ctx.commands.send(Command::SetReading(reading));
    }
}

fn weak(ui: &mut Ui, text: impl Into<String>) {
    ui.add(egui::Label::new(RichText::new(text).small().weak()).wrap());
}
