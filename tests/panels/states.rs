//! Windows in the four states, dark and light, with panes brought to the front.

use std::time::{SystemTime, UNIX_EPOCH};

use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable as _;
use patchglass::session::{Command, Session};
use patchglass::spec::{AttentionSpec, AttributionSpec, ControlSpec};
use patchglass::ui::pane::Pane;

use crate::support::gallery::full;
use crate::support::{App, open, settle, wait};

/// Tall enough for a whole pane below the answer.
pub const SIZE: [f32; 2] = [1280.0, 1000.0];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing was ever computed: the first run was stopped.
    Empty,
    /// The first run is at the answer.
    Running,
    Full,
    /// The first run failed.
    Error,
}

pub struct Window {
    pub app: App,
    pub state: State,
    pub dark: bool,
}

/// All states, each dark and light.
pub fn all() -> Vec<Window> {
    let states = [State::Empty, State::Running, State::Full, State::Error];
    let both = |state| [true, false].map(|dark| (state, dark));
    let new = |(state, dark)| Window {
        app: in_state(state, dark),
        state,
        dark,
    };
    states.into_iter().flat_map(both).map(new).collect()
}

/// Everything that can be read is read.
fn session(state: State) -> Session {
    let mut session = match state {
        State::Empty => Session::demo(),
        State::Running | State::Full | State::Error => full(),
    };
    session.readout.words = vec!["dinosaur".to_owned()];
    session.readout.divergence = true;
    session.readout.attention = Some(AttentionSpec::default());
    session.readout.attribution = Some(AttributionSpec::default());
    if state == State::Full {
        session.readout.control = Some(ControlSpec::default());
    }
    let prompt = match state {
        State::Empty => "load",
        State::Running => "hang",
        State::Error => "fail",
        State::Full => "What is there?",
    };
    prompt.clone_into(&mut session.experiment.prompt);
    session
}

fn in_state(state: State, dark: bool) -> App {
    let theme = match dark {
        true => egui::Theme::Dark,
        false => egui::Theme::Light,
    };
    let (mut h, _) = open(session(state), SIZE, theme);
    match state {
        State::Empty => {
            h.step();
            h.get_by_label("Stop").click();
            settle(&mut h);
        }
        State::Running => wait(&mut h, "it hangs", |app| {
            app.trace().is_some_and(|trace| !trace.complete)
        }),
        State::Error => settle(&mut h),
        State::Full => fill(&mut h),
    }
    h.run_steps(4);
    h
}

/// A sweep, kept runs and selections.
fn fill(h: &mut App) {
    settle(h);
    h.get_by_label("Watch token 1 ␣dinosaur").click();
    h.step();
    h.key_press(Key::I);
    h.step();
    settle(h);
    for name in ["with the dinosaur", "without it"] {
        let name = name.to_owned();
        let made = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let made = made.as_secs() - 330;
        h.state().send(Command::KeepRun { name, made });
    }
    h.state()
        .send(Command::KeepSelection("a corner".to_owned()));
    settle(h);
    h.event(egui::Event::PointerGone);
    settle(h);
}

/// Asks for something by the palette.
fn ask_for(h: &mut App, command: &str) {
    h.key_press_modifiers(Modifiers::COMMAND, Key::K);
    h.run_steps(2);
    h.get_by_label("Command").type_text(command);
    h.run_steps(2);
    h.key_press(Key::Enter);
    h.run_steps(2);
}

/// Brings a pane to the front, opens what is folded in it, and lets what moves come to rest.
pub fn show(window: &mut Window, pane: Pane) {
    let h = &mut window.app;
    if pane != Pane::Picture {
        ask_for(h, &format!("show pane {}", pane.title()));
    }
    match (pane, window.state) {
        (Pane::Selection, State::Full) => {
            h.get_by_label("Select by heat, likeness or chance").click();
        }
        (Pane::Tour, State::Full) => ask_for(h, "tour of the paper"),
        _ => {}
    }
    h.run_steps(30);
    if window.state == State::Full {
        settle(h);
    }
}
