//! From values to places on a colour scale: linear, square root or percentile. Pure; it draws nothing.

use crate::session::Scale;

/// A scale over some values.
#[derive(Clone, Debug, PartialEq)]
pub struct Placing {
    scale: Scale,
    range: (f32, f32),
    /// The known values, ascending; empty unless the scale needs them.
    sorted: Vec<f32>,
}

impl Placing {
    /// `range` holds the values of the two ends; it does not bound a percentile.
    pub fn new(scale: Scale, range: (f32, f32), values: &[f32]) -> Self {
        let mut sorted = Vec::new();
        if scale == Scale::Percentile {
            sorted.extend(values.iter().copied().filter(|v| v.is_finite()));
            sorted.sort_by(f32::total_cmp);
        }
        Self {
            scale,
            range,
            sorted,
        }
    }

    /// Where a value lies, 0..=1; not a number where it is unknown.
    pub fn place(&self, value: f32) -> f32 {
        if !value.is_finite() {
            return f32::NAN;
        }
        match self.scale {
            Scale::Linear => self.linear(value),
            Scale::Sqrt => self.linear(value).sqrt(),
            Scale::Percentile => {
                let smaller = self.sorted.partition_point(|v| *v < value);
                let others = self.sorted.len().saturating_sub(1).max(1);
                (smaller as f32 / others as f32).min(1.0)
            }
        }
    }

    fn linear(&self, value: f32) -> f32 {
        let span = self.range.1 - self.range.0;
        if span > 0.0 {
            ((value - self.range.0) / span).clamp(0.0, 1.0)
        } else {
            0.0
        }
    }

    /// The value whose place is the middle of the scale.
    pub fn middle(&self) -> f32 {
        let (low, high) = self.range;
        match self.scale {
            Scale::Linear => low + (high - low) / 2.0,
            Scale::Sqrt => low + (high - low) / 4.0,
            Scale::Percentile => {
                let middle = self.sorted.get(self.sorted.len() / 2);
                middle.copied().unwrap_or(low)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placing(scale: Scale, values: &[f32]) -> Placing {
        Placing::new(scale, (0.0, 4.0), values)
    }

    #[test]
    fn places_are_those_of_the_formulas() {
        assert_eq!(placing(Scale::Linear, &[]).place(1.0), 0.25);
        assert_eq!(placing(Scale::Sqrt, &[]).place(1.0), 0.5);
        let values = [3.0, 0.0, f32::NAN, 0.0, 1.0, 9.0];
        let places = values.map(|v| placing(Scale::Percentile, &values).place(v));
        assert_eq!(places[..2], [0.75, 0.0]);
        assert_eq!(places[3..], [0.0, 0.5, 1.0]);
        for scale in Scale::ALL {
            assert!(placing(scale, &values).place(f32::NAN).is_nan());
        }
    }

    #[test]
    fn places_rise_with_the_value_and_the_middle_is_in_the_middle() {
        let values: Vec<f32> = (0..301).map(|i| ((i * 7919) % 301) as f32 / 75.0).collect();
        for scale in Scale::ALL {
            let placing = placing(scale, &values);
            let mut sorted = values.clone();
            sorted.sort_by(f32::total_cmp);
            let places: Vec<f32> = sorted.iter().map(|v| placing.place(*v)).collect();
            assert!(places.windows(2).all(|w| w[0] <= w[1]), "{scale:?}");
            assert!(places.iter().all(|t| (0.0..=1.0).contains(t)));
            let middle = placing.place(placing.middle());
            assert!((middle - 0.5).abs() < 0.01, "{scale:?} {middle}");
        }
    }
}
