//! The lens as a table: one line per level, patch and rank, clean and edited side by side.
//!
//! Fields as RFC 4180 asks for; numbers with a point; tokens as the window writes them, with spaces visible.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::complete;
use crate::engine::trace::{LevelReadout, Trace};
use crate::error::Result;

const HEADER: &str =
    "level,row,col,rank,clean_id,clean_token,clean_prob,edited_id,edited_token,edited_prob\n";

/// The table of a complete trace. Without interventions both sides are the same run.
///
/// # Errors
/// A trace that is not complete.
pub fn of_trace(trace: &Trace) -> Result<String> {
    complete(trace)?;
    let mut out = HEADER.to_owned();
    let levels = trace.baseline.levels.iter().zip(&trace.edited.levels);
    for (level, both) in levels.enumerate() {
        if let (Some(clean), Some(edited)) = both {
            add_level(&mut out, trace, level, (clean, edited));
        }
    }
    Ok(out)
}

/// The likeliest words of one level, parted by tabs, for the clipboard; `None` where it is not read yet.
pub fn level_for_clipboard(trace: &Trace, level: usize, clean: bool) -> Option<String> {
    let run = if clean {
        &trace.baseline
    } else {
        &trace.edited
    };
    let readout = run.levels.get(level)?.as_ref()?;
    let mut out = "level\trow\tcol\trank\tid\ttoken\tprob\n".to_owned();
    for patch in 0..trace.model.grid.len() {
        let at = trace.model.grid.patch(patch);
        for (rank, (id, prob)) in readout.top(patch).enumerate() {
            let token = trace.model.vocabulary.piece(id);
            // Writing to a string cannot fail.
            let _ = writeln!(
                out,
                "{level}\t{}\t{}\t{}\t{id}\t{token}\t{prob}",
                at.row,
                at.col,
                rank + 1
            );
        }
    }
    Some(out)
}

fn add_level(
    out: &mut String,
    trace: &Trace,
    level: usize,
    (clean, edited): (&LevelReadout, &LevelReadout),
) {
    let grid = trace.model.grid;
    for patch in 0..grid.len() {
        let at = grid.patch(patch);
        let both = clean.top(patch).zip(edited.top(patch));
        for (rank, (a, b)) in both.enumerate() {
            let side = |(id, prob): (u32, f32)| {
                let token = trace.model.vocabulary.piece(id);
                format!("{id},{},{prob}", field(&token))
            };
            // Writing to a string cannot fail.
            let _ = writeln!(
                out,
                "{level},{},{},{},{},{}",
                at.row,
                at.col,
                rank + 1,
                side(a),
                side(b)
            );
        }
    }
}

/// A field, quoted where it holds what parts fields.
fn field(text: &str) -> Cow<'_, str> {
    match text.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")).into(),
        false => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_parts_fields_is_quoted() {
        assert_eq!(field("␣dog"), "␣dog");
        assert_eq!(field(","), "\",\"");
        assert_eq!(field("a\"b"), "\"a\"\"b\"");
    }
}
