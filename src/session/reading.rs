//! How the words and the heat map are read: scale, colours, lens, rows of the table, what is greyed. Saved with the view.
//!
//! Some of it needs numbers that a run does not bring by itself; [`super::update`] then asks the readout for them.

use serde::{Deserialize, Serialize};

use super::{Effects, HeatKind, Session};

/// How values become places on the colour scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    #[default]
    Linear,
    /// The square root of the linear place: small values are told apart.
    Sqrt,
    /// The share of the map's values that are smaller.
    Percentile,
}

impl Scale {
    pub const ALL: [Self; 3] = [Self::Linear, Self::Sqrt, Self::Percentile];
}

/// A perceptual colour scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Colours {
    #[default]
    Viridis,
    /// The same for people who see red and green alike.
    Cividis,
}

/// The number that stands for the searched word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WordUnit {
    #[default]
    Probability,
    /// In nats.
    LogProbability,
    /// 1 for the likeliest word.
    Rank,
}

impl WordUnit {
    pub const ALL: [Self; 3] = [Self::Probability, Self::LogProbability, Self::Rank];
}

/// The rows of the lens table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableRows {
    /// The selected patches; all patches where none is selected.
    #[default]
    Patches,
    /// Every position of the sequence, the answer's among them.
    AllTokens,
}

/// What turns a residual row into words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LensKind {
    /// softmax(lm_head(final_norm(residual))).
    #[default]
    Logit,
    /// Cosine between the residual row and every input embedding.
    Cosine,
}

/// The settings of reading.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReadingView {
    pub scale: Scale,
    /// The scale spans the values on screen instead of all that are possible.
    pub normalised: bool,
    pub colours: Colours,
    pub unit: WordUnit,
    /// The map of the word shows each patch's best level.
    pub over_levels: bool,
    pub rows: TableRows,
    pub lens: LensKind,
    /// Tokens that are no words are dimmed.
    pub grey_non_words: bool,
    /// Words that stand on many patches of a level are dimmed.
    pub grey_shared: bool,
    /// Share of a level's patches from which on a word counts as shared, 0..=1.
    pub shared_from: f32,
}

impl Default for ReadingView {
    fn default() -> Self {
        Self {
            scale: Scale::default(),
            normalised: false,
            colours: Colours::default(),
            unit: WordUnit::default(),
            over_levels: false,
            rows: TableRows::default(),
            lens: LensKind::default(),
            grey_non_words: true,
            grey_shared: false,
            shared_from: 0.2,
        }
    }
}

/// What the view needs is asked of the readout; what it needs no longer is not read again.
pub(super) fn set(session: &mut Session, to: ReadingView) -> Effects {
    let before = session.readout.clone();
    let (from, readout) = (&session.view.reading, &mut session.readout);
    if from.unit != to.unit {
        readout.ranks = to.unit == WordUnit::Rank;
    }
    if from.rows != to.rows {
        readout.all_tokens = to.rows == TableRows::AllTokens;
    }
    if from.lens != to.lens {
        readout.cosine = to.lens == LensKind::Cosine;
    }
    let now = &session.readout;
    let rerun = (now.ranks && !before.ranks)
        || (now.all_tokens && !before.all_tokens)
        || (now.cosine && !before.cosine);
    session.view.reading = to;
    Effects { rerun }
}

/// What was read of the model before may not exist in another one: its grid and its tokens differ.
pub(super) fn forget_model(session: &mut Session) {
    session.readout.similar_to = None;
    session.readout.word_tokens.clear();
}

pub(super) fn set_word_token(session: &mut Session, token: usize) -> Effects {
    let tokens = if token == 0 { Vec::new() } else { vec![token] };
    let rerun = session.readout.word_tokens != tokens;
    session.readout.word_tokens = tokens;
    Effects { rerun }
}

pub(super) fn measure_divergence(session: &mut Session, on: bool) -> Effects {
    let rerun = on && !session.readout.divergence;
    session.readout.divergence = on;
    Effects { rerun }
}

pub(super) fn set_heat(session: &mut Session, heat: HeatKind) -> Effects {
    session.view.heat = heat;
    match heat {
        HeatKind::Divergence => measure_divergence(session, true),
        _ => Effects::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Command, update};
    use super::*;
    use crate::index::Patch;
    use crate::spec::ModelSource;

    #[test]
    fn what_is_looked_at_is_read_once() {
        let mut s = Session::demo();
        let with = |change: &dyn Fn(&mut ReadingView)| {
            let mut reading = ReadingView::default();
            change(&mut reading);
            Command::SetReading(reading)
        };
        assert!(!update(&mut s, with(&|r| r.scale = Scale::Sqrt)).rerun);
        assert!(update(&mut s, with(&|r| r.unit = WordUnit::Rank)).rerun);
        assert!(s.readout.ranks);
        assert!(!update(&mut s, with(&|r| r.unit = WordUnit::Rank)).rerun);
        assert!(update(&mut s, with(&|r| r.lens = LensKind::Cosine)).rerun);
        assert!(s.readout.cosine && !s.readout.ranks);
        assert!(update(&mut s, with(&|r| r.rows = TableRows::AllTokens)).rerun);
        assert!(update(&mut s, Command::SetHeat(HeatKind::Divergence)).rerun);
        assert!(!update(&mut s, Command::SetHeat(HeatKind::Divergence)).rerun);
        assert!(!update(&mut s, Command::MeasureDivergence(false)).rerun);
        update(&mut s, Command::SetWord("banana".to_owned()));
        assert!(update(&mut s, Command::SetWordToken(1)).rerun);
        update(&mut s, Command::SetWord("dog".to_owned()));
        assert!(s.readout.word_tokens.is_empty() && !s.history.can_undo());
    }

    #[test]
    fn another_model_has_neither_the_patch_nor_the_token() {
        let mut s = Session::demo();
        let other = ModelSource::Hub("owner/name".to_owned());
        let ask = |s: &mut Session| {
            update(s, Command::SetWord("banana".to_owned()));
            update(s, Command::SetWordToken(2));
            update(s, Command::SetSimilar(Some(Patch::new(9, 9))));
        };
        let is_free =
            |s: &Session| s.readout.similar_to.is_none() && s.readout.word_tokens.is_empty();
        ask(&mut s);
        update(&mut s, Command::SetModel(ModelSource::Demo));
        update(&mut s, Command::SetPrompt("Where?".to_owned()));
        assert!(!is_free(&s), "the model is the same");
        update(&mut s, Command::SetModel(other));
        assert!(is_free(&s) && s.readout.words == ["banana"]);
        ask(&mut s);
        update(&mut s, Command::Undo);
        assert!(is_free(&s), "undo brings another model as well");
    }
}
