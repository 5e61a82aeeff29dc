//! The original LLaVA layout: the same weights in both layouts are the same model, bit for bit.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

#[path = "support/golden.rs"]
#[expect(
    dead_code,
    reason = "only the monitor that listens to nothing is used here"
)]
mod golden;
#[path = "support/random_model.rs"]
#[allow(dead_code, reason = "only whole models are drawn here")]
mod random_model;

use std::path::Path;

use patchglass::engine::protocol::RunId;
use patchglass::engine::{Engine, EngineOptions, Named};
use patchglass::model::Description;
use patchglass::session::Session;
use patchglass::spec::{Experiment, ModelSource};
use random_model::{Draw, RandomModel};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

/// What the original layout calls a tensor of the published one, and whether it is the tower's.
fn original(name: &str) -> (String, bool) {
    for (from, to) in [
        ("language_model.model.", "model."),
        ("language_model.lm_head.", "lm_head."),
        ("multi_modal_projector.linear_1.", "model.mm_projector.0."),
        ("multi_modal_projector.linear_2.", "model.mm_projector.2."),
    ] {
        if let Some(rest) = name.strip_prefix(from) {
            return (format!("{to}{rest}"), false);
        }
    }
    (name.strip_prefix("vision_tower.").unwrap().to_owned(), true)
}

fn write_tensors(path: &Path, tensors: &[(String, TensorView<'_>)]) {
    let views = tensors.iter().map(|(name, view)| (name.as_str(), view));
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// Writes the model again, in two shards, with its tower at `tower`.
fn write_original(model: &RandomModel, folder: &Path, tower: &Path, tower_name: &str) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::create_dir_all(tower).unwrap();
    let from = model.folder.path();
    let bytes = std::fs::read(from.join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let (mut own, mut towers) = (Vec::new(), Vec::new());
    for (name, view) in file.tensors() {
        let (name, is_tower) = original(&name);
        if is_tower { &mut towers } else { &mut own }.push((name, view));
    }
    let (first, second) = own.split_at(own.len() / 2);
    write_tensors(&folder.join("model-00001-of-00002.safetensors"), first);
    write_tensors(&folder.join("model-00002-of-00002.safetensors"), second);
    write_tensors(&tower.join("model.safetensors"), &towers);
    let config: Value =
        serde_json::from_slice(&std::fs::read(from.join("config.json")).unwrap()).unwrap();
    let mut flat = config["text_config"].clone();
    for (field, value) in [
        ("model_type", json!("llava")),
        ("mm_projector_type", json!("mlp2x_gelu")),
        ("mm_vision_select_layer", json!(-2)),
        ("mm_vision_select_feature", json!("patch")),
        ("mm_use_im_start_end", json!(false)),
        ("mm_vision_tower", json!(tower_name)),
        ("tie_word_embeddings", config["tie_word_embeddings"].clone()),
    ] {
        flat[field] = value;
    }
    std::fs::write(folder.join("config.json"), flat.to_string()).unwrap();
    std::fs::copy(from.join("tokenizer.json"), folder.join("tokenizer.json")).unwrap();
    let clip = json!({"model_type": "clip", "vision_config": config["vision_config"]});
    std::fs::write(tower.join("config.json"), clip.to_string()).unwrap();
    let preprocessor = "preprocessor_config.json";
    std::fs::copy(from.join(preprocessor), tower.join(preprocessor)).unwrap();
}

fn run(experiment: &Experiment) -> (Vec<Named>, patchglass::engine::trace::RunReadout) {
    let session = Session::new(experiment.clone());
    let mut engine = Engine::new(EngineOptions::default()).unwrap();
    let trace = engine
        .run(&session.run_spec(RunId(1)), &mut golden::Deaf)
        .unwrap();
    (engine.dump(false).unwrap(), (*trace.edited).clone())
}

#[test]
fn both_layouts_give_the_same_bits() {
    for seed in 0..6 {
        println!("seed {seed}");
        let mut draw = Draw::new(9000 + seed);
        let model = RandomModel::new(&mut draw);
        let mut experiment = model.experiment();
        experiment.interventions = vec![model.intervention(&mut draw)];
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("llava");
        // Every second time the tower lies inside the folder, else where the configuration says.
        let inside = folder.join("vision_tower");
        let (tower, name) = match seed % 2 {
            0 => (inside, "openai/clip"),
            _ => (dir.path().join("clip"), "../clip"),
        };
        write_original(&model, &folder, &tower, name);
        let expected = run(&experiment);
        experiment.model = ModelSource::Folder(folder);
        assert_eq!(run(&experiment), expected);
    }
}

#[test]
fn what_is_missing_is_named() {
    let model = RandomModel::new(&mut Draw::new(1));
    let dir = tempfile::tempdir().unwrap();
    let (folder, tower) = (dir.path().join("llava"), dir.path().join("clip"));
    let say = || {
        Description::of_folder(&folder)
            .map(drop)
            .unwrap_err()
            .to_string()
    };
    write_original(&model, &folder, &tower, "nobody/has-this-tower");
    assert!(say().contains("nobody/has-this-tower"), "{}", say());
    write_original(&model, &folder, &tower, "../clip");
    assert!(Description::of_folder(&folder).is_ok());
    std::fs::remove_file(folder.join("tokenizer.json")).unwrap();
    assert!(say().contains("tokenizer.json"), "{}", say());
}
