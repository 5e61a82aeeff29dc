//! `patchglass lens`: the word that the logit lens finds in every patch, as text and drawn into the picture.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, value_parser};

use super::Compute;
use super::terminal::Terminal;
use crate::engine::Engine;
use crate::engine::protocol::RunId;
use crate::engine::trace::{LevelReadout, Trace};
use crate::error::{Error, Result};
use crate::session::Session;
use crate::spec::{Crop, PictureSource};
use crate::{files, words_png};

#[derive(Args, Debug)]
pub struct LensArgs {
    /// The picture
    image: PathBuf,
    /// Level of the residual stream: 0 is what enters the decoder, N is after N blocks; the model's usual one unless given
    #[arg(long)]
    level: Option<usize>,
    /// The question
    #[arg(long, default_value = "Describe the image.")]
    prompt: String,
    /// "demo", a folder in Hugging Face form, a .gguf file, or a hub id that is in the local cache
    #[arg(long)]
    model: Option<String>,
    /// center or pad
    #[arg(long, default_value = "center")]
    crop: String,
    /// Also draw the words into the picture and write it here, as PNG
    #[arg(long)]
    png: Option<PathBuf>,
    /// Characters of each column, 1 to 200
    #[arg(long, default_value_t = 9, value_parser = value_parser!(u16).range(1..=200))]
    width: u16,
    #[command(flatten)]
    compute: Compute,
}

pub fn lens(args: &LensArgs) -> Result<()> {
    let mut session = Session::demo();
    let experiment = &mut session.experiment;
    experiment.model = args
        .compute
        .with_mmproj(super::model_source(args.model.as_deref()));
    experiment.picture = PictureSource::File(args.image.clone());
    experiment.prompt = args.prompt.clone();
    experiment.decode.max_new_tokens = 0;
    experiment.crop = match args.crop.as_str() {
        "center" => Crop::Center,
        "pad" => Crop::Pad,
        other => return Err(Error::input(format!("--crop {other}: write center or pad"))),
    };
    session.readout.top_k = 1;
    let mut engine = Engine::new(args.compute.options()?)?;
    let mut terminal = Terminal::at_level(args.level);
    let trace = engine.run(&session.run_spec(RunId(1)), &mut terminal);
    terminal.finish();
    let trace = trace?;
    super::tell_notes(&trace);
    let level = args.level.unwrap_or(trace.model.default_level);
    let Some(Some(readout)) = trace.baseline.levels.get(level) else {
        return Err(Error::input(format!(
            "--level {level}: this model has the levels 0..={}",
            trace.model.n_layers
        )));
    };
    super::print(&table(&trace, readout, usize::from(args.width)))?;
    match &args.png {
        Some(path) => write_png(&trace, readout, path),
        None => Ok(()),
    }
}

/// One line a row of the grid, one column a patch.
fn table(trace: &Trace, readout: &LevelReadout, width: usize) -> String {
    let grid = trace.model.grid;
    let mut out = String::new();
    for row in 0..grid.rows {
        let mut line = String::new();
        for col in 0..grid.cols {
            let word = readout
                .top(row * grid.cols + col)
                .next()
                .map(|(id, _)| trace.model.vocabulary.short(id));
            let word: String = word.unwrap_or_default().chars().take(width).collect();
            // Writing to a string cannot fail.
            let _ = write!(line, "{word:<width$} ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out
}

/// Pixels of a cell in the PNG.
const CELL_PX: usize = 56;

fn write_png(trace: &Trace, readout: &LevelReadout, path: &std::path::Path) -> Result<()> {
    let word = |patch: usize| {
        let (id, prob) = readout.top(patch).next().unwrap_or_default();
        (trace.model.vocabulary.short(id).into_owned(), prob)
    };
    let words: Vec<_> = (0..trace.model.grid.len()).map(word).collect();
    let picture = words_png::draw(&trace.picture, trace.model.grid, &words, CELL_PX);
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, image::ImageFormat::Png)
        .map_err(Error::internal)?;
    files::write_atomically(path, bytes.get_ref())
}
