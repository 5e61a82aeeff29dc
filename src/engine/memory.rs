//! How much memory a model needs: its weights, the runs that are kept, and what a run has in hand. Pure arithmetic on the
//! configuration, the same that loading and running follow; `free_memory` asks the machine what there is.

use candle_core::quantized::GgmlDType;

use crate::model::Inventory;
use crate::model::config::{Config, TextConfig};
use crate::model::numbers::{self, Maps, Numbers};
use crate::tensor::Device;

/// What the memory depends on besides the model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Workload {
    pub numbers: Numbers,
    /// Bytes of a number in the checkpoint: embeddings of a quantised model stay as they are stored.
    pub stored_bytes: usize,
    /// Positions of a prompt.
    pub n_tokens: usize,
    /// Tokens of an answer.
    pub n_new: usize,
    pub place: PlaceKind,
}

/// What a device is, as far as memory is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaceKind {
    Cpu,
    /// Through CUDA or Metal: room for a driver and for whole attention scores.
    Card,
    /// Through wgpu: activations are f32, and weights are never made float again.
    Wgpu,
}

impl PlaceKind {
    pub fn of(device: &Device) -> Self {
        match device {
            Device::Cpu => Self::Cpu,
            Device::Cuda(_) | Device::Metal(_) => Self::Card,
            Device::Wgpu(_) => Self::Wgpu,
        }
    }

    pub fn is_card(self) -> bool {
        self != Self::Cpu
    }

    /// Bytes of a number of the residual stream, of keys and of values.
    fn activation_bytes(self, numbers: Numbers) -> usize {
        match self {
            Self::Cpu | Self::Card => numbers.float.size_in_bytes(),
            Self::Wgpu => size_of::<f32>(),
        }
    }
}

/// An estimate, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct MemoryNeed {
    /// The decoder's linear maps and the unembedding.
    pub maps: u64,
    /// The embeddings, where they are not the unembedding.
    pub embeddings: u64,
    /// Norms, biases, rotary tables, tower and projector.
    pub rest: u64,
    /// Residual stream of all levels, keys and values of the prompt and the answer. The pass up to the picture's end, which
    /// new questions go on from, is a part of it.
    pub clean_run: u64,
    pub edited_run: u64,
    /// What exists only while something is computed: activations of a block, a chunk of logits, on a card also attention
    /// scores, the largest map made float again, and the driver's own.
    pub scratch: u64,
}

/// Logits that the lens holds at once: two chunks, of this many bytes at most.
const LOGITS: u64 = 80 << 20;
/// What a CUDA driver, its kernels and cuBLAS take; through wgpu the driver and what is kept for reuse.
const DRIVER: u64 = 600 << 20;

impl MemoryNeed {
    /// Of a model and a workload.
    pub fn of(config: &Config, work: &Workload) -> Self {
        let text = &config.text;
        let (maps, embeddings) = maps(text, work);
        let clean_run = kept_run(text, work);
        Self {
            maps,
            embeddings,
            rest: rest(config, work.numbers.float.size_in_bytes() as u64),
            clean_run,
            edited_run: clean_run,
            scratch: scratch(text, work),
        }
    }

    /// Of a checkpoint: as [`Self::of`], but what is loaded as it is stored takes what the files hold.
    pub fn of_checkpoint(config: &Config, inventory: &Inventory, work: &Workload) -> Self {
        let need = Self::of(config, work);
        if work.numbers.maps != Maps::AsStored {
            return need;
        }
        let floats = inventory.n_floats * work.numbers.float.size_in_bytes() as u64;
        Self {
            maps: inventory.n_block_bytes + floats,
            embeddings: 0,
            rest: 0,
            ..need
        }
    }

    pub fn weights(&self) -> u64 {
        self.maps + self.embeddings + self.rest
    }

    /// The runs that are kept.
    pub fn runs(&self) -> u64 {
        self.clean_run + self.edited_run
    }

    pub fn total(&self) -> u64 {
        self.weights() + self.runs() + self.scratch
    }
}

/// Rows and columns of the maps of one block.
fn block_maps(text: &TextConfig) -> [(usize, usize); 7] {
    let (d, ff) = (text.hidden_size, text.intermediate_size);
    let q = text.num_attention_heads * text.head_dim;
    let kv = text.num_key_value_heads * text.head_dim;
    [(q, d), (kv, d), (kv, d), (d, q), (ff, d), (ff, d), (d, ff)]
}

/// Bytes of the maps with the unembedding, and of the embeddings.
fn maps(text: &TextConfig, work: &Workload) -> (u64, u64) {
    let float = work.numbers.float.size_in_bytes();
    let map = |(n_out, n_in): (usize, usize), is_unembedding| {
        let n = n_out * n_in;
        match work.numbers.maps.type_for(n_in, is_unembedding) {
            // A card makes the unembedding float once.
            Some(dtype) if !(is_unembedding && work.place.is_card()) => numbers::n_bytes(n, dtype),
            _ => (n * float) as u64,
        }
    };
    let block: u64 = block_maps(text)
        .into_iter()
        .map(|shape| map(shape, false))
        .sum();
    let unembedding = map((text.vocab_size, text.hidden_size), true);
    let is_float = matches!(work.numbers.maps, Maps::Float | Maps::AsStored);
    let of_row = match is_float {
        true => float,
        false => float.min(work.stored_bytes),
    };
    let embeddings = match text.tie_word_embeddings && is_float {
        true => 0,
        false => (text.vocab_size * text.hidden_size * of_row) as u64,
    };
    (
        block * text.num_hidden_layers as u64 + unembedding,
        embeddings,
    )
}

/// What is never quantised, with `float` bytes a number.
fn rest(config: &Config, float: u64) -> u64 {
    let (text, vision) = (&config.text, &config.vision);
    let d = text.hidden_size;
    let (q, ff) = (
        text.num_attention_heads * text.head_dim,
        text.intermediate_size,
    );
    let kv = text.num_key_value_heads * text.head_dim;
    let attention_bias = if text.attention_bias {
        q + 2 * kv + d
    } else {
        0
    };
    let mlp_bias = if text.mlp_bias { 2 * ff + d } else { 0 };
    let decoder = text.num_hidden_layers * (2 * d + attention_bias + mlp_bias) + d;
    let (v, v_ff) = (vision.hidden_size, vision.intermediate_size);
    let block = 4 * (v * v + v) + 2 * v * v_ff + v_ff + v + 4 * v;
    let embedding = v * 3 * vision.patch_size.pow(2) + v + (1 + vision.grid().len()) * v + 2 * v;
    let tower = config.n_vision_layers * block + embedding;
    let bias = if config.multimodal_projector_bias {
        2 * d
    } else {
        0
    };
    let projector = v * d + d * d + bias;
    let n_positions = text
        .max_position_embeddings
        .min(crate::model::MAX_POSITIONS);
    let rotary = n_positions * text.head_dim * size_of::<f32>();
    (decoder + tower + projector) as u64 * float + rotary as u64
}

/// Residual stream of the prompt at every level, keys and values of the prompt and the answer.
fn kept_run(text: &TextConfig, work: &Workload) -> u64 {
    let n_layers = text.num_hidden_layers;
    let resid = (n_layers + 1) * work.n_tokens * text.hidden_size;
    let kv = 2 * n_layers * (work.n_tokens + work.n_new) * text.num_key_value_heads * text.head_dim;
    ((resid + kv) * work.place.activation_bytes(work.numbers)) as u64
}

fn scratch(text: &TextConfig, work: &Workload) -> u64 {
    let float = work.numbers.float.size_in_bytes() as u64;
    let (n, d) = (work.n_tokens as u64, text.hidden_size as u64);
    let [(q, _), (kv, _), ..] = block_maps(text);
    let of_row = (q + 2 * kv + 3 * text.intermediate_size) as u64 + 4 * d;
    let activations = n * of_row * work.place.activation_bytes(work.numbers) as u64;
    // The lens reads after the pass, so the two do not add up.
    let logits = 2 * LOGITS.min(n * text.vocab_size as u64 * size_of::<f32>() as u64);
    match work.place {
        PlaceKind::Cpu => return activations.max(logits),
        PlaceKind::Wgpu => return activations.max(logits) + DRIVER,
        PlaceKind::Card => {}
    }
    let scores = 2 * text.num_attention_heads as u64 * n * n * float;
    let is_quantised = !matches!(work.numbers.maps, Maps::Float);
    let widest = 2 * text.intermediate_size as u64;
    let float_again = if is_quantised { widest * d * float } else { 0 };
    (activations + scores + float_again).max(logits) + DRIVER
}

/// What a number of a map takes, for people: `q8_0` has 8.5 bits.
pub fn bits_per_weight(dtype: GgmlDType) -> f64 {
    8.0 * dtype.type_size() as f64 / dtype.block_size() as f64
}

#[cfg(test)]
mod tests {
    use crate::tensor::DType;

    use super::*;

    /// As the published files of LLaVA-1.5-7B say.
    const LLAVA_7B: &str = r#"{"model_type": "llava", "image_token_index": 32000,
        "text_config": {"model_type": "llama", "max_position_embeddings": 4096, "rms_norm_eps": 1e-05, "vocab_size": 32064},
        "vision_config": {"model_type": "clip_vision_model", "hidden_size": 1024, "intermediate_size": 4096,
            "num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 336, "patch_size": 14}}"#;

    fn of_7b(numbers: Numbers, place: PlaceKind) -> MemoryNeed {
        let config = Config::from_json(LLAVA_7B, "config.json").unwrap();
        let work = Workload {
            numbers,
            stored_bytes: 2,
            n_tokens: 600,
            n_new: 32,
            place,
        };
        MemoryNeed::of(&config, &work)
    }

    fn card(maps: Maps) -> MemoryNeed {
        let float = DType::F16;
        of_7b(Numbers { float, maps }, PlaceKind::Card)
    }

    #[test]
    fn weights_of_the_published_model() {
        // 7,063,427,072 parameters, of which the last block of the tower and the norm after it are not loaded.
        let not_loaded = 4 * (1024 * 1024 + 1024) + 2 * 1024 * 4096 + 4096 + 1024 + 6 * 1024;
        let need = card(Maps::Float);
        let rotary = 4096 * 128 * 4;
        assert_eq!(need.weights() - rotary, 2 * (7_063_427_072 - not_loaded));
        // Residual streams and keys and values: 33 and 64 times a row of 4096 in 2 bytes.
        assert_eq!(need.clean_run, (33 * 600 + 64 * 632) * 4096 * 2);
    }

    #[test]
    fn a_card_of_its_size_holds_each_type() {
        for (maps, gigabytes) in [(Maps::Float, 17.0), (Maps::Q8_0, 10.0), (Maps::Q4K, 7.0)] {
            let need = card(maps);
            let total = need.total() as f64 / 1e9;
            println!(
                "{maps:?}: weights {:.2} GB, runs {:.2} GB, scratch {:.2} GB, in all {total:.2} GB",
                need.weights() as f64 / 1e9,
                need.runs() as f64 / 1e9,
                need.scratch as f64 / 1e9
            );
            assert!(total <= gigabytes, "{maps:?} takes {total:.2} GB");
        }
        assert!(card(Maps::Q4K).maps < card(Maps::Q8_0).maps);
    }

    #[test]
    fn a_card_of_8_gb_holds_4_bits_through_wgpu() {
        let (float, maps) = (DType::F16, Maps::Q4K);
        let need = of_7b(Numbers { float, maps }, PlaceKind::Wgpu);
        // The streams, the keys and the values are f32 there.
        assert_eq!(need.clean_run, 2 * card(maps).clean_run);
        assert!(need.total() < 8_000_000_000, "{}", need.total());
    }

    #[test]
    fn the_cpu_computes_in_f32_and_needs_no_driver() {
        let q8 = |place, float| {
            let maps = Maps::Q8_0;
            of_7b(Numbers { float, maps }, place)
        };
        let (cpu, card) = (
            q8(PlaceKind::Cpu, DType::F32),
            q8(PlaceKind::Card, DType::F16),
        );
        // But a card makes the unembedding float.
        let unembedding = 32064 * 4096;
        let more = 2 * unembedding as u64 - numbers::n_bytes(unembedding, GgmlDType::Q8_0);
        assert_eq!(cpu.maps + more, card.maps);
        assert_eq!(cpu.embeddings, card.embeddings);
        assert_eq!(cpu.clean_run, 2 * card.clean_run);
        assert!(cpu.scratch < card.scratch);
    }
}
