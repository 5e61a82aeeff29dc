//! One table of everything that can be asked by menu, button or key: label, tooltip and keys.
//!
//! Menus, tooltips, the window "Keys" and the key handling are made from it. It carries nothing out: the shell does.

use std::cell::RefCell;

use egui::{Key, KeyboardShortcut, Modifiers};

use super::pane::Pane;

/// What a person can ask of the window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    OpenPicture,
    OpenModel,
    OpenSession,
    OpenPath,
    OpenDemo,
    Save,
    SaveAs,
    SaveRecorded,
    ExportPng,
    ExportGif,
    ExportHtml,
    ExportCsv,
    ExportJson,
    ExportSafetensors,
    ExportPython,
    CopyPicture,
    CopyTable,
    Verify,
    Models,
    Quit,
    Undo,
    Redo,
    ClearInterventions,
    ClearSelection,
    SelectAll,
    InvertSelection,
    GrowSelection,
    ShrinkSelection,
    SelectLastRow,
    SelectRegisters,
    SelectRandom,
    SelectSimilar,
    SelectFromFile,
    KeepSelection,
    UndoSelection,
    RedoSelection,
    AblateSelection,
    KnockOutSelection,
    Control,
    SoloRow,
    DuplicateRow,
    RenameRow,
    DeleteRow,
    MoveRowUp,
    MoveRowDown,
    AblateTool,
    SelectTool,
    LassoTool,
    LevelDown,
    LevelUp,
    LevelFirst,
    LevelLast,
    Play,
    ShowGrid,
    ShowWords,
    ShowClean,
    Compare,
    KeepRun,
    CosineLens,
    TableOfAllTokens,
    GreyShared,
    MeasureKl,
    NextScale,
    Normalise,
    SwapColours,
    Rerun,
    Sweep,
    Stop,
    Keys,
    About,
    ResetLayout,
    Palette,
    CursorLeft,
    CursorRight,
    CursorUp,
    CursorDown,
    CursorClick,
    ZoomIn,
    ZoomOut,
    ZoomReset,
    Present,
    PaperTour,
    OpenTour,
    TourNext,
    TourBack,
    EndTour,
    /// Outside the table: things that need a value.
    /// Opens a pane or closes it.
    TogglePane(Pane),
    /// Brings a pane to the front.
    ShowPane(Pane),
    GoToLevel(usize),
    /// A sample scene by its name.
    OpenSample(&'static str),
    /// The session that was lost in a crash.
    BringBack,
    DiscardLost,
    Theme(egui::ThemePreference),
    /// A path or hub id that was typed or dropped.
    OpenTyped(String),
    /// The path that was typed for a file to be written.
    SaveTo(String),
    /// A mask or annotation file whose path was typed.
    SelectFromPath(String),
    /// A file for the replacement of this row of the interventions.
    BrowseReplacement(usize),
    DismissError,
    /// Compute on the CPU from now on, and run again.
    UseCpu,
    /// Begin the verification that the window "Verify" shows.
    StartVerify,
    UseModel(crate::spec::ModelSource),
    /// Ask the hub about a model, fetch it, stop fetching for now.
    LookUpModel(String),
    FetchModel,
    PauseFetch,
}

/// When the keys of an entry count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Always,
    /// Not while a text field has the focus or a menu is open.
    NotTyping,
    /// Not while any widget but the level slider has the focus.
    NothingFocused,
}

/// One row of the table.
pub struct Entry {
    pub action: Action,
    pub label: &'static str,
    pub tooltip: &'static str,
    pub keys: &'static [KeyboardShortcut],
    pub when: When,
}

const CTRL_SHIFT: Modifiers = Modifiers::COMMAND.plus(Modifiers::SHIFT);

const fn ctrl(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::COMMAND, key)
}

const fn ctrl_shift(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(CTRL_SHIFT, key)
}

const fn alt(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::ALT, key)
}

const fn shift(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::SHIFT, key)
}

const fn plain(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::NONE, key)
}

macro_rules! table {
    ($($action:ident, $label:literal, $tooltip:literal, [$($key:expr),*], $when:ident;)*) => {
        &[$(Entry {
            action: Action::$action,
            label: $label,
            tooltip: $tooltip,
            keys: &[$($key),*],
            when: When::$when,
        }),*]
    };
}

/// All entries, in the order of the window "Keys".
pub const TABLE: &[Entry] = table! {
    OpenPicture, "Open picture…", "Choose the picture that the model looks at", [ctrl(Key::O)], Always;
    OpenSession, "Open session…", "Open a session file", [ctrl_shift(Key::O)], Always;
    OpenModel, "Open model folder…", "Choose a folder with a LLaVA-1.5 model in Hugging Face form", [], Always;
    Models, "Models…", "Choose a model: the demo, a folder, a file, or one of the Hugging Face hub", [ctrl(Key::M)], Always;
    OpenPath, "Open path…", "Type the path of a picture, a model (a folder or .gguf) or a session", [ctrl(Key::L)], Always;
    OpenDemo, "Back to the demo", "The model and the picture that Patchglass brings along", [], Always;
    Save, "Save session", "Write the session to its file", [ctrl(Key::S)], Always;
    SaveAs, "Save session as…", "Write the session to another file", [ctrl_shift(Key::S)], Always;
    SaveRecorded, "Save with results…", "Write the session and beside it what was computed, to be read without the model", [], Always;
    ExportPng, "Picture of the view (PNG)…", "The patches with heat map, words and marks, and a legend, at twice the screen's size", [], Always;
    ExportGif, "All levels, animated (GIF)…", "The view at every level, one after the other", [], Always;
    ExportHtml, "Page for a browser (HTML)…", "One file with every level, patch and word, to look at without Patchglass", [], Always;
    ExportCsv, "Table of all words (CSV)…", "A line per level, patch and rank, before and after", [], Always;
    ExportJson, "Result (JSON)…", "What patchglass run writes as result.json", [], Always;
    ExportSafetensors, "Tensors (safetensors)…", "Pixels, visual tokens, residual streams and logits of the edited run", [], Always;
    ExportPython, "Python script…", "A script that repeats the run with Hugging Face transformers and prints the same answer", [], Always;
    CopyPicture, "Copy picture", "Put the picture of the view with its legend on the clipboard", [ctrl_shift(Key::C)], NotTyping;
    CopyTable, "Copy table", "Put the words of the level on screen on the clipboard, parted by tabs", [ctrl_shift(Key::T)], NotTyping;
    Verify, "Verify model…", "Check the model against itself and against recorded numbers, and show a table", [], Always;
    Quit, "Quit", "Close the window", [ctrl(Key::Q)], Always;
    Undo, "Undo", "Take back the last change of the experiment", [ctrl(Key::Z)], NotTyping;
    Redo, "Redo", "Make the change again that was taken back", [ctrl_shift(Key::Z), ctrl(Key::Y)], NotTyping;
    ClearInterventions, "Clear interventions", "Remove all ablations and knockouts", [ctrl_shift(Key::Backspace)], NotTyping;
    ClearSelection, "Clear selection", "Deselect all patches", [plain(Key::Escape)], NotTyping;
    SelectAll, "Select all", "Select every patch", [ctrl(Key::A)], NotTyping;
    InvertSelection, "Invert selection", "Select what is not selected", [ctrl(Key::I)], NotTyping;
    GrowSelection, "Grow", "Add the ring of neighbours around the selection: the paper's +1, +2", [plain(Key::CloseBracket)], NotTyping;
    ShrinkSelection, "Shrink", "Take the outermost ring off the selection", [plain(Key::OpenBracket)], NotTyping;
    SelectLastRow, "Select last row", "Select the lowest row of patches, where a model may keep what it knows of the whole picture", [], NotTyping;
    SelectRegisters, "Select registers", "Select the patches whose norm after the projector lies more than 2 standard deviations above the mean: the paper's register set", [], NotTyping;
    SelectRandom, "Select at random", "Select as many patches by chance; again for the next seed", [plain(Key::R)], NotTyping;
    SelectSimilar, "Select similar", "Select the patches whose residuals at this level are like that of the middle of the selection", [plain(Key::M)], NotTyping;
    SelectFromFile, "Select from a file…", "A mask picture (white is selected) or a COCO annotation file, whose categories are kept as selections", [], NotTyping;
    KeepSelection, "Keep selection", "Keep the selection in the session, under a name", [ctrl(Key::B)], NotTyping;
    UndoSelection, "Undo selection", "Take back the last change of the selection", [ctrl(Key::U)], NotTyping;
    RedoSelection, "Redo selection", "Make the change of the selection again", [ctrl_shift(Key::U)], NotTyping;
    AblateSelection, "Ablate selection", "Replace the selected patches by the mean of the picture's patches", [ctrl(Key::E)], NotTyping;
    Control, "Control on random patches", "Beside every result: the same interventions on as many random patches, five times", [plain(Key::K)], NotTyping;
    SoloRow, "Solo", "Switch every row but the chosen one off, or all on again", [plain(Key::O)], NotTyping;
    DuplicateRow, "Duplicate", "Put a copy of the chosen row below it", [ctrl(Key::D)], NotTyping;
    RenameRow, "Rename", "Give the chosen row a name", [plain(Key::F2)], NotTyping;
    DeleteRow, "Delete row", "Remove the chosen row", [plain(Key::Delete)], NotTyping;
    MoveRowUp, "Move up", "Move the chosen row up in the list", [alt(Key::ArrowUp)], NotTyping;
    MoveRowDown, "Move down", "Move the chosen row down in the list", [alt(Key::ArrowDown)], NotTyping;
    KnockOutSelection, "Knock out selection…", "Stop tokens from attending to the selected patches", [ctrl_shift(Key::E)], NotTyping;
    AblateTool, "Ablate", "Click or drag over patches to ablate or restore them", [plain(Key::A)], NotTyping;
    SelectTool, "Select", "Click or drag over patches to select them; Shift for a rectangle, Alt to deselect", [plain(Key::S)], NotTyping;
    LassoTool, "Lasso", "Draw a line around patches to select them; with Alt, to deselect them", [plain(Key::L)], NotTyping;
    LevelDown, "One level down", "Show the level before", [plain(Key::ArrowLeft)], NothingFocused;
    LevelUp, "One level up", "Show the next level", [plain(Key::ArrowRight)], NothingFocused;
    LevelFirst, "First level", "Show the embeddings", [plain(Key::Home)], NothingFocused;
    LevelLast, "Last level", "Show the model's output", [plain(Key::End)], NothingFocused;
    Play, "Play levels", "Step through the levels by itself", [plain(Key::Space)], NothingFocused;
    ShowGrid, "Grid", "Lines between the patches", [plain(Key::G)], NotTyping;
    ShowWords, "Words", "The likeliest word in every patch", [plain(Key::W)], NotTyping;
    ShowClean, "Clean run", "Show the words of the run without interventions", [plain(Key::C)], NotTyping;
    CosineLens, "Cosine lens", "Words by cosine to the input embeddings instead of the logit lens: clearer at the first levels", [plain(Key::Y)], NotTyping;
    TableOfAllTokens, "All tokens in the lens table", "System, picture, question and answer instead of the patches alone", [plain(Key::T)], NotTyping;
    GreyShared, "Grey shared words", "Dims words that stand on many patches of a level", [plain(Key::D)], NotTyping;
    MeasureKl, "Measure KL", "KL divergence of every cell from the clean run, with its noise floor", [plain(Key::H)], NotTyping;
    NextScale, "Next scale", "Linear, square root, percentile: how values become colours", [plain(Key::U)], NotTyping;
    Normalise, "Normalised", "The scale of the heat map spans the values on screen instead of all that are possible", [plain(Key::N)], NotTyping;
    SwapColours, "Cividis", "The colours of the heat map from blue to yellow, for people who see red and green alike", [], NotTyping;
    Compare, "Before, after, difference", "Three pictures side by side: before the interventions, after them, and how far they moved every patch", [plain(Key::B)], NotTyping;
    KeepRun, "Keep this run", "Put the experiment as it is into the list of runs, to come back to", [ctrl_shift(Key::K)], NotTyping;
    Rerun, "Run again", "Run the same again, for example after a file was mended", [ctrl(Key::R)], Always;
    Sweep, "Start sweep", "Take away patches, blocks or heads of the clean run one at a time, and see what the watched token loses", [plain(Key::I)], NotTyping;
    Stop, "Stop the run", "Stop what runs now and keep the last result", [ctrl(Key::Period)], Always;
    ResetLayout, "Reset layout", "Put every pane back to its first place", [], Always;
    CursorLeft, "Cursor left", "Move the cursor over the patches, which shows their card", [shift(Key::ArrowLeft)], NothingFocused;
    CursorRight, "Cursor right", "Move the cursor over the patches to the right", [shift(Key::ArrowRight)], NothingFocused;
    CursorUp, "Cursor up", "Move the cursor over the patches up", [shift(Key::ArrowUp)], NothingFocused;
    CursorDown, "Cursor down", "Move the cursor over the patches down", [shift(Key::ArrowDown)], NothingFocused;
    CursorClick, "Click at the cursor", "What a click on the patch under the cursor does", [plain(Key::Enter)], NothingFocused;
    ZoomIn, "Larger", "Make everything larger, up to twice", [ctrl(Key::Plus), ctrl(Key::Equals)], Always;
    ZoomOut, "Smaller", "Make everything smaller, down to three quarters", [ctrl(Key::Minus)], Always;
    ZoomReset, "Normal size", "Everything in its normal size", [ctrl(Key::Num0)], Always;
    Present, "Presentation", "Only the picture, the words and the answer, large; 1 to 9 go to kept runs, Esc leaves", [plain(Key::F5)], Always;
    PaperTour, "Tour of the paper", "Six steps from the picture to the patches that the answer needs", [], Always;
    OpenTour, "Open tour…", "Open a tour from a Markdown file", [], Always;
    TourNext, "Next step", "The next step of the tour; Space does it as well", [plain(Key::PageDown)], NotTyping;
    TourBack, "Step back", "Back to the step of the tour before", [plain(Key::PageUp)], NotTyping;
    EndTour, "End tour", "Leave the tour; the session stays as it is", [], Always;
    Palette, "Find command…", "Everything that can be asked, by name", [ctrl(Key::K)], Always;
    Keys, "Keys…", "All keys", [plain(Key::F1), plain(Key::Questionmark)], NotTyping;
    About, "About Patchglass…", "What this is, and what the demo model can and cannot do", [], Always;
};

/// The row of an action that has one.
pub fn entry(action: &Action) -> Option<&'static Entry> {
    TABLE.iter().find(|entry| entry.action == *action)
}

impl Entry {
    /// The first key in words, empty where there is none.
    pub fn key_text(&self, ctx: &egui::Context) -> String {
        self.keys
            .first()
            .map_or_else(String::new, |key| key_text(ctx, key))
    }

    /// All keys in words.
    pub fn all_keys_text(&self, ctx: &egui::Context) -> String {
        let keys: Vec<_> = self.keys.iter().map(|key| key_text(ctx, key)).collect();
        keys.join(" or ")
    }

    /// The tooltip, which names the key.
    pub fn full_tooltip(&self, ctx: &egui::Context) -> String {
        match self.key_text(ctx) {
            key if key.is_empty() => self.tooltip.to_owned(),
            key => format!("{} ({key})", self.tooltip),
        }
    }
}

/// Keys by name rather than by symbol: not every font has the symbols.
fn key_text(ctx: &egui::Context, shortcut: &KeyboardShortcut) -> String {
    let is_mac = ctx.os().is_mac();
    let names = egui::ModifierNames::NAMES;
    let modifiers = names.format(&shortcut.modifiers, is_mac);
    let key = match shortcut.logical_key {
        Key::ArrowLeft => "Left",
        Key::ArrowRight => "Right",
        Key::ArrowUp => "Up",
        Key::ArrowDown => "Down",
        Key::Period => ".",
        Key::OpenBracket => "[",
        Key::CloseBracket => "]",
        key => key.name(),
    };
    match modifiers.is_empty() {
        true => key.to_owned(),
        false => format!("{modifiers}+{key}"),
    }
}

/// The actions whose keys were pressed in this frame; takes those keys out of the input. `in_field` tells that a field
/// lies over the window which takes what is typed, before it has the focus; keys after one that opens such a field are
/// its own too.
pub fn pressed(ctx: &egui::Context, level_slider: egui::Id, in_field: bool) -> Vec<Action> {
    let mut actions = opened(ctx);
    let typing =
        in_field || !actions.is_empty() || ctx.text_edit_focused() || egui::Popup::is_any_open(ctx);
    let focused = ctx.memory(|m| m.focused()).filter(|id| *id != level_slider);
    let counts = |when: When| match when {
        When::Always => true,
        When::NotTyping => !typing,
        When::NothingFocused => focused.is_none() && !in_field && !typing,
    };
    ctx.input_mut(|input| {
        // Egui lets Ctrl+O match Ctrl+Shift+O too, so those with Shift go first.
        for with_shift in [true, false] {
            for entry in TABLE.iter().filter(|entry| counts(entry.when)) {
                for key in entry
                    .keys
                    .iter()
                    .filter(|k| k.modifiers.shift == with_shift)
                {
                    if input.consume_shortcut(key) {
                        actions.push(entry.action.clone());
                    }
                }
            }
        }
    });
    actions
}

/// Moves what is typed into the text of a field that does not have the focus yet; tells whether there was anything.
pub fn take_typed(ctx: &egui::Context, text: &mut String) -> bool {
    let n = text.len();
    ctx.input_mut(|input| {
        input.events.retain(|event| match event {
            egui::Event::Text(typed) => {
                text.push_str(typed);
                false
            }
            _ => true,
        });
    });
    text.len() > n
}

/// The actions that open a field, if their keys were pressed.
fn opened(ctx: &egui::Context) -> Vec<Action> {
    let opens = |entry: &&Entry| matches!(entry.action, Action::Palette | Action::OpenPath);
    // Exactly: with Shift these keys mean something else.
    let is_key = |event: &egui::Event, wanted: &KeyboardShortcut| {
        matches!(event, egui::Event::Key { key, pressed: true, modifiers, .. }
            if *key == wanted.logical_key && modifiers.matches_exact(wanted.modifiers))
    };
    let is_pressed = |entry: &&Entry| {
        ctx.input_mut(|input| {
            let n = input.events.len();
            let is_own = |event: &egui::Event| entry.keys.iter().any(|key| is_key(event, key));
            input.events.retain(|event| !is_own(event));
            input.events.len() < n
        })
    };
    let entries = TABLE.iter().filter(opens);
    let entries = entries.filter(|entry| is_pressed(entry));
    entries.map(|entry| entry.action.clone()).collect()
}

/// Collects the actions of a frame; the shell carries them out at its end.
#[derive(Default)]
pub struct Actions(RefCell<Vec<Action>>);

impl Actions {
    pub fn send(&self, action: Action) {
        self.0.borrow_mut().push(action);
    }

    /// What was sent since the last call.
    pub fn take(&self) -> Vec<Action> {
        self.0.take()
    }
}

/// A button for an action of the table, with its label, tooltip and key; sends the action when clicked.
pub fn button(
    ui: &mut egui::Ui,
    actions: &Actions,
    action: Action,
    enabled: bool,
) -> egui::Response {
    let Some(entry) = entry(&action) else {
        return ui.label("");
    };
    let response = ui
        .add_enabled(enabled, egui::Button::new(entry.label))
        .on_hover_text(entry.full_tooltip(ui.ctx()));
    if response.clicked() {
        actions.send(action);
    }
    response
}

/// A menu row for an action of the table.
pub fn menu_item(ui: &mut egui::Ui, actions: &Actions, action: Action, enabled: bool) {
    let Some(entry) = entry(&action) else {
        return;
    };
    let button = match entry.key_text(ui.ctx()) {
        key if key.is_empty() => egui::Button::new(entry.label),
        key => egui::Button::new(entry.label).shortcut_text(key),
    };
    let response = ui.add_enabled(enabled, button).on_hover_text(entry.tooltip);
    if response.clicked() {
        actions.send(action);
        ui.close();
    }
}

/// A menu row with a check mark.
pub fn menu_check(ui: &mut egui::Ui, actions: &Actions, action: Action, on: bool) {
    let Some(entry) = entry(&action) else {
        return;
    };
    let mut on = on;
    let text = (
        entry.label,
        egui::Atom::grow(),
        egui::RichText::new(entry.key_text(ui.ctx())).weak(),
    );
    if ui
        .checkbox(&mut on, text)
        .on_hover_text(entry.tooltip)
        .clicked()
    {
        actions.send(action);
        ui.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things() {
        let keys: Vec<_> = TABLE.iter().flat_map(|e| e.keys).collect();
        for (i, key) in keys.iter().enumerate() {
            assert!(!keys[..i].contains(key), "{key:?}");
        }
    }

    #[test]
    fn labels_are_sentence_case() {
        for entry in TABLE {
            assert!(
                entry.label.starts_with(|c: char| c.is_uppercase()),
                "{}",
                entry.label
            );
            assert!(!entry.tooltip.ends_with('.'), "{}", entry.tooltip);
        }
    }
}
