//! Pictures against Pillow: every file in `tests/golden/pictures` must come out as
//! `generate_pictures.py` says, level for level, and damaged, hostile or hopeless files must give one
//! sentence. No model is loaded here.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its own pictures should stop"
)]

use std::fs;
use std::path::{Path, PathBuf};

use patchglass::model::preprocess::{
    CropMode, PictureConfig, PictureError, PreparedPicture, Resample, Rgb8, decode, prepare, read,
};

/// The model size that the expected pictures were made for.
const SIZE: usize = 42;

fn pictures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pictures")
}

/// The inputs, sorted by name.
fn inputs() -> Vec<PathBuf> {
    let all = fs::read_dir(pictures())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut inputs: Vec<_> = all
        .filter(|path| !path.to_string_lossy().ends_with(".expected.png"))
        .collect();
    inputs.sort();
    inputs
}

fn bytes_of(file: &str) -> Vec<u8> {
    fs::read(pictures().join(file)).unwrap()
}

fn config(resample: Resample) -> PictureConfig {
    PictureConfig {
        size: SIZE,
        resample,
        ..PictureConfig::default()
    }
}

/// Both crops beside each other, as the expected pictures have them.
fn sheet(picture: &Rgb8, config: &PictureConfig) -> Vec<u8> {
    let seen = |mode| prepare(picture, config, mode).unwrap().seen.pixels;
    let (center, pad) = (seen(CropMode::Center), seen(CropMode::Pad));
    center
        .chunks(3 * SIZE)
        .zip(pad.chunks(3 * SIZE))
        .flat_map(|(a, b)| [a, b].concat())
        .collect()
}

/// What Pillow makes of a picture, read without any code of ours.
fn expected(stem: &str) -> Vec<u8> {
    let sheet = image::open(pictures().join(format!("{stem}.expected.png")))
        .unwrap()
        .into_rgb8();
    assert_eq!(sheet.dimensions(), (2 * SIZE as u32, SIZE as u32));
    sheet.into_raw()
}

/// How many values differ, and by how much at most.
fn difference(got: &[u8], want: &[u8]) -> (usize, u8) {
    assert_eq!(got.len(), want.len());
    let differences = got.iter().zip(want).map(|(a, b)| a.abs_diff(*b));
    differences.fold((0, 0), |(count, max), d| {
        (count + usize::from(d > 0), max.max(d))
    })
}

#[test]
fn every_picture_comes_out_as_pillow_makes_it() {
    let mut failures = Vec::new();
    for path in inputs() {
        let stem = path.file_stem().unwrap().to_string_lossy();
        let got = sheet(&read(&path).unwrap(), &config(Resample::Bicubic));
        let (count, max) = difference(&got, &expected(&stem));
        // Another decoder reads these, since the exact one cannot: see `preprocess/jpeg.rs`.
        let allowed = if stem == "jpeg-cmyk-420" { 2 } else { 0 };
        if max > allowed {
            failures.push(format!(
                "{stem}: {count} of {} values differ, by up to {max}",
                got.len()
            ));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(inputs().len(), 36);
}

/// The negative control: the comparison above is fine enough to notice the wrong filter, and the right one is
/// bicubic.
#[test]
fn the_wrong_filter_is_noticed() {
    let picture = read(&pictures().join("rgb-113x200.png")).unwrap();
    let bilinear = sheet(&picture, &config(Resample::Bilinear));
    let (count, max) = difference(&bilinear, &expected("rgb-113x200"));
    assert!(
        count > bilinear.len() / 2 && max >= 10,
        "only {count} values differ, by up to {max} levels"
    );
    assert_eq!(difference(&bilinear, &expected("bilinear")), (0, 0));
}

/// Turning the picture matters too: without its orientation a file would not match.
#[test]
fn an_oriented_jpeg_stands_upright() {
    let upright = |file| {
        read(&pictures().join(file))
            .map(|x| (x.width, x.height))
            .unwrap()
    };
    assert_eq!(upright("jpeg-exif-2.jpg"), (61, 47));
    assert_eq!(upright("jpeg-exif-3.jpg"), (61, 47));
    assert_eq!(upright("jpeg-exif-6.jpg"), (47, 61));
    assert_eq!(upright("jpeg-exif-8.jpg"), (47, 61));
    assert_eq!(upright("jpeg-xmp-6.jpg"), (47, 61));
}

#[test]
fn pixel_values_are_channel_first_and_normalised_in_f32() {
    let picture = read(&pictures().join("rgb-61x47.png")).unwrap();
    let config = config(Resample::Bicubic);
    let PreparedPicture {
        seen,
        pixel_values,
        original_size,
        ..
    } = prepare(&picture, &config, CropMode::Center).unwrap();
    assert_eq!(
        (seen.width, seen.height, original_size),
        (SIZE, SIZE, (61, 47))
    );
    assert_eq!(pixel_values.len(), 3 * SIZE * SIZE);
    for (i, value) in pixel_values.iter().enumerate() {
        let (channel, pixel) = (i / (SIZE * SIZE), i % (SIZE * SIZE));
        let level = f32::from(seen.pixels[3 * pixel + channel]);
        assert_eq!(
            *value,
            (level / 255.0 - config.mean[channel]) / config.std[channel]
        );
    }
}

/// The sentence for a file that cannot be used: one line that names the file and says, after a colon, what would be
/// right.
fn sentence<T: std::fmt::Debug>(result: Result<T, PictureError>, name: &str) -> String {
    let sentence = result.unwrap_err().to_string();
    assert!(
        sentence.starts_with("picture ") && sentence.contains(name),
        "{sentence}"
    );
    assert!(
        !sentence.contains('\n') && sentence.contains(": "),
        "{sentence}"
    );
    sentence
}

/// A 24-bit BMP's header without its pixels.
fn bmp_header(width: i32, height: i32) -> Vec<u8> {
    let mut bytes = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
    bytes.extend([width.to_le_bytes(), height.to_le_bytes()].concat());
    bytes.extend([1, 0, 24, 0].iter().chain(&[0; 24]));
    bytes
}

#[test]
fn paths_that_are_no_pictures_are_told_so() {
    assert!(
        sentence(read(&pictures()), "pictures").contains("is a folder: give the path of a PNG")
    );
    assert!(
        sentence(read(&pictures().join("absent.png")), "absent.png")
            .contains("does not exist: check the path")
    );
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/preprocess.rs");
    assert!(
        sentence(read(&source), "preprocess.rs")
            .contains("is in no known picture format: convert it to PNG")
    );
}

#[test]
fn bytes_that_are_no_picture_are_told_so() {
    assert_eq!(
        sentence(decode(b"", "x.png"), "x.png"),
        "picture \"x.png\" is empty (0 bytes): give a PNG, JPEG, WebP or BMP file"
    );
    assert_eq!(
        sentence(decode(b"GIF89a\x01\0\x01\0\0\0\0;", "x.gif"), "x.gif"),
        "picture \"x.gif\" is in the format Gif, which is not supported: convert it to PNG, JPEG, WebP or BMP first"
    );
}

#[test]
fn sizes_out_of_bounds_are_refused_from_the_header() {
    assert_eq!(
        sentence(decode(&bmp_header(20_000, 20_000), "big.bmp"), "big.bmp"),
        "picture \"big.bmp\" is 20000x20000 px (400 megapixels); the limit is 178 megapixels: scale it down first"
    );
    assert_eq!(
        sentence(decode(&bmp_header(1, 50), "thin.bmp"), "thin.bmp"),
        "picture \"thin.bmp\" is too small (1x50 px): each side must be at least 2 px"
    );
    assert_eq!(
        sentence(decode(&bmp_header(401, 2), "long.bmp"), "long.bmp"),
        "picture \"long.bmp\" is 401x2 px; its long side may be at most 200 times its short side: crop it first"
    );
    let mut jpeg = bytes_of("jpeg-444.jpg");
    let frame = jpeg.windows(2).position(|x| x == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0x75, 0x30, 0x75, 0x30]);
    assert!(
        sentence(decode(&jpeg, "bomb.jpg"), "bomb.jpg")
            .contains("is 30000x30000 px (900 megapixels)")
    );
}

#[test]
fn a_file_cut_in_its_middle_is_told_to_be_cut_short() {
    for path in inputs() {
        let bytes = fs::read(&path).unwrap();
        for part in [bytes.len() / 4, bytes.len() / 2, bytes.len() * 3 / 4] {
            let name = path.file_name().unwrap().to_string_lossy();
            sentence(decode(&bytes[..part], &name), &name);
        }
    }
    assert!(
        sentence(decode(&bytes_of("jpeg-420.jpg")[..2000], "x.jpg"), "x.jpg")
            .contains("is damaged or cut short (")
    );
}

/// Thousands of files with wrong bytes: each decodes or gives its sentence, and no decoder gives up by panicking.
#[test]
fn wrong_bytes_never_panic() {
    let mut state = 1_u32;
    let mut random = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    for path in inputs()
        .iter()
        .filter(|path| fs::metadata(path).unwrap().len() < 8192)
    {
        let bytes = fs::read(path).unwrap();
        for _ in 0..60 {
            let mut wrong = bytes.clone();
            for _ in 0..=random(4) {
                // Half of the changes go to the headers, where they do most.
                let at = if random(2) == 0 {
                    random(bytes.len())
                } else {
                    random(bytes.len().min(200))
                };
                wrong[at] = random(256) as u8;
            }
            match decode(&wrong, "wrong") {
                Ok(picture) => assert_eq!(picture.pixels.len(), 3 * picture.width * picture.height),
                Err(error) => assert!(!sentence(Err::<(), _>(error), "wrong").contains("gave up")),
            }
        }
    }
}
