//! `patchglass experiment`, run for real on a small checkpoint: interrupted, in shards, with bad input.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

/// Pictures of the set.
const N: usize = 12;
const TABLES: [&str; 6] = [
    "summary.md",
    "summary.html",
    "summary.csv",
    "lenient.csv",
    "token.csv",
    "clean.csv",
];

fn model() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/checkpoints/old-f32")
}

/// A folder with pictures and a COCO file about them, one object each.
fn data() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(model().join("picture.png")).unwrap();
    let picture = patchglass::model::preprocess::decode(&bytes, "picture.png").unwrap();
    let (width, height) = (picture.width, picture.height);
    let (mut images, mut annotations) = (Vec::new(), Vec::new());
    for id in 1..=N {
        let name = format!("{id}.png");
        std::fs::write(folder.path().join(&name), &bytes).unwrap();
        images.push(json!({"id": id, "file_name": name, "width": width, "height": height}));
        let (x, y) = ((id * 7) % (width / 2), (id * 5) % (height / 2));
        let (right, bottom) = (x + width / 3, y + height / 3);
        annotations.push(json!({"id": id, "image_id": id, "category_id": 1 + id % 2, "area": width * height / 9, "iscrowd": 0,
            "segmentation": [[x, y, right, y, right, bottom, x, bottom]]}));
    }
    let categories = json!([{"id": 1, "name": "dog", "supercategory": "animal"}, {"id": 2, "name": "owl", "supercategory": "animal"}]);
    let coco = json!({"images": images, "annotations": annotations, "categories": categories});
    std::fs::write(folder.path().join("instances.json"), coco.to_string()).unwrap();
    folder
}

fn command(data: &Path, experiment: &str, out: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_patchglass"));
    command
        .args([
            "experiment",
            experiment,
            "--device",
            "cpu",
            "--even-wrong",
            "--describe-tokens",
            "4",
            "--model",
        ])
        .arg(model())
        .arg("--coco")
        .arg(data.join("instances.json"))
        .arg("--out")
        .arg(out);
    command
}

fn ablation(data: &Path, out: &Path) -> Command {
    let mut command = command(data, "ablation", out);
    command.args([
        "--sets",
        "object,object+1,register,random:object+1,gradient:3",
        "--gradient-steps",
        "4",
    ]);
    command
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn tables(folder: &Path) -> Vec<String> {
    TABLES
        .map(|name| std::fs::read_to_string(folder.join(name)).unwrap())
        .to_vec()
}

/// The rows by index, without their times.
fn rows(folder: &Path) -> BTreeMap<u64, Value> {
    let text = std::fs::read_to_string(folder.join("rows.jsonl")).unwrap();
    let rows = text.lines().skip(1).map(|line| {
        let mut row: Value = serde_json::from_str(line).unwrap();
        row.as_object_mut().unwrap().remove("ms");
        (row["index"].as_u64().unwrap(), row)
    });
    rows.collect()
}

fn n_lines(path: &Path) -> usize {
    std::fs::read(path).map_or(0, |bytes| bytes.iter().filter(|b| **b == b'\n').count())
}

#[test]
fn what_was_killed_goes_on_to_the_same_tables() {
    let data = data();
    let (whole, killed) = (data.path().join("whole"), data.path().join("killed"));
    run(&mut ablation(data.path(), &whole));
    assert_eq!(rows(&whole).len(), N);

    let mut child = ablation(data.path(), &killed)
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let journal = killed.join("rows.jsonl");
    // The first line and two rows, then the end without a warning (SIGKILL).
    while n_lines(&journal) < 3 {
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before it could be killed"
        );
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let n_before = n_lines(&journal);
    assert!(n_before < N + 1, "killed too late: all rows are there");
    assert!(!killed.join("summary.md").exists());
    // What a row is torn into when the end comes while it is written.
    let mut bytes = std::fs::read(&journal).unwrap();
    bytes.truncate(bytes.iter().rposition(|b| *b == b'\n').unwrap() + 1);
    bytes.extend_from_slice(br#"{"index":11,"file":"12.p"#);
    std::fs::write(&journal, &bytes).unwrap();

    let output = run(&mut ablation(data.path(), &killed));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let n_left = N + 1 - n_before;
    assert!(
        told.contains(&format!("ablation: {n_left} pictures")) && told.contains("images/min"),
        "{told}"
    );
    assert_eq!(tables(&killed), tables(&whole));
    assert_eq!(rows(&killed), rows(&whole));
    // Once more: nothing is left to do, and other settings are refused by name.
    let output = run(&mut ablation(data.path(), &killed));
    assert!(String::from_utf8_lossy(&output.stderr).contains("ablation: 0 pictures"));
    let output = ablation(data.path(), &killed)
        .args(["--seed", "5"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("seed: 0 there, 5 here"));
    // Nor are rows of another number type put among them.
    let output = ablation(data.path(), &killed)
        .args(["--dtype", "q8_0"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    let types = "dtype: \"f32\" there, \"q8_0 with f32\" here";
    assert!(told.contains(types), "{told}");
    run(ablation(data.path(), &killed).args(["--dtype", "f32"]));
}

#[test]
fn shards_merge_to_the_same_tables() {
    let data = data();
    let path = |name: &str| data.path().join(name);
    let lens = |out: &str, shard: &str| {
        run(command(data.path(), "lens", &path(out)).args(["--shard", shard]))
    };
    lens("whole", "1/1");
    for (out, shard) in [("a", "1/3"), ("b", "2/3"), ("c", "3/3")] {
        lens(out, shard);
        assert_eq!(rows(&path(out)).len(), N / 3);
    }
    let merge = |parts: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_patchglass"));
        command
            .args(["experiment", "merge"])
            .args(parts.iter().map(|part| path(part)))
            .arg("--out")
            .arg(path("all"));
        command.output().unwrap()
    };
    let told = |output: Output| {
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(told(merge(&["c", "a"])).contains("shards are missing: 2/3"));
    assert!(told(merge(&["c", "a", "a", "b"])).contains("shard 1/3 is there twice"));
    assert!(merge(&["c", "a", "b"]).status.success());
    for name in ["summary.md", "summary.csv", "best.csv"] {
        let read = |folder: &str| std::fs::read_to_string(path(folder).join(name)).unwrap();
        assert_eq!(read("all"), read("whole"), "{name}");
    }
    assert_eq!(rows(&path("all")), rows(&path("whole")));
    // A shard that lost its end is named.
    let text = std::fs::read_to_string(path("b").join("rows.jsonl")).unwrap();
    let short: Vec<&str> = text.lines().take(N / 3).collect();
    std::fs::write(path("b").join("rows.jsonl"), short.join("\n") + "\n").unwrap();
    assert!(told(merge(&["c", "a", "b"])).contains("shard 2/3 is not complete"));
}

#[test]
fn the_mean_of_a_folder_replaces_as_the_mean_of_its_picture_does() {
    let data = data();
    let path = |name: &str| data.path().join(name);
    std::fs::create_dir(path("one")).unwrap();
    std::fs::copy(path("1.png"), path("one/1.png")).unwrap();
    std::fs::write(path("one/broken.png"), b"no picture").unwrap();
    let mean = |folder: &str, out: &str, shard: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_patchglass"));
        command
            .args([
                "experiment",
                "mean",
                "--device",
                "cpu",
                "--shard",
                shard,
                "--model",
            ])
            .arg(model());
        run(command.arg(path(folder)).arg("--out").arg(path(out)))
    };
    let told = mean("one", "one.safetensors", "1/1");
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(
        told.contains("1 could not be read") && told.contains("broken.png"),
        "{told}"
    );
    let with = format!("mean_of:{}", path("one.safetensors").display());
    for (out, with) in [("own", "mean"), ("file", with.as_str()), ("zero", "zero")] {
        run(command(data.path(), "ablation", &path(out))
            .args(["--sets", "object", "--limit", "3", "--with", with]));
    }
    let number = |out: &str| {
        rows(&path(out))[&0]["sets"][0]["tasks"][0]["logit"]
            .as_f64()
            .unwrap()
    };
    assert!((number("own") - number("file")).abs() < 1e-4);
    assert!(
        (number("own") - number("zero")).abs() > 1e-4,
        "the comparison can fail"
    );
    // The same name, but not the same mean: rows of the two are not mixed.
    let before = std::fs::read(path("one.safetensors")).unwrap();
    let mut other = before.clone();
    *other.last_mut().unwrap() ^= 1;
    std::fs::write(path("one.safetensors"), other).unwrap();
    let again = command(data.path(), "ablation", &path("file"))
        .args(["--sets", "object", "--limit", "3", "--with", &with])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&again.stderr);
    assert!(told.contains("mean_of_crc32: "), "{told}");
    std::fs::write(path("one.safetensors"), before).unwrap();
    // A sum goes on with what it was begun with.
    for (args, words) in [
        (["--crop", "pad"], "crop pad"),
        (["--dtype", "q8_0"], "q8_0"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_patchglass"));
        let command = command.args(["experiment", "mean", "--device", "cpu", "--model"]);
        let command = command.arg(model()).arg(path("one")).args(args);
        let output = command.arg("--out").arg(path("one.safetensors")).output();
        let told = String::from_utf8(output.unwrap().stderr).unwrap();
        let last = told.lines().last().unwrap();
        assert!(
            last.contains("sum of something else") && last.contains(words),
            "{told}"
        );
    }
    // All pictures are the same here, so shards and the whole have one mean.
    mean("", "a.safetensors", "1/2");
    mean("", "b.safetensors", "2/2");
    let mut merge = Command::new(env!("CARGO_BIN_EXE_patchglass"));
    merge
        .args(["experiment", "merge"])
        .arg(path("a.sum.json"))
        .arg(path("b.sum.json"))
        .arg("--out")
        .arg(path("all.safetensors"));
    run(&mut merge);
    assert_eq!(
        vector(&path("all.safetensors")).len(),
        vector(&path("one.safetensors")).len()
    );
    let apart = vector(&path("all.safetensors"))
        .into_iter()
        .zip(vector(&path("one.safetensors")));
    assert!(apart.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) < 1e-6);
}

fn vector(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let data = tensors.tensor("mean").unwrap().data().to_vec();
    data.chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect()
}

#[test]
fn bad_input_is_told_in_a_sentence() {
    let data = data();
    let out = data.path().join("out");
    let told = |args: &[&str]| {
        let output = command(data.path(), "ablation", &out)
            .args(args)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        text.lines().last().unwrap_or_default().to_owned()
    };
    for (args, word) in [
        (&["--shard", "4/3"][..], "--shard"),
        (&["--sets", "object,objekt"], "objekt"),
        (&["--tasks", "sing"], "sing"),
        (&["--with", "noise:3"], "--with"),
        (&["--crop", "left"], "--crop"),
        (&["--min-area", "1e9"], "no object passes"),
        (&["--images", "nowhere"], "nowhere"),
    ] {
        let text = told(args);
        assert!(text.contains(word), "{args:?}: {text}");
    }
    // Pictures of another size than the file says.
    let file = data.path().join("instances.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let mut coco: Value = serde_json::from_str(&text).unwrap();
    coco["images"][0]["width"] = json!(9);
    std::fs::write(&file, coco.to_string()).unwrap();
    assert!(told(&["--sets", "object", "--seed", "9"]).contains("9x"));
}
