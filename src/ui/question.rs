//! The question, and under a disclosure the start of the answer, its length, the template, and how the picture is cut.
//!
//! What is being typed is scratch; Enter or leaving the field makes it a command.

use egui::{RichText, Ui};

use super::draft::{Draft, Field, Gesture};
use super::theme::GRID;
use super::{ViewCtx, crop_row};
use crate::error::{Error, Result};
use crate::session::Command;
use crate::spec::Crop;

/// Longer answers are refused; the demo's are about 12 tokens.
const MAX_NEW_TOKENS: usize = 512;

#[derive(Default)]
pub struct QuestionPanel {
    question: Draft,
    prefix: Draft,
    template: Draft,
    length: Gesture,
}

impl QuestionPanel {
    pub fn ui(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui) {
        let field = Field {
            name: "Question",
            hint: "What should the model be asked?",
            tooltip: "What the model is asked about the picture (Enter runs it)",
            width: ui.available_width(),
            monospace: false,
        };
        let current = &ctx.session.experiment.prompt;
        if let Some(prompt) = self
            .question
            .show(ui, current, &field, |t| Ok(t.to_owned()))
        {
            ctx.commands.send(Command::SetPrompt(prompt));
        }
        egui::CollapsingHeader::new(RichText::new(self.summary(ctx)).small().weak())
            .id_salt("answer settings")
            .show_unindented(ui, |ui| self.settings(ctx, ui));
    }

    fn summary(&self, ctx: &ViewCtx<'_>) -> String {
        let experiment = &ctx.session.experiment;
        let start = match experiment.answer_prefix.as_str() {
            "" => String::new(),
            prefix => format!(", starting with “{}”", shorten(prefix, 18)),
        };
        let template = if experiment.template.is_some() {
            ", own template"
        } else {
            ""
        };
        // Said where it matters: of a square picture everything is seen either way.
        let picture = match ctx.trace.or(ctx.previous).map(|t| t.picture.original_size) {
            Some((w, h)) if w != h && experiment.crop == Crop::Center => ", picture cut",
            Some((w, h)) if w != h => ", picture padded",
            _ => "",
        };
        match experiment.decode.max_new_tokens {
            0 => format!("No answer{template}{picture}"),
            n => format!("Answer of at most {n} tokens{start}{template}{picture}"),
        }
    }

    fn settings(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui) {
        let experiment = &ctx.session.experiment;
        egui::Grid::new("answer settings grid")
            .num_columns(2)
            .spacing([2.0 * GRID, GRID])
            .show(ui, |ui| {
                ui.label(RichText::new("Starts with").small());
                let width = ui.available_width();
                let field = Field {
                    name: "Answer starts with",
                    hint: "nothing",
                    tooltip: "Text that the answer begins with; the model goes on from there",
                    width,
                    monospace: false,
                };
                let text = &experiment.answer_prefix;
                if let Some(prefix) = self.prefix.show(ui, text, &field, |t| Ok(t.to_owned())) {
                    ctx.commands.send(Command::SetAnswerPrefix(prefix));
                }
                ui.end_row();
                ui.label(RichText::new("At most").small());
                self.length(ctx, ui);
                ui.end_row();
                ui.label(RichText::new("Template").small());
                self.template(ctx, ui);
                ui.end_row();
                ui.label(RichText::new("Picture").small());
                crop_row::show(ctx, ui);
                ui.end_row();
            });
    }

    fn length(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui) {
        let mut n = ctx.session.experiment.decode.max_new_tokens;
        let value = egui::DragValue::new(&mut n)
            .range(0..=MAX_NEW_TOKENS)
            .clamp_existing_to_range(false)
            .suffix(" tokens")
            .update_while_editing(false);
        let response = ui
            .add(value)
            .accessible_name("Most new tokens")
            .on_hover_text("The answer ends at the end token or after this many; 0 for no answer");
        let _gesture = self.length.of(&response, ctx.commands);
        if response.changed() {
            ctx.commands.send(Command::SetMaxNewTokens(n));
        }
    }

    fn template(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui) {
        let own = &ctx.session.experiment.template;
        let trace = ctx.trace.or(ctx.previous);
        let model = trace.map_or("", |t| t.model.template.as_str());
        let current = visible(own.as_deref().unwrap_or(model));
        let field = Field {
            name: "Template",
            hint: "the model's own",
            tooltip: "What stands around picture and question; <image> and {prompt} once each, \\n for a new line. Empty for the model's own",
            width: ui.available_width(),
            monospace: true,
        };
        if let Some(template) = self.template.show(ui, &current, &field, read_template) {
            let is_own = template.as_deref() != Some(model);
            ctx.commands
                .send(Command::SetTemplate(template.filter(|_| is_own)));
        }
    }
}

/// A field of one line shows line breaks as `\n`.
fn visible(template: &str) -> String {
    template.replace('\n', "\\n")
}

fn read_template(text: &str) -> Result<Option<String>> {
    let template = text.replace("\\n", "\n");
    if template.trim().is_empty() {
        return Ok(None);
    }
    for part in ["<image>", "{prompt}"] {
        if template.matches(part).count() != 1 {
            return Err(Error::input(format!(
                "a template needs {part} exactly once"
            )));
        }
    }
    Ok(Some(template))
}

fn shorten(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_need_both_parts() {
        assert_eq!(read_template(" ").unwrap(), None);
        assert_eq!(
            read_template("a <image>\\n{prompt}").unwrap().unwrap(),
            "a <image>\n{prompt}"
        );
        assert!(
            read_template("<image>")
                .unwrap_err()
                .to_string()
                .contains("{prompt}")
        );
        assert!(read_template("<image><image>{prompt}").is_err());
    }
}
