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

/// A scene like those that the demo model was trained on, held out from its training.
pub struct Sample {
    pub name: &'static str,
    /// What is to be seen.
    pub what: &'static str,
    /// PNG, 336 px.
    pub png: &'static [u8],
}

macro_rules! sample {
    ($name:literal, $what:literal) => {
        Sample {
            name: $name,
            what: $what,
            png: include_bytes!(concat!("../assets/demo/samples/", $name, ".png")),
        }
    };
}

/// The twelve sample scenes: 0.97 MB of the binary.
pub static SAMPLES: &[Sample] = &[
    sample!("meadow", "A dog, a tree and a red bicycle in a meadow"),
    sample!(
        "beach",
        "A yellow umbrella, a blue ball and a crab on a beach"
    ),
    sample!("lake", "An orange tent and a swan by a lake at sunset"),
    sample!("snow", "Two penguins and a snowman in the snow"),
    sample!("night", "A moon, a fox and an owl in a forest at night"),
    sample!(
        "city",
        "An airplane, a blue car and a red bus in a city at sunset"
    ),
    sample!("desert", "A snake, a camel and a cactus in the desert"),
    sample!(
        "table",
        "A pizza, a blue cup, an apple and some cheese on a table"
    ),
    sample!("reef", "An octopus, a fish and a turtle under water"),
    sample!("room", "A cat, a green chair and a red book in a room"),
    sample!(
        "savanna",
        "A giraffe, an elephant and a lion in a field at sunset"
    ),
    sample!("space", "A rocket, a yellow star and a robot in space"),
];
