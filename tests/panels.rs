//! Every panel of the real window in four states: empty, running, full, error; dark and light. Each picture that is
//! compared shows one panel's states side by side, dark and light in turn; what must be said in words is asserted.

#![cfg(feature = "gui")]
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed; the support is shared with other tests"
)]

mod support;

#[path = "panels/states.rs"]
mod states;
#[path = "panels/strip.rs"]
mod strip;

use egui_kittest::SnapshotResults;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use patchglass::ui::pane::Pane;
use states::{State, Window, show};
use support::App;

/// Everything that a screen reader finds, labels and values.
fn texts(h: &App) -> Vec<String> {
    let nodes = h.root().children_recursive();
    let text = |node: egui_kittest::Node<'_>| {
        let node = node.accesskit_node();
        [node.label(), node.value()]
    };
    nodes.flat_map(text).flatten().collect()
}

fn says(h: &App, text: &str) -> bool {
    texts(h).iter().any(|found| found.contains(text))
}

/// The sentence of an empty pane, and of the same pane while the first run goes on or after it failed. Panes that
/// show the session alone, or controls before there is a result, have no such sentence.
const SENTENCES: &[(Pane, &str, &str)] = &[
    (
        Pane::Picture,
        "No picture yet",
        "The picture grass.png could not be read",
    ),
    (Pane::Answer, "no run yet", "no run yet"),
    (
        Pane::Attention,
        "Nothing is read yet: run again",
        "because the run failed: the picture grass.png",
    ),
    (
        Pane::Attribution,
        "Nothing is read yet: run again",
        "because the run failed: the picture grass.png",
    ),
    (Pane::Words, "is read with the next run", FAILED),
    (Pane::LensTable, "appear here with the first run", FAILED),
    (Pane::Difference, "Switch an intervention on", FAILED),
    (Pane::Legend, "appear here with the first run", FAILED),
];
const FAILED: &str = "Nothing to show: the run failed";

fn check(window: &Window, pane: Pane) {
    let (h, at) = (&window.app, format!("{pane:?} {:?}", window.state));
    let status = h.get_by_label("Status").accesskit_node().value().unwrap();
    let progress = h.state().trace().is_some_and(|trace| !trace.complete);
    match window.state {
        State::Empty => {
            assert!(status.ends_with("stopped"), "{at}: {status}");
            assert!(h.state().trace().is_none() && h.state().error().is_none());
        }
        State::Running => {
            assert!(status.ends_with("answering  60 %"), "{at}: {status}");
            assert!(progress && h.query_by_label("Stop").is_some(), "{at}");
        }
        State::Full => {
            assert!(status.ends_with("idle"), "{at}: {status}");
            assert!(h.query_by_label("Stop").is_none(), "{at}");
        }
        State::Error => {
            assert!(status.ends_with("failed"), "{at}: {status}");
            let error = h.get_by_label("Error").accesskit_node().value().unwrap();
            assert!(error.contains("choose another one"), "{at}: {error}");
        }
    }
    for (of, empty, error) in SENTENCES.iter().filter(|row| row.0 == pane) {
        let said = match window.state {
            State::Empty => says(h, empty),
            State::Error => says(h, error),
            State::Running | State::Full => !says(h, empty) && !says(h, error),
        };
        assert!(said, "{of:?} {at}: {:?}", texts(h));
    }
}

#[test]
fn every_panel_in_four_states() {
    let draws = !support::adapter::is_skipped();
    let mut windows = states::all();
    let mut results = SnapshotResults::new();
    // The tour last: it makes the session its own.
    let others = Pane::ALL.iter().filter(|pane| **pane != Pane::Tour);
    for (number, pane) in others.chain([&Pane::Tour]).copied().enumerate() {
        let mut crops = Vec::new();
        for window in &mut windows {
            show(window, pane);
            check(window, pane);
            if draws {
                crops.push(strip::crop(window, pane));
            }
        }
        if draws {
            let name = format!("panel_{}", format!("{pane:?}").to_lowercase());
            strip::keep_all(&crops, &name);
            let strip = strip::beside(&crops, number % 2 == 0);
            results.add(egui_kittest::try_image_snapshot(&strip, name));
        }
    }
}
