//! `kill -9` at any moment leaves whole files: a child process saves without end and is killed, 50 times.

#![cfg(all(feature = "gui", unix))]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use patchglass::app::{Folders, Memory};
use patchglass::session::{self, Session, file, update};

/// Set for the child: the folder that it saves in.
const FOLDER: &str = "PATCHGLASS_TEST_KILL";
const ROUNDS: u64 = 50;

/// A session that can be told by its number; long enough that a torn file would show.
fn numbered(n: u64) -> Session {
    let mut session = Session::demo();
    let prompt = format!("{n} {}", "long ".repeat(4000));
    update(&mut session, session::Command::SetPrompt(prompt));
    session
}

fn number(path: &Path) -> u64 {
    let prompt = file::load(path).unwrap().experiment.prompt;
    assert_eq!(
        prompt.len(),
        prompt.find(' ').unwrap() + 1 + 5 * 4000,
        "it is whole"
    );
    prompt.split(' ').next().unwrap().parse().unwrap()
}

/// The child: saves by hand and by itself, and says what was handed over.
#[test]
fn child_that_saves_without_end() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let mut memory = Memory::read(Folders::at(&folder));
    for n in 1.. {
        let session = numbered(n);
        file::save(&session, &folder.join("by-hand.json")).unwrap();
        println!("saved {n}");
        memory.autosave(&session, None, n as f64);
        memory.autosave(&session, None, n as f64 + 0.9);
    }
}

fn child(folder: &Path) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["child_that_saves_without_end", "--exact", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn whatever_is_killed_leaves_whole_files() {
    let dir = tempfile::tempdir().unwrap();
    let mut kills = 0;
    for round in 0..ROUNDS {
        let mut child = child(dir.path());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut last = 0;
        // A different moment every time: after a few saves and some microseconds.
        for line in lines.by_ref() {
            let line = line.unwrap();
            if let Some(n) = line.split("saved ").nth(1) {
                last = n.parse().unwrap();
            }
            if last > round % 4 {
                break;
            }
        }
        std::thread::park_timeout(Duration::from_micros(137 * round % 3001));
        let autosave = dir.path().join(format!("autosave-{}.json", child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(
            number(&dir.path().join("by-hand.json")) >= last,
            "the last save is there"
        );
        if autosave.exists() {
            kills += 1;
            assert!(number(&autosave) >= 1);
        }
    }
    assert!(kills > ROUNDS / 2, "{kills} autosaves were seen");
    // The next start offers the newest of them.
    let mut memory = Memory::read(Folders::at(dir.path()));
    let found = memory.bring_back().unwrap().unwrap();
    assert!(found.0.experiment.prompt.ends_with("long "));
}

/// The control: a file that is written in place is torn by the same treatment.
#[test]
fn a_file_written_in_place_would_be_torn() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("torn.json");
    let text = file::to_text(&numbered(1), dir.path()).unwrap();
    std::fs::write(&path, &text.as_bytes()[..text.len() / 2]).unwrap();
    assert!(file::load(&path).is_err());
}
