//! The control beside a result: what the same interventions do on as many random patches, in two lines. It sends nothing.

use egui::{RichText, Ui};

use super::ViewCtx;
use crate::engine::insight::{Control, Verdict};
use crate::engine::trace::Trace;
use crate::labels::probability;

/// Nothing where no control is asked for.
pub fn ui(ctx: &ViewCtx<'_>, ui: &mut Ui) {
    if ctx.session.readout.control.is_none() {
        return;
    }
    let known = |trace: &&Trace| trace.insight.control.is_some() || trace.complete;
    let trace = ctx.trace.filter(known).or(ctx.previous);
    let text = match trace {
        Some(trace) => lines(trace),
        None => "control: waiting for the run".to_owned(),
    };
    let stale = ctx.progress.is_some();
    let color = if stale {
        ctx.theme.text_weak
    } else {
        ctx.theme.text
    };
    ui.add(egui::Label::new(RichText::new(text).small().color(color)).wrap())
        .on_hover_text(
            "The clean answer is given to every run token by token; the token is the first that the edit changes, else the one that loses most",
        );
}

/// `camel: .970 → .002, flipped` and below it what random patches do.
fn lines(trace: &Trace) -> String {
    let Some(control) = trace.insight.control.as_deref() else {
        return match trace.has_edits {
            false => "control: nothing is changed yet".to_owned(),
            true => "control: no row names patches, so there are none to draw at random".to_owned(),
        };
    };
    match &control.verdict {
        Some(verdict) => {
            let piece = trace.model.vocabulary.piece(verdict.id);
            verdict_lines(&piece, verdict, control)
        }
        None => "control: an answer of 0 tokens has nothing to watch".to_owned(),
    }
}

fn verdict_lines(piece: &str, v: &Verdict, control: &Control) -> String {
    let n = control.seeds.len();
    format!(
        "{piece}: {} → {}, {}\nrandom sets of equal size ({n} seeds): {} → {} [{}–{}], flips {} of {n}",
        probability(v.clean),
        probability(v.edited),
        if v.flipped { "flipped" } else { "not flipped" },
        probability(v.clean),
        probability(v.mean),
        probability(v.least),
        probability(v.most),
        v.n_flipped,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::insight::Forced;

    fn forced(probs: &[f32], best_ids: &[u32]) -> Forced {
        Forced {
            ids: vec![1, 2, 3],
            probs: probs.to_vec(),
            best_ids: best_ids.to_vec(),
            best_probs: vec![0.9; 3],
        }
    }

    #[test]
    fn the_first_flipped_token_is_watched() {
        let edited = forced(&[0.1, 0.0001, 0.9], &[1, 9, 3]);
        let runs = vec![
            forced(&[0.9, 0.94, 0.9], &[1, 2, 3]),
            forced(&[0.9, 0.98, 0.9], &[1, 2, 3]),
            forced(&[0.9, 0.3, 0.9], &[1, 8, 3]),
        ];
        let control = Control::new(vec![0, 1, 2], runs, &edited, &[0.9, 0.97, 0.9]);
        let verdict = control.verdict.unwrap();
        assert_eq!((verdict.token, verdict.n_flipped), (1, 1));
        assert_eq!(
            verdict_lines("␣camel", &verdict, &control),
            "␣camel: .970 → <.001, flipped\n\
             random sets of equal size (3 seeds): .970 → .740 [.300–.980], flips 1 of 3"
        );
    }

    #[test]
    fn without_a_flip_the_token_that_loses_most_is_watched() {
        let edited = forced(&[0.8, 0.9, 0.5], &[1, 2, 3]);
        let control = Control::new(vec![4], vec![edited.clone()], &edited, &[0.9, 0.9, 0.9]);
        let verdict = control.verdict.unwrap();
        assert!((verdict.token, verdict.flipped) == (2, false));
        assert_eq!((verdict.mean, verdict.n_flipped), (0.5, 0));
        let nothing = forced(&[], &[]);
        let nothing = Forced {
            ids: Vec::new(),
            ..nothing
        };
        assert_eq!(
            Control::new(vec![4], vec![nothing.clone()], &nothing, &[]).verdict,
            None
        );
    }
}
