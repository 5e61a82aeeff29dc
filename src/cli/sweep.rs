//! `patchglass sweep`: what a token of the clean answer depends on, patch by patch, block by block or head by head.
//!
//! It makes the request and keeps the result file up to date while the sweep goes on; `sweep_file` is the file's form.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};

use super::Compute;
use super::sweep_file::{Format, summary};
use super::terminal::Terminal;
use crate::engine::Engine;
use crate::engine::protocol::{Event, Monitor, RunId};
use crate::engine::sweep::Sweep;
use crate::error::{Error, Result};
use crate::files;
use crate::index::TokenSet;
use crate::session::{Session, file};
use crate::spec::{PictureSource, Replacement, SweepOver, SweepSpec};

/// The result file is written anew after this time, while a sweep goes on.
const BETWEEN_WRITES: Duration = Duration::from_secs(2);
/// Tokens of the answer that are decoded at most, where no session asks for more.
const MOST_TOKENS: usize = 32;

#[derive(Args, Debug)]
pub struct SweepArgs {
    #[command(subcommand)]
    over: Over,
}

#[derive(Subcommand, Debug)]
enum Over {
    /// Ablate every patch, or every square of patches, alone
    #[command(
        after_help = "Example: patchglass sweep patches photo.png --token 4 --out importance.csv"
    )]
    Patches {
        #[command(flatten)]
        common: Common,
        /// What stands in a patch's place: mean, zero, noise:SEED, patch:r0c0, mean_of:FILE or image:FILE
        #[arg(long, default_value = "mean")]
        with: String,
        /// The level whose rows are replaced: 0 is what enters the decoder, N is after N blocks
        #[arg(long, default_value_t = 0)]
        level: usize,
        /// Side of the squares; they lie edge to edge
        #[arg(long, default_value_t = 1)]
        block: usize,
    },
    /// Knock out attention in every block, or in every window of blocks, alone
    #[command(
        after_help = "Example: patchglass sweep layers photo.png --token 4 --keys patches:r4c8-r10c15 --window 3 --out layers.json"
    )]
    Layers {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        knockout: Knockout,
        /// Blocks of a window
        #[arg(long, default_value_t = 1)]
        window: usize,
    },
    /// Knock out attention in every head of every block alone
    #[command(
        after_help = "Example: patchglass sweep heads session.json --token 4 --out heads.csv"
    )]
    Heads {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        knockout: Knockout,
    },
}

#[derive(Args, Debug)]
struct Common {
    /// A picture, or a session (.json) whose picture, model and question are taken; the demo's unless given
    file: Option<PathBuf>,
    /// "demo", a folder in Hugging Face form, or a hub id that is in the local cache
    #[arg(long)]
    model: Option<String>,
    /// The question
    #[arg(long)]
    prompt: Option<String>,
    /// The token of the clean answer that is watched, from 0
    #[arg(long, default_value_t = 0)]
    token: usize,
    /// Result file, .json or .csv by its extension; may be given twice; "-" prints JSON. While the sweep goes on the
    /// file is written anew every few seconds, always whole: Ctrl+C leaves what was done by then, and in the JSON
    /// "complete" is false
    #[arg(long, default_value = "-")]
    out: Vec<PathBuf>,
    #[command(flatten)]
    compute: Compute,
}

#[derive(Args, Debug)]
struct Knockout {
    /// The tokens that may no longer look: last (the last of the prompt), answer (that and the answer), question,
    /// image, system, all or patches:r3c4-r5c6
    #[arg(long, default_value = "answer")]
    queries: String,
    /// The tokens that can no longer be seen, in the same words
    #[arg(long, default_value = "image")]
    keys: String,
}

pub fn sweep(args: &SweepArgs) -> Result<()> {
    let (common, over) = args.over.parts()?;
    let outputs: Vec<Output> = common
        .out
        .iter()
        .map(|path| Output::new(path))
        .collect::<Result<_>>()?;
    let session = common.session()?;
    let mut request = session.run_spec(RunId(1));
    let most = &mut request.experiment.decode.max_new_tokens;
    *most = (*most).max(MOST_TOKENS).max(common.token.saturating_add(1));
    let spec = SweepSpec {
        token: common.token,
        over,
    };
    request.sweep = Some(spec.clone());
    let mut engine = Engine::new(common.compute.options()?)?;
    let mut writer = Writer {
        terminal: Terminal::default(),
        outputs: &outputs,
        written: Instant::now(),
        failed: None,
    };
    let found = engine.sweep(&request, &spec, &mut writer);
    writer.terminal.finish();
    if let Some(error) = writer.failed {
        return Err(error);
    }
    let found = found?;
    for output in &outputs {
        output.write(&found, true)?;
    }
    eprintln!("{}", summary(&found));
    Ok(())
}

impl Over {
    fn parts(&self) -> Result<(&Common, SweepOver)> {
        Ok(match self {
            Self::Patches {
                common,
                with,
                level,
                block,
            } => {
                let (with, layer, block) = (replacement(with)?, *level, *block);
                (common, SweepOver::Patches { with, layer, block })
            }
            Self::Layers {
                common,
                knockout,
                window,
            } => {
                let (queries, keys, window) = (knockout.queries()?, knockout.keys()?, *window);
                let over = SweepOver::Layers {
                    queries,
                    keys,
                    window,
                };
                (common, over)
            }
            Self::Heads { common, knockout } => {
                let (queries, keys) = (knockout.queries()?, knockout.keys()?);
                (common, SweepOver::Heads { queries, keys })
            }
        })
    }
}

impl Knockout {
    fn queries(&self) -> Result<TokenSet> {
        self.queries.parse().map_err(|e| named("--queries", &e))
    }

    fn keys(&self) -> Result<TokenSet> {
        self.keys.parse().map_err(|e| named("--keys", &e))
    }
}

fn named(flag: &str, error: &Error) -> Error {
    Error::input(format!("{flag}: {error}"))
}

/// What `--with` means.
fn replacement(text: &str) -> Result<Replacement> {
    let bad = || {
        Error::input(format!(
            "--with {text}: write mean, zero, noise:SEED, patch:r0c0, mean_of:FILE or image:FILE"
        ))
    };
    Ok(match text.split_once(':') {
        None if text == "mean" => Replacement::Mean,
        None if text == "zero" => Replacement::Zero,
        Some(("noise", seed)) => Replacement::Noise(seed.parse().map_err(|_not_a_number| bad())?),
        Some(("patch", patch)) => {
            Replacement::Patch(patch.parse().map_err(|e| named("--with", &e))?)
        }
        Some(("mean_of", path)) => Replacement::MeanOf(path.into()),
        Some(("image", path)) => Replacement::Image(path.into()),
        _ => return Err(bad()),
    })
}

impl Common {
    fn session(&self) -> Result<Session> {
        let mut session = match &self.file {
            Some(path) if super::is_session(path) => file::load(path)?,
            Some(path) => {
                let mut session = Session::demo();
                session.experiment.picture = PictureSource::File(path.clone());
                session
            }
            None => Session::demo(),
        };
        let experiment = &mut session.experiment;
        if self.model.is_some() {
            experiment.model = super::model_source(self.model.as_deref());
        }
        if let Some(prompt) = &self.prompt {
            experiment.prompt = prompt.clone();
        }
        let model = std::mem::take(&mut experiment.model);
        experiment.model = self.compute.with_mmproj(model);
        Ok(session)
    }
}

/// Where a result goes.
struct Output {
    /// `None` for standard output.
    path: Option<PathBuf>,
    format: Format,
}

impl Output {
    fn new(path: &Path) -> Result<Self> {
        let extension = path.extension().map(|e| e.to_ascii_lowercase());
        let format = match extension.as_ref().and_then(|e| e.to_str()) {
            Some("json") => Format::Json,
            Some("csv") => Format::Csv,
            _ if path.as_os_str() == "-" => {
                let format = Format::Json;
                return Ok(Self { path: None, format });
            }
            _ => {
                return Err(Error::input(format!(
                    "--out {}: the name must end in .json or .csv",
                    path.display()
                )));
            }
        };
        let path = Some(path.to_owned());
        Ok(Self { path, format })
    }

    /// Standard output gets the final result only.
    fn write(&self, sweep: &Sweep, is_final: bool) -> Result<()> {
        match &self.path {
            Some(path) => files::write_atomically(path, self.format.text(sweep)?.as_bytes()),
            None if is_final => super::print(&self.format.text(sweep)?),
            None => Ok(()),
        }
    }
}

/// The monitor of a sweep: shows the progress and keeps the result files up to date.
struct Writer<'a> {
    terminal: Terminal,
    outputs: &'a [Output],
    written: Instant,
    /// A file that could not be written stops the sweep.
    failed: Option<Error>,
}

impl Writer<'_> {
    fn write(&mut self, sweep: &Arc<Sweep>) {
        if sweep.n_done() == 0 || self.written.elapsed() < BETWEEN_WRITES {
            return;
        }
        for output in self.outputs {
            if let Err(error) = output.write(sweep, false) {
                self.failed.get_or_insert(error);
            }
        }
        self.written = Instant::now();
    }
}

impl Monitor for Writer<'_> {
    fn cancelled(&self) -> bool {
        self.failed.is_some()
    }

    fn shown_level(&self) -> Option<usize> {
        None
    }

    fn emit(&mut self, event: Event) {
        match event {
            Event::Sweep(sweep) => self.write(&sweep),
            other => self.terminal.emit(other),
        }
    }
}
