//! What the lens reads, as plain data: no tensors, no text beyond a candidate's own.

/// One level of one run, read through the logit lens. All vectors are row-major over the patches.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct LevelReadout {
    /// Words per patch.
    pub top_k: usize,
    /// `[patch, k]`, best first.
    pub ids: Vec<u32>,
    /// `[patch, k]`.
    pub probs: Vec<f32>,
    /// Entropy of the whole distribution, in nats. `[patch]`
    pub entropy: Vec<f32>,
    /// L2 norm of the residual row. `[patch]`
    pub norm: Vec<f32>,
    /// Logarithm of the sum of the exponentials of all logits. `[patch]`
    pub log_sum_exp: Vec<f32>,
    /// ‖edited − clean‖ / ‖clean‖ of the residual row; all 0 for the clean run. `[patch]`
    pub change: Vec<f32>,
    /// Probability of each of the readout's words. `[word][patch]`
    pub words: Vec<Vec<f32>>,
    /// Cosine of the residual row with that of the readout's patch; empty where it names none. `[patch]`
    pub similar: Vec<f32>,
    /// Natural logarithm of the same. `[word][patch]`
    pub word_log_probs: Vec<Vec<f32>>,
    /// Rank of the words, 1 for the likeliest; empty unless the readout asks for it. `[word][patch]`
    pub word_ranks: Vec<Vec<u32>>,
}

impl LevelReadout {
    /// The `(id, probability)` pairs of a patch, best first.
    pub fn top(&self, patch_idx: usize) -> impl Iterator<Item = (u32, f32)> + '_ {
        let range = patch_idx * self.top_k..(patch_idx + 1) * self.top_k;
        let ids = self.ids.get(range.clone()).unwrap_or_default();
        let probs = self.probs.get(range).unwrap_or_default();
        ids.iter().copied().zip(probs.iter().copied())
    }
}

impl LevelReadout {
    /// The first `n` patches alone; `words` and `similar` are left empty.
    #[must_use]
    pub fn first(&self, n: usize) -> Self {
        let take = |values: &[f32]| values[..n.min(values.len())].to_vec();
        let cells = (n * self.top_k).min(self.ids.len());
        Self {
            top_k: self.top_k,
            ids: self.ids[..cells].to_vec(),
            probs: self.probs[..cells].to_vec(),
            entropy: take(&self.entropy),
            norm: take(&self.norm),
            log_sum_exp: take(&self.log_sum_exp),
            change: take(&self.change),
            ..Self::default()
        }
    }

    /// These patches and then those of `rest`.
    #[must_use]
    pub fn followed_by(mut self, rest: Self) -> Self {
        self.ids.extend(rest.ids);
        self.probs.extend(rest.probs);
        self.entropy.extend(rest.entropy);
        self.norm.extend(rest.norm);
        self.log_sum_exp.extend(rest.log_sum_exp);
        self.change.extend(rest.change);
        self
    }
}

/// A candidate for the next token.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenScore {
    pub id: u32,
    /// The tokenizer's decoding, as in the result file; for screens use [`crate::model::facts::Vocabulary::piece`].
    pub text: String,
    pub prob: f32,
    pub logit: f32,
}
