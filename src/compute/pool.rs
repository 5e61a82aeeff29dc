//! Memory of the card: buffers by size class that are reused once their last slice is gone.
//!
//! Reuse needs no waiting: one queue runs everything in the order in which it was recorded.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::{ComputeError, Result};

/// Bytes kept for reuse at most; beyond them, what came back first goes back to the system.
const KEPT: u64 = 1 << 30;

/// Sizes from here on are whole multiples of it.
const STEP: u64 = 1 << 20;

/// A range of words in a buffer of the pool. Clones share the buffer, which goes back to the pool with the last of them.
#[derive(Clone)]
pub struct Slice {
    pub(super) pooled: Arc<Pooled>,
    first: usize,
    len: usize,
}

impl Slice {
    /// The first word in its buffer.
    pub fn first(&self) -> usize {
        self.first
    }

    /// The number of words.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Part of it, without a copy; no word beyond its end.
    pub fn slice(&self, first: usize, len: usize) -> Result<Self> {
        if first.checked_add(len).is_none_or(|end| end > self.len) {
            let what = format!("words {first}..{first}+{len} are not among {}", self.len);
            return Err(ComputeError::Failed(what));
        }
        Ok(Self {
            pooled: Arc::clone(&self.pooled),
            first: self.first + first,
            len,
        })
    }

    /// Whether two slices lie in the same buffer, so that no launch may write one and bind the other.
    pub fn shares_buffer(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.pooled, &other.pooled)
    }
}

impl std::fmt::Debug for Slice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Slice({}..{})", self.first, self.first + self.len)
    }
}

/// A buffer in use.
pub(super) struct Pooled {
    pub buffer: wgpu::Buffer,
    /// The number of the last recording that uses it.
    pub used: AtomicU64,
    pool: Weak<Free>,
}

impl Drop for Pooled {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.take_back(self.buffer.clone(), *self.used.get_mut());
        }
    }
}

/// A buffer that nobody uses, the moment at which it came back, and the last recording that used it.
struct Unused {
    buffer: wgpu::Buffer,
    since: u64,
    used: u64,
}

/// Of each size the unused buffers, the oldest first.
type BySize = BTreeMap<u64, VecDeque<Unused>>;

#[derive(Default)]
struct Free {
    by_size: Mutex<BySize>,
    moment: AtomicU64,
    in_use: AtomicU64,
    pooled: AtomicU64,
}

impl Free {
    /// The latest of this size, or the oldest that no recording from `before` on uses.
    fn take(&self, size: u64, before: Option<u64>) -> Option<Unused> {
        let mut by_size = self.by_size.lock().unwrap_or_else(PoisonError::into_inner);
        let of_size = by_size.get_mut(&size)?;
        let unused = match before {
            Some(before) if of_size.front()?.used >= before => None,
            Some(_) => of_size.pop_front(),
            None => of_size.pop_back(),
        }?;
        self.pooled.fetch_sub(size, Ordering::Relaxed);
        Some(unused)
    }

    fn take_back(&self, buffer: wgpu::Buffer, used: u64) {
        let size = buffer.size();
        self.in_use.fetch_sub(size, Ordering::Relaxed);
        let mut by_size = self.by_size.lock().unwrap_or_else(PoisonError::into_inner);
        let since = self.moment.fetch_add(1, Ordering::Relaxed);
        by_size.entry(size).or_default().push_back(Unused {
            buffer,
            since,
            used,
        });
        let mut kept = self.pooled.fetch_add(size, Ordering::Relaxed) + size;
        // Runs of a large model come and go by the gigabyte.
        let most = KEPT.max(self.in_use.load(Ordering::Relaxed) / 3);
        while kept > most {
            let Some(oldest) = take_oldest(&mut by_size) else {
                break;
            };
            kept -= oldest.size();
            self.pooled.fetch_sub(oldest.size(), Ordering::Relaxed);
        }
    }
}

fn take_oldest(by_size: &mut BySize) -> Option<wgpu::Buffer> {
    let since = |of_size: &VecDeque<Unused>| of_size.front().map(|it| it.since);
    let (_, size) = by_size
        .iter()
        .filter_map(|(size, of)| Some((since(of)?, *size)))
        .min()?;
    by_size.get_mut(&size)?.pop_front().map(|it| it.buffer)
}

/// The buffers that nobody uses at present, and a count of those in use.
#[derive(Default)]
pub(super) struct Pool(Arc<Free>);

impl Pool {
    /// A slice of `len` words; `make` makes a buffer of a size where none is free. With `before` the buffer is one that
    /// no recording from that number on uses.
    pub fn alloc(
        &self,
        len: usize,
        limit: u64,
        before: Option<u64>,
        make: impl FnOnce(u64) -> Result<wgpu::Buffer>,
    ) -> Result<Slice> {
        let size = class(len as u64 * 4, limit)?;
        let (buffer, used) = match self.0.take(size, before) {
            Some(unused) => (unused.buffer, unused.used),
            None => (make(size)?, 0),
        };
        self.0.in_use.fetch_add(size, Ordering::Relaxed);
        let (used, pool) = (AtomicU64::new(used), Arc::downgrade(&self.0));
        Ok(Slice {
            pooled: Arc::new(Pooled { buffer, used, pool }),
            first: 0,
            len,
        })
    }

    pub fn memory(&self) -> (u64, u64) {
        (
            self.0.in_use.load(Ordering::Relaxed),
            self.0.pooled.load(Ordering::Relaxed),
        )
    }

    pub fn trim(&self) {
        let mut by_size = self
            .0
            .by_size
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        by_size.clear();
        self.0.pooled.store(0, Ordering::Relaxed);
    }
}

/// The size of the buffer for so many bytes: powers of two and 1.5 times those, from 256 bytes; large ones by steps.
fn class(bytes: u64, limit: u64) -> Result<u64> {
    if bytes > limit {
        return Err(ComputeError::TooLarge {
            wanted: bytes,
            limit,
        });
    }
    let size = if bytes >= 2 * STEP {
        bytes.next_multiple_of(STEP)
    } else {
        let power = bytes.next_power_of_two().max(256);
        if power > 256 && bytes <= power / 4 * 3 {
            power / 4 * 3
        } else {
            power
        }
    };
    Ok(size.min(limit / 4 * 4))
}

#[cfg(test)]
mod tests {
    use super::class;

    #[test]
    fn sizes_are_in_classes() {
        let sizes = [
            (0, 256),
            (256, 256),
            (257, 384),
            (385, 512),
            (1_200_000, 1_572_864),
        ];
        for (bytes, size) in sizes {
            assert_eq!(class(bytes, 1 << 30), Ok(size), "{bytes}");
        }
        assert_eq!(class(2_500_000, 1 << 30), Ok(3 << 20));
        assert_eq!(class(2_500_000, 2_600_000), Ok(2_600_000));
        assert!(class(2_500_000, 2_400_000).is_err());
    }
}
