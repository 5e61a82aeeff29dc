//! The sets of visual tokens that are ablated: the object and rings around it, registers, by chance, by gradients.

use std::fmt;
use std::str::FromStr;

use super::ablation::{Settings, yes_token};
use super::common::Subject;
use super::data::Item;
use super::wording::Task;
use crate::engine::study::{Seen, Study};
use crate::error::{Error, Result};
use crate::index::{PatchSet, choose};

/// Sizes of random and gradient sets in the paper.
pub const SIZES: [usize; 7] = [5, 10, 20, 40, 60, 100, 250];

/// Which patches. Written `object`, `object+1`, `register`, `random:40`, `random:object+1`, `gradient:40`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SetKind {
    /// Those that the object overlaps and so many rings of 8 neighbours.
    Object(usize),
    /// Projector norm above mean + 2 sample standard deviations.
    Register,
    Random(Size),
    /// Those with the largest integrated gradients, by absolute value.
    Gradient(Size),
}

/// How many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Size {
    Of(usize),
    /// As many as the object with so many rings has.
    Object(usize),
}

impl SetKind {
    /// The paper's sets, and controls of the same sizes as the object's.
    pub fn usual() -> Vec<Self> {
        let mut sets = vec![
            Self::Object(0),
            Self::Object(1),
            Self::Object(2),
            Self::Register,
        ];
        for kind in [Self::Random, Self::Gradient] {
            sets.extend([0, 1, 2].map(|rings| kind(Size::Object(rings))));
            sets.extend(SIZES.map(|n| kind(Size::Of(n))));
        }
        sets
    }
}

fn object(rings: usize) -> String {
    match rings {
        0 => "object".to_owned(),
        rings => format!("object+{rings}"),
    }
}

fn rings(text: &str) -> Option<usize> {
    match text.strip_prefix("object")? {
        "" => Some(0),
        more => more
            .strip_prefix('+')?
            .parse()
            .ok()
            .filter(|n| (1..=24).contains(n)),
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(n) => write!(f, "{n}"),
            Self::Object(rings) => f.write_str(&object(*rings)),
        }
    }
}

impl fmt::Display for SetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(rings) => f.write_str(&object(*rings)),
            Self::Register => f.write_str("register"),
            Self::Random(size) => write!(f, "random:{size}"),
            Self::Gradient(size) => write!(f, "gradient:{size}"),
        }
    }
}

impl FromStr for SetKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let size = |text: &str| {
            let of = text.parse().ok().filter(|n| *n > 0).map(Size::Of);
            of.or_else(|| rings(text).map(Size::Object))
        };
        let set = match text.split_once(':') {
            None if text == "register" => Some(Self::Register),
            None => rings(text).map(Self::Object),
            Some(("random", n)) => size(n).map(Self::Random),
            Some(("gradient", n)) => size(n).map(Self::Gradient),
            Some(_) => None,
        };
        set.ok_or_else(|| {
            Error::input(format!(
                "set {text:?}: write object, object+1, object+2, register, random:N or gradient:N, where N is a number \
                 or object+1 for as many as that has"
            ))
        })
    }
}

crate::index::serde_as_text!(SetKind);

/// What the sets of one object are made of.
pub struct Made<'a> {
    study: &'a Study,
    subject: &'a Subject,
    seed: u64,
    norms: Vec<f32>,
    /// Patches by falling absolute attribution; empty where no set needs it.
    by_gradient: Vec<usize>,
}

impl<'a> Made<'a> {
    /// # Errors
    /// A failing device.
    pub fn new(
        study: &'a Study,
        settings: &Settings,
        item: &Item,
        subject: &'a Subject,
        seen: &Seen<'_>,
    ) -> Result<Self> {
        let needs_gradient = |set: &SetKind| matches!(set, SetKind::Gradient(_));
        let by_gradient = match settings.sets.iter().any(needs_gradient) {
            true => by_gradient(study, settings, item, seen)?,
            false => Vec::new(),
        };
        Ok(Self {
            study,
            subject,
            seed: settings.common.seed,
            norms: seen.norms()?,
            by_gradient,
        })
    }

    /// The patches of a set.
    pub fn set(&self, kind: SetKind) -> PatchSet {
        let grid = self.study.facts().grid;
        match kind {
            SetKind::Object(rings) => self.subject.grown(self.study, rings),
            SetKind::Register => choose::registers(&self.norms, grid),
            SetKind::Random(size) => {
                let n = self.n(size);
                choose::random(n, self.subject.seed(self.seed, n), grid)
            }
            SetKind::Gradient(size) => {
                choose::of_indices(self.by_gradient.iter().copied().take(self.n(size)), grid)
            }
        }
    }

    fn n(&self, size: Size) -> usize {
        match size {
            Size::Of(n) => n,
            Size::Object(rings) => {
                let set = self.subject.grown(self.study, rings);
                set.count(self.study.facts().grid)
            }
        }
    }
}

fn by_gradient(
    study: &Study,
    settings: &Settings,
    item: &Item,
    seen: &Seen<'_>,
) -> Result<Vec<usize>> {
    let question = settings.wording.question(Task::Poll, item);
    let asked = seen.ask(&question)?;
    let token = yes_token(study, &question, &asked)?;
    let donor = study.donor(&settings.with)?;
    let found = asked.integrated_gradients(token, settings.gradient_steps, &donor)?;
    Ok(falling(&found.patches))
}

/// Indices by falling absolute value; of equals the first comes first.
fn falling(values: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*b].abs().total_cmp(&values[*a].abs()));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_written_as_they_are_read() {
        for set in SetKind::usual() {
            assert_eq!(set.to_string().parse::<SetKind>().unwrap(), set);
        }
        assert_eq!(SetKind::usual().len(), 24);
        for bad in [
            "objekt",
            "object+0",
            "object+x",
            "random",
            "random:0",
            "random:-1",
            "norm:3",
            "",
        ] {
            assert!(bad.parse::<SetKind>().is_err(), "{bad}");
        }
    }

    #[test]
    fn gradients_count_by_size_not_by_sign() {
        assert_eq!(falling(&[0.1, -3.0, 2.0, 2.0]), [1, 2, 3, 0]);
    }
}
