//! Results beside a session: a file that lets the window show the answers and the words of every level without a model.
//!
//! `NAME.results.json` lies beside `NAME.json` and says which session it is of; of a session that was changed since, it is
//! not used. Kept are the picture as the model saw it, the lens of both runs and their answers; what was read beyond that
//! (attention, attribution, sweeps) needs the model.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Session, ViewState, file};
use crate::engine::protocol::RunId;
use crate::engine::trace::{
    Answer, Caches, LevelReadout, ModelFacts, RunReadout, SeenPicture, Timing, TokenScore, Trace,
    Vocabulary, WordToken,
};
use crate::error::{Error, Result};
use crate::files;
use crate::index::{PatchGrid, TokenLayout};
use crate::model::preprocess::SeenRect;

const VERSION: u64 = 1;
const MAX_BYTES: u64 = 256 << 20;

/// Where the results of a session lie.
pub fn path_of(session: &Path) -> PathBuf {
    session.with_extension("results.json")
}

/// Writes the results of a complete run beside the session's file, which must be saved first.
///
/// # Errors
/// A run that is not complete; a folder that may not be written.
pub fn save(session: &Session, trace: &Trace, path: &Path) -> Result<()> {
    if !trace.complete {
        return Err(Error::input(
            "the run is not complete: wait for it, then save with results",
        ));
    }
    let results = Results::of(session, trace, path)?;
    let text = serde_json::to_string(&results).map_err(Error::internal)?;
    files::write_atomically(&path_of(path), text.as_bytes())
}

/// The results beside a session's file; `None` where there are none of this very session.
///
/// # Errors
/// A file that is not JSON of this form, or whose lists do not fit together: one sentence with the file.
pub fn load(session: &Session, path: &Path) -> Result<Option<Trace>> {
    let at = path_of(path);
    if !at.exists() {
        return Ok(None);
    }
    let text = files::read_text(&at, MAX_BYTES)?;
    let bad = |what: String| Error::input(format!("results {}: {what}", at.display()));
    let results: Results = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
    if results.version != VERSION || results.session != identity(session, path)? {
        return Ok(None);
    }
    results
        .into_trace()
        .map(Some)
        .map_err(|what| bad(what.to_owned()))
}

/// Tells a session from any other, however it is looked at.
fn identity(session: &Session, path: &Path) -> Result<String> {
    let folder = path.parent().unwrap_or(Path::new(""));
    // The built-in picture comes back from a file as the file that lies beside it.
    let mut plain = Session {
        readout: session.readout.clone(),
        view: ViewState::default(),
        ..Session::new(session.experiment.clone())
    };
    if plain.experiment.picture == crate::spec::PictureSource::Demo {
        let picture = file::demo_picture(folder);
        plain.experiment.picture = crate::spec::PictureSource::File(picture);
    }
    let text = file::to_text(&plain, folder)?;
    Ok(format!("{:08x}", crc32fast::hash(text.as_bytes())))
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Results {
    version: u64,
    /// Which session they are of.
    session: String,
    model: String,
    device: String,
    dtype: String,
    /// Layers, heads, width, side of the picture, level that is shown first.
    sizes: [usize; 5],
    n_params: u64,
    template: String,
    grid: [usize; 2],
    /// Length of the prompt, first visual token, the one after the last, tokens before the first patch.
    layout: [usize; 4],
    input_ids: Vec<u32>,
    picture: Picture,
    /// Tokens that occur: id, text, whether it is a word.
    tokens: Vec<(u32, String, bool)>,
    words: Vec<(String, u32, Vec<u32>)>,
    similar_to: Option<usize>,
    clean: Run,
    /// `None` where nothing was switched on.
    edited: Option<Run>,
    total_ms: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Picture {
    name: String,
    original_size: (usize, usize),
    /// Left, top, width and height of what is seen, in pixels of the file.
    seen: [f64; 4],
    /// RGB of the square that the model sees, as PNG, in hexadecimal digits.
    png: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    levels: Vec<Level>,
    next_token: Vec<(u32, String, f32, f32)>,
    answer: String,
    answer_ids: Vec<u32>,
    answer_probs: Vec<f32>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Level {
    top_k: usize,
    ids: Vec<u32>,
    probs: Vec<f32>,
    entropy: Vec<f32>,
    norm: Vec<f32>,
    log_sum_exp: Vec<f32>,
    change: Vec<f32>,
    words: Vec<Vec<f32>>,
    word_log_probs: Vec<Vec<f32>>,
    similar: Vec<f32>,
}

impl Results {
    fn of(session: &Session, trace: &Trace, path: &Path) -> Result<Self> {
        let (model, layout) = (&trace.model, &trace.layout);
        let clean = Run::of(&trace.baseline);
        let edited = trace.has_edits.then(|| Run::of(&trace.edited));
        let mut ids: Vec<u32> = trace.input_ids.to_vec();
        ids.extend(trace.words.iter().flat_map(|word| &word.ids));
        for run in [Some(&clean), edited.as_ref()].into_iter().flatten() {
            ids.extend(run.levels.iter().flat_map(|level| &level.ids));
            ids.extend(run.next_token.iter().map(|score| score.0));
            ids.extend(&run.answer_ids);
        }
        ids.sort_unstable();
        ids.dedup();
        let known = ids
            .into_iter()
            .filter(|id| (*id as usize) < model.vocabulary.pieces.len());
        let token = |id: u32| {
            (
                id,
                model.vocabulary.piece(id).into_owned(),
                model.vocabulary.is_word(id),
            )
        };
        Ok(Self {
            version: VERSION,
            session: identity(session, path)?,
            model: model.name.clone(),
            device: model.device.clone(),
            dtype: model.dtype.clone(),
            sizes: [
                model.n_layers,
                model.n_heads,
                model.d_model,
                model.image_size,
                model.default_level,
            ],
            n_params: model.n_params,
            template: model.template.clone(),
            grid: [model.grid.rows, model.grid.cols],
            layout: [
                layout.n_prompt,
                layout.image.start,
                layout.image.end,
                layout.patch_offset,
            ],
            input_ids: trace.input_ids.to_vec(),
            picture: Picture::of(&trace.picture)?,
            tokens: known.map(token).collect(),
            words: trace
                .words
                .iter()
                .map(|w| (w.word.clone(), w.id, w.ids.clone()))
                .collect(),
            similar_to: trace.similar_to,
            clean,
            edited,
            total_ms: trace.timing.total,
        })
    }

    /// The trace that was recorded; the error says what does not fit.
    fn into_trace(self) -> Result<Trace, &'static str> {
        let grid = PatchGrid::new(self.grid[0], self.grid[1]);
        let [n_layers, n_heads, d_model, image_size, default_level] = self.sizes;
        if grid.is_empty() || grid.len() > 1 << 16 || n_layers > 1 << 10 {
            return Err("the sizes of the model make no sense");
        }
        let n_pieces = self.tokens.iter().map(|token| token.0 as usize + 1).max();
        let n_pieces = n_pieces.unwrap_or(0);
        if n_pieces > 1 << 22 {
            return Err("a token's number is too large");
        }
        let mut vocabulary = Vocabulary {
            pieces: vec![String::new(); n_pieces],
            is_word: vec![false; n_pieces],
        };
        for (id, piece, is_word) in self.tokens {
            vocabulary.pieces[id as usize] = piece;
            vocabulary.is_word[id as usize] = is_word;
        }
        let n_words = self.words.len();
        let read = |run: Run| {
            run.into_readout(grid.len(), n_layers + 1, n_words)
                .map(Arc::new)
        };
        let baseline = read(self.clean)?;
        let has_edits = self.edited.is_some();
        let edited = match self.edited {
            Some(run) => read(run)?,
            None => baseline.clone(),
        };
        let [n_prompt, start, end, patch_offset] = self.layout;
        if end > n_prompt
            || start + patch_offset + grid.len() > end
            || self.input_ids.len() < n_prompt
        {
            return Err("the layout of the tokens makes no sense");
        }
        let words = self.words.into_iter().map(|(word, id, ids)| WordToken {
            word,
            id,
            n_tokens: ids.len(),
            ids,
        });
        Ok(Trace {
            id: RunId(0),
            model: Arc::new(ModelFacts {
                name: self.model,
                grid,
                n_layers,
                n_heads,
                d_model,
                image_size,
                n_params: self.n_params,
                device: self.device,
                dtype: self.dtype,
                notes: Vec::new(),
                template: self.template,
                vocabulary: Arc::new(vocabulary),
                default_level: default_level.min(n_layers),
            }),
            picture: Arc::new(self.picture.into_seen()?),
            layout: Arc::new(TokenLayout {
                n_prompt,
                image: start..end,
                patch_offset,
                grid,
            }),
            input_ids: Arc::new(self.input_ids),
            words: words.collect(),
            similar_to: self.similar_to.filter(|at| *at < grid.len()),
            baseline,
            edited,
            has_edits,
            insight: Arc::default(),
            recomputed: None,
            timing: Timing {
                total: self.total_ms,
                ..Timing::default()
            },
            caches: Caches::default(),
            complete: true,
        })
    }
}

impl Picture {
    fn of(seen: &SeenPicture) -> Result<Self> {
        let (side, rect) = (seen.size as u32, seen.seen_in_original);
        let picture = image::RgbImage::from_raw(side, side, seen.rgb.clone());
        let picture = picture.ok_or_else(|| Error::internal("the picture is not a square"))?;
        let mut png = std::io::Cursor::new(Vec::new());
        picture
            .write_to(&mut png, image::ImageFormat::Png)
            .map_err(Error::internal)?;
        Ok(Self {
            name: seen.name.clone(),
            original_size: seen.original_size,
            seen: [rect.left, rect.top, rect.width, rect.height],
            png: png
                .get_ref()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        })
    }

    fn into_seen(self) -> Result<SeenPicture, &'static str> {
        let bad = "the picture is not a PNG in hexadecimal digits";
        let digit = |c: u8| char::from(c).to_digit(16).map(|d| d as u8);
        let bytes = self.png.as_bytes().chunks(2).map(|pair| match pair {
            [a, b] => Some(16 * digit(*a)? + digit(*b)?),
            _ => None,
        });
        let bytes: Option<Vec<u8>> = bytes.collect();
        let picture = image::load_from_memory(&bytes.ok_or(bad)?).map_err(|_not_png| bad)?;
        let picture = picture.into_rgb8();
        let [left, top, width, height] = self.seen;
        if picture.width() != picture.height() {
            return Err("the picture is not a square");
        }
        Ok(SeenPicture {
            // No picture of the engine has this one.
            revision: u64::MAX,
            name: self.name,
            size: picture.width() as usize,
            rgb: picture.into_raw(),
            original_size: self.original_size,
            seen_in_original: SeenRect {
                left,
                top,
                width,
                height,
            },
        })
    }
}

impl Run {
    fn of(run: &RunReadout) -> Self {
        let scores = run.next_token.iter();
        Self {
            levels: run
                .levels
                .iter()
                .flatten()
                .map(|level| Level::of(level))
                .collect(),
            next_token: scores
                .map(|s| (s.id, s.text.clone(), s.prob, s.logit))
                .collect(),
            answer: run.answer.text.clone(),
            answer_ids: run.answer.ids.clone(),
            answer_probs: run.answer.probs.clone(),
        }
    }

    fn into_readout(
        self,
        n_patches: usize,
        n_levels: usize,
        n_words: usize,
    ) -> Result<RunReadout, &'static str> {
        if self.levels.len() != n_levels || self.answer_ids.len() != self.answer_probs.len() {
            return Err("the number of levels or of the answer's tokens does not fit");
        }
        if !self
            .levels
            .iter()
            .all(|level| level.fits(n_patches, n_words))
        {
            return Err("a level's lists are not as long as it has patches");
        }
        let score = |(id, text, prob, logit)| TokenScore {
            id,
            text,
            prob,
            logit,
        };
        Ok(RunReadout {
            levels: self
                .levels
                .into_iter()
                .map(|level| Some(Arc::new(level.into_readout())))
                .collect(),
            next_token: self.next_token.into_iter().map(score).collect(),
            answer: Answer {
                text: self.answer,
                ids: self.answer_ids,
                probs: self.answer_probs,
                complete: true,
            },
            ..RunReadout::default()
        })
    }
}

impl Level {
    fn of(level: &LevelReadout) -> Self {
        let level = level.clone();
        Self {
            top_k: level.top_k,
            ids: level.ids,
            probs: level.probs,
            entropy: level.entropy,
            norm: level.norm,
            log_sum_exp: level.log_sum_exp,
            change: level.change,
            words: level.words,
            word_log_probs: level.word_log_probs,
            similar: level.similar,
        }
    }

    fn fits(&self, n: usize, n_words: usize) -> bool {
        let cells = n.saturating_mul(self.top_k);
        let lists = [&self.entropy, &self.norm, &self.log_sum_exp, &self.change];
        let words = [&self.words, &self.word_log_probs];
        self.top_k > 0
            && self.ids.len() == cells
            && self.probs.len() == cells
            && lists.iter().all(|list| list.len() == n)
            && words
                .iter()
                .all(|w| w.len() == n_words && w.iter().all(|list| list.len() == n))
            && (self.similar.is_empty() || self.similar.len() == n)
    }

    fn into_readout(self) -> LevelReadout {
        LevelReadout {
            top_k: self.top_k,
            ids: self.ids,
            probs: self.probs,
            entropy: self.entropy,
            norm: self.norm,
            log_sum_exp: self.log_sum_exp,
            change: self.change,
            words: self.words,
            word_log_probs: self.word_log_probs,
            similar: self.similar,
            word_ranks: Vec::new(),
        }
    }
}
