//! The window "Keys", made from the table of shortcuts. It sends nothing.

use egui::{RichText, Ui};

use super::shortcuts::TABLE;
use super::theme::GRID;

/// Shows the window while `open`.
pub fn window(ctx: &egui::Context, open: &mut bool) {
    egui::Window::new("Keys")
        .open(open)
        .collapsible(false)
        .resizable(false)
        .pivot(egui::Align2::CENTER_CENTER)
        .default_pos(ctx.content_rect().center())
        .show(ctx, contents);
}

fn contents(ui: &mut Ui) {
    let rows: Vec<_> = TABLE
        .iter()
        .filter(|entry| !entry.keys.is_empty())
        .collect();
    let half = rows.len().div_ceil(2);
    ui.horizontal_top(|ui| {
        for (at, column) in rows.chunks(half).enumerate() {
            if at > 0 {
                ui.add_space(4.0 * GRID);
            }
            let grid = egui::Grid::new(("keys", at))
                .num_columns(2)
                .spacing([4.0 * GRID, GRID]);
            grid.show(ui, |ui| {
                for entry in column {
                    ui.label(RichText::new(entry.all_keys_text(ui.ctx())).monospace());
                    ui.label(entry.label).on_hover_text(entry.tooltip);
                    ui.end_row();
                }
            });
        }
    });
    ui.add_space(2.0 * GRID);
    let text = "Pictures, models (a folder or .gguf), session files and tours (.md) can also be dropped onto the window; Ctrl+V pastes a picture.";
    ui.label(RichText::new(text).small().weak());
}
