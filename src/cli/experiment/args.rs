//! The arguments of `patchglass experiment`, and the settings that they mean.

use std::path::{Path, PathBuf};

use clap::Args;

use super::super::Compute;
use crate::error::{Error, Result};
use crate::experiment::common::Common;
use crate::experiment::data::{Filter, Shard};
use crate::experiment::knockout::Group;
use crate::experiment::sets::SetKind;
use crate::experiment::{Task, Wording, ablation, knockout, lens};
use crate::spec::{Crop, Replacement};

/// The paper's areas for ablation and knockout, and for the lens, in pixels.
const SMALL: (f64, f64) = (1000.0, 2000.0);
const LARGE: (f64, f64) = (20_000.0, 30_000.0);

/// Which objects, which model, where to.
#[derive(Args, Debug)]
pub struct Objects {
    /// Instance file in COCO's form
    #[arg(long)]
    pub coco: PathBuf,
    /// Folder of the pictures; the file's own unless given
    #[arg(long)]
    pub images: Option<PathBuf>,
    /// Folder of the results: rows.jsonl, summary.md, summary.html and CSV tables. Asked for again, what is there is not
    /// computed again
    #[arg(long)]
    pub out: PathBuf,
    /// "demo", a folder in Hugging Face form, a .gguf file, a hub id that is in the local cache, or random-7b
    #[arg(long)]
    pub model: Option<String>,
    /// center or pad
    #[arg(long, default_value = "center")]
    crop: String,
    /// The paper's filters where none is given: at most 3 annotations, the hallucination gate, an area between 1,000 and
    /// 2,000 pixels (20,000 and 30,000 for lens)
    #[arg(long)]
    paper: bool,
    /// Only objects of more pixels of the original picture than this
    #[arg(long)]
    min_area: Option<f64>,
    /// Only objects of fewer
    #[arg(long)]
    max_area: Option<f64>,
    /// Only pictures with at most so many annotations
    #[arg(long)]
    max_annotations: Option<usize>,
    /// Objects of a picture, the largest first
    #[arg(long, default_value_t = 1)]
    objects_per_image: usize,
    /// Only so many pictures, the first that have an object
    #[arg(long)]
    limit: Option<usize>,
    /// Leave out objects that the description does not name, or names when their pixels are noise
    #[arg(long)]
    gate: bool,
    /// Also edit where the model is wrong without any edit: for timing, no table changes
    #[arg(long)]
    even_wrong: bool,
    /// Seed of everything random
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Every N-th object from the I-th on: I/N, I from 1
    #[arg(long, default_value = "1/1")]
    shard: String,
    #[command(flatten)]
    wording: WordingArgs,
    #[command(flatten)]
    pub compute: Compute,
}

/// Places in the texts: {word}, {a_word}, {kind}, {a_kind}.
#[derive(Args, Debug)]
struct WordingArgs {
    /// The question of the task describe
    #[arg(long)]
    describe: Option<String>,
    /// The question of the task poll; {a_word} is the object with its article, {word} without
    #[arg(long)]
    poll: Option<String>,
    /// The question of the task vqa; {kind} is the object's supercategory
    #[arg(long)]
    vqa: Option<String>,
    /// How the answer to it starts
    #[arg(long)]
    vqa_prefix: Option<String>,
    /// Tokens of a description at most
    #[arg(long, default_value_t = 200)]
    describe_tokens: usize,
}

#[derive(Args, Debug)]
pub struct AblationArgs {
    #[command(flatten)]
    pub objects: Objects,
    /// Sets, comma-separated: object, object+1, object+2, register, random:N, gradient:N, where N is a number or object+1
    /// for as many as that has; the paper's and controls of the object's sizes unless given
    #[arg(long)]
    sets: Option<String>,
    /// Tasks, comma-separated: describe, poll, vqa
    #[arg(long, default_value = "describe,poll,vqa")]
    tasks: String,
    /// What stands in a patch's place: mean (of the picture), zero, or mean_of:FILE
    #[arg(long, default_value = "mean")]
    with: String,
    /// Steps of the integrated gradients
    #[arg(long, default_value_t = 50)]
    gradient_steps: usize,
}

#[derive(Args, Debug)]
pub struct LensArgs {
    #[command(flatten)]
    pub objects: Objects,
}

#[derive(Args, Debug)]
pub struct KnockoutArgs {
    #[command(flatten)]
    pub objects: Objects,
    /// Blocks of the sliding window; 9 of 32, scaled to the model's depth, unless given
    #[arg(long)]
    sliding: Option<usize>,
}

#[derive(Args, Debug)]
pub struct MeanArgs {
    /// Folder of pictures; folders in it are looked into, too
    pub folder: PathBuf,
    /// The file of the mean, .safetensors; beside it, .sum.json keeps how far the sum has come
    #[arg(long)]
    pub out: PathBuf,
    /// "demo", a folder in Hugging Face form, a .gguf file, a hub id that is in the local cache, or random-7b
    #[arg(long)]
    pub model: Option<String>,
    /// center or pad
    #[arg(long, default_value = "center")]
    crop: String,
    /// Every N-th picture from the I-th on: I/N, I from 1
    #[arg(long, default_value = "1/1")]
    shard: String,
    #[command(flatten)]
    pub compute: Compute,
}

impl MeanArgs {
    pub fn shard(&self) -> Result<Shard> {
        named("--shard", self.shard.parse())
    }

    pub fn crop(&self) -> Result<Crop> {
        crop(&self.crop)
    }
}

fn named<T>(flag: &str, result: Result<T>) -> Result<T> {
    result.map_err(|e| Error::input(format!("{flag}: {e}")))
}

fn crop(text: &str) -> Result<Crop> {
    match text {
        "center" => Ok(Crop::Center),
        "pad" => Ok(Crop::Pad),
        other => Err(Error::input(format!("--crop {other}: write center or pad"))),
    }
}

fn list<T: std::str::FromStr<Err = Error> + PartialEq>(flag: &str, text: &str) -> Result<Vec<T>> {
    let mut all: Vec<T> = Vec::new();
    for part in text.split(',') {
        let one = named(flag, part.trim().parse())?;
        if !all.contains(&one) {
            all.push(one);
        }
    }
    Ok(all)
}

impl Objects {
    pub fn shard(&self) -> Result<Shard> {
        named("--shard", self.shard.parse())
    }

    pub fn images(&self) -> &Path {
        let own = self.coco.parent().unwrap_or(Path::new(""));
        self.images.as_deref().unwrap_or(own)
    }

    /// As given, or the paper's with its open bounds of the area.
    fn filter(&self, (above, below): (f64, f64)) -> Filter {
        let paper = |value: f64| self.paper.then_some(value);
        Filter {
            above_area: self.min_area.or_else(|| paper(above)),
            below_area: self.max_area.or_else(|| paper(below)),
            max_annotations: self.max_annotations.or_else(|| self.paper.then_some(3)),
            per_image: self.objects_per_image.max(1),
            limit: self.limit,
        }
    }

    fn common(&self, area: (f64, f64)) -> Result<Common> {
        Ok(Common {
            model: self.model.clone().unwrap_or_else(|| "demo".to_owned()),
            coco: self.coco.display().to_string(),
            images: self.images().display().to_string(),
            crop: crop(&self.crop)?,
            filter: self.filter(area),
            gate: self.gate || self.paper,
            seed: self.seed,
        })
    }

    fn wording(&self) -> Wording {
        let (given, usual) = (&self.wording, Wording::default());
        let text = |given: &Option<String>, usual: String| given.clone().unwrap_or(usual);
        Wording {
            describe: text(&given.describe, usual.describe),
            poll: text(&given.poll, usual.poll),
            vqa: text(&given.vqa, usual.vqa),
            vqa_prefix: text(&given.vqa_prefix, usual.vqa_prefix),
            describe_tokens: given.describe_tokens,
            poll_tokens: usual.poll_tokens,
        }
    }
}

impl AblationArgs {
    pub fn settings(&self) -> Result<ablation::Settings> {
        let sets = match &self.sets {
            Some(sets) => list("--sets", sets)?,
            None => SetKind::usual(),
        };
        let mut tasks: Vec<Task> = list("--tasks", &self.tasks)?;
        tasks.sort();
        Ok(ablation::Settings {
            common: self.objects.common(SMALL)?,
            with: replacement(&self.with)?,
            sets,
            even_wrong: self.objects.even_wrong,
            tasks,
            wording: self.objects.wording(),
            gradient_steps: self.gradient_steps,
        })
    }
}

fn replacement(text: &str) -> Result<Replacement> {
    match (text, text.split_once(':')) {
        ("mean", _) => Ok(Replacement::Mean),
        ("zero", _) => Ok(Replacement::Zero),
        (_, Some(("mean_of", path))) if !path.is_empty() => Ok(Replacement::MeanOf(path.into())),
        _ => Err(Error::input(format!(
            "--with {text}: write mean, zero or mean_of:FILE"
        ))),
    }
}

impl LensArgs {
    pub fn settings(&self) -> Result<lens::Settings> {
        Ok(lens::Settings {
            common: self.objects.common(LARGE)?,
            wording: self.objects.wording(),
        })
    }
}

impl KnockoutArgs {
    pub fn settings(&self) -> Result<knockout::Settings> {
        Ok(knockout::Settings {
            common: self.objects.common(SMALL)?,
            wording: self.objects.wording(),
            groups: Group::ALL.to_vec(),
            even_wrong: self.objects.even_wrong,
            sliding: self.sliding,
        })
    }
}
