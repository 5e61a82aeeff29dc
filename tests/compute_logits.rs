//! The reading of rows of logits against a sort on the CPU.

#![allow(clippy::unwrap_used)]

mod compute_support;

use compute_support::{Dice, assert_apart, assert_close, gpu};
use patchglass::compute::{Gpu, ops};

struct Row {
    ids: Vec<u32>,
    probabilities: Vec<f32>,
    log_sum_exp: f32,
    entropy: f32,
}

fn twin(row: &[f32], n_words: usize, k: usize) -> Row {
    let max = f64::from(row.iter().copied().fold(f32::MIN, f32::max));
    let weights: Vec<f64> = row.iter().map(|x| (f64::from(*x) - max).exp()).collect();
    let sum: f64 = weights.iter().sum();
    let n_words = n_words.min(row.len());
    let mut ids: Vec<u32> = (0..n_words as u32).collect();
    // A stable sort: of equal words the smaller id stays ahead. 0 and -0 are equal.
    ids.sort_by(|a, b| row[*b as usize].partial_cmp(&row[*a as usize]).unwrap());
    ids.truncate(k);
    let shares = weights.iter().map(|w| w / sum).filter(|p| *p > 0.0);
    Row {
        probabilities: ids
            .iter()
            .map(|id| (weights[*id as usize] / sum) as f32)
            .collect(),
        ids,
        log_sum_exp: (max + sum.ln()) as f32,
        entropy: -shares.map(|p| p * p.ln()).sum::<f64>() as f32,
    }
}

fn found(gpu: &Gpu, logits: &[f32], vocab: usize, n_words: usize, k: usize) -> Vec<Row> {
    let n = logits.len() / vocab;
    let on_card = gpu.upload_f32(logits).unwrap();
    let words = ops::read_logits(gpu, &on_card, n, vocab, n_words, k).unwrap();
    let words = gpu.download_f32(&words).unwrap();
    let kept = k.min(n_words).min(vocab);
    let rows = words.chunks(2 * kept + 2).map(|row| Row {
        ids: row[..kept].iter().map(|id| id.to_bits()).collect(),
        probabilities: row[kept..2 * kept].to_vec(),
        log_sum_exp: row[2 * kept],
        entropy: row[2 * kept + 1],
    });
    rows.collect()
}

fn check(gpu: &Gpu, logits: &[f32], vocab: usize, n_words: usize, k: usize) {
    let rows = found(gpu, logits, vocab, n_words, k);
    assert_eq!(rows.len(), logits.len() / vocab);
    for (row, logits) in rows.iter().zip(logits.chunks(vocab)) {
        let what = format!("{k} of {n_words} of {vocab}");
        let expected = twin(logits, n_words, k);
        assert_eq!(row.ids, expected.ids, "{what}");
        assert_close(&row.probabilities, &expected.probabilities, 1e-6, &what);
        let numbers = [row.log_sum_exp, row.entropy];
        assert_close(
            &numbers,
            &[expected.log_sum_exp, expected.entropy],
            2e-5,
            &what,
        );
    }
}

#[test]
fn rows_agree_with_a_sort() {
    let Some(gpu) = gpu() else { return };
    let sizes = [
        (3, 32_064, 32_000, 5),
        (2, 32_064, 32_064, 64),
        (2, 5_003, 4_998, 20),
        (5, 1_000, 1_000, 10),
        (4, 257, 200, 64),
        (3, 64, 64, 64),
        (2, 7, 3, 5),
        (1, 1, 1, 1),
    ];
    for (n, vocab, n_words, k) in sizes {
        check(
            gpu,
            &Dice::new(vocab as u64).floats(n * vocab, 9.0),
            vocab,
            n_words,
            k,
        );
    }
}

#[test]
fn best_words_at_the_edges_are_found() {
    let Some(gpu) = gpu() else { return };
    let (vocab, n_words) = (32_064, 32_002);
    let mut logits = Dice::new(1).floats(vocab, 1.0);
    for (i, id) in [0, 1, 1023, 1024, 32_000, 32_001, 16_000]
        .iter()
        .enumerate()
    {
        logits[*id] = 5.0 + i as f32 * 0.5;
    }
    logits[32_002] = 30.0;
    logits[32_063] = 31.0;
    check(gpu, &logits, vocab, n_words, 10);
    let rows = found(gpu, &logits, vocab, vocab, 2);
    assert_eq!(rows[0].ids, [32_063, 32_002], "what is no padding is found");
}

#[test]
fn ties_go_to_the_smaller_id() {
    let Some(gpu) = gpu() else { return };
    // Few different numbers, so that far more words tie than there is room for.
    let coarse: Vec<f32> = Dice::new(2)
        .floats(2 * 20_000, 3.0)
        .iter()
        .map(|x| x.round())
        .collect();
    check(gpu, &coarse, 20_000, 19_990, 20);
    check(gpu, &[0.25; 8_192], 8_192, 8_192, 64);
    check(gpu, &[0.25; 5_001], 5_001, 5_000, 3);
    let signed: Vec<f32> = (0..3_000)
        .map(|i| if i % 2 == 0 { 0.0 } else { -0.0 })
        .collect();
    check(gpu, &signed, 3_000, 3_000, 10);
    let rising: Vec<f32> = (0..4_096).map(|i| i as f32 / 100.0).collect();
    check(gpu, &rising, 4_096, 4_096, 64);
}

#[test]
fn infinite_and_peaked_rows() {
    let Some(gpu) = gpu() else { return };
    let vocab = 4_000;
    let mut logits = Dice::new(3).floats(vocab, 4.0);
    logits
        .iter_mut()
        .step_by(3)
        .for_each(|x| *x = f32::NEG_INFINITY);
    check(gpu, &logits, vocab, vocab, 10);
    // Only two words are left, so -inf fills the list in the order of the ids.
    let mut bare = vec![f32::NEG_INFINITY; vocab];
    (bare[77], bare[3_999]) = (2.0, 1.0);
    check(gpu, &bare, vocab, vocab, 5);
    let mut peaked = Dice::new(4).floats(vocab, 1.0);
    peaked[1_234] = 300.0;
    check(gpu, &peaked, vocab, vocab, 5);
    let low: Vec<f32> = logits.iter().map(|x| x - 500.0).collect();
    check(gpu, &low, vocab, vocab, 5);
}

#[test]
fn wrong_rows_show() {
    let Some(gpu) = gpu() else { return };
    let logits = Dice::new(5).floats(9_000, 5.0);
    let row = &found(gpu, &logits, 9_000, 9_000, 5)[0];
    let cold: Vec<f32> = logits.iter().map(|x| x * 1.1).collect();
    let wrong = twin(&cold, 9_000, 5);
    assert_apart(&[row.entropy], &[wrong.entropy], 2e-5, "another entropy");
    assert_apart(
        &[row.log_sum_exp],
        &[wrong.log_sum_exp],
        2e-5,
        "another sum",
    );
    assert_ne!(row.ids, twin(&logits[1..], 8_999, 5).ids, "shifted ids");
    let on_card = gpu.upload_f32(&logits).unwrap();
    assert!(
        ops::read_logits(gpu, &on_card, 1, 9_000, 9_000, 65).is_err(),
        "too many words"
    );
    assert!(
        ops::read_logits(gpu, &on_card, 2, 9_000, 9_000, 5).is_err(),
        "too few rows"
    );
}
