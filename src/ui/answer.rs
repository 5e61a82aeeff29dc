//! The answer before and after: tokens with their probabilities, what changed, and the first token's candidates.
//!
//! It reads the trace; a click on a token of the answer before makes it the one that sweeps watch. Space is kept for what is not there yet, so that nothing jumps.

use egui::{Color32, FontId, Rect, Response, Sense, Stroke, TextFormat, Ui, Vec2, pos2, vec2};

use super::answer_diff::{Piece, diff};
use super::labels::probability;
use super::theme::{GRID, Theme};
use super::{ViewCtx, candidates, style};
use crate::engine::trace::{Answer, RunReadout, Trace, Vocabulary};
use crate::session::{Command, SweepSettings};
use crate::spec::SweepKind;

/// Height of a line of tokens: the words, a gap, the bar, a gap to the next line.
const LINE: f32 = 28.0;
const BAR: f32 = 3.0;
/// The name of the clean answer in the accessibility tree.
const BEFORE: &str = "Answer before";
/// Lines that are kept free for each answer.
const MIN_LINES: usize = 2;

/// Scratch: how many lines the answers have needed, so that shorter ones do not pull up what lies below.
#[derive(Default)]
pub struct AnswerPanel {
    lines_before: usize,
    lines_after: usize,
    prompt: String,
}

/// How a token is to be drawn.
#[derive(Clone, Copy, PartialEq)]
enum Mark {
    Plain,
    Removed,
    Added,
}

struct Token {
    id: u32,
    prob: f32,
    mark: Mark,
}

impl AnswerPanel {
    pub fn ui(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui) {
        if ctx.session.experiment.prompt != self.prompt {
            *self = Self {
                prompt: ctx.session.experiment.prompt.clone(),
                ..Self::default()
            };
        }
        ui.add_space(GRID);
        if ctx.session.experiment.decode.max_new_tokens == 0 {
            weak(
                ui,
                "No answer was asked for: “at most” is 0 tokens. The first token's candidates are below.",
            );
        } else {
            self.answers(ctx, ui);
        }
        ui.add_space(2.0 * GRID);
        candidates::ui(ctx, ui);
    }

    /// The answers before and after, without the first token's candidates.
    pub fn answers(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui) {
        let (before, stale) = readable(ctx, |t| &t.baseline);
        heading(ui, ctx.theme, "before", &state_of(ctx, before, stale));
        let tokens = before.map_or_else(Vec::new, |(_, a)| plain(a));
        let lines = row(ui, ctx, BEFORE, before, &tokens, stale, self.lines_before);
        self.lines_before = lines.max(self.lines_before);
        ui.add_space(GRID);

        let (after, stale) = readable(ctx, |t| &t.edited);
        heading(
            ui,
            ctx.theme,
            "after",
            &after_state(ctx, before, after, stale),
        );
        let tokens = match (before, after) {
            (Some((_, b)), Some((_, a))) if a.complete => merged(b, a),
            (_, Some((_, a))) => plain(a),
            _ => Vec::new(),
        };
        let lines = row(
            ui,
            ctx,
            "Answer after",
            after,
            &tokens,
            stale,
            self.lines_after,
        );
        self.lines_after = lines.max(self.lines_after);
        super::control_view::ui(ctx, ui);
        super::forced_answer::ui(ctx, ui);
    }
}

type Found<'a> = Option<(&'a Trace, &'a Answer)>;

/// The newest answer that has begun, and whether it is of the run before.
fn readable<'a>(ctx: &ViewCtx<'a>, of: impl Fn(&'a Trace) -> &'a RunReadout) -> (Found<'a>, bool) {
    let begun = |t: &'a Trace| {
        let answer = &of(t).answer;
        (!answer.ids.is_empty() || answer.complete).then_some((t, answer))
    };
    if let Some(found) = ctx.trace.and_then(begun) {
        let old = ctx.progress.is_some() && ctx.trace.is_some_and(|t| t.complete);
        return (Some(found), old);
    }
    (ctx.previous.and_then(begun), true)
}

fn state_of(ctx: &ViewCtx<'_>, found: Found<'_>, stale: bool) -> String {
    match found {
        None if ctx.progress.is_some() => "waiting for the run".to_owned(),
        None => "no run yet".to_owned(),
        Some((_, a)) if !a.complete && !stale => format!("token {} …", a.ids.len()),
        Some((_, a)) => format!("{} tokens", a.ids.len()),
    }
}

fn after_state(ctx: &ViewCtx<'_>, before: Found<'_>, after: Found<'_>, stale: bool) -> String {
    match (before, after) {
        (_, Some((t, _))) if !t.has_edits => "nothing is ablated or knocked out".to_owned(),
        (Some((_, b)), Some((_, a))) if a.complete && a.ids == b.ids => {
            "the same tokens".to_owned()
        }
        _ => state_of(ctx, after, stale),
    }
}

fn heading(ui: &mut Ui, theme: &Theme, name: &str, state: &str) {
    ui.horizontal(|ui| {
        ui.label(egui::RichText::new(name).small().strong());
        ui.label(egui::RichText::new(state).small().color(theme.text_weak));
    });
}

fn weak(ui: &mut Ui, text: &str) {
    ui.add(egui::Label::new(egui::RichText::new(text).small().weak()).wrap());
}

fn plain(answer: &Answer) -> Vec<Token> {
    let tokens = answer.ids.iter().zip(&answer.probs);
    tokens
        .map(|(&id, &prob)| Token {
            id,
            prob,
            mark: Mark::Plain,
        })
        .collect()
}

/// The answer after, with the removed tokens in their places.
fn merged(before: &Answer, after: &Answer) -> Vec<Token> {
    let of = |answer: &Answer, i: usize, mark| Token {
        id: answer.ids[i],
        prob: answer.probs.get(i).copied().unwrap_or(0.0),
        mark,
    };
    let token = |piece: Piece| match piece {
        Piece::Same { after: j, .. } => of(after, j, Mark::Plain),
        Piece::Removed { before: i } => of(before, i, Mark::Removed),
        Piece::Added { after: j } => of(after, j, Mark::Added),
    };
    diff(&before.ids, &after.ids)
        .into_iter()
        .map(token)
        .collect()
}

/// Draws tokens in lines and gives the number of lines.
fn row(
    ui: &mut Ui,
    ctx: &ViewCtx<'_>,
    name: &str,
    found: Found<'_>,
    tokens: &[Token],
    stale: bool,
    kept_lines: usize,
) -> usize {
    let width = ui.available_width();
    let vocabulary = found
        .map(|(t, _)| t.model.vocabulary.clone())
        .unwrap_or_default();
    let (places, lines) = place(ui, &vocabulary, tokens, width);
    let height = LINE * lines.max(kept_lines).max(MIN_LINES) as f32;
    let (rect, response) = ui.allocate_exact_size(vec2(width, height), Sense::hover());
    name_node(
        ui,
        &response,
        name,
        found.map_or("", |(_, a)| a.text.as_str()),
    );
    let opacity = if stale { 0.55 } else { 1.0 };
    for (at, (token, place)) in tokens.iter().zip(&places).enumerate() {
        let place = place.translate(rect.min.to_vec2());
        draw(ui, ctx.theme, &vocabulary, token, place, opacity);
        let tip = tooltip_text(&vocabulary, token);
        if name == BEFORE {
            choice(ctx, ui, &response, &vocabulary, (token, at), place, tip);
        } else {
            let id = response.id.with(at);
            ui.interact(place, id, Sense::hover()).on_hover_text(tip);
        }
    }
    lines
}

/// Puts the answer's text into the accessibility tree as the value of a node with a fixed name.
fn name_node(ui: &Ui, response: &Response, name: &str, text: &str) {
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Paragraph, true, name));
    ui.ctx()
        .accesskit_node_builder(response.id, |node| node.set_value(text));
}

fn font() -> FontId {
    FontId::proportional(style::BODY)
}

/// Rectangles of the tokens, relative to the top left corner, and the number of lines.
fn place(ui: &Ui, vocabulary: &Vocabulary, tokens: &[Token], width: f32) -> (Vec<Rect>, usize) {
    let (mut x, mut line) = (0.0, 0);
    let mut places = Vec::with_capacity(tokens.len());
    for token in tokens {
        let galley =
            ui.painter()
                .layout_no_wrap(shown(vocabulary, token), font(), Color32::PLACEHOLDER);
        let w = galley.size().x.max(6.0);
        let new_word = vocabulary.piece(token.id).starts_with('␣') || token.mark != Mark::Plain;
        let gap = match x > 0.0 {
            true if new_word => 5.0,
            true => 1.0,
            false => 0.0,
        };
        if x > 0.0 && x + gap + w > width {
            (x, line) = (0.0, line + 1);
        } else {
            x += gap;
        }
        places.push(Rect::from_min_size(
            pos2(x, line as f32 * LINE),
            vec2(w, LINE),
        ));
        x += w;
    }
    (places, if tokens.is_empty() { 0 } else { line + 1 })
}

/// The text on screen: without the leading space mark, which the gap between the words shows.
fn shown(vocabulary: &Vocabulary, token: &Token) -> String {
    vocabulary.short(token.id).into_owned()
}

fn draw(ui: &Ui, theme: &Theme, vocabulary: &Vocabulary, token: &Token, place: Rect, opacity: f32) {
    let text = shown(vocabulary, token);
    let quiet = text.starts_with('⟨');
    let color = match token.mark {
        Mark::Removed => theme.removed,
        Mark::Added => theme.added,
        Mark::Plain if quiet => theme.text_weak,
        Mark::Plain => theme.text,
    }
    .gamma_multiply(opacity);
    let mut format = TextFormat {
        font_id: font(),
        color,
        ..TextFormat::default()
    };
    match token.mark {
        Mark::Removed => format.strikethrough = Stroke::new(1.5, color),
        Mark::Added => format.underline = Stroke::new(1.5, color),
        Mark::Plain => {}
    }
    let mut job = egui::text::LayoutJob::default();
    job.append(&text, 0.0, format);
    let galley = ui.painter().layout_job(job);
    ui.painter().galley(place.min, galley, color);
    if token.mark != Mark::Removed {
        bar(ui, theme, token.prob, place, opacity);
    }
}

/// The probability as the filled part of a thin line under the token.
fn bar(ui: &Ui, theme: &Theme, prob: f32, place: Rect, opacity: f32) {
    let top = place.min.y + 20.0;
    let track = Rect::from_min_size(pos2(place.min.x, top), Vec2::new(place.width(), BAR));
    ui.painter()
        .rect_filled(track, 1.0, theme.outline.gamma_multiply(opacity));
    let filled = Rect::from_min_size(track.min, vec2(track.width() * prob.clamp(0.0, 1.0), BAR));
    ui.painter()
        .rect_filled(filled, 1.0, theme.text_weak.gamma_multiply(opacity));
}

fn tooltip_text(vocabulary: &Vocabulary, token: &Token) -> egui::RichText {
    let what = match token.mark {
        Mark::Plain => "",
        Mark::Removed => "only in the answer before\n",
        Mark::Added => "only in the answer after\n",
    };
    let text = format!(
        "{}\n{what}probability {}",
        vocabulary.piece(token.id),
        probability(token.prob)
    );
    egui::RichText::new(text).monospace()
}

/// A token of the clean answer: a click makes it the one that sweeps watch, which is outlined once it was chosen.
fn choice(
    ctx: &ViewCtx<'_>,
    ui: &Ui,
    row: &Response,
    vocabulary: &Vocabulary,
    (token, at): (&Token, usize),
    place: Rect,
    tip: egui::RichText,
) {
    // Not focusable: the section "Sweep" has a menu of the same tokens.
    let response = ui.interact(place, row.id.with(at), Sense::CLICK);
    let settings = &ctx.session.view.sweep;
    let is_watched = settings.token == at;
    response.widget_info(|| {
        let name = format!("Watch token {at} {}", vocabulary.piece(token.id));
        egui::WidgetInfo::selected(egui::Role::Button, true, is_watched, name)
    });
    if response.clicked() && !is_watched {
        let watched = SweepSettings {
            token: at,
            ..settings.clone()
        };
        ctx.commands.send(Command::SetSweep(watched));
    }
    let swept = SweepKind::ALL.iter().any(|kind| ctx.sweep(*kind).is_some());
    if is_watched && (at > 0 || swept) {
        let frame = place.expand2(vec2(1.0, 0.0)).with_max_y(place.min.y + 24.0);
        let edge = Stroke::new(1.0, ctx.theme.accent);
        ui.painter()
            .rect_stroke(frame, 3.0, edge, egui::StrokeKind::Outside);
    }
    response.on_hover_ui(|ui| {
        ui.label(tip);
        ui.label("Click to watch it in sweeps");
    });
}
