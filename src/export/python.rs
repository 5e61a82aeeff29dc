//! A Python script that repeats a run with Hugging Face transformers and prints the same answer.
//!
//! The script is `assets/export/replay.py`; here the experiment is written out at its head: paths, texts, and every
//! intervention with its patches and blocks as numbers. What the script cannot repeat is refused in a sentence.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::complete;
use crate::engine::trace::Trace;
use crate::error::{Error, Result};
use crate::index::{HeadSet, LayerRange, Patch, PatchGrid, PatchSet, TokenSet};
use crate::session::Session;
use crate::spec::{Crop, Intervention, ModelSource, PictureSource};
use crate::wording::{Facts, describe};

static SCRIPT: &str = include_str!("../../assets/export/replay.py");
/// Where the script looks for the demo model and its picture.
const DEMO_FOLDER: &str = "patchglass-demo";

/// The script for a complete run of this session.
///
/// # Errors
/// A trace that is not complete; a model or an intervention that transformers cannot repeat.
pub fn script(session: &Session, trace: &Trace) -> Result<String> {
    complete(trace)?;
    let hint = match session.experiment.model {
        ModelSource::Demo => format!(
            "write the demo model there with `patchglass export --demo-model {DEMO_FOLDER}`"
        ),
        _ => "name one with --model".to_owned(),
    };
    let experiment = experiment(session, trace)?;
    Ok(SCRIPT
        .replace("@MODEL_HINT@", &hint)
        .replacen("@EXPERIMENT@\n", &experiment, 1))
}

/// The assignments at the head of the script.
fn experiment(session: &Session, trace: &Trace) -> Result<String> {
    let experiment = &session.experiment;
    let template = experiment.template.as_ref();
    let crop = match experiment.crop {
        Crop::Center => "center",
        Crop::Pad => "pad",
    };
    let picture = match &experiment.picture {
        PictureSource::Demo => format!("{DEMO_FOLDER}/{}", crate::demo::PICTURE_NAME),
        PictureSource::File(path) => absolute(path),
    };
    let mut out = String::new();
    let mut assign = |name: &str, value: &Value| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{name} = {}", literal(value));
    };
    assign("MODEL", &json!(model(&experiment.model)?));
    assign("IMAGE", &json!(picture));
    assign("CROP", &json!(crop));
    assign(
        "TEMPLATE",
        &json!(template.unwrap_or(&trace.model.template)),
    );
    assign("PROMPT", &json!(experiment.prompt));
    assign("ANSWER_PREFIX", &json!(experiment.answer_prefix));
    assign("MAX_NEW_TOKENS", &json!(experiment.decode.max_new_tokens));
    let (before, after) = (&trace.baseline.answer.ids, &trace.edited.answer.ids);
    assign("EXPECTED", &json!({"before": before, "after": after}));
    out.push_str(&interventions(session, trace)?);
    Ok(out)
}

fn model(source: &ModelSource) -> Result<String> {
    match source {
        ModelSource::Demo => Ok(DEMO_FOLDER.to_owned()),
        ModelSource::Folder(folder) => Ok(absolute(folder)),
        ModelSource::Hub(id) => Ok(id.clone()),
        ModelSource::Gguf { .. } => Err(Error::input(
            "a GGUF model cannot be repeated with transformers' LLaVA: export from the same model as a folder in Hugging \
             Face form",
        )),
    }
}

/// The list of interventions that are on, each beneath a line that says what it does.
fn interventions(session: &Session, trace: &Trace) -> Result<String> {
    let facts = Facts {
        grid: Some(trace.model.grid),
        n_layers: trace.model.n_layers,
        n_heads: trace.model.n_heads,
    };
    let mut out = "INTERVENTIONS = [\n".to_owned();
    for row in session.experiment.active() {
        let words = describe(row, facts);
        let written = written(row, trace)
            .map_err(|why| Error::input(format!("“{words}” cannot be put into Python: {why}")))?;
        // Writing to a string cannot fail.
        let _ = writeln!(out, "    # {words}\n    {},", literal(&written));
    }
    out.push_str("]\n");
    Ok(out)
}

/// One intervention with everything symbolic resolved. Read off the session file's own form of it.
fn written(row: &Intervention, trace: &Trace) -> Result<Value> {
    let fields = serde_json::to_value(row).map_err(Error::internal)?;
    match fields["type"].as_str() {
        Some("ablation") => Ok(json!({
            "type": "ablation",
            "patches": patches(&fields["patches"], trace.model.grid)?,
            "level": fields["layer"],
            "with": replacement(&fields["with"], trace.model.grid)?,
        })),
        Some("attention_knockout") => {
            let layers: LayerRange = read(&fields["layers"])?;
            let heads: HeadSet = read(&fields["heads"])?;
            let blocks: Vec<_> = layers.resolve(trace.model.n_layers)?.collect();
            Ok(json!({
                "type": "attention_knockout",
                "queries": tokens(&fields["queries"], trace.model.grid)?,
                "keys": tokens(&fields["keys"], trace.model.grid)?,
                "blocks": blocks,
                "heads": heads.resolve(trace.model.n_heads)?,
            }))
        }
        Some("swap") => swap(row, trace.model.grid),
        Some(kind @ ("steer" | "erase" | "scale")) => {
            let mut written = json!({
                "type": kind,
                "tokens": tokens(&fields["tokens"], trace.model.grid)?,
                "level": fields["layer"],
            });
            for name in ["word", "vector", "strength", "by"] {
                if let Some(value) = fields.get(name) {
                    written[name] = value.clone();
                }
            }
            Ok(written)
        }
        other => Err(Error::internal(format!(
            "the script knows no {}",
            other.unwrap_or_default()
        ))),
    }
}

/// A swap, with the other picture's patch of every place.
fn swap(row: &Intervention, grid: PatchGrid) -> Result<Value> {
    let Intervention::Swap(swap) = row else {
        return Err(Error::internal("this is no swap"));
    };
    let from = swap.pairs(grid).into_iter().map(|(place, other)| {
        let index = other.and_then(|other| grid.index(other));
        index.ok_or_else(|| Error::input(format!("nothing of the other picture comes to {place}")))
    });
    Ok(json!({
        "type": "swap",
        "patches": swap.patches.indices(grid)?,
        "from": from.collect::<Result<Vec<_>>>()?,
        "image": absolute(&swap.image),
        "level": swap.layer,
    }))
}

/// What takes the place of ablated rows.
fn replacement(with: &Value, grid: PatchGrid) -> Result<Value> {
    if let Some(patch) = with.get("patch") {
        let set: PatchSet = [read::<Patch>(patch)?].into_iter().collect();
        return Ok(json!({"patch": set.indices(grid)?[0]}));
    }
    for field in ["mean_of", "image"] {
        if let Some(path) = with.get(field).and_then(Value::as_str) {
            return Ok(json!({field: absolute(Path::new(path))}));
        }
    }
    match with.as_str() {
        Some(word @ ("mean" | "zero")) => Ok(json!(word)),
        _ => Err(Error::input(
            "its random numbers are Patchglass's own; replace by mean, zero, a patch, a file's mean or another picture",
        )),
    }
}

fn tokens(set: &Value, grid: PatchGrid) -> Result<Value> {
    match read(set)? {
        TokenSet::Patches(set) => Ok(json!(set.indices(grid)?)),
        _ => Ok(set.clone()),
    }
}

fn patches(set: &Value, grid: PatchGrid) -> Result<Vec<usize>> {
    read::<PatchSet>(set)?.indices(grid)
}

fn read<T: serde::de::DeserializeOwned>(value: &Value) -> Result<T> {
    serde_json::from_value(value.clone()).map_err(Error::internal)
}

fn absolute(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.to_string_lossy().into_owned()
}

/// A value as Python writes it.
fn literal(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(on) => if *on { "True" } else { "False" }.to_owned(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(literal).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| format!("{name:?}: {}", literal(value));
            let fields: Vec<_> = fields.iter().map(field).collect();
            format!("{{{}}}", fields.join(", "))
        }
        // JSON's escapes are Python's.
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_as_python_writes_them() {
        let value = json!({"a": [1, null, true], "b": "\"x\"\n\u{1f}é"});
        assert_eq!(
            literal(&value),
            r#"{"a": [1, None, True], "b": "\"x\"\n\u001fé"}"#
        );
    }

    #[test]
    fn what_cannot_be_repeated_is_said() {
        let grid = PatchGrid::new(2, 2);
        assert_eq!(replacement(&json!("mean"), grid).unwrap(), json!("mean"));
        assert_eq!(
            replacement(&json!({"patch": "r1c0"}), grid).unwrap(),
            json!({"patch": 2})
        );
        let error = replacement(&json!({"noise": 3}), grid).unwrap_err();
        assert!(error.to_string().contains("random"), "{error}");
        let gguf = ModelSource::Gguf {
            model: "a.gguf".into(),
            mmproj: None,
        };
        assert!(model(&gguf).unwrap_err().to_string().contains("GGUF"));
    }

    #[test]
    fn the_script_has_its_places() {
        for place in ["@EXPERIMENT@\n", "@MODEL_HINT@"] {
            assert_eq!(SCRIPT.matches(place).count(), 1);
        }
    }
}
