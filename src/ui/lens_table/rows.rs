//! The rows of the lens table: which token each is, and its name. It draws nothing.

use crate::engine::trace::{LevelReadout, RunReadout, Trace};
use crate::index::TokenLayout;
use crate::session::{LensKind, TableRows};
use crate::ui::ViewCtx;

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// By its row-major index.
    Patch(usize),
    /// The place among the tokens that are no patches, and its position in the sequence.
    Token { at: usize, position: usize },
}

impl Row {
    pub fn patch(self) -> Option<usize> {
        match self {
            Self::Patch(patch) => Some(patch),
            Self::Token { .. } => None,
        }
    }

    /// The top word and its number at a level; `None` where it is not read.
    pub fn top(self, run: &RunReadout, level: usize, lens: LensKind) -> Option<(u32, f32)> {
        let logit = run.levels.get(level)?.as_deref();
        let read = |readout: Option<&LevelReadout>, at| readout?.top(at).next();
        match (self, lens) {
            (Self::Patch(patch), LensKind::Logit) => read(logit, patch),
            (Self::Patch(patch), LensKind::Cosine) => {
                read(run.cosine.get(level)?.as_deref(), patch)
            }
            (Self::Token { at, .. }, lens) => {
                let tokens = run.tokens.as_ref()?;
                let levels = match lens {
                    LensKind::Logit => &tokens.levels,
                    LensKind::Cosine => &tokens.cosine,
                };
                read(levels.get(level)?.as_deref(), at)
            }
        }
    }

    /// `r7c19`, or the position and the token there: `583 ␣What`.
    pub fn name(self, trace: &Trace, run: &RunReadout) -> String {
        match self {
            Self::Patch(patch) => trace.model.grid.patch(patch).to_string(),
            Self::Token { at, position } => {
                let id = run.tokens.as_ref().and_then(|t| t.ids.get(at));
                let piece = id.map(|id| trace.model.vocabulary.piece(*id));
                let part = part(&trace.layout, position);
                format!("{part} {position} {}", piece.unwrap_or_default())
            }
        }
    }
}

/// Which part of the sequence a position belongs to.
fn part(layout: &TokenLayout, position: usize) -> &'static str {
    match position {
        at if at < layout.image.start => "system",
        at if layout.image.contains(&at) => "picture",
        at if at < layout.last() => "question",
        at if at == layout.last() => "last",
        _ => "answer",
    }
}

/// The rows that the view asks for.
pub fn of_view(ctx: &ViewCtx<'_>, trace: &Trace) -> Vec<Row> {
    let grid = trace.model.grid;
    let view = &ctx.session.view;
    let run = super::run_of(ctx, trace);
    match (view.reading.rows, &run.tokens) {
        (TableRows::AllTokens, Some(tokens)) => {
            let patches = trace.layout.patches();
            let token = |(at, position): (usize, &usize)| Row::Token {
                at,
                position: *position,
            };
            let others = tokens.positions.iter().enumerate();
            let before = tokens.positions.partition_point(|at| *at < patches.start);
            let mut rows: Vec<Row> = others.clone().take(before).map(token).collect();
            rows.extend((0..grid.len()).map(Row::Patch));
            rows.extend(others.skip(before).map(token));
            rows
        }
        _ => {
            let selected = view.selection.indices(grid).unwrap_or_default();
            match selected.is_empty() {
                true => (0..grid.len()).map(Row::Patch).collect(),
                false => selected.into_iter().map(Row::Patch).collect(),
            }
        }
    }
}
