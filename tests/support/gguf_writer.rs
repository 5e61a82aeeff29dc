//! Writes a checkpoint in Hugging Face form as the pair of GGUF files that llama.cpp's conversion scripts make of it: their
//! names, their order of query and key rows, their swapped feed-forward names, their metadata.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};

/// How the pair is written.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// Type of the language model's matrices, where their rows fit it; f32 elsewhere.
    pub dtype: GgmlDType,
    /// Whether the rows of queries and keys are interleaved, as they must be.
    pub is_permuted: bool,
    /// Whether the tower's fc1 and fc2 stand under each other's names, as LLaVA's script has them.
    pub has_swapped_fc: bool,
    /// Whether `<image>` and what follows it is left out of the vocabulary, as in files made from the original model.
    pub is_cut: bool,
}

impl Form {
    pub fn of(dtype: GgmlDType) -> Self {
        Self {
            dtype,
            is_permuted: true,
            has_swapped_fc: true,
            is_cut: false,
        }
    }
}

pub type Metadata = BTreeMap<String, Value>;
pub type Tensors = BTreeMap<String, QTensor>;

/// One file of a pair, before it is written.
pub struct Half {
    pub metadata: Metadata,
    pub tensors: Tensors,
}

impl Half {
    pub fn write(&self, path: &Path) {
        let metadata: Vec<_> = self.metadata.iter().map(|(k, v)| (k.as_str(), v)).collect();
        let tensors: Vec<_> = self.tensors.iter().map(|(k, t)| (k.as_str(), t)).collect();
        let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
        gguf_file::write(&mut file, &metadata, &tensors).unwrap();
    }
}

/// Writes both files into a folder and gives the path of the language model.
pub fn write_pair(checkpoint: &Path, form: Form, folder: &Path) -> PathBuf {
    let (text, vision) = pair(checkpoint, form);
    let path = folder.join("ggml-model.gguf");
    text.write(&path);
    vision.write(&folder.join("mmproj-model-f16.gguf"));
    path
}

/// Both halves of a checkpoint.
pub fn pair(checkpoint: &Path, form: Form) -> (Half, Half) {
    let json = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(checkpoint.join(name)).unwrap()).unwrap()
    };
    let config = json("config.json");
    let tensors = tensors(checkpoint);
    let image_id = config["image_token_index"].as_u64();
    let image_id = image_id.or(config["image_token_id"].as_u64()).unwrap() as usize;
    let mut text = Half {
        metadata: text_metadata(&config["text_config"]),
        tensors: Tensors::new(),
    };
    let n_words = form.is_cut.then_some(image_id);
    vocabulary(&json("tokenizer.json"), n_words, &mut text.metadata);
    let mut vision = Half {
        metadata: vision_metadata(&config["vision_config"]),
        tensors: Tensors::new(),
    };
    let heads = |field: &str| config["text_config"][field].as_u64().map(|n| n as usize);
    let n_heads = heads("num_attention_heads").unwrap_or(32);
    let n_kv = heads("num_key_value_heads").unwrap_or(n_heads);
    let last_block = config["vision_config"]["num_hidden_layers"]
        .as_u64()
        .unwrap()
        - 1;
    for (name, mut tensor) in tensors {
        let name = name
            .replace("vision_model.", "")
            .replace("language_model.model.", "model.language_model.");
        let name = name.strip_prefix("model.").unwrap_or(&name).to_owned();
        if name.contains("vision_tower") || name.contains("multi_modal_projector") {
            let is_dropped =
                name.contains(&format!("layers.{last_block}.")) || name.contains("post_layernorm");
            if !is_dropped && !name.contains("position_ids") {
                let dtype = match (tensor.rank(), form.dtype) {
                    (1, _) | (_, GgmlDType::F32) => GgmlDType::F32,
                    _ => GgmlDType::F16,
                };
                let name = vision_name(&name, form.has_swapped_fc);
                vision
                    .tensors
                    .insert(name, QTensor::quantize(&tensor, dtype).unwrap());
            }
            continue;
        }
        let n_heads = if name.contains("q_proj") {
            n_heads
        } else {
            n_kv
        };
        if form.is_permuted && (name.contains("q_proj") || name.contains("k_proj")) {
            tensor = permuted(&tensor, n_heads);
        }
        if let Some(n) =
            n_words.filter(|_| name.contains("embed_tokens") || name.contains("lm_head"))
        {
            tensor = tensor.narrow(0, 0, n).unwrap();
        }
        let fits = tensor.rank() == 2 && tensor.dims()[1].is_multiple_of(form.dtype.block_size());
        let dtype = if fits { form.dtype } else { GgmlDType::F32 };
        let tensor = tensor.force_contiguous().unwrap();
        text.tensors
            .insert(text_name(&name), QTensor::quantize(&tensor, dtype).unwrap());
    }
    (text, vision)
}

/// All tensors of a folder as f32.
fn tensors(checkpoint: &Path) -> BTreeMap<String, Tensor> {
    let mut out = BTreeMap::new();
    for entry in std::fs::read_dir(checkpoint).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "safetensors") {
            out.extend(candle_core::safetensors::load(path, &Device::Cpu).unwrap());
        }
    }
    let float = |(name, t): (String, Tensor)| (name, t.to_dtype(DType::F32).unwrap());
    out.into_iter().map(float).collect()
}

/// As `permute` of llama.cpp's convert_hf_to_gguf.py: `reshape(heads, 2, d_head / 2, in).swapaxes(1, 2)`.
fn permuted(weight: &Tensor, n_heads: usize) -> Tensor {
    let (n_out, n_in) = weight.dims2().unwrap();
    let halves = weight
        .reshape((n_heads, 2, n_out / n_heads / 2, n_in))
        .unwrap();
    halves
        .transpose(1, 2)
        .unwrap()
        .reshape((n_out, n_in))
        .unwrap()
}

fn text_name(name: &str) -> String {
    [
        ("language_model.lm_head", "output"),
        ("lm_head", "output"),
        ("language_model.embed_tokens", "token_embd"),
        ("language_model.norm", "output_norm"),
        ("language_model.layers", "blk"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
    ]
    .iter()
    .fold(name.to_owned(), |name, (from, to)| name.replace(from, to))
}

/// As `get_tensor_name` of convert_image_encoder_to_gguf.py, one replacement after the other.
fn vision_name(name: &str, has_swapped_fc: bool) -> String {
    let (fc1, fc2) = match has_swapped_fc {
        true => ("ffn_down", "ffn_up"),
        false => ("ffn_up", "ffn_down"),
    };
    [
        ("multi_modal_projector.linear_1", "mm.0"),
        ("multi_modal_projector.linear_2", "mm.2"),
        ("vision_tower", "v"),
        ("encoder.layers", "blk"),
        ("embeddings.", ""),
        ("_proj", ""),
        ("self_attn.", "attn_"),
        ("layer_norm", "ln"),
        ("layernorm", "ln"),
        ("mlp.fc1", fc1),
        ("mlp.fc2", fc2),
        ("embedding", "embd"),
        ("layrnorm", "ln"),
    ]
    .iter()
    .fold(name.to_owned(), |name, (from, to)| name.replace(from, to))
}

fn u32_of(config: &serde_json::Value, field: &str, default: u64) -> Value {
    Value::U32(config[field].as_u64().unwrap_or(default) as u32)
}

fn text_metadata(c: &serde_json::Value) -> Metadata {
    let heads = c["num_attention_heads"].as_u64().unwrap();
    let head_dim = c["hidden_size"].as_u64().unwrap() / heads;
    let theta = c["rope_theta"]
        .as_f64()
        .or(c["rope_parameters"]["rope_theta"].as_f64());
    let text = |text: &str| Value::String(text.to_owned());
    let float = |field: &str, default| Value::F32(c[field].as_f64().unwrap_or(default) as f32);
    [
        ("general.architecture", text("llama")),
        ("general.name", text("test")),
        ("llama.vocab_size", u32_of(c, "vocab_size", 0)),
        (
            "llama.context_length",
            u32_of(c, "max_position_embeddings", 2048),
        ),
        ("llama.embedding_length", u32_of(c, "hidden_size", 0)),
        ("llama.block_count", u32_of(c, "num_hidden_layers", 0)),
        (
            "llama.feed_forward_length",
            u32_of(c, "intermediate_size", 0),
        ),
        ("llama.rope.dimension_count", Value::U32(head_dim as u32)),
        (
            "llama.rope.freq_base",
            Value::F32(theta.unwrap_or(1e4) as f32),
        ),
        (
            "llama.attention.head_count",
            u32_of(c, "num_attention_heads", 0),
        ),
        (
            "llama.attention.head_count_kv",
            u32_of(c, "num_key_value_heads", heads),
        ),
        (
            "llama.attention.layer_norm_rms_epsilon",
            float("rms_norm_eps", 1e-6),
        ),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

fn vision_metadata(c: &serde_json::Value) -> Metadata {
    let n_blocks = c["num_hidden_layers"].as_u64().unwrap() - 1;
    let floats = |values: [f64; 3]| Value::Array(values.map(|x| Value::F32(x as f32)).to_vec());
    let text = |text: &str| Value::String(text.to_owned());
    [
        ("general.architecture", text("clip")),
        ("clip.has_text_encoder", Value::Bool(false)),
        ("clip.has_vision_encoder", Value::Bool(true)),
        ("clip.has_llava_projector", Value::Bool(true)),
        ("clip.projector_type", text("mlp")),
        ("clip.use_gelu", Value::Bool(c["hidden_act"] == "gelu")),
        ("clip.vision.image_size", u32_of(c, "image_size", 0)),
        ("clip.vision.patch_size", u32_of(c, "patch_size", 0)),
        ("clip.vision.embedding_length", u32_of(c, "hidden_size", 0)),
        (
            "clip.vision.feed_forward_length",
            u32_of(c, "intermediate_size", 0),
        ),
        (
            "clip.vision.attention.head_count",
            u32_of(c, "num_attention_heads", 0),
        ),
        ("clip.vision.attention.layer_norm_epsilon", Value::F32(1e-5)),
        ("clip.vision.block_count", Value::U32(n_blocks as u32)),
        (
            "clip.vision.image_mean",
            floats([0.48145466, 0.4578275, 0.40821073]),
        ),
        (
            "clip.vision.image_std",
            floats([0.26862954, 0.26130258, 0.27577711]),
        ),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// The vocabulary as SentencePiece's: pieces, and scores that fall in the order in which they were learnt.
fn vocabulary(tokenizer: &serde_json::Value, n_words: Option<usize>, out: &mut Metadata) {
    let mut pieces = BTreeMap::new();
    let mut specials = std::collections::BTreeSet::new();
    for (piece, id) in tokenizer["model"]["vocab"].as_object().unwrap() {
        pieces.insert(id.as_u64().unwrap(), piece.clone());
    }
    for token in tokenizer["added_tokens"].as_array().unwrap() {
        let id = token["id"].as_u64().unwrap();
        pieces.insert(id, token["content"].as_str().unwrap().to_owned());
        specials.insert(id);
    }
    let n = n_words.unwrap_or(pieces.len());
    let kind = |id: &u64| match (id, specials.contains(id)) {
        (0, _) => 2,
        (_, true) => 3,
        _ => 1,
    };
    let pieces: Vec<_> = pieces.into_iter().take(n).collect();
    let list = |values: Vec<Value>| Value::Array(values);
    let of =
        |f: &dyn Fn(&u64, &String) -> Value| list(pieces.iter().map(|(id, p)| f(id, p)).collect());
    let prefix = |key: &str| format!("tokenizer.ggml.{key}");
    out.insert(prefix("model"), Value::String("llama".to_owned()));
    out.insert(
        prefix("tokens"),
        of(&|_, piece| Value::String(piece.clone())),
    );
    out.insert(prefix("scores"), of(&|id, _| Value::F32(-(*id as f32))));
    out.insert(prefix("token_type"), of(&|id, _| Value::I32(kind(id))));
    for (key, id) in [("bos", 1), ("eos", 2), ("unknown", 0)] {
        out.insert(prefix(&format!("{key}_token_id")), Value::U32(id));
    }
    out.insert(prefix("add_bos_token"), Value::Bool(true));
}
