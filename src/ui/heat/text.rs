//! Heat maps in words: names, explanations, units, numbers. It computes and draws nothing.

use crate::session::{HeatKind, LensKind, ViewState, WordUnit};
use crate::ui::sweep_view::loss_unit;
use crate::ui::{ViewCtx, labels};

/// The kind as the menu names it.
pub fn label(kind: HeatKind) -> &'static str {
    match kind {
        HeatKind::Off => "No heat map",
        HeatKind::TopProbability => "Top word probability",
        HeatKind::Entropy => "Entropy",
        HeatKind::Norm => "Residual norm",
        HeatKind::Word => "A word",
        HeatKind::Divergence => "KL from clean run",
        HeatKind::Change => "Change against clean run",
        HeatKind::Importance => "Importance (sweep)",
        HeatKind::Attention => "Attention",
        HeatKind::Attribution => "Attribution",
    }
}

/// What it means, for a tooltip.
pub fn explanation(kind: HeatKind) -> &'static str {
    match kind {
        HeatKind::Off => "The picture as the model sees it.",
        HeatKind::TopProbability => {
            "Probability of the most likely word of every patch, by the logit lens."
        }
        HeatKind::Entropy => {
            "How undecided a patch is: entropy of its distribution over all words. The scale ends at the entropy of a uniform distribution."
        }
        HeatKind::Norm => {
            "Length (L2 norm) of the patch's vector in the residual stream. The scale spans this level."
        }
        HeatKind::Word => {
            "Probability of the typed word in every patch, by the logit lens. The panel Word search sets the word, its token and the unit."
        }
        HeatKind::Divergence => {
            "How far the interventions moved what the patch says: KL divergence of its words from the clean run's, in nats. What lies within rounding is 0."
        }
        HeatKind::Change => {
            "How far the interventions moved the patch's vector: the distance to the clean run, relative to the clean vector's length."
        }
        HeatKind::Attention => {
            "How much of the attention of the token that is chosen in the panel Attention goes to the patch. Attention is not explanation: the sweep is the causal test."
        }
        HeatKind::Attribution => {
            "What comes from the patch through the heads straight into the logit of the token that is chosen in the panel Attribution; what later blocks make of it is not in it."
        }
        HeatKind::Importance => {
            "What the watched token of the clean answer loses when the patch alone is ablated, by the sweep over patches. Cells that are not swept yet are empty; losses within rounding are 0."
        }
    }
}

/// The unit where there is little room.
pub fn short_unit(view: &ViewState) -> &'static str {
    match view.heat {
        HeatKind::Entropy => "nats",
        HeatKind::Norm => "norm",
        HeatKind::Change => "rel.",
        HeatKind::Importance => "lost",
        HeatKind::Attention => "share",
        HeatKind::Attribution => "logit",
        HeatKind::Divergence => "nats",
        HeatKind::Word => match view.reading.unit {
            WordUnit::Probability => "prob.",
            WordUnit::LogProbability => "ln p",
            WordUnit::Rank => "rank",
        },
        HeatKind::TopProbability if view.reading.lens == LensKind::Cosine => "cos",
        HeatKind::Off | HeatKind::TopProbability => "prob.",
    }
}

/// The unit of the numbers, for the legend.
pub fn unit(view: &ViewState) -> &'static str {
    match view.heat {
        HeatKind::Entropy => "nats",
        HeatKind::Norm => "L2 norm",
        HeatKind::Change => "relative",
        HeatKind::Importance => loss_unit(view.sweep.measure),
        HeatKind::Attention => "share of attention",
        HeatKind::Attribution => "of the logit",
        HeatKind::Divergence => "nats",
        HeatKind::Word => match view.reading.unit {
            WordUnit::Probability => "probability",
            WordUnit::LogProbability => "nats (ln p)",
            WordUnit::Rank => "rank",
        },
        HeatKind::TopProbability if view.reading.lens == LensKind::Cosine => "cosine",
        HeatKind::Off | HeatKind::TopProbability => "probability",
    }
}

/// A value as the legend and the card write it.
pub fn number_text(view: &ViewState, value: f32) -> String {
    match (view.heat, view.reading.unit) {
        (HeatKind::Word, WordUnit::Rank) if value.is_finite() => format!("{value:.0}"),
        _ => labels::number(value),
    }
}

/// What a reader of the map must know beside its numbers.
pub fn note(ctx: &ViewCtx<'_>) -> Option<String> {
    let view = &ctx.session.view;
    match view.heat {
        HeatKind::Divergence => {
            let shown = ctx.shown()?;
            let read = shown.run.divergence.get(ctx.level())?.as_ref()?;
            let floor = labels::number(read.floor);
            Some(format!(
                "Noise floor {floor} nats: the same pass with nothing changed"
            ))
        }
        HeatKind::Word if view.reading.over_levels => {
            Some("The best level of every patch".to_owned())
        }
        _ => None,
    }
}
