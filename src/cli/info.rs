//! `patchglass info`: what a model is and what it needs, read from its small files and its weights' headers.

use clap::Args;

use crate::engine::hub_folder;
use crate::error::Result;
use crate::model::{Description, Inventory};
use crate::spec::ModelSource;

#[derive(Args, Debug)]
pub struct InfoArgs {
    /// "demo", a folder in Hugging Face form, or a hub id that is in the local cache
    #[arg(default_value = "demo")]
    model: String,
}

pub fn info(args: &InfoArgs) -> Result<()> {
    let (description, inventory) = match super::model_source(Some(&args.model)) {
        ModelSource::Demo => (Description::of_demo()?, Inventory::of_demo()?),
        ModelSource::Folder(folder) => (
            Description::of_folder(&folder)?,
            Inventory::of_folder(&folder)?,
        ),
        ModelSource::Hub(id) => {
            let folder = hub_folder(&id)?;
            (
                Description::of_folder(&folder)?,
                Inventory::of_folder(&folder)?,
            )
        }
    };
    super::print(&text(&description, &inventory))
}

fn text(d: &Description, inventory: &Inventory) -> String {
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
    let n_tokens = d.config.n_visual_tokens() + 24;
    let memory = |bytes: u64| megabytes(working_memory(d, inventory, n_tokens, bytes));
    [
        format!("model            {}", d.name),
        "architecture     LLaVA-1.5: CLIP tower, two-layer projector, LLaMA decoder".to_owned(),
        format!("parameters       {:.2} M in {} tensors", inventory.n_params as f64 / 1e6, inventory.n_tensors),
        format!("weights          {} as {}", megabytes(inventory.n_bytes), inventory.dtypes.join(", ")),
        format!(
            "vision tower     {} px, patches of {} px, {} layers of which {} are run, width {}, {} heads",
            vision.image_size, vision.patch_size, vision.num_hidden_layers, d.config.n_vision_layers,
            vision.hidden_size, vision.num_attention_heads
        ),
        format!("grid             {}x{}, {} visual tokens", grid.rows, grid.cols, d.config.n_visual_tokens()),
        format!("projector        {} to {}, {bias}", vision.hidden_size, text.hidden_size),
        format!(
            "decoder          {} blocks, width {}, {} query heads, {} key/value heads of {}, feed-forward {}",
            text.num_hidden_layers, text.hidden_size, text.num_attention_heads, text.num_key_value_heads,
            text.head_dim, text.intermediate_size
        ),
        format!("vocabulary       {} rows, {} words; unembedding {tied}", text.vocab_size, d.tokenizer.n_words()),
        format!("positions        at most {}, RoPE theta {}", text.max_position_embeddings, text.rope_theta),
        format!("memory needed    {} in f32, {} in f16 or bf16, for a prompt of {n_tokens} tokens", memory(4), memory(2)),
    ]
    .join("\n")
}

/// Weights, and of a clean and an edited run the residual stream and the keys and values; one block's attention scores
/// and one chunk of lens logits on top.
fn working_memory(d: &Description, inventory: &Inventory, n_tokens: usize, bytes: u64) -> u64 {
    let text = &d.config.text;
    let n = n_tokens as u64;
    let resid = (text.num_hidden_layers as u64 + 1) * n * text.hidden_size as u64;
    let cache =
        2 * text.num_hidden_layers as u64 * n * (text.num_key_value_heads * text.head_dim) as u64;
    let scores = text.num_attention_heads as u64 * n * n;
    inventory.n_params * bytes + 2 * (resid + cache) * bytes + 3 * scores * 4 + (64 << 20)
}

fn megabytes(bytes: u64) -> String {
    match bytes {
        0..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}
