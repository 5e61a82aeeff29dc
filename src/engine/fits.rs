//! Whether a model of which only the configuration is here would fit into this machine, in a line a place.

use std::path::Path;

use super::memory::{MemoryNeed, Workload};
use super::place::Place;
use super::protocol::{DTypeChoice, DeviceChoice};
use crate::error::Result;
use crate::files;
use crate::model::config::Config;

/// Positions of a question and an answer beside the picture.
const TEXT: usize = 24;
const ANSWER: usize = 32;

/// What each number type would need in each place of this machine, in words: `CPU, 12.0 GB free: f32 needs 29.2 GB …`.
///
/// # Errors
/// A configuration that is not LLaVA-1.5's.
pub fn fits(config: &Path) -> Result<Vec<String>> {
    let text = files::read_text(config, 1 << 20)?;
    let config = Config::from_json(&text, "its config.json")?;
    let places = Place::all(DeviceChoice::Auto)?;
    Ok(places.iter().map(|place| line(&config, place)).collect())
}

fn line(config: &Config, place: &Place) -> String {
    let float = match place.kind.is_card() {
        true => ("f16", DTypeChoice::F16),
        false => ("f32", DTypeChoice::F32),
    };
    let types = [
        float,
        ("q8_0", DTypeChoice::Q8_0),
        ("q4k", DTypeChoice::Q4K),
    ];
    let needs = types.map(|(name, dtype)| {
        let work = Workload {
            numbers: place.numbers(Some(dtype)),
            stored_bytes: 2,
            n_tokens: config.n_visual_tokens() + TEXT,
            n_new: ANSWER,
            place: place.kind,
        };
        let need = MemoryNeed::of(config, &work).total();
        let verdict = match place.free {
            Some(free) if need > free => ", does not fit",
            _ => "",
        };
        format!("{name} needs {:.1} GB{verdict}", need as f64 / 1e9)
    });
    let free = place.free.map_or_else(
        || "free memory unknown".to_owned(),
        |free| format!("{:.1} GB free", free as f64 / 1e9),
    );
    format!("{}, {free}: {}", place.name, needs.join("; "))
}
