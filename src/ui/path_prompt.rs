//! The small window where a path is typed, for desktops without file dialogs. It opens and saves nothing itself.

use egui::{Key, TextEdit, Ui};

use super::shortcuts::{Action, Actions, take_typed};
use super::theme::GRID;

/// Scratch: the text, while the window is open.
#[derive(Default)]
pub struct PathPrompt {
    text: String,
    /// A place for a file is asked for, not a file to open.
    saves: bool,
    open: bool,
    /// The field takes the focus in the first frames.
    fresh: bool,
}

/// What the window says.
struct Texts {
    title: &'static str,
    intro: &'static str,
    hint: &'static str,
    button: &'static str,
    tip: &'static str,
}

const OPEN: Texts = Texts {
    title: "Open path",
    intro: "A picture, a model (a folder, .gguf or hub id), or a session file:",
    hint: "/path/to/picture.png",
    button: "Open",
    tip: "Open what the path names (Enter)",
};

const SAVE: Texts = Texts {
    title: "Save to path",
    intro: "Where the file is to lie, with its name; ~ is your home folder:",
    hint: "~/session.json",
    button: "Save",
    tip: "Write the file (Enter); one that is there already is not written over",
};

impl PathPrompt {
    pub fn open(&mut self) {
        let text = match self.saves {
            true => String::new(),
            false => std::mem::take(&mut self.text),
        };
        *self = Self {
            text,
            saves: false,
            open: true,
            fresh: true,
        };
    }

    /// Asks where a file is to lie; begins with its name in the home folder.
    pub fn ask_where(&mut self, name: &str) {
        *self = Self {
            text: format!("~/{name}"),
            saves: true,
            open: true,
            fresh: true,
        };
    }

    pub fn is_open(&self) -> bool {
        self.open
    }

    pub fn ui(&mut self, ctx: &egui::Context, actions: &Actions) {
        let mut open = self.open;
        let texts = if self.saves { &SAVE } else { &OPEN };
        egui::Window::new(texts.title)
            .open(&mut open)
            .collapsible(false)
            .resizable(false)
            .pivot(egui::Align2::CENTER_CENTER)
            .default_pos(ctx.content_rect().center())
            .show(ctx, |ui| {
                ui.set_width(440.0);
                self.contents(texts, ui, actions);
            });
        self.open &= open;
        if self.open && ctx.input(|i| i.key_pressed(Key::Escape)) {
            self.open = false;
        }
    }

    fn contents(&mut self, texts: &Texts, ui: &mut Ui, actions: &Actions) {
        ui.label(texts.intro);
        if self.fresh {
            take_typed(ui.ctx(), &mut self.text);
        }
        let edit = TextEdit::singleline(&mut self.text)
            .hint_text(texts.hint)
            .margin(egui::Margin::symmetric(8, 4))
            .font(egui::TextStyle::Monospace)
            .desired_width(f32::INFINITY);
        let field = ui
            .add(edit)
            .accessible_name("Path")
            .on_hover_text(texts.tip);
        if self.fresh {
            field.request_focus();
            self.fresh = !ui.ctx().text_edit_focused();
        }
        let entered = field.lost_focus() && ui.input(|i| i.key_pressed(Key::Enter));
        ui.add_space(GRID);
        let ready = !self.text.trim().is_empty();
        let button = ui
            .add_enabled(ready, egui::Button::new(texts.button))
            .on_hover_text(texts.tip);
        if ready && (entered || button.clicked()) {
            let text = self.text.trim().to_owned();
            actions.send(match self.saves {
                true => Action::SaveTo(text),
                false => Action::OpenTyped(text),
            });
            self.open = false;
        }
    }
}
