//! Names that come from a hub: checked before any of them becomes a path.

use std::path::{Component, Path};

use crate::error::{Error, Result};

/// Checks a model's name, `owner/name`.
///
/// # Errors
/// Anything but two names of letters, digits, dots, dashes and underscores.
pub(super) fn check_id(id: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    let is_name = |part: &str| !part.is_empty() && part.chars().all(fits) && !part.starts_with('.');
    match id.split_once('/') {
        Some((owner, name)) if is_name(owner) && is_name(name) && !id.contains("..") => Ok(()),
        _ => Err(Error::input(format!(
            "{id:?} is no model of a hub: write owner/name, such as llava-hf/llava-1.5-7b-hf"
        ))),
    }
}

/// Whether a file's name stays inside its folder, on every system.
pub(super) fn is_inside(name: &str) -> bool {
    let normal = |part: Component<'_>| matches!(part, Component::Normal(_));
    let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    !name.is_empty()
        && !name.contains(['\\', ':', '\0'])
        && name.split('/').all(is_plain)
        && Path::new(name).components().all(normal)
}

/// Whether a text can be the name of a blob or a commit: hexadecimal digits of SHA-1 or SHA-256.
pub(super) fn is_digest(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.chars().all(|c| c.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_inside() {
        for good in [
            "config.json",
            "a/b.safetensors",
            "model-00001-of-00002.safetensors",
        ] {
            assert!(is_inside(good), "{good}");
        }
        for bad in [
            "../x",
            "/etc/passwd",
            "a/../../b",
            "C:\\x",
            "..\\x",
            "",
            "a//b",
            "./a",
            "a\0",
            "a/..",
        ] {
            assert!(!is_inside(bad), "{bad}");
        }
        assert!(check_id("llava-hf/llava-1.5-7b-hf").is_ok());
        for bad in ["x", "../x", "a/b/c", "a/..", "a/b?x", "", "/a", "a/.b"] {
            assert!(check_id(bad).is_err(), "{bad}");
        }
        assert!(is_digest(&"0a".repeat(20)) && is_digest(&"f".repeat(64)));
        assert!(!is_digest("main") && !is_digest(&"g".repeat(40)));
    }
}
