//! The second oracle: candle-transformers' own CLIP and LLaMA, on the same weights, against our hooked ones; and the
//! completeness of the hook points.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

use std::collections::HashSet;
use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::clip::text_model::Activation;
use candle_transformers::models::clip::vision_model::{ClipVisionConfig, ClipVisionTransformer};
use candle_transformers::models::llama;
use patchglass::model::hooks::{HookPoint, HookSite, Hooks, NoHooks};
use patchglass::model::{KvCache, Llava};

fn demo_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("assets/demo/model")
}

fn load() -> (Llava, VarBuilder<'static>) {
    let model = Llava::load_demo(
        &patchglass::tensor::Device::Cpu,
        DType::F32,
        &mut |_| Ok(()),
    )
    .unwrap();
    let tensors =
        candle_core::safetensors::load(demo_folder().join("model.safetensors"), &Device::Cpu)
            .unwrap();
    (
        model,
        VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu),
    )
}

/// Deterministic pixels, not a picture: `[3, size, size]`.
fn pixels(size: usize) -> Vec<f32> {
    (0..3 * size * size)
        .map(|i| ((i * 7919 % 10007) as f32 / 5003.5 - 1.0) * 1.5)
        .collect()
}

fn relative_error(a: &Tensor, b: &Tensor) -> f32 {
    let norm = |x: &Tensor| {
        x.sqr()
            .unwrap()
            .sum_all()
            .unwrap()
            .to_scalar::<f32>()
            .unwrap()
            .sqrt()
    };
    norm(&(a - b).unwrap()) / norm(b)
}

#[test]
fn visual_tokens_agree_with_candles_clip() {
    let (model, vb) = load();
    let v = &model.config.vision;
    let config = ClipVisionConfig {
        embed_dim: v.hidden_size,
        activation: Activation::QuickGelu,
        intermediate_size: v.intermediate_size,
        num_hidden_layers: v.num_hidden_layers,
        num_attention_heads: v.num_attention_heads,
        projection_dim: v.hidden_size,
        num_channels: 3,
        image_size: v.image_size,
        patch_size: v.patch_size,
    };
    // candle always builds post_layernorm, which this checkpoint may leave out: it does not touch hidden states.
    let tower = ClipVisionTransformer::new(vb.pp("vision_tower.vision_model"), &config).unwrap();
    let input = pixels(v.image_size);
    let batch =
        Tensor::from_slice(&input, (1, 3, v.image_size, v.image_size), &Device::Cpu).unwrap();
    let hidden = tower.output_hidden_states(&batch).unwrap();
    // Their list holds the output of every block; ours is the output of block n_vision_layers - 1.
    let features = hidden[model.config.n_vision_layers - 1].get(0).unwrap();
    let features = features.narrow(0, 1, features.dim(0).unwrap() - 1).unwrap();
    let linear = |x: &Tensor, name: &str| {
        let vb = vb.pp("multi_modal_projector").pp(name);
        let d = model.facts.d_model;
        let weight = vb.get((d, d), "weight").unwrap();
        x.matmul(&weight.t().unwrap())
            .unwrap()
            .broadcast_add(&vb.get(d, "bias").unwrap())
            .unwrap()
    };
    let theirs = linear(
        &linear(&features, "linear_1").gelu_erf().unwrap(),
        "linear_2",
    );
    let error = relative_error(&model.encode(&input).unwrap().candle().unwrap(), &theirs);
    println!("relative error of the visual tokens: {error:.1e}");
    assert!(error < 1e-5);
}

#[test]
fn the_decoder_agrees_with_candles_llama() {
    let (model, vb) = load();
    let t = &model.config.text;
    let config = llama::Config {
        hidden_size: t.hidden_size,
        intermediate_size: t.intermediate_size,
        vocab_size: t.vocab_size,
        num_hidden_layers: t.num_hidden_layers,
        num_attention_heads: t.num_attention_heads,
        num_key_value_heads: t.num_key_value_heads,
        use_flash_attn: false,
        rms_norm_eps: t.rms_norm_eps,
        rope_theta: t.rope_theta as f32,
        bos_token_id: None,
        eos_token_id: None,
        rope_scaling: None,
        max_position_embeddings: t.max_position_embeddings,
        tie_word_embeddings: false,
    };
    let theirs = llama::Llama::load(vb.pp("language_model"), &config).unwrap();
    let mut their_cache = llama::Cache::new(true, DType::F32, &config, &Device::Cpu).unwrap();
    let mut cache = KvCache::new(t.num_hidden_layers);
    let mut position = 0;
    // A prompt, then single tokens that continue from the cache.
    for ids in [&[1u32, 300, 301, 302, 900, 17, 1999][..], &[42], &[43]] {
        let input = Tensor::new(ids, &Device::Cpu)
            .unwrap()
            .unsqueeze(0)
            .unwrap();
        let expected = theirs
            .forward(&input, position, &mut their_cache)
            .unwrap()
            .get(0)
            .unwrap();
        let x = model.llama.embed(ids).unwrap();
        let x = model.llama.forward(x, &mut cache, &mut NoHooks).unwrap();
        let last = x.narrow(0, ids.len() - 1, 1).unwrap();
        let logits = model
            .llama
            .unembed(&model.llama.final_norm(&last).unwrap())
            .unwrap()
            .get(0)
            .unwrap();
        let error = relative_error(&logits.candle().unwrap(), &expected);
        println!("relative error of the logits at position {position}: {error:.1e}");
        assert!(error < 1e-5);
        position += ids.len();
    }
}

/// Wants everything and notes what it sees; changes nothing.
struct Everything(HashSet<HookPoint>);

impl Hooks for Everything {
    fn wants(&self, _at: HookPoint) -> bool {
        true
    }

    fn visit(
        &mut self,
        at: HookPoint,
        first_pos: usize,
        x: patchglass::tensor::Tensor,
    ) -> patchglass::error::Result<patchglass::tensor::Tensor> {
        assert_eq!(first_pos, 0);
        assert!(self.0.insert(at), "{at} is visited twice");
        Ok(x)
    }
}

#[test]
fn every_hook_point_is_visited_once_and_looking_changes_only_rounding() {
    let model = Llava::load_demo(
        &patchglass::tensor::Device::Cpu,
        DType::F32,
        &mut |_| Ok(()),
    )
    .unwrap();
    let n_layers = model.facts.n_layers;
    let x = model.llama.embed(&[1, 300, 301, 302]).unwrap();
    let pass = |hooks: &mut dyn Hooks| {
        let mut cache = KvCache::new(n_layers);
        let rows = model.llama.forward(x.clone(), &mut cache, hooks);
        rows.unwrap().candle().unwrap()
    };
    let mut everything = Everything(HashSet::new());
    // Points that nobody looks at are fused, so the two ways differ by rounding.
    let error = relative_error(&pass(&mut everything), &pass(&mut NoHooks));
    assert!(error < 1e-5, "{error}");
    let expected =
        (0..n_layers).flat_map(|layer| HookSite::ALL.map(|site| HookPoint { layer, site }));
    assert_eq!(everything.0, expected.collect());
    let at = HookPoint {
        layer: 7,
        site: HookSite::Pattern,
    };
    assert_eq!(at.to_string(), "blocks.7.attn.hook_pattern");
}
