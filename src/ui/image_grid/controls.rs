//! The quiet bar under the picture: legend, heat map, its word, opacity, and what is drawn.
//!
//! It reads the session and sends commands; its own state is the word that is being typed.

use egui::{FontId, Key, Sense, Ui, pos2, vec2};

use super::legend::legend;
use crate::session::{Command, HeatKind};
use crate::ui::ViewCtx;
use crate::ui::heat::{self, Heat};
use crate::ui::theme::GRID;

/// Height of one row of the bar.
pub(super) const ROW: f32 = 28.0;
/// From these widths on, everything fits into one row, everything about the heat map into the first of two, and
/// the legend into the second of two. Below, the word has a row of its own.
const WIDE: f32 = 1180.0;
const MEDIUM: f32 = 760.0;
const NARROW: f32 = 540.0;
/// Typing has stopped after this many seconds without a key.
const TYPING_PAUSE: f64 = 0.6;
/// A key that is down for this many seconds is held, not pressed.
const HOLD: f64 = 0.35;
/// Where the word's token is written; reserved, so that nothing moves when it comes.
const TOKEN_WIDTH: f32 = 150.0;

/// Scratch of the bar.
#[derive(Default)]
pub struct Controls {
    word: String,
    /// When the last key came, while the word on screen is not sent yet.
    typed_at: Option<f64>,
    /// When key C was pressed, if the clean run is shown because of it.
    peeking: Option<f64>,
    /// Key C was down in the frame before.
    was_down: bool,
}

/// The height that the bar needs in a panel of some width.
pub fn height(width: f32, kind: HeatKind) -> f32 {
    let rows = match width {
        w if w >= WIDE => 1.0,
        w if w < NARROW && kind == HeatKind::Word => 3.0,
        _ => 2.0,
    };
    rows * (ROW + GRID) + GRID
}

impl Controls {
    /// `width` is the panel's, as for [`height`].
    pub fn ui(&mut self, ctx: &ViewCtx<'_>, heat: Option<&Heat>, width: f32, ui: &mut Ui) {
        let has_word = ctx.session.view.heat == HeatKind::Word;
        ui.spacing_mut().item_spacing = vec2(2.0 * GRID, GRID);
        ui.add_space(GRID);
        row(ui, |ui| {
            heat_choice(ctx, ui);
            if !(NARROW..MEDIUM).contains(&width) {
                legend(ctx, heat, width < MEDIUM, ui);
            }
            if has_word && width >= NARROW {
                self.word_field(ctx, ui);
            }
            if width >= WIDE {
                view_row(ctx, ui);
            }
        });
        if has_word && width < NARROW {
            row(ui, |ui| self.word_field(ctx, ui));
        }
        if width < WIDE {
            row(ui, |ui| {
                if (NARROW..MEDIUM).contains(&width) {
                    legend(ctx, heat, true, ui);
                }
                view_row(ctx, ui);
            });
        }
        self.peek(ctx, ui);
    }

    fn word_field(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui) {
        let label = ui.label("Word");
        let edit = egui::TextEdit::singleline(&mut self.word)
            .desired_width(96.0)
            .hint_text("e.g. dog");
        let response = ui
            .add(edit)
            .labelled_by(label.id)
            .on_hover_text("The word whose probability is shown in every patch");
        let now = ui.input(|i| i.time);
        if response.changed() {
            self.typed_at = Some(now);
            let pause = std::time::Duration::from_secs_f64(TYPING_PAUSE);
            ui.ctx().request_repaint_after(pause);
        }
        let paused = self.typed_at.is_some_and(|at| now - at >= TYPING_PAUSE);
        if self.typed_at.is_some() && (paused || response.lost_focus()) {
            self.typed_at = None;
            ctx.commands.send(Command::SetWord(self.word.clone()));
        } else if self.typed_at.is_none() && !response.has_focus() {
            let current = ctx.session.readout.words.first();
            self.word = current.cloned().unwrap_or_default();
        }
        token_of_word(ctx, ui);
    }

    /// Key C shows the clean run for as long as it is held; a short press leaves it on.
    fn peek(&mut self, ctx: &ViewCtx<'_>, ui: &Ui) {
        let typing = ui.ctx().text_edit_focused();
        let (down, now) = ui.input(|i| (i.key_down(Key::C) && i.modifiers.is_none(), i.time));
        let held = down && !typing;
        match self.peeking {
            None if held && !self.was_down && !ctx.session.view.show_clean => {
                self.peeking = Some(now);
                ctx.commands.send(Command::ShowClean(true));
            }
            Some(since) if !held => {
                self.peeking = None;
                if now - since >= HOLD {
                    ctx.commands.send(Command::ShowClean(false));
                }
            }
            _ => {}
        }
        self.was_down = down;
    }
}

fn row(ui: &mut Ui, add: impl FnOnce(&mut Ui)) {
    let size = vec2(ui.available_width(), ROW);
    let layout = egui::Layout::left_to_right(egui::Align::Center);
    ui.allocate_ui_with_layout(size, layout, |ui| {
        ui.set_min_height(ROW);
        add(ui);
    });
}

fn heat_choice(ctx: &ViewCtx<'_>, ui: &mut Ui) {
    let current = ctx.session.view.heat;
    let combo = egui::ComboBox::from_id_salt("heat map")
        .width(168.0)
        .selected_text(heat::label(current))
        .show_ui(ui, |ui| {
            for kind in HeatKind::ALL {
                let item = ui.selectable_label(kind == current, heat::label(kind));
                if item.on_hover_text(heat::explanation(kind)).clicked() {
                    ctx.commands.send(Command::SetHeat(kind));
                }
            }
        });
    let response = combo.response.on_hover_text(heat::explanation(current));
    response.widget_info(|| {
        let mut info = egui::WidgetInfo::labeled(egui::Role::ComboBox, true, "Heat map");
        info.current_text_value = Some(heat::label(current).to_owned());
        info
    });
}

/// Which token stands for the word: `dog → ␣dog`, and a note where it is only the first of several.
fn token_of_word(ctx: &ViewCtx<'_>, ui: &mut Ui) {
    let (rect, response) = ui.allocate_exact_size(vec2(TOKEN_WIDTH, ROW), Sense::hover());
    let Some(word) = ctx.session.readout.words.first() else {
        return;
    };
    let found = ctx.trace.into_iter().chain(ctx.previous).find_map(|trace| {
        let token = trace.words.iter().find(|w| w.word == *word)?;
        Some((trace.model.vocabulary.piece(token.id), token.n_tokens))
    });
    let (text, note) = match &found {
        None => ("→ reading…".to_owned(), String::new()),
        Some((piece, 0 | 1)) => (format!("→ {piece}"), String::new()),
        Some((piece, n)) => (format!("→ {piece}"), format!("first of {n} tokens")),
    };
    let painter = ui.painter().with_clip_rect(rect);
    let font = FontId::proportional(13.0);
    let small = FontId::proportional(11.0);
    let (up, down) = if note.is_empty() {
        (0.0, 0.0)
    } else {
        (-7.0, 7.0)
    };
    let at = |dy: f32| pos2(rect.left(), rect.center().y + dy);
    let theme = ctx.theme;
    let shown = crate::ui::glyphs::drawable(&text, &font, &painter);
    painter.text(at(up), egui::Align2::LEFT_CENTER, shown, font, theme.text);
    painter.text(
        at(down),
        egui::Align2::LEFT_CENTER,
        &note,
        small,
        theme.text_weak,
    );
    let name = format!("{word} {text} {note}");
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, name.trim_end()));
    response.on_hover_text(
        "The token that stands for the word; of several tokens only the first is read",
    );
}

fn view_row(ctx: &ViewCtx<'_>, ui: &mut Ui) {
    let view = &ctx.session.view;
    let label = ui.label("Opacity");
    let mut opacity = view.opacity;
    ui.spacing_mut().slider_width = 64.0;
    let slider = egui::Slider::new(&mut opacity, 0.0..=1.0).show_value(false);
    let slider = ui
        .add_enabled(view.heat != HeatKind::Off, slider)
        .labelled_by(label.id)
        .on_hover_text("How much of the heat map covers the picture");
    if slider.changed() {
        ctx.commands.send(Command::SetOpacity(opacity));
    }
    for (name, on, command, hint) in toggles(ctx) {
        let mut ticked = on;
        if ui.checkbox(&mut ticked, name).on_hover_text(hint).changed() {
            ctx.commands.send(command);
        }
    }
}

fn toggles(ctx: &ViewCtx<'_>) -> [(&'static str, bool, Command, &'static str); 3] {
    let view = &ctx.session.view;
    [
        (
            "Grid",
            view.show_grid,
            Command::ShowGrid(!view.show_grid),
            "Lines between the patches",
        ),
        (
            "Words",
            view.show_words,
            Command::ShowWords(!view.show_words),
            "The most likely word in every patch",
        ),
        (
            "Clean run",
            view.show_clean,
            Command::ShowClean(!view.show_clean),
            "Words and heat without any intervention (hold C)",
        ),
    ]
}
