//! Kept runs in the session file: each is an experiment with its name, paths relative to the file.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{
    DEMO_PICTURE_NAME, demo, map_paths, model_source, no_answer, relative, text_of, with_mmproj,
};
use crate::error::Result;
use crate::session::saved_runs::SavedRun;
use crate::spec::{Crop, Decode, Experiment, Intervention, ModelSource, PictureSource};

/// The fields are those of the session file itself.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedRunV1 {
    name: String,
    /// Seconds since 1970, UTC.
    #[serde(default)]
    made: u64,
    #[serde(default = "demo")]
    model: String,
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
    #[serde(default = "no_answer")]
    decode: Decode,
}

impl SavedRunV1 {
    pub fn into_run(self, folder: &Path) -> SavedRun {
        let mmproj = self.mmproj.map(|path| folder.join(path));
        SavedRun {
            name: self.name,
            made: self.made,
            experiment: Experiment {
                model: with_mmproj(model_source(&self.model, folder), mmproj),
                picture: PictureSource::File(folder.join(&self.image)),
                crop: self.crop,
                template: self.template,
                prompt: self.prompt,
                answer_prefix: self.answer_prefix,
                interventions: map_paths(self.interventions, |p| folder.join(p)),
                decode: self.decode,
            },
        }
    }

    /// The fields of a run in a file that will lie in `folder`.
    pub fn of(run: &SavedRun, folder: &Path) -> Result<Self> {
        let experiment = run.experiment.clone();
        let (model, mmproj) = model_texts(&experiment.model, folder)?;
        Ok(Self {
            name: run.name.clone(),
            made: run.made,
            model,
            mmproj,
            image: image_text(&experiment.picture, folder)?,
            crop: experiment.crop,
            template: experiment.template,
            prompt: experiment.prompt,
            answer_prefix: experiment.answer_prefix,
            interventions: map_paths(experiment.interventions, |p| relative(p, folder)),
            decode: experiment.decode,
        })
    }
}

/// The fields `model` and `mmproj`.
pub(super) fn model_texts(model: &ModelSource, folder: &Path) -> Result<(String, Option<String>)> {
    let name = match model {
        ModelSource::Demo => demo(),
        ModelSource::Hub(id) => id.clone(),
        ModelSource::Folder(path) | ModelSource::Gguf { model: path, .. } => {
            match text_of(&relative(path, folder))? {
                // The bare word means the built-in model.
                text if text == demo() => format!("./{text}"),
                text => text,
            }
        }
    };
    let mmproj = match model {
        ModelSource::Gguf { mmproj, .. } => mmproj.as_deref(),
        _ => None,
    };
    let mmproj = mmproj.map(|path| text_of(&relative(path, folder)));
    Ok((name, mmproj.transpose()?))
}

/// The field `image`.
pub(super) fn image_text(picture: &PictureSource, folder: &Path) -> Result<String> {
    match picture {
        PictureSource::Demo => Ok(DEMO_PICTURE_NAME.to_owned()),
        PictureSource::File(path) => text_of(&relative(path, folder)),
    }
}
