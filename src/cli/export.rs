//! `patchglass export`: runs a session and writes what the window's menu "Export" writes.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Compute;
use super::terminal::Terminal;
use crate::engine::Engine;
use crate::engine::protocol::RunId;
use crate::engine::trace::Trace;
use crate::error::{Error, Result};
use crate::export::{self, csv, gif, heat, html, picture, python, tensors};
use crate::session::{Session, file};
use crate::{demo, files};

#[derive(Args, Debug)]
pub struct ExportArgs {
    /// The session file
    #[arg(required_unless_present = "demo_model")]
    session: Option<PathBuf>,
    /// The view with its legend, as a picture
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,
    /// All levels of the view as an animation
    #[arg(long, value_name = "FILE")]
    gif: Option<PathBuf>,
    /// How many times as large picture and animation are drawn, 1 to 4; 2 and 1 unless given
    #[arg(long)]
    scale: Option<usize>,
    /// Level of the picture; the session's, or the model's usual one, unless given
    #[arg(long)]
    level: Option<usize>,
    /// Every word of every level and patch, clean and edited, as a table
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// A page for the browser with all levels, patches and words; it needs no server
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// What `patchglass run` writes as result.json
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// What `patchglass run --dump` writes: pixels, visual tokens, residual streams, logits
    #[arg(long, value_name = "FILE")]
    safetensors: Option<PathBuf>,
    /// A Python script that repeats the run with Hugging Face transformers and prints the same answer
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
    /// Writes the demo model and its picture as a folder in Hugging Face form, for other programs
    #[arg(long, value_name = "FOLDER")]
    demo_model: Option<PathBuf>,
    #[command(flatten)]
    compute: Compute,
}

pub fn export(args: &ExportArgs) -> Result<()> {
    if let Some(folder) = &args.demo_model {
        write_demo_model(folder)?;
    }
    let Some(path) = &args.session else {
        return Ok(());
    };
    let asked = [
        &args.png,
        &args.gif,
        &args.csv,
        &args.html,
        &args.json,
        &args.safetensors,
        &args.python,
    ];
    if asked.iter().all(|file| file.is_none()) && args.demo_model.is_none() {
        return Err(Error::input(
            "nothing to export: name at least one of --png, --gif, --csv, --html, --json, --safetensors, --python",
        ));
    }
    let mut session = file::load(path)?;
    session.experiment.model = args.compute.with_mmproj(session.experiment.model);
    let mut engine = Engine::new(args.compute.options()?)?;
    let mut terminal = Terminal::at_level(args.level);
    let trace = engine.run(&session.run_spec(RunId(1)), &mut terminal);
    terminal.finish();
    let trace = trace?;
    super::tell_notes(&trace);
    if let Some(why) = super::missing(&trace) {
        eprintln!("note: {why}");
    }
    if args.png.is_some() || args.gif.is_some() {
        let why = heat::why_none(&session.view, &trace);
        why.iter().for_each(|why| eprintln!("note: {why}"));
    }
    write(args, &session, &trace)?;
    match &args.safetensors {
        Some(path) => write_file(path, &tensors::to_bytes(&engine.dump(false)?)?),
        None => Ok(()),
    }
}

/// What needs the trace alone.
fn write(args: &ExportArgs, session: &Session, trace: &Trace) -> Result<()> {
    if let Some(path) = &args.png {
        let view = picture::View::of(session, trace, args.level);
        write_file(path, &picture::png(trace, &view, args.scale.unwrap_or(2))?)?;
    }
    if let Some(path) = &args.gif {
        let view = |level| picture::View::of(session, trace, Some(level));
        write_file(path, &gif::levels(trace, args.scale.unwrap_or(1), view)?)?;
    }
    if let Some(path) = &args.csv {
        write_file(path, csv::of_trace(trace)?.as_bytes())?;
    }
    if let Some(path) = &args.html {
        write_file(path, html::page(session, trace)?.as_bytes())?;
    }
    if let Some(path) = &args.python {
        write_file(path, python::script(session, trace)?.as_bytes())?;
    }
    if let Some(path) = &args.json {
        write_file(path, export::json(trace)?.as_bytes())?;
    }
    Ok(())
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    files::write_atomically(path, bytes)?;
    eprintln!("wrote {} ({} bytes)", path.display(), bytes.len());
    Ok(())
}

fn write_demo_model(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::write(folder, &e))?;
    for (name, bytes) in demo::FILES {
        write_file(&folder.join(name), bytes)?;
    }
    Ok(())
}
