//! Cuts panes out of the window and puts their states side by side.

use egui_kittest::kittest::Queryable as _;
use image::RgbaImage;
use image::imageops::{FilterType, crop_imm, replace, resize};
use patchglass::ui::pane::Pane;

use crate::states::{SIZE, State, Window};

/// Width of the column at the right.
const SIDE: f32 = 392.0;

/// One pane of one window.
pub struct Crop {
    state: State,
    dark: bool,
    image: RgbaImage,
}

pub fn crop(window: &mut Window, pane: Pane) -> Crop {
    let h = &mut window.app;
    let bottom = h.get_by_label("Play levels").rect().top() - 8.0;
    let top_tabs = h.get_by_label("Close Question and answer").rect();
    let (x, y, w, end) = match pane {
        Pane::Picture => {
            let left = h.get_by_label("Ablate tool").rect().right() + 8.0;
            let top = top_tabs.top() - 4.0;
            (left, top, SIZE[0] - SIDE - 4.0 - left, bottom)
        }
        Pane::Answer => {
            let tabs = h.get_by_label("Interventions").rect();
            (
                SIZE[0] - SIDE,
                top_tabs.bottom() + 4.0,
                SIDE,
                tabs.top() - 4.0,
            )
        }
        _ => {
            let close = format!("Close {}", pane.title());
            let tabs = h.get_by_label(&close).rect();
            (SIZE[0] - SIDE, tabs.bottom() + 4.0, SIDE, bottom)
        }
    };
    let whole = h.render().unwrap();
    let part = crop_imm(&whole, x as u32, y as u32, w as u32, (end - y) as u32).to_image();
    let image = match pane {
        Pane::Picture => resize(
            &part,
            part.width() / 3,
            part.height() / 3,
            FilterType::Triangle,
        ),
        _ => part,
    };
    Crop {
        state: window.state,
        dark: window.dark,
        image,
    }
}

/// The four states from the left to the right, dark and light in turn.
pub fn beside(crops: &[Crop], begins_dark: bool) -> RgbaImage {
    let states = [State::Empty, State::Running, State::Full, State::Error];
    let chosen = states.iter().enumerate().map(|(at, state)| {
        let dark = (at % 2 == 0) == begins_dark;
        let mut crops = crops.iter();
        &crops
            .find(|crop| crop.state == *state && crop.dark == dark)
            .unwrap()
            .image
    });
    let chosen: Vec<&RgbaImage> = chosen.collect();
    let width = chosen.iter().map(|image| image.width() + 4).sum();
    let height = chosen.iter().map(|image| image.height()).max().unwrap();
    let mut strip = RgbaImage::from_pixel(width, height, image::Rgba([128, 128, 128, 255]));
    let mut x = 0;
    for image in chosen {
        replace(&mut strip, image, x, 0);
        x += i64::from(image.width()) + 4;
    }
    strip
}

/// All of them under `target/panels/`, to be looked at.
pub fn keep_all(crops: &[Crop], name: &str) {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("../panels");
    std::fs::create_dir_all(&folder).unwrap();
    for begins_dark in [true, false] {
        let tag = if begins_dark { "a" } else { "b" };
        let path = folder.join(format!("{name}_{tag}.png"));
        beside(crops, begins_dark).save(path).unwrap();
    }
}
