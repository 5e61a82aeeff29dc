//! Shares and means with intervals.

/// 97.5 % of a normal distribution lie below this.
const Z: f64 = 1.959_963_984_540_054;

/// A share of `n` cases with Wilson's 95 % interval (Wilson 1927), which holds for few cases and near 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    pub k: usize,
    pub n: usize,
}

impl Share {
    /// How many of the cases hold.
    pub fn of(cases: impl IntoIterator<Item = bool>) -> Self {
        let (mut k, mut n) = (0, 0);
        for case in cases {
            k += usize::from(case);
            n += 1;
        }
        Self { k, n }
    }

    /// `None` of no case.
    pub fn value(self) -> Option<f64> {
        (self.n > 0).then(|| self.k as f64 / self.n as f64)
    }

    /// `None` of no case.
    pub fn interval(self) -> Option<(f64, f64)> {
        let (n, p) = (self.n as f64, self.value()?);
        let centre = p + Z * Z / (2.0 * n);
        let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        let whole = 1.0 + Z * Z / n;
        Some((
            ((centre - half) / whole).max(0.0),
            ((centre + half) / whole).min(1.0),
        ))
    }
}

/// The mean of `n` numbers with a 95 % interval from their standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    pub n: usize,
    pub value: f64,
    /// Half the width of the interval; 0 of fewer than two numbers.
    pub half: f64,
}

impl Mean {
    /// `None` of no number.
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len();
        let value = values.iter().sum::<f64>() / n as f64;
        let spread: f64 = values.iter().map(|x| (x - value).powi(2)).sum();
        let half = match n {
            0 => return None,
            1 => 0.0,
            n => Z * (spread / (n - 1) as f64 / n as f64).sqrt(),
        };
        Some(Self { n, value, half })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of `statsmodels.stats.proportion.proportion_confint(method="wilson")`.
    #[test]
    fn intervals_are_wilsons() {
        for (k, n, low, high) in [
            (0, 10, 0.0, 0.277_533),
            (5, 10, 0.236_593, 0.763_407),
            (39, 40, 0.871_184, 0.995_573),
        ] {
            let (a, b) = Share { k, n }.interval().unwrap();
            assert!(
                (a - low).abs() < 1e-3 && (b - high).abs() < 1e-3,
                "{k}/{n}: {a} {b}"
            );
        }
        assert_eq!(Share::of([true, false, true, true]), Share { k: 3, n: 4 });
        assert_eq!(Share { k: 0, n: 0 }.interval(), None);
    }

    #[test]
    fn means_have_the_sample_deviation() {
        let mean = Mean::of(&[1.0, 2.0, 3.0, 4.0]).unwrap();
        // sd 1.29099, standard error 0.645497
        assert!((mean.value - 2.5).abs() < 1e-12 && (mean.half - 1.265_155).abs() < 1e-5);
        assert_eq!(Mean::of(&[]), None);
        assert_eq!(Mean::of(&[3.0]).unwrap().half, 0.0);
    }
}
