//! Computing on any GPU that wgpu reaches (Vulkan, Metal, DX12): a context of its own with pooled memory and batched
//! submits, weights in several formats, products with them, and the operations of the model as WGSL kernels.
//!
//! It knows nothing of models, and it shares no device with the window.

pub mod adapters;
mod batched;
mod device;
mod kernel;
pub mod ops;
mod pool;
mod product;
mod queue;
mod repack;
mod template;
mod variant;
mod weight;

use std::sync::Arc;

pub use adapters::{AdapterFacts, Kind as AdapterKind, adapters};
pub use batched::batched;
pub use device::Without;
pub use kernel::Kernel;
pub use pool::Slice;
pub use product::{dequantise, product, product_back, product_by, rows};
pub use variant::{Matrix, Path};
pub use weight::{Kind, Weight, WeightBuilder};

pub type Result<T> = std::result::Result<T, ComputeError>;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComputeError {
    #[error("the graphics card was lost: {0}")]
    Lost(String),
    #[error("the graphics card has no room for another {} MB", wanted.div_ceil(1_000_000))]
    OutOfMemory { wanted: u64 },
    #[error("there is no graphics card that can compute")]
    NoAdapter,
    #[error("{wanted} bytes in one piece are more than the {limit} that the graphics card takes")]
    TooLarge { wanted: u64, limit: u64 },
    #[error("{0}")]
    Failed(String),
}

/// A graphics card, opened: clones share it, and any thread may use it.
#[derive(Clone)]
pub struct Gpu(Arc<device::Shared>);

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gpu({})", self.facts().name)
    }
}

impl Gpu {
    /// Opens the adapter of this index in [`adapters`]; without an index the first that is no software.
    pub fn open(index: Option<usize>, without: Without) -> Result<Self> {
        let gpu = device::Shared::open(index, without).map(|shared| Self(Arc::new(shared)))?;
        if !gpu.has_cooperative_matrix() || product::has_right_matrices(&gpu) == Ok(true) {
            return Ok(gpu);
        }
        // A driver that fails here may have lost the device as well.
        let without = Without {
            cooperative_matrix: true,
            ..without
        };
        device::Shared::open(index, without).map(|shared| Self(Arc::new(shared)))
    }

    /// Whether both are one opened card, so that slices of one can be bound on the other.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub fn facts(&self) -> &AdapterFacts {
        &self.0.facts
    }

    /// Whether shaders may use f16: the adapter can, and it was not switched off.
    pub fn has_f16(&self) -> bool {
        self.0.facts.has_f16 && !self.0.without.f16
    }

    pub fn has_subgroups(&self) -> bool {
        self.0.facts.has_subgroups && !self.0.without.subgroups
    }

    /// Cooperative matrices of 16x16x16, f16 in and f32 sums; they come with f16 and subgroups of one fixed size.
    pub fn has_cooperative_matrix(&self) -> bool {
        self.0.facts.has_cooperative_matrix
            && !self.0.without.cooperative_matrix
            && self.has_f16()
            && self.has_subgroups()
    }

    /// `len` words of undefined contents.
    pub fn alloc(&self, len: usize) -> Result<Slice> {
        self.0.check()?;
        self.0.alloc(len, None)
    }

    pub fn upload(&self, words: &[u32]) -> Result<Slice> {
        self.0.check()?;
        // A buffer that waits for nothing, so that what is recorded need not be submitted first.
        let slice = self.0.alloc(words.len(), Some(self.0.recording()))?;
        self.write(&slice, words)?;
        Ok(slice)
    }

    pub fn upload_f32(&self, values: &[f32]) -> Result<Slice> {
        self.upload(bytemuck::cast_slice(values))
    }

    /// Writes words to the start of a slice, after everything launched so far.
    pub fn write(&self, slice: &Slice, words: &[u32]) -> Result<()> {
        self.0.write(slice, words)
    }

    pub fn download(&self, slice: &Slice) -> Result<Vec<u32>> {
        self.0.download(slice)
    }

    pub fn download_f32(&self, slice: &Slice) -> Result<Vec<f32>> {
        let words = self.0.download(slice)?;
        Ok(bytemuck::cast_vec(words))
    }

    /// Records a launch. The kernel sees the buffers of `bind` as bindings 0.. of group 0, then a uniform with the first
    /// word of each of them and `params`. `work` is the number of floating-point operations, or ten times the bytes
    /// moved where that is more: it decides when the launches recorded so far are submitted.
    pub fn launch(
        &self,
        kernel: &Kernel,
        bind: &[&Slice],
        params: &[u32],
        groups: [u32; 3],
        work: u64,
    ) -> Result<()> {
        self.0.launch(kernel, false, bind, params, groups, work)
    }

    /// The same for a kernel that guards every index by hand: wgpu adds no checks of its own.
    pub(crate) fn launch_trusted(
        &self,
        kernel: &Kernel,
        bind: &[&Slice],
        params: &[u32],
        groups: [u32; 3],
        work: u64,
    ) -> Result<()> {
        self.0.launch(kernel, true, bind, params, groups, work)
    }

    /// The most work that one launch should be: above it, split.
    pub fn largest_work(&self) -> u64 {
        self.0.largest_work()
    }

    /// Submits what is recorded.
    pub fn flush(&self) -> Result<()> {
        self.0.flush()
    }

    /// Submits what is recorded and waits until the card has done it.
    pub fn wait(&self) -> Result<()> {
        self.0.wait()
    }

    /// Bytes in use and bytes kept for reuse.
    pub fn memory(&self) -> (u64, u64) {
        self.0.pool.memory()
    }

    /// Gives the bytes kept for reuse back to the system.
    pub fn trim(&self) {
        self.0.pool.trim();
    }
}
