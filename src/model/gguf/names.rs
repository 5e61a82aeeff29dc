//! llama.cpp's names of what Hugging Face names otherwise, and the order in which it keeps the rows of queries and keys.

use std::borrow::Cow;

use crate::model::weights::Part;

/// The name of a tensor of a part in llama.cpp's files. `has_swapped_fc`: the tower's two feed-forward maps stand under each
/// other's names, as LLaVA's conversion script has them.
pub(super) fn translate(part: Part, name: &str, has_swapped_fc: bool) -> String {
    let (stem, field) = name.rsplit_once('.').unwrap_or((name, ""));
    match part {
        Part::Decoder => match block(stem, "layers.") {
            Some((n, of)) => format!("blk.{n}.{}.{field}", decoder_block(of)),
            None if stem == "embed_tokens" => format!("token_embd.{field}"),
            None => format!("output_norm.{field}"),
        },
        Part::Head => format!("output.{field}"),
        Part::Tower => match block(stem, "encoder.layers.") {
            Some((n, of)) => format!("v.blk.{n}.{}.{field}", tower_block(of, has_swapped_fc)),
            None => match name {
                "embeddings.class_embedding" => "v.class_embd".to_owned(),
                "embeddings.patch_embedding.weight" => "v.patch_embd.weight".to_owned(),
                "embeddings.position_embedding.weight" => "v.position_embd.weight".to_owned(),
                _ => format!("v.pre_ln.{field}"),
            },
        },
        Part::Projector if stem == "linear_1" => format!("mm.0.{field}"),
        Part::Projector => format!("mm.2.{field}"),
    }
}

/// `layers.3.mlp.up_proj` with the prefix `layers.` as `3` and `mlp.up_proj`.
fn block<'a>(stem: &'a str, prefix: &str) -> Option<(&'a str, &'a str)> {
    stem.strip_prefix(prefix)?.split_once('.')
}

fn decoder_block(name: &str) -> &str {
    match name {
        "self_attn.q_proj" => "attn_q",
        "self_attn.k_proj" => "attn_k",
        "self_attn.v_proj" => "attn_v",
        "self_attn.o_proj" => "attn_output",
        "mlp.gate_proj" => "ffn_gate",
        "mlp.up_proj" => "ffn_up",
        "mlp.down_proj" => "ffn_down",
        "input_layernorm" => "attn_norm",
        "post_attention_layernorm" => "ffn_norm",
        other => other,
    }
}

fn tower_block(name: &str, has_swapped_fc: bool) -> &str {
    match name {
        "self_attn.q_proj" => "attn_q",
        "self_attn.k_proj" => "attn_k",
        "self_attn.v_proj" => "attn_v",
        "self_attn.out_proj" => "attn_out",
        "layer_norm1" => "ln1",
        "layer_norm2" => "ln2",
        "mlp.fc1" if has_swapped_fc => "ffn_down",
        "mlp.fc2" if has_swapped_fc => "ffn_up",
        "mlp.fc1" => "ffn_up",
        "mlp.fc2" => "ffn_down",
        other => other,
    }
}

/// Whether the rows of a tensor are kept in pairs, as llama.cpp rotates them.
pub(super) fn is_permuted(name: &str) -> bool {
    name.starts_with("blk.") && (name.contains(".attn_q.") || name.contains(".attn_k."))
}

/// Rows of queries or keys in the order of Hugging Face. llama.cpp rotates neighbours, so its conversion interleaves the
/// two halves of every head: row `2 i + half` of a head is row `half * d_head / 2 + i` here. Rows are moved whole, so this
/// holds for quantised ones as well.
pub(super) fn in_halves(bytes: &[u8], n_rows: usize, d_head: usize) -> Cow<'_, [u8]> {
    let n_row = bytes.len() / n_rows.max(1);
    let half = d_head / 2;
    if half == 0 || n_row == 0 || !n_rows.is_multiple_of(d_head) {
        return Cow::Borrowed(bytes);
    }
    let source = |row: usize| {
        let (head, at) = (row / d_head, row % d_head);
        head * d_head + 2 * (at % half) + at / half
    };
    let row = |row: usize| &bytes[source(row) * n_row..][..n_row];
    Cow::Owned((0..n_rows).flat_map(row).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_llama_cpps() {
        for (part, name, expected) in [
            (Part::Decoder, "embed_tokens.weight", "token_embd.weight"),
            (Part::Decoder, "norm.weight", "output_norm.weight"),
            (
                Part::Decoder,
                "layers.11.self_attn.o_proj.weight",
                "blk.11.attn_output.weight",
            ),
            (
                Part::Decoder,
                "layers.0.mlp.gate_proj.weight",
                "blk.0.ffn_gate.weight",
            ),
            (
                Part::Decoder,
                "layers.0.post_attention_layernorm.weight",
                "blk.0.ffn_norm.weight",
            ),
            (Part::Head, "lm_head.weight", "output.weight"),
            (Part::Tower, "embeddings.class_embedding", "v.class_embd"),
            (Part::Tower, "pre_layrnorm.bias", "v.pre_ln.bias"),
            (
                Part::Tower,
                "encoder.layers.7.self_attn.out_proj.bias",
                "v.blk.7.attn_out.bias",
            ),
            (
                Part::Tower,
                "encoder.layers.7.layer_norm2.weight",
                "v.blk.7.ln2.weight",
            ),
            (Part::Projector, "linear_2.bias", "mm.2.bias"),
        ] {
            assert_eq!(translate(part, name, true), expected);
        }
        let fc1 = |swapped| translate(Part::Tower, "encoder.layers.2.mlp.fc1.weight", swapped);
        assert_eq!(fc1(true), "v.blk.2.ffn_down.weight");
        assert_eq!(fc1(false), "v.blk.2.ffn_up.weight");
    }

    #[test]
    fn interleaving_is_undone() {
        // Two heads of four, a byte a row, as the conversion script permutes them: [0, 2, 1, 3] of each head.
        let permuted = [0, 2, 1, 3, 4, 6, 5, 7];
        assert_eq!(*in_halves(&permuted, 8, 4), [0, 1, 2, 3, 4, 5, 6, 7]);
        // Heads of six: halves (0 1 2) and (3 4 5), interleaved 0 3 1 4 2 5.
        assert_eq!(*in_halves(&[0, 3, 1, 4, 2, 5], 6, 6), [0, 1, 2, 3, 4, 5]);
        assert!(is_permuted("blk.3.attn_q.weight") && !is_permuted("v.blk.3.attn_q.weight"));
        assert!(!is_permuted("blk.3.attn_output.weight") && !is_permuted("blk.3.attn_v.weight"));
    }
}
