//! What the window draws with its own shaders: wgpu only, no widget, no session.
//!
//! One file per pipeline; each has a private `gpu_data` with the Rust mirror of the shader's parameters.

pub mod colormap;
pub mod heatmap;
