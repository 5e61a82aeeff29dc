//! The mean visual token over a folder of pictures: what the paper puts in the place of an ablated token.
//!
//! A running sum in f64 takes as little memory for 50,000 pictures as for one; it is kept in a file from time to time, so
//! that an interrupted run goes on to the same numbers, to the bit.

use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::data::Shard;
use super::merge::check_shards;
use super::run::{Progress, Rate};
use crate::engine::study::Study;
use crate::error::{Error, Result};
use crate::files;
use crate::spec::Crop;

/// Extensions of pictures.
const EXTENSIONS: [&str; 5] = ["png", "jpg", "jpeg", "webp", "bmp"];
/// The sum is written after so many pictures.
const BETWEEN_WRITES: usize = 25;
/// Name of the mean in its file.
const NAME: &str = "mean";

/// A sum of visual tokens as far as it has come.
#[derive(Clone, Debug, PartialEq)]
pub struct Sum {
    /// What it is a sum of: model, number type, crop, pictures; a later run must say the same, and so must other shards.
    pub of: String,
    pub shard: Shard,
    /// Pictures of the list, in all shards.
    pub n_all: u64,
    /// `[d_model]`
    pub sum: Vec<f64>,
    /// Tokens in it.
    pub n_tokens: u64,
    /// Pictures of the list that are in it, from the first on, and those of them that could not be read.
    pub n_pictures: u64,
    pub n_bad: u64,
}

/// The pictures of a folder and of the folders in it, by path.
///
/// # Errors
/// A folder that is missing or holds none.
pub fn pictures(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).map_err(|e| Error::read(&folder, &e))?;
        for entry in entries {
            let path = entry.map_err(|e| Error::read(&folder, &e))?.path();
            let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
            if path.is_dir() {
                folders.push(path);
            } else if extension.is_some_and(|e| EXTENSIONS.contains(&e.as_str())) {
                found.push(path);
            }
        }
    }
    found.sort();
    match found.is_empty() {
        true => Err(Error::input(format!(
            "{} holds no picture ({})",
            folder.display(),
            EXTENSIONS.join(", ")
        ))),
        false => Ok(found),
    }
}

impl Sum {
    fn new(of: String, (shard, n_all): (Shard, usize), d_model: usize) -> Self {
        Self {
            of,
            shard,
            n_all: n_all as u64,
            sum: vec![0.0; d_model],
            n_tokens: 0,
            n_pictures: 0,
            n_bad: 0,
        }
    }

    /// Reads a file of [`Sum::write`].
    ///
    /// # Errors
    /// A file that is missing or something else.
    pub fn read(path: &Path) -> Result<Self> {
        let text = files::read_text(path, 64 << 20)?;
        let bad = |what: &str| {
            Error::input(format!(
                "{} is not a sum of visual tokens: {what}",
                path.display()
            ))
        };
        let value: serde_json::Value =
            serde_json::from_str(&text).map_err(|e| bad(&e.to_string()))?;
        let count = |name: &str| value[name].as_u64().ok_or_else(|| bad(name));
        let number = |x: &serde_json::Value| x.as_u64().map(f64::from_bits);
        let sum = value["sum_bits"]
            .as_array()
            .ok_or_else(|| bad("sum_bits"))?;
        let sum: Option<Vec<f64>> = sum.iter().map(number).collect();
        let shard = value["shard"].as_str().ok_or_else(|| bad("shard"))?;
        Ok(Self {
            of: value["of"].as_str().unwrap_or_default().to_owned(),
            shard: shard.parse()?,
            n_all: count("n_all")?,
            sum: sum.ok_or_else(|| bad("sum_bits"))?,
            n_tokens: count("n_tokens")?,
            n_pictures: count("n_pictures")?,
            n_bad: count("n_bad")?,
        })
    }

    /// Writes it so that it reads back to the bit.
    ///
    /// # Errors
    /// A folder that may not be written to.
    pub fn write(&self, path: &Path) -> Result<()> {
        let bits: Vec<u64> = self.sum.iter().map(|x| x.to_bits()).collect();
        let value = serde_json::json!({
            "of": self.of, "shard": self.shard.to_string(), "n_all": self.n_all, "n_tokens": self.n_tokens, "n_pictures": self.n_pictures, "n_bad": self.n_bad, "sum_bits": bits,
        });
        files::write_atomically(path, value.to_string().as_bytes())
    }

    /// Pictures of its shard.
    fn n_of_shard(&self) -> u64 {
        let has = |at: &u64| self.shard.has(*at as usize);
        (0..self.n_all).filter(has).count() as u64
    }

    /// The sum over all shards; the names are of their files.
    ///
    /// # Errors
    /// Sums of other widths, models, types, crops or pictures; shards that are there twice, missing or not complete, by name.
    pub fn merge(parts: &[(String, Self)]) -> Result<Self> {
        let Some(((_, first), others)) = parts.split_first() else {
            return Err(Error::input("name the sums"));
        };
        let mut whole = Self::new(
            first.of.clone(),
            (Shard::WHOLE, first.n_all as usize),
            first.sum.len(),
        );
        for (name, part) in others {
            if part.sum.len() != first.sum.len() {
                return Err(Error::input(format!(
                    "{name}: sums of {} and {} numbers are not of one model",
                    first.sum.len(),
                    part.sum.len()
                )));
            }
            if (&part.of, part.n_all) != (&first.of, first.n_all) {
                return Err(Error::input(format!(
                    "{name} is a sum of something else ({}; the first is of {})",
                    part.of, first.of
                )));
            }
        }
        let shards: Vec<Shard> = parts.iter().map(|(_, part)| part.shard).collect();
        check_shards(&shards)?;
        for (name, part) in parts {
            if part.n_pictures < part.n_of_shard() {
                return Err(Error::input(format!(
                    "{name} is not complete: it has {} of {} pictures; run shard {} again",
                    part.n_pictures,
                    part.n_of_shard(),
                    part.shard
                )));
            }
            for (a, b) in whole.sum.iter_mut().zip(&part.sum) {
                *a += b;
            }
            whole.n_tokens += part.n_tokens;
            whole.n_pictures += part.n_pictures;
            whole.n_bad += part.n_bad;
        }
        Ok(whole)
    }

    /// The mean, `[d_model]`.
    pub fn mean(&self) -> Vec<f32> {
        let n = self.n_tokens.max(1) as f64;
        self.sum.iter().map(|x| (x / n) as f32).collect()
    }

    /// The mean as a safetensors file of one tensor, as `{"mean_of": FILE}` takes it.
    ///
    /// # Errors
    /// A sum of nothing; a folder that may not be written to.
    pub fn write_mean(&self, path: &Path) -> Result<()> {
        if self.n_tokens == 0 {
            return Err(Error::input("there is no picture to take a mean of"));
        }
        let mean = self.mean();
        let bytes: Vec<u8> = mean.iter().flat_map(|x| x.to_le_bytes()).collect();
        let view =
            TensorView::new(Dtype::F32, vec![mean.len()], &bytes).map_err(Error::internal)?;
        let bytes = safetensors::serialize([(NAME, view)], None).map_err(Error::internal)?;
        SafeTensors::deserialize(&bytes).map_err(Error::internal)?;
        files::write_atomically(path, &bytes)
    }
}

/// Sums the visual tokens of the pictures of a shard, going on from the file `state` where there is one. Pictures that
/// cannot be read are told and counted.
///
/// # Errors
/// A state of other pictures; a failing device; a folder that may not be written to.
pub fn carry_out(
    study: &Study,
    (pictures, shard, crop): (&[PathBuf], Shard, Crop),
    of: &str,
    state: &Path,
    progress: &mut Progress<'_>,
    tell: &mut dyn FnMut(String),
) -> Result<(Sum, Rate)> {
    let mine = pictures.iter().enumerate().filter(|(at, _)| shard.has(*at));
    let mine: Vec<&PathBuf> = mine.map(|(_, path)| path).collect();
    let mut sum = match state.exists() {
        true => Sum::read(state)?,
        false => Sum::new(
            of.to_owned(),
            (shard, pictures.len()),
            study.facts().d_model,
        ),
    };
    let what = |of: &str, n: u64, shard| format!("{of}, {n} pictures, shard {shard}");
    let here = what(of, pictures.len() as u64, shard);
    let there = what(&sum.of, sum.n_all, sum.shard);
    if there != here {
        return Err(Error::input(format!(
            "{} is a sum of something else ({there}; here {here}): choose another --out",
            state.display()
        )));
    }
    let started = std::time::Instant::now();
    let before = sum.n_pictures as usize;
    let rate = |n| Rate {
        n,
        seconds: started.elapsed().as_secs_f64(),
    };
    for (at, path) in mine.iter().enumerate().skip(before) {
        match study.picture(path, crop) {
            Ok(prepared) => {
                let (rows, n) = study.sum_of_visual_tokens(&prepared.pixel_values)?;
                for (sum, x) in sum.sum.iter_mut().zip(&rows) {
                    *sum += x;
                }
                sum.n_tokens += n as u64;
            }
            Err(error) => {
                tell(error.to_string());
                sum.n_bad += 1;
            }
        }
        sum.n_pictures += 1;
        if (at + 1 - before).is_multiple_of(BETWEEN_WRITES) {
            sum.write(state)?;
        }
        progress(at + 1, mine.len(), rate(at + 1 - before));
    }
    sum.write(state)?;
    Ok((sum, rate(mine.len() - before.min(mine.len()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(values: &[f64], n: u64) -> Sum {
        part(values, n, "1/1")
    }

    fn part(values: &[f64], n: u64, shard: &str) -> Sum {
        let shard: Shard = shard.parse().unwrap();
        Sum {
            sum: values.to_vec(),
            n_tokens: n,
            n_pictures: 1,
            ..Sum::new("x".to_owned(), (shard, shard.of), values.len())
        }
    }

    #[test]
    fn a_sum_reads_back_to_the_bit_and_becomes_a_vector() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sum.json");
        let one = part(&[0.1 + 0.2, -1e300, f64::MIN_POSITIVE, 3.0], 3, "1/2");
        one.write(&path).unwrap();
        assert_eq!(Sum::read(&path).unwrap(), one);
        let named = |parts: &[&Sum]| -> Vec<(String, Sum)> {
            let name = |at| format!("{at}.sum.json");
            let parts = parts.iter().enumerate();
            parts
                .map(|(at, part)| (name(at), (*part).clone()))
                .collect()
        };
        let two = part(&[0.3, 1e300, 0.0, 6.0], 6, "2/2");
        let both = Sum::merge(&named(&[&two, &one])).unwrap();
        assert_eq!((both.mean()[3], both.n_pictures), (1.0, 2));
        let told = |parts: &[&Sum]| Sum::merge(&named(parts)).unwrap_err().to_string();
        assert!(told(&[&one, &part(&[1.0], 1, "2/2")]).contains("not of one model"));
        assert!(told(&[&one, &two, &one]).contains("shard 1/2 is there twice"));
        assert!(told(&[&two]).contains("shards are missing: 1/2"));
        let changed = |change: &dyn Fn(&mut Sum)| {
            let mut other = two.clone();
            change(&mut other);
            told(&[&one, &other])
        };
        assert!(
            changed(&|sum| sum.of = "y".to_owned())
                .contains("1.sum.json is a sum of something else")
        );
        assert!(changed(&|sum| sum.n_all = 3).contains("something else"));
        assert!(
            changed(&|sum| sum.n_pictures = 0)
                .contains("1.sum.json is not complete: it has 0 of 1")
        );
        let file = folder.path().join("mean.safetensors");
        both.write_mean(&file).unwrap();
        let bytes = std::fs::read(&file).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(tensors.names(), [NAME]);
        assert_eq!(tensors.tensor(NAME).unwrap().shape(), [4]);
        assert!(sum(&[1.0], 0).write_mean(&file).is_err());
    }
}
