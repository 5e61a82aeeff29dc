//! Downloads from a small hub on loopback: whole, resumed, wrong, hostile, closed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

#[path = "support/loopback_hub.rs"]
mod loopback_hub;

use std::path::{Path, PathBuf};

use loopback_hub::{LoopbackHub, Served};
use patchglass::error::Error;
use patchglass::hub::{Download, Hub};

const ID: &str = "owner/small-llava";

fn hub(server: &LoopbackHub, cache: &Path) -> Hub {
    Hub {
        endpoint: server.address(),
        token: None,
        cache: cache.to_owned(),
    }
}

/// The files of a real small checkpoint, sharded, and two that nobody needs.
fn files() -> Vec<Served> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/checkpoints/new-f16-gqa");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            Served::new(&name, std::fs::read(path).unwrap())
        })
        .collect();
    files.push(Served::new("README.md", b"hello".to_vec()));
    files.push(Served::new("pytorch_model.bin", vec![1; 5000]));
    files
}

fn fetch(hub: &Hub) -> patchglass::error::Result<PathBuf> {
    let listing = hub.list(ID)?;
    Download::new(hub, &listing).fetch(&mut |_, _| Ok(()))
}

#[test]
fn a_model_is_fetched_into_the_cache_that_other_tools_share() {
    let server = LoopbackHub::start(ID, files());
    let dir = tempfile::tempdir().unwrap();
    let hub = hub(&server, dir.path());
    let listing = hub.list(ID).unwrap();
    let wanted: u64 =
        server.sizes(|name| name.ends_with(".safetensors") || name.ends_with(".json"));
    assert_eq!(listing.n_bytes(), wanted);
    assert_eq!(
        server.n_requests("resolve"),
        0,
        "the size is told before anything is fetched"
    );
    let download = Download::new(&hub, &listing);
    let mut seen = Vec::new();
    let folder = download
        .fetch(&mut |n, all| {
            seen.push((n, all));
            Ok(())
        })
        .unwrap();
    assert!(seen.is_sorted() && seen.last() == Some(&(wanted, wanted)));
    let repository = dir.path().join("models--owner--small-llava");
    assert_eq!(folder, repository.join("snapshots").join(&listing.commit));
    let main = std::fs::read_to_string(repository.join("refs/main")).unwrap();
    assert_eq!(main, listing.commit);
    for file in &listing.files {
        let bytes = std::fs::read(folder.join(&file.name)).unwrap();
        assert_eq!(bytes, server.bytes(&file.name));
        assert!(repository.join("blobs").join(&file.digest).is_file());
    }
    assert!(!folder.join("README.md").exists() && !folder.join("pytorch_model.bin").exists());
    // The model can be run as it lies there.
    assert!(patchglass::model::Description::of_folder(&folder).is_ok());
    // A second time nothing is fetched.
    let before = server.n_requests("resolve");
    fetch(&hub).unwrap();
    assert_eq!(server.n_requests("resolve"), before);
}

#[test]
fn a_download_goes_on_where_it_was_cut_or_paused() {
    let mut served = files();
    let big = served
        .iter_mut()
        .find(|f| f.name == "model-00001-of-00003.safetensors")
        .unwrap();
    let n = big.bytes.len();
    // Every connection brings a piece and breaks off: more pieces than one call takes up by itself.
    big.cut_after = Some(n / 8);
    let server = LoopbackHub::start(ID, served);
    let dir = tempfile::tempdir().unwrap();
    let hub = hub(&server, dir.path());
    let error = fetch(&hub).unwrap_err();
    assert!(matches!(error, Error::Internal(_)), "{error}");
    assert!(error.to_string().contains("goes on from there"), "{error}");
    let there = {
        let listing = hub.list(ID).unwrap();
        Download::new(&hub, &listing).n_there()
    };
    assert!(there > 0);
    let mut folder = None;
    for _ in 0..8 {
        folder = folder.or(fetch(&hub).ok());
    }
    let folder = folder.unwrap();
    let name = "model-00001-of-00003.safetensors";
    assert_eq!(
        std::fs::read(folder.join(name)).unwrap(),
        server.bytes(name)
    );
    let sent = server.n_sent(name);
    assert!(
        sent < n + n / 4,
        "{sent} of {n} bytes were sent: what was there was used"
    );
    assert!(server.n_requests("Range: bytes=") > 3);
}

#[test]
fn a_pause_keeps_what_has_come() {
    let server = LoopbackHub::start(ID, files());
    let dir = tempfile::tempdir().unwrap();
    let hub = hub(&server, dir.path());
    let listing = hub.list(ID).unwrap();
    let download = Download::new(&hub, &listing);
    let half = listing.n_bytes() / 2;
    let pause = |n: u64, _| {
        if n > half {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    };
    assert_eq!(download.fetch(&mut { pause }), Err(Error::Cancelled));
    let there = download.n_there();
    assert!(there > half && there < listing.n_bytes());
    let mut first = None;
    download
        .fetch(&mut |n, _| {
            first.get_or_insert(n);
            Ok(())
        })
        .unwrap();
    assert!(first >= Some(there));
}

#[test]
fn what_is_not_what_the_hub_said_is_refused() {
    for git in [false, true] {
        let mut served = files();
        let name = if git {
            "tokenizer.json"
        } else {
            "model-00002-of-00003.safetensors"
        };
        let file = served.iter_mut().find(|f| f.name == name).unwrap();
        file.spoiled = true;
        let server = LoopbackHub::start(ID, served);
        let dir = tempfile::tempdir().unwrap();
        let error = fetch(&hub(&server, dir.path())).unwrap_err().to_string();
        assert!(
            error.contains("is not what") && error.contains(name),
            "{error}"
        );
        let repository = dir.path().join("models--owner--small-llava");
        assert!(!repository.join("snapshots").exists());
        let left = std::fs::read_dir(repository.join("blobs")).unwrap();
        let incomplete = |entry: std::io::Result<std::fs::DirEntry>| {
            entry
                .unwrap()
                .file_name()
                .to_string_lossy()
                .ends_with(".incomplete")
        };
        assert!(!left.into_iter().any(incomplete), "what was wrong is gone");
    }
}

#[test]
fn hostile_names_are_refused() {
    for name in ["../../evil.safetensors", "/tmp/evil", "a\\..\\b.json"] {
        let mut served = files();
        served.push(Served::new(name, b"evil".to_vec()));
        let server = LoopbackHub::start(ID, served);
        let dir = tempfile::tempdir().unwrap();
        let error = fetch(&hub(&server, dir.path())).unwrap_err();
        assert!(matches!(error, Error::Input(_)));
        assert!(error.to_string().contains("leaves its folder"), "{error}");
        assert_eq!(server.n_requests("resolve"), 0);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
    let server = LoopbackHub::start(ID, files());
    let dir = tempfile::tempdir().unwrap();
    for id in ["../evil", "a/../b", "x", "a/b/c"] {
        assert!(hub(&server, dir.path()).list(id).is_err(), "{id}");
    }
    let commit = "../../../evil".to_owned();
    let server = LoopbackHub::start_at(ID, files(), commit);
    let error = fetch(&hub(&server, dir.path())).unwrap_err().to_string();
    assert!(error.contains("commit"), "{error}");
}

#[test]
fn closed_and_unknown_models_are_told() {
    let server = LoopbackHub::start(ID, files());
    let dir = tempfile::tempdir().unwrap();
    let error = hub(&server, dir.path()).list("owner/other").unwrap_err();
    assert!(
        error.to_string().contains("has no model owner/other"),
        "{error}"
    );
    server.ask_for_token("secret");
    let error = hub(&server, dir.path()).list(ID).unwrap_err();
    assert!(error.to_string().contains("HF_TOKEN"), "{error}");
    assert_eq!(error.exit_code(), 2);
    let with_token = Hub {
        token: Some("secret".to_owned()),
        ..hub(&server, dir.path())
    };
    assert!(fetch(&with_token).is_ok());
    let gone = Hub {
        endpoint: "http://127.0.0.1:1".to_owned(),
        ..hub(&server, dir.path())
    };
    let error = gone.list(ID).unwrap_err().to_string();
    assert!(error.contains("could not be reached"), "{error}");
}

#[test]
fn the_command_fetches_what_the_environment_names() {
    let server = LoopbackHub::start(ID, files());
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        std::process::Command::new(env!("CARGO_BIN_EXE_patchglass"))
            .env("PATCHGLASS_DEVICE", "cpu")
            .args(args)
            .env("HF_ENDPOINT", server.address())
            .env("HF_HOME", dir.path())
            .env_remove("HF_HUB_CACHE")
            .env_remove("HF_HUB_OFFLINE")
            .env_remove("HF_TOKEN")
            .output()
            .unwrap()
    };
    let output = run(&["info", ID]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("patchglass download"));
    let output = run(&["download", ID]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(
        told.contains("7 files") && told.contains("q8_0 needs"),
        "{told}"
    );
    let folder = String::from_utf8(output.stdout).unwrap();
    assert!(Path::new(folder.trim()).starts_with(dir.path().join("hub")));
    assert!(run(&["info", ID]).status.success());
}
