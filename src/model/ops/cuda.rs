//! CUDA bodies of the operations: launches of the kernels in `shaders/cuda`, and products through cuBLAS.
//!
//! Everything runs on the device's one stream, so launches follow each other without being waited for. Sizes are checked
//! by the callers, who hold tensors; here they are only turned into launches.

#![allow(
    unsafe_code,
    reason = "kernels are launched with raw addresses, and cuBLAS is called directly"
)]

use std::cell::RefCell;
use std::collections::HashMap;

use candle_core::backend::BackendStorage as _;
use candle_core::cuda_backend::cudarc::cublas::{result as cublas, sys};
use candle_core::cuda_backend::cudarc::driver::{
    CudaFunction, DevicePtr as _, LaunchConfig, PushKernelArg as _,
};
use candle_core::cuda_backend::{CudaStorage, DeviceId, WrapErr as _};
use candle_core::{CudaDevice, DType, Device, Layout, Result, Shape, Storage, Tensor};
use half::{bf16, f16};

use super::AttentionShape;

const PTX: &str = include_str!("../../../shaders/cuda/kernels.ptx");

/// An address on the device. It stays good while the tensor that it was taken from lives.
type Address = u64;
const NULL: Address = 0;

fn suffix(dtype: DType) -> Result<&'static str> {
    match dtype {
        DType::F16 => Ok("f16"),
        DType::BF16 => Ok("bf16"),
        DType::F32 => Ok("f32"),
        other => candle_core::bail!("the CUDA kernels do not take {other:?}"),
    }
}

thread_local! {
    /// Kernels that were looked up, by device and name: asking the driver anew for every launch would cost more than it.
    static KERNELS: RefCell<HashMap<(DeviceId, String), CudaFunction>> = RefCell::default();
}

fn kernel(device: &CudaDevice, name: &str) -> Result<CudaFunction> {
    KERNELS.with_borrow_mut(|kernels| {
        let key = (device.id(), name.to_owned());
        if let Some(function) = kernels.get(&key) {
            return Ok(function.clone());
        }
        let function = device.get_or_load_custom_func(name, "patchglass", PTX)?;
        let function = function.into_cuda_function();
        kernels.insert(key, function.clone());
        Ok(function)
    })
}

fn grid(x: usize, y: usize, z: usize, threads: usize) -> LaunchConfig {
    LaunchConfig {
        grid_dim: (x as u32, y as u32, z as u32),
        block_dim: (threads as u32, 1, 1),
        shared_mem_bytes: 0,
    }
}

/// Address of the first element; the tensor must be contiguous.
fn address(storage: &CudaStorage, layout: &Layout) -> Result<Address> {
    if !layout.is_contiguous() {
        candle_core::bail!("a CUDA kernel needs a contiguous tensor")
    }
    start_address(storage, layout)
}

/// Address of the first element, whatever the strides.
fn start_address(storage: &CudaStorage, layout: &Layout) -> Result<Address> {
    let start = layout.start_offset();
    let stream = storage.device().cuda_stream();
    let (base, size) = match storage.dtype() {
        DType::F16 => (storage.as_cuda_slice::<f16>()?.device_ptr(&stream).0, 2),
        DType::BF16 => (storage.as_cuda_slice::<bf16>()?.device_ptr(&stream).0, 2),
        DType::F32 => (storage.as_cuda_slice::<f32>()?.device_ptr(&stream).0, 4),
        DType::U8 => (storage.as_cuda_slice::<u8>()?.device_ptr(&stream).0, 1),
        other => candle_core::bail!("the CUDA kernels do not take {other:?}"),
    };
    Ok(base + (start * size) as u64)
}

/// Address of a tensor that lives longer than the launch.
fn tensor_address(tensor: &Tensor) -> Result<Address> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cuda(storage) => address(storage, layout),
        _ => candle_core::bail!("a tensor is not on the CUDA device"),
    }
}

/// Memory for a result; every element is written by the kernel that it is made for.
fn new(device: &CudaDevice, dtype: DType, len: usize) -> Result<CudaStorage> {
    // SAFETY: nothing reads the memory before the kernel that fills all of it, on the same stream.
    unsafe {
        Ok(match dtype {
            DType::F16 => CudaStorage::wrap_cuda_slice(device.alloc::<f16>(len)?, device.clone()),
            DType::BF16 => CudaStorage::wrap_cuda_slice(device.alloc::<bf16>(len)?, device.clone()),
            DType::F32 => CudaStorage::wrap_cuda_slice(device.alloc::<f32>(len)?, device.clone()),
            other => candle_core::bail!("the CUDA kernels do not make {other:?}"),
        })
    }
}

/// Launches a kernel; the arguments are named as the kernel names them.
macro_rules! launch {
    ($device:expr, $name:expr, $config:expr, $($id:ident = $arg:expr),+) => {{
        let (function, config) = (kernel($device, $name)?, $config);
        let stream = $device.cuda_stream();
        $(#[allow(clippy::redundant_locals, reason = "some arguments are variables of that name")]
        let $id = $arg;)+
        let mut builder = stream.launch_builder(&function);
        $(builder.arg(&$id);)+
        // SAFETY: the arguments are those of the kernel of this name; the addresses are of tensors that the caller holds.
        unsafe { builder.launch(config) }.w()?;
    }};
}

/// `[n, d]` rows of x (plus delta) and their RMSNorm; without a delta only the norm, `[n, d]`, else `[2, n, d]`.
pub(super) fn add_rms_norm(
    x: (&CudaStorage, &Layout),
    delta: Option<(&CudaStorage, &Layout)>,
    weight: (&CudaStorage, &Layout),
    eps: f32,
) -> Result<(CudaStorage, Shape)> {
    let (device, dtype) = (x.0.device(), x.0.dtype());
    let (n, d) = x.1.shape().dims2()?;
    let n_parts = 1 + usize::from(delta.is_some());
    let out = new(device, dtype, n_parts * n * d)?;
    let sum_at = address(&out, &Layout::contiguous(n_parts * n * d))?;
    let delta_at = match delta {
        Some((storage, layout)) => address(storage, layout)?,
        None => NULL,
    };
    let normed_at = sum_at + ((n_parts - 1) * n * d * dtype.size_in_bytes()) as u64;
    let name = format!("add_rms_norm_{}", suffix(dtype)?);
    launch!(
        device,
        &name,
        grid(n, 1, 1, 256),
        x_at = address(x.0, x.1)?,
        delta_at = delta_at,
        weight_at = address(weight.0, weight.1)?,
        sum_at = sum_at,
        normed_at = normed_at,
        d = d as i32,
        eps = eps
    );
    let shape: Shape = match n_parts {
        1 => (n, d).into(),
        _ => (2, n, d).into(),
    };
    Ok((out, shape))
}

/// As [`super::split_rotated_heads`], all parts in one tensor; without tables nothing is rotated.
pub(super) fn split_heads(
    qkv: (&CudaStorage, &Layout),
    tables: Option<(Address, Address)>,
    s: &AttentionShape,
) -> Result<(CudaStorage, Shape)> {
    let (device, dtype) = (qkv.0.device(), qkv.0.dtype());
    let n_heads = s.heads + 2 * s.kv_heads;
    let len = s.batch * n_heads * s.n * s.d_head;
    let out = new(device, dtype, len)?;
    let (cos, sin) = tables.unwrap_or((NULL, NULL));
    let name = format!("split_heads_{}", suffix(dtype)?);
    let threads = (s.d_head / 2).clamp(1, 256);
    launch!(
        device,
        &name,
        grid(s.n, n_heads, s.batch, threads),
        qkv_at = address(qkv.0, qkv.1)?,
        cos = cos,
        sin = sin,
        out_at = address(&out, &Layout::contiguous(len))?,
        heads = s.heads as i32,
        kv_heads = s.kv_heads as i32,
        d_head = s.d_head as i32
    );
    Ok((out, (s.batch * n_heads, s.n, s.d_head).into()))
}

/// Addresses of the rotary tables of a pass.
pub(super) fn tables(
    cos: (&CudaStorage, &Layout),
    sin: (&CudaStorage, &Layout),
) -> Result<(Address, Address)> {
    Ok((address(cos.0, cos.1)?, address(sin.0, sin.1)?))
}

/// `[batch * head, n, d_head] -> [batch * n, heads * d_head]`
pub(super) fn merge_heads(
    z: (&CudaStorage, &Layout),
    s: &AttentionShape,
) -> Result<(CudaStorage, Shape)> {
    let (device, dtype) = (z.0.device(), z.0.dtype());
    let len = s.batch * s.heads * s.n * s.d_head;
    let out = new(device, dtype, len)?;
    let name = format!("merge_heads_{}", suffix(dtype)?);
    launch!(
        device,
        &name,
        grid(s.n, s.heads, s.batch, s.d_head.clamp(1, 256)),
        z_at = address(z.0, z.1)?,
        out_at = address(&out, &Layout::contiguous(len))?,
        d_head = s.d_head as i32
    );
    Ok((out, (s.batch * s.n, s.heads * s.d_head).into()))
}

/// The positions of `old`, which may be a view of more, and those of `added`: `[head, n, d_head]` each.
pub(super) fn append_positions(
    old: (&CudaStorage, &Layout),
    added: (&CudaStorage, &Layout),
) -> Result<(CudaStorage, Shape)> {
    let ((heads, n_old, d_head), (_, n_added, _)) =
        (old.1.shape().dims3()?, added.1.shape().dims3()?);
    let n = n_old + n_added;
    let out = new(old.0.device(), old.0.dtype(), heads * n * d_head)?;
    let layout = Layout::contiguous((heads, n, d_head));
    write_positions((&out, &layout), Some(old), added, n_old)?;
    Ok((out, (heads, n, d_head).into()))
}

/// Writes the first `n_old` positions of `old` (none where they are there already) and then those of `added`
/// `[head, n, d_head]` into `out` `[head, at least as many, d_head]`.
pub(super) fn write_positions(
    out: (&CudaStorage, &Layout),
    old: Option<(&CudaStorage, &Layout)>,
    added: (&CudaStorage, &Layout),
    n_old: usize,
) -> Result<()> {
    let (device, dtype) = (out.0.device(), out.0.dtype());
    let (heads, n_added, d_head) = added.1.shape().dims3()?;
    let (first, old_at, old_stride) = match old {
        Some((storage, layout)) => (0, start_address(storage, layout)?, head_stride(layout)?),
        None => (n_old, NULL, 0),
    };
    let name = format!("append_positions_{}", suffix(dtype)?);
    launch!(
        device,
        &name,
        grid(n_old + n_added - first, heads, 1, d_head.clamp(1, 256)),
        old_at = old_at,
        added_at = address(added.0, added.1)?,
        out_at = start_address(out.0, out.1)?,
        first = first as i32,
        n_old = n_old as i32,
        n_added = n_added as i32,
        old_stride = old_stride as i64,
        out_stride = head_stride(out.1)? as i64,
        d_head = d_head as i32
    );
    Ok(())
}

/// Elements between two heads of `[head, n, d_head]`, whose positions must follow each other.
fn head_stride(layout: &Layout) -> Result<usize> {
    let (_, _, d_head) = layout.shape().dims3()?;
    match layout.stride() {
        [stride, row, 1] if *row == d_head => Ok(*stride),
        other => candle_core::bail!("positions must follow each other, not {other:?}"),
    }
}

/// Scaled, masked softmax of `[batch * head, query, key]` scores in place.
pub(super) fn masked_softmax(
    scores: (&CudaStorage, &Layout),
    blocked: Option<&Tensor>,
    s: &AttentionShape,
    is_causal: bool,
) -> Result<()> {
    let (device, dtype) = (scores.0.device(), scores.0.dtype());
    let (n_heads, n, n_keys) = scores.1.shape().dims3()?;
    let (mask_at, mask_heads) = match blocked {
        Some(mask) => (tensor_address(mask)?, mask.dim(0)?),
        None => (NULL, 1),
    };
    let first_pos = if is_causal { s.first_pos as i32 } else { -1 };
    let name = format!("masked_softmax_{}", suffix(dtype)?);
    launch!(
        device,
        &name,
        grid(n, n_heads, 1, 128),
        scores_at = address(scores.0, scores.1)?,
        mask_at = mask_at,
        mask_heads = mask_heads as i32,
        heads = s.heads as i32,
        first_pos = first_pos,
        n_keys = n_keys as i32,
        scale = s.scale()
    );
    Ok(())
}

/// silu(gate) * up, `[n, 2 * d] -> [n, d]`
pub(super) fn silu_mul(x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
    let (device, dtype) = (x.device(), x.dtype());
    let (n, both) = layout.shape().dims2()?;
    let d = both / 2;
    let out = new(device, dtype, n * d)?;
    let name = format!("silu_mul_{}", suffix(dtype)?);
    launch!(
        device,
        &name,
        grid(d.div_ceil(256), n, 1, 256),
        x_at = address(x, layout)?,
        out_at = address(&out, &Layout::contiguous(n * d))?,
        d = d as i32
    );
    Ok((out, (n, d).into()))
}

/// x + y, y repeated along the first dimensions of x.
pub(super) fn add(
    x: (&CudaStorage, &Layout),
    y: (&CudaStorage, &Layout),
) -> Result<(CudaStorage, Shape)> {
    let (device, dtype) = (x.0.device(), x.0.dtype());
    let (n, period) = (x.1.shape().elem_count(), y.1.shape().elem_count());
    let out = new(device, dtype, n)?;
    let name = format!("add_{}", suffix(dtype)?);
    launch!(
        device,
        &name,
        grid(n.div_ceil(256), 1, 1, 256),
        x_at = address(x.0, x.1)?,
        y_at = address(y.0, y.1)?,
        out_at = address(&out, &Layout::contiguous(n))?,
        n = n as i64,
        period = period as i64
    );
    Ok((out, x.1.shape().clone()))
}

/// x * sigmoid(1.702 x)
pub(super) fn quick_gelu(x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
    let (device, dtype, n) = (x.device(), x.dtype(), layout.shape().elem_count());
    let out = new(device, dtype, n)?;
    let name = format!("quick_gelu_{}", suffix(dtype)?);
    launch!(
        device,
        &name,
        grid(n.div_ceil(256), 1, 1, 256),
        x_at = address(x, layout)?,
        out_at = address(&out, &Layout::contiguous(n))?,
        n = n as i64
    );
    Ok((out, layout.shape().clone()))
}

/// Norms of the rows of `a`, of `b` and of `a - b`, `[n, 3]`, f32.
pub(super) fn row_norms(
    a: (&CudaStorage, &Layout),
    b: Option<&Tensor>,
) -> Result<(CudaStorage, Shape)> {
    let (device, dtype) = (a.0.device(), a.0.dtype());
    let (n, d) = a.1.shape().dims2()?;
    let out = new(device, DType::F32, 3 * n)?;
    let b_at = b.map(tensor_address).transpose()?.unwrap_or(NULL);
    let name = format!("row_norms_{}", suffix(dtype)?);
    launch!(
        device,
        &name,
        grid(n, 1, 1, 256),
        a_at = address(a.0, a.1)?,
        b_at = b_at,
        out_at = address(&out, &Layout::contiguous(3 * n))?,
        d = d as i32
    );
    Ok((out, (n, 3).into()))
}

/// How many best words the kernels can keep, ascending.
pub(super) const TOP_K: [usize; 3] = [5, 10, 20];

/// Reads f32 logits `[n, vocab]`: `[n, 2 * k + 2]` with ids (as bits), probabilities, log-sum-exp and entropy.
pub(super) fn read_logits(
    (logits, layout): (&CudaStorage, &Layout),
    k: usize,
    n_words: usize,
) -> Result<(CudaStorage, Shape)> {
    let device = logits.device();
    let (n, vocab) = layout.shape().dims2()?;
    let len = n * (2 * k + 2);
    let out = new(device, DType::F32, len)?;
    launch!(
        device,
        &format!("read_logits_{k}"),
        grid(n, 1, 1, 256),
        logits_at = address(logits, layout)?,
        out_at = address(&out, &Layout::contiguous(len))?,
        vocab = vocab as i32,
        n_words = n_words as i32
    );
    Ok((out, (n, 2 * k + 2).into()))
}

/// `x [n, k]` times the transpose of `weight [m, k]`: `[n, m]`, as f32 where `is_logits`, else in the type of x.
/// Accumulates in f32. One row goes through a kernel that reads the weight once at full bandwidth.
pub(super) fn product(
    x: (&CudaStorage, &Layout),
    weight: (&CudaStorage, &Layout),
    is_logits: bool,
) -> Result<(CudaStorage, Shape)> {
    let (device, dtype) = (x.0.device(), x.0.dtype());
    let ((n, k), (m, _)) = (x.1.shape().dims2()?, weight.1.shape().dims2()?);
    let out_dtype = if is_logits { DType::F32 } else { dtype };
    let out = new(device, out_dtype, n * m)?;
    let out_at = address(&out, &Layout::contiguous(n * m))?;
    let (x_at, weight_at) = (address(x.0, x.1)?, address(weight.0, weight.1)?);
    let is_aligned = |at: Address| at.is_multiple_of(16);
    if n == 1 && k * dtype.size_in_bytes() % 16 == 0 && is_aligned(x_at) && is_aligned(weight_at) {
        let part = if is_logits { "logits_" } else { "" };
        let name = format!("matvec_{part}{}", suffix(dtype)?);
        launch!(
            device,
            &name,
            grid(m.div_ceil(8), 1, 1, 256),
            weight_at = weight_at,
            x_at = x_at,
            out_at = out_at,
            m = m as i32,
            k = k as i32
        );
    } else {
        let (alpha, beta) = (1f32, 0f32);
        let blas = device.cublas_handle();
        // SAFETY: column-major, this is weight^T [k, m] transposed times x^T [k, n]; all three are contiguous.
        unsafe {
            cublas::gemm_ex(
                *blas.handle(),
                sys::cublasOperation_t::CUBLAS_OP_T,
                sys::cublasOperation_t::CUBLAS_OP_N,
                m as i32,
                n as i32,
                k as i32,
                (&raw const alpha).cast(),
                weight_at as *const _,
                data_type(dtype)?,
                k as i32,
                x_at as *const _,
                data_type(dtype)?,
                k as i32,
                (&raw const beta).cast(),
                out_at as *mut _,
                data_type(out_dtype)?,
                m as i32,
                sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
                sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
            )
        }
        .map_err(|e| candle_core::Error::msg(format!("cuBLAS: {e:?}")))?;
    }
    Ok((out, (n, m).into()))
}

fn data_type(dtype: DType) -> Result<sys::cudaDataType_t> {
    match dtype {
        DType::F16 => Ok(sys::cudaDataType_t::CUDA_R_16F),
        DType::BF16 => Ok(sys::cudaDataType_t::CUDA_R_16BF),
        DType::F32 => Ok(sys::cudaDataType_t::CUDA_R_32F),
        other => candle_core::bail!("no product of {other:?} on CUDA"),
    }
}

/// Opens a card with one stream for all threads; its order is all the synchronisation that tensors need.
pub(crate) fn open(ordinal: usize) -> Result<Device> {
    let device = Device::new_cuda_with_stream(ordinal)?;
    if let Device::Cuda(cuda) = &device {
        // SAFETY: events order work on several streams; this device only ever has the one.
        unsafe { cuda.disable_event_tracking() };
    }
    Ok(device)
}

/// Free and total memory of the card of the current thread, in bytes.
pub(crate) fn memory() -> Option<(u64, u64)> {
    let (free, total) = candle_core::cuda_backend::cudarc::driver::result::mem_get_info().ok()?;
    Some((free as u64, total as u64))
}

/// Loads this module's kernels, which the driver compiles on the first start of a machine.
pub(crate) fn load_kernels(device: &CudaDevice) -> Result<()> {
    kernel(device, "add_f32").map(drop)
}
