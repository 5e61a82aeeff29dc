//! The vocabulary of a GGUF file as a tokenizer.
//!
//! llama.cpp keeps SentencePiece's pieces with their scores. Byte-pair merges that follow from them (every way to cut a piece
//! into two pieces, the likelier piece first) give the same tokens; that, with the normaliser and the special tokens of
//! Hugging Face's LLaMA tokenizer, is written as a `tokenizer.json` and read as one.

use std::cmp::Reverse;
use std::collections::HashMap;

use serde_json::{Value, json};

use super::file::GgufFile;
use super::pair::GgufPair;
use crate::error::{Error, Result};
use crate::files;
use crate::model::tokenizer::Tokenizer;

/// Kinds of pieces, by ggml's numbers.
const UNKNOWN: u64 = 2;
const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;

const IMAGE: &str = "<image>";
const MAX_BYTES: u64 = 128 << 20;

impl GgufPair {
    /// The tokenizer, and the id that stands for the picture: that of `<image>` where the vocabulary has it, else the first
    /// one after it.
    ///
    /// # Errors
    /// A vocabulary of another kind, or one that is damaged, without a `tokenizer.json` beside the file.
    pub fn tokenizer(&self) -> Result<(Tokenizer, u32)> {
        let file = &self.text;
        let shown = file.path().display().to_string();
        let (json, name) = match file.text("tokenizer.ggml.model") {
            Some("llama") => (tokenizer_json(file)?.to_string().into_bytes(), shown),
            kind => {
                let beside = file.path().with_file_name("tokenizer.json");
                if !beside.exists() {
                    return Err(Error::input(format!(
                        "{shown} has a vocabulary of the kind {:?}, which is not read here: \
                         put the tokenizer.json of the original model beside it",
                        kind.unwrap_or("none")
                    )));
                }
                let json = files::read_bytes(&beside, MAX_BYTES)?;
                (json, beside.display().to_string())
            }
        };
        let tokenizer = Tokenizer::from_bytes(&json, &name)?;
        let n_rows = file
            .tensor("token_embd.weight")?
            .and_then(|t| t.shape.first().copied());
        let tokenizer = tokenizer.of_at_most(n_rows.unwrap_or(0));
        match tokenizer.id(IMAGE) {
            Some(id) => Ok((tokenizer, id)),
            None => Err(Error::input(format!(
                "{name} has no token {IMAGE}: it belongs to another model"
            ))),
        }
    }
}

fn tokenizer_json(file: &GgufFile) -> Result<Value> {
    let bad = |key: &str| {
        Error::input(format!(
            "{}, tokenizer.ggml.{key}: this list is missing or does not fit the vocabulary; download the file again",
            file.path().display()
        ))
    };
    let pieces = file
        .texts("tokenizer.ggml.tokens")
        .ok_or_else(|| bad("tokens"))?;
    let scores = file
        .floats("tokenizer.ggml.scores")
        .ok_or_else(|| bad("scores"))?;
    let kinds = file.floats("tokenizer.ggml.token_type");
    let kinds = kinds.unwrap_or_else(|| vec![1.0; pieces.len()]);
    if scores.len() != pieces.len() || kinds.len() != pieces.len() {
        return Err(bad("scores"));
    }
    let piece = |key: &str, default: u64| {
        let id = file
            .number(&format!("tokenizer.ggml.{key}_token_id"))
            .unwrap_or(default);
        pieces.get(id as usize).copied().map(|piece| (piece, id))
    };
    let unknown = piece("unknown", 0).map(|(piece, _)| piece);
    let mut added: Vec<Value> = (pieces.iter().zip(&kinds).enumerate())
        .filter(|(_, (_, kind))| [UNKNOWN, CONTROL, USER_DEFINED].contains(&(**kind as u64)))
        .map(|(id, (piece, kind))| added_token(id, piece, *kind as u64 != USER_DEFINED))
        .collect();
    if !pieces.contains(&IMAGE) {
        added.push(added_token(pieces.len(), IMAGE, true));
    }
    let starts = file.flag("tokenizer.ggml.add_bos_token") != Some(false);
    let prepends = file.flag("tokenizer.ggml.add_space_prefix") != Some(false);
    let start = piece("bos", 1).filter(|_| starts);
    Ok(json!({
        "version": "1.0",
        "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": normalizers(prepends)},
        "post_processor": start.map(|(piece, id)| template(piece, id)),
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": usize::from(prepends), "stop": 0},
        ]},
        "model": {
            "type": "BPE", "unk_token": unknown, "fuse_unk": true, "byte_fallback": true,
            "vocab": pieces.iter().enumerate().map(|(id, piece)| ((*piece).to_owned(), json!(id))).collect::<serde_json::Map<_, _>>(),
            "merges": merges(&pieces, &scores),
        },
    }))
}

fn added_token(id: usize, piece: &str, is_special: bool) -> Value {
    json!({
        "id": id, "content": piece, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
        "special": is_special
    })
}

fn normalizers(prepends: bool) -> Vec<Value> {
    let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
    let prepend = json!({"type": "Prepend", "prepend": "▁"});
    if prepends {
        vec![prepend, replace]
    } else {
        vec![replace]
    }
}

/// The start token before the text.
fn template(start: &str, id: u64) -> Value {
    let token = json!({"SpecialToken": {"id": start, "type_id": 0}});
    let text = |id: &str| json!({"Sequence": {"id": id, "type_id": 0}});
    json!({
        "type": "TemplateProcessing",
        "single": [token, text("A")],
        "pair": [token, text("A"), text("B")],
        "special_tokens": {start: {"id": start, "ids": [id], "tokens": [start]}}
    })
}

/// Every way to cut a piece into two pieces, those of the likeliest pieces first; of one piece in the order of the first
/// half's id, then the second's (as transformers converts SentencePiece models).
fn merges(pieces: &[&str], scores: &[f64]) -> Vec<[String; 2]> {
    let ids: HashMap<&str, usize> = pieces
        .iter()
        .enumerate()
        .map(|(id, piece)| (*piece, id))
        .collect();
    let mut found = Vec::new();
    for (whole, score) in pieces.iter().zip(scores) {
        let cuts = whole
            .char_indices()
            .skip(1)
            .map(|(at, _)| whole.split_at(at));
        let mut cuts: Vec<_> = cuts
            .filter_map(|(left, right)| Some((*ids.get(left)?, *ids.get(right)?)))
            .collect();
        cuts.sort_unstable();
        found.extend(cuts.into_iter().map(|cut| (*score, cut)));
    }
    let n_chars = |id: usize| pieces[id].chars().count();
    // Stable, so that what is equal in all of this stays in the order of the vocabulary.
    found.sort_by(|a, b| {
        let lengths = |cut: &(usize, usize)| Reverse((n_chars(cut.0), n_chars(cut.1)));
        b.0.total_cmp(&a.0)
            .then_with(|| lengths(&a.1).cmp(&lengths(&b.1)))
    });
    let owned = |id: usize| pieces[id].to_owned();
    found
        .into_iter()
        .map(|(_, (left, right))| [owned(left), owned(right)])
        .collect()
}
