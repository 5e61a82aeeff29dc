//! The batches of a sweep and the forward that carries one out.

use crate::tensor::Tensor;
use rayon::prelude::*;

use super::super::super::batches;
use super::super::super::job::Job;
use super::super::super::outside::{Outside, target};
use super::super::super::protocol::Monitor;
use super::super::super::state::{CancelCheck, Watch};
use super::super::super::sweep::{Effect, Unit};
use super::super::Engine;
use super::forced::{Forced, logits};
use crate::error::{Error, Result};
use crate::index::{TokenLayout, TokenSet};
use crate::intervene::{PackedKnockouts, Pairs, Variant, donor_of, replacing_rows};
use crate::model::hooks::Chain;
use crate::model::{Llava, SideBySide};
use crate::spec::SweepOver;

/// Rows of all sequences of a batch together: enough for full speed, few enough to stay quick to stop.
const ROWS_ON_CPU: usize = 1200;
const ROWS_ON_CARD: usize = 2560;
/// The same for sequences that are packed, where each row also looks at the rows of all others.
const PACKED_ROWS: usize = 512;
/// Memory that the activations of one batch may take.
const BYTES: usize = 1 << 30;

pub(super) struct Work<'a> {
    model: &'a Llava,
    units: &'a [Unit],
    kind: Kind,
    limits: Limits,
}

enum Kind {
    Patches {
        layout: TokenLayout,
        level: usize,
        /// `[1 or patch, d_model]`
        replacing: Tensor,
        n_columns: usize,
    },
    Knockouts {
        pairs: Pairs,
        variants: Vec<Variant>,
    },
}

/// What came of a batch.
pub(super) struct Done {
    /// In the batch's order.
    pub effects: Vec<Effect>,
    /// Of a sequence that nothing was done to, where one was asked for.
    pub control: Option<Effect>,
    /// Rows computed, over all blocks.
    pub n_rows: usize,
}

/// How large a batch may be.
#[derive(Clone, Copy)]
struct Limits {
    rows: usize,
    units: usize,
}

impl<'a> Work<'a> {
    pub fn new(
        engine: &Engine,
        job: &'a Job<'_>,
        forced: &Forced<'_>,
        (over, units): (&SweepOver, &'a [Unit]),
        monitor: &mut dyn Monitor,
    ) -> Result<Self> {
        let model = &*job.model;
        let layout = &job.prompt.layout;
        let kind = match over {
            SweepOver::Patches { with, layer, block } => {
                let mut outside = Outside {
                    model,
                    device: &engine.device,
                    dtype: engine.numbers.float,
                    prompt: &job.prompt,
                    spec: job.spec,
                    monitor,
                };
                let mut load = |with: &_, level| outside.donor(with, level);
                let donor = donor_of(with, *layer, layout.grid, &mut load)?;
                Kind::Patches {
                    layout: layout.clone(),
                    level: *layer,
                    replacing: replacing_rows(&donor, &forced.patch_rows(*layer)?)?,
                    n_columns: layout.grid.cols.div_ceil(*block),
                }
            }
            SweepOver::Layers { queries, keys, .. } | SweepOver::Heads { queries, keys } => {
                Kind::knockouts(job, forced.n, (queries, keys), units)?
            }
        };
        let mut limits = Limits::of(model, forced.n, matches!(kind, Kind::Knockouts { .. }));
        limits.rows = engine.batch_rows.unwrap_or(limits.rows);
        Ok(Self {
            model,
            units,
            kind,
            limits,
        })
    }

    /// The units for which `open` holds, in batches, in the order in which they are carried out.
    pub fn batches(&self, n: usize, open: &dyn Fn(&usize) -> bool) -> Vec<Vec<usize>> {
        let Limits { rows, units } = self.limits;
        match &self.kind {
            Kind::Patches {
                layout, n_columns, ..
            } => {
                let first = |unit: &Unit| layout.position(first_patch(unit));
                let first_row: Vec<usize> = self.units.iter().map(first).collect();
                let order = batches::coarse_to_fine(self.units.len(), *n_columns);
                let order: Vec<usize> = order.into_iter().filter(open).collect();
                batches::by_rows(&order, &first_row, n, (rows, units))
            }
            Kind::Knockouts { pairs, .. } => {
                let order: Vec<usize> = (0..self.units.len()).filter(open).collect();
                batches::of_equal(&order, (rows / pairs.n()).min(units))
            }
        }
    }

    /// Runs the units of a batch.
    pub fn carry_out(
        &self,
        forced: &Forced<'_>,
        batch: &[usize],
        with_control: bool,
        watch: &Watch<'_>,
    ) -> Result<Done> {
        let (last, n_rows) = match &self.kind {
            Kind::Patches { .. } => self.ablate(forced, batch, with_control, watch)?,
            Kind::Knockouts { pairs, variants } => {
                self.knock_out(forced, (pairs, variants), batch, with_control, watch)?
            }
        };
        let token = forced.answer.last().copied().unwrap_or(0);
        let logits = logits(self.model, &last)?;
        let mut effects: Vec<Effect> = logits.par_iter().map(|l| Effect::of(l, token)).collect();
        let control = with_control.then(|| effects.remove(0));
        Ok(Done {
            effects,
            control,
            n_rows,
        })
    }

    /// The last rows of runs with the patches of each unit ablated, `[control + batch, d_model]`, and how many rows it
    /// took.
    fn ablate(
        &self,
        forced: &Forced<'_>,
        batch: &[usize],
        with_control: bool,
        watch: &Watch<'_>,
    ) -> Result<(Tensor, usize)> {
        let Kind::Patches {
            layout,
            level,
            replacing,
            ..
        } = &self.kind
        else {
            return Err(Error::internal("a sweep without patches"));
        };
        let none = with_control.then_some(&[][..]);
        let patches = batch.iter().map(|unit| patches_of(&self.units[*unit]));
        let patches: Vec<&[usize]> = none.into_iter().chain(patches).collect();
        let first = patches.iter().filter_map(|p| p.first()).min();
        let first = layout.position(first.copied().unwrap_or(0));
        let n = forced.n - first;
        // Row i of the batch is row index[i] of the clean rows and the replacing ones after them.
        let n_replacing = replacing.dim(0)?;
        let mut index: Vec<u32> = (0..patches.len()).flat_map(|_| 0..n as u32).collect();
        for (at, patches) in patches.iter().enumerate() {
            for patch in *patches {
                let row = layout.position(*patch) - first;
                index[at * n + row] = (n + (*patch).min(n_replacing - 1)) as u32;
            }
        }
        let index = Tensor::new(index, replacing.device())?;
        let rows = Tensor::cat(&[&forced.rows(*level, first)?, replacing], 0)?;
        let mut x = Some(rows.index_select(&index, 0)?);
        let mut join = |layer: usize| Ok(if layer == *level { x.take() } else { None });
        let last = self.model.llama.resume_batch(
            &forced.cache,
            first..forced.n,
            SideBySide::Apart,
            &mut join,
            &mut CancelCheck(watch),
        )?;
        let n_blocks = self.model.facts.n_layers - level;
        Ok((last, patches.len() * n * n_blocks))
    }

    /// The last rows of runs with attention knocked out as each unit says, and how many rows it took.
    fn knock_out(
        &self,
        forced: &Forced<'_>,
        (pairs, variants): (&Pairs, &[Variant]),
        batch: &[usize],
        with_control: bool,
        watch: &Watch<'_>,
    ) -> Result<(Tensor, usize)> {
        let mut acting: Vec<Variant> = batch.iter().map(|unit| variants[*unit].clone()).collect();
        if let (true, Some(first)) = (with_control, acting.first().cloned()) {
            acting.insert(
                0,
                Variant {
                    layers: None,
                    ..first
                },
            );
        }
        let n_layers = self.model.facts.n_layers;
        let mut knockouts = PackedKnockouts::new(pairs, &acting, self.model.facts.n_heads);
        let mut cancel = CancelCheck(watch);
        let mut join = |layer: usize| match acting.iter().filter(|v| v.joins_at == layer).count() {
            0 => Ok(None),
            n => Ok(Some(forced.rows(layer, pairs.first())?.repeat((n, 1))?)),
        };
        let last = self.model.llama.resume_batch(
            &forced.cache,
            pairs.first()..forced.n,
            SideBySide::Packed,
            &mut join,
            &mut Chain(vec![&mut knockouts, &mut cancel]),
        )?;
        let blocks: usize = acting.iter().map(|v| n_layers - v.joins_at).sum();
        Ok((last, blocks * pairs.n()))
    }
}

impl Kind {
    fn knockouts(
        job: &Job<'_>,
        n: usize,
        (queries, keys): (&TokenSet, &TokenSet),
        units: &[Unit],
    ) -> Result<Self> {
        let pairs = Pairs::new(queries, keys, &target(&job.model, &job.prompt), n)?;
        let pairs = pairs.ok_or_else(|| {
            Error::input(format!(
                "the queries {queries} never see the keys {keys}: they come before them, so there is nothing to knock out"
            ))
        })?;
        let variant = |unit: &Unit| match unit {
            Unit::Blocks(layers) => Variant {
                joins_at: *layers.start(),
                layers: Some(layers.clone()),
                head: None,
            },
            Unit::Head { layer, head } => Variant {
                joins_at: *layer,
                layers: Some(*layer..=*layer),
                head: Some(*head),
            },
            Unit::Patches(_) => Variant {
                joins_at: 0,
                layers: None,
                head: None,
            },
        };
        let variants = units.iter().map(variant).collect();
        Ok(Self::Knockouts { pairs, variants })
    }
}

impl Limits {
    /// For sequences of `n` positions.
    fn of(model: &Llava, n: usize, packed: bool) -> Self {
        let c = &model.config.text;
        let device = model.llama.device();
        let rows = match (packed, device.is_cpu()) {
            (true, _) => PACKED_ROWS,
            (false, true) => ROWS_ON_CPU,
            (false, false) => ROWS_ON_CARD,
        };
        let bytes = model.llama.dtype().size_in_bytes();
        let kv = c.num_key_value_heads * c.head_dim;
        let qkv = c.num_attention_heads * c.head_dim + 2 * kv;
        let widths = 6 * c.hidden_size + 2 * qkv + 3 * c.intermediate_size;
        // Only candle's attention on cards holds all scores.
        let scores = match device.has_pool() {
            true => 0,
            false => c.num_attention_heads * n * (bytes + 4),
        };
        let of_row = widths * bytes + scores;
        // Keys and values twice, while they are put together; logits.
        let of_sequence = 4 * kv * n * bytes + 8 * c.vocab_size;
        // No tensor of a batch may be larger than the device takes.
        let most = device.most_numbers();
        let widest = (2 * c.intermediate_size).max(qkv);
        let rows = rows.min(most / widest);
        let units = (most / (kv * n).max(1)).min(most / c.vocab_size);
        Self {
            rows: rows.min(BYTES / 2 / of_row).max(1),
            units: units.min(BYTES / 2 / of_sequence).max(1),
        }
    }
}

fn patches_of(unit: &Unit) -> &[usize] {
    match unit {
        Unit::Patches(patches) => patches,
        Unit::Blocks(_) | Unit::Head { .. } => &[],
    }
}

fn first_patch(unit: &Unit) -> usize {
    patches_of(unit).first().copied().unwrap_or(0)
}
