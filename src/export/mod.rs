//! What leaves the program: files made of a trace, the same for the window's menu and the command line.
//!
//! Every export is a pure function of what the engine has computed; nothing here runs a model, opens a file or draws a
//! window.

pub mod result;
pub mod tensors;
