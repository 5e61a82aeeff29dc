//! `patchglass info`: what a model is and what it needs, read from its small files and its weights' headers, and whether
//! this machine has the memory for it.

use std::path::PathBuf;

use clap::Args;

use super::bench::RANDOM;
use crate::engine::budget::size;
use crate::engine::memory::{MemoryNeed, Workload};
use crate::engine::protocol::DTypeChoice;
use crate::engine::{Place, checkpoint};
use crate::error::Result;
use crate::model::{Checkpoint, Description, Inventory};
use crate::session::file;

#[derive(Args, Debug)]
pub struct InfoArgs {
    /// "demo", a folder in Hugging Face form, a .gguf file, a hub id that is in the local cache, or random-7b: the shape of
    /// LLaVA-1.5-7B
    #[arg(default_value = "demo")]
    model: String,
    /// The same by name
    #[arg(
        long = "model",
        id = "named",
        value_name = "MODEL",
        conflicts_with = "model"
    )]
    named: Option<String>,
    /// The vision file of a .gguf model, where it is not the one beside it
    #[arg(long)]
    mmproj: Option<PathBuf>,
    /// auto, cpu, wgpu, wgpu:N, cuda, cuda:N or metal: whose memory is looked at
    #[arg(long, default_value = "auto")]
    device: String,
    /// List where this build can compute on this machine instead
    #[arg(long, conflicts_with_all = ["model", "named", "mmproj"])]
    devices: bool,
}

pub fn info(args: &InfoArgs) -> Result<()> {
    if args.devices {
        return super::devices::devices();
    }
    let checkpoint = match args.named.as_ref().unwrap_or(&args.model).as_str() {
        RANDOM => Checkpoint::Random,
        model => {
            let model = super::model_source(Some(model));
            checkpoint(&file::with_mmproj(model, args.mmproj.clone()))?
        }
    };
    let description = Description::of(&checkpoint)?;
    let inventory = Inventory::of(&checkpoint)?;
    let places = Place::all(super::device(&args.device)?)?;
    let mut lines = about(&description, &inventory);
    if let Checkpoint::Gguf(_) = checkpoint {
        lines.push(
            "pictures         llama.cpp pads them to a square: compare with crop \"pad\""
                .to_owned(),
        );
    }
    for place in &places {
        lines.push(String::new());
        lines.extend(memory(&description, &inventory, &checkpoint, place));
    }
    super::print(&lines.join("\n"))
}

fn about(d: &Description, inventory: &Inventory) -> Vec<String> {
    let (text, vision) = (&d.config.text, &d.config.vision);
    let grid = vision.grid();
    let bias = if d.config.multimodal_projector_bias {
        "with biases"
    } else {
        "without biases"
    };
    let tied = if text.tie_word_embeddings {
        "tied to the embeddings"
    } else {
        "of its own"
    };
    vec![
        format!("model            {}", d.name),
        "architecture     LLaVA-1.5: CLIP tower, two-layer projector, LLaMA decoder".to_owned(),
        format!(
            "parameters       {:.2} M in {} tensors",
            inventory.n_params as f64 / 1e6,
            inventory.n_tensors
        ),
        format!(
            "weights          {} as {}",
            size(inventory.n_bytes),
            inventory.dtypes.join(", ")
        ),
        format!(
            "vision tower     {} px, patches of {} px, {} layers of which {} are run, width {}, {} heads",
            vision.image_size,
            vision.patch_size,
            vision.num_hidden_layers,
            d.config.n_vision_layers,
            vision.hidden_size,
            vision.num_attention_heads
        ),
        format!(
            "grid             {}x{}, {} visual tokens",
            grid.rows,
            grid.cols,
            d.config.n_visual_tokens()
        ),
        format!(
            "projector        {} to {}, {bias}",
            vision.hidden_size, text.hidden_size
        ),
        format!(
            "decoder          {} blocks, width {}, {} query heads, {} key/value heads of {}, feed-forward {}",
            text.num_hidden_layers,
            text.hidden_size,
            text.num_attention_heads,
            text.num_key_value_heads,
            text.head_dim,
            text.intermediate_size
        ),
        format!(
            "vocabulary       {} rows, {} words; unembedding {tied}",
            text.vocab_size,
            d.tokenizer.n_words()
        ),
        format!(
            "positions        at most {}, RoPE theta {}",
            text.max_position_embeddings, text.rope_theta
        ),
    ]
}

/// Tokens of the prompt around the picture, and of the answer.
const QUESTION: usize = 24;
const ANSWER: usize = 32;

/// A table of what each type needs in one place.
fn memory(
    d: &Description,
    inventory: &Inventory,
    checkpoint: &Checkpoint,
    place: &Place,
) -> Vec<String> {
    let n_visual = d.config.n_visual_tokens();
    let free = match place.free {
        Some(free) => format!("{} free", size(free)),
        None => "free memory unknown".to_owned(),
    };
    let mut lines = vec![
        format!(
            "{}: {free}; a prompt of {} tokens, an answer of {ANSWER}",
            place.name,
            n_visual + QUESTION
        ),
        format!(
            "  {:<10} {:>10} {:>10} {:>10} {:>10}",
            "--dtype", "weights", "runs kept", "at work", "in all"
        ),
    ];
    let is_gguf = matches!(checkpoint, Checkpoint::Gguf(_));
    for choice in choices(is_gguf) {
        let work = Workload {
            numbers: place.numbers(choice),
            stored_bytes: inventory.stored_bytes(),
            n_tokens: n_visual + QUESTION,
            n_new: ANSWER,
            place: place.kind,
        };
        let need = MemoryNeed::of_checkpoint(&d.config, inventory, &work);
        let verdict = match place.free {
            Some(free) if need.total() <= free => "fits",
            Some(_) => "does not fit",
            None => "",
        };
        let row = format!(
            "  {:<10} {:>10} {:>10} {:>10} {:>10}   {verdict}",
            name(choice),
            size(need.weights()),
            size(need.runs()),
            size(need.scratch),
            size(need.total())
        );
        lines.push(row.trim_end().to_owned());
    }
    lines
}

/// Types that a checkpoint can be loaded as; a GGUF file's own when none is asked for.
fn choices(is_gguf: bool) -> Vec<Option<DTypeChoice>> {
    let (f32, f16) = (Some(DTypeChoice::F32), Some(DTypeChoice::F16));
    match is_gguf {
        true => vec![None, f16, f32],
        false => vec![f32, f16, Some(DTypeChoice::Q8_0), Some(DTypeChoice::Q4K)],
    }
}

fn name(choice: Option<DTypeChoice>) -> &'static str {
    match choice {
        None => "(none)",
        Some(DTypeChoice::F32) => "f32",
        Some(DTypeChoice::F16) => "f16, bf16",
        Some(DTypeChoice::Bf16) => "bf16",
        Some(DTypeChoice::Q8_0) => "q8_0",
        Some(DTypeChoice::Q4K) => "q4k",
    }
}
