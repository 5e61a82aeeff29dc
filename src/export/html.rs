//! The lens as one HTML page: every level, patch and word, clean and edited, in a file that asks nothing of any server.
//!
//! The page itself is `assets/export/viewer.html`; here its data are put in, so that no text of a model or a person can
//! become markup.

use std::collections::BTreeMap;

use serde::Serialize;

use super::base64::base64;
use super::complete;
use super::heat::viridis;
use super::marks::Touched;
use crate::engine::trace::{RunReadout, Trace};
use crate::error::{Error, Result};
use crate::labels::level_label;
use crate::session::Session;
use crate::wording::{Facts, describe};

static PAGE: &str = include_str!("../../assets/export/viewer.html");

/// What the page's script reads. Numbers of cells are little-endian arrays in base64, `[level][patch][k]`.
#[derive(Serialize)]
struct Data {
    title: String,
    model: String,
    question: String,
    /// What it is called, and its text.
    answers: Vec<(&'static str, String)>,
    interventions: Vec<String>,
    /// Patches whose rows are changed, and patches that are hidden from others.
    changed: Vec<usize>,
    hidden: Vec<usize>,
    /// Names of the levels.
    levels: Vec<String>,
    grid: [usize; 2],
    /// The level that is shown first.
    level: usize,
    k: usize,
    image: String,
    /// Texts of the tokens that occur; `ids` are places in this list.
    pieces: Vec<String>,
    /// Clean, and edited where there are edits.
    runs: Vec<Run>,
    /// Words that the run read exactly.
    words: Vec<Word>,
    /// 256 colours as hexadecimal digits.
    colors: String,
}

#[derive(Serialize)]
struct Run {
    ids: String,
    probs: String,
}

#[derive(Serialize)]
struct Word {
    word: String,
    /// `[run]`, each `[level][patch]`.
    probs: Vec<String>,
}

/// The page of a complete trace, beginning at the session's level.
///
/// # Errors
/// A trace that is not complete.
pub fn page(session: &Session, trace: &Trace) -> Result<String> {
    complete(trace)?;
    let data = Data::new(session, trace)?;
    let json = serde_json::to_string(&data).map_err(Error::internal)?;
    let (head, rest) = parted(PAGE, "@TITLE@")?;
    let (body, end) = parted(rest, "@DATA@")?;
    Ok([head, &escaped(&data.title), body, &inert(&json), end].concat())
}

fn parted<'a>(text: &'a str, at: &str) -> Result<(&'a str, &'a str)> {
    text.split_once(at)
        .ok_or_else(|| Error::internal(format!("the page has no place {at}")))
}

impl Data {
    fn new(session: &Session, trace: &Trace) -> Result<Self> {
        let model = &trace.model;
        let facts = Facts {
            grid: Some(model.grid),
            n_layers: model.n_layers,
            n_heads: model.n_heads,
        };
        let rows: Vec<_> = session.experiment.active().collect();
        let touched: Vec<_> = rows.iter().map(|r| Touched::of(r, model.grid)).collect();
        let indices = |flags: &dyn Fn(&Touched) -> &Vec<bool>| {
            let inside = |patch: &usize| touched.iter().any(|t| flags(t)[*patch]);
            (0..model.grid.len()).filter(inside).collect()
        };
        let mut runs = vec![&*trace.baseline];
        if trace.has_edits {
            runs.push(&*trace.edited);
        }
        let mut pieces = Pieces::default();
        Ok(Self {
            title: format!("{} · Patchglass", trace.picture.name),
            model: model.name.clone(),
            question: session.experiment.prompt.clone(),
            answers: answers(trace),
            interventions: rows.iter().map(|row| describe(row, facts)).collect(),
            changed: indices(&|t| &t.changed),
            hidden: indices(&|t| &t.hidden),
            levels: (0..=model.n_layers)
                .map(|level| level_label(level, model.n_layers))
                .collect(),
            grid: [model.grid.rows, model.grid.cols],
            level: (session.view.level)
                .unwrap_or(model.default_level)
                .min(model.n_layers),
            k: top_k(&trace.baseline),
            image: picture(trace)?,
            runs: (runs.iter())
                .map(|run| pieces.run(trace, run))
                .collect::<Vec<_>>(),
            words: words(trace, &runs),
            pieces: pieces.texts,
            colors: (viridis().iter().flatten())
                .map(|c| format!("{c:02x}"))
                .collect(),
        })
    }
}

fn top_k(run: &RunReadout) -> usize {
    (run.levels.iter().flatten().next()).map_or(0, |level| level.top_k)
}

fn answers(trace: &Trace) -> Vec<(&'static str, String)> {
    let (before, after) = (&trace.baseline.answer, &trace.edited.answer);
    match (before.ids.is_empty(), trace.has_edits) {
        (true, _) => Vec::new(),
        (false, false) => vec![("Answer", before.text.clone())],
        (false, true) => vec![
            ("Answer before", before.text.clone()),
            ("Answer after", after.text.clone()),
        ],
    }
}

/// Tokens that occur, in the order in which they are met.
#[derive(Default)]
struct Pieces {
    places: BTreeMap<u32, u32>,
    texts: Vec<String>,
}

impl Pieces {
    fn place(&mut self, trace: &Trace, id: u32) -> u32 {
        let next = self.texts.len() as u32;
        let texts = &mut self.texts;
        *self.places.entry(id).or_insert_with(|| {
            texts.push(trace.model.vocabulary.piece(id).into_owned());
            next
        })
    }

    fn run(&mut self, trace: &Trace, run: &RunReadout) -> Run {
        let levels = || run.levels.iter().flatten();
        let ids = levels().flat_map(|level| level.ids.iter());
        let places: Vec<u8> = ids
            .flat_map(|id| self.place(trace, *id).to_le_bytes())
            .collect();
        let probs = levels().flat_map(|level| level.probs.iter());
        Run {
            ids: base64(&places),
            probs: numbers(probs),
        }
    }
}

fn words(trace: &Trace, runs: &[&RunReadout]) -> Vec<Word> {
    let probs = |run: &RunReadout, word: usize| {
        let levels = run.levels.iter().flatten();
        numbers(levels.filter_map(|level| level.words.get(word)).flatten())
    };
    let word = |(index, token): (usize, &crate::engine::trace::WordToken)| Word {
        word: token.word.clone(),
        probs: runs.iter().map(|run| probs(run, index)).collect(),
    };
    trace.words.iter().enumerate().map(word).collect()
}

fn numbers<'a>(values: impl Iterator<Item = &'a f32>) -> String {
    base64(&values.flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>())
}

/// The picture as the model sees it, as the address of an inline PNG.
fn picture(trace: &Trace) -> Result<String> {
    let side = trace.picture.size as u32;
    let image = image::RgbImage::from_raw(side, side, trace.picture.rgb.clone());
    let image =
        image.ok_or_else(|| Error::internal("the picture has another size than it says"))?;
    let mut bytes = std::io::Cursor::new(Vec::new());
    image
        .write_to(&mut bytes, image::ImageFormat::Png)
        .map_err(Error::internal)?;
    Ok(format!("data:image/png;base64,{}", base64(bytes.get_ref())))
}

/// JSON that cannot end the script element or open a comment: `<` stands only in strings, where this is the same.
fn inert(json: &str) -> String {
    json.replace('<', "\\u003c")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_the_script() {
        let json = serde_json::to_string("</script><!-- @ &").unwrap();
        let inert = inert(&json);
        assert!(!inert.contains('<'));
        assert_eq!(
            serde_json::from_str::<String>(&inert).unwrap(),
            "</script><!-- @ &"
        );
        assert_eq!(escaped("<b>&"), "&lt;b>&amp;");
    }

    #[test]
    fn the_page_names_no_other_place() {
        for word in ["http:", "https:", "src=\"", "@import", "innerHTML", "eval("] {
            assert!(!PAGE.contains(word), "{word}");
        }
        assert_eq!(PAGE.matches("@DATA@").count(), 1);
    }
}
