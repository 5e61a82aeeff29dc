//! Tours: Markdown files whose steps carry commands, for talks and lessons. Text to plain data; nothing is played here.
//!
//! `# ` opens the title, `## ` a step. What follows is its text; a paragraph that begins with `Look at:` is shown apart.
//! A block fenced as `patchglass` holds one command a line:
//!
//! ```text
//! picture demo | PATH          model demo | PATH            ask TEXT
//! level N                      words | grid | clean on|off   opacity 0.6
//! heat off | top_probability | entropy | norm | word | change | importance
//! word WORD                    select PATCHES | none        tool ablate | select
//! ablate PATCHES [mean|zero]   ablate random N seed S [outside PATCHES]
//! knockout PATCHES [blocks 5..=7]                           clear
//! ```
//!
//! Paths are relative to the tour's file. `knockout` stops the last token from attending to the patches.

use std::path::{Path, PathBuf};

use super::{Command, HeatKind, Tool};
use crate::error::{Error, Result};
use crate::files;
use crate::index::{HeadSet, LayerRange, PatchGrid, PatchSet, TokenSet, choose};
use crate::spec::{
    Ablation, AttentionKnockout, Intervention, ModelSource, PictureSource, Replacement,
};

/// Larger files are no tours.
const MAX_BYTES: u64 = 1 << 20;
/// The tour that Patchglass brings along.
pub const PAPER: &str = include_str!("../../assets/tours/paper.md");

/// A title and its steps, at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct Tour {
    pub title: String,
    pub steps: Vec<Step>,
}

/// One step: what is said, and what is done when it begins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    pub title: String,
    /// Paragraphs.
    pub text: Vec<String>,
    /// What to look at; may be empty.
    pub look_at: String,
    lines: Vec<Line>,
}

/// What a line asks for.
#[derive(Clone, Debug, PartialEq)]
enum Line {
    Command(Box<Command>),
    /// Ablates `n` patches by chance; needs the model's grid.
    Random {
        n: usize,
        seed: u64,
        outside: PatchSet,
    },
}

impl Step {
    /// The step's commands on a model with this grid, in order.
    pub fn commands(&self, grid: PatchGrid) -> Vec<Command> {
        let command = |line: &Line| match line {
            Line::Command(command) => Command::clone(command),
            Line::Random { n, seed, outside } => {
                let pool = choose::invert(outside, grid);
                let patches = choose::random_among(&pool, *n, *seed, grid);
                Command::AddIntervention(Intervention::Ablation(Ablation::of(patches)))
            }
        };
        self.lines.iter().map(command).collect()
    }
}

/// Reads a tour.
///
/// # Errors
/// A file that cannot be read; as [`parse`].
pub fn load(path: &Path) -> Result<Tour> {
    let text = files::read_text(path, MAX_BYTES)?;
    parse(&text, path)
}

/// Reads a tour from its text; `path` is where it lies, for its relative paths and for messages.
///
/// # Errors
/// No title, no step, a block that is not closed, a line that is no command: one sentence with the file and the line.
pub fn parse(text: &str, path: &Path) -> Result<Tour> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let at = |line: usize, what: String| {
        Error::input(format!("tour {}, line {line}: {what}", path.display()))
    };
    let mut reader = Reader::default();
    for (line_no, line) in text
        .lines()
        .enumerate()
        .map(|(i, line)| (i + 1, line.trim_end()))
    {
        reader
            .take(line, line_no, folder)
            .map_err(|what| at(line_no, what))?;
    }
    if let Some(line) = reader.block {
        return Err(at(
            line,
            "the block that begins here is not closed: add a line ```".to_owned(),
        ));
    }
    reader.end_paragraph();
    match (reader.title, reader.steps) {
        (_, steps) if steps.is_empty() => Err(at(
            1,
            "there is no step: write “## ” and a title".to_owned(),
        )),
        (None, _) => Err(at(
            1,
            "there is no title: write “# ” and a title first".to_owned(),
        )),
        (Some(title), steps) => Ok(Tour { title, steps }),
    }
}

/// What was read so far.
#[derive(Default)]
struct Reader {
    title: Option<String>,
    steps: Vec<Step>,
    paragraph: Vec<String>,
    /// The line at which the open block began.
    block: Option<usize>,
    /// Whether the open block holds commands.
    commands: bool,
}

impl Reader {
    fn take(&mut self, line: &str, line_no: usize, folder: &Path) -> Result<(), String> {
        if let Some(kind) = line.strip_prefix("```") {
            self.end_paragraph();
            self.commands = kind.trim() == "patchglass";
            self.block = self.block.is_none().then_some(line_no);
            return Ok(());
        }
        if self.block.is_some() {
            let line = line.trim();
            if self.commands && !line.is_empty() && !line.starts_with('#') {
                let step = self.steps.last_mut();
                let step = step.ok_or("commands stand under a step: write “## ” first")?;
                step.lines.push(command(line, folder)?);
            }
            return Ok(());
        }
        if let Some(title) = line.strip_prefix("## ") {
            self.end_paragraph();
            self.steps.push(Step {
                title: title.trim().to_owned(),
                ..Step::default()
            });
        } else if let (Some(title), None) = (line.strip_prefix("# "), &self.title) {
            self.title = Some(title.trim().to_owned());
        } else if line.trim().is_empty() {
            self.end_paragraph();
        } else {
            self.paragraph.push(line.trim().to_owned());
        }
        Ok(())
    }

    fn end_paragraph(&mut self) {
        let text = std::mem::take(&mut self.paragraph).join(" ");
        let (Some(step), false) = (self.steps.last_mut(), text.is_empty()) else {
            return;
        };
        match text.strip_prefix("Look at:") {
            Some(what) => step.look_at = what.trim().to_owned(),
            None => step.text.push(text),
        }
    }
}

/// One line of a block; the error is a sentence without its place.
fn command(line: &str, folder: &Path) -> Result<Line, String> {
    use Command as C;
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let rest = rest.trim();
    let command = match word {
        "picture" => C::SetPicture(match rest {
            "demo" => PictureSource::Demo,
            _ => PictureSource::File(path(rest, folder)?),
        }),
        "model" => C::SetModel(match rest {
            "demo" => ModelSource::Demo,
            _ => super::file::model_source(rest, folder),
        }),
        "ask" => C::SetPrompt(needed(rest, "a question")?.to_owned()),
        "level" => C::SetLevel(number(rest)?),
        "opacity" => {
            let bad = |_| format!("“{rest}” is not a number between 0 and 1");
            C::SetOpacity(rest.parse().map_err(bad)?)
        }
        "words" => C::ShowWords(on(rest)?),
        "grid" => C::ShowGrid(on(rest)?),
        "clean" => C::ShowClean(on(rest)?),
        "heat" => C::SetHeat(named::<HeatKind>(
            rest,
            "off, top_probability, entropy, norm, word, change or importance",
        )?),
        "tool" => C::SetTool(named::<Tool>(rest, "ablate or select")?),
        "word" => C::SetWord(rest.to_owned()),
        "select" => C::SetSelection(match rest {
            "none" => PatchSet::default(),
            _ => patches(rest)?,
        }),
        "clear" => C::ClearInterventions,
        "ablate" => return ablate(rest),
        "knockout" => C::AddIntervention(knockout(rest)?),
        _ => {
            return Err(format!(
                "“{word}” is not a command: there are picture, model, ask, level, heat, word, words, grid, clean, opacity, \
                 tool, select, ablate, knockout and clear"
            ));
        }
    };
    Ok(Line::Command(Box::new(command)))
}

fn ablate(rest: &str) -> Result<Line, String> {
    if let Some(rest) = rest.strip_prefix("random ") {
        let words: Vec<&str> = rest.split_whitespace().collect();
        let (n, seed, outside) = match words[..] {
            [n, "seed", seed] => (n, seed, PatchSet::default()),
            [n, "seed", seed, "outside", set] => (n, seed, patches(set)?),
            _ => {
                return Err(
                    "after “ablate random” comes: N seed S, or N seed S outside PATCHES".to_owned(),
                );
            }
        };
        return Ok(Line::Random {
            n: number(n)?,
            seed: number(seed)? as u64,
            outside,
        });
    }
    let (set, with) = match rest.rsplit_once(' ') {
        Some((set, "mean")) => (set, Replacement::Mean),
        Some((set, "zero")) => (set, Replacement::Zero),
        _ => (rest, Replacement::Mean),
    };
    let ablation = Ablation {
        with,
        ..Ablation::of(patches(set)?)
    };
    let row = Intervention::Ablation(ablation);
    Ok(Line::Command(Box::new(Command::AddIntervention(row))))
}

fn knockout(rest: &str) -> Result<Intervention, String> {
    let (set, layers) = match rest.split_once(" blocks ") {
        Some((set, range)) => (set, range.trim().parse().map_err(|e: Error| e.to_string())?),
        None => (rest, LayerRange::All),
    };
    Ok(Intervention::AttentionKnockout(AttentionKnockout {
        queries: TokenSet::Last,
        keys: TokenSet::Patches(patches(set)?),
        layers,
        heads: HeadSet::All,
        enabled: true,
        name: None,
    }))
}

fn needed<'a>(text: &'a str, what: &str) -> Result<&'a str, String> {
    match text {
        "" => Err(format!("{what} is missing")),
        text => Ok(text),
    }
}

fn path(text: &str, folder: &Path) -> Result<PathBuf, String> {
    Ok(folder.join(needed(text, "a path")?))
}

fn patches(text: &str) -> Result<PatchSet, String> {
    let text = needed(text.trim(), "patches such as r3c4-r8c9")?;
    text.parse().map_err(|e: Error| e.to_string())
}

fn number(text: &str) -> Result<usize, String> {
    text.parse()
        .map_err(|_not_a_number| format!("“{text}” is not a whole number"))
}

fn on(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("“{text}” is neither on nor off")),
    }
}

/// A value by the name that it has in session files.
fn named<T: serde::de::DeserializeOwned>(name: &str, names: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::String(name.to_owned()))
        .map_err(|_stranger| format!("“{name}” is none of {names}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tour_of_the_paper_has_six_steps_and_ends_in_the_control() {
        let tour = parse(PAPER, Path::new("paper.md")).unwrap();
        assert_eq!(tour.steps.len(), 6);
        for step in &tour.steps {
            assert!(!step.text.is_empty() && !step.look_at.is_empty() && !step.lines.is_empty());
        }
        let last = tour.steps[5].commands(PatchGrid::new(24, 24));
        let Some(Command::AddIntervention(Intervention::Ablation(a))) = last.last() else {
            panic!("{last:?}")
        };
        assert_eq!(a.patches.count(PatchGrid::new(24, 24)), 72);
    }

    #[test]
    fn every_command_of_the_grammar_is_understood() {
        let text = "# T\n## S\n```patchglass\n# a remark\npicture a.png\nmodel demo\nask What?\nlevel 3\nheat norm\nword cat\nwords on\ngrid off\nclean on\nopacity 0.5\ntool select\nselect r0c0\nselect none\nablate r0c0-r1c1 zero\nablate random 3 seed 2 outside r0c0\nknockout r0c1 blocks 1..=2\nclear\n```\n";
        let tour = parse(text, Path::new("lesson/t.md")).unwrap();
        let commands = tour.steps[0].commands(PatchGrid::new(2, 2));
        assert_eq!(commands.len(), 17);
        assert_eq!(
            commands[0],
            Command::SetPicture(PictureSource::File("lesson/a.png".into()))
        );
        let Command::AddIntervention(Intervention::Ablation(random)) = &commands[14] else {
            panic!("{:?}", commands[14])
        };
        assert_eq!(random.patches, "r0c1, r1c0-r1c1".parse().unwrap());
    }

    #[test]
    fn a_bad_line_is_named() {
        for (block, line, words) in [
            ("jump 3", 4, "“jump” is not a command"),
            ("clear\nlevel high", 5, "“high” is not a whole number"),
            ("heat jet", 4, "none of off"),
            ("words maybe", 4, "neither on nor off"),
            ("select r1", 4, "r1"),
            ("ablate random 3", 4, "N seed S"),
            ("ask", 4, "a question is missing"),
        ] {
            let text = format!("# T\n## S\n```patchglass\n{block}\n```\n");
            let error = parse(&text, Path::new("t.md")).unwrap_err().to_string();
            let place = format!("t.md, line {line}: ");
            assert!(error.contains(&place) && error.contains(words), "{error}");
        }
        for (text, words) in [
            ("# T\n", "no step"),
            ("## S\n", "no title"),
            ("# T\n## S\n```patchglass\n", "line 3: the block"),
            ("# T\n```patchglass\nclear\n```\n", "under a step"),
        ] {
            let error = parse(text, Path::new("t.md")).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
