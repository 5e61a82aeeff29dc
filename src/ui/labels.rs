//! Words that more than one panel uses. It holds no widget.

/// What a level of the residual stream is, in words: `embeddings`, `after block 7`, `model output`.
pub fn level_label(level: usize, n_layers: usize) -> String {
    match level {
        0 => "embeddings".to_owned(),
        level if level >= n_layers => "model output".to_owned(),
        level => format!("after block {}", level - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::level_label;

    #[test]
    fn blocks_are_counted_from_zero() {
        assert_eq!(level_label(0, 8), "embeddings");
        assert_eq!(level_label(1, 8), "after block 0");
        assert_eq!(level_label(7, 8), "after block 6");
        assert_eq!(level_label(8, 8), "model output");
    }
}
