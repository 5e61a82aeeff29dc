//! Small LLaVA checkpoints with random sizes and weights, written to a temporary folder, and random experiments on them.
//!
//! Every draw comes from one seed, so that a failing case can be named and run again.

use std::collections::BTreeMap;
use std::path::PathBuf;

use patchglass::index::{HeadSet, LayerRange, Patch, PatchGrid, PatchSet, TokenSet, choose};
use patchglass::spec::{
    Ablation, AttentionKnockout, Decode, Erase, Experiment, Intervention, ModelSource,
    PictureSource, Replacement, Scale, Steer, Swap, WordVector,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use rand_distr::{Distribution as _, StandardNormal};
use safetensors::tensor::{Dtype, TensorView};

/// A random source with the few draws that the tests need.
pub struct Draw(ChaCha8Rng);

impl Draw {
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A number in `0..n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.0.next_u64() % n as u64) as usize
    }

    pub fn one_of<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())].clone()
    }

    pub fn chance(&mut self) -> bool {
        self.below(2) == 0
    }

    fn normal(&mut self) -> f32 {
        StandardNormal.sample(&mut self.0)
    }
}

/// A checkpoint on disk for as long as this lives.
pub struct RandomModel {
    pub folder: tempfile::TempDir,
    pub grid: PatchGrid,
    pub n_layers: usize,
    pub n_heads: usize,
}

struct Sizes {
    d: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    d_ff: usize,
    layers: usize,
    vocab: usize,
    vision_d: usize,
    vision_layers: usize,
    image: usize,
    patch: usize,
    tied: bool,
}

impl RandomModel {
    /// Draws sizes and weights and writes the checkpoint.
    pub fn new(draw: &mut Draw) -> Self {
        let kv_heads = draw.one_of(&[1, 2]);
        let heads = kv_heads * draw.one_of(&[1, 2, 3]);
        let head_dim = draw.one_of(&[4, 8]);
        let patch = draw.one_of(&[4, 7]);
        let side = 2 + draw.below(3);
        let sizes = Sizes {
            d: heads * head_dim,
            heads,
            kv_heads,
            head_dim,
            d_ff: 8 + draw.below(20),
            layers: 1 + draw.below(4),
            vocab: 448,
            vision_d: 12,
            vision_layers: 2,
            image: side * patch,
            patch,
            tied: draw.chance(),
        };
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
        write("config.json", sizes.config().to_string().as_bytes());
        write(
            "preprocessor_config.json",
            sizes.preprocessor().to_string().as_bytes(),
        );
        write("model.safetensors", &sizes.weights(draw));
        let golden =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/checkpoints/old-f32");
        for name in ["tokenizer.json", "picture.png"] {
            std::fs::copy(golden.join(name), folder.path().join(name)).unwrap();
        }
        std::fs::write(folder.path().join("other.png"), patchglass::demo::PICTURE).unwrap();
        let grid = PatchGrid::new(side, side);
        Self {
            folder,
            grid,
            n_layers: sizes.layers,
            n_heads: heads,
        }
    }

    /// A question about the checkpoint's picture, with nothing done to it.
    pub fn experiment(&self) -> Experiment {
        Experiment {
            model: ModelSource::Folder(self.folder.path().to_owned()),
            picture: PictureSource::File(self.folder.path().join("picture.png")),
            prompt: "What is it?".to_owned(),
            decode: Decode { max_new_tokens: 4 },
            ..Experiment::default()
        }
    }

    pub fn patch(&self, draw: &mut Draw) -> Patch {
        self.grid.patch(draw.below(self.grid.len()))
    }

    pub fn patches(&self, draw: &mut Draw) -> PatchSet {
        if draw.below(8) == 0 {
            return PatchSet::All;
        }
        let n = 1 + draw.below(self.grid.len());
        (0..n).map(|_| self.patch(draw)).collect()
    }

    pub fn tokens(&self, draw: &mut Draw) -> TokenSet {
        let words = TokenSet::WORDS.map(|(_, set)| set);
        if draw.chance() {
            TokenSet::Patches(self.patches(draw))
        } else {
            draw.one_of(&words)
        }
    }

    pub fn layers(&self, draw: &mut Draw) -> LayerRange {
        let first = draw.below(self.n_layers);
        let last = first + draw.below(self.n_layers - first);
        draw.one_of(&[LayerRange::All, LayerRange::Blocks { first, last }])
    }

    pub fn knockout(&self, draw: &mut Draw) -> AttentionKnockout {
        let head = draw.below(self.n_heads);
        AttentionKnockout {
            queries: self.tokens(draw),
            keys: self.tokens(draw),
            layers: self.layers(draw),
            heads: draw.one_of(&[HeadSet::All, HeadSet::List(vec![head])]),
            enabled: true,
            name: None,
        }
    }

    pub fn ablation(&self, draw: &mut Draw) -> Ablation {
        let donor = Replacement::Patch(self.patch(draw));
        let seed = draw.below(100) as u64;
        Ablation {
            patches: self.patches(draw),
            with: draw.one_of(&[
                Replacement::Mean,
                Replacement::Zero,
                Replacement::Noise(seed),
                donor,
            ]),
            layer: draw.below(self.n_layers),
            enabled: true,
            name: None,
        }
    }

    pub fn intervention(&self, draw: &mut Draw) -> Intervention {
        match draw.chance() {
            true => Intervention::Ablation(self.ablation(draw)),
            false => Intervention::AttentionKnockout(self.knockout(draw)),
        }
    }

    /// The same, and rows that are swapped in, steered, erased from or scaled.
    pub fn any_intervention(&self, draw: &mut Draw) -> Intervention {
        let (tokens, layer) = (self.tokens(draw), draw.below(self.n_layers));
        let word = draw.one_of(&["dog", "red", "cat"]).to_owned();
        let text = WordVector::Text(draw.below(self.n_layers + 1));
        let vector = draw.one_of(&[WordVector::Unembedding, WordVector::Embedding, text]);
        let strength = draw.one_of(&[-2.0, -0.5, 0.3, 1.0]);
        let (enabled, name) = (true, None);
        match draw.below(8) {
            0 => Intervention::Swap(self.swap(draw)),
            1 => Intervention::Steer(Steer {
                tokens,
                word,
                vector,
                strength,
                layer,
                enabled,
                name,
            }),
            2 => Intervention::Erase(Erase {
                tokens,
                word,
                vector,
                layer,
                enabled,
                name,
            }),
            3 => Intervention::Scale(Scale {
                tokens,
                by: strength,
                layer,
                enabled,
                name,
            }),
            _ => self.intervention(draw),
        }
    }

    /// A rectangle of the other picture at some place of this one.
    pub fn swap(&self, draw: &mut Draw) -> Swap {
        let (a, b) = (self.patch(draw), self.patch(draw));
        let patches = choose::rectangle(a, b, self.grid);
        let (rows, cols) = (a.row.abs_diff(b.row) + 1, a.col.abs_diff(b.col) + 1);
        let from = Patch::new(
            draw.below(self.grid.rows + 1 - usize::from(rows)) as u16,
            draw.below(self.grid.cols + 1 - usize::from(cols)) as u16,
        );
        Swap {
            patches,
            image: self.folder.path().join("other.png"),
            from: draw.one_of(&[Some(from), None]),
            layer: draw.below(self.n_layers),
            enabled: true,
            name: None,
        }
    }
}

impl Sizes {
    fn config(&self) -> serde_json::Value {
        serde_json::json!({
            "model_type": "llava", "image_token_index": 420, "tie_word_embeddings": self.tied,
            "text_config": {
                "model_type": "llama", "vocab_size": self.vocab, "hidden_size": self.d, "head_dim": self.head_dim,
                "intermediate_size": self.d_ff, "num_hidden_layers": self.layers,
                "num_attention_heads": self.heads, "num_key_value_heads": self.kv_heads
            },
            "vision_config": {
                "model_type": "clip_vision_model", "hidden_size": self.vision_d, "intermediate_size": 16,
                "num_hidden_layers": self.vision_layers, "num_attention_heads": 2,
                "image_size": self.image, "patch_size": self.patch
            }
        })
    }

    fn preprocessor(&self) -> serde_json::Value {
        serde_json::json!({"size": {"shortest_edge": self.image}, "crop_size": self.image, "resample": 3})
    }

    /// Names and shapes of every tensor, in the layout of the published files.
    fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        let mut out = BTreeMap::new();
        let mut add = |name: String, shape: &[usize]| out.insert(name, shape.to_vec());
        let lm = "language_model.model";
        add(format!("{lm}.embed_tokens.weight"), &[self.vocab, self.d]);
        add(format!("{lm}.norm.weight"), &[self.d]);
        if !self.tied {
            add(
                "language_model.lm_head.weight".to_owned(),
                &[self.vocab, self.d],
            );
        }
        let (q, kv) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        for layer in 0..self.layers {
            let block = format!("{lm}.layers.{layer}");
            for (name, shape) in [
                ("q", [q, self.d]),
                ("k", [kv, self.d]),
                ("v", [kv, self.d]),
                ("o", [self.d, q]),
            ] {
                add(format!("{block}.self_attn.{name}_proj.weight"), &shape);
            }
            for (name, shape) in [
                ("gate", [self.d_ff, self.d]),
                ("up", [self.d_ff, self.d]),
                ("down", [self.d, self.d_ff]),
            ] {
                add(format!("{block}.mlp.{name}_proj.weight"), &shape);
            }
            add(format!("{block}.input_layernorm.weight"), &[self.d]);
            add(
                format!("{block}.post_attention_layernorm.weight"),
                &[self.d],
            );
        }
        let (d, p) = (self.vision_d, self.patch);
        let tower = "vision_tower.vision_model";
        let n_positions = 1 + (self.image / p).pow(2);
        add(format!("{tower}.embeddings.class_embedding"), &[d]);
        add(
            format!("{tower}.embeddings.patch_embedding.weight"),
            &[d, 3, p, p],
        );
        add(
            format!("{tower}.embeddings.position_embedding.weight"),
            &[n_positions, d],
        );
        let mut both = |name: String, shape: &[usize]| {
            add(format!("{name}.weight"), shape);
            add(format!("{name}.bias"), &shape[..1]);
        };
        both(format!("{tower}.pre_layrnorm"), &[d]);
        for layer in 0..self.vision_layers {
            let block = format!("{tower}.encoder.layers.{layer}");
            for name in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                both(format!("{block}.self_attn.{name}"), &[d, d]);
            }
            both(format!("{block}.mlp.fc1"), &[16, d]);
            both(format!("{block}.mlp.fc2"), &[d, 16]);
            both(format!("{block}.layer_norm1"), &[d]);
            both(format!("{block}.layer_norm2"), &[d]);
        }
        both("multi_modal_projector.linear_1".to_owned(), &[self.d, d]);
        both(
            "multi_modal_projector.linear_2".to_owned(),
            &[self.d, self.d],
        );
        out
    }

    fn weights(&self, draw: &mut Draw) -> Vec<u8> {
        let shapes = self.shapes();
        let value = |draw: &mut Draw, shape: &[usize], name: &str| {
            let scale = if name.contains("embed") {
                0.7
            } else {
                1.6 / (shape[shape.len() - 1] as f32).sqrt()
            };
            let offset = if name.contains("norm") && name.ends_with("weight") {
                1.0
            } else {
                0.0
            };
            offset + draw.normal() * if shape.len() == 1 { 0.1 } else { scale }
        };
        let mut bytes = BTreeMap::new();
        for (name, shape) in &shapes {
            let n = shape.iter().product::<usize>();
            let values = (0..n)
                .flat_map(|_| value(draw, shape, name).to_le_bytes())
                .collect::<Vec<u8>>();
            bytes.insert(name.clone(), values);
        }
        let views = shapes.iter().map(|(name, shape)| {
            (
                name.as_str(),
                TensorView::new(Dtype::F32, shape.clone(), &bytes[name]).unwrap(),
            )
        });
        safetensors::serialize(views, None).unwrap()
    }
}
