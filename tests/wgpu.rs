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

use patchglass::engine::EngineOptions;
use patchglass::engine::protocol::{DTypeChoice, DeviceChoice, Without};
use patchglass::index::TokenSet;
use patchglass::spec::Intervention;

/// The last adapter: software where there is some, so that what a machine has decides as little as possible.
fn on_wgpu(without: Without, dtype: DTypeChoice) -> Option<EngineOptions> {
    let Some(adapter) = patchglass::compute::adapters().pop() else {
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
