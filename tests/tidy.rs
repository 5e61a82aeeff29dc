//! Rules of the house that the compiler does not check: which module may name what, how long a file may be, that every
//! file says what it is.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

use std::path::{Path, PathBuf};

/// A word in the source, and the only places under `src/` that may say it.
const WORDS: &[(&str, &[&str])] = &[
    ("candle_", &["tensor/", "model/", "engine/"]),
    ("egui", &["ui/", "render/", "app/", "app.rs", "dialogs.rs"]),
    (
        "wgpu::",
        &["compute/", "ui/image_grid", "render/", "app/", "app.rs"],
    ),
    (
        "std::thread::",
        &[
            "engine/worker.rs",
            "dialogs.rs",
            "app/open.rs",
            "app/keeper.rs",
        ],
    ),
    ("mpsc", &["engine/worker.rs", "dialogs.rs", "app/keeper.rs"]),
    ("Mutex", &["compute/", "engine/worker.rs", "render/"]),
    ("rfd::", &["dialogs.rs"]),
    ("ureq", &["hub/"]),
    (
        "std::fs::",
        &[
            "files.rs",
            "hub/",
            "model/",
            "engine/",
            "session/file.rs",
            "app/",
            "app.rs",
            "cli/",
            "dialogs.rs",
            "experiment/",
        ],
    ),
    ("Color32::from_", &["ui/theme.rs", "render/"]),
    ("use crate::ui", &["ui/", "app.rs", "app/", "render/"]),
    ("use crate::app", &["app.rs", "app/", "cli/mod.rs"]),
    ("use crate::cli", &["main.rs"]),
    (
        "use crate::session",
        &[
            "session/",
            "export/",
            "ui/",
            "app.rs",
            "app/",
            "cli/",
            "dialogs.rs",
            "dialogs/",
        ],
    ),
    (
        "use crate::engine",
        &[
            "engine/",
            "experiment/",
            "lens/",
            "session/",
            "export/",
            "ui/",
            "render/",
            "app.rs",
            "app/",
            "cli/",
            "words_png.rs",
            "dialogs.rs",
        ],
    ),
    (
        "unsafe {",
        &[
            "compute/device.rs",
            "model/ops/",
            "model/weights/hugging_face.rs",
            "model/gguf/file.rs",
        ],
    ),
];

/// Modules that may be named only by the modules after them, in this order (`lib.rs` explains it).
const LAYERS: &[(&str, &[&str])] = &[
    (
        "hub",
        &[
            "index",
            "spec",
            "model",
            "lens",
            "intervene",
            "engine",
            "session",
            "export",
            "ui",
            "render",
            "app",
            "cli",
        ],
    ),
    (
        "index",
        &[
            "masks",
            "spec",
            "model",
            "lens",
            "intervene",
            "engine",
            "session",
            "ui",
            "render",
            "app",
            "cli",
        ],
    ),
    (
        "spec",
        &[
            "masks",
            "model",
            "lens",
            "intervene",
            "engine",
            "session",
            "ui",
            "render",
            "app",
            "cli",
        ],
    ),
    (
        "compute",
        &[
            "index",
            "spec",
            "tensor",
            "masks",
            "model",
            "lens",
            "intervene",
            "engine",
            "session",
            "ui",
            "render",
            "app",
            "cli",
        ],
    ),
    (
        "tensor",
        &[
            "index",
            "spec",
            "masks",
            "model",
            "lens",
            "intervene",
            "engine",
            "session",
            "ui",
            "render",
            "app",
            "cli",
        ],
    ),
    (
        "model",
        &[
            "masks",
            "lens",
            "intervene",
            "engine",
            "session",
            "ui",
            "render",
            "app",
            "cli",
        ],
    ),
    (
        "masks",
        &[
            "lens",
            "intervene",
            "engine",
            "session",
            "export",
            "ui",
            "render",
            "app",
            "cli",
        ],
    ),
    (
        "lens",
        &[
            "intervene",
            "engine",
            "session",
            "ui",
            "render",
            "app",
            "cli",
        ],
    ),
    (
        "intervene",
        &["lens", "engine", "session", "ui", "render", "app", "cli"],
    ),
    (
        "engine",
        &[
            "session",
            "export",
            "experiment",
            "ui",
            "render",
            "app",
            "cli",
        ],
    ),
    (
        "session",
        &["export", "experiment", "ui", "render", "app", "cli"],
    ),
    (
        "experiment",
        &["session", "export", "ui", "render", "app", "cli"],
    ),
    ("export", &["ui", "render", "app", "cli"]),
    ("ui", &["app", "cli"]),
];

/// Files longer than this fail.
const MAX_LINES: usize = 500;

fn sources(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, out),
            false if path.extension().is_some_and(|e| e == "rs") => out.push(path),
            false => {}
        }
    }
    out.sort();
}

/// Every source file under `src/` with its path from there.
fn files() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    let name = |path: &Path| {
        path.strip_prefix(&root)
            .unwrap()
            .to_string_lossy()
            .replace('\\', "/")
    };
    paths
        .iter()
        .map(|path| (name(path), std::fs::read_to_string(path).unwrap()))
        .collect()
}

/// Code without its comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text
        .lines()
        .enumerate()
        .map(|(i, line)| (i + 1, line.trim_start()));
    lines.filter(|(_, line)| !line.starts_with("//"))
}

#[test]
fn words_stay_in_their_modules() {
    let mut found = Vec::new();
    for (name, text) in files() {
        for (word, places) in WORDS {
            if places.iter().any(|place| name.starts_with(place)) {
                continue;
            }
            let hits = code(&text).filter(|(_, line)| line.contains(word));
            found.extend(
                hits.map(|(line_no, line)| format!("{name}:{line_no} says {word:?}: {line}")),
            );
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn lower_modules_do_not_name_higher_ones() {
    let mut found = Vec::new();
    for (name, text) in files() {
        for (module, higher) in LAYERS {
            if !name.starts_with(&format!("{module}/")) {
                continue;
            }
            for above in *higher {
                let path = format!("crate::{above}::");
                let hits = code(&text).filter(|(_, line)| line.contains(&path));
                found.extend(
                    hits.map(|(line_no, line)| format!("{name}:{line_no} names {above}: {line}")),
                );
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_file_says_what_it_is_and_is_short() {
    let mut found = Vec::new();
    for (name, text) in files() {
        if !text.starts_with("//! ") {
            found.push(format!("{name} does not open with //!"));
        }
        let n_lines = text.lines().count();
        if n_lines > MAX_LINES {
            found.push(format!("{name} has {n_lines} lines, more than {MAX_LINES}"));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The rules must be able to fail.
#[test]
fn the_rules_see_what_they_forbid() {
    let text = "// candle_core in a comment is fine\nuse candle_core::Tensor;";
    assert_eq!(
        code(text)
            .filter(|(_, line)| line.contains("candle_"))
            .count(),
        1
    );
}
