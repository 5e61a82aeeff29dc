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
#[path = "support/picture.rs"]
mod support;

use egui::accesskit::Role;
use egui::vec2;
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use patchglass::index::PatchGrid;
use patchglass::session::{Colours, ReadingView, Scale};
use patchglass::ui::theme::Theme;
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
