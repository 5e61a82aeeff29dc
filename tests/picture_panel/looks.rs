//! How the picture panel looks: two snapshots that are compared, and pictures to be looked at.

use egui::{Event, Modifiers, PointerButton, vec2};
use egui_kittest::kittest::Queryable as _;
use patchglass::engine::protocol::Stage;
use patchglass::index::{PatchGrid, PatchSet};
use patchglass::session::HeatKind;
use patchglass::spec::{Ablation, AttentionKnockout, Intervention};
use patchglass::ui::theme::Theme;

use super::support::{self, Host};
use super::{GRID, Window, adapter, button, center, window, zoom};

/// Everything at once: ablations of three rows, a knockout, a selection.
fn decorate(host: &mut Host) {
    let set = |text: &str| text.parse::<PatchSet>().unwrap();
    let ablation = |text: &str, enabled| {
        Intervention::Ablation(Ablation {
            enabled,
            ..Ablation::of(set(text))
        })
    };
    host.session.experiment.interventions = vec![
        ablation("r4c8-r6c10, r7c10-r9c12, r4c13-r6c14", true),
        ablation("r12c14-r14c16", true),
        ablation("r1c19-r3c21", false),
        Intervention::AttentionKnockout(AttentionKnockout {
            queries: "last".parse().unwrap(),
            keys: "patches:r16c2-r20c5".parse().unwrap(),
            layers: Default::default(),
            heads: Default::default(),
            enabled: true,
            name: None,
        }),
    ];
    host.session.view.active_row = Some(0);
    host.session.view.selection = set("r11c9-r13c10, r13c11-r17c12");
    host.trace = Some(support::trace(GRID, true));
}

#[test]
fn snapshot_of_a_small_grid() {
    if adapter::is_skipped() {
        return;
    }
    let mut h = window(PatchGrid::new(3, 5), vec2(360.0, 440.0), Theme::dark());
    h.get_by_label("Patch row 1 column 2").click();
    h.run_steps(2);
    h.event(Event::PointerGone);
    h.run_steps(3);
    h.snapshot("picture_3x5");
}

#[test]
fn snapshot_of_everything_at_once() {
    if adapter::is_skipped() {
        return;
    }
    let mut h = window(GRID, vec2(620.0, 700.0), Theme::light());
    decorate(h.state_mut());
    h.run_steps(3);
    h.snapshot("picture_24x24_light");
}

/// Writes pictures of the panel for looking at: `PATCHGLASS_SHOTS=folder cargo test --test picture_panel shots`.
#[test]
fn shots() {
    let Some(folder) = std::env::var_os("PATCHGLASS_SHOTS").map(std::path::PathBuf::from) else {
        println!("skipped: PATCHGLASS_SHOTS is not set");
        return;
    };
    let shoot = |h: &mut Window, name: &str| {
        h.run_steps(4);
        h.render().unwrap().save(folder.join(name)).unwrap();
    };
    for (size, theme, tag) in [
        (vec2(700.0, 770.0), Theme::dark(), "700-dark"),
        (vec2(1000.0, 1040.0), Theme::light(), "1000-light"),
    ] {
        let mut h = window(GRID, size, theme);
        shoot(&mut h, &format!("{tag}-plain.png"));
        decorate(h.state_mut());
        let at = center(&h, 8, 13);
        h.event(Event::PointerMoved(at));
        shoot(&mut h, &format!("{tag}-edited.png"));
        h.state_mut().session.view.heat = HeatKind::Word;
        h.state_mut().session.readout.words = vec!["banana".to_owned()];
        let at = center(&h, 10, 12);
        zoom(&mut h, at, 4.0);
        shoot(&mut h, &format!("{tag}-zoom4.png"));
    }
    let mut h = window(GRID, vec2(1200.0, 900.0), Theme::dark());
    decorate(h.state_mut());
    h.state_mut().session.view.heat = HeatKind::Word;
    h.state_mut().session.readout.words = vec!["banana".to_owned()];
    let (from, to) = (center(&h, 16, 15), center(&h, 20, 20));
    h.event(Event::PointerMoved(from));
    h.run_steps(1);
    button(&h, from, PointerButton::Primary, true, Modifiers::SHIFT);
    h.event(Event::PointerMoved(to));
    shoot(&mut h, "wide-rectangle.png");
    let mut h = window(GRID, vec2(700.0, 770.0), Theme::light());
    h.state_mut().session.view.heat = HeatKind::Entropy;
    h.state_mut().previous = h.state_mut().trace.clone();
    let trace = h.state_mut().trace.as_mut().unwrap();
    trace.edited = Default::default();
    trace.baseline = Default::default();
    h.state_mut().progress = Some((Stage::EditedRun, 0.6));
    shoot(&mut h, "running.png");
    let mut h = window(GRID, vec2(520.0, 600.0), Theme::dark());
    h.state_mut().session.view.heat = HeatKind::Word;
    h.state_mut().session.readout.words = vec!["banana".to_owned()];
    shoot(&mut h, "narrow.png");
    h.set_size(vec2(428.0, 494.0));
    shoot(&mut h, "narrowest.png");
    h.set_size(vec2(560.0, 640.0));
    h.state_mut().session.view.heat = HeatKind::Off;
    shoot(&mut h, "off.png");
    h.state_mut().trace = None;
    h.state_mut().progress = Some((Stage::LoadingModel, 0.4));
    shoot(&mut h, "empty.png");
}

/// The command line's image of the words, beside the panel's.
#[test]
fn words_png_shot() {
    let Some(folder) = std::env::var_os("PATCHGLASS_SHOTS").map(std::path::PathBuf::from) else {
        println!("skipped: PATCHGLASS_SHOTS is not set");
        return;
    };
    let trace = support::trace(GRID, false);
    let readout = trace.edited.levels[7].clone().unwrap();
    let vocabulary = &trace.model.vocabulary;
    let top = |patch| {
        readout
            .top(patch)
            .next()
            .map(|(id, p)| (vocabulary.short(id).into_owned(), p))
    };
    let words: Vec<_> = (0..GRID.len()).filter_map(top).collect();
    let image = patchglass::words_png::draw(&trace.picture, GRID, &words, 56);
    image.save(folder.join("words_png.png")).unwrap();
}
