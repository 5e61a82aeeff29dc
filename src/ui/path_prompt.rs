//! The small window where a path is typed, for desktops without file dialogs. It opens nothing itself.

use egui::{Key, TextEdit};

use super::shortcuts::{Action, Actions, take_typed};
use super::theme::GRID;

/// Scratch: the text, while the window is open.
#[derive(Default)]
pub struct PathPrompt {
    text: String,
    open: bool,
    /// The field takes the focus in the first frame.
    fresh: bool,
}

impl PathPrompt {
    pub fn open(&mut self) {
        *self = Self {
            text: std::mem::take(&mut self.text),
            open: true,
            fresh: true,
        };
    }

    pub fn is_open(&self) -> bool {
        self.open
    }

    pub fn ui(&mut self, ctx: &egui::Context, actions: &Actions) {
        let mut open = self.open;
        egui::Window::new("Open path")
            .open(&mut open)
            .collapsible(false)
            .resizable(false)
            .pivot(egui::Align2::CENTER_CENTER)
            .default_pos(ctx.content_rect().center())
            .show(ctx, |ui| {
                ui.set_width(440.0);
                ui.label("A picture, a model (a folder, .gguf or hub id), or a session file:");
                if self.fresh {
                    take_typed(ctx, &mut self.text);
                }
                let edit = TextEdit::singleline(&mut self.text)
                    .hint_text("/path/to/picture.png")
                    .margin(egui::Margin::symmetric(8, 4))
                    .font(egui::TextStyle::Monospace)
                    .desired_width(f32::INFINITY);
                let response = ui
                    .add(edit)
                    .accessible_name("Path")
                    .on_hover_text("Enter opens it");
                if self.fresh {
                    response.request_focus();
                    self.fresh = !ctx.text_edit_focused();
                }
                let entered = response.lost_focus() && ui.input(|i| i.key_pressed(Key::Enter));
                ui.add_space(GRID);
                let ready = !self.text.trim().is_empty();
                let button = ui
                    .add_enabled(ready, egui::Button::new("Open"))
                    .on_hover_text("Open what the path names (Enter)");
                if ready && (entered || button.clicked()) {
                    actions.send(Action::OpenTyped(self.text.trim().to_owned()));
                    self.open = false;
                }
            });
        self.open &= open;
        if self.open && ctx.input(|i| i.key_pressed(Key::Escape)) {
            self.open = false;
        }
    }
}
