//! Shaders: every file validates, parameters match their Rust mirrors, and the device draws what the CPU expects.

#![cfg(feature = "gui")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]
#![cfg(feature = "gui")]

#[path = "support/adapter.rs"]
#[allow(dead_code, reason = "only the check is used here")]
mod adapter;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use naga::valid::{Capabilities, ValidationFlags, Validator};
use patchglass::render::colormap;
use patchglass::render::heatmap::{self, HeatCallback, HeatValues};

fn wgsl_files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            wgsl_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "wgsl") {
            out.push(path);
        }
    }
}

fn problem(source: &str) -> Option<String> {
    let module = match naga::front::wgsl::parse_str(source) {
        Ok(module) => module,
        Err(error) => return Some(error.emit_to_string(source)),
    };
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::empty());
    let error = validator.validate(&module).err()?;
    Some(error.emit_to_string(source))
}

/// Those of the window; the parts in `shaders/compute` are shaders only together, which `compute` puts and tests.
#[test]
fn every_shader_validates() {
    let mut files = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    wgsl_files(&root.join("shaders"), &mut files);
    files.retain(|file| !file.starts_with(root.join("shaders/compute")));
    files.sort();
    assert!(!files.is_empty());
    let problems: Vec<_> = files
        .iter()
        .filter_map(|file| {
            let source = std::fs::read_to_string(file).unwrap();
            problem(&source).map(|p| format!("{}:\n{p}", file.display()))
        })
        .collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn a_bad_shader_does_not_validate() {
    assert!(
        problem("fn f() -> f32 { return nope; }")
            .unwrap()
            .contains("nope")
    );
}

#[test]
fn parameters_match_their_mirror() {
    let module = naga::front::wgsl::parse_str(heatmap::WGSL).unwrap();
    let is_params = |t: &naga::Type| t.name.as_deref() == Some("Params");
    let (_, params) = module.types.iter().find(|(_, t)| is_params(t)).unwrap();
    let naga::TypeInner::Struct { span, .. } = &params.inner else {
        panic!("Params is no struct");
    };
    assert_eq!(*span as usize, heatmap::PARAMS_SIZE);
}

const ROWS: usize = 3;
const COLS: usize = 5;
const SIDE: i32 = 61;
const RANGE: (f32, f32) = (-1.0, 3.0);
const OPACITY: f32 = 0.5;
/// Not the one that is installed first, so that the change is seen.
const PALETTE: colormap::Palette = colormap::Palette::Cividis;
const LINE: [f32; 4] = [1.0, 0.0, 0.0, 0.5];

fn values() -> Vec<f32> {
    let mut values: Vec<f32> = (0..ROWS * COLS).map(|i| i as f32 * 0.31 - 1.4).collect();
    values[6] = f32::NAN;
    values[8] = f32::INFINITY;
    values
}

/// The shader's maths, on the CPU, over black.
fn expected(x: i32, y: i32) -> [f32; 3] {
    let (rows, cols) = (ROWS as i32, COLS as i32);
    let cell = |x: i32, y: i32| (x * cols / SIDE, y * rows / SIDE);
    let (col, row) = cell(x, y);
    let value = values()[(row * cols + col) as usize];
    let heat = PALETTE.color(value, RANGE).unwrap_or([0; 3]);
    let weight = OPACITY * colormap::weight(value, RANGE);
    let heat = heat.map(|c| f32::from(c) * weight);
    if cell((x - 1).max(0), (y - 1).max(0)) == (col, row) {
        return heat;
    }
    let mix = |i: usize| LINE[i] * LINE[3] * 255.0 + heat[i] * (1.0 - LINE[3]);
    [mix(0), mix(1), mix(2)]
}

#[test]
fn the_device_draws_what_the_cpu_expects() {
    if adapter::is_skipped() {
        return;
    }
    let heat = Arc::new(HeatValues {
        revision: 1,
        rows: ROWS,
        cols: COLS,
        values: values(),
    });
    let origin = [7, 5];
    let mut harness = egui_kittest::Harness::builder()
        .with_size(egui::vec2(80.0, 80.0))
        .wgpu()
        .build_eframe(|cc| {
            heatmap::install(cc.wgpu_render_state.as_ref().unwrap());
            Painted(HeatCallback {
                values: heat,
                origin,
                side: SIDE,
                opacity: OPACITY,
                range: RANGE,
                palette: PALETTE,
                line: LINE,
            })
        });
    harness.run();
    let image = harness.render().unwrap();
    let mut worst = 0.0f32;
    for y in 0..SIDE {
        for x in 0..SIDE {
            let pixel = image.get_pixel((origin[0] + x) as u32, (origin[1] + y) as u32);
            for (got, want) in pixel.0.iter().zip(expected(x, y)) {
                worst = worst.max((f32::from(*got) - want).abs());
            }
        }
    }
    println!("largest difference: {worst} of 255");
    assert!(worst <= 1.0, "{worst}");
    assert_eq!(
        image.get_pixel(3, 3).0[..3],
        [0, 0, 0],
        "outside the picture"
    );
}

struct Painted(HeatCallback);

impl eframe::App for Painted {
    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        let rect = ui.ctx().content_rect();
        ui.painter().rect_filled(rect, 0.0, egui::Color32::BLACK);
        let callback = eframe::egui_wgpu::Callback::new_paint_callback(rect, self.0.clone());
        ui.painter().add(callback);
    }
}
