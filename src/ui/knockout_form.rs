//! The editor of one attention knockout: who shall not see whom, in which blocks and heads. It sends no command.

use egui::Ui;

use super::ViewCtx;
use super::ablation_form::Edit;
use super::draft::{Draft, Field, Gesture};
use super::forms::{facts, labelled, patch_field};
use super::range_slider;
use super::wording::{Facts, tokens};
use crate::error::{Error, Result};
use crate::index::{HeadSet, LayerRange, TokenSet};
use crate::session::GestureId;
use crate::spec::AttentionKnockout;

/// Scratch of the form.
#[derive(Default)]
pub struct KnockoutForm {
    queries: Draft,
    keys: Draft,
    heads: Draft,
    gesture: Gesture,
}

/// What stands beside a word in the menu.
fn explain(set: &TokenSet) -> &'static str {
    match set {
        TokenSet::Last => "the last token of the prompt",
        TokenSet::Answer => "the last token and the answer",
        TokenSet::Question => "the text after the picture",
        TokenSet::Image => "the whole picture",
        TokenSet::System => "the text before the picture",
        TokenSet::All => "everything",
        TokenSet::Patches(_) => "some patches",
    }
}

impl KnockoutForm {
    pub fn ui(
        &mut self,
        ctx: &ViewCtx<'_>,
        ui: &mut Ui,
        k: &AttentionKnockout,
    ) -> Edit<AttentionKnockout> {
        let facts = facts(ctx);
        let mut edit = None;
        labelled(ui, "Queries", |ui| {
            if let Some(queries) = token_set(ctx, ui, &mut self.queries, "Queries", &k.queries) {
                edit = Some((
                    AttentionKnockout {
                        queries,
                        ..k.clone()
                    },
                    None,
                ));
            }
        });
        labelled(ui, "Keys", |ui| {
            if let Some(keys) = token_set(ctx, ui, &mut self.keys, "Keys", &k.keys) {
                edit = Some((AttentionKnockout { keys, ..k.clone() }, None));
            }
        });
        labelled(ui, "Blocks", |ui| {
            if let Some((layers, gesture)) = self.layers(ctx, ui, k.layers, facts) {
                edit = Some((
                    AttentionKnockout {
                        layers,
                        ..k.clone()
                    },
                    gesture,
                ));
            }
        });
        labelled(ui, "Heads", |ui| {
            if let Some(heads) = self.heads(ui, &k.heads, facts) {
                edit = Some((AttentionKnockout { heads, ..k.clone() }, None));
            }
        });
        edit
    }

    fn layers(
        &mut self,
        ctx: &ViewCtx<'_>,
        ui: &mut Ui,
        layers: LayerRange,
        facts: Facts,
    ) -> Edit<LayerRange> {
        let end = facts.n_layers.saturating_sub(1);
        let (mut first, mut last) = match layers {
            LayerRange::All => (0, end),
            LayerRange::Blocks { first, last } => (first, last),
        };
        let row = ui.add_enabled_ui(facts.n_layers > 0, |ui| {
            ui.horizontal(|ui| {
                let from = self.block(ctx, ui, "First block", &mut first, end);
                ui.label("to");
                let to = self.block(ctx, ui, "Last block", &mut last, end);
                let preset = presets(ui, layers, facts.n_layers);
                (from, to, preset)
            })
        });
        let (from, to, preset) = row.inner.inner;
        if let Some(edit) = self.slider(ctx, ui, (first, last), facts) {
            return Some(edit);
        }
        // The other end follows, so that the range never is empty.
        let edit = if let Some(gesture) = from {
            let last = last.max(first);
            (LayerRange::Blocks { first, last }, gesture)
        } else if let Some(gesture) = to {
            let first = first.min(last);
            (LayerRange::Blocks { first, last }, gesture)
        } else {
            (preset?, None)
        };
        Some(edit)
    }

    /// Both ends at once.
    fn slider(
        &mut self,
        ctx: &ViewCtx<'_>,
        ui: &mut Ui,
        (first, last): (usize, usize),
        facts: Facts,
    ) -> Edit<LayerRange> {
        if last >= facts.n_layers {
            return None;
        }
        let range = (first, last);
        let (response, to) = range_slider::show(ui, ctx.theme, range, facts.n_layers);
        let gesture = self.gesture.of(&response, ctx.commands);
        to.map(|(first, last)| (LayerRange::Blocks { first, last }, gesture))
    }

    /// One end of the range; gives the drag that changed it.
    fn block(
        &mut self,
        ctx: &ViewCtx<'_>,
        ui: &mut Ui,
        name: &str,
        value: &mut usize,
        end: usize,
    ) -> Option<Option<GestureId>> {
        let drag = egui::DragValue::new(value)
            .range(0..=end)
            .clamp_existing_to_range(false)
            .speed(0.05)
            .update_while_editing(false);
        let response = ui
            .add(drag)
            .accessible_name(name)
            .on_hover_text("Blocks count from 0: block n leads from level n to level n + 1. Drag, or click to type");
        let gesture = self.gesture.of(&response, ctx.commands);
        response.changed().then_some(gesture)
    }

    fn heads(&mut self, ui: &mut Ui, heads: &HeadSet, facts: Facts) -> Option<HeadSet> {
        let field = Field {
            name: "Heads",
            hint: "all",
            tooltip: "all, or numbers from 0 such as 0, 3",
            width: ui.available_width(),
            monospace: true,
        };
        let parse = |text: &str| read_heads(text, facts.n_heads);
        self.heads.show(ui, &heads_text(heads), &field, parse)
    }
}

/// A menu of the plain words, and a field where patches are meant.
pub(super) fn token_set(
    ctx: &ViewCtx<'_>,
    ui: &mut Ui,
    draft: &mut Draft,
    name: &str,
    set: &TokenSet,
) -> Option<TokenSet> {
    let mut edit = None;
    let is_patches = matches!(set, TokenSet::Patches(_));
    let shown = match set {
        TokenSet::Patches(_) => tokens(set, facts(ctx)),
        word => format!("{word}: {}", explain(word)),
    };
    let combo = egui::ComboBox::from_id_salt((name, "of the knockout"))
        .selected_text(shown)
        .width(ui.available_width())
        .show_ui(ui, |ui| {
            for (word, other) in TokenSet::WORDS {
                let text = format!("{word}: {}", explain(&other));
                if ui.selectable_label(*set == other, text).clicked() && *set != other {
                    edit = Some(other);
                }
            }
            if ui.selectable_label(is_patches, "patches").clicked() && !is_patches {
                draft.reset();
                edit = Some(TokenSet::Patches(ctx.session.view.selection.clone()));
            }
        });
    combo
        .response
        .accessible_name(name)
        .on_hover_text(match name {
            name if name.starts_with("Queries") => "The tokens that may no longer look",
            _ => "The tokens that can no longer be seen",
        });
    if let TokenSet::Patches(current) = set {
        let patches = patch_field(ui, ctx, draft, &format!("{name} as patches"), current);
        edit = edit.or(patches.map(TokenSet::Patches));
    }
    edit
}

/// All blocks, or a third of them.
fn presets(ui: &mut Ui, layers: LayerRange, n_layers: usize) -> Option<LayerRange> {
    let third = n_layers.div_ceil(3).max(1);
    let end = n_layers.saturating_sub(1);
    let blocks = |first: usize, last: usize| LayerRange::Blocks {
        first: first.min(end),
        last: last.min(end),
    };
    let ranges = [
        ("all", LayerRange::All),
        ("early", blocks(0, third - 1)),
        ("middle", blocks(third, 2 * third - 1)),
        ("late", blocks(2 * third, end)),
    ];
    let mut chosen = None;
    ui.spacing_mut().item_spacing.x = 2.0;
    for (name, range) in ranges {
        let button = ui
            .selectable_label(layers == range, name)
            .on_hover_text(format!("Blocks {range}"));
        if button.clicked() {
            chosen = Some(range);
        }
    }
    ui.menu_button("paper’s", |ui| {
        for (label, range) in super::paper_presets::windows(n_layers) {
            if ui.selectable_label(layers == range, label).clicked() {
                chosen = Some(range);
                ui.close();
            }
        }
    })
    .response
    .on_hover_text("The windows of the paper, scaled where the model has another depth");
    chosen.filter(|range| *range != layers)
}

fn heads_text(heads: &HeadSet) -> String {
    match heads {
        HeadSet::All => "all".to_owned(),
        HeadSet::List(list) => list
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", "),
    }
}

fn read_heads(text: &str, n_heads: usize) -> Result<HeadSet> {
    if matches!(text.trim(), "all" | "") {
        return Ok(HeadSet::All);
    }
    let number = |part: &str| {
        part.trim()
            .parse()
            .map_err(|_not_a_number: std::num::ParseIntError| {
                Error::input("heads are all, or numbers such as 0, 3")
            })
    };
    let mut list = text
        .split(',')
        .map(number)
        .collect::<Result<Vec<usize>>>()?;
    list.sort_unstable();
    list.dedup();
    let heads = HeadSet::List(list);
    if n_heads > 0 {
        heads.resolve(n_heads)?;
    }
    Ok(heads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_as_text() {
        assert_eq!(read_heads("all", 8).unwrap(), HeadSet::All);
        assert_eq!(read_heads(" 3, 0,3", 8).unwrap(), HeadSet::List(vec![0, 3]));
        assert_eq!(heads_text(&HeadSet::List(vec![0, 3])), "0, 3");
        assert!(
            read_heads("8", 8)
                .unwrap_err()
                .to_string()
                .contains("head 8")
        );
        assert!(read_heads("a", 8).is_err());
    }
}
