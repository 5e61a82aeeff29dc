//! Patchglass: a native explorer of what a vision-language model makes of a picture.
//!
//! It lays the grid of LLaVA-1.5's visual tokens over the picture, reads every patch at every level through the logit
//! lens, and re-runs the model when patches are ablated or attention from them is knocked out (Neo et al., "Towards
//! Interpreting Visual Information Processing in Vision-Language Models", arXiv 2410.07149). This page is the map.
//!
//! # Entry points
//! `main` hands its arguments to [`cli::main`]. Without a sub-command that opens the window (`app`, feature `gui`), which
//! owns a [`session::Session`] and talks to an [`engine::Engine`] on a thread of its own. `run`, `lens` and `info` call
//! the same engine directly. Whoever asks, a run is [`engine::Engine::run`] of a [`engine::protocol::RunSpec`], and a
//! sweep over patches, blocks or heads is [`engine::Engine::sweep`] on top of such a run.
//!
//! # Map, from the bottom up
//! | module | what it is |
//! |---|---|
//! | [`error`], [`files`] | one error type, one sentence each; reading with a limit, writing atomically |
//! | [`hub`] | the Hugging Face cache, and downloads into it when asked: the only place that speaks to a network |
//! | [`index`] | patches, levels, blocks, heads, token sets: symbolic until they meet a layout |
//! | [`spec`] | what a run depends on, as plain data: [`spec::Experiment`], its interventions, sweeps |
//! | [`compute`] | any graphics card through wgpu: memory, weights, products and the model's operations as kernels; no models |
//! | [`tensor`] | tensors wherever they lie: on candle's devices, or on a card that candle cannot reach |
//! | [`model`] | CLIP tower, projector, LLaMA decoder with hook points; config, weights (float, quantised, GGUF), tokenizer, pictures |
//! | [`masks`] | masks of objects (COCO, polygons, run lengths) and the patches that they lie on |
//! | [`lens`] | residual rows to words: top-k, entropy, probability of a word |
//! | [`intervene`] | interventions compiled to hooks on the forward pass |
//! | [`engine`] | carries out requests; keeps model, picture and runs; [`engine::worker`] is its thread |
//! | [`session`] | the document: experiment, view, undo; `update(session, command)`; the session file |
//! | `labels`, `wording` | numbers, levels and interventions in words, for the window and for exports |
//! | [`export`] | files made of a trace: results, tables, pictures; pure |
//! | `render`, `ui`, `app`, `dialogs` | the window (feature `gui`): shaders, panels, glue, file dialogs |
//! | [`experiment`] | the paper's experiments over sets of pictures: objects, rows, summaries |
//! | [`cli`] | the command line |
//!
//! A module names only modules above it in this table; `tests/tidy.rs` enforces it.
//! The proposal that this follows keeps the file form of the session apart from its types throughout. Here the plain data
//! of [`spec`] and [`index`] carries its own serde form, because the contract's words *are* its meaning; only the file as
//! a whole has a type of its own (`session::file`). That removes a mirror of every intervention.
//!
//! # From a click to pixels
//! A panel sends a [`session::Command`]; at the end of the frame the shell applies all of them with
//! [`session::update`]. If any effect says so, one request with a new [`engine::protocol::RunId`] goes into the worker's
//! one-slot mailbox: a newer request replaces a waiting one and cancels a running one between two layers. The engine
//! answers with ever fuller [`engine::trace::Trace`]s of that id, the level on screen first.
//!
//! # A sweep
//! [`spec::SweepSpec`] says which token of the clean answer is watched and what is taken away, one at a time. The request
//! goes through the same mailbox; the engine keeps its clean run, lets many sequences leave it at the same row in one
//! forward ([`model::Llava`]'s `llama.resume_batch`), and answers with ever fuller [`engine::sweep::Sweep`]s. An edit
//! stops a sweep; asked for again, it goes on where it was. Interventions of the session are not applied to it.
//!
//! # Invariants
//! - The window never touches a tensor, never waits, and shows no number that is not in a trace or a sweep.
//! - The model never hears of ablation or of lenses; it only has [`model::hooks`]. Nothing is registered on it.
//! - The session cannot run anything, and only [`session::update`] changes it.
//! - A run is a pure function of weights, picture and experiment; what the engine keeps only saves time
//!   (`tests/properties.rs`).
//! - No size of any model is written in the code: grid, levels, heads and widths come from the checkpoint.
//! - Quantising rounds weights, never activations: few rows are computed as they are among many.
//! - The final norm is applied once. A query never loses itself. Padding rows of the vocabulary are never shown.
//! - Only [`engine::worker`], the file dialogs and the keeper of what is remembered start threads. No panic reaches the
//!   person: a run that panics is a failed run.
//!
//! # Glossary
//! - **patch**: one cell of the grid, `r7c19` (row, column, from 0). **Visual token**: its row in the sequence.
//! - **level**: 0 is what enters the decoder, n is the residual stream after n blocks; there are `n_layers + 1`.
//! - **block** (`layers` in the files): a decoder block, from 0; level n + 1 is what leaves block n.
//! - **ablation**: rows of patches at a level are replaced. **Attention knockout**: scores of (query, key) become −∞.
//! - **sweep**: the clean run again and again, each time with one unit taken away; a unit's **loss** is what the watched
//!   token loses by that, positive where the unit helps the token.
//! - **clean run / baseline**: the run without interventions. **Edited run**: the run with them.
//! - **logit lens**: softmax(lm_head(final_norm(residual))).
//!
//! Hook points have TransformerLens' names, tensors the checkpoint's, fields are `queries` and `keys`, never from and to.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        reason = "a test may fail by panicking"
    )
)]

#[cfg(feature = "gui")]
pub mod app;
pub mod cli;
pub mod compute;
pub mod demo;
#[cfg(feature = "gui")]
pub mod dialogs;
pub mod engine;
pub mod error;
pub mod experiment;
pub mod export;
pub mod files;
pub mod hub;
pub mod index;
pub mod intervene;
pub mod labels;
pub mod lens;
pub mod masks;
pub mod model;
#[cfg(feature = "gui")]
pub mod render;
pub mod session;
pub mod spec;
pub mod tensor;
#[cfg(feature = "gui")]
pub mod ui;
pub mod wording;
pub mod words_png;
