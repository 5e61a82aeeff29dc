//! Rows that are swapped, steered, erased from or scaled: the menus that add them and their editor. It sends a command
//! only for a row that is added.

use std::path::PathBuf;

use egui::Ui;

use super::ViewCtx;
use super::ablation_form::Edit;
use super::draft::{Draft, Field, Gesture};
use super::forms::{facts, labelled, patch_field};
use super::knockout_form::token_set;
use super::paper_presets;
use crate::error::{Error, Result};
use crate::index::{LayerRange, Patch, TokenSet};
use crate::session::Command;
use crate::spec::{Erase, Intervention, Scale, Steer, Swap, WordVector};

/// Scratch of the editor.
#[derive(Default)]
pub struct EditForm {
    tokens: Draft,
    word: Draft,
    image: Draft,
    from: Draft,
    gesture: Gesture,
}

/// Menus for rows beside ablation and knockout: the paper's presets, and edits of rows.
pub fn more_rows(ctx: &ViewCtx<'_>, ui: &mut Ui, window: &mut LayerRange) {
    ui.horizontal(|ui| {
        let presets = ui.menu_button("Paper’s knockouts", |ui| presets(ctx, ui, window));
        presets
            .response
            .on_hover_text("One click each: the selection is the object (Neo et al., section 4.2)");
        let edits = ui.menu_button("Steer, erase, scale, swap", |ui| {
            for (label, tip, row) in new_rows(ctx) {
                if ui.button(label).on_hover_text(tip).clicked() {
                    ctx.commands.send(Command::AddIntervention(row));
                    ui.close();
                }
            }
        });
        edits.response.on_hover_text(
            "Change the rows of the selection, or of the whole picture where nothing is selected",
        );
    });
}

fn presets(ctx: &ViewCtx<'_>, ui: &mut Ui, window: &mut LayerRange) {
    let Some(grid) = ctx.session.grid else {
        ui.label("No model is loaded yet");
        return;
    };
    ui.label("Blocks");
    for (label, range) in paper_presets::windows(facts(ctx).n_layers) {
        ui.radio_value(window, range, label)
            .on_hover_text("The paper's windows, scaled where the model has another depth");
    }
    ui.separator();
    let object = &ctx.session.view.selection;
    for (label, row) in paper_presets::knockouts(object, *window, grid) {
        let row = Intervention::AttentionKnockout(row);
        let needs_object = label.contains("object") && object.is_empty();
        let item = ui.add_enabled(!needs_object && !row.is_empty(), egui::Button::new(label));
        let item = item.on_hover_text("The last token may no longer attend to these patches");
        if item
            .on_disabled_hover_text("Select the object's patches first")
            .clicked()
        {
            ctx.commands.send(Command::AddIntervention(row));
            ui.close();
        }
    }
}

/// New rows about the selection, or the whole picture.
fn new_rows(ctx: &ViewCtx<'_>) -> [(&'static str, &'static str, Intervention); 4] {
    let selection = &ctx.session.view.selection;
    let tokens = match selection.is_empty() {
        true => TokenSet::Image,
        false => TokenSet::Patches(selection.clone()),
    };
    let (word, layer, enabled, name) = (a_word(ctx), 0, true, None);
    let vector = WordVector::default();
    let steer = Steer {
        tokens: tokens.clone(),
        word: word.clone(),
        vector,
        strength: 0.5,
        layer,
        enabled,
        name: name.clone(),
    };
    let erase = Erase {
        tokens: tokens.clone(),
        word,
        vector,
        layer,
        enabled,
        name: name.clone(),
    };
    let scale = Scale {
        tokens,
        by: 0.5,
        layer,
        enabled,
        name: name.clone(),
    };
    let swap = Swap {
        patches: selection.clone(),
        image: PathBuf::new(),
        from: None,
        layer,
        // It starts when its picture is named.
        enabled: false,
        name,
    };
    [
        (
            "Steer towards a word",
            "Add a word's direction to rows",
            Intervention::Steer(steer),
        ),
        (
            "Erase a word",
            "Project a word's direction out of rows, as Jiang et al. (2410.02762) do",
            Intervention::Erase(erase),
        ),
        (
            "Scale rows",
            "Multiply rows by a factor",
            Intervention::Scale(scale),
        ),
        (
            "Swap from a second picture",
            "Put patches of another picture here",
            Intervention::Swap(swap),
        ),
    ]
}

/// The typed word, else a word of the answer.
fn a_word(ctx: &ViewCtx<'_>) -> String {
    if let Some(word) = ctx.session.readout.words.first() {
        return word.clone();
    }
    let trace = ctx.trace.or(ctx.previous);
    let words = trace.into_iter().flat_map(|trace| {
        let ids = trace.baseline.answer.ids.iter();
        ids.map(|id| trace.model.vocabulary.piece(*id))
            .map(|piece| piece.trim_start_matches('␣').to_owned())
    });
    let long = |word: &String| word.len() > 3 && word.chars().all(char::is_alphabetic);
    words
        .into_iter()
        .find(long)
        .unwrap_or_else(|| "dog".to_owned())
}

impl EditForm {
    pub fn ui(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui, row: &Intervention) -> Edit<Intervention> {
        let mut to = row.clone();
        let mut gesture = None;
        match &mut to {
            Intervention::Swap(swap) => self.swap(ctx, ui, swap),
            Intervention::Steer(steer) => {
                self.tokens(ctx, ui, &mut steer.tokens);
                self.word(ctx, ui, &mut steer.word, &mut steer.vector);
                gesture = self.number(ctx, ui, "Strength", &mut steer.strength, (-3.0, 3.0));
            }
            Intervention::Erase(erase) => {
                self.tokens(ctx, ui, &mut erase.tokens);
                self.word(ctx, ui, &mut erase.word, &mut erase.vector);
            }
            Intervention::Scale(scale) => {
                self.tokens(ctx, ui, &mut scale.tokens);
                gesture = self.number(ctx, ui, "Factor", &mut scale.by, (0.0, 2.0));
            }
            Intervention::Ablation(_) | Intervention::AttentionKnockout(_) => {}
        }
        let layer = match &mut to {
            Intervention::Swap(row) => Some(&mut row.layer),
            Intervention::Steer(row) => Some(&mut row.layer),
            Intervention::Erase(row) => Some(&mut row.layer),
            Intervention::Scale(row) => Some(&mut row.layer),
            Intervention::Ablation(_) | Intervention::AttentionKnockout(_) => None,
        };
        if let Some(layer) = layer {
            gesture = gesture.or(self.level(ctx, ui, layer));
        }
        (to != *row).then_some((to, gesture))
    }

    fn tokens(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui, tokens: &mut TokenSet) {
        labelled(ui, "Rows of", |ui| {
            if let Some(other) = token_set(ctx, ui, &mut self.tokens, "Edited tokens", tokens) {
                *tokens = other;
            }
        });
    }

    fn word(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui, word: &mut String, vector: &mut WordVector) {
        labelled(ui, "Word", |ui| {
            ui.horizontal(|ui| {
                let field = Field {
                    name: "Word of the edit",
                    hint: "e.g. dog",
                    tooltip: "The word whose direction it is; of several tokens the first counts",
                    width: 96.0,
                    monospace: false,
                };
                let typed = ui.vertical(|ui| self.word.show(ui, word, &field, some_text));
                if let Some(typed) = typed.inner {
                    *word = typed;
                }
                let n_layers = facts(ctx).n_layers;
                let name = |vector: WordVector| match vector {
                    WordVector::Unembedding => "unembedding".to_owned(),
                    WordVector::Embedding => "embedding".to_owned(),
                    WordVector::Text(level) => format!("as text, level {level}"),
                };
                let combo = egui::ComboBox::from_id_salt("vector of the word")
                    .selected_text(name(*vector))
                    .show_ui(ui, |ui| {
                        let text = WordVector::Text(n_layers / 2);
                        for other in [WordVector::Unembedding, WordVector::Embedding, text] {
                            ui.selectable_value(vector, other, name(other));
                        }
                    });
                combo
                    .response
                    .accessible_name("Vector of the word")
                    .on_hover_text("What stands for the word in the residual stream");
            });
        });
    }

    fn number(
        &mut self,
        ctx: &ViewCtx<'_>,
        ui: &mut Ui,
        name: &str,
        value: &mut f32,
        (low, high): (f32, f32),
    ) -> Option<crate::session::GestureId> {
        let slider = egui::Slider::new(value, low..=high)
            .clamping(egui::SliderClamping::Never)
            .fixed_decimals(2);
        let response = labelled(ui, name, |ui| ui.add(slider));
        let response = response
            .accessible_name(name.to_owned())
            .on_hover_text(match name {
                "Strength" => "In lengths of the row that it is added to; below 0 it is subtracted",
                _ => "1 leaves the rows as they are, 0 takes them away",
            });
        self.gesture.of(&response, ctx.commands)
    }

    fn level(
        &mut self,
        ctx: &ViewCtx<'_>,
        ui: &mut Ui,
        layer: &mut usize,
    ) -> Option<crate::session::GestureId> {
        let last = facts(ctx).n_layers.saturating_sub(1).max(*layer);
        let drag = egui::DragValue::new(layer)
            .range(0..=last)
            .speed(0.05)
            .update_while_editing(false);
        let response = labelled(ui, "At level", |ui| ui.add(drag));
        let response = response
            .accessible_name("Level of the edit")
            .on_hover_text("0 is what enters the decoder, n is after n blocks");
        self.gesture.of(&response, ctx.commands)
    }

    fn swap(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui, swap: &mut Swap) {
        labelled(ui, "Patches", |ui| {
            let name = "Swapped patches";
            if let Some(patches) = patch_field(ui, ctx, &mut self.tokens, name, &swap.patches) {
                swap.patches = patches;
            }
        });
        labelled(ui, "Picture", |ui| {
            let field = Field {
                name: "Second picture",
                hint: "path of a picture",
                tooltip: "The picture that the patches come from: type a path and press Enter",
                width: ui.available_width(),
                monospace: true,
            };
            let current = swap.image.display().to_string();
            if let Some(path) = self.image.show(ui, &current, &field, some_text) {
                // A row that waited for its picture starts.
                swap.enabled |= swap.image.as_os_str().is_empty();
                swap.image = path.into();
            }
        });
        labelled(ui, "From", |ui| {
            let field = Field {
                name: "From patch",
                hint: "own place",
                tooltip: "The second picture's patch that comes to the top left of the region; empty for the same places",
                width: 96.0,
                monospace: true,
            };
            let current = swap.from.map_or_else(String::new, |from| from.to_string());
            let parse = |text: &str| match text.trim() {
                "" => Ok(None),
                text => text.parse::<Patch>().map(Some),
            };
            if let Some(from) = self.from.show(ui, &current, &field, parse) {
                swap.from = from;
            }
        });
    }
}

fn some_text(text: &str) -> Result<String> {
    match text.trim() {
        "" => Err(Error::input("it must not be empty")),
        text => Ok(text.to_owned()),
    }
}
