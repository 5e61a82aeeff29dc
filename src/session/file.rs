//! The session file: JSON of version 1, as the contract fixes it, to and from a [`Session`].
//!
//! Paths in the file are relative to it; in memory they are joined with its folder. Unknown fields and higher
//! versions are errors. The undo history is not saved. Only this file of the module touches the disk.

mod runs;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use self::runs::SavedRunV1;
use super::{SavedRuns, Session, ViewState};
use crate::error::{Error, Result};
use crate::files;
use crate::spec::{Crop, Decode, Experiment, Intervention, ModelSource, PictureSource, Readout};

/// The newest version that this program reads and the one that it writes.
const VERSION: u64 = 1;
/// Larger session files are refused before they are read.
const MAX_BYTES: u64 = 16 << 20;
/// The name under which the built-in picture is put beside a session that is saved with it.
pub const DEMO_PICTURE_NAME: &str = "demo-picture.png";

/// The file's fields. Apart from the session's own types, because the file's form must stay.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionFileV1 {
    #[serde(default = "version")]
    version: u64,
    #[serde(default = "demo")]
    model: String,
    /// The vision file of a GGUF model, where it is not the one beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mmproj: Option<String>,
    image: String,
    #[serde(default)]
    crop: Crop,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    template: Option<String>,
    prompt: String,
    #[serde(default)]
    answer_prefix: String,
    #[serde(default)]
    interventions: Vec<Intervention>,
    #[serde(default)]
    readout: Readout,
    /// Absent means no answer, as in the Python reference.
    #[serde(default = "no_answer")]
    decode: Decode,
    #[serde(default)]
    view: ViewState,
    /// Runs that are kept by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    runs: Vec<SavedRunV1>,
}

fn version() -> u64 {
    VERSION
}

fn demo() -> String {
    "demo".to_owned()
}

fn no_answer() -> Decode {
    Decode { max_new_tokens: 0 }
}

/// Reads a session file.
///
/// # Errors
/// A file that cannot be read, is not JSON, is of a higher version, or has a field that is missing, unknown or of
/// the wrong form: one sentence with the file and the field.
pub fn load(path: &Path) -> Result<Session> {
    let text = files::read_text(path, MAX_BYTES)?;
    parse(&text, path)
}

/// Reads a session from its text; `path` is where it lies, for its relative paths and for messages.
///
/// # Errors
/// As [`load`].
pub fn parse(text: &str, path: &Path) -> Result<Session> {
    let shown = path.display();
    let value: serde_json::Value = serde_json::from_str(text)
        .map_err(|e| Error::input(format!("session {shown} is not valid JSON: {e}")))?;
    check_version(&value, path)?;
    let mut json = serde_json::Deserializer::from_str(text);
    let file: SessionFileV1 = serde_path_to_error::deserialize(&mut json).map_err(|e| {
        let field = e.path().to_string();
        let at = if field == "." {
            String::new()
        } else {
            format!(", field {field}")
        };
        Error::input(format!(
            "session {shown}{at}: {}",
            without_position(&e.into_inner())
        ))
    })?;
    if !(1..=100).contains(&file.readout.top_k) {
        return Err(Error::input(format!(
            "session {shown}, field readout.top_k: {} is not between 1 and 100",
            file.readout.top_k
        )));
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    Ok(file.into_session(folder))
}

fn check_version(value: &serde_json::Value, path: &Path) -> Result<()> {
    match value.get("version").map(|v| (v, v.as_u64())) {
        None | Some((_, Some(VERSION))) => Ok(()),
        Some((_, Some(version))) if version > VERSION => Err(Error::input(format!(
            "session {} has version {version}, but this Patchglass reads up to {VERSION}: use a newer Patchglass",
            path.display()
        ))),
        Some((found, _)) => Err(Error::input(format!(
            "session {}, field version: {found} is not a version; write {VERSION}",
            path.display()
        ))),
    }
}

/// The reason without serde's "at line 1 column 2", which is wrong once a value was buffered.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

impl SessionFileV1 {
    fn into_session(self, folder: &Path) -> Session {
        let runs = self.runs.into_iter().map(|run| run.into_run(folder));
        let experiment = Experiment {
            model: with_mmproj(
                model_source(&self.model, folder),
                self.mmproj.map(|path| folder.join(path)),
            ),
            picture: PictureSource::File(folder.join(&self.image)),
            crop: self.crop,
            template: self.template,
            prompt: self.prompt,
            answer_prefix: self.answer_prefix,
            interventions: map_paths(self.interventions, |p| folder.join(p)),
            decode: self.decode,
        };
        Session {
            readout: self.readout,
            view: with_path(&self.view, |p| folder.join(p)),
            runs: SavedRuns::new(runs.collect()),
            ..Session::new(experiment)
        }
    }
}

/// The same model with another vision file than the one beside it; of use for GGUF alone.
pub fn with_mmproj(source: ModelSource, mmproj: Option<PathBuf>) -> ModelSource {
    match source {
        ModelSource::Gguf { model, mmproj: old } => ModelSource::Gguf {
            model,
            mmproj: mmproj.or(old),
        },
        other => other,
    }
}

/// What the field `model` means: `demo`, a folder, a `.gguf` file, or a hub id where no such folder exists.
pub fn model_source(text: &str, folder: &Path) -> ModelSource {
    let path = folder.join(text);
    let is_hub_id = text
        .split('/')
        .filter(|part| !part.is_empty() && !part.starts_with('.'))
        .count()
        == 2
        && text.matches('/').count() == 1;
    match text {
        // A folder of that name is ./demo.
        "demo" => ModelSource::Demo,
        _ if is_gguf(&path) && !path.is_dir() => ModelSource::Gguf {
            model: path,
            mmproj: None,
        },
        _ if is_hub_id && !path.exists() => ModelSource::Hub(text.to_owned()),
        _ => ModelSource::Folder(path),
    }
}

fn is_gguf(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("gguf"))
}

/// The same view with the path in it changed.
fn with_path(view: &ViewState, change: impl Fn(&Path) -> PathBuf) -> ViewState {
    let mut view = view.clone();
    if let Some(path) = view.sweep.with.file_mut() {
        *path = change(path);
    }
    view
}

fn map_paths(rows: Vec<Intervention>, change: impl Fn(&Path) -> PathBuf) -> Vec<Intervention> {
    let mut rows = rows;
    for path in rows.iter_mut().filter_map(Intervention::file_mut) {
        *path = change(path);
    }
    rows
}

/// Writes the session, atomically. The built-in picture is put beside it, so that the file is complete.
///
/// # Errors
/// The folder is missing, the disk is full, or the file may not be written.
pub fn save(session: &Session, path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut session = session.clone();
    let kept = (session.runs.list.iter_mut()).map(|run| &mut run.experiment.picture);
    let pictures = kept.chain([&mut session.experiment.picture]);
    let built_in: Vec<_> = pictures.filter(|p| **p == PictureSource::Demo).collect();
    if !built_in.is_empty() {
        let picture = demo_picture(folder);
        if !picture.exists() {
            files::write_atomically(&picture, crate::demo::PICTURE)?;
        }
        for named in built_in {
            *named = PictureSource::File(picture.clone());
        }
    }
    files::write_atomically(path, to_text(&session, folder)?.as_bytes())
}

/// Where the built-in picture lies in a folder, or where it can be put without another one being written over.
pub(super) fn demo_picture(folder: &Path) -> PathBuf {
    let is_other = |path: &PathBuf| {
        let length = std::fs::metadata(path).map(|facts| facts.len());
        let is_as_long = length.is_ok_and(|n| n == crate::demo::PICTURE.len() as u64);
        path.exists()
            && !(is_as_long && std::fs::read(path).is_ok_and(|bytes| bytes == crate::demo::PICTURE))
    };
    let mut path = folder.join(DEMO_PICTURE_NAME);
    let mut n = 2;
    while is_other(&path) {
        path = folder.join(format!("demo-picture-{n}.png"));
        n += 1;
    }
    path
}

/// The text of the session file that will lie in `folder`.
///
/// # Errors
/// A path that is not valid Unicode cannot stand in JSON.
pub fn to_text(session: &Session, folder: &Path) -> Result<String> {
    let experiment = &session.experiment;
    let (model, mmproj) = runs::model_texts(&experiment.model, folder)?;
    let image = runs::image_text(&experiment.picture, folder)?;
    let saved = session.runs.list.iter();
    let saved = saved.map(|run| SavedRunV1::of(run, folder));
    let file = SessionFileV1 {
        version: VERSION,
        model,
        mmproj,
        image,
        crop: experiment.crop,
        template: experiment.template.clone(),
        prompt: experiment.prompt.clone(),
        answer_prefix: experiment.answer_prefix.clone(),
        interventions: map_paths(experiment.interventions.clone(), |p| relative(p, folder)),
        readout: session.readout.clone(),
        decode: experiment.decode,
        view: with_path(&session.view, |p| relative(p, folder)),
        runs: saved.collect::<Result<_>>()?,
    };
    serde_json::to_string_pretty(&file).map_err(Error::internal)
}

fn text_of(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Error::input(format!(
            "the path {} is not valid Unicode: rename the file first",
            path.display()
        ))
    })
}

/// Relative to the session's folder where the file lies in it, with the slashes that every system reads; else absolute.
fn relative(path: &Path, folder: &Path) -> PathBuf {
    let inside = inside(path, folder);
    match inside.is_relative() {
        true => with_slashes(&inside),
        false => inside,
    }
}

/// The parts of a path joined by `/`, whatever the system's own separator is.
fn with_slashes(path: &Path) -> PathBuf {
    let parts = path.components().map(|part| part.as_os_str());
    let parts: Vec<&std::ffi::OsStr> = parts.collect();
    parts.join(std::ffi::OsStr::new("/")).into()
}

fn inside(path: &Path, folder: &Path) -> PathBuf {
    if let Ok(inside) = path.strip_prefix(folder) {
        return inside.to_owned();
    }
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    absolute
        .strip_prefix(&folder)
        .map_or(absolute.clone(), Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Command, HeatKind, SweepSettings};
    use crate::spec::{Replacement, SweepKind};

    const TEXT: &str = r#"{"version": 1, "image": "a/b.png", "prompt": "What?", "model": "owner/name",
        "interventions": [{"type": "ablation", "patches": "r1c1", "with": {"mean_of": "m.safetensors"}}],
        "readout": {"words": ["dog"]}, "view": {}}"#;

    #[test]
    fn paths_are_relative_to_the_file() {
        let session = parse(TEXT, Path::new("folder/s.json")).unwrap();
        assert_eq!(
            session.experiment.picture,
            PictureSource::File("folder/a/b.png".into())
        );
        assert_eq!(
            session.experiment.model,
            ModelSource::Hub("owner/name".to_owned())
        );
        assert_eq!(session.readout.top_k, 5);
        assert_eq!(session.experiment.decode.max_new_tokens, 0);
        let text = to_text(&session, Path::new("folder")).unwrap();
        assert_eq!(parse(&text, Path::new("folder/s.json")).unwrap(), session);
    }

    #[test]
    fn a_gguf_file_is_a_model() {
        let text = TEXT.replace("owner/name", "models/llava.gguf");
        let session = parse(&text, Path::new("folder/s.json")).unwrap();
        let model = |mmproj: Option<&str>| ModelSource::Gguf {
            model: "folder/models/llava.gguf".into(),
            mmproj: mmproj.map(Into::into),
        };
        assert_eq!(session.experiment.model, model(None));
        let text = text.replace(
            r#""version": 1,"#,
            r#""version": 1, "mmproj": "eyes.gguf","#,
        );
        let session = parse(&text, Path::new("folder/s.json")).unwrap();
        assert_eq!(session.experiment.model, model(Some("folder/eyes.gguf")));
        let text = to_text(&session, Path::new("folder")).unwrap();
        assert_eq!(parse(&text, Path::new("folder/s.json")).unwrap(), session);
    }

    #[test]
    fn messages_name_the_field() {
        for (change, word) in [
            (r#""version": 99"#, "version 99"),
            (r#""version": "x""#, "field version"),
            (r#""version": 1, "colour": 3"#, "colour"),
        ] {
            let text = TEXT.replace(r#""version": 1"#, change);
            let error = parse(&text, Path::new("s.json")).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("s.json"), "{error}");
        }
        let error = parse(r#"{"prompt": ""}"#, Path::new("s.json"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("image"), "{error}");
        let text = TEXT.replace("r1c1", "r1");
        let error = parse(&text, Path::new("s.json")).unwrap_err().to_string();
        assert!(error.contains("interventions[0]"), "{error}");
    }

    #[test]
    fn kept_runs_are_saved_with_relative_paths() {
        let mut session = parse(TEXT, Path::new("folder/s.json")).unwrap();
        let name = "before".to_owned();
        crate::session::update(&mut session, Command::KeepRun { name, made: 1_700 });
        let text = to_text(&session, Path::new("folder")).unwrap();
        assert!(text.contains("\"a/b.png\"") && !text.contains("folder"));
        assert_eq!(parse(&text, Path::new("folder/s.json")).unwrap(), session);
        let text = text.replace("\"made\"", "\"colour\"");
        let error = parse(&text, Path::new("s.json")).unwrap_err().to_string();
        assert!(
            error.contains("runs[0]") && error.contains("colour"),
            "{error}"
        );
    }

    #[test]
    fn the_settings_of_a_sweep_are_saved() {
        let mut session = parse(TEXT, Path::new("s.json")).unwrap();
        let text = to_text(&session, Path::new("")).unwrap();
        assert!(!text.contains("\"sweep\""), "the defaults need no room");
        session.view.heat = HeatKind::Importance;
        session.view.sweep = SweepSettings {
            kind: SweepKind::Heads,
            token: 3,
            with: Replacement::Noise(4),
            keys: "patches:r1c1-r2c4".parse().unwrap(),
            ..SweepSettings::default()
        };
        let text = to_text(&session, Path::new("")).unwrap();
        assert_eq!(parse(&text, Path::new("s.json")).unwrap(), session);
    }

    #[test]
    fn the_file_of_a_sweep_is_relative_to_the_session() {
        let mut session = parse(TEXT, Path::new("folder/s.json")).unwrap();
        session.view.sweep.with = Replacement::MeanOf("folder/sets/mean.safetensors".into());
        let text = to_text(&session, Path::new("folder")).unwrap();
        assert!(text.contains("\"sets/mean.safetensors\"") && !text.contains("folder"));
        assert_eq!(parse(&text, Path::new("folder/s.json")).unwrap(), session);
    }

    #[test]
    fn demo_is_the_built_in_model_whatever_lies_there() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("demo")).unwrap();
        let of = |model: &str| {
            let text = TEXT.replace("owner/name", model);
            parse(&text, &folder.path().join("s.json")).unwrap()
        };
        assert_eq!(of("demo").experiment.model, ModelSource::Demo);
        let own = ModelSource::Folder(folder.path().join("demo"));
        assert_eq!(of("./demo").experiment.model, own);
        let text = to_text(&of("./demo"), folder.path()).unwrap();
        assert!(text.contains("\"./demo\""), "{text}");
        assert_eq!(
            parse(&text, &folder.path().join("s.json")).unwrap(),
            of("./demo")
        );
    }

    #[test]
    fn the_built_in_picture_takes_the_place_of_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let image = |file: &str| load(&at(file)).unwrap().experiment.picture;
        let session = Session::demo();
        save(&session, &at("a.json")).unwrap();
        assert_eq!(image("a.json"), PictureSource::File(at(DEMO_PICTURE_NAME)));
        std::fs::write(at(DEMO_PICTURE_NAME), "mine").unwrap();
        for _ in 0..2 {
            save(&session, &at("b.json")).unwrap();
            assert_eq!(
                image("b.json"),
                PictureSource::File(at("demo-picture-2.png"))
            );
        }
        let other = vec![b'x'; crate::demo::PICTURE.len()];
        std::fs::write(at("demo-picture-2.png"), &other).unwrap();
        save(&session, &at("b.json")).unwrap();
        assert_eq!(
            image("b.json"),
            PictureSource::File(at("demo-picture-3.png"))
        );
        let read = |name: &str| std::fs::read(at(name)).unwrap();
        assert_eq!(read("demo-picture-3.png"), crate::demo::PICTURE);
        assert_eq!(
            (read(DEMO_PICTURE_NAME), read("demo-picture-2.png")),
            (b"mine".to_vec(), other)
        );
    }

    #[test]
    fn relative_paths_have_slashes() {
        for (path, folder, expected) in [
            ("folder/a/b.png", "folder", "a/b.png"),
            ("a//b.png", "", "a/b.png"),
            ("../b.png", "", "../b.png"),
        ] {
            let text = text_of(&relative(Path::new(path), Path::new(folder))).unwrap();
            assert_eq!(text, expected);
        }
    }
}
