//! `patchglass bench`: medians and 95th percentiles of everything that a person waits for.
//!
//! Every row goes through the engine exactly as the window drives it. Nothing is judged here; `tests/bench/compare.py`
//! puts the same work in PyTorch beside it.

mod clock;
mod report;
mod rows;

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use self::report::{Report, Row};
use self::rows::Bench;
use super::Compute;
use super::terminal::Terminal;
use crate::engine::protocol::{Monitor, RunId};
use crate::engine::{Engine, EngineOptions};
use crate::error::{Error, Result};
use crate::files;
use crate::session::Session;
use crate::spec::ModelSource;

/// The word for random weights of the shape of LLaVA-1.5-7B.
pub const RANDOM: &str = "random-7b";

#[derive(Args, Debug)]
pub struct BenchArgs {
    /// "demo", a folder in Hugging Face form, a hub id that is in the local cache, or random-7b: weights of the shape of
    /// LLaVA-1.5-7B made on the device, without a download
    #[arg(long)]
    model: Option<String>,
    /// Times that each row is measured
    #[arg(long, default_value_t = 10)]
    repeats: usize,
    /// Leave the sweep out, which takes longest
    #[arg(long)]
    no_sweep: bool,
    /// Also write the rows here
    #[arg(long)]
    json: Option<PathBuf>,
    #[command(flatten)]
    compute: Compute,
}

pub fn bench(args: &BenchArgs) -> Result<()> {
    if args.repeats == 0 {
        return Err(Error::input("--repeats 0: measure at least once"));
    }
    let (mut engine, source, load) = load(args)?;
    let name = args.model.clone().unwrap_or_else(|| "demo".to_owned());
    let mut report = Report::new(&name);
    report.push(Row::of("load", vec![load]));
    let mut bench = Bench::new(&mut engine, source, args.repeats);
    bench.measure(&mut report)?;
    if !args.no_sweep {
        bench.sweep(&mut report)?;
    }
    report.device = engine.device_name();
    report.ceilings = Some(engine.ceilings()?);
    super::print(&report.text())?;
    if let Some(path) = &args.json {
        let json = serde_json::to_string_pretty(&report.json()).map_err(Error::internal)?;
        files::write_atomically(path, json.as_bytes())?;
    }
    Ok(())
}

/// An engine with its model, and the milliseconds that loading took; the device is warm already.
fn load(args: &BenchArgs) -> Result<(Engine, ModelSource, f64)> {
    let options: EngineOptions = args.compute.options()?;
    let mut engine = Engine::new(options)?;
    let mut terminal = Terminal::default();
    let source = match args.model.as_deref() {
        // The engine is only ever asked for the model that it adopted.
        Some(RANDOM) => ModelSource::Folder(RANDOM.into()),
        other => args.compute.with_mmproj(super::model_source(other)),
    };
    engine.prepare_device(RunId(0), &mut terminal)?;
    let mut progress = |fraction| {
        terminal.emit(crate::engine::protocol::Event::Progress {
            id: RunId(0),
            stage: crate::engine::protocol::Stage::LoadingModel,
            fraction,
        });
        Ok(())
    };
    let since = Instant::now();
    match args.model.as_deref() {
        Some(RANDOM) => engine.adopt_random_7b(source.clone(), &mut progress)?,
        _ => drop(engine.model(&source, &mut progress)?),
    }
    engine.synchronize()?;
    let load = since.elapsed().as_secs_f64() * 1e3;
    terminal.finish();
    Ok((engine, source, load))
}

/// A session about the built-in picture with a question that makes the prompt about 600 tokens long. `variant` changes
/// one word, so that nothing of another variant's run can be reused but the picture.
fn session(source: &ModelSource, variant: usize) -> Session {
    let mut session = Session::demo();
    let first = ["What", "Where"][variant % 2];
    let words = "is on the left of the dog and what is on the right of the cat in the picture";
    session.experiment.model = source.clone();
    session.experiment.prompt = format!("{first} {words} and {words}?");
    session.experiment.decode.max_new_tokens = 0;
    session
}
