//! The cases of `tests/parity.rs` through wgpu, on whatever adapter there is, software too: within the tolerances of the
//! contract for f32, and within those of f16 where the weights are rounded. Without an adapter nothing is tested.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

#[path = "support/golden.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod golden;
#[path = "support/random_model.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod random_model;

use patchglass::compute::{Gpu, adapters};
use patchglass::engine::EngineOptions;
use patchglass::engine::protocol::{DTypeChoice, DeviceChoice, Without};
use patchglass::index::TokenSet;
use patchglass::model::Llava;
use patchglass::spec::Intervention;
use patchglass::tensor::{DType, Device, Tensor};
use random_model::{Draw, RandomModel};

/// The last adapter: software where there is some, so that what a machine has decides as little as possible.
fn on_wgpu(without: Without, dtype: DTypeChoice) -> Option<EngineOptions> {
    let Some(adapter) = adapters().pop() else {
        println!("skipped: no adapter for wgpu");
        return None;
    };
    Some(EngineOptions {
        device: DeviceChoice::Wgpu(Some(adapter.index), without),
        dtype: Some(dtype),
        ..EngineOptions::default()
    })
}

fn agree(cases: &[String], options: &EngineOptions) {
    for case in cases {
        let ours = golden::run_on(&golden::load(case), options.clone());
        let differences = golden::differences(case, &ours);
        assert!(differences.is_empty(), "{case}: {differences:#?}");
    }
}

fn cases(setting: &str) -> Vec<String> {
    let names = [
        "none",
        "mean0",
        "zero0",
        "patch0",
        "mean_mid",
        "zero_mid",
        "patch_mid",
        "ko_last_patches",
        "ko_answer_image",
        "ko_question_image",
        "ko_last_question",
        "ko_all_all",
        "mixed",
    ];
    let mut cases: Vec<_> = names.map(|name| format!("{setting}.center.{name}")).into();
    cases.extend(["none", "mixed"].map(|name| format!("{setting}.pad.{name}")));
    cases
}

#[test]
fn every_case_of_the_small_checkpoints() {
    let Some(options) = on_wgpu(Without::default(), DTypeChoice::F32) else {
        return;
    };
    for setting in ["old-f32", "new-f16-gqa", "sparse-bf16-tied"] {
        agree(&cases(setting), &options);
    }
}

#[test]
fn the_demo_model() {
    let Some(options) = on_wgpu(Without::default(), DTypeChoice::F32) else {
        return;
    };
    agree(&["demo.center.mixed".to_owned()], &options);
}

/// What a card may lack.
#[test]
fn without_f16_subgroups_and_cooperative_matrices() {
    let without = Without {
        f16: true,
        subgroups: true,
        cooperative_matrix: true,
    };
    let Some(options) = on_wgpu(without, DTypeChoice::F32) else {
        return;
    };
    agree(&cases("new-f16-gqa"), &options);
}

/// Weights that are f16 in the file lose nothing when they are held as f16.
#[test]
fn weights_in_f16() {
    let Some(options) = on_wgpu(Without::default(), DTypeChoice::F16) else {
        return;
    };
    agree(&cases("new-f16-gqa"), &options);
}

/// Integrated gradients go backwards through the same weights.
#[test]
fn gradients_are_those_of_the_cpu() {
    let Some(adapter) = adapters().pop() else {
        println!("skipped: no adapter for wgpu");
        return;
    };
    let gpu = Gpu::open(Some(adapter.index), Without::default()).unwrap();
    for seed in 0..3 {
        let mut draw = Draw::new(700 + seed);
        let random = RandomModel::new(&mut draw);
        let load = |device: &Device| {
            Llava::load(random.folder.path(), device, DType::F32, &mut |_| Ok(())).unwrap()
        };
        let (cpu, card) = (load(&Device::Cpu), load(&Device::Wgpu(gpu.clone())));
        let embeds = Tensor::randn(0f32, 1.0, (9, cpu.facts.d_model), &Device::Cpu).unwrap();
        let token = draw.below(400) as u32;
        let gradient = |model: &Llava| {
            let embeds = embeds.to_device(model.llama.device()).unwrap();
            let (logit, gradient) = model.llama.gradient_of_logit(&embeds, token).unwrap();
            (
                logit,
                gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
            )
        };
        let ((logit, expected), (other, found)) = (gradient(&cpu), gradient(&card));
        let norm =
            |values: &mut dyn Iterator<Item = f32>| values.map(|v| v * v).sum::<f32>().sqrt();
        let length = norm(&mut expected.iter().copied());
        let gap = norm(&mut expected.iter().zip(&found).map(|(a, b)| a - b)) / length;
        println!("seed {seed}: logit {logit} and {other}, gradients {gap:.1e} apart");
        assert!(length > 0.0 && gap < 1e-4 && (logit - other).abs() < 1e-4 * logit.abs().max(1.0));
    }
}

/// A comparison that cannot fail proves nothing.
#[test]
fn a_wrong_mask_fails() {
    let Some(options) = on_wgpu(Without::default(), DTypeChoice::F32) else {
        return;
    };
    let case = "old-f32.center.ko_last_patches";
    let mut session = golden::load(case);
    let Intervention::AttentionKnockout(knockout) = &mut session.experiment.interventions[0] else {
        panic!("the case is a knockout");
    };
    knockout.queries = TokenSet::Question;
    let ours = golden::run_on(&session, options);
    assert!(!golden::differences(case, &ours).is_empty());
}
