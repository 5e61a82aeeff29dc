//! Keys and values of the positions that a sequence has so far, per decoder block.
//!
//! It only appends. Cloning is cheap: tensors are shared, so of clones that have room only one may be appended to.

use crate::tensor::Tensor;

use super::ops;
use crate::error::Result;

/// Rotated keys and values, `[kv_head, position, d_head]` per block; of several sequences `[batch * kv_head, ..]`.
#[derive(Clone, Debug)]
pub struct KvCache {
    blocks: Vec<Option<(Tensor, Tensor)>>,
    room: Option<Room>,
}

/// One piece of memory for all blocks: it is taken and let go as a whole, so that a card's memory does not crumble, and
/// what is appended does not move what is there.
#[derive(Clone, Debug)]
struct Room {
    /// Positions.
    capacity: usize,
    /// `[2 * block (+ 1 for values), kv_head, capacity, d_head]`, once the sizes are known.
    memory: Option<Tensor>,
    /// Positions of each block that stand in it.
    filled: Vec<usize>,
}

impl KvCache {
    pub fn new(n_layers: usize) -> Self {
        Self {
            blocks: vec![None; n_layers],
            room: None,
        }
    }

    /// With room for `capacity` positions; more are taken too, but then they move.
    pub fn with_room(n_layers: usize, capacity: usize) -> Self {
        Self {
            blocks: vec![None; n_layers],
            room: Some(Room {
                capacity,
                memory: None,
                filled: vec![0; n_layers],
            }),
        }
    }

    /// Positions held so far.
    pub fn len(&self) -> usize {
        let first = self.blocks.first().and_then(Option::as_ref);
        first.and_then(|(k, _)| k.dim(1).ok()).unwrap_or(0)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Values of a block, `[kv_head, position, d_head]`, `None` where it has run for no position.
    pub fn values(&self, layer: usize) -> Option<&Tensor> {
        let block = self.blocks.get(layer).and_then(Option::as_ref);
        block.map(|(_, v)| v)
    }

    /// The first `n` positions, without copying them.
    ///
    /// # Errors
    /// Fewer positions than that.
    pub fn first(&self, n: usize) -> Result<Self> {
        let first = |(k, v): &(Tensor, Tensor)| Ok((k.narrow(1, 0, n)?, v.narrow(1, 0, n)?));
        let blocks = self.blocks.iter().map(|block| block.as_ref().map(first));
        Ok(Self {
            blocks: blocks.map(Option::transpose).collect::<Result<_>>()?,
            room: None,
        })
    }

    /// The same with every tensor made anew by `f`.
    ///
    /// # Errors
    /// What `f` meets.
    pub fn map(&self, f: &dyn Fn(&Tensor) -> crate::tensor::Result<Tensor>) -> Result<Self> {
        let both = |(k, v): &(Tensor, Tensor)| Ok((f(k)?, f(v)?));
        let blocks = self.blocks.iter().map(|block| block.as_ref().map(both));
        Ok(Self {
            blocks: blocks.map(Option::transpose).collect::<Result<_>>()?,
            room: None,
        })
    }

    /// Keys and values of all blocks that have some.
    pub fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        self.blocks.iter().flatten().flat_map(|(k, v)| [k, v])
    }

    /// Keys and values of some of the sequences that lie side by side here, in the order of `wanted`.
    pub(super) fn pick(&self, n_sequences: usize, wanted: &[usize]) -> Result<Self> {
        let pick = |x: &Tensor| -> crate::tensor::Result<Tensor> {
            let n_heads = x.dim(0)? / n_sequences.max(1);
            let heads = wanted
                .iter()
                .flat_map(|sequence| sequence * n_heads..(sequence + 1) * n_heads);
            let index: Vec<u32> = heads.map(|head| head as u32).collect();
            let index = Tensor::new(index, x.device())?;
            x.contiguous()?.index_select(&index, 0)
        };
        self.map(&pick)
    }

    /// Takes the first `n` positions of a block over from another cache.
    pub(super) fn start_from(&mut self, layer: usize, other: &Self, n: usize) -> Result<()> {
        if let Some(room) = &mut self.room {
            room.filled[layer] = 0;
        }
        self.blocks[layer] = match &other.blocks[layer] {
            Some((k, v)) if n > 0 => Some((k.narrow(1, 0, n)?, v.narrow(1, 0, n)?)),
            _ => None,
        };
        Ok(())
    }

    /// Takes the first `n` positions of a block over from another cache, once for each of `batch` sequences.
    pub(super) fn start_batch_from(
        &mut self,
        layer: usize,
        other: &Self,
        n: usize,
        batch: usize,
    ) -> Result<()> {
        self.start_from(layer, other, n)?;
        if let (Some((k, v)), true) = (&mut self.blocks[layer], batch > 1) {
            (*k, *v) = (k.repeat((batch, 1, 1))?, v.repeat((batch, 1, 1))?);
        }
        Ok(())
    }

    /// Lets the keys and values of a block go.
    pub(super) fn forget(&mut self, layer: usize) {
        self.blocks[layer] = None;
    }

    /// Appends the new rows of a block and gives all keys and values back.
    pub(super) fn append(
        &mut self,
        layer: usize,
        k: Tensor,
        v: Tensor,
    ) -> Result<(Tensor, Tensor)> {
        let slot = &mut self.blocks[layer];
        if let Some(room) = &mut self.room
            && let Some(both) = room.append(layer, slot.as_ref(), (&k, &v))?
        {
            return Ok(slot.insert(both).clone());
        }
        let both = match slot.take() {
            Some((old_k, old_v)) => (
                ops::append_positions(&old_k, &k)?,
                ops::append_positions(&old_v, &v)?,
            ),
            None => (k, v),
        };
        Ok(slot.insert(both).clone())
    }
}

impl Room {
    /// Puts the new rows of a block behind those that it has; `None` where they do not fit.
    fn append(
        &mut self,
        layer: usize,
        old: Option<&(Tensor, Tensor)>,
        (k, v): (&Tensor, &Tensor),
    ) -> Result<Option<(Tensor, Tensor)>> {
        let (kv_heads, n_added, d_head) = k.dims3()?;
        let n_old = old.map_or(Ok(0), |(k, _)| k.dim(1))?;
        let n = n_old + n_added;
        if n > self.capacity {
            return Ok(None);
        }
        let memory = match self.memory.take() {
            Some(memory) => memory,
            None => {
                let shape = (2 * self.filled.len(), kv_heads, self.capacity, d_head);
                Tensor::zeros(shape, k.dtype(), k.device())?
            }
        };
        let memory = &*self.memory.insert(memory);
        // What was appended here before stands there already; what was taken over from another cache does not.
        let stands = self.filled[layer] == n_old;
        let put = |part: usize, old: Option<&Tensor>, added: &Tensor| -> Result<Tensor> {
            let room = memory.get(2 * layer + part)?; // [kv_head, capacity, d_head]
            ops::write_positions(&room, old.filter(|_| !stands), added, n_old)?;
            Ok(room.narrow(1, 0, n)?)
        };
        let both = (
            put(0, old.map(|old| &old.0), k)?,
            put(1, old.map(|old| &old.1), v)?,
        );
        self.filled[layer] = n;
        Ok(Some(both))
    }
}

#[cfg(test)]
mod tests {
    use crate::tensor::Device;

    use super::*;

    fn rows(n: usize) -> (Tensor, Tensor) {
        let random = || Tensor::randn(0f32, 1.0, (3, n, 4), &Device::Cpu).unwrap();
        (random(), random())
    }

    fn values(both: &(Tensor, Tensor)) -> Vec<f32> {
        let flat = |x: &Tensor| x.contiguous().unwrap().flatten_all().unwrap();
        let both = Tensor::cat(&[flat(&both.0), flat(&both.1)], 0).unwrap();
        both.to_vec1().unwrap()
    }

    /// Appends in turn to a cache with room and to one without, which moves everything; they must agree at every step.
    #[test]
    fn with_and_without_room_it_is_the_same() {
        let base = rows(7);
        for (capacity, taken) in [(12, 0), (12, 5), (9, 5), (5, 0), (2, 2)] {
            let mut caches = [KvCache::with_room(2, capacity), KvCache::new(2)];
            let mut donor = KvCache::new(2);
            donor.append(1, base.0.clone(), base.1.clone()).unwrap();
            for cache in &mut caches {
                cache.start_from(1, &donor, taken).unwrap();
            }
            for n in [4, 1, 1, 2] {
                let (k, v) = rows(n);
                let [with, without] = &mut caches;
                let earlier = with.clone();
                let a = with.append(1, k.clone(), v.clone()).unwrap();
                let b = without.append(1, k, v).unwrap();
                assert_eq!(values(&a), values(&b));
                // What was there before is still there for who holds it.
                if let Some(both) = &earlier.blocks[1] {
                    let before = b.0.narrow(1, 0, both.0.dim(1).unwrap()).unwrap();
                    let before = (before.clone(), before);
                    assert_eq!(values(&(both.0.clone(), both.0.clone())), values(&before));
                }
            }
            assert_eq!(values(donor.blocks[1].as_ref().unwrap()), values(&base));
        }
    }
}
