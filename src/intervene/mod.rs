//! What is done to a run: interventions, compiled to hooks on the forward pass.
//!
//! The data is in `spec`; here it meets a model and a prompt. It reads no files: vectors and rows that come from
//! elsewhere are handed in. It knows nothing of lenses or of what a run is for.

mod ablation;
mod attention_knockout;
mod compiled;
mod packed;
mod row_edit;

pub use ablation::{Donor, replacing_rows};
pub use compiled::{CompiledSet, Target, donor_of};
pub use packed::{PackedKnockouts, Pairs, Variant};
pub use row_edit::RowEdit;
