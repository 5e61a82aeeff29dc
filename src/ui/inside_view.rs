//! What panels may know of attention and attribution: the numbers on screen, which patches are marked, how tokens are
//! named. Pure; it draws nothing.

use super::ViewCtx;
use super::heat::Heat;
use crate::engine::insight::{Attention, Attribution, Comparison, Inside};
use crate::engine::trace::Trace;
use crate::export::map;
pub use crate::export::map::Marked;
use crate::index::{PatchSet, QueryToken};
use crate::session::HeatKind;
use crate::spec::HeadMap;

/// Something that was read inside a run.
pub struct Found<'a, T> {
    pub trace: &'a Trace,
    pub what: &'a T,
    /// It belongs to the run before: draw it dimmed.
    pub stale: bool,
}

/// The attention of the run on screen; of the run before while the new one has none yet.
pub fn attention<'a>(ctx: &ViewCtx<'a>) -> Option<Found<'a, Attention>> {
    newest(ctx, |trace| side(ctx, trace).attention.as_deref())
}

/// The same for the attribution.
pub fn attribution<'a>(ctx: &ViewCtx<'a>) -> Option<Found<'a, Attribution>> {
    newest(ctx, |trace| side(ctx, trace).attribution.as_deref())
}

/// The comparison of the answers.
pub fn comparison<'a>(ctx: &ViewCtx<'a>) -> Option<Found<'a, Comparison>> {
    newest(ctx, |trace| trace.insight.comparison.as_deref())
}

fn side<'a>(ctx: &ViewCtx<'_>, trace: &'a Trace) -> &'a Inside {
    match ctx.session.view.show_clean {
        true => &trace.insight.clean,
        false => &trace.insight.edited,
    }
}

fn newest<'a, T>(
    ctx: &ViewCtx<'a>,
    of: impl Fn(&'a Trace) -> Option<&'a T>,
) -> Option<Found<'a, T>> {
    let shown = ctx.trace.or(ctx.previous)?;
    let same = |trace: &&Trace| {
        trace.picture.revision == shown.picture.revision && trace.model.grid == shown.model.grid
    };
    let find = |trace: Option<&'a Trace>, stale| {
        let trace = trace.filter(same)?;
        of(trace).map(|what| Found { trace, what, stale })
    };
    let waits = ctx.trace.is_none_or(|trace| !trace.complete);
    find(ctx.trace, false).or_else(|| find(ctx.previous.filter(|_| waits), true))
}

/// The heat map of attention or attribution; `None` for other kinds and where nothing was read.
pub fn heat(ctx: &ViewCtx<'_>) -> Option<Heat> {
    let trace = match ctx.session.view.heat {
        HeatKind::Attention => attention(ctx)?.trace,
        HeatKind::Attribution => attribution(ctx)?.trace,
        _ => return None,
    };
    map::of_inside(&ctx.session.view, trace, side(ctx, trace))
}

/// The marked patches of a trace, by row-major index.
pub fn marked(ctx: &ViewCtx<'_>, trace: &Trace) -> Marked {
    Marked::of(trace, side(ctx, trace))
}

/// Positions that the heads' numbers are about: the patches, or those that are selected.
pub fn targets(ctx: &ViewCtx<'_>, trace: &Trace) -> Vec<usize> {
    let layout = &trace.layout;
    match ctx.session.view.inside.into_selection {
        true => {
            let chosen = ctx.session.view.selection.indices(trace.model.grid);
            let chosen = chosen.unwrap_or_default().into_iter();
            chosen.map(|index| layout.position(index)).collect()
        }
        false => layout.image.clone().collect(),
    }
}

/// A query in words: `last prompt token ␣:`.
pub fn query_text(trace: &Trace, query: QueryToken) -> String {
    let piece = |id: Option<&u32>| {
        id.map_or_else(String::new, |id| {
            trace.model.vocabulary.piece(*id).into_owned()
        })
    };
    match query {
        QueryToken::Last => {
            let last = trace.input_ids.get(trace.layout.last());
            format!("last prompt token {}", piece(last))
        }
        QueryToken::Patch(patch) => format!("patch {patch}"),
        QueryToken::Answer(token) => {
            let answer = &trace.baseline.answer.ids;
            format!("answer {token} {}", piece(answer.get(token)))
        }
        QueryToken::Position(at) => format!("token {at} {}", piece(trace.input_ids.get(at))),
    }
}

/// A map in words.
pub fn map_text(map: HeadMap) -> String {
    match map {
        HeadMap::All => "all heads".to_owned(),
        HeadMap::Layer(layer) => format!("block {layer}"),
        HeadMap::Head(layer, head) => format!("block {layer} head {head}"),
        HeadMap::Rollout => "rollout".to_owned(),
    }
}

/// The first of a set, to look from.
pub fn first_patch(set: &PatchSet, trace: &Trace) -> Option<QueryToken> {
    let grid = trace.model.grid;
    let indices = set.indices(grid).ok()?;
    let first = indices.first()?;
    Some(QueryToken::Patch(grid.patch(*first)))
}
