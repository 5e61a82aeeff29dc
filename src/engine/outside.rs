//! What replacements take from other files: a vector from safetensors, the rows of another picture, and the stamps
//! that tell when those files change.

use std::path::Path;
use std::sync::Arc;

use crate::tensor::{DType, Device, Tensor};

use super::picture::{self, FileStamp};
use super::protocol::{Monitor, RunSpec, Stage};
use super::pt;
use super::state::{RunState, Watch};
use crate::error::{Error, Result};
use crate::files;
use crate::intervene::{CompiledSet, Donor, Target};
use crate::model::{Llava, Prompt};
use crate::spec::{Experiment, Intervention, PictureSource, Replacement};

/// What a prompt's interventions are checked against.
pub(super) fn target(model: &Llava, prompt: &Prompt) -> Target {
    let (n_layers, n_heads) = (model.facts.n_layers, model.facts.n_heads);
    Target {
        layout: prompt.layout.clone(),
        n_layers,
        n_heads,
    }
}

/// Loads what a replacement takes from elsewhere.
pub(super) struct Outside<'a> {
    pub model: &'a Llava,
    pub device: &'a Device,
    pub dtype: DType,
    pub prompt: &'a Prompt,
    pub spec: &'a RunSpec,
    pub monitor: &'a mut dyn Monitor,
}

impl Outside<'_> {
    /// The donor of a replacement at a level.
    ///
    /// # Errors
    /// A file that is missing or does not fit; the monitor's wish to stop.
    pub fn donor(&mut self, with: &Replacement, level: usize) -> Result<Donor> {
        match with {
            Replacement::MeanOf(path) => {
                let width = self.model.facts.d_model;
                Ok(Donor::Vector(load_vector(
                    path,
                    width,
                    self.device,
                    self.dtype,
                )?))
            }
            Replacement::Image(path) => Ok(Donor::Rows(self.other_picture(path, level)?)),
            other => Err(Error::internal(format!(
                "{other:?} takes nothing from outside"
            ))),
        }
    }

    /// Rows of another picture's patches at a level, under the same prompt. `[patch, d_model]`
    fn other_picture(&mut self, path: &Path, level: usize) -> Result<Tensor> {
        let model = self.model;
        let source = PictureSource::File(path.to_owned());
        let (_, prepared) = picture::prepare(model, &source, self.spec.experiment.crop)?;
        let visual = model.encode(&prepared.pixel_values)?;
        let layout = &self.prompt.layout;
        if level == 0 {
            return Ok(visual.narrow(0, layout.patch_offset, layout.grid.len())?);
        }
        let nothing =
            CompiledSet::new(&[], target(model, self.prompt), &mut |_, _| Ok(Donor::Zero))?;
        let embeds = model.embed_prompt(self.prompt, &visual)?;
        let mut watch = Watch {
            id: self.spec.id,
            stage: Stage::EditedRun,
            monitor: self.monitor,
        };
        let prompt = Arc::new(self.prompt.clone());
        RunState::forward(model, prompt, embeds, nothing, 0, &mut watch)?.patch_rows(level)
    }
}

/// The only tensor of a safetensors file or of one that PyTorch saved, as a vector of the model's width.
pub(super) fn load_vector(
    path: &Path,
    d_model: usize,
    device: &Device,
    dtype: DType,
) -> Result<Tensor> {
    let bytes = files::read_bytes(path, 64 << 20)?;
    let bad = |why: String| {
        Error::input(format!(
            "{}: {why}; one float tensor of {d_model} numbers is needed",
            path.display()
        ))
    };
    if pt::is_zip(&bytes) {
        let numbers = pt::tensor(&bytes).map_err(bad)?;
        return match numbers.elem_count() {
            n if n == d_model => Ok(Tensor::put(numbers.to_dtype(dtype)?, device)?),
            n => Err(bad(format!("its tensor has {n} numbers"))),
        };
    }
    let tensors = candle_core::safetensors::load_buffer(&bytes, &candle_core::Device::Cpu)
        .map_err(|e| bad(format!("not a safetensors file ({e})")))?;
    let mut tensors = tensors.into_values();
    match (tensors.next(), tensors.next()) {
        (Some(tensor), None) if tensor.elem_count() == d_model && tensor.dtype().is_float() => {
            Ok(Tensor::put(tensor.flatten_all()?.to_dtype(dtype)?, device)?)
        }
        (Some(tensor), None) => Err(bad(format!(
            "its tensor is {:?} {:?}",
            tensor.dtype(),
            tensor.dims()
        ))),
        (None, _) => Err(bad("it holds no tensor".to_owned())),
        (Some(_), Some(_)) => Err(bad("it holds several tensors".to_owned())),
    }
}

/// Stamps of the files that replacements come from.
pub(super) fn stamps(experiment: &Experiment) -> Vec<Option<FileStamp>> {
    let stamp = |row: &Intervention| match row {
        Intervention::Ablation(a) => stamp_of(&a.with),
        Intervention::Swap(swap) => FileStamp::of(&swap.image),
        Intervention::AttentionKnockout(_)
        | Intervention::Steer(_)
        | Intervention::Erase(_)
        | Intervention::Scale(_) => None,
    };
    experiment.interventions.iter().map(stamp).collect()
}

/// Stamp of the file that a replacement comes from.
pub(super) fn stamp_of(with: &Replacement) -> Option<FileStamp> {
    match with {
        Replacement::MeanOf(path) | Replacement::Image(path) => FileStamp::of(path),
        _ => None,
    }
}
