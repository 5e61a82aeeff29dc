//! The editor of one ablation: which patches, what takes their place, at which level. It sends no command.

use egui::Ui;

use super::draft::{Draft, Field, Gesture};
use super::forms::{facts, labelled, patch_field};
use super::labels::level_label;
use super::shortcuts::{Action, Actions};
use super::{CommandSender, ViewCtx};
use crate::error::{Error, Result};
use crate::index::Patch;
use crate::session::GestureId;
use crate::spec::{Ablation, Replacement};

/// What can take a patch's place, without the details.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Mean,
    Zero,
    Noise,
    Patch,
    Image,
    MeanOf,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::Mean,
        Self::Zero,
        Self::Noise,
        Self::Patch,
        Self::Image,
        Self::MeanOf,
    ];

    fn of(with: &Replacement) -> Self {
        match with {
            Replacement::Mean => Self::Mean,
            Replacement::Zero => Self::Zero,
            Replacement::Noise(_) => Self::Noise,
            Replacement::Patch(_) => Self::Patch,
            Replacement::Image(_) => Self::Image,
            Replacement::MeanOf(_) => Self::MeanOf,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Mean => "mean of this picture's patches",
            Self::Zero => "zero",
            Self::Noise => "noise like this picture's patches",
            Self::Patch => "another patch",
            Self::Image => "another picture's patches",
            Self::MeanOf => "mean from a file",
        }
    }

    /// The replacement that can start without asking; a file must be named first.
    fn start(self) -> Option<Replacement> {
        match self {
            Self::Mean => Some(Replacement::Mean),
            Self::Zero => Some(Replacement::Zero),
            Self::Noise => Some(Replacement::Noise(0)),
            Self::Patch => Some(Replacement::Patch(Patch::new(0, 0))),
            Self::Image | Self::MeanOf => None,
        }
    }
}

/// Scratch of the form.
#[derive(Default)]
pub struct AblationForm {
    patches: Draft,
    other: Draft,
    /// A kind that was chosen and still lacks its file.
    wanted: Option<Kind>,
    gesture: Gesture,
}

/// An edit, and the drag that it belongs to.
pub type Edit<T> = Option<(T, Option<GestureId>)>;

impl AblationForm {
    /// The kind that a chosen file is for: a mean, or else another picture.
    pub fn wants_mean_file(&self, a: &Ablation) -> bool {
        self.wanted.unwrap_or(Kind::of(&a.with)) == Kind::MeanOf
    }

    pub fn ui(
        &mut self,
        ctx: &ViewCtx<'_>,
        ui: &mut Ui,
        actions: &Actions,
        row: usize,
        a: &Ablation,
    ) -> Edit<Ablation> {
        let mut edit = None;
        labelled(ui, "Patches", |ui| {
            if let Some(patches) =
                patch_field(ui, ctx, &mut self.patches, "Ablated patches", &a.patches)
            {
                edit = Some((
                    Ablation {
                        patches,
                        ..a.clone()
                    },
                    None,
                ));
            }
        });
        labelled(ui, "Replace by", |ui| {
            if let Some((with, gesture)) = self.replacement(ctx, ui, actions, row, a) {
                self.wanted = None;
                edit = Some((Ablation { with, ..a.clone() }, gesture));
            }
        });
        labelled(ui, "At level", |ui| {
            if let Some((layer, gesture)) = self.level(ctx, ui, a.layer) {
                edit = Some((Ablation { layer, ..a.clone() }, gesture));
            }
        });
        edit
    }

    fn replacement(
        &mut self,
        ctx: &ViewCtx<'_>,
        ui: &mut Ui,
        actions: &Actions,
        row: usize,
        a: &Ablation,
    ) -> Edit<Replacement> {
        let kind = self.wanted.unwrap_or(Kind::of(&a.with));
        let mut edit = None;
        let combo = egui::ComboBox::from_id_salt(("replacement", row))
            .selected_text(kind.text())
            .width(ui.available_width())
            .show_ui(ui, |ui| {
                for other in Kind::ALL {
                    if ui.selectable_label(other == kind, other.text()).clicked() && other != kind {
                        self.other.reset();
                        edit = other.start().map(|with| (with, None));
                        self.wanted = Some(other).filter(|k| k.start().is_none());
                    }
                }
            });
        combo
            .response
            .accessible_name("Replacement")
            .on_hover_text("What stands in the place of the ablated patches");
        edit.or_else(|| self.details(ctx.commands, ui, actions, row, kind, &a.with))
    }

    fn details(
        &mut self,
        commands: &CommandSender,
        ui: &mut Ui,
        actions: &Actions,
        row: usize,
        kind: Kind,
        with: &Replacement,
    ) -> Edit<Replacement> {
        match (kind, with) {
            (Kind::Noise, Replacement::Noise(seed)) => {
                let mut seed = *seed;
                let value = egui::DragValue::new(&mut seed)
                    .prefix("seed ")
                    .update_while_editing(false);
                let response = ui
                    .add(value)
                    .accessible_name("Noise seed")
                    .on_hover_text("The same seed gives the same noise");
                let gesture = self.gesture.of(&response, commands);
                response
                    .changed()
                    .then_some((Replacement::Noise(seed), gesture))
            }
            (Kind::Patch, Replacement::Patch(patch)) => {
                let field = Field {
                    name: "Patch to copy",
                    hint: "r0c0",
                    tooltip: "The patch whose row is copied, as r3c4",
                    width: 96.0,
                    monospace: true,
                };
                let parsed = self
                    .other
                    .show(ui, &patch.to_string(), &field, |t| t.parse::<Patch>());
                parsed.map(|patch| (Replacement::Patch(patch), None))
            }
            (Kind::Image | Kind::MeanOf, with) => self.file(ui, actions, row, kind, with),
            _ => None,
        }
    }

    fn file(
        &mut self,
        ui: &mut Ui,
        actions: &Actions,
        row: usize,
        kind: Kind,
        with: &Replacement,
    ) -> Edit<Replacement> {
        let current = match with {
            Replacement::Image(path) | Replacement::MeanOf(path) if self.wanted.is_none() => {
                path.display().to_string()
            }
            _ => String::new(),
        };
        ui.horizontal(|ui| {
            let (name, hint, make): (_, _, fn(std::path::PathBuf) -> Replacement) = match kind {
                Kind::MeanOf => (
                    "Mean file",
                    "path of a .safetensors or .pt file",
                    Replacement::MeanOf,
                ),
                _ => ("Other picture", "path of a picture", Replacement::Image),
            };
            let field = Field {
                name,
                hint,
                tooltip: "Type a path and press Enter, or browse",
                width: (ui.available_width() - 88.0).max(80.0),
                monospace: true,
            };
            let typed = self.other.show(ui, &current, &field, not_empty);
            let browse = ui
                .button("Browse…")
                .on_hover_text("Choose the file in a dialog");
            if browse.clicked() {
                actions.send(Action::BrowseReplacement(row));
            }
            typed.map(|path| (make(path.into()), None))
        })
        .inner
    }

    fn level(&mut self, ctx: &ViewCtx<'_>, ui: &mut Ui, level: usize) -> Edit<usize> {
        let n_layers = facts(ctx).n_layers;
        let mut chosen = level;
        ui.horizontal(|ui| {
            let value = egui::DragValue::new(&mut chosen)
                .range(0..=n_layers.saturating_sub(1).max(level))
                .clamp_existing_to_range(false)
                .speed(0.05)
                .update_while_editing(false);
            let response = ui
                .add_enabled(n_layers > 0, value)
                .accessible_name("Ablation level")
                .on_hover_text("The level whose rows are replaced: 0 is what enters the decoder, n is after n blocks");
            ui.label(egui::RichText::new(level_label(level, n_layers.max(level + 1))).small().weak());
            let gesture = self.gesture.of(&response, ctx.commands);
            response.changed().then_some((chosen, gesture))
        })
        .inner
    }
}

fn not_empty(text: &str) -> Result<String> {
    match text.trim() {
        "" => Err(Error::input("a path is needed")),
        path => Ok(path.to_owned()),
    }
}
