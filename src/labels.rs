//! Words and numbers as the panels write them: level names, probabilities, three significant digits.
//!
//! Nothing here draws.

/// What a level of the residual stream is, in words: level n is the stream after the n-th block.
pub fn level_label(level: usize, n_layers: usize) -> String {
    match level {
        0 => "embeddings".to_owned(),
        level if level >= n_layers => "model output".to_owned(),
        level => format!("after block {level}"),
    }
}

/// A probability in four characters, so that columns of them line up: `.712`, `1.00`, `<.001`.
pub fn probability(p: f32) -> String {
    if !p.is_finite() {
        return "–".to_owned();
    }
    match p {
        p if p >= 0.9995 => "1.00".to_owned(),
        p if p > 0.0 && p < 0.0005 => "<.001".to_owned(),
        p => format!("{p:.3}").trim_start_matches('0').to_owned(),
    }
}

/// A number with three significant digits: `0.0123`, `7.62`, `134`, `1.2e5`.
pub fn number(value: f32) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let magnitude = value.abs();
    match magnitude {
        0.0 => "0".to_owned(),
        m if m < 0.001 => format!("{value:.1e}"),
        m if m < 0.9995 => format!("{value:.3}"),
        m if m < 9.995 => format!("{value:.2}"),
        m if m < 99.95 => format!("{value:.1}"),
        m if m < 99_999.5 => format!("{value:.0}"),
        _ => format!("{value:.1e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_named_by_the_blocks_that_have_run() {
        assert_eq!(level_label(0, 8), "embeddings");
        assert_eq!(level_label(1, 8), "after block 1");
        assert_eq!(level_label(7, 8), "after block 7");
        assert_eq!(level_label(8, 8), "model output");
    }

    #[test]
    fn probabilities() {
        for (p, text) in [
            (0.7123, ".712"),
            (0.9996, "1.00"),
            (0.0001, "<.001"),
            (0.0, ".000"),
            (f32::NAN, "–"),
        ] {
            assert_eq!(probability(p), text);
        }
    }

    #[test]
    fn numbers() {
        for (value, text) in [(0.0, "0"), (7.624, "7.62"), (134.4, "134"), (0.5, "0.500")] {
            assert_eq!(number(value), text);
        }
    }
}
