//! Selections from files: a mask picture, or the objects that a COCO file has for the picture on screen. Both are mapped
//! as the picture is prepared. It changes no session.

use std::path::Path;

use crate::error::{Error, Result};
use crate::index::{PatchGrid, PatchSet, choose};
use crate::masks::{Bitmap, Coco, Mask};
use crate::model::preprocess::{self, SeenRect};
use crate::session::NamedSelection;

/// Brighter than this is white.
const WHITE: u32 = 3 * 127;
/// Largest difference of two pictures' proportions that is rounding.
const SAME_SHAPE: f64 = 0.02;

/// The picture that is selected on.
#[derive(Clone, Debug)]
pub struct Subject {
    pub name: String,
    /// Width and height of the file.
    pub size: (usize, usize),
    pub seen: SeenRect,
    pub grid: PatchGrid,
}

/// What a file selects: one set for a mask, one for every category of objects in a COCO file.
///
/// # Errors
/// A file that is neither, or that is about another picture.
pub fn read(path: &Path, subject: &Subject) -> Result<Vec<NamedSelection>> {
    let is_json = path
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("json"));
    match is_json {
        true => objects(&Coco::read(path)?, path, subject),
        false => mask(path, subject).map(|selection| vec![selection]),
    }
}

/// Whether a file can only be meant as a selection: annotations, or a picture of the same proportions in pure black and
/// white.
pub fn is_about(path: &Path, subject: &Subject) -> bool {
    let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
    if ending == "json" {
        return Coco::read(path).is_ok();
    }
    let Ok(picture) = preprocess::read(path) else {
        return false;
    };
    let (width, height) = subject.size;
    let x = picture.width as f64 / width.max(1) as f64;
    let y = picture.height as f64 / height.max(1) as f64;
    let is = |level: u8| move |pixel: &[u8]| pixel.iter().all(|c| c.abs_diff(level) < 16);
    let pixels = || picture.pixels.chunks_exact(3);
    let has_both = pixels().any(is(0)) && pixels().any(is(255));
    let is_pure = |pixel: &[u8]| is(0)(pixel) || is(255)(pixel);
    (x / y - 1.0).abs() <= SAME_SHAPE && has_both && pixels().all(is_pure)
}

fn mask(path: &Path, subject: &Subject) -> Result<NamedSelection> {
    let picture = preprocess::read(path)?;
    let (width, height) = subject.size;
    let x = picture.width as f64 / width.max(1) as f64;
    let y = picture.height as f64 / height.max(1) as f64;
    if (x / y - 1.0).abs() > SAME_SHAPE {
        return Err(Error::input(format!(
            "{}: a mask of {}x{} pixels does not fit the picture of {width}x{height}: it must have the same proportions",
            path.display(),
            picture.width,
            picture.height
        )));
    }
    let white = |pixel: &[u8]| pixel.iter().map(|c| u32::from(*c)).sum::<u32>() > WHITE;
    let inside = picture.pixels.chunks_exact(3).map(white).collect();
    let bitmap = Bitmap::new(picture.width, picture.height, inside)?;
    let patches = Mask::Bitmap(bitmap).patches(subject.seen.scaled(x, y), subject.grid);
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = stem.into_owned();
    match patches.is_empty() {
        true => Err(Error::input(format!(
            "{}: nothing white of it is seen: white means selected",
            path.display()
        ))),
        false => Ok(NamedSelection { name, patches }),
    }
}

fn objects(coco: &Coco, path: &Path, subject: &Subject) -> Result<Vec<NamedSelection>> {
    let image = coco
        .images
        .iter()
        .find(|image| image.file_name == subject.name);
    let Some(image) = image else {
        return Err(Error::input(format!(
            "{}: it has no picture called {}",
            path.display(),
            subject.name
        )));
    };
    let x = image.width as f64 / subject.size.0.max(1) as f64;
    let y = image.height as f64 / subject.size.1.max(1) as f64;
    let seen = subject.seen.scaled(x, y);
    let mut found: Vec<NamedSelection> = Vec::new();
    for annotation in coco.annotations.iter().filter(|a| a.image_id == image.id) {
        let patches = annotation.mask()?.patches(seen, subject.grid);
        let category = coco.category(annotation.category_id);
        let name = category.map_or_else(String::new, |c| c.name.clone());
        match found.iter_mut().find(|kept| kept.name == name) {
            Some(kept) => kept.patches = choose::union(&kept.patches, &patches, subject.grid),
            None => found.push(NamedSelection { name, patches }),
        }
    }
    found.retain(|kept| kept.patches != PatchSet::default());
    match found.is_empty() {
        true => Err(Error::input(format!(
            "{}: it has no object that is seen of {}",
            path.display(),
            subject.name
        ))),
        false => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Subject {
        Subject {
            name: "a.png".to_owned(),
            size: (80, 40),
            // The middle square of a wide picture.
            seen: SeenRect {
                left: 20.0,
                top: 0.0,
                width: 40.0,
                height: 40.0,
            },
            grid: PatchGrid::new(4, 4),
        }
    }

    #[test]
    fn white_is_selected_where_the_model_sees_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cat.png");
        // Half the picture's size: white in columns 15..20 and rows 0..5, which are patches r0c1 of what is seen.
        let mut picture = image::RgbImage::new(40, 20);
        for (x, y) in (15..20).flat_map(|x| (0..5).map(move |y| (x, y))) {
            picture.put_pixel(x, y, image::Rgb([255; 3]));
        }
        picture.save(&path).unwrap();
        assert!(is_about(&path, &subject()));
        let found = read(&path, &subject()).unwrap();
        assert_eq!(
            (
                found[0].name.as_str(),
                found[0].patches.to_string().as_str()
            ),
            ("cat", "r0c1")
        );
        // One grey pixel, and it is a picture like any other.
        let grey = dir.path().join("grey.png");
        picture.put_pixel(0, 0, image::Rgb([128; 3]));
        picture.save(&grey).unwrap();
        assert!(!is_about(&grey, &subject()));
        let square = dir.path().join("square.png");
        image::RgbImage::new(20, 20).save(&square).unwrap();
        let error = read(&square, &subject()).unwrap_err().to_string();
        assert!(error.contains("proportions"), "{error}");
        assert!(!is_about(&square, &subject()));
        image::RgbImage::new(80, 40).save(&path).unwrap();
        assert!(
            read(&path, &subject())
                .unwrap_err()
                .to_string()
                .contains("white")
        );
    }

    #[test]
    fn objects_of_one_category_are_one_selection() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("instances.json");
        let square = |x: u32| format!("[[{x},0,{},0,{},10,{x},10]]", x + 10, x + 10);
        let text = format!(
            r#"{{"images":[{{"id":1,"file_name":"a.png","width":80,"height":40}}],
            "categories":[{{"id":7,"name":"cat"}},{{"id":8,"name":"dog"}}],
            "annotations":[
              {{"id":1,"image_id":1,"category_id":7,"area":100,"segmentation":{}}},
              {{"id":2,"image_id":1,"category_id":7,"area":100,"segmentation":{}}},
              {{"id":3,"image_id":1,"category_id":8,"area":100,"segmentation":{}}}]}}"#,
            square(20),
            square(40),
            square(70)
        );
        crate::files::write_atomically(&path, text.as_bytes()).unwrap();
        let found = read(&path, &subject()).unwrap();
        assert_eq!(found.len(), 1, "the dog is cropped away");
        assert_eq!(found[0].patches.to_string(), "r0c0, r0c2");
        let other = Subject {
            name: "b.png".to_owned(),
            ..subject()
        };
        assert!(
            read(&path, &other)
                .unwrap_err()
                .to_string()
                .contains("b.png")
        );
    }
}
