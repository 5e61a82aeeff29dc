//! Text that is being typed: a panel's scratch until Enter or the loss of the focus makes it a value.
//!
//! It sends no command; the panel does with what it gets back. The gesture of a drag is kept here too.

use egui::{Response, TextEdit, Ui};

use super::CommandSender;
use crate::error::Result;
use crate::session::GestureId;

/// The text of one field.
#[derive(Default)]
pub struct Draft {
    text: String,
    editing: bool,
    /// Why the text that was committed last is no value.
    problem: Option<String>,
}

/// How a field looks and is called.
pub struct Field<'a> {
    pub name: &'a str,
    pub hint: &'a str,
    pub tooltip: &'a str,
    pub width: f32,
    pub monospace: bool,
}

impl Draft {
    /// Shows the field with `current`, or with what is being typed. Gives a value once it is committed, differs
    /// from `current` and `parse` takes it; else the reason is shown below.
    pub fn show<T>(
        &mut self,
        ui: &mut Ui,
        current: &str,
        field: &Field<'_>,
        parse: impl Fn(&str) -> Result<T>,
    ) -> Option<T> {
        if !self.editing && self.problem.is_none() {
            current.clone_into(&mut self.text);
        }
        let response = self.edit(ui, field);
        let set_from_outside = response.changed() && !response.has_focus();
        if response.has_focus() && ui.input(|i| i.key_pressed(egui::Key::Escape)) {
            self.reset();
            return None;
        }
        let committed = response.lost_focus() || set_from_outside;
        self.editing = response.has_focus();
        let value = if committed {
            self.commit(current, parse)
        } else {
            None
        };
        if let Some(problem) = &self.problem {
            let color = ui.visuals().error_fg_color;
            ui.add(egui::Label::new(egui::RichText::new(problem).small().color(color)).wrap());
        }
        value
    }

    /// Forgets what was typed.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    fn edit(&mut self, ui: &mut Ui, field: &Field<'_>) -> Response {
        let mut edit = TextEdit::singleline(&mut self.text)
            .hint_text(field.hint)
            .margin(egui::Margin::symmetric(8, 4))
            .min_size(egui::vec2(0.0, ui.spacing().interact_size.y))
            .align(egui::Align2::LEFT_CENTER)
            .desired_width(field.width);
        if field.monospace {
            edit = edit.font(egui::TextStyle::Monospace);
        }
        ui.add(edit)
            .accessible_name(field.name)
            .on_hover_text(field.tooltip)
    }

    fn commit<T>(&mut self, current: &str, parse: impl Fn(&str) -> Result<T>) -> Option<T> {
        self.problem = None;
        if self.text == current {
            return None;
        }
        match parse(&self.text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem = Some(error.to_string());
                None
            }
        }
    }
}

/// Joins the commands of one drag into one undo step. The widgets of a form share one: only one can be dragged.
#[derive(Default)]
pub struct Gesture(Option<(egui::Id, GestureId)>);

impl Gesture {
    /// The gesture of a widget: one for a whole drag, none for a single click or key.
    pub fn of(&mut self, response: &Response, commands: &CommandSender) -> Option<GestureId> {
        let own = self.0.filter(|(widget, _)| *widget == response.id);
        if !response.dragged() {
            if own.is_some() {
                self.0 = None;
            }
            return None;
        }
        let (_, gesture) = match own {
            Some(own) if !response.drag_started() => own,
            _ => (response.id, commands.new_gesture()),
        };
        self.0 = Some((response.id, gesture));
        Some(gesture)
    }
}
