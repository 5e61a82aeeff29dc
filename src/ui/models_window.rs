//! The window "Models": the demo, a folder, a GGUF file, or a model of the hub, which is downloaded only when asked for.
//!
//! It shows what is known and sends actions; threads and network are the shell's matter.

use egui::{ProgressBar, RichText, TextEdit, Ui};

use super::shortcuts::{Action, Actions};
use super::theme::{GRID, Theme};
use crate::engine::budget::size;
use crate::hub::Listing;
use crate::spec::ModelSource;

/// Letters of a recent model's path.
const SHOWN: usize = 60;

/// How far a model of the hub is.
#[derive(Clone, Debug, PartialEq, Default)]
pub enum HubState {
    #[default]
    Nothing,
    Asking(String),
    Listed(Found),
    /// Bytes that are there.
    Fetching(Found, u64),
    Paused(Found, u64),
    Done(String),
}

/// What the hub says of a model, and what it would need here.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub listing: Listing,
    /// Bytes that are here already.
    pub there: u64,
    /// Whether it fits into this machine's memory, a line a place.
    pub memory: Vec<String>,
}

/// Scratch of the window.
#[derive(Default)]
pub struct ModelsWindow {
    id: String,
}

impl ModelsWindow {
    /// Shows the window while `open`.
    pub fn ui(
        &mut self,
        ctx: &egui::Context,
        theme: &Theme,
        (hub, recent): (&HubState, &[&str]),
        open: &mut bool,
        actions: &Actions,
    ) {
        egui::Window::new("Models")
            .open(open)
            .collapsible(false)
            .resizable(false)
            .default_width(520.0)
            .pivot(egui::Align2::CENTER_CENTER)
            .default_pos(ctx.content_rect().center())
            .show(ctx, |ui| {
                on_this_machine(ui, theme, recent, actions);
                ui.add_space(3.0 * GRID);
                self.contents(ui, theme, hub, actions);
            });
    }

    fn contents(&mut self, ui: &mut Ui, theme: &Theme, hub: &HubState, actions: &Actions) {
        ui.label(RichText::new("From the Hugging Face hub").strong());
        let text = "Nothing is downloaded before you ask for it; first its size is told. Files go into the cache that other \
                    tools share.";
        ui.label(RichText::new(text).color(theme.text_weak));
        ui.horizontal(|ui| {
            let label = ui.label("Model");
            let edit = TextEdit::singleline(&mut self.id)
                .hint_text("llava-hf/llava-1.5-7b-hf")
                .desired_width(280.0);
            let edit = ui
                .add(edit)
                .labelled_by(label.id)
                .on_hover_text("Owner and name of a model on the hub");
            let busy = matches!(hub, HubState::Asking(_) | HubState::Fetching(..));
            let can = !busy && self.id.contains('/');
            let button = ui
                .add_enabled(can, egui::Button::new("Look up"))
                .on_hover_text("Ask the hub how large it is (Enter)");
            let entered = edit.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter));
            if button.clicked() || (entered && can) {
                actions.send(Action::LookUpModel(self.id.trim().to_owned()));
            }
        });
        ui.add_space(GRID);
        state(ui, theme, hub, actions);
    }
}

/// The demo, files, and the models that were used last, the newest first.
fn on_this_machine(ui: &mut Ui, theme: &Theme, recent: &[&str], actions: &Actions) {
    ui.label(RichText::new("On this machine").strong());
    ui.horizontal(|ui| {
        let demo = ui.button("Demo model");
        if demo
            .on_hover_text("The small model inside Patchglass")
            .clicked()
        {
            actions.send(Action::UseModel(ModelSource::Demo));
        }
        let folder = ui.button("Choose folder…");
        let tip = "A folder with a LLaVA-1.5 model in Hugging Face form";
        if folder.on_hover_text(tip).clicked() {
            actions.send(Action::OpenModel);
        }
        let path = ui.button("Type a path…");
        let tip = "A folder, or a .gguf file with its mmproj file beside it";
        if path.on_hover_text(tip).clicked() {
            actions.send(Action::OpenPath);
        }
    });
    for text in recent {
        // The end of a path tells models apart.
        let label = match text.chars().count() {
            n if n > SHOWN => {
                let end: String = text.chars().skip(n - SHOWN).collect();
                format!("…{end}")
            }
            _ => (*text).to_owned(),
        };
        ui.horizontal(|ui| {
            ui.label(RichText::new("recent").small().color(theme.text_weak));
            let link = ui.link(label).on_hover_text(format!("Use {text}"));
            if link.clicked() {
                actions.send(Action::OpenTyped((*text).to_owned()));
            }
        });
    }
}

fn state(ui: &mut Ui, theme: &Theme, hub: &HubState, actions: &Actions) {
    match hub {
        HubState::Nothing => {}
        HubState::Asking(id) => {
            ui.label(format!("asking the hub for {id}"));
        }
        HubState::Listed(found) => {
            about(ui, theme, found);
            fetch_button(ui, "Download", actions);
        }
        HubState::Fetching(found, n) => {
            about(ui, theme, found);
            bar(ui, *n, found.listing.n_bytes());
            let tip = "Stop for now; what has come is kept";
            if ui.button("Pause").on_hover_text(tip).clicked() {
                actions.send(Action::PauseFetch);
            }
        }
        HubState::Paused(found, n) => {
            about(ui, theme, found);
            bar(ui, *n, found.listing.n_bytes());
            fetch_button(ui, "Resume", actions);
        }
        HubState::Done(id) => {
            ui.label(format!("{id} is here, every file checked"));
            let tip = "Load it and run this session with it";
            if ui.button("Use this model").on_hover_text(tip).clicked() {
                actions.send(Action::UseModel(ModelSource::Hub(id.clone())));
            }
        }
    }
}

fn about(ui: &mut Ui, theme: &Theme, found: &Found) {
    let listing = &found.listing;
    ui.label(format!(
        "{}: {} files, {}; {} are here",
        listing.id,
        listing.files.len(),
        size(listing.n_bytes()),
        size(found.there)
    ));
    for line in &found.memory {
        ui.label(RichText::new(line).color(theme.text_weak));
    }
}

fn bar(ui: &mut Ui, n: u64, all: u64) {
    let text = format!("{} of {}", size(n), size(all));
    ui.add(ProgressBar::new(n as f32 / all.max(1) as f32).text(text));
}

fn fetch_button(ui: &mut Ui, name: &str, actions: &Actions) {
    let tip = "Fetch what is missing, and check every size and hash";
    if ui.button(name).on_hover_text(tip).clicked() {
        actions.send(Action::FetchModel);
    }
}
