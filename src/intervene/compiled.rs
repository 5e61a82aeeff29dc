//! A set of interventions, checked against a model and compiled to hooks.

use std::collections::{BTreeMap, HashMap};

use crate::tensor::{Device, Tensor};

use super::ablation::{self, CompiledAblation, Donor};
use super::attention_knockout::{self, CompiledKnockout};
use super::row_edit::{CompiledEdit, RowEdit};
use crate::error::{Error, Result};
use crate::index::{PatchGrid, PatchSet, TokenLayout};
use crate::model::hooks::{HookPoint, HookSite, Hooks};
use crate::spec::{Ablation, AttentionKnockout, Intervention, Replacement, Swap, WordVector};

/// What of a model and a prompt interventions are checked against.
#[derive(Clone, Debug)]
pub struct Target {
    pub layout: TokenLayout,
    pub n_layers: usize,
    pub n_heads: usize,
}

/// Interventions as hooks. Rows that are off are checked and left out.
pub struct CompiledSet {
    target: Target,
    ablations: BTreeMap<usize, Vec<CompiledAblation>>,
    knockouts: Vec<CompiledKnockout>,
    /// After the ablations of their level, each on what the one before it left.
    edits: BTreeMap<usize, Vec<CompiledEdit>>,
    /// Rows that a pass does not compute, per level: those of the clean run. Empty for a pass over all rows.
    prefix: Vec<Tensor>,
    /// Masks of the current pass, by the knockouts that act together; layers mostly share them.
    masks: HashMap<Vec<usize>, Option<Tensor>>,
    /// First position, queries and keys of the pass that `masks` belong to.
    pass: (usize, usize, usize),
}

impl CompiledSet {
    /// Compiles `rows` of which none names a word. `outside` loads what a replacement takes from elsewhere, for a
    /// level.
    ///
    /// # Errors
    /// As [`CompiledSet::with_words`].
    pub fn new(
        rows: &[Intervention],
        target: Target,
        outside: &mut dyn FnMut(&Replacement, usize) -> Result<Donor>,
    ) -> Result<Self> {
        Self::with_words(rows, target, outside, &mut |word, _| {
            Err(Error::internal(format!("nobody knows the word {word:?}")))
        })
    }

    /// Compiles `rows`; `vector` gives what stands for a word, `[d_model]`.
    ///
    /// # Errors
    /// A patch, level, layer or head that the model does not have, named with its row; what `outside` and `vector`
    /// meet.
    pub fn with_words(
        rows: &[Intervention],
        target: Target,
        outside: &mut dyn FnMut(&Replacement, usize) -> Result<Donor>,
        vector: &mut dyn FnMut(&str, WordVector) -> Result<Tensor>,
    ) -> Result<Self> {
        let pass = (0, 0, 0);
        let mut set = Self {
            target,
            ablations: BTreeMap::new(),
            knockouts: Vec::new(),
            edits: BTreeMap::new(),
            prefix: Vec::new(),
            masks: HashMap::new(),
            pass,
        };
        for (row, intervention) in rows.iter().enumerate() {
            let result = match intervention {
                Intervention::Ablation(a) => set.add_ablation(a, outside),
                Intervention::AttentionKnockout(k) => set.add_knockout(k),
                Intervention::Swap(swap) => set.add_swap(swap, outside),
                row => set.add_edit(row, vector),
            };
            result.map_err(|error| match error {
                Error::Input(why) => Error::input(format!("interventions[{row}]: {why}")),
                other => other,
            })?;
        }
        Ok(set)
    }

    fn add_ablation(
        &mut self,
        a: &Ablation,
        outside: &mut dyn FnMut(&Replacement, usize) -> Result<Donor>,
    ) -> Result<()> {
        let grid = self.target.layout.grid;
        let patches = a.patches.indices(grid)?;
        self.check_level(a.layer)?;
        let is_used = a.enabled && !patches.is_empty();
        // A patch outside the grid is an error in a row that is off, too; files are only read for rows that are on.
        let mut load = |with: &Replacement, level| match is_used {
            true => outside(with, level),
            false => Ok(Donor::Zero),
        };
        let donor = donor_of(&a.with, a.layer, grid, &mut load)?;
        if !is_used {
            return Ok(());
        }
        self.ablations
            .entry(a.layer)
            .or_default()
            .push(CompiledAblation { patches, donor });
        Ok(())
    }

    fn check_level(&self, layer: usize) -> Result<()> {
        match layer < self.target.n_layers {
            true => Ok(()),
            false => Err(Error::input(format!(
                "layer {layer} is no level that can be ablated; this model has the levels 0..={}",
                self.target.n_layers - 1
            ))),
        }
    }

    /// A swap is an ablation whose rows come from other places of another picture.
    fn add_swap(
        &mut self,
        swap: &Swap,
        outside: &mut dyn FnMut(&Replacement, usize) -> Result<Donor>,
    ) -> Result<()> {
        let grid = self.target.layout.grid;
        let patches = swap.patches.indices(grid)?;
        self.check_level(swap.layer)?;
        let mut from = Vec::with_capacity(patches.len());
        for (place, other) in swap.pairs(grid) {
            let index = other.and_then(|other| grid.index(other));
            from.push(index.ok_or_else(|| {
                Error::input(format!(
                    "from: what comes to {place} would lie outside the other picture's grid; start further up or left"
                ))
            })? as u32);
        }
        if !swap.enabled || patches.is_empty() {
            return Ok(());
        }
        let donor = match outside(&Replacement::Image(swap.image.clone()), swap.layer)? {
            Donor::Rows(rows) => {
                let from = Tensor::new(from, rows.device())?;
                Donor::Each(rows.index_select(&from, 0)?)
            }
            other => other,
        };
        let ablations = self.ablations.entry(swap.layer).or_default();
        ablations.push(CompiledAblation { patches, donor });
        Ok(())
    }

    fn add_edit(
        &mut self,
        row: &Intervention,
        vector: &mut dyn FnMut(&str, WordVector) -> Result<Tensor>,
    ) -> Result<()> {
        let (Some(level), Some(tokens)) = (row.level(), row.tokens()) else {
            return Ok(());
        };
        self.check_level(level)?;
        let layout = &self.target.layout;
        tokens.positions(layout, layout.n_prompt)?;
        let number = |name: &str, value: f32| match value.is_finite() {
            true => Ok(value),
            false => Err(Error::input(format!("{name} {value} is not a number"))),
        };
        let edit = match row {
            Intervention::Steer(steer) => RowEdit::Steer {
                direction: vector(&steer.word, steer.vector)?,
                strength: number("strength", steer.strength)?,
            },
            Intervention::Erase(erase) => RowEdit::Erase {
                direction: vector(&erase.word, erase.vector)?,
            },
            Intervention::Scale(scale) => RowEdit::Scale {
                by: number("by", scale.by)?,
            },
            _ => return Ok(()),
        };
        if row.enabled() && !row.is_empty() {
            let edits = self.edits.entry(level).or_default();
            edits.push(CompiledEdit { tokens, edit });
        }
        Ok(())
    }

    fn add_knockout(&mut self, k: &AttentionKnockout) -> Result<()> {
        let layers = k.layers.resolve(self.target.n_layers)?;
        let heads = k.heads.resolve(self.target.n_heads)?.map(<[usize]>::to_vec);
        let layout = &self.target.layout;
        for set in [&k.queries, &k.keys] {
            set.positions(layout, layout.n_prompt)?;
        }
        if k.enabled {
            let (queries, keys) = (k.queries.clone(), k.keys.clone());
            self.knockouts.push(CompiledKnockout {
                queries,
                keys,
                layers,
                heads,
            });
        }
        Ok(())
    }

    fn knockouts_of(&self, layer: usize) -> Vec<usize> {
        (0..self.knockouts.len())
            .filter(|i| self.knockouts[*i].layers.contains(&layer))
            .collect()
    }

    /// Tells what stands in the rows before those that the next pass computes: the clean residual stream,
    /// `[level][n, d_model]`.
    pub fn set_prefix(&mut self, prefix: Vec<Tensor>) {
        self.prefix = prefix;
    }

    /// Ablates the picture's rows; passes that do not hold them (generated tokens) are left alone.
    fn ablate(&self, level: usize, first_pos: usize, x: Tensor) -> Result<Tensor> {
        let Some(ablations) = self.ablations.get(&level) else {
            return Ok(x);
        };
        let layout = &self.target.layout;
        if first_pos == 0 {
            return ablation::apply(&x, ablations, layout);
        }
        match self.prefix.get(level) {
            Some(prefix) if first_pos < layout.patches().end => {
                // Means and donors may lie in the rows before.
                let all = Tensor::cat(&[&prefix.narrow(0, 0, first_pos)?, &x], 0)?;
                let all = ablation::apply(&all, ablations, layout)?;
                Ok(all.narrow(0, first_pos, x.dim(0)?)?.contiguous()?)
            }
            _ => Ok(x),
        }
    }

    /// Edits rows one after the other, those of generated tokens too.
    fn edit(&self, level: usize, first_pos: usize, x: Tensor) -> Result<Tensor> {
        let mut edits = self.edits.get(&level).into_iter().flatten();
        let layout = &self.target.layout;
        edits.try_fold(x, |x, edit| edit.apply(x, first_pos, layout))
    }

    fn mask(
        &self,
        acting: &[usize],
        pass: (usize, usize, usize),
        device: &Device,
    ) -> Result<Option<Tensor>> {
        let knockouts: Vec<_> = acting.iter().map(|i| &self.knockouts[*i]).collect();
        let n_heads = self.target.n_heads;
        let mask = attention_knockout::mask(&knockouts, &self.target.layout, n_heads, pass)?;
        let shape = (
            attention_knockout::mask_heads(&knockouts, n_heads),
            pass.1,
            pass.2,
        );
        Ok(match mask {
            Some(mask) => Some(Tensor::from_vec(mask, shape, device)?),
            None => None,
        })
    }
}

/// What takes a patch's place at a level; `outside` loads what comes from elsewhere.
///
/// # Errors
/// A patch outside the grid; what `outside` meets.
pub fn donor_of(
    with: &Replacement,
    level: usize,
    grid: PatchGrid,
    outside: &mut dyn FnMut(&Replacement, usize) -> Result<Donor>,
) -> Result<Donor> {
    Ok(match with {
        Replacement::Mean => Donor::Mean,
        Replacement::Zero => Donor::Zero,
        Replacement::Noise(seed) => Donor::Noise(*seed),
        Replacement::Patch(patch) => {
            let index = PatchSet::from_iter([*patch]).indices(grid)?;
            Donor::Patch(index.first().copied().unwrap_or(0))
        }
        Replacement::MeanOf(_) | Replacement::Image(_) => outside(with, level)?,
    })
}

impl Hooks for CompiledSet {
    fn wants(&self, at: HookPoint) -> bool {
        let level = &at.layer;
        at.site == HookSite::ResidPre
            && (self.ablations.contains_key(level) || self.edits.contains_key(level))
    }

    fn visit(&mut self, at: HookPoint, first_pos: usize, x: Tensor) -> Result<Tensor> {
        match at.site {
            HookSite::ResidPre => {
                let x = self.ablate(at.layer, first_pos, x)?;
                self.edit(at.layer, first_pos, x)
            }
            _ => Ok(x),
        }
    }

    fn blocked(
        &mut self,
        layer: usize,
        pass: (usize, usize, usize),
        device: &Device,
    ) -> Result<Option<Tensor>> {
        let acting = self.knockouts_of(layer);
        if acting.is_empty() {
            return Ok(None);
        }
        if self.pass != pass {
            self.masks.clear();
            self.pass = pass;
        }
        if !self.masks.contains_key(&acting) {
            let mask = self.mask(&acting, pass, device)?;
            self.masks.insert(acting.clone(), mask);
        }
        Ok(self.masks.get(&acting).cloned().flatten())
    }
}
