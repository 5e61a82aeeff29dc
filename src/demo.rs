//! The demo model and its picture, inside the binary.
//!
//! Where they come from, what the model can and cannot do, and under which licences they are: `assets/demo/README.md`.

/// `config.json` of the demo model.
pub static CONFIG: &str = include_str!("../assets/demo/model/config.json");
/// Its `preprocessor_config.json`.
pub static PREPROCESSOR_CONFIG: &str =
    include_str!("../assets/demo/model/preprocessor_config.json");
/// Its `tokenizer.json`.
pub static TOKENIZER: &[u8] = include_bytes!("../assets/demo/model/tokenizer.json");
/// Its weights: safetensors, f16, 24.6 MB.
pub static WEIGHTS: &[u8] = include_bytes!("../assets/demo/model/model.safetensors");
/// The scene that the window opens with (PNG, 336 px).
pub static PICTURE: &[u8] = include_bytes!("../assets/demo/samples/desert.png");
/// Its file name.
pub const PICTURE_NAME: &str = "desert.png";
/// The level at which the words on the objects read best, measured on held-out scenes: the last, as the table in the README shows.
pub const DEFAULT_LEVEL: usize = 10;
/// What Hugging Face transformers gave for one experiment on it: `patchglass verify` compares with that.
pub static RECORDED: &str = include_str!("../assets/demo/recorded.json");
/// The demo model's files, in Hugging Face form, and its picture.
pub static FILES: [(&str, &[u8]); 5] = [
    ("config.json", CONFIG.as_bytes()),
    ("preprocessor_config.json", PREPROCESSOR_CONFIG.as_bytes()),
    ("tokenizer.json", TOKENIZER),
    ("model.safetensors", WEIGHTS),
    (PICTURE_NAME, PICTURE),
];
