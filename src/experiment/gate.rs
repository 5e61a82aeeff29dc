//! The hallucination gate: an object counts only if the model names it, and stops naming it when its pixels are noise
//! (paper, section 3).

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

use super::common::Subject;
use super::data::Item;
use super::matching;
use super::wording::{Task, Wording};
use crate::engine::study::Study;
use crate::error::Result;
use crate::index::PatchGrid;
use crate::model::preprocess::Rgb8;

/// Why an object is left out, `None` where it counts.
///
/// # Errors
/// A failing device.
pub fn closed(
    study: &Study,
    wording: &Wording,
    item: &Item,
    subject: &Subject,
    seed: u64,
) -> Result<Option<String>> {
    let question = wording.question(Task::Describe, item);
    let describe = |pixel_values: &[f32]| -> Result<bool> {
        let seen = study.look(pixel_values)?;
        let asked = seen.ask(&question)?;
        Ok(matching::names(&asked.answer.text, &item.word).lenient)
    };
    if !describe(&subject.prepared.pixel_values)? {
        return Ok(Some("the description does not name it".to_owned()));
    }
    let grid = study.facts().grid;
    let patches = subject.about.patches.indices(grid)?;
    let noisy = with_noise(
        &subject.prepared.seen,
        &patches,
        grid,
        subject.seed(seed, 0),
    );
    let is_named = describe(&study.pixel_values(&noisy))?;
    Ok(is_named.then(|| "it is named even where its pixels are noise".to_owned()))
}

/// The picture with one tile of uniform noise in the place of each of `patches` (row-major), as the paper's code does:
/// the same tile everywhere.
pub fn with_noise(seen: &Rgb8, patches: &[usize], grid: PatchGrid, seed: u64) -> Rgb8 {
    let (tile_w, tile_h) = (seen.width / grid.cols, seen.height / grid.rows);
    let mut tile = vec![0u8; tile_w * tile_h * 3];
    ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut tile);
    let mut noisy = seen.clone();
    for patch in patches {
        let (row, col) = (patch / grid.cols, patch % grid.cols);
        for (y, line) in tile.chunks_exact(tile_w * 3).enumerate() {
            let at = ((row * tile_h + y) * seen.width + col * tile_w) * 3;
            noisy.pixels[at..at + tile_w * 3].copy_from_slice(line);
        }
    }
    noisy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_covers_the_patches_and_nothing_else() {
        let grid = PatchGrid::new(4, 4);
        let seen = Rgb8 {
            width: 8,
            height: 8,
            pixels: vec![7; 8 * 8 * 3],
        };
        let noisy = with_noise(&seen, &[5, 10], grid, 3);
        let pixel = |x: usize, y: usize| &noisy.pixels[(y * 8 + x) * 3..][..3];
        for y in 0..8 {
            for x in 0..8 {
                let patch = y / 2 * 4 + x / 2;
                let is_noise = patch == 5 || patch == 10;
                assert!(is_noise || pixel(x, y) == [7; 3]);
            }
        }
        assert_ne!(pixel(2, 2), [7; 3]);
        assert_eq!(pixel(2, 2), pixel(4, 4), "one tile for all patches");
        assert_ne!(
            with_noise(&seen, &[5], grid, 4),
            with_noise(&seen, &[5], grid, 3)
        );
    }
}
