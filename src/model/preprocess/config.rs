//! `preprocessor_config.json`: how a checkpoint wants its pictures.
//!
//! The crop itself is the session's choice ([`CropMode`](super::CropMode)), so `do_center_crop` and `do_pad` are not
//! read. Where the file leaves a field out (or has `null`), the default of transformers' `CLIPImageProcessor` holds.

use serde_json::Value;

use super::PictureError;

/// The largest side of a model's picture that is believed; the encoder's cost grows with its fourth power.
const MAX_MODEL_SIZE: u64 = 4096;

/// The filter that resizes, antialiased, by Pillow's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resample {
    /// A triangle, Pillow's 2.
    Bilinear,
    /// Catmull-Rom (a = -0.5), Pillow's 3: what CLIP uses.
    Bicubic,
}

/// What is done to a picture before the model sees it; [`PictureConfig::default`] is CLIP's at 336 px, as LLaVA-1.5
/// uses it.
#[derive(Clone, PartialEq, Debug)]
pub struct PictureConfig {
    /// Side of the square that the model sees, in pixels.
    pub size: usize,
    /// Mean of red, green and blue, on the scale of 0 to 1.
    pub mean: [f32; 3],
    /// Standard deviation of red, green and blue, on the same scale; never 0.
    pub std: [f32; 3],
    /// The filter of the resize.
    pub resample: Resample,
    /// What a level of 0 to 255 is multiplied with before normalisation: 1/255.
    pub rescale_factor: f64,
    /// The colour around a padded picture: `int(mean * 255)` of the mean as it stands in the file (f64).
    pub pad_colour: [u8; 3],
}

impl Default for PictureConfig {
    fn default() -> Self {
        Self {
            size: 336,
            mean: CLIP_MEAN.map(|x| x as f32),
            std: CLIP_STD.map(|x| x as f32),
            resample: Resample::Bicubic,
            rescale_factor: 1.0 / 255.0,
            pad_colour: pad_colour(CLIP_MEAN),
        }
    }
}

/// transformers' `OPENAI_CLIP_MEAN` and `OPENAI_CLIP_STD`.
const CLIP_MEAN: [f64; 3] = [0.48145466, 0.4578275, 0.40821073];
const CLIP_STD: [f64; 3] = [0.26862954, 0.26130258, 0.27577711];

/// `size` of a `CLIPImageProcessor` whose file names neither `size` nor `crop_size`.
const DEFAULT_SIZE: usize = 224;

impl PictureConfig {
    /// Reads the text of a `preprocessor_config.json`; `file_name` is only for messages.
    ///
    /// `size` may be `{"shortest_edge": n}`, a square `{"height": n, "width": n}` or `n`, `crop_size` the latter two;
    /// where both are given they must agree, and where one is missing it is taken to be the other. The object may
    /// also stand under `image_processor`, as newer `processor_config.json` files have it. Unknown fields are
    /// ignored.
    ///
    /// # Errors [`PictureError::NotJson`] if it is no JSON object, else [`PictureError::Field`] for the first field
    /// that cannot be followed.
    pub fn from_json(text: &str, file_name: &str) -> Result<Self, PictureError> {
        let not_json = |detail| PictureError::NotJson {
            file: String::from(file_name),
            detail,
        };
        let root: Value = serde_json::from_str(text).map_err(|e| not_json(e.to_string()))?;
        if !root.is_object() {
            return Err(not_json(format!("it holds {}", shown(&root))));
        }
        let nested = root.get("image_processor").filter(|x| x.is_object());
        let fields = Fields {
            file: file_name,
            object: nested.unwrap_or(&root),
        };
        for field in ["do_resize", "do_rescale", "do_normalize"] {
            fields.must_be_on(field)?;
        }
        let mean = fields.three("image_mean", CLIP_MEAN, "three numbers from 0 to 1", |x| {
            (0.0..=1.0).contains(&x)
        })?;
        let std = fields.three(
            "image_std",
            CLIP_STD,
            "three numbers from 0.000001 to 1000000",
            |x| (1e-6..=1e6).contains(&x),
        )?;
        Ok(Self {
            size: fields.model_size()?,
            mean: mean.map(|x| x as f32),
            std: std.map(|x| x as f32),
            resample: fields.resample()?,
            rescale_factor: fields.rescale_factor()?,
            pad_colour: pad_colour(mean),
        })
    }
}

/// Python's `int(m * 255)`, which rounds towards zero.
fn pad_colour(mean: [f64; 3]) -> [u8; 3] {
    mean.map(|x| (x * 255.0) as u8)
}

/// The fields of one configuration file, for messages that name both.
struct Fields<'a> {
    file: &'a str,
    object: &'a Value,
}

impl Fields<'_> {
    /// The value of a field; `null` counts as left out.
    fn get(&self, field: &str) -> Option<&Value> {
        self.object.get(field).filter(|x| !x.is_null())
    }

    fn error(&self, field: &'static str, found: &Value, wanted: &str) -> PictureError {
        PictureError::Field {
            file: String::from(self.file),
            field,
            found: shown(found),
            wanted: String::from(wanted),
        }
    }

    /// A step that a model of this kind cannot do without.
    fn must_be_on(&self, field: &'static str) -> Result<(), PictureError> {
        match self.get(field) {
            None | Some(Value::Bool(true)) => Ok(()),
            Some(found) => Err(self.error(field, found, "true")),
        }
    }

    fn resample(&self) -> Result<Resample, PictureError> {
        match self.get("resample") {
            None => Ok(Resample::Bicubic),
            Some(found) => match found.as_u64() {
                Some(2) => Ok(Resample::Bilinear),
                Some(3) => Ok(Resample::Bicubic),
                _ => Err(self.error("resample", found, "2 (bilinear) or 3 (bicubic)")),
            },
        }
    }

    fn rescale_factor(&self) -> Result<f64, PictureError> {
        match self.get("rescale_factor") {
            None => Ok(1.0 / 255.0),
            Some(found) => match found.as_f64() {
                Some(x) if x > 0.0 && x <= 1.0 => Ok(x),
                _ => Err(self.error(
                    "rescale_factor",
                    found,
                    "a number above 0 and up to 1, such as 0.00392156862745098",
                )),
            },
        }
    }

    fn three(
        &self,
        field: &'static str,
        default: [f64; 3],
        wanted: &str,
        fits: fn(f64) -> bool,
    ) -> Result<[f64; 3], PictureError> {
        let Some(found) = self.get(field) else {
            return Ok(default);
        };
        let numbers = found
            .as_array()
            .map(|xs| xs.iter().filter_map(Value::as_f64).collect::<Vec<_>>());
        match numbers.as_deref() {
            Some(&[r, g, b])
                if found.as_array().map(Vec::len) == Some(3) && [r, g, b].into_iter().all(fits) =>
            {
                Ok([r, g, b])
            }
            _ => Err(self.error(field, found, wanted)),
        }
    }

    fn model_size(&self) -> Result<usize, PictureError> {
        let size = self.side("size", "a number, {\"shortest_edge\": n} or a square {\"height\": n, \"width\": n}, n from 1 to 4096")?;
        let crop = self.side(
            "crop_size",
            "a number or a square {\"height\": n, \"width\": n}, n from 1 to 4096",
        )?;
        match (size, crop, self.get("crop_size")) {
            (Some(size), Some(crop), Some(found)) if size != crop => Err(self.error(
                "crop_size",
                found,
                &format!("{size}, as field \"size\" says"),
            )),
            (size, crop, _) => Ok(size.or(crop).unwrap_or(DEFAULT_SIZE)),
        }
    }

    /// The side of the square that `size` or `crop_size` stands for.
    fn side(&self, field: &'static str, wanted: &str) -> Result<Option<usize>, PictureError> {
        let Some(found) = self.get(field) else {
            return Ok(None);
        };
        let edge = |key| found.get(key).and_then(Value::as_u64);
        let side = match (
            found.as_u64(),
            edge("shortest_edge"),
            edge("height"),
            edge("width"),
        ) {
            (Some(n), ..) | (None, Some(n), ..) => Some(n),
            (None, None, Some(height), Some(width)) if height == width => Some(height),
            _ => None,
        };
        match side.filter(|n| (1..=MAX_MODEL_SIZE).contains(n)) {
            Some(n) => Ok(usize::try_from(n).ok()),
            None => Err(self.error(field, found, wanted)),
        }
    }
}

/// A value as JSON, cut to a length that fits in a message.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        PictureConfig::from_json(text, "p.json")
            .unwrap_err()
            .to_string()
    }

    fn size(text: &str) -> usize {
        PictureConfig::from_json(text, "p.json").unwrap().size
    }

    #[test]
    fn what_is_left_out_has_the_defaults_of_the_clip_image_processor() {
        let config = PictureConfig::from_json("{}", "p.json").unwrap();
        assert_eq!(
            config,
            PictureConfig {
                size: 224,
                ..PictureConfig::default()
            }
        );
        assert_eq!(config.pad_colour, [122, 116, 104]);
    }

    #[test]
    fn size_is_read_in_all_its_forms() {
        assert_eq!(size(r#"{"size": 336}"#), 336);
        assert_eq!(
            size(r#"{"size": {"shortest_edge": 336}, "crop_size": {"height": 336, "width": 336}}"#),
            336
        );
        assert_eq!(
            size(r#"{"size": {"height": 56, "width": 56}, "crop_size": null}"#),
            56
        );
        assert_eq!(size(r#"{"crop_size": 112}"#), 112);
        assert_eq!(
            size(r#"{"image_processor": {"size": 112}, "size": 5}"#),
            112
        );
    }

    #[test]
    fn a_field_that_cannot_be_followed_is_named() {
        assert_eq!(
            message(r#"{"resample": 1}"#),
            r#""p.json": field "resample" is 1; it must be 2 (bilinear) or 3 (bicubic)"#
        );
        assert_eq!(
            message(r#"{"do_normalize": false}"#),
            r#""p.json": field "do_normalize" is false; it must be true"#
        );
        assert_eq!(
            message(r#"{"size": {"shortest_edge": 256}, "crop_size": 224}"#),
            r#""p.json": field "crop_size" is 224; it must be 256, as field "size" says"#
        );
        for (text, field) in [
            (r#"{"size": {"height": 336, "width": 224}}"#, "size"),
            (r#"{"size": 0}"#, "size"),
            (r#"{"size": 5000}"#, "size"),
            (r#"{"crop_size": "large"}"#, "crop_size"),
            (r#"{"resample": "bicubic"}"#, "resample"),
            (r#"{"image_mean": [0.5, 0.5]}"#, "image_mean"),
            (r#"{"image_mean": [0.5, "x", 0.5, 0.5]}"#, "image_mean"),
            (r#"{"image_std": [0.5, 0.0, 0.5]}"#, "image_std"),
            (r#"{"rescale_factor": 0}"#, "rescale_factor"),
        ] {
            assert!(
                message(text).contains(&format!("field {field:?}")),
                "{}",
                message(text)
            );
        }
    }

    #[test]
    fn what_is_no_json_object_is_said_to_be_none() {
        assert!(message("").starts_with("\"p.json\" is not a JSON object (EOF"));
        assert!(message("[1]").starts_with("\"p.json\" is not a JSON object (it holds [1])"));
    }
}
