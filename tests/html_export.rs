//! The exported page in a real browser: a click on a patch shows the same words as the window, and nothing a person or a
//! model wrote becomes markup. Prints that it was skipped where there is no Chromium.

#![cfg(feature = "gui")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

#[path = "support/real.rs"]
#[allow(dead_code, reason = "the values of nodes are not read here")]
mod real;

use std::path::{Path, PathBuf};
use std::process::Command;

use egui_kittest::kittest::Queryable as _;
use patchglass::export::html;
use patchglass::session::{Command as Edit, Session, file, update};

/// The browser, or why there is none.
fn chromium() -> Option<PathBuf> {
    let named = std::env::var_os("PATCHGLASS_CHROMIUM").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let found = std::env::split_paths(&path)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|file| file.is_file());
    named.or(found)
}

/// The page's document after its scripts and then `script` have run; `None` without a browser.
fn document_after(page: &str, script: &str, folder: &Path) -> Option<String> {
    let Some(browser) = chromium() else {
        println!("skipped: there is no chromium here (PATCHGLASS_CHROMIUM can name one)");
        return None;
    };
    let file = folder.join("page.html");
    let page = page.replace("</body>", &format!("<script>{script}</script></body>"));
    std::fs::write(&file, page).unwrap();
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .args(["--window-size=1280,900", "--virtual-time-budget=2000"])
        .arg(format!(
            "--user-data-dir={}",
            folder.join("profile").display()
        ))
        .arg(format!("file://{}", file.display()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}

/// What a person clicks: whatever lies in the middle of the patch on the screen.
fn click_script(patch: usize) -> String {
    format!(
        "const box = document.getElementById('p{patch}').getBoundingClientRect();
         document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2).click();"
    )
}

/// The five lines of the locked patch: word and probability.
fn lines(document: &str) -> Vec<String> {
    let top = document.split("<div id=\"top\">").nth(1).unwrap();
    let between = |text: &str, from: &str, to: &str| {
        let rest = text.split(from).nth(1).unwrap();
        rest.split(to).next().unwrap().to_owned()
    };
    let top = top.split("<div id=\"history\">").next().unwrap();
    let words = top.split("<div class=\"word\">").skip(1);
    words
        .map(|line| {
            format!(
                "{} {}",
                between(line, "<b>", "</b>"),
                between(line, "<s>", "</s>")
            )
        })
        .collect()
}

#[test]
fn a_click_shows_the_same_words_as_the_window() {
    let camel = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/demo/camel.json");
    let mut harness = real::open(file::load(&camel).unwrap());
    real::settle(&mut harness);
    let dir = tempfile::tempdir().unwrap();
    let page = {
        let app = harness.state();
        html::page(app.session(), app.trace().unwrap()).unwrap()
    };
    for (row, col) in [(14, 3), (15, 12), (0, 23)] {
        let name = format!("Patch row {row} column {col}");
        let at = harness.get_by_label(&name).rect().center();
        harness.hover_at(at);
        harness.run_steps(3);
        let Some(document) = document_after(&page, &click_script(row * 24 + col), dir.path())
        else {
            return;
        };
        let lines = lines(&document);
        assert_eq!(lines.len(), 5);
        println!("r{row}c{col}: {}", lines.join(", "));
        for line in &lines {
            assert!(harness.query_by_label(line).is_some(), "{line}");
        }
    }
}

#[test]
fn text_of_people_and_models_stays_text() {
    let mut session = Session::demo();
    session.experiment.decode.max_new_tokens = 1;
    let hostile = "</script><script>document.title = 'bad'</script><img src=x onerror=alert(1)>";
    update(&mut session, Edit::SetPrompt(hostile.to_owned()));
    let mut harness = real::open(session);
    real::settle(&mut harness);
    let dir = tempfile::tempdir().unwrap();
    let app = harness.state();
    let page = html::page(app.session(), app.trace().unwrap()).unwrap();
    assert!(!page.contains("</script><script>document.title"));
    if let Some(document) = document_after(&page, "", dir.path()) {
        assert!(document.contains("<title>desert.png"));
        assert!(document.contains("&lt;img src=x onerror"));
        assert!(!document.contains("<img src=x"));
    }
}
