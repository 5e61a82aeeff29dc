//! `patchglass experiment`: the paper's experiments over a set of pictures, resumable, in shards.
//!
//! It reads the settings, shows the progress and writes the summary; the experiments themselves are in
//! [`crate::experiment`].

mod args;

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Subcommand;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::args::{AblationArgs, KnockoutArgs, LensArgs, MeanArgs, Objects};
use super::Compute;
use super::bench::RANDOM;
use super::terminal::Terminal;
use crate::engine::Engine;
use crate::engine::protocol::{Event, Monitor as _, RunId, Stage};
use crate::engine::study::Study;
use crate::engine::trace::ModelFacts;
use crate::error::{Error, Result};
use crate::experiment::common::{Common, Computed, header};
use crate::experiment::data::{Item, items};
use crate::experiment::journal::Journal;
use crate::experiment::report::Report;
use crate::experiment::{self, ROWS, Rate, ablation, knockout, lens, mean};
use crate::files;
use crate::masks::Coco;
use crate::spec::{ModelSource, Replacement};

#[derive(clap::Args, Debug)]
pub struct ExperimentArgs {
    #[command(subcommand)]
    which: Which,
}

#[derive(Subcommand, Debug)]
enum Which {
    /// Replace sets of visual tokens and see which right answers are lost (paper, section 3)
    #[command(
        after_help = "Example: patchglass experiment ablation --coco instances.json --images images --out results/ablation"
    )]
    Ablation(AblationArgs),
    /// How many of an object's patches read as its word, level by level (paper, section 4.1)
    #[command(
        after_help = "Example: patchglass experiment lens --coco instances.json --images images --out results/lens"
    )]
    Lens(LensArgs),
    /// Hide tokens from each other in windows of blocks and see which right answers stay (paper, section 4.2)
    #[command(
        after_help = "Example: patchglass experiment knockout --coco instances.json --images images --out results/knockout"
    )]
    Knockout(KnockoutArgs),
    /// The mean visual token of a folder of pictures, for {"mean_of": FILE}
    #[command(
        after_help = "Example: patchglass experiment mean imagenet/val --model ~/llava-1.5-7b-hf --out mean.safetensors"
    )]
    Mean(MeanArgs),
    /// Put the results of all shards together
    #[command(after_help = "Example: patchglass experiment merge results/part-* --out results/all")]
    Merge {
        /// The folders of the shards; files of sums for `mean`
        #[arg(required = true)]
        parts: Vec<PathBuf>,
        /// The folder of the whole; a .safetensors file for `mean`
        #[arg(long)]
        out: PathBuf,
    },
}

pub fn experiment(args: &ExperimentArgs) -> Result<()> {
    match &args.which {
        Which::Ablation(args) => run_ablation(args),
        Which::Lens(args) => run_lens(args),
        Which::Knockout(args) => run_knockout(args),
        Which::Mean(args) => run_mean(args),
        Which::Merge { parts, out } => merge(parts, out),
    }
}

fn run_ablation(args: &AblationArgs) -> Result<()> {
    let settings = args.settings()?;
    let row = |study: &Study, item: &Item| ablation::row(study, &settings, item);
    let summary = |rows: &[&ablation::Row]| ablation::summary(&settings, rows);
    over_objects(
        &args.objects,
        ("ablation", &settings, &settings.common),
        match &settings.with {
            Replacement::MeanOf(path) => Some(path),
            _ => None,
        },
        &row,
        &summary,
    )
}

fn run_lens(args: &LensArgs) -> Result<()> {
    let settings = args.settings()?;
    let row = |study: &Study, item: &Item| lens::row(study, &settings, item);
    let about = ("lens", &settings, &settings.common);
    over_objects(&args.objects, about, None, &row, &|rows| {
        lens::summary(rows)
    })
}

fn run_knockout(args: &KnockoutArgs) -> Result<()> {
    let settings = args.settings()?;
    let row = |study: &Study, item: &Item| knockout::row(study, &settings, item);
    let summary = |rows: &[&knockout::Row]| knockout::summary(&settings, rows);
    over_objects(
        &args.objects,
        ("knockout", &settings, &settings.common),
        None,
        &row,
        &summary,
    )
}

/// Runs an experiment over the objects of a COCO file and writes rows and summary.
fn over_objects<S: Serialize, R: Serialize + DeserializeOwned>(
    objects: &Objects,
    (name, settings, common): (&str, &S, &Common),
    mean_of: Option<&Path>,
    row: &dyn Fn(&Study, &Item) -> Result<R>,
    summary: &dyn Fn(&[&R]) -> Report,
) -> Result<()> {
    let (shard, out) = (objects.shard()?, &objects.out);
    let coco = Coco::read(&objects.coco)?;
    let items = items(&coco, objects.images(), &common.filter)?;
    let engine = Engine::new(objects.compute.options()?)?;
    let computed = Computed {
        dtype: engine.dtype_name(&source(&objects.compute, objects.model.as_deref())),
        mmproj: (objects.compute.mmproj.as_ref()).map(|path| path.display().to_string()),
        mean_of: mean_of.map(Computed::of_file).transpose()?,
    };
    let header = header(name, (settings, &computed), (shard, items.len()))?;
    make_folder(out)?;
    let mut journal = Journal::open(&out.join(ROWS), &header)?;
    let study = open(engine, &objects.compute, objects.model.as_deref())?;
    let mut row = |item: &Item| row(&study, item);
    let mut bar = Bar::default();
    let mut progress = |done, all, rate| bar.show(done, all, rate);
    let rate = experiment::carry_out(&items, shard, &mut journal, &mut row, &mut progress);
    bar.finish();
    tell_rate(name, rate?);
    let rows: Vec<&R> = journal.rows.values().collect();
    write(&summary(&rows), &header, out)
}

fn run_mean(args: &MeanArgs) -> Result<()> {
    if args.out.extension().is_none_or(|e| e != "safetensors") {
        return Err(Error::input(format!(
            "--out {}: the name must end in .safetensors",
            args.out.display()
        )));
    }
    let pictures = mean::pictures(&args.folder)?;
    let engine = Engine::new(args.compute.options()?)?;
    let study = open(engine, &args.compute, args.model.as_deref())?;
    let state = args.out.with_extension("sum.json");
    let of = sum_of(args, study.facts())?;
    let mut bar = Bar::default();
    let mut progress = |done, all, rate| bar.show(done, all, rate);
    let mut tell = |bad: String| eprintln!("\r\x1b[Kleft out: {bad}");
    let over = (pictures.as_slice(), args.shard()?, args.crop()?);
    let done = mean::carry_out(&study, over, &of, &state, &mut progress, &mut tell);
    bar.finish();
    let (sum, rate) = done?;
    tell_rate("mean", rate);
    sum.write_mean(&args.out)?;
    eprintln!(
        "wrote {}: the mean of {} visual tokens of {} pictures ({} could not be read)",
        args.out.display(),
        sum.n_tokens,
        sum.n_pictures - sum.n_bad,
        sum.n_bad
    );
    Ok(())
}

/// What a mean is of, but for its shard: whatever the visual tokens depend on.
fn sum_of(args: &MeanArgs, model: &ModelFacts) -> Result<String> {
    let crop = serde_json::to_value(args.crop()?).map_err(Error::internal)?;
    let source = args.model.as_deref().unwrap_or("demo");
    let eyes = args.compute.mmproj.as_ref();
    let eyes = eyes.map_or_else(String::new, |path| format!(" with {}", path.display()));
    Ok(format!(
        "{} ({source}{eyes}, {}) of {}, crop {}",
        model.name,
        model.dtype,
        args.folder.display(),
        crop.as_str().unwrap_or_default()
    ))
}

/// Puts shards together: folders of rows, or sums of visual tokens.
fn merge(parts: &[PathBuf], out: &Path) -> Result<()> {
    if out.extension().is_some_and(|e| e == "safetensors") {
        let read = |path: &PathBuf| Ok((path.display().to_string(), mean::Sum::read(path)?));
        let sums: Vec<(String, mean::Sum)> = parts.iter().map(read).collect::<Result<_>>()?;
        let sum = mean::Sum::merge(&sums)?;
        sum.write_mean(out)?;
        eprintln!(
            "wrote {}: the mean of {} visual tokens of {} pictures",
            out.display(),
            sum.n_tokens,
            sum.n_pictures
        );
        return Ok(());
    }
    make_folder(out)?;
    let parts: Vec<&Path> = parts.iter().map(PathBuf::as_path).collect();
    let (report, header) = experiment::merge(&parts, out)?;
    write(&report, &header, out)
}

fn make_folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|e| Error::write(path, &e))
}

fn source(compute: &Compute, model: Option<&str>) -> ModelSource {
    match model {
        // The engine is only ever asked for the model that it adopted.
        Some(RANDOM) => ModelSource::Folder(RANDOM.into()),
        model => compute.with_mmproj(super::model_source(model)),
    }
}

fn open(engine: Engine, compute: &Compute, model: Option<&str>) -> Result<Study> {
    let mut engine = engine;
    let mut terminal = Terminal::default();
    engine.prepare_device(RunId(0), &mut terminal)?;
    let source = source(compute, model);
    let mut progress = |fraction| {
        terminal.emit(Event::Progress {
            id: RunId(0),
            stage: Stage::LoadingModel,
            fraction,
        });
        Ok(())
    };
    if model == Some(RANDOM) {
        engine.adopt_random_7b(source.clone(), &mut progress)?;
    }
    let study = Study::open(&mut engine, &source, &mut progress);
    terminal.finish();
    study
}

fn write(report: &Report, header: &Value, out: &Path) -> Result<()> {
    let settings = serde_json::to_string_pretty(header).map_err(Error::internal)?;
    for path in report.write(out, &settings)? {
        eprintln!("wrote {}", path.display());
    }
    let markdown = files::read_text(&out.join("summary.md"), 64 << 20)?;
    super::print(markdown.trim_end())
}

fn tell_rate(name: &str, rate: Rate) {
    eprintln!(
        "{name}: {} pictures in {:.1} s, {:.1} images/min",
        rate.n,
        rate.seconds,
        rate.per_minute()
    );
}

/// Progress on standard error: a bar on a terminal, a line from time to time elsewhere.
#[derive(Default)]
struct Bar {
    shown: Option<Instant>,
}

/// Characters of the bar.
const WIDTH: usize = 30;
/// Seconds between lines that do not overwrite each other.
const BETWEEN_LINES: f64 = 15.0;

impl Bar {
    fn show(&mut self, done: usize, all: usize, rate: Rate) {
        let mut out = std::io::stderr();
        let left = match rate.per_minute() {
            per_minute if per_minute > 0.0 => format!(
                ", {per_minute:.1} images/min, {:.0} min left",
                (all - done) as f64 / per_minute
            ),
            _ => String::new(),
        };
        // Progress that cannot be shown is no reason to stop.
        if out.is_terminal() {
            let full = WIDTH * done / all.max(1);
            let bar = format!("{}{}", "█".repeat(full), "░".repeat(WIDTH - full));
            let _ = write!(out, "\r\x1b[K{bar} {done} of {all}{left}");
            let _ = out.flush();
        } else if self
            .shown
            .is_none_or(|at| at.elapsed().as_secs_f64() > BETWEEN_LINES)
        {
            let _ = writeln!(out, "{done} of {all}{left}");
            self.shown = Some(Instant::now());
        }
    }

    fn finish(&self) {
        if std::io::stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
    }
}
