//! Bad input, as a table: each case must end with exit code 2 and one line that names the file or field and the remedy.
//!
//! The program is run for real, in a temporary folder that holds a good checkpoint, picture and session to spoil.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

#[path = "support/gguf_writer.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod gguf_writer;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use candle_core::quantized::gguf_file::Value::{String as Text, U32 as Number};
use serde_json::{Value, json};

/// A folder with `model/` (a small checkpoint), `picture.png` and whatever a case adds.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/checkpoints");
        for (from, to) in [("old-f32", "model"), ("new-f16-gqa", "sharded")] {
            std::fs::create_dir(place.at(to)).unwrap();
            for entry in std::fs::read_dir(golden.join(from)).unwrap() {
                let entry = entry.unwrap();
                std::fs::copy(entry.path(), place.at(to).join(entry.file_name())).unwrap();
            }
        }
        std::fs::copy(golden.join("old-f32/picture.png"), place.at("picture.png")).unwrap();
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.at(name), bytes).unwrap();
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.at(name)).unwrap()
    }

    /// Cuts the end of a file off.
    fn truncate(&self, name: &str, keep: usize) {
        let bytes = self.bytes(name);
        self.write(name, &bytes[..keep.min(bytes.len())]);
    }

    /// Edits a JSON file.
    fn edit(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut value = serde_json::from_slice(&self.bytes(name)).unwrap();
        change(&mut value);
        self.write(name, value.to_string());
    }

    /// Writes a session: a good one with `changes` put over its fields; `null` takes a field out.
    fn session(&self, changes: &Value) {
        let mut session = json!({
            "version": 1, "model": "model", "image": "picture.png", "prompt": "What is it?",
            "decode": {"max_new_tokens": 2}
        });
        for (field, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(session.as_object_mut().unwrap().remove(field)),
                value => session[field] = value.clone(),
            }
        }
        self.write("session.json", session.to_string());
    }

    fn run(&self, args: &[&str]) -> Output {
        let program = env!("CARGO_BIN_EXE_patchglass");
        Command::new(program)
            .args(args)
            .current_dir(self.0.path())
            .env("RUST_BACKTRACE", "1")
            .env("PATCHGLASS_DEVICE", "cpu")
            // Else a layer of Mesa's Vulkan speaks of it.
            .env("XDG_RUNTIME_DIR", self.0.path())
            .output()
            .unwrap()
    }
}

/// What is spoilt, and words that the message must hold: the file or field first, the remedy last.
struct Case {
    name: &'static str,
    spoil: fn(&Place),
    args: &'static [&'static str],
    words: &'static [&'static str],
}

const RUN: &[&str] = &["run", "session.json", "--out", "out"];

const fn case(name: &'static str, spoil: fn(&Place), words: &'static [&'static str]) -> Case {
    Case {
        name,
        spoil,
        args: RUN,
        words,
    }
}

/// A session of one intervention.
fn intervention(place: &Place, row: &Value) {
    place.session(&json!({"interventions": [row]}));
}

fn picture(place: &Place, name: &str, bytes: &[u8]) {
    place.write(name, bytes);
    place.session(&json!({"image": name}));
}

/// A PNG whose header claims a size that its data does not have.
fn png_header(place: &Place, name: &str, width: u32, height: u32) {
    let mut bytes = place.bytes("picture.png");
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let crc = crc32(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.to_be_bytes());
    picture(place, name, &bytes);
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _: usize| {
        if crc & 1 == 1 {
            (crc >> 1) ^ 0xEDB8_8320
        } else {
            crc >> 1
        }
    };
    !bytes
        .iter()
        .fold(!0u32, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

fn white_png(place: &Place, name: &str, width: u32, height: u32) {
    image::RgbImage::from_pixel(width, height, image::Rgb([255; 3]))
        .save(place.at(name))
        .unwrap();
    place.session(&json!({"image": name}));
}

fn model(place: &Place, spoil: impl FnOnce(&Place)) {
    spoil(place);
    place.session(&json!({}));
}

/// A good pair of GGUF files in `gguf/`, spoilt, and a session on it.
fn gguf(place: &Place, spoil: impl FnOnce(&Place)) {
    gguf_halves(place, |_, _| ());
    spoil(place);
}

/// The same with one of the halves changed before it is written.
fn gguf_halves(place: &Place, change: impl FnOnce(&mut gguf_writer::Half, &mut gguf_writer::Half)) {
    std::fs::create_dir(place.at("gguf")).unwrap();
    let form = gguf_writer::Form::of(candle_core::quantized::GgmlDType::F32);
    let (mut text, mut vision) = gguf_writer::pair(&place.at("model"), form);
    change(&mut text, &mut vision);
    text.write(&place.at("gguf/llava.gguf"));
    vision.write(&place.at("gguf/mmproj.gguf"));
    place.session(&json!({"model": "gguf/llava.gguf"}));
}

fn metadata(
    half: &mut gguf_writer::Half,
    key: &str,
    value: candle_core::quantized::gguf_file::Value,
) {
    half.metadata.insert(key.to_owned(), value);
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    // Weights and the files beside them.
    case("truncated weights", |p| model(p, |p| p.truncate("model/model.safetensors", 700_000)), &["model.safetensors", "download it again"]),
    case("weights cut in the header", |p| model(p, |p| p.truncate("model/model.safetensors", 500)), &["model.safetensors", "download it again"]),
    case("empty weights", |p| model(p, |p| p.write("model/model.safetensors", "")), &["model.safetensors", "download it again"]),
    case("weights of another type", |p| model(p, |p| {
        let text = p.bytes("model/model.safetensors");
        let n = u64::from_le_bytes(text[..8].try_into().unwrap()) as usize;
        let header = String::from_utf8(text[8..8 + n].to_vec()).unwrap().replace("\"F32\"", "\"I32\"");
        p.write("model/model.safetensors", [&text[..8], header.as_bytes(), &text[8 + n..]].concat());
    }), &["language_model.model.embed_tokens.weight", "I32", "F32, F16 and BF16"]),
    case("no weights", |p| model(p, |p| std::fs::remove_file(p.at("model/model.safetensors")).unwrap()), &["model", "model.safetensors"]),
    case("missing shard", |p| {
        std::fs::remove_file(p.at("sharded/model-00002-of-00003.safetensors")).unwrap();
        p.session(&json!({"model": "sharded"}));
    }, &["model-00002-of-00003.safetensors", "download it again"]),
    case("damaged index", |p| {
        p.write("sharded/model.safetensors.index.json", "{\"weight_map\": 3}");
        p.session(&json!({"model": "sharded"}));
    }, &["model.safetensors.index.json", "download it again"]),
    case("missing tensor", |p| {
        p.edit("sharded/model.safetensors.index.json", |v| {
            for (_, file) in v["weight_map"].as_object_mut().unwrap() { *file = json!("model-00001-of-00003.safetensors"); }
        });
        p.session(&json!({"model": "sharded"}));
    }, &["is missing from", "complete LLaVA-1.5 checkpoint"]),
    case("config without sizes", |p| model(p, |p| p.write("model/config.json", r#"{"model_type": "llava", "text_config": {}, "vision_config": {}}"#)), &["config.json", "size"]),
    case("config without its parts", |p| model(p, |p| p.write("model/config.json", r#"{"model_type": "llava"}"#)), &["config.json", "text_config"]),
    case("config that is no JSON", |p| model(p, |p| p.write("model/config.json", "{")), &["config.json", "LLaVA config.json"]),
    case("config missing", |p| model(p, |p| std::fs::remove_file(p.at("model/config.json")).unwrap()), &["config.json", "does not exist"]),
    case("another model family", |p| model(p, |p| p.edit("model/config.json", |v| v["model_type"] = json!("qwen2_vl"))), &["model_type", "LLaVA-1.5"]),
    case("heads that do not divide", |p| model(p, |p| p.edit("model/config.json", |v| v["text_config"]["num_key_value_heads"] = json!(3))), &["num_key_value_heads", "divide"]),
    case("zero layers", |p| model(p, |p| p.edit("model/config.json", |v| v["text_config"]["num_hidden_layers"] = json!(0))), &["num_hidden_layers", "not a possible size"]),
    case("scaled RoPE", |p| model(p, |p| p.edit("model/config.json", |v| v["text_config"]["rope_scaling"] = json!({"rope_type": "yarn"}))), &["rope_scaling", "default"]),
    case("tokenizer missing", |p| model(p, |p| std::fs::remove_file(p.at("model/tokenizer.json")).unwrap()), &["tokenizer.json", "does not exist"]),
    case("tokenizer damaged", |p| model(p, |p| p.write("model/tokenizer.json", "{}")), &["tokenizer.json", "needed"]),
    case("tokenizer without <image>", |p| model(p, |p| p.edit("model/config.json", |v| v["image_token_index"] = json!(5))), &["<image>", "tokenizer.json"]),
    case("preprocessor of another size", |p| model(p, |p| p.edit("model/preprocessor_config.json", |v| { v["size"] = json!({"shortest_edge": 224}); v["crop_size"] = json!(224); })), &["preprocessor_config.json", "must agree"]),
    case("model folder missing", |p| p.session(&json!({"model": "./nowhere"})), &["nowhere", "name the folder"]),
    case("model is a file", |p| p.session(&json!({"model": "picture.png"})), &["picture.png", "name the folder"]),
    // GGUF.
    case("GGUF missing", |p| p.session(&json!({"model": "gone.gguf"})), &["gone.gguf", "does not exist"]),
    case("GGUF that is a folder", |p| { std::fs::create_dir(p.at("f.gguf")).unwrap(); p.session(&json!({"model": "./f.gguf"})); }, &["f.gguf", "does not exist"]),
    case("GGUF with other letters", |p| gguf(p, |p| { let mut bytes = p.bytes("gguf/llava.gguf"); bytes[0] = b'X'; p.write("gguf/llava.gguf", bytes); }), &["llava.gguf", "not a GGUF file", "download it again"]),
    case("empty GGUF", |p| gguf(p, |p| p.write("gguf/llava.gguf", "")), &["llava.gguf", "GGUF", "download it again"]),
    case("GGUF cut in its data", |p| gguf(p, |p| p.truncate("gguf/llava.gguf", 400_000)), &["llava.gguf", "not a whole GGUF file", "download it again"]),
    case("GGUF cut in its header", |p| gguf(p, |p| p.truncate("gguf/llava.gguf", 300)), &["llava.gguf", "not a whole GGUF file", "download it again"]),
    case("GGUF of 6 bytes", |p| gguf(p, |p| p.truncate("gguf/llava.gguf", 6)), &["llava.gguf", "not a whole GGUF file"]),
    case("GGUF of a later version", |p| gguf(p, |p| { let mut bytes = p.bytes("gguf/llava.gguf"); bytes[4] = 99; p.write("gguf/llava.gguf", bytes); }), &["llava.gguf", "version 99", "newer Patchglass"]),
    case("GGUF aligned to nothing", |p| gguf_halves(p, |t, _| metadata(t, "general.alignment", Number(0))), &["llava.gguf", "aligned"]),
    case("GGUF with a tensor of an unknown type", |p| gguf(p, |p| {
        let mut bytes = p.bytes("gguf/llava.gguf");
        let name = b"output_norm.weight";
        let at = bytes.windows(name.len()).position(|w| w == name).unwrap() + name.len() + 4 + 8;
        bytes[at] = 23;
        p.write("gguf/llava.gguf", bytes);
    }), &["llava.gguf", "type 23", "q8_0"]),
    case("vision file cut", |p| gguf(p, |p| p.truncate("gguf/mmproj.gguf", 20_000)), &["mmproj.gguf", "download it again"]),
    case("GGUF of a language model alone", |p| gguf(p, |p| std::fs::remove_file(p.at("gguf/mmproj.gguf")).unwrap()), &["llava.gguf", "no vision tower", "--mmproj"]),
    case("two vision files", |p| gguf(p, |p| p.write("gguf/mmproj-2.gguf", p.bytes("gguf/mmproj.gguf"))), &["mmproj.gguf", "mmproj-2.gguf", "--mmproj"]),
    case("vision file as the model", |p| gguf(p, |p| p.session(&json!({"model": "gguf/mmproj.gguf"}))), &["mmproj.gguf", "language model"]),
    Case { name: "language model as the vision file", spoil: |p| gguf(p, |_| ()), args: &["run", "session.json", "--out", "out", "--mmproj", "gguf/llava.gguf"], words: &["llava.gguf", "no vision tower", "mmproj"] },
    Case { name: "vision file that is not there", spoil: |p| gguf(p, |_| ()), args: &["run", "session.json", "--out", "out", "--mmproj", "gone.gguf"], words: &["gone.gguf", "does not exist"] },
    Case { name: "sweep with a vision file that is not there", spoil: |p| gguf(p, |_| ()), args: &["sweep", "patches", "session.json", "--mmproj", "gone.gguf"], words: &["gone.gguf", "does not exist"] },
    Case { name: "bench with a vision file that is not there", spoil: |p| gguf(p, |_| ()), args: &["bench", "--model", "gguf/llava.gguf", "--mmproj", "gone.gguf"], words: &["gone.gguf", "does not exist"] },
    case("GGUF of another family", |p| gguf_halves(p, |t, _| metadata(t, "general.architecture", Text("qwen2".to_owned()))), &["llava.gguf", "qwen2", "LLaVA-1.5"]),
    case("another projector", |p| gguf_halves(p, |_, v| metadata(v, "clip.projector_type", Text("resampler".to_owned()))), &["mmproj.gguf", "resampler", "mlp"]),
    case("GGUF without a size", |p| gguf_halves(p, |t, _| drop(t.metadata.remove("llama.block_count"))), &["llava.gguf", "llama.block_count", "missing"]),
    case("GGUF with an impossible size", |p| gguf_halves(p, |t, _| metadata(t, "llama.attention.head_count_kv", Number(3))), &["llava.gguf", "num_key_value_heads", "divide"]),
    case("GGUF with sizes of another model", |p| gguf_halves(p, |t, _| metadata(t, "llama.feed_forward_length", Number(64))), &["blk.0.ffn_gate.weight", "llava.gguf", "metadata"]),
    case("GGUF without a tensor", |p| gguf_halves(p, |t, _| drop(t.tensors.remove("blk.1.attn_v.weight"))), &["blk.1.attn_v.weight", "missing", "llava.gguf"]),
    case("GGUF with scaled RoPE", |p| gguf_halves(p, |t, _| metadata(t, "llama.rope.scaling.type", Text("yarn".to_owned()))), &["llava.gguf", "yarn"]),
    case("GGUF with another vocabulary", |p| gguf_halves(p, |t, _| metadata(t, "tokenizer.ggml.model", Text("gpt2".to_owned()))), &["llava.gguf", "gpt2", "tokenizer.json"]),
    case("GGUF without scores", |p| gguf_halves(p, |t, _| drop(t.metadata.remove("tokenizer.ggml.scores"))), &["llava.gguf", "tokenizer.ggml.scores", "download"]),
    case("hub id that is not here", |p| p.session(&json!({"model": "owner/name"})), &["owner/name", "download"]),
    // Pictures.
    case("1x1 picture", |p| white_png(p, "dot.png", 1, 1), &["dot.png", "1x1"]),
    case("1x5000 picture", |p| white_png(p, "line.png", 1, 5000), &["line.png", "1x5000"]),
    case("3x5000 picture", |p| white_png(p, "thin.png", 3, 5000), &["thin.png"]),
    case("corrupt JPEG", |p| picture(p, "broken.jpg", &[&[0xFF, 0xD8, 0xFF, 0xE0, 0, 16], &b"JFIF\0junkjunkjunk"[..]].concat()), &["broken.jpg", "save or download it again"]),
    case("truncated PNG", |p| { let bytes = p.bytes("picture.png"); picture(p, "half.png", &bytes[..bytes.len() / 2]); }, &["half.png"]),
    case("20,000x20,000 picture", |p| png_header(p, "huge.png", 20_000, 20_000), &["huge.png", "20000x20000"]),
    case("huge header", |p| png_header(p, "bomb.png", 2_000_000_000, 2_000_000_000), &["bomb.png", "scale it down"]),
    case("empty picture", |p| picture(p, "empty.png", b""), &["empty.png"]),
    case("text as a picture", |p| picture(p, "notes.txt", b"hello"), &["notes.txt"]),
    case("directory as a picture", |p| p.session(&json!({"image": "model"})), &["model"]),
    case("picture missing", |p| p.session(&json!({"image": "gone.png"})), &["gone.png", "does not exist"]),
    // The session.
    case("session missing", |_| (), &["session.json", "does not exist"]),
    case("session that is no JSON", |p| p.write("session.json", "{"), &["session.json", "JSON"]),
    case("unknown field", |p| p.session(&json!({"promt": "x"})), &["promt", "expected"]),
    case("unknown field of an intervention", |p| intervention(p, &json!({"type": "ablation", "patches": "all", "wiht": "mean"})), &["interventions[0]", "wiht"]),
    case("version 99", |p| p.session(&json!({"version": 99})), &["version 99", "newer Patchglass"]),
    case("no picture named", |p| p.session(&json!({"image": null})), &["session.json", "image"]),
    case("no prompt", |p| p.session(&json!({"prompt": null})), &["session.json", "prompt"]),
    case("template without <image>", |p| p.session(&json!({"template": "USER: {prompt} ASSISTANT:"})), &["template", "<image>"]),
    case("template without {prompt}", |p| p.session(&json!({"template": "USER: <image> ASSISTANT:"})), &["template", "{prompt}"]),
    case("<image> in the question", |p| p.session(&json!({"prompt": "<image> what?"})), &["prompt", "<image>"]),
    case("a question that is too long", |p| p.session(&json!({"prompt": "word ".repeat(4000)})), &["tokens", "shorten"]),
    case("unknown crop", |p| p.session(&json!({"crop": "left"})), &["crop", "center"]),
    case("top_k of 0", |p| p.session(&json!({"readout": {"top_k": 0}})), &["readout.top_k", "between 1 and 100"]),
    case("patch outside the grid", |p| intervention(p, &json!({"type": "ablation", "patches": "r8c0"})), &["interventions[0]", "r8c0", "rows are 0..=7"]),
    case("patch outside, switched off", |p| intervention(p, &json!({"type": "ablation", "patches": "r24c0", "enabled": false})), &["r24c0", "rows are 0..=7"]),
    case("bad patch set", |p| intervention(p, &json!({"type": "ablation", "patches": "3,4"})), &["interventions[0]", "r3c4"]),
    case("level beyond the model", |p| intervention(p, &json!({"type": "ablation", "patches": "all", "layer": 3})), &["layer 3", "0..=2"]),
    case("layers beyond the model", |p| intervention(p, &json!({"type": "attention_knockout", "queries": "last", "keys": "image", "layers": "1..=3"})), &["layers 1..=3", "0..=2"]),
    case("bad layers", |p| intervention(p, &json!({"type": "attention_knockout", "queries": "last", "keys": "image", "layers": "early"})), &["early", "15..=24"]),
    case("heads beyond the model", |p| intervention(p, &json!({"type": "attention_knockout", "queries": "last", "keys": "image", "heads": [4]})), &["head 4", "0..=3"]),
    case("unknown token set", |p| intervention(p, &json!({"type": "attention_knockout", "queries": "first", "keys": "image"})), &["first", "question"]),
    case("unknown intervention", |p| intervention(p, &json!({"type": "steering"})), &["steering", "ablation"]),
    case("unknown replacement", |p| intervention(p, &json!({"type": "ablation", "patches": "all", "with": "median"})), &["median", "mean"]),
    case("mean vector missing", |p| intervention(p, &json!({"type": "ablation", "patches": "all", "with": {"mean_of": "mean.safetensors"}})), &["mean.safetensors", "does not exist"]),
    case("mean vector of another model", |p| intervention(p, &json!({"type": "ablation", "patches": "all", "with": {"mean_of": "model/model.safetensors"}})), &["model.safetensors", "one float tensor of 64"]),
    case("donor patch outside", |p| intervention(p, &json!({"type": "ablation", "patches": "all", "with": {"patch": "r9c9"}})), &["r9c9", "rows are 0..=7"]),
    case("donor picture missing", |p| intervention(p, &json!({"type": "ablation", "patches": "all", "with": {"image": "b.png"}})), &["b.png", "does not exist"]),
    case("attention of a token that is not there", |p| p.session(&json!({"readout": {"attention": {"query": "answer:7"}}})), &["readout.attention.query", "answer:7", "2 tokens"]),
    case("attention of a position that is not there", |p| p.session(&json!({"readout": {"attention": {"query": "9999"}}})), &["readout.attention.query", "9999", "0..="]),
    case("word without a token", |p| p.session(&json!({"readout": {"words": [" "]}})), &["word", "type letters"]),
    // Arguments.
    Case { name: "unknown device", spoil: |p| p.session(&json!({})), args: &["run", "session.json", "--out", "out", "--device", "tpu"], words: &["--device tpu", "cpu"] },
    Case { name: "device that is not there", spoil: |p| p.session(&json!({})), args: &["run", "session.json", "--out", "out", "--device", "cuda:99"], words: &["--device cuda", "cpu"] },
    Case { name: "graphics card that is not there", spoil: |p| p.session(&json!({})), args: &["run", "session.json", "--out", "out", "--device", "wgpu:99"], words: &["--device wgpu:99", "info --devices", "cpu"] },
    Case { name: "graphics card that is no number", spoil: |p| p.session(&json!({})), args: &["run", "session.json", "--out", "out", "--device", "wgpu:first"], words: &["--device wgpu:first", "wgpu:1"] },
    Case { name: "something to do without that does not go with the device", spoil: |p| p.session(&json!({})), args: &["run", "session.json", "--out", "out", "--device", "cpu", "--wgpu-without", "f16"], words: &["--wgpu-without", "--device wgpu"] },
    Case { name: "unknown type", spoil: |p| p.session(&json!({})), args: &["run", "session.json", "--out", "out", "--dtype", "f8"], words: &["--dtype f8", "f16", "q8_0"] },
    Case { name: "dump to standard output", spoil: |p| p.session(&json!({})), args: &["run", "session.json", "--out", "-", "--dump"], words: &["--out -", "name a folder"] },
    Case { name: "no output", spoil: |p| p.session(&json!({})), args: &["run", "session.json"], words: &["--out", "--help"] },
    Case { name: "unknown option", spoil: |_| (), args: &["run", "session.json", "--our", "x"], words: &["--our", "--help"] },
    Case { name: "lens of no picture", spoil: |_| (), args: &["lens", "gone.png"], words: &["gone.png", "does not exist"] },
    Case { name: "lens of no level", spoil: |_| (), args: &["lens", "picture.png", "--model", "./model", "--level", "9"], words: &["--level 9", "0..=3"] },
    Case { name: "lens in columns that are too wide", spoil: |_| (), args: &["lens", "picture.png", "--model", "./model", "--width", "70000"], words: &["--width", "1..=200"] },
    Case { name: "info of no model", spoil: |_| (), args: &["info", "./gone"], words: &["gone", "name the folder"] },
    Case { name: "info of a GGUF alone", spoil: |p| gguf(p, |p| std::fs::remove_file(p.at("gguf/mmproj.gguf")).unwrap()), args: &["info", "gguf/llava.gguf"], words: &["llava.gguf", "--mmproj"] },
    Case { name: "window on a missing file", spoil: |_| (), args: &["gone.png"], words: &["gone.png", "does not exist"] },
];

#[test]
fn bad_input_gets_one_clear_line_and_exit_code_2() {
    let mut failures = Vec::new();
    for case in CASES {
        let place = Place::new();
        (case.spoil)(&place);
        let output = place.run(case.args);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        // Stages may be told before; the last line is the message, and the only one that is an error.
        let message = stderr.lines().last().unwrap_or_default();
        let n_errors = stderr
            .lines()
            .filter(|line| line.starts_with("error: "))
            .count();
        println!("{}: {message}", case.name);
        let says_all = case.words.iter().all(|word| message.contains(word));
        let is_clean = !stderr.contains("panicked")
            && !stderr.contains("backtrace")
            && output.stdout.is_empty();
        if output.status.code() != Some(2)
            || n_errors != 1
            || !says_all
            || !is_clean
            || message.len() > 500
        {
            failures.push(format!(
                "{} ({:?}): {stderr}",
                case.name,
                output.status.code()
            ));
        }
        assert!(
            !place.at("out/result.json").exists(),
            "{}: a result was written",
            case.name
        );
    }
    assert!(
        failures.is_empty(),
        "{} of {} cases:\n{}",
        failures.len(),
        CASES.len(),
        failures.join("\n")
    );
}

/// The table would prove nothing if good input failed as well.
#[test]
fn good_input_passes() {
    for model in ["model", "sharded", "demo", "gguf/llava.gguf"] {
        let place = Place::new();
        gguf(&place, |_| ());
        place.session(&json!({"model": model}));
        let output = place.run(RUN);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(place.at("out/result.json").exists());
    }
}
