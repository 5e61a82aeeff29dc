//! The paper's experiments over sets of pictures: ablation, logit lens, knockout, and the mean visual token.
//!
//! | file | what it is |
//! |---|---|
//! | `data` | pictures and objects of a COCO file that pass the filters; shards |
//! | `common`, `sets`, `wording` | what experiments share: settings, an object's patches, sets of them, questions |
//! | `matching` | when an answer or a token counts as the object's word |
//! | `journal` | rows as JSON lines, appended; what is there is not computed again |
//! | `stats` | shares with intervals |
//! | `report`, `svg` | tables and plots as CSV, Markdown and one HTML page |
//! | `ablation`, `lens`, `knockout`, `mean` | one experiment each: its settings, a row, the summary of all rows |
//! | `gate` | the hallucination gate of the paper |
//!
//! An experiment is a function from settings and an object of a picture to a row; the summary is a function of the rows
//! alone, so that an interrupted run, a sharded one and an uninterrupted one end in the same tables. No terminal here.

pub mod ablation;
mod ablation_summary;
pub mod common;
pub mod data;
mod gate;
pub mod journal;
pub mod knockout;
mod knockout_summary;
pub mod lens;
pub mod matching;
pub mod mean;
mod merge;
pub mod report;
mod run;
pub mod sets;
pub mod stats;
mod svg;
mod wording;

pub use merge::{ROWS, merge, report as report_of};
pub use run::{Progress, Rate, carry_out};
pub use wording::{Task, Wording};
