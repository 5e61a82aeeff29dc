//! `patchglass verify`: whether a model computes what it should, here and now, as a table.

use std::fmt::Write as _;

use clap::Args;

use super::Compute;
use super::terminal::Terminal;
use crate::engine::Engine;
use crate::engine::protocol::{RunId, RunSpec};
use crate::engine::verification::{Outcome, Verification};
use crate::error::{Error, Result};
use crate::spec::Experiment;

#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// "demo", a folder in Hugging Face form, a .gguf file, or a hub id that is in the local cache
    model: Option<String>,
    #[command(flatten)]
    compute: Compute,
}

pub fn verify(args: &VerifyArgs) -> Result<()> {
    let model = super::model_source(args.model.as_deref());
    let spec = RunSpec {
        id: RunId(1),
        experiment: Experiment {
            model: args.compute.with_mmproj(model),
            ..Experiment::default()
        },
        ..RunSpec::default()
    };
    let mut engine = Engine::new(args.compute.options()?)?;
    let mut terminal = Terminal::default();
    let found = engine.verify(&spec, &mut terminal);
    terminal.finish();
    let found = found?;
    super::print(&table(&found))?;
    match found.n_failed() {
        0 => Ok(()),
        n => Err(Error::internal(format!(
            "{n} of {} checks failed: do not trust what this model shows on this machine",
            found.checks.len()
        ))),
    }
}

/// One line a check: outcome, name, worst difference, what is allowed, what was compared.
fn table(found: &Verification) -> String {
    let widest = |check: &crate::engine::verification::Check| check.name.chars().count();
    let width = found.checks.iter().map(widest).max().unwrap_or(0);
    let mut out = format!("{}\n", found.title);
    for check in &found.checks {
        let outcome = match check.outcome() {
            Outcome::Passed => "pass",
            Outcome::Failed => "FAIL",
            Outcome::Skipped => "skip",
        };
        let number = |value: f64| match value {
            0.0 => "0".to_owned(),
            value => format!("{value:.1e}"),
        };
        let worst = check.worst.map_or_else(|| "–".to_owned(), number);
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "{outcome}  {:<width$}  {worst:>8} of {:<8}  {}",
            check.name,
            number(check.allowed),
            check.compared
        );
    }
    out.truncate(out.trim_end().len());
    out
}
