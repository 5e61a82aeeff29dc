//! Our runs against the Python reference (Hugging Face transformers), one test a case: four checkpoints in every
//! published layout, interventions of every kind, both crops, greedy answers of 16 tokens.
//!
//! How the goldens are made: `tests/golden/README.md`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

#[path = "support/golden.rs"]
mod golden;

use patchglass::index::TokenSet;
use patchglass::spec::Intervention;

fn agrees(case: &str) {
    let ours = golden::run(&golden::load(case));
    let differences = golden::differences(case, &ours);
    assert!(differences.is_empty(), "{case}: {differences:#?}");
}

macro_rules! parity {
    ($($module:ident $setting:literal: $($case:ident)*;)*) => {
        $(mod $module {
            $(#[test]
            fn $case() {
                super::agrees(concat!($setting, ".", stringify!($case)));
            })*
        })*

        const N_CASES: usize = [$($(concat!($setting, ".", stringify!($case))),*),*].len();
    };
}

parity! {
    old_f32 "old-f32.center": none mean0 zero0 patch0 mean_mid zero_mid patch_mid ko_last_patches ko_answer_image
        ko_question_image ko_last_question ko_all_all mixed;
    old_f32_pad "old-f32.pad": none mixed;
    new_f16_gqa "new-f16-gqa.center": none mean0 zero0 patch0 mean_mid zero_mid patch_mid ko_last_patches
        ko_answer_image ko_question_image ko_last_question ko_all_all mixed;
    new_f16_gqa_pad "new-f16-gqa.pad": none mixed;
    sparse_bf16_tied "sparse-bf16-tied.center": none mean0 zero0 patch0 mean_mid zero_mid patch_mid ko_last_patches
        ko_answer_image ko_question_image ko_last_question ko_all_all mixed;
    sparse_bf16_tied_pad "sparse-bf16-tied.pad": none mixed;
    demo "demo.center": none mean0 zero0 patch0 mean_mid zero_mid patch_mid ko_last_patches ko_answer_image
        ko_question_image ko_last_question ko_all_all mixed;
    demo_pad "demo.pad": none mixed;
}

#[test]
fn every_session_has_a_test() {
    assert_eq!(
        std::fs::read_dir(golden::folder().join("sessions"))
            .unwrap()
            .count(),
        N_CASES
    );
}

/// A comparison that cannot fail proves nothing: a mask that is wrong by one column, one layer or one head must show.
#[test]
fn a_wrong_mask_fails() {
    let case = "old-f32.center.ko_last_patches";
    let wrong: [fn(&mut patchglass::spec::AttentionKnockout); 4] = [
        |k| k.keys = "patches:r1c2-r5c6".parse().unwrap(),
        |k| k.queries = TokenSet::Question,
        |k| k.layers = "2".parse().unwrap(),
        |k| k.heads = patchglass::index::HeadSet::List(vec![1, 2]),
    ];
    for (i, change) in wrong.into_iter().enumerate() {
        let mut session = golden::load(case);
        let Intervention::AttentionKnockout(knockout) = &mut session.experiment.interventions[0]
        else {
            panic!("the case is a knockout");
        };
        change(knockout);
        let differences = golden::differences(case, &golden::run(&session));
        assert!(!differences.is_empty(), "wrong mask {i} passed");
    }
}

/// A mask that does nothing, as a boolean mask does where an additive one is expected, must show as well.
#[test]
fn a_mask_without_effect_fails() {
    let case = "new-f16-gqa.center.ko_answer_image";
    let mut session = golden::load(case);
    session.experiment.interventions.clear();
    assert!(!golden::differences(case, &golden::run(&session)).is_empty());
}
