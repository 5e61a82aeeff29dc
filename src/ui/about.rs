//! The window "About Patchglass": what it is, what the demo model can and cannot do, and whose work is in it.

use egui::{RichText, Ui};

use super::theme::GRID;

const MODEL: &[&str] = &[
    "The demo model is LLaVA-1.5 in form (vision tower, projector, Llama decoder), with 12.29 million parameters. It was \
     trained on drawn scenes for this program, and answers 96 % of the questions about scenes like the ones it comes with.",
    "No word on an object can be read at level 0; they come from level 4 on, and the last level reads best. Nothing in the \
     training asked for that: its loss was on questions and answers alone. Many background patches read words that mean nothing.",
    "Real photographs do not work with it. It knows 167 kinds of things, drawn. For photographs, open a folder with \
     a LLaVA-1.5 model.",
];

/// Of the sample scenes.
const PICTURES: &[&str] = &[
    "Fluent Emoji by Microsoft, MIT",
    "Noto Emoji by Google, Apache-2.0",
];

/// That the demo model saw besides.
const TRAINING: &[&str] = &[
    "Twemoji by Twitter and contributors, CC-BY-4.0",
    "EmojiOne 2 by Emoji One, CC-BY-4.0",
    "Streamline Emojis by Streamline, CC-BY-4.0",
    "FxEmoji by Mozilla, Apache-2.0",
    "Open Clip Art Library, public domain",
];

/// Shows the window while `open`.
pub fn window(ctx: &egui::Context, open: &mut bool) {
    egui::Window::new("About Patchglass")
        .open(open)
        .collapsible(false)
        .resizable(false)
        .default_width(480.0)
        .pivot(egui::Align2::CENTER_CENTER)
        .default_pos(ctx.content_rect().center())
        .show(ctx, contents);
}

fn contents(ui: &mut Ui) {
    ui.set_width(480.0);
    let version = env!("CARGO_PKG_VERSION");
    let licence = env!("CARGO_PKG_LICENSE");
    paragraph(
        ui,
        "An explorer of what a vision-language model makes of a picture: which words its decoder holds in every patch, at every level, and what changes when patches are taken away.",
    );
    ui.label(RichText::new(format!("Version {version}. Licence: {licence}.")).weak());
    heading(ui, "The demo model");
    for text in MODEL {
        paragraph(ui, text);
    }
    heading(ui, "Pictures");
    paragraph(ui, "The scenes that come with it are put together from:");
    list(ui, PICTURES);
    paragraph(ui, "The demo model was also trained on drawings of:");
    list(ui, TRAINING);
    heading(ui, "Paper");
    paragraph(
        ui,
        "The ways to look and to intervene follow Neo et al., “Towards Interpreting Visual Information Processing in Vision-Language Models”.",
    );
    ui.hyperlink_to("arXiv 2410.07149", "https://arxiv.org/abs/2410.07149")
        .on_hover_text("Open the paper in the browser");
}

fn heading(ui: &mut Ui, text: &str) {
    ui.add_space(2.0 * GRID);
    ui.label(RichText::new(text).strong());
}

fn list(ui: &mut Ui, items: &[&str]) {
    for text in items {
        paragraph(ui, &format!("•  {text}"));
    }
}

fn paragraph(ui: &mut Ui, text: &str) {
    ui.add(egui::Label::new(text).wrap());
}
