//! The command palette: a field and a list of everything that can be asked by name, searched as one types.
//!
//! Up, Down, Enter and Esc do all; it sends the chosen action and carries nothing out.

use egui::{Align2, Area, Frame, Id, Key, Modifiers, Order, RichText, Sense, TextEdit, Ui, vec2};

use super::ViewCtx;
use super::pane::Pane;
use super::shortcuts::{Action, Actions, TABLE, take_typed};
use super::theme::GRID;
use crate::demo::SAMPLES;

const WIDTH: f32 = 520.0;
/// Rows on screen.
const N_ROWS: usize = 10;
const ROW: f32 = 28.0;

/// Scratch: what is typed and which row is chosen, while the palette is open.
#[derive(Default)]
pub struct Palette {
    open: bool,
    text: String,
    chosen: usize,
    fresh: bool,
}

/// One thing to choose.
struct Item {
    label: String,
    detail: String,
    keys: String,
    action: Action,
}

impl Palette {
    pub fn toggle(&mut self) {
        *self = Self {
            open: !self.open,
            fresh: true,
            ..Self::default()
        };
    }

    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Closes it; tells whether it was open.
    pub fn close(&mut self) -> bool {
        std::mem::take(&mut self.open)
    }

    /// Shows the palette while it is open; `recent` are kinds and paths of recent files.
    pub fn ui<'a>(
        &mut self,
        ctx: &ViewCtx<'_>,
        ui: &Ui,
        recent: impl Iterator<Item = (&'static str, &'a str)>,
        actions: &Actions,
    ) {
        if !self.open {
            return;
        }
        let items = items(ctx, ui.ctx(), recent);
        let found = search(&items, &self.text);
        let window = ui.ctx().content_rect();
        let area = Area::new(Id::unique("palette"))
            .order(Order::Foreground)
            .pivot(Align2::CENTER_TOP)
            .fixed_pos(window.center_top() + vec2(0.0, 56.0));
        let shown = area.show(ui.ctx(), |ui| {
            let frame = Frame::window(ui.style()).inner_margin(egui::Margin::same(8));
            frame.show(ui, |ui| {
                ui.set_width(WIDTH.min(window.width() - 48.0));
                self.keys(ui, found.len());
                self.field(ui);
                ui.add_space(GRID);
                self.list(ctx, ui, &items, &found)
            })
        });
        let (taken, frame) = (shown.inner.inner, shown.response);
        if let Some(action) = taken {
            actions.send(action);
            self.open = false;
        }
        if frame.clicked_elsewhere() && !self.fresh {
            self.open = false;
        }
        self.fresh &= !ui.ctx().text_edit_focused();
    }

    /// Moves the choice; taken out of the input before the field sees it.
    fn keys(&mut self, ui: &Ui, n: usize) {
        let count = |key| ui.input_mut(|i| i.count_and_consume_key(Modifiers::NONE, key));
        self.chosen = (self.chosen + count(Key::ArrowDown)).min(n.saturating_sub(1));
        self.chosen = self.chosen.saturating_sub(count(Key::ArrowUp));
        if count(Key::Escape) > 0 {
            self.open = false;
        }
    }

    fn field(&mut self, ui: &mut Ui) {
        let typed = self.fresh && take_typed(ui.ctx(), &mut self.text);
        let edit = TextEdit::singleline(&mut self.text)
            .hint_text("What do you want to do?")
            .margin(egui::Margin::symmetric(8, 6))
            .desired_width(f32::INFINITY);
        let field = ui
            .add(edit)
            .accessible_name("Command")
            .on_hover_text("Type parts of a name; Up, Down and Enter choose, Esc closes");
        if self.fresh {
            field.request_focus();
        }
        if typed || field.changed() {
            self.chosen = 0;
        }
    }

    fn list(
        &self,
        ctx: &ViewCtx<'_>,
        ui: &mut Ui,
        items: &[Item],
        found: &[usize],
    ) -> Option<Action> {
        let entered = ui.input(|i| i.key_pressed(Key::Enter));
        let first = self.chosen.saturating_sub(N_ROWS - 1);
        let mut taken = None;
        for (at, item) in found.iter().enumerate().skip(first).take(N_ROWS) {
            let item = &items[*item];
            let is_chosen = at == self.chosen;
            if row(ctx, ui, item, is_chosen).clicked() || (is_chosen && entered) {
                taken = Some(item.action.clone());
            }
        }
        if found.is_empty() {
            ui.label(RichText::new("Nothing is called that.").weak());
        }
        taken
    }
}

fn row(ctx: &ViewCtx<'_>, ui: &mut Ui, item: &Item, is_chosen: bool) -> egui::Response {
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::click());
    if is_chosen || response.hovered() {
        let fill = if is_chosen {
            ctx.theme.accent_weak
        } else {
            ctx.theme.outline
        };
        ui.painter().rect_filled(rect, 4.0, fill);
    }
    let inner = rect.shrink2(vec2(2.0 * GRID, 0.0));
    let layout = egui::Layout::left_to_right(egui::Align::Center);
    let mut line = ui.new_child(egui::UiBuilder::new().max_rect(inner).layout(layout));
    line.add(egui::Label::new(RichText::new(&item.label)).selectable(false));
    let right = egui::Layout::right_to_left(egui::Align::Center);
    line.with_layout(right, |ui| {
        ui.label(RichText::new(&item.keys).monospace().weak());
        let left = egui::Layout::left_to_right(egui::Align::Center);
        ui.with_layout(left, |ui| {
            ui.add(egui::Label::new(RichText::new(&item.detail).small().weak()).truncate());
        });
    });
    let name = format!("Command: {}", item.label);
    response.widget_info(|| egui::WidgetInfo::selected(egui::Role::Button, true, is_chosen, &name));
    response.on_hover_text(&item.detail)
}

/// Everything that can be chosen.
fn items<'a>(
    ctx: &ViewCtx<'_>,
    egui: &egui::Context,
    recent: impl Iterator<Item = (&'static str, &'a str)>,
) -> Vec<Item> {
    let item = |label: String, detail: &str, action: Action| Item {
        label,
        detail: detail.to_owned(),
        keys: String::new(),
        action,
    };
    let table = TABLE.iter().filter(|e| e.action != Action::Palette);
    let mut items: Vec<Item> = table
        .map(|entry| Item {
            keys: entry.key_text(egui),
            ..item(entry.label.to_owned(), entry.tooltip, entry.action.clone())
        })
        .collect();
    for pane in Pane::ALL.iter().filter(|pane| **pane != Pane::Picture) {
        let label = format!("Show pane {}", pane.title());
        items.push(item(label, pane.tooltip(), Action::ShowPane(*pane)));
    }
    if let Some(trace) = ctx.trace.or(ctx.previous) {
        for level in 0..=trace.model.n_layers {
            let detail = super::labels::level_label(level, trace.model.n_layers);
            items.push(item(
                format!("Level {level}"),
                &detail,
                Action::GoToLevel(level),
            ));
        }
    }
    for sample in SAMPLES {
        let label = format!("Sample {}", sample.name);
        items.push(item(label, sample.what, Action::OpenSample(sample.name)));
    }
    for (kind, path) in recent {
        let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
        let label = format!("Recent {kind} {name}");
        items.push(item(label, path, Action::OpenTyped(path.to_owned())));
    }
    use egui::ThemePreference as P;
    for (preference, name) in [
        (P::Dark, "Dark"),
        (P::Light, "Light"),
        (P::System, "As the system"),
    ] {
        let label = format!("Colours: {name}");
        items.push(item(
            label,
            "Colours of the window",
            Action::Theme(preference),
        ));
    }
    items
}

/// The items that match, the best first; all of them, in their order, where nothing is typed.
fn search(items: &[Item], text: &str) -> Vec<usize> {
    let text = text.trim().to_lowercase();
    let mut found: Vec<(i32, usize)> = (items.iter().enumerate())
        .filter_map(|(at, item)| {
            let by_label = score(&text, &item.label).map(|s| s + 50);
            let by_keys = score(&text, &item.keys).map(|s| s + 20);
            let best = by_label.max(by_keys);
            best.or_else(|| score(&text, &item.detail).filter(|s| *s > 0 || text.is_empty()))
                .map(|score| (-score, at))
        })
        .collect();
    found.sort();
    found.into_iter().map(|(_, at)| at).collect()
}

/// How well the letters of `text` (lower case) stand in `name`, in order: more for neighbours and beginnings of words,
/// less for letters between. `None` if one is missing.
fn score(text: &str, name: &str) -> Option<i32> {
    let name: Vec<char> = name.to_lowercase().chars().collect();
    let (mut score, mut at) = (0, 0);
    for wanted in text.chars().filter(|c| !c.is_whitespace()) {
        let gap = name[at..].iter().position(|c| *c == wanted)?;
        let here = at + gap;
        let begins = here == 0 || !name[here - 1].is_alphanumeric();
        score += match (gap, begins) {
            (0, _) => 4,
            (_, true) => 3,
            _ => -1,
        };
        score -= (gap as i32).min(6) / 3;
        at = here + 1;
    }
    Some(score - (name.len() as i32) / 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(text: &str) -> String {
        let items: Vec<Item> = TABLE
            .iter()
            .map(|e| Item {
                label: e.label.to_owned(),
                detail: e.tooltip.to_owned(),
                keys: String::new(),
                action: e.action.clone(),
            })
            .collect();
        let found = search(&items, text);
        found
            .first()
            .map(|at| items[*at].label.clone())
            .unwrap_or_default()
    }

    #[test]
    fn parts_of_a_name_find_it() {
        assert_eq!(best("undo"), "Undo");
        assert_eq!(best("abl sel"), "Ablate selection");
        assert_eq!(best("knock"), "Knock out selection…");
        assert_eq!(best("resl"), "Reset layout");
        assert_eq!(best("clint"), "Clear interventions");
        assert_eq!(best("zzqx"), "");
    }
}
