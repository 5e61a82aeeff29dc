//! The command line: a thin face over the same session and engine that the window drives.
//!
//! It parses, calls and prints. Results go to standard output or to files, everything else to standard error.

mod bench;
mod devices;
mod download;
mod experiment;
mod export;
mod info;
mod lens;

mod run;
mod sweep;
mod sweep_file;
mod terminal;
mod verify;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::engine::budget;
use crate::engine::protocol::{DTypeChoice, DeviceChoice};
use crate::engine::trace::Trace;
use crate::engine::{CacheFolder, EngineOptions};
use crate::error::{Error, Result};
use crate::session::{Session, file};
use crate::spec::{ModelSource, PictureSource};

const EXAMPLES: &str = "Examples:
  patchglass                                  open the window with the demo model and its picture
  patchglass photo.jpg --model ~/llava-1.5-7b-hf
  patchglass run session.json --out results --dump
  patchglass run session.json --out - | jq .edited.answer.text
  patchglass lens photo.jpg --level 25 --model ~/llava-1.5-7b-hf --png words.png
  patchglass export session.json --png view.png --csv words.csv
  patchglass sweep patches photo.jpg --token 4 --out importance.csv
  patchglass sweep layers session.json --window 3 --out layers.json
  patchglass experiment lens --coco instances.json --images images --out results
  patchglass photo.jpg --model ~/llava-1.5-7b-hf --dtype q4k
  patchglass photo.jpg --model ~/ggml-model-q4_k.gguf
  patchglass download llava-hf/llava-1.5-7b-hf
  patchglass info ~/llava-1.5-7b-hf           what it is, and what fits into this machine's memory";

/// Explore what a vision-language model makes of a picture: words in every patch, ablation, attention knockout.
#[derive(Parser, Debug)]
#[command(version, about, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// A session (.json) or a picture to open in the window
    file: Option<PathBuf>,
    /// "demo", a folder in Hugging Face form, a .gguf file, or a hub id that is in the local cache
    #[arg(long)]
    model: Option<String>,
    #[command(flatten)]
    compute: Compute,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run a session file and write result.json, and with --dump every residual
    #[command(after_help = "Example: patchglass run session.json --out results --dump --patterns")]
    Run(run::RunArgs),
    /// Print the word that the logit lens finds in every patch, and draw them into the picture
    #[command(after_help = "Example: patchglass lens photo.png --level 7 --png words.png")]
    Lens(lens::LensArgs),
    /// Run a session and write it as a picture, a table, JSON or tensors
    #[command(after_help = "Example: patchglass export session.json --png view.png --scale 3")]
    Export(export::ExportArgs),
    /// Sweep over patches, blocks or heads: what a token of the clean answer depends on
    Sweep(sweep::SweepArgs),
    /// The paper's experiments over a set of pictures: ablation, lens, knockout, mean; resumable, in shards
    Experiment(experiment::ExperimentArgs),
    /// Describe a model: architecture, sizes, grid, memory needed, and whether it fits
    #[command(after_help = "Example: patchglass info ~/llava-1.5-7b-hf")]
    Info(info::InfoArgs),
    /// Fetch a model from the Hugging Face hub into its cache; goes on where it was left
    #[command(after_help = "Example: patchglass download llava-hf/llava-1.5-7b-hf")]
    Download(download::DownloadArgs),
    /// Check a model against itself and against recorded numbers; exit code 1 where a check fails
    #[command(after_help = "Example: patchglass verify ~/llava-1.5-7b-hf --dtype q8_0")]
    Verify(verify::VerifyArgs),
    /// Measure how long everything takes that a person waits for
    #[command(
        after_help = "Example: patchglass bench --model random-7b --device cuda --json bench.json"
    )]
    Bench(bench::BenchArgs),
}

/// Where and in which type to compute.
#[derive(Args, Debug, Clone)]
struct Compute {
    /// auto, cpu, wgpu or wgpu:N (any graphics card, see `info --devices`), cuda, cuda:N or metal
    #[arg(long, default_value = "auto")]
    device: String,
    /// f32, f16, bf16, or the decoder's weights as q8_0 or q4k; f32 on the CPU and f16 on a card unless given, and what a
    /// .gguf file has as it is
    #[arg(long)]
    dtype: Option<String>,
    /// The vision file of a .gguf model, where it is not the one beside it
    #[arg(long)]
    mmproj: Option<PathBuf>,
    /// Folder where quantised weights are kept for the next start; the system's folder for such files unless given
    #[arg(long)]
    cache_dir: Option<PathBuf>,
    /// Memory that weights, kept runs and work may take, such as 10GB; what the card has free unless given
    #[arg(long)]
    memory: Option<String>,
    /// With --device wgpu, do without f16, subgroups or cooperative-matrix (several with commas), as older cards do
    #[arg(long, value_name = "LIST")]
    wgpu_without: Option<String>,
    /// Compute every row of every run, also those that an edit cannot reach
    #[arg(long)]
    whole_runs: bool,
}

impl Compute {
    fn options(&self) -> Result<EngineOptions> {
        let mut device = device(&self.device)?;
        if let Some(list) = &self.wgpu_without {
            device = device.without(list)?;
        }
        let dtype: Option<DTypeChoice> = self.dtype.as_deref().map(str::parse).transpose()?;
        Ok(EngineOptions {
            device,
            dtype,
            cache: (self.cache_dir.clone()).map_or(CacheFolder::Platform, CacheFolder::At),
            whole_runs: self.whole_runs,
            batch_rows: None,
            memory: self.memory.as_deref().map(budget::bytes).transpose()?,
        })
    }

    /// The model of a session or the command line, with the vision file that is named.
    fn with_mmproj(&self, model: ModelSource) -> ModelSource {
        file::with_mmproj(model, self.mmproj.clone())
    }
}

/// The device that is named; `auto` takes what `PATCHGLASS_DEVICE` names, where that is set.
fn device(named: &str) -> Result<DeviceChoice> {
    match std::env::var("PATCHGLASS_DEVICE") {
        Ok(chosen) if named == "auto" && !chosen.is_empty() => chosen
            .parse()
            .map_err(|e| Error::input(format!("PATCHGLASS_DEVICE: {e}"))),
        _ => named.parse(),
    }
}

/// Runs the program with these arguments, the first being its own name.
///
/// # Errors
/// [`Error::Input`] for wrong arguments and files, others for what fails beyond them.
pub fn main(args: impl IntoIterator<Item = OsString>) -> Result<()> {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) if !error.use_stderr() => {
            let _ = error.print();
            return Ok(());
        }
        Err(error) => return Err(argument_error(&error)),
    };
    match cli.command {
        Some(Command::Run(args)) => run::run(&args),
        Some(Command::Lens(args)) => lens::lens(&args),
        Some(Command::Export(args)) => export::export(&args),
        Some(Command::Sweep(args)) => sweep::sweep(&args),
        Some(Command::Experiment(args)) => experiment::experiment(&args),
        Some(Command::Info(args)) => info::info(&args),
        Some(Command::Download(args)) => download::download(&args),
        Some(Command::Verify(args)) => verify::verify(&args),
        Some(Command::Bench(args)) => bench::bench(&args),
        None => open_window(&cli),
    }
}

/// Clap's first line, which names the argument, without its usage block.
fn argument_error(error: &clap::Error) -> Error {
    let text = error.to_string();
    let text = text.split("\n\nUsage").next().unwrap_or(&text);
    let text = text
        .trim()
        .trim_start_matches("error: ")
        .replace("\n\n  tip:", ";");
    Error::input(format!("{text}; see patchglass --help"))
}

/// What `MODEL` on the command line means; folders are relative to the working folder.
fn model_source(text: Option<&str>) -> ModelSource {
    text.map_or(ModelSource::Demo, |text| {
        file::model_source(text, Path::new(""))
    })
}

/// Tells what a person should know about how the model was loaded.
fn tell_notes(trace: &Trace) {
    for note in &trace.model.notes {
        eprintln!("note: {note}");
    }
}

/// Why something that the session's readout asks for is not in a complete trace.
fn missing(trace: &Trace) -> Option<String> {
    let (insight, n_answer) = (&trace.insight, trace.baseline.answer.ids.len());
    let attribution = insight.why_no_attribution(n_answer);
    attribution.or_else(|| insight.why_no_attention(&trace.layout, n_answer))
}

/// Prints a result. A reader that went away (`| head`) is no error.
fn print(text: &str) -> Result<()> {
    use std::io::Write as _;
    match writeln!(std::io::stdout(), "{text}") {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::internal(format!(
            "standard output could not be written: {e}"
        ))),
        _ => Ok(()),
    }
}

fn open_window(cli: &Cli) -> Result<()> {
    let options = cli.compute.options()?;
    let mut session = match &cli.file {
        Some(path) if is_session(path) => file::load(path)?,
        Some(path) if path.is_dir() || is_gguf(path) => {
            let mut session = Session::demo();
            session.experiment.model = file::model_source(&path.to_string_lossy(), Path::new(""));
            session
        }
        Some(path) => {
            std::fs::metadata(path).map_err(|e| Error::read(path, &e))?;
            let mut session = Session::demo();
            session.experiment.picture = PictureSource::File(path.clone());
            session
        }
        None => Session::demo(),
    };
    if cli.model.is_some() {
        session.experiment.model = model_source(cli.model.as_deref());
    }
    session.experiment.model = cli.compute.with_mmproj(session.experiment.model);
    show(session, cli.file.clone(), options)
}

fn is_session(path: &Path) -> bool {
    path.extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("json"))
}

fn is_gguf(path: &Path) -> bool {
    path.extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("gguf"))
}

#[cfg(feature = "gui")]
fn show(session: Session, path: Option<PathBuf>, options: EngineOptions) -> Result<()> {
    let engine = move || crate::engine::Engine::new(options.clone());
    let file = path.filter(|path| is_session(path));
    crate::app::open(crate::app::OpenOptions {
        session,
        file,
        engine,
    })
}

#[cfg(not(feature = "gui"))]
fn show(_session: Session, _path: Option<PathBuf>, _options: EngineOptions) -> Result<()> {
    Err(Error::input(
        "this build has no window: use `patchglass run`, `lens`, `sweep` or `info`, or build with the feature gui",
    ))
}
