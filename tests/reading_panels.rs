//! Scales, word search, lens table, difference and legend, driven as a person drives them, and their looks.

#![cfg(feature = "gui")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

#[path = "support/adapter.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod adapter;
#[path = "support/reading.rs"]
mod reading;
#[path = "support/picture.rs"]
mod support;

use egui::accesskit::Role;
use egui::vec2;
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use patchglass::index::PatchGrid;
use patchglass::session::{Colours, HeatKind, ReadingView, Scale};
use patchglass::ui::theme::Theme;
use reading::Shown;
use support::Host;

const GRID: PatchGrid = PatchGrid::new(24, 24);

fn picture(theme: Theme) -> Harness<'static, Host> {
    let egui_theme = match theme.dark {
        true => egui::Theme::Dark,
        false => egui::Theme::Light,
    };
    let builder = Harness::builder()
        .with_size(vec2(700.0, 760.0))
        .with_theme(egui_theme)
        .with_os(egui::os::OperatingSystem::Nix)
        .with_render_cursor(false);
    let mut h = adapter::with_wgpu(builder).build_eframe(move |cc| {
        patchglass::ui::style::install(&cc.egui_ctx);
        let mut host = Host::new(GRID, cc);
        host.theme = theme;
        host
    });
    h.run_steps(4);
    h
}

/// A picture of a state, to be looked at: `target/reading/`.
fn save<T>(h: &mut Harness<'_, T>, name: &str) {
    if !adapter::has_adapter() {
        return;
    }
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("../reading");
    std::fs::create_dir_all(&folder).unwrap();
    let image = h.render().unwrap();
    image.save(folder.join(format!("{name}.png"))).unwrap();
}

#[test]
fn the_legend_tells_the_scale() {
    for theme in [Theme::dark(), Theme::light()] {
        let mut h = picture(theme.clone());
        h.get_by_label("Legend: Top word probability from 0 to 1.00, probability");
        h.state_mut().session.view.reading = ReadingView {
            scale: Scale::Percentile,
            colours: Colours::Cividis,
            ..ReadingView::default()
        };
        h.run_steps(3);
        let node = h.get_by_label_contains("percentile scale");
        assert_eq!(node.accesskit_node().role(), Role::Button);
        node.click();
        h.run_steps(3);
        save(
            &mut h,
            if theme.dark {
                "legend-dark"
            } else {
                "legend-light"
            },
        );
        h.get_by_label("Square root").click();
        h.run_steps(3);
        assert_eq!(h.state().session.view.reading.scale, Scale::Sqrt);
        h.get_by_label("Normalised to this map").click();
        h.run_steps(3);
        assert!(h.state().session.view.reading.normalised);
    }
}

type Panel = Harness<'static, reading::Host>;

fn panel(shown: reading::Shown, theme: Theme, size: egui::Vec2) -> Panel {
    let egui_theme = match theme.dark {
        true => egui::Theme::Dark,
        false => egui::Theme::Light,
    };
    let builder = Harness::builder()
        .with_size(size)
        .with_theme(egui_theme)
        .with_os(egui::os::OperatingSystem::Nix)
        .with_render_cursor(false);
    let mut h = adapter::with_wgpu(builder).build_eframe(move |cc| {
        patchglass::ui::style::install(&cc.egui_ctx);
        let mut host = reading::Host::new(shown, cc);
        host.theme = theme;
        host
    });
    h.run_steps(4);
    h
}

fn small(shown: reading::Shown) -> Panel {
    panel(shown, Theme::dark(), vec2(420.0, 400.0))
}

/// Every panel in four states, dark and light, to be looked at.
#[test]
fn every_state_is_designed() {
    use patchglass::engine::protocol::Stage;
    for shown in [Shown::Words, Shown::Table, Shown::Difference, Shown::Legend] {
        for (state, said) in [
            ("empty", ""),
            ("running", "Reading…"),
            ("error", "the run failed"),
            ("full", ""),
        ] {
            for theme in [Theme::dark(), Theme::light()] {
                let name = format!(
                    "{shown:?}-{state}-{}",
                    if theme.dark { "dark" } else { "light" }
                );
                let mut h = panel(shown, theme, vec2(420.0, 400.0));
                let host = h.state_mut();
                if state != "full" {
                    host.trace = None;
                }
                host.progress = (state == "running").then_some((Stage::EditedRun, 0.4));
                host.error = (state == "error").then(|| "no".to_owned());
                h.run_steps(3);
                h.check_accessibility();
                assert!(
                    said.is_empty() || h.query_by_label_contains(said).is_some(),
                    "{name}"
                );
                save(&mut h, &name.to_lowercase());
            }
        }
    }
}

#[test]
fn a_word_is_searched_and_its_token_and_unit_are_chosen() {
    let mut h = small(Shown::Words);
    h.get_by_label("nas").click();
    h.run_steps(2);
    assert_eq!(h.state().session.readout.word_tokens, [1]);
    h.get_by_label("Rank").click();
    h.run_steps(2);
    assert!(h.state().session.readout.ranks && h.state().rerun);
    h.get_by_label("Best level").click();
    h.get_by_label("Show as heat map").click();
    h.run_steps(2);
    let view = &h.state().session.view;
    assert!(view.reading.over_levels && view.heat == HeatKind::Word);
    h.get_by_label("Search word").focus();
    h.run_steps(1);
    h.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::A);
    h.run_steps(1);
    h.get_by_label("Search word").type_text("dog");
    h.run_steps(1);
    h.key_press(egui::Key::Enter);
    h.run_steps(2);
    assert_eq!(h.state().session.readout.words, ["dog"]);
    assert!(h.state().session.readout.word_tokens.is_empty());
}

/// The line under the curve names the largest number of all, and a click goes to its level.
#[test]
fn confidence_is_the_largest_probability_of_all_levels_and_patches() {
    let mut h = small(Shown::Words);
    let mut best = (0.0f32, 0, 0);
    let trace = reading::trace(true);
    for (level, readout) in trace.baseline.levels.iter().flatten().enumerate() {
        for (patch, p) in readout.words[0].iter().enumerate() {
            if *p > best.0 {
                best = (*p, level, patch);
            }
        }
    }
    let patch = reading::GRID.patch(best.2);
    let expected = format!(
        "Clean run: {} at {patch}",
        patchglass::labels::number(best.0)
    );
    h.get_by_label_contains(&expected).click();
    h.run_steps(2);
    assert_eq!(h.state().session.view.level, Some(best.1));
}

#[test]
fn a_cell_of_the_table_sets_the_level_and_all_tokens_are_asked_for() {
    let mut h = panel(Shown::Table, Theme::dark(), vec2(900.0, 500.0));
    h.get_by_label_contains("r0c2, after block 3:").click();
    h.run_steps(2);
    assert_eq!(h.state().session.view.level, Some(3));
    // What is out of sight is not laid out.
    assert!(h.query_by_label("Row r20c5").is_none());
    h.get_by_label("All tokens").click();
    h.run_steps(2);
    assert!(h.state().session.readout.all_tokens && h.state().rerun);
    assert!(h.query_by_label_contains("Row system 0").is_some());
    h.get_by_label("Cosine").click();
    h.run_steps(2);
    assert!(h.state().session.readout.cosine);
    assert!(h.query_all_by_label_contains(" cos ").next().is_some());
    // The rows of the text are read by the same lens as the patches.
    let trace = reading::trace(true);
    let tokens = trace.edited.tokens.as_ref().unwrap();
    let (id, cosine) = tokens.cosine[0].as_ref().unwrap().top(0).next().unwrap();
    let piece = trace.model.vocabulary.piece(id);
    let number = patchglass::labels::number(cosine);
    let said = format!(", embeddings: {piece} cos {number}");
    let cells = h.query_all_by_label_contains(&said);
    let mut labels = cells.filter_map(|node| node.accesskit_node().label());
    assert!(labels.any(|label| label.starts_with("system 0 ")), "{said}");
}

#[test]
fn the_table_shows_the_selection_and_follows_a_patch() {
    let mut h = panel(Shown::Table, Theme::dark(), vec2(900.0, 500.0));
    patchglass::ui::link::reveal(&h.ctx, 20 * 24 + 5);
    h.run_steps(3);
    assert!(h.query_by_label("Row r20c5").is_some());
    h.state_mut().session.view.selection = "r3c3-r3c5".parse().unwrap();
    h.run_steps(3);
    assert!(h.query_by_label("Row r3c4").is_some() && h.query_by_label("Row r3c6").is_none());
}

#[test]
fn differences_are_listed_most_changed_first_and_lead_to_their_cell() {
    let mut h = small(Shown::Difference);
    let trace = reading::trace(true);
    let mut largest = (0.0f32, 0, 0);
    for (level, read) in trace.edited.divergence.iter().flatten().enumerate() {
        for (patch, kl) in read.values.iter().enumerate() {
            let top = |run: &patchglass::engine::trace::RunReadout| {
                run.levels[level]
                    .as_ref()
                    .unwrap()
                    .top(patch)
                    .next()
                    .unwrap()
                    .0
            };
            if *kl > largest.0 && top(&trace.baseline) != top(&trace.edited) {
                largest = (*kl, level, patch);
            }
        }
    }
    let patch = reading::GRID.patch(largest.2).to_string();
    let first = format!("KL {}", patchglass::labels::number(largest.0));
    h.get_all_by_label_contains(&first)
        .find(|node| {
            node.accesskit_node()
                .label()
                .is_some_and(|l| l.starts_with(&patch))
        })
        .unwrap()
        .click();
    h.run_steps(2);
    assert_eq!(h.state().session.view.level, Some(largest.1));
    assert_eq!(patchglass::ui::link::revealed(&h.ctx).unwrap().0, largest.2);
    assert!(
        h.query_by_label_contains("noise floor 3.1e-7 nats")
            .is_some()
    );
    h.get_by_label("Measure KL").click();
    h.get_by_label("Show KL as heat map").click();
    h.run_steps(2);
    assert_eq!(h.state().session.view.heat, HeatKind::Divergence);
}

#[test]
fn the_legend_counts_selects_and_greys() {
    let mut h = small(Shown::Legend);
    let trace = reading::trace(true);
    let level = trace.edited.levels[24].as_ref().unwrap();
    let found = patchglass::ui::greyed::counts(level, 576);
    let piece = trace.model.vocabulary.piece(found[0].id).into_owned();
    let n = found[0].patches.len();
    h.get_by_label(&format!("Select the {n} patches of {piece}"))
        .click();
    h.run_steps(2);
    let selected = h.state().session.view.selection.indices(reading::GRID);
    assert_eq!(selected.unwrap(), found[0].patches);
    h.get_by_label("Grey words that stand on").click();
    h.run_steps(2);
    assert!(h.state().session.view.reading.grey_shared);
}
