//! `patchglass run`: a session file in, `result.json` and perhaps `dump.safetensors` out.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Compute;
use super::terminal::Terminal;
use crate::engine::Engine;
use crate::engine::protocol::RunId;
use crate::error::{Error, Result};
use crate::export::result::ResultFile;
use crate::export::tensors;
use crate::files;
use crate::session::file;

#[derive(Args, Debug)]
pub struct RunArgs {
    /// The session file
    session: PathBuf,
    /// Folder for result.json and dump.safetensors; "-" prints result.json
    #[arg(long)]
    out: PathBuf,
    /// Also write dump.safetensors: pixels, visual tokens, the residual stream at every level, logits
    #[arg(long)]
    dump: bool,
    /// Put every attention pattern into the dump as well (implies --dump)
    #[arg(long)]
    patterns: bool,
    #[command(flatten)]
    compute: Compute,
}

pub fn run(args: &RunArgs) -> Result<()> {
    let dump = args.dump || args.patterns;
    let to_stdout = args.out == Path::new("-");
    if to_stdout && dump {
        return Err(Error::input(
            "--out -: a dump cannot be printed; name a folder, or leave --dump and --patterns out",
        ));
    }
    let mut session = file::load(&args.session)?;
    session.experiment.model = args.compute.with_mmproj(session.experiment.model);
    let mut engine = Engine::new(args.compute.options()?)?;
    let mut terminal = Terminal::default();
    let trace = engine.run(&session.run_spec(RunId(1)), &mut terminal);
    terminal.finish();
    let trace = trace?;
    super::tell_notes(&trace);
    if let Some(why) = super::missing(&trace) {
        return Err(Error::input(why));
    }
    let json = serde_json::to_string(&ResultFile::new(&trace)).map_err(Error::internal)?;
    if to_stdout {
        return super::print(&json);
    }
    std::fs::create_dir_all(&args.out).map_err(|e| Error::write(&args.out, &e))?;
    files::write_atomically(&args.out.join("result.json"), json.as_bytes())?;
    if dump {
        write_dump(
            &mut engine,
            args.patterns,
            &args.out.join("dump.safetensors"),
        )?;
    }
    eprintln!(
        "prompt tokens {} | baseline: {} | edited: {}",
        trace.layout.n_prompt, trace.baseline.answer.text, trace.edited.answer.text
    );
    Ok(())
}

fn write_dump(engine: &mut Engine, patterns: bool, path: &Path) -> Result<()> {
    let file = tensors::to_bytes(&engine.dump(patterns)?)?;
    files::write_atomically(path, &file)
}
