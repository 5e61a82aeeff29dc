//! What a verification found, as plain data: one line a check.

use super::protocol::RunId;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    Failed,
    /// There is nothing to compare with.
    Skipped,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    pub name: &'static str,
    /// What was compared, in words.
    pub compared: String,
    /// The worst difference that was met; `None` where nothing was compared.
    pub worst: Option<f64>,
    /// The largest difference that passes.
    pub allowed: f64,
}

impl Check {
    /// A number that is no number never passes.
    pub fn outcome(&self) -> Outcome {
        match self.worst {
            None => Outcome::Skipped,
            Some(worst) if worst <= self.allowed => Outcome::Passed,
            Some(_) => Outcome::Failed,
        }
    }
}

/// All checks of one model so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Verification {
    pub id: RunId,
    /// Model, device and number type.
    pub title: String,
    pub checks: Vec<Check>,
    /// `false` while more is coming.
    pub complete: bool,
}

impl Verification {
    pub fn n_failed(&self) -> usize {
        let failed = |check: &&Check| check.outcome() == Outcome::Failed;
        self.checks.iter().filter(failed).count()
    }
}

/// What is asked of the engine besides a run or a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// Check the model that the experiment names; its picture and interventions are not used.
    Verify,
    /// Give the tensors of the run, as `dump.safetensors` holds them.
    Dump,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_compared_passes() {
        let check = |worst| Check {
            name: "",
            compared: String::new(),
            worst,
            allowed: 0.0,
        };
        assert_eq!(check(Some(0.0)).outcome(), Outcome::Passed);
        assert_eq!(check(Some(f64::NAN)).outcome(), Outcome::Failed);
        assert_eq!(check(Some(1e-9)).outcome(), Outcome::Failed);
        assert_eq!(check(None).outcome(), Outcome::Skipped);
    }
}
