//! What a frame of the window's largest panels costs: picture with heat map, a table of 600 rows and 33 levels, two plots.
//!
//! `cargo test --release --test frame_cost -- --nocapture` prints the median and the 95th percentile of the CPU time of
//! layout and tessellation. Times are printed, never asserted; that an idle window asks for no frame is.

#![cfg(feature = "gui")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

#[path = "support/reading.rs"]
mod reading;

use std::time::{Duration, Instant};

use egui::{Context, Event, Pos2, RawInput, Rect, pos2, vec2};
use patchglass::session::{HeatKind, TableRows};
use patchglass::ui::style;
use reading::{Host, Shown};

const N_FRAMES: usize = 400;

struct Window {
    ctx: Context,
    host: Host,
    time: f64,
}

impl Window {
    fn new() -> Self {
        let ctx = Context::default();
        style::install(&ctx);
        let mut host = Host::without_adapter(Shown::All);
        let view = &mut host.session.view;
        view.heat = HeatKind::TopProbability;
        view.reading.rows = TableRows::AllTokens;
        view.reading.grey_shared = true;
        Self {
            ctx,
            host,
            time: 0.0,
        }
    }

    /// Milliseconds of layout and of tessellation, and when the window wants its next frame.
    fn frame(&mut self, events: Vec<Event>) -> (f64, f64, Duration) {
        self.time += 1.0 / 60.0;
        let input = RawInput {
            screen_rect: Some(Rect::from_min_size(Pos2::ZERO, vec2(1920.0, 1080.0))),
            time: Some(self.time),
            events,
            ..RawInput::default()
        };
        let since = Instant::now();
        let host = &mut self.host;
        let mut output = self.ctx.run_ui(input, |ui| host.draw(ui));
        // There is no device to upload to.
        output.textures_delta.clear();
        let layout = since.elapsed().as_secs_f64() * 1e3;
        let since = Instant::now();
        let delays = output.viewport_output.values().map(|v| v.repaint_delay);
        let delay = delays.min().unwrap_or(Duration::MAX);
        let shapes = self.ctx.tessellate(output.shapes, output.pixels_per_point);
        assert!(!shapes.is_empty());
        (layout, since.elapsed().as_secs_f64() * 1e3, delay)
    }
}

/// The value that a share of all values do not exceed.
fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share).round() as usize]
}

#[test]
fn frames_with_everything_open() {
    let mut window = Window::new();
    for _ in 0..10 {
        window.frame(Vec::new());
    }
    let (mut layout, mut both) = (Vec::new(), Vec::new());
    for i in 0..N_FRAMES {
        // The pointer goes over the picture and scrolls through the table.
        let t = i as f32 / N_FRAMES as f32;
        let over_picture = i % 2 == 0;
        let at = match over_picture {
            true => pos2(100.0 + 700.0 * t, 200.0 + 500.0 * t),
            false => pos2(1400.0, 800.0),
        };
        let mut events = vec![Event::PointerMoved(at)];
        if !over_picture {
            events.push(Event::MouseWheel {
                unit: egui::MouseWheelUnit::Point,
                delta: vec2(0.0, -70.0),
                phase: egui::TouchPhase::Move,
                source: egui::MouseWheelSource::Unknown,
                modifiers: egui::Modifiers::NONE,
            });
        }
        let (ui, tessellation, _) = window.frame(events);
        layout.push(ui);
        both.push(ui + tessellation);
    }
    let profile = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    println!(
        "{N_FRAMES} frames, 600 rows x 33 levels, heat map, two plots, {profile}: layout median {:.2} ms, p95 {:.2} ms; with tessellation median {:.2} ms, p95 {:.2} ms",
        percentile(&mut layout, 0.5),
        percentile(&mut layout, 0.95),
        percentile(&mut both, 0.5),
        percentile(&mut both, 0.95),
    );
    // Nothing moves any more: no further frame is asked for.
    window.frame(vec![Event::PointerGone]);
    for _ in 0..120 {
        window.frame(Vec::new());
    }
    let (_, _, delay) = window.frame(Vec::new());
    assert_eq!(delay, Duration::MAX);
}
