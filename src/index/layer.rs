//! Decoder blocks and heads as a person writes them: `all`, `7`, `15..=24`, `15..25`, or a list of heads.
//!
//! Blocks are 0-based and there are `n_layers` of them. *Levels* of the residual stream are something else: there
//! are `n_layers + 1`, level 0 is what enters the decoder and level `n` is the stream after `n` blocks.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::error::{Error, Result};

/// A window of decoder blocks. Prints in the inclusive form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LayerRange {
    #[default]
    All,
    /// Both ends in.
    Blocks { first: usize, last: usize },
}

impl LayerRange {
    /// The blocks of a model with `n_layers` of them.
    ///
    /// # Errors
    /// A block that the model does not have.
    pub fn resolve(self, n_layers: usize) -> Result<RangeInclusive<usize>> {
        let end = n_layers.saturating_sub(1);
        match self {
            Self::All => Ok(0..=end),
            Self::Blocks { first, last } if last <= end => Ok(first..=last),
            Self::Blocks { .. } => Err(Error::input(format!(
                "layers {self} go beyond the model: it has the decoder blocks 0..={end}"
            ))),
        }
    }
}

impl FromStr for LayerRange {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || {
            Error::input(format!(
                "{text:?} is not a range of layers: write \"all\", \"7\", \"15..=24\" or \"15..25\""
            ))
        };
        let number = |t: &str| t.trim().parse::<usize>().map_err(|_not_a_number| bad());
        let text = text.trim();
        let (first, last) = match text.split_once("..") {
            None if text == "all" => return Ok(Self::All),
            None => (number(text)?, number(text)?),
            Some((a, b)) => match b.strip_prefix('=') {
                Some(b) => (number(a)?, number(b)?),
                None => (number(a)?, number(b)?.checked_sub(1).ok_or_else(bad)?),
            },
        };
        match first <= last {
            true => Ok(Self::Blocks { first, last }),
            false => Err(Error::input(format!(
                "layers {text:?} name no block: the first must not be above the last"
            ))),
        }
    }
}

impl fmt::Display for LayerRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Blocks { first, last } if first == last => write!(f, "{first}"),
            Self::Blocks { first, last } => write!(f, "{first}..={last}"),
        }
    }
}

super::serde_as_text!(LayerRange);

/// Query heads of a block, 0-based. In a file: `"all"` or a list of numbers.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum HeadSet {
    #[default]
    All,
    List(Vec<usize>),
}

impl HeadSet {
    /// The heads, `None` for all of them.
    ///
    /// # Errors
    /// A head that the model does not have.
    pub fn resolve(&self, n_heads: usize) -> Result<Option<&[usize]>> {
        let Self::List(heads) = self else {
            return Ok(None);
        };
        match heads.iter().find(|&&head| head >= n_heads) {
            None => Ok(Some(heads)),
            Some(head) => Err(Error::input(format!(
                "heads: there is no head {head}; this model has the query heads 0..={}",
                n_heads.saturating_sub(1)
            ))),
        }
    }
}

impl serde::Serialize for HeadSet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::List(heads) => serializer.collect_seq(heads),
        }
    }
}

impl<'de> serde::Deserialize<'de> for HeadSet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Form {
            Word(String),
            List(Vec<usize>),
        }
        match Form::deserialize(deserializer) {
            Ok(Form::List(heads)) => Ok(Self::List(heads)),
            Ok(Form::Word(word)) if word == "all" => Ok(Self::All),
            _ => Err(serde::de::Error::custom(
                "heads must be \"all\" or a list of numbers such as [0, 3]",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_forms() {
        assert_eq!(
            "15..25".parse::<LayerRange>().unwrap(),
            "15..=24".parse().unwrap()
        );
        assert_eq!(
            "7".parse::<LayerRange>().unwrap().resolve(8).unwrap(),
            7..=7
        );
        assert_eq!(
            "all".parse::<LayerRange>().unwrap().resolve(8).unwrap(),
            0..=7
        );
        for text in ["", "a", "5..", "..5", "5..5", "0..0", "7..=3", "-1"] {
            assert!(text.parse::<LayerRange>().is_err(), "{text}");
        }
    }

    #[test]
    fn beyond_the_model_is_an_error() {
        assert!("6..=8".parse::<LayerRange>().unwrap().resolve(8).is_err());
        assert!(HeadSet::List(vec![0, 8]).resolve(8).is_err());
    }
}
