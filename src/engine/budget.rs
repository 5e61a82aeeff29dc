//! How much memory the engine may take, and what that leaves room for. Arithmetic on estimates (`memory`): it neither
//! measures what is taken nor lets anything go.

use crate::tensor::Device;

use super::free_memory::free_memory;
use super::memory::MemoryNeed;
use crate::error::{Error, Result};

/// What may be taken for weights, kept runs and work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Budget {
    /// Bytes that the person allows.
    asked: Option<u64>,
    /// Bytes that the card had free when the engine was made; `None` on the CPU.
    free: Option<u64>,
    is_card: bool,
}

impl Budget {
    pub fn new(asked: Option<u64>, device: &Device) -> Self {
        let is_card = !device.is_cpu();
        Self {
            asked,
            free: if is_card { free_memory(device) } else { None },
            is_card,
        }
    }

    /// Bytes that may be taken; `None` for no limit.
    pub fn allowed(&self) -> Option<u64> {
        self.asked.or(self.free)
    }

    /// Whether the clean run and the edited one can be kept side by side.
    pub fn holds_both_runs(&self, need: &MemoryNeed) -> bool {
        self.allowed().is_none_or(|allowed| need.total() <= allowed)
    }

    /// Refuses a model that cannot even be loaded. `smaller` are other types and what they need for the same.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]: what is needed and what would fit.
    pub fn check_model(
        &self,
        name: &str,
        need: &MemoryNeed,
        smaller: &[(&str, MemoryNeed)],
    ) -> Result<()> {
        let fits = |need: &MemoryNeed, asked| need.weights() + need.scratch <= asked;
        match self.asked {
            Some(asked) if !fits(need, asked) => {
                let (weights, work) = (size(need.weights()), size(need.scratch));
                let types: Vec<String> = (smaller.iter())
                    .filter(|(_, need)| fits(need, asked))
                    .map(|(name, need)| format!("--dtype {name} ({})", size(need.total())))
                    .collect();
                let advice = match types.is_empty() {
                    true => format!("allow at least {}", size(need.total())),
                    false => format!("choose {}", types.join(" or ")),
                };
                Err(self.out_of_memory(format!(
                    "the model {name} needs {weights} for its weights and {work} to work in, and --memory allows {}: {advice}",
                    size(asked)
                )))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a run that does not fit even when it is the only one that is kept.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]: what is needed and what would fit.
    pub fn check_run(&self, n_prompt: usize, n_new: usize, need: &MemoryNeed) -> Result<()> {
        let one = need.total() - need.edited_run;
        match self.asked {
            Some(asked) if one > asked => Err(self.out_of_memory(format!(
                "a prompt of {n_prompt} tokens with an answer of up to {n_new} needs {} with the model, and --memory allows {}: ask for \
                 a shorter answer, choose --dtype q8_0 or q4k, or allow more",
                size(one),
                size(asked)
            ))),
            _ => Ok(()),
        }
    }

    fn out_of_memory(&self, message: String) -> Error {
        let message = match self.is_card {
            true => format!("{message}, or use --device cpu"),
            false => message,
        };
        Error::OutOfMemory {
            message,
            can_use_cpu: self.is_card,
        }
    }
}

/// A number of bytes as people write it: `800 MB`, `9.5GB`, `8 GiB`, or bytes alone.
///
/// # Errors
/// [`Error::Input`] for anything else.
pub fn bytes(text: &str) -> Result<u64> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number = text[..text.len() - unit.len()].parse::<f64>();
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => Some(1.0),
        "mb" => Some(1e6),
        "gb" => Some(1e9),
        "mib" => Some(f64::from(1 << 20)),
        "gib" => Some(f64::from(1 << 30)),
        _ => None,
    };
    match (number, unit) {
        (Ok(number), Some(unit)) if number > 0.0 => Ok((number * unit) as u64),
        _ => Err(Error::input(format!(
            "--memory {text}: write a size such as 10GB, 800MB or 8GiB"
        ))),
    }
}

/// In words: `41.3 MB`, `9.95 GB`.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_people_write_them() {
        for (text, expected) in [
            ("10GB", 10_000_000_000),
            ("9.5 gb", 9_500_000_000),
            ("8GiB", 8 << 30),
            ("12", 12),
        ] {
            assert_eq!(bytes(text).unwrap(), expected);
        }
        for text in ["", "GB", "ten", "-1GB", "1TBx", "0"] {
            assert!(bytes(text).unwrap_err().to_string().contains("10GB"));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_would() {
        let need = |weights| MemoryNeed {
            maps: weights,
            clean_run: 5,
            edited_run: 5,
            scratch: 2,
            ..MemoryNeed::default()
        };
        let budget = |asked| Budget {
            asked: Some(asked),
            free: None,
            is_card: true,
        };
        let smaller = [("q8_0", need(50)), ("q4k", need(30))];
        let refused = |asked| {
            let error = budget(asked)
                .check_model("m", &need(100), &smaller)
                .unwrap_err();
            error.to_string()
        };
        assert!(budget(102).check_model("m", &need(100), &smaller).is_ok());
        assert!(refused(101).contains("q8_0") && refused(101).contains("--device cpu"));
        assert!(refused(40).contains("q4k") && !refused(40).contains("q8_0 ("));
        assert!(refused(10).contains("allow at least"));
        assert!(budget(107).check_run(600, 32, &need(100)).is_ok());
        assert!(budget(106).check_run(600, 32, &need(100)).is_err());
        assert!(budget(112).holds_both_runs(&need(100)));
        assert!(!budget(111).holds_both_runs(&need(100)));
    }
}
