//! Plots as inline SVG: lines with intervals, no script, nothing loaded.

use std::fmt::Write as _;

use super::report::{Plot, escape};
use super::stats::Mean;

const SIZE: (f64, f64) = (760.0, 360.0);
/// Left, top, right, bottom.
const MARGINS: (f64, f64, f64, f64) = (56.0, 16.0, 210.0, 52.0);
/// Colours that people with any colour vision tell apart (Okabe and Ito).
const COLOURS: [&str; 8] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999",
];

/// From values to pixels.
struct Scale {
    x: (f64, f64),
    y: (f64, f64),
}

impl Scale {
    fn of(plot: &Plot) -> Self {
        let mut scale = Self {
            x: (f64::INFINITY, f64::NEG_INFINITY),
            y: (0.0, 0.0),
        };
        for (x, mean) in plot.lines.iter().flat_map(|line| &line.points) {
            let Some(Mean { value, half, .. }) = mean else {
                continue;
            };
            scale.x = (scale.x.0.min(*x), scale.x.1.max(*x));
            let (low, high) = ((value - half) * plot.scale, (value + half) * plot.scale);
            scale.y = (scale.y.0.min(low), scale.y.1.max(high));
        }
        if scale.x.0 >= scale.x.1 {
            scale.x = (0.0, 1.0);
        }
        // Shares end at 100 %.
        if plot.scale == 100.0 {
            scale.y = (scale.y.0.clamp(-100.0, 0.0), 100.0);
        }
        if scale.y.0 >= scale.y.1 {
            scale.y.1 = scale.y.0 + 1.0;
        }
        scale
    }

    fn x(&self, value: f64) -> f64 {
        let share = (value - self.x.0) / (self.x.1 - self.x.0);
        MARGINS.0 + share * (SIZE.0 - MARGINS.0 - MARGINS.2)
    }

    fn y(&self, value: f64) -> f64 {
        let share = (value - self.y.0) / (self.y.1 - self.y.0);
        SIZE.1 - MARGINS.3 - share * (SIZE.1 - MARGINS.1 - MARGINS.3)
    }
}

/// Round numbers between two bounds, about five.
fn round_steps((low, high): (f64, f64)) -> Vec<f64> {
    let rough = (high - low) / 5.0;
    let power = 10f64.powf(rough.log10().floor());
    let nice = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|n| n * power >= rough);
    let step = nice.unwrap_or(10.0) * power;
    let first = (low / step).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last).map(|i| i as f64 * step).collect()
}

fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The plot as one `<svg>` element.
pub fn draw(plot: &Plot) -> String {
    let scale = Scale::of(plot);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" width=\"{}\" role=\"img\" aria-label=\"{}\" \
         font-family=\"system-ui,sans-serif\" font-size=\"12\">",
        SIZE.0,
        SIZE.1,
        SIZE.0,
        escape(&plot.caption)
    );
    axes(&mut out, plot, &scale);
    for (i, line) in plot.lines.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        let dash = if i < COLOURS.len() {
            ""
        } else {
            " stroke-dasharray=\"5 3\""
        };
        let known = line
            .points
            .iter()
            .filter_map(|(x, mean)| mean.map(|mean| (*x, mean)));
        let mut path = String::new();
        for (at, (x, mean)) in known.enumerate() {
            let (px, py) = (scale.x(x), scale.y(mean.value * plot.scale));
            // Writing to a string cannot fail.
            let _ = write!(path, "{}{px:.1} {py:.1}", if at == 0 { "M" } else { "L" });
            let (low, high) = (
                (mean.value - mean.half) * plot.scale,
                (mean.value + mean.half) * plot.scale,
            );
            let _ = write!(
                out,
                "<line x1=\"{px:.1}\" x2=\"{px:.1}\" y1=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\" opacity=\".45\"/>\
                 <circle cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"3\" fill=\"{colour}\"><title>{}: {}</title></circle>",
                scale.y(low.max(scale.y.0)),
                scale.y(high.min(scale.y.1)),
                escape(&line.name),
                number(mean.value * plot.scale)
            );
        }
        let _ = write!(
            out,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"{dash}/>"
        );
        let (x, y) = (
            SIZE.0 - MARGINS.2 + 16.0,
            MARGINS.1 + 12.0 + 18.0 * i as f64,
        );
        let _ = write!(
            out,
            "<line x1=\"{x}\" x2=\"{}\" y1=\"{}\" y2=\"{}\" stroke=\"{colour}\" stroke-width=\"3\"{dash}/><text x=\"{}\" y=\"{y}\">{}</text>",
            x + 16.0,
            y - 4.0,
            y - 4.0,
            x + 22.0,
            escape(&line.name)
        );
    }
    out + "</svg>"
}

fn axes(out: &mut String, plot: &Plot, scale: &Scale) {
    let (left, right) = (MARGINS.0, SIZE.0 - MARGINS.2);
    let bottom = SIZE.1 - MARGINS.3;
    for value in round_steps(scale.y) {
        let y = scale.y(value);
        let _ = write!(
            out,
            "<line x1=\"{left}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#d8dee4\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            left - 6.0,
            y + 4.0,
            number(value)
        );
    }
    let named = plot
        .ticks
        .iter()
        .enumerate()
        .map(|(i, name)| (i as f64, name.clone()));
    let ticks: Vec<(f64, String)> = match plot.ticks.is_empty() {
        true => round_steps(scale.x)
            .into_iter()
            .map(|x| (x, number(x)))
            .collect(),
        false => named.collect(),
    };
    for (value, name) in ticks {
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            scale.x(value),
            bottom + 18.0,
            escape(&name)
        );
    }
    let middle = (left + right) / 2.0;
    let _ = write!(
        out,
        "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text><text x=\"14\" y=\"{}\" text-anchor=\"middle\" transform=\"rotate(-90 14 {})\">{}</text>",
        SIZE.1 - 12.0,
        escape(&plot.x),
        (MARGINS.1 + bottom) / 2.0,
        (MARGINS.1 + bottom) / 2.0,
        escape(&plot.y)
    );
}

#[cfg(test)]
mod tests {
    use super::super::report::Line;
    use super::*;

    #[test]
    fn steps_are_round_and_inside() {
        assert_eq!(
            round_steps((0.0, 100.0)),
            [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]
        );
        assert_eq!(round_steps((0.0, 10.0)), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(number(0.5), "0.5");
    }

    #[test]
    fn every_value_is_drawn_inside_the_frame() {
        let mean = |value| {
            Some(Mean {
                n: 3,
                value,
                half: 0.1,
            })
        };
        let line = Line::new(
            "a & b".to_owned(),
            vec![(0.0, mean(0.0)), (1.0, None), (2.0, mean(0.95))],
        );
        let svg = draw(&Plot::lines("c", ("x", "y"), vec![line]).in_percent());
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.contains("a &amp; b") && !svg.contains("NaN") && !svg.contains("inf"));
        let empty = draw(&Plot::lines("c", ("x", "y"), Vec::new()));
        assert!(!empty.contains("NaN") && !empty.contains("inf"));
    }
}
