//! Carrying out what belongs to the window rather than to the session: palette, patch cursor, scale, presentation,
//! tours, samples, what was lost in a crash.

use egui::Context;

use super::PatchglassApp;
use crate::dialogs::Pick;
use crate::session::tour;
use crate::ui::shortcuts::Action;

/// How much larger everything is in a presentation.
const PRESENTATION: f32 = 1.6;
const SCALES: std::ops::RangeInclusive<f32> = 0.75..=2.0;

impl PatchglassApp {
    pub(super) fn habit(&mut self, ctx: &Context, action: Action) {
        use Action as A;
        match action {
            A::Palette => self.panels.palette.toggle(),
            A::CursorLeft => self.move_cursor(0, -1),
            A::CursorRight => self.move_cursor(0, 1),
            A::CursorUp => self.move_cursor(-1, 0),
            A::CursorDown => self.move_cursor(1, 0),
            A::CursorClick => {
                let picture = &self.panels.picture;
                picture.click_cursor(&self.session, &self.commands);
            }
            A::GoToLevel(level) => {
                self.panels.level_strip.stop();
                self.commands.send(crate::session::Command::SetLevel(level));
            }
            A::ZoomIn => self.set_scale(self.memory.preferences.scale + 0.25),
            A::ZoomOut => self.set_scale(self.memory.preferences.scale - 0.25),
            A::ZoomReset => self.set_scale(1.0),
            A::Present => {
                self.panels.close_windows();
                self.presenting = !self.presenting;
            }
            A::PaperTour => match tour::parse(tour::PAPER, std::path::Path::new("paper.md")) {
                Ok(tour) => self.start_tour(tour),
                Err(error) => self.runs.show_error(error.to_string()),
            },
            A::OpenTour => self.dialogs.pick(Pick::Tour),
            A::TourNext => self.next_step(),
            A::TourBack => self.step_back(),
            A::EndTour => self.end_tour(),
            A::OpenSample(name) => {
                let folder = self.memory.data_folder();
                self.dialogs.open_sample(name, folder);
            }
            A::BringBack => self.bring_back(),
            A::DiscardLost => self.memory.discard_lost(),
            A::Theme(preference) => {
                self.memory.preferences.colours = Some(name_of(preference).to_owned());
                ctx.set_theme(preference);
            }
            _ => {}
        }
    }

    /// Esc closes what lies over the window, ends a presentation, takes the cursor away; tells whether it did.
    pub(super) fn escape(&mut self) -> bool {
        if self.panels.close_windows() || self.panels.palette.close() {
            return true;
        }
        if std::mem::take(&mut self.presenting) {
            return true;
        }
        self.panels.picture.clear_cursor()
    }

    pub(super) fn save_recorded(&mut self) {
        match self.runs.result() {
            Some(trace) => self.dialogs.save_recorded(&self.session, trace.clone()),
            None => self.runs.show_error(
                "the run of this session is not complete: wait for it, or run it again, then save with results"
                    .to_owned(),
            ),
        }
    }

    fn move_cursor(&mut self, rows: i32, cols: i32) {
        if let Some(grid) = self.session.grid {
            self.panels.picture.move_cursor_by(rows, cols, grid);
        }
    }

    fn set_scale(&mut self, scale: f32) {
        self.memory.preferences.scale = scale.clamp(*SCALES.start(), *SCALES.end());
    }

    /// Sets the scale of the interface; the colours that were chosen once, in the first frame.
    pub(super) fn apply_preferences(&mut self, ctx: &Context) {
        let larger = if self.presenting { PRESENTATION } else { 1.0 };
        let scale = self.memory.preferences.scale;
        let scale = scale.clamp(*SCALES.start(), *SCALES.end());
        ctx.set_zoom_factor(scale * larger);
        if !std::mem::replace(&mut self.preferences_applied, true) {
            ctx.options_mut(|o| o.zoom_with_keyboard = false);
            let colours = self.memory.preferences.colours.as_deref();
            if let Some(preference) = colours.and_then(theme_named) {
                ctx.set_theme(preference);
            }
        }
    }

    /// The session that was lost in a crash takes the place of this one.
    fn bring_back(&mut self) {
        match self.memory.bring_back() {
            Some(Ok((session, of))) => {
                self.set_aside();
                self.session = crate::session::Session {
                    grid: self.session.grid,
                    ..session
                };
                // What its own file holds, so that the title tells whether there is something to save.
                if let Some(Ok(saved)) = of.as_deref().map(crate::session::file::load) {
                    self.saved = saved;
                }
                self.file = of;
                self.runs.request(&self.session);
            }
            Some(Err(error)) => self.runs.show_error(error.to_string()),
            None => {}
        }
    }

    /// In a presentation the numbers 1 to 9 go to the runs that were kept.
    pub(super) fn take_numbers(&self, ctx: &Context) {
        use egui::Key as K;
        let keys = [
            K::Num1,
            K::Num2,
            K::Num3,
            K::Num4,
            K::Num5,
            K::Num6,
            K::Num7,
            K::Num8,
            K::Num9,
        ];
        if !self.presenting || ctx.text_edit_focused() {
            return;
        }
        for (at, key) in keys.into_iter().enumerate() {
            if ctx.input(|i| i.key_pressed(key)) {
                self.commands.send(crate::session::Command::ShowRun(at));
            }
        }
    }

    /// Pictures from the clipboard.
    pub(super) fn take_pasted_pictures(&mut self, ctx: &Context) {
        let pasted = ctx.input(|i| {
            let images = i.events.iter().filter_map(|event| match event {
                egui::Event::PasteImage(image) => Some(image.clone()),
                _ => None,
            });
            images.collect::<Vec<_>>()
        });
        for image in pasted {
            let folder = self.memory.data_folder();
            self.dialogs.open_pasted(image, folder);
        }
    }
}

fn name_of(preference: egui::ThemePreference) -> &'static str {
    match preference {
        egui::ThemePreference::Dark => "dark",
        egui::ThemePreference::Light => "light",
        egui::ThemePreference::System => "system",
    }
}

fn theme_named(name: &str) -> Option<egui::ThemePreference> {
    use egui::ThemePreference as P;
    [P::Dark, P::Light, P::System]
        .into_iter()
        .find(|preference| name_of(*preference) == name)
}
