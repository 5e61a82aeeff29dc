//! The heat map of a picture that is drawn without the window: values, the ends of the scale, its name and colours.

use super::map::{self, Heat};
use crate::engine::trace::Trace;
use crate::session::{Colours, HeatKind, LensKind, ViewState, WordUnit};

/// One heat map, row-major over the patches. Unknown values are NaN.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatMap {
    pub values: Vec<f32>,
    /// The values that the ends of the colour scale stand for.
    pub range: (f32, f32),
    /// Where each value lies on the scale, 0..=1; NaN where it is unknown.
    pub places: Vec<f32>,
    /// The value in the middle of the scale.
    pub middle: f32,
    /// What it is, with its unit: `Entropy (nats)`.
    pub title: String,
    /// The colour scale, low to high.
    pub colors: Vec<[u8; 3]>,
}

impl HeatMap {
    /// A map under its name, in the colours of a view.
    pub fn new(heat: Heat, title: String, colours: Colours) -> Self {
        Self {
            title,
            values: heat.values,
            range: heat.range,
            places: heat.places,
            middle: heat.middle,
            colors: colors(colours),
        }
    }

    /// Where on the scale a patch lies, 0..=1; `None` where its value is unknown.
    pub fn place(&self, patch: usize) -> Option<f32> {
        self.places.get(patch).copied().filter(|t| t.is_finite())
    }

    /// The colour at a place of the scale, 0..=1.
    pub fn color(&self, t: f32) -> [u8; 3] {
        let last = self.colors.len().saturating_sub(1);
        let index = (t.clamp(0.0, 1.0) * last as f32 + 0.5) as usize;
        self.colors.get(index).copied().unwrap_or_default()
    }
}

/// Viridis, 256 entries.
pub fn viridis() -> Vec<[u8; 3]> {
    colors(Colours::Viridis)
}

fn colors(colours: Colours) -> Vec<[u8; 3]> {
    let scale = match colours {
        Colours::Viridis => colorous::VIRIDIS,
        Colours::Cividis => colorous::CIVIDIS,
    };
    let rgb = |c: colorous::Color| [c.r, c.g, c.b];
    (0..256).map(|i| rgb(scale.eval_rational(i, 256))).collect()
}

/// The heat map of a level as a view shows it; `None` where it is off or the trace has no such numbers.
pub fn of_view(view: &ViewState, trace: &Trace, level: usize) -> Option<HeatMap> {
    let (run, inside) = match view.show_clean {
        true => (&trace.baseline, &trace.insight.clean),
        false => (&trace.edited, &trace.insight.edited),
    };
    let heat = map::of_inside(view, trace, inside);
    let heat = heat.or_else(|| map::of_run(view, trace, run, level))?;
    let is_known = heat.values.iter().any(|value| value.is_finite());
    is_known.then(|| HeatMap::new(heat, title(view, trace), view.reading.colours))
}

/// Why a picture of a complete trace has no heat map although its view asks for one.
pub fn why_none(view: &ViewState, trace: &Trace) -> Option<String> {
    let level = view.level.unwrap_or(trace.model.default_level);
    let level = level.min(trace.model.n_layers);
    if view.heat == HeatKind::Off || of_view(view, trace, level).is_some() {
        return None;
    }
    let remedy = match view.heat {
        HeatKind::Importance => {
            "importance is the result of a sweep, which `patchglass sweep` writes as numbers"
        }
        HeatKind::Attention => "readout.attention asks for attention, and rollout for its map",
        HeatKind::Attribution => "readout.attribution asks for it",
        HeatKind::Divergence => "readout.divergence asks for it",
        HeatKind::Word => "readout.words names a word, and readout.ranks asks for ranks",
        _ => "the level was not read",
    };
    Some(format!(
        "the picture has no heat map (view.heat), because this run has no such numbers: {remedy}"
    ))
}

/// What the map is, with its unit.
fn title(view: &ViewState, trace: &Trace) -> String {
    let word = trace.words.first().map_or("", |word| word.word.as_str());
    let best = if view.reading.over_levels {
        ", best level"
    } else {
        ""
    };
    match (view.heat, view.reading.unit) {
        (HeatKind::TopProbability, _) if view.reading.lens == LensKind::Cosine => {
            "Cosine with the top word".to_owned()
        }
        (HeatKind::TopProbability, _) => "Probability of the top word".to_owned(),
        (HeatKind::Entropy, _) => "Entropy (nats)".to_owned(),
        (HeatKind::Norm, _) => "L2 norm of the residual".to_owned(),
        (HeatKind::Word, WordUnit::Probability) => format!("Probability of {word:?}{best}"),
        (HeatKind::Word, WordUnit::LogProbability) => format!("ln p of {word:?} (nats){best}"),
        (HeatKind::Word, WordUnit::Rank) => format!("Rank of {word:?}{best}"),
        (HeatKind::Change, _) => "Relative change against the clean run".to_owned(),
        (HeatKind::Divergence, _) => "KL from the clean run (nats)".to_owned(),
        (HeatKind::Attention, _) => "Share of attention".to_owned(),
        (HeatKind::Attribution, _) => "Part of the logit".to_owned(),
        (HeatKind::Importance, _) => "Importance".to_owned(),
        (HeatKind::Off, _) => String::new(),
    }
}
