//! Pairs of GGUF files against the safetensors of the same weights, and against the Python reference.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

#[path = "support/gguf_writer.rs"]
mod gguf_writer;
#[path = "support/golden.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod golden;

use std::path::PathBuf;

use candle_core::Device;
use candle_core::quantized::{GgmlDType, QTensor, gguf_file};
use gguf_writer::{Form, write_pair};
use patchglass::engine::protocol::{DTypeChoice, RunId};
use patchglass::engine::{CacheFolder, Engine, EngineOptions};
use patchglass::model::{Description, GgufFiles};
use patchglass::session::Session;
use patchglass::spec::ModelSource;

fn checkpoint(name: &str) -> PathBuf {
    golden::folder().join("checkpoints").join(name)
}

/// A pair in a folder of its own, and the source that names it.
fn written(name: &str, form: Form) -> (tempfile::TempDir, ModelSource) {
    let folder = tempfile::tempdir().unwrap();
    let model = write_pair(&checkpoint(name), form, folder.path());
    let mmproj = None;
    (folder, ModelSource::Gguf { model, mmproj })
}

fn run_as(session: &Session, dtype: Option<DTypeChoice>) -> golden::Ours {
    let options = EngineOptions {
        dtype,
        cache: CacheFolder::Off,
        ..EngineOptions::default()
    };
    let mut engine = Engine::new(options).unwrap();
    let spec = session.run_spec(RunId(1));
    let trace = engine.run(&spec, &mut golden::Deaf).unwrap();
    let dump = engine.dump(false).unwrap();
    golden::Ours { trace, dump }
}

/// The worst ‖a − b‖ / ‖b‖ of the residual streams and of the logits of two runs.
fn worst(a: &golden::Ours, b: &golden::Ours) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let of = |(a, b): (&[f32], &[f32])| {
        assert_eq!(a.len(), b.len());
        let gap = norm(&mut a.iter().zip(b).map(|(a, b)| f64::from(a - b)));
        gap / norm(&mut b.iter().map(|b| f64::from(*b)))
    };
    let is_compared = |name: &str| name.starts_with("resid.") || name == "logits";
    let pairs = a
        .dump
        .iter()
        .zip(&b.dump)
        .filter(|((name, ..), _)| is_compared(name));
    let errors = pairs.map(|((_, _, a), (name, _, b))| {
        let n = a.len().min(b.len());
        // A cut vocabulary has fewer logits.
        assert!(name == "logits" || a.len() == b.len());
        of((&a[..n], &b[..n]))
    });
    errors.fold(0.0, f64::max)
}

/// A session of the goldens on a pair instead of its folder.
fn on_pair(case: &str, source: &ModelSource) -> Session {
    let mut session = golden::load(case);
    session.experiment.model = source.clone();
    session
}

/// In f32 a pair is the same model: it agrees with the Python reference as the folder does, and with the folder to 1e-5, in
/// every layout: as LLaVA's script writes it and with the right names, with `<image>` in the vocabulary and without,
/// grouped-query heads, tied embeddings.
#[test]
fn a_pair_in_f32_is_the_same_model() {
    let plain = Form::of(GgmlDType::F32);
    let named = Form {
        has_swapped_fc: false,
        ..plain
    };
    let cut = Form {
        is_cut: true,
        ..plain
    };
    for (name, form, cases) in [
        (
            "old-f32",
            plain,
            &[
                "center.none",
                "center.mixed",
                "center.ko_last_patches",
                "pad.mixed",
            ][..],
        ),
        ("old-f32", named, &["center.patch_mid"]),
        ("old-f32", cut, &["center.none", "pad.none"]),
        ("new-f16-gqa", plain, &["center.mixed", "pad.none"]),
        ("sparse-bf16-tied", plain, &["center.mixed"]),
    ] {
        let (_folder, source) = written(name, form);
        for case in cases {
            let case = format!("{name}.{case}");
            let ours = run_as(&on_pair(&case, &source), None);
            let theirs = run_as(&golden::load(&case), None);
            let worst = worst(&ours, &theirs);
            println!("{case} {form:?}: {worst:.1e}");
            assert!(worst < 1e-5, "{case} {form:?}: {worst:.1e}");
            assert_eq!(ours.trace.input_ids, theirs.trace.input_ids, "{case}");
            if !form.is_cut {
                assert_eq!(
                    golden::differences(&case, &ours),
                    Vec::<String>::new(),
                    "{case}"
                );
            }
        }
    }
}

/// Rounded weights: the stated tolerances hold for this model of random weights, which makes small differences large.
#[test]
fn rounded_pairs_agree_within_their_rounding() {
    let case = "old-f32.center.mixed";
    let exact = run_as(&golden::load(case), None);
    for (dtype, tolerance) in [(GgmlDType::F16, 5e-3), (GgmlDType::Q8_0, 5e-2)] {
        let (_folder, source) = written("old-f32", Form::of(dtype));
        let ours = run_as(&on_pair(case, &source), None);
        let error = worst(&ours, &exact);
        println!("{dtype:?}: {error:.1e} from the floats");
        assert!(error < tolerance, "{dtype:?}: {error:.1e}");
        assert!(error > 1e-6, "{dtype:?} is not rounded at all");
        if dtype == GgmlDType::Q8_0 {
            assert_eq!(ours.trace.model.dtype, "q8_0");
        }
    }
}

/// Blocks are moved, never rounded again: a pair whose maps are q8_0 and whose rest is f32 is the folder quantised at load.
#[test]
fn a_pair_in_q8_0_is_the_folder_in_q8_0() {
    let case = "old-f32.center.mixed";
    let (mut text, vision) = gguf_writer::pair(&checkpoint("old-f32"), Form::of(GgmlDType::F32));
    for (name, tensor) in &mut text.tensors {
        if tensor.rank() == 2 && name != "token_embd.weight" {
            let values = tensor.dequantize(&Device::Cpu).unwrap();
            *tensor = QTensor::quantize(&values, GgmlDType::Q8_0).unwrap();
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("q8_0.gguf");
    text.write(&model);
    vision.write(&folder.path().join("mmproj.gguf"));
    let mmproj = None;
    let ours = run_as(&on_pair(case, &ModelSource::Gguf { model, mmproj }), None);
    let made = run_as(&golden::load(case), Some(DTypeChoice::Q8_0));
    assert_eq!(
        (ours.trace.model.dtype.as_str(), worst(&ours, &made)),
        ("q8_0", 0.0)
    );
}

/// The wrong order of query and key rows must show, or the tests above prove nothing.
#[test]
fn rows_that_are_not_permuted_fail() {
    let case = "old-f32.center.mixed";
    let exact = run_as(&golden::load(case), None);
    let form = Form {
        is_permuted: false,
        ..Form::of(GgmlDType::F32)
    };
    let (_folder, source) = written("old-f32", form);
    let ours = run_as(&on_pair(case, &source), None);
    assert!(worst(&ours, &exact) > 1e-2);
    assert!(!golden::differences(case, &ours).is_empty());
}

/// The vocabulary of a pair makes the same tokens as the tokenizer that it was made from, and the same text of them.
#[test]
fn texts_are_cut_as_the_original_tokenizer_cuts_them() {
    let original = Description::of_folder(&checkpoint("old-f32"))
        .unwrap()
        .tokenizer;
    for is_cut in [false, true] {
        let form = Form {
            is_cut,
            ..Form::of(GgmlDType::F32)
        };
        let (_folder, source) = written("old-f32", form);
        let ModelSource::Gguf { model, mmproj } = source else {
            panic!("a pair is written")
        };
        let description = Description::of_gguf(&GgufFiles { model, mmproj }).unwrap();
        assert_eq!(description.config.image_token_id, 420);
        for text in [
            "USER: <image>\nDescribe the image. ASSISTANT:",
            "Is there a dog in this image? Yes, No.",
            "  two  spaces, a\ttab\n\nand lines ",
            "Zürich 写真 🦖 — ½",
            "",
            "<image>",
            "cat</s>USER: sun<s>",
            "elephantine xylophones quiz",
        ] {
            let (ours, theirs) = (&description.tokenizer, &original);
            let ids = ours.encode(text).unwrap();
            assert_eq!(ids, theirs.encode(text).unwrap(), "{text:?}");
            assert_eq!(
                ours.decode(&ids).unwrap(),
                theirs.decode(&ids).unwrap(),
                "{text:?}"
            );
        }
        let n_words = if is_cut { 420 } else { original.n_words() };
        assert_eq!(description.tokenizer.n_words(), n_words);
        assert_eq!(description.tokenizer.word_token("<image>").is_err(), is_cut);
    }
}

/// The vision file is found beside the model, or taken where it is named.
#[test]
fn the_vision_file_may_lie_elsewhere() {
    let (folder, source) = written("old-f32", Form::of(GgmlDType::F32));
    let ModelSource::Gguf { model, .. } = source else {
        panic!("a pair is written")
    };
    let eyes = folder.path().join("elsewhere");
    std::fs::create_dir(&eyes).unwrap();
    let mmproj = eyes.join("eyes.gguf");
    std::fs::rename(folder.path().join("mmproj-model-f16.gguf"), &mmproj).unwrap();
    let case = "old-f32.center.none";
    let mmproj = Some(mmproj);
    let ours = run_as(&on_pair(case, &ModelSource::Gguf { model, mmproj }), None);
    assert_eq!(golden::differences(case, &ours), Vec::<String>::new());
}

/// Every type of llama.cpp's that is read, in one file of a width that K-quants fit: the demo model, whose words stay.
#[test]
fn a_file_of_mixed_types_is_read() {
    let demo = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("assets/demo/model");
    let (mut text, vision) = gguf_writer::pair(&demo, Form::of(GgmlDType::Q8_0));
    let folder = tempfile::tempdir().unwrap();
    let types = [
        GgmlDType::Q4K,
        GgmlDType::Q5K,
        GgmlDType::Q6K,
        GgmlDType::Q5_0,
        GgmlDType::Q5_1,
        GgmlDType::BF16,
    ];
    let mut i = 0;
    for (name, tensor) in &mut text.tensors {
        if name.starts_with("blk.") && tensor.rank() == 2 {
            let fits = tensor.shape().dims()[1].is_multiple_of(256);
            let dtype = if fits {
                types[i % types.len()]
            } else {
                GgmlDType::Q4_1
            };
            let values = tensor.dequantize(&Device::Cpu).unwrap();
            *tensor = QTensor::quantize(&values, dtype).unwrap();
            i += 1;
        }
    }
    // The demo's tokenizer splits words before it merges, which GGUF cannot say: the one beside the file is taken.
    let kind = gguf_file::Value::String("other".to_owned());
    text.metadata
        .insert("tokenizer.ggml.model".to_owned(), kind);
    std::fs::copy(
        demo.join("tokenizer.json"),
        folder.path().join("tokenizer.json"),
    )
    .unwrap();
    let model = folder.path().join("mixed.gguf");
    text.write(&model);
    vision.write(&folder.path().join("MMPROJ.gguf"));
    let mut session = Session::demo();
    session.experiment.decode.max_new_tokens = 0;
    let exact = run_as(&session, None);
    session.experiment.model = ModelSource::Gguf {
        model,
        mmproj: None,
    };
    let ours = run_as(&session, None);
    println!("{}: {:.1e}", ours.trace.model.dtype, worst(&ours, &exact));
    assert!(ours.trace.model.dtype.contains("q4k") && ours.trace.model.dtype.contains("q5_1"));
    assert!(worst(&ours, &exact) < 0.3);
    let floats = run_as(&session, Some(DTypeChoice::F32));
    assert_eq!(floats.trace.model.dtype, "f32");
    // The blocks made float again at load, or at every product: the same numbers.
    assert!(worst(&floats, &ours) < 1e-4);
}
