//! The kernels of products: each path with the sizes of its tiles, written for each kind of weight.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use super::template::expand;
use super::weight::{Kind, Weight};
use super::{Gpu, Kernel};

/// One way to compute a product, and the sizes that its shader has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    /// For at most `n` rows: groups of `g` invocations take `r` rows of the weight, with `tile` pieces of x at a time.
    Few {
        n: u32,
        g: u32,
        r: u32,
        tile: u32,
        shuffles: bool,
    },
    /// Tiles of `bm` rows and 128 columns in f32, `mv` times 4 rows for each invocation; as arrays of scalars if need be.
    Tiled {
        bm: u32,
        mv: u32,
        scalars: bool,
    },
    Matrix(Matrix),
    Back {
        scalars: bool,
    },
    Rows,
}

/// Cooperative matrices: `wr` times `wc` subgroups of `size` invocations take `tm` times `tn` blocks of 16x16 each, with
/// `kp` pieces of a row at a time; `slices` times as many subgroups take different pieces for the same blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Matrix {
    pub wr: u32,
    pub wc: u32,
    pub tm: u32,
    pub tn: u32,
    pub kp: u32,
    pub slices: u32,
    pub size: u32,
}

impl Matrix {
    pub fn new([wr, wc, tm, tn, kp, slices]: [u32; 6], size: u32) -> Self {
        Self {
            wr,
            wc,
            tm,
            tn,
            kp,
            slices,
            size,
        }
    }

    /// Rows of x and of the weight that a workgroup takes.
    fn tile(self) -> (u32, u32) {
        (self.wr * self.tm * 16, self.wc * self.tn * 16)
    }

    /// Bytes of workgroup memory.
    fn memory(self) -> u32 {
        let (bm, bn) = self.tile();
        let sums = if self.slices > 1 {
            bm * bn * self.slices * 4
        } else {
            0
        };
        (bm + bn) * (self.kp * self.slices * 32 + 16) + sums
    }

    fn source(self, text: &str, flags: &[&str]) -> String {
        let ((bm, bn), threads) = (self.tile(), self.wr * self.wc * self.slices * self.size);
        let loads = |rows: u32| (rows * self.kp * self.slices).div_ceil(threads);
        let flag = if self.slices > 1 { "SLICED" } else { "WHOLE" };
        let flags = &[flags, &[flag]].concat();
        let numbers = [
            ("BM", bm),
            ("BN", bn),
            ("WR", self.wr),
            ("WC", self.wc),
            ("SLICES", self.slices),
            ("TM", self.tm),
            ("TN", self.tn),
            ("KP", self.kp),
            ("THREADS", threads),
            ("XL", loads(bm)),
            ("WL", loads(bn)),
        ];
        expand(text, &numbers, flags)
    }
}

impl Path {
    /// Rows of x and of the weight that a workgroup takes.
    pub(super) fn tile(self) -> (usize, usize) {
        match self {
            Self::Few { n, g, r, .. } => (n as usize, (256 / g * r) as usize),
            Self::Tiled { bm, .. } => (bm as usize, 128),
            Self::Matrix(tiles) => (tiles.tile().0 as usize, tiles.tile().1 as usize),
            Self::Back { .. } => (64, 128),
            Self::Rows => (1, 1),
        }
    }

    /// The kernel for a kind of weight, written at the first use.
    pub(super) fn kernel(self, kind: Kind) -> Kernel {
        static WRITTEN: LazyLock<Mutex<HashMap<(Path, Kind), &'static str>>> =
            LazyLock::new(Mutex::default);
        let mut written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
        // The texts stay as long as the program: there are few, and pipelines are found by their address.
        let source = written
            .entry((self, kind))
            .or_insert_with(|| self.source(kind).leak());
        let name = match self {
            Self::Few { .. } => "product of few rows",
            Self::Tiled { .. } => "tiled product",
            Self::Matrix(_) => "product with cooperative matrices",
            Self::Back { .. } => "product backwards",
            Self::Rows => "rows of a weight",
        };
        Kernel {
            name,
            source: Cow::Borrowed(source),
            writes: &[false, false, false, true],
        }
    }

    fn source(self, kind: Kind) -> String {
        let mut flags = vec![];
        flags.push(if matches!(kind, Kind::F16) {
            "IS_F16"
        } else {
            "NOT_F16"
        });
        let is_scalar = matches!(
            self,
            Self::Tiled { scalars: true, .. } | Self::Back { scalars: true }
        );
        flags.push(if is_scalar { "SCALARS" } else { "VECTORS" });
        let is_few = matches!(self, Self::Few { .. });
        flags.push(if is_few { "FEW" } else { "NOT_FEW" });
        let has_offset = matches!(kind, Kind::Q8_0 | Kind::Q4K);
        flags.push(if has_offset {
            "HAS_OFFSET"
        } else {
            "NO_OFFSET"
        });
        let text = |own: &str, halves: &str| {
            let loads = match kind {
                Kind::F32 => include_str!("../../shaders/compute/weights/f32.wgsl"),
                Kind::F16 => include_str!("../../shaders/compute/weights/f16.wgsl"),
                Kind::Q8_0 => include_str!("../../shaders/compute/weights/q8_0.wgsl"),
                Kind::Q4K => include_str!("../../shaders/compute/weights/q4k.wgsl"),
            };
            let piece = include_str!("../../shaders/compute/weights/piece.wgsl");
            [own, piece, loads, halves].concat()
        };
        match self {
            Self::Few {
                n,
                g,
                r,
                tile,
                shuffles,
            } => {
                flags.push(if shuffles { "SHUFFLE" } else { "NO_SHUFFLE" });
                let own = include_str!("../../shaders/compute/product/few.wgsl");
                let unit = if has_offset { 2 } else { 1 };
                expand(
                    &text(own, ""),
                    &[("N", n), ("G", g), ("R", r), ("TILE", tile), ("UNIT", unit)],
                    &flags,
                )
            }
            Self::Tiled { bm, mv, .. } => {
                let threads = bm / (4 * mv) * 16;
                let first = if threads == 256 { 128 } else { 0 };
                let numbers = [
                    ("BM", bm),
                    ("MV", mv),
                    ("THREADS", threads),
                    ("X_THREAD", first),
                ];
                expand(
                    &text(include_str!("../../shaders/compute/product/tiled.wgsl"), ""),
                    &numbers,
                    &flags,
                )
            }
            Self::Matrix(tiles) => {
                let own = include_str!("../../shaders/compute/product/matrix.wgsl");
                let halves = include_str!("../../shaders/compute/weights/halves.wgsl");
                tiles.source(&text(own, halves), &flags)
            }
            Self::Back { .. } => expand(
                &text(include_str!("../../shaders/compute/product/back.wgsl"), ""),
                &[],
                &flags,
            ),
            Self::Rows => expand(
                &text(include_str!("../../shaders/compute/product/rows.wgsl"), ""),
                &[],
                &flags,
            ),
        }
    }
}

/// The path for `n` rows of x.
pub(super) fn choose(gpu: &Gpu, n: usize, w: &Weight) -> Path {
    let has_matrix = gpu.has_cooperative_matrix() && w.n_out().is_multiple_of(16);
    if n <= if has_matrix { 4 } else { 8 } {
        return few(gpu, n);
    }
    if has_matrix {
        return matrix(gpu, n, w);
    }
    let scalars = needs_scalars(gpu);
    match n {
        ..=32 => Path::Tiled {
            bm: 32,
            mv: 1,
            scalars,
        },
        _ => Path::Tiled {
            bm: 64,
            mv: 2,
            scalars,
        },
    }
}

/// Whether tiles in workgroup memory must not be arrays of vectors: DX12's older compiler may race on their components.
pub(super) fn needs_scalars(gpu: &Gpu) -> bool {
    gpu.facts().backend == "DX12"
}

fn few(gpu: &Gpu, n: usize) -> Path {
    let n = (n as u32).next_power_of_two();
    let smallest = gpu.facts().subgroup.0;
    let shuffles = gpu.has_subgroups() && smallest >= 8;
    let g = if shuffles { smallest.min(32) } else { 32 };
    // A tile of x is n * tile * 72 bytes; without shuffles the sums need n * 1,024 more.
    let memory =
        gpu.facts().max_workgroup_memory.min(48 << 10) - if shuffles { 0 } else { n << 10 };
    let most = memory / (n * 72);
    let tile = if most.is_power_of_two() {
        most
    } else {
        most.next_power_of_two() / 2
    };
    Path::Few {
        n,
        g,
        r: 4,
        tile: tile.min(256),
        shuffles,
    }
}

fn matrix(gpu: &Gpu, n: usize, w: &Weight) -> Path {
    let memory = gpu.facts().max_workgroup_memory;
    let blocks = n.div_ceil(128) * w.n_out().div_ceil(128);
    // Where there are few blocks in all, subgroups share them, or larger ones need one round less on the card.
    let slices = |it: u32| if w.n_out() <= 8192 { it } else { 1 };
    let tiles = match n {
        ..=16 => [1, 2, 1, 1, 4, slices(4)],
        17..=32 => [2, 2, 1, 1, 4, slices(2)],
        33..=64 => [2, 2, 2, 1, 4, slices(2)],
        65..=96 => [2, 4, 3, 2, 4, 1],
        _ if blocks < 264 && n.div_ceil(160) < n.div_ceil(128) => [2, 4, 5, 2, 4, 1],
        _ => [2, 4, 4, 2, 4, 1],
    };
    let mut tiles = Matrix::new(tiles, gpu.facts().subgroup.0);
    if tiles.memory() > memory {
        tiles.slices = 1;
    }
    let is_whole = tiles.slices > 1 || w.pieces.is_multiple_of(4);
    if !is_whole || tiles.memory() > memory {
        tiles.kp = 2;
    }
    Path::Matrix(tiles)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths() -> Vec<Path> {
        let mut paths = vec![Path::Rows];
        for scalars in [false, true] {
            paths.push(Path::Back { scalars });
            let tiled = |(bm, mv)| Path::Tiled { bm, mv, scalars };
            paths.extend([(32, 1), (64, 2), (128, 2)].map(tiled));
        }
        for n in [1, 2, 4, 8] {
            for shuffles in [false, true] {
                paths.push(Path::Few {
                    n,
                    g: 32,
                    r: 4,
                    tile: 32,
                    shuffles,
                });
            }
        }
        let tiles = [
            [1, 2, 1, 1, 4, 4],
            [2, 2, 2, 1, 2, 2],
            [2, 4, 3, 2, 2, 1],
            [2, 4, 4, 2, 4, 1],
        ];
        paths.extend(tiles.map(|it| Path::Matrix(Matrix::new(it, 32))));
        paths
    }

    /// Fails where the text is no valid WGSL, or where it cannot be written for Vulkan, Metal or, if `dx12`, DX12.
    fn translate(name: &str, source: &str, dx12: bool) {
        let said = |e: String| -> ! { panic!("{name}: {e}") };
        let module =
            naga::front::wgsl::parse_str(source).unwrap_or_else(|e| said(e.emit_to_string(source)));
        let all = naga::valid::Capabilities::all();
        let info = naga::valid::Validator::new(naga::valid::ValidationFlags::all(), all)
            .validate(&module)
            .unwrap_or_else(|e| said(e.emit_to_string(source)));
        let spv = naga::back::spv::Options {
            lang_version: (1, 4),
            ..Default::default()
        };
        naga::back::spv::write_vec(&module, &info, &spv, None)
            .unwrap_or_else(|e| said(e.to_string()));
        let metal = naga::back::msl::Options {
            lang_version: (3, 0),
            ..Default::default()
        };
        naga::back::msl::write_string(&module, &info, &metal, &Default::default())
            .unwrap_or_else(|e| said(e.to_string()));
        if dx12 {
            use naga::back::hlsl::{Options, ShaderModel, Writer};
            let options = Options {
                shader_model: ShaderModel::V6_0,
                ..Default::default()
            };
            let (mut text, entry) = (String::new(), Default::default());
            Writer::new(&mut text, &options, &entry)
                .write(&module, &info, None)
                .unwrap_or_else(|e| said(e.to_string()));
        }
    }

    #[test]
    fn every_shader_is_valid_and_can_be_written_for_every_backend() {
        let kinds = [Kind::F32, Kind::F16, Kind::Q8_0, Kind::Q4K];
        for (path, kind) in paths()
            .into_iter()
            .flat_map(|path| kinds.map(|kind| (path, kind)))
        {
            let has_matrices = matches!(path, Path::Matrix(_));
            translate(
                &format!("{path:?} {kind:?}"),
                &path.source(kind),
                !has_matrices,
            );
        }
        for text in [
            include_str!("../../shaders/compute/product/pad.wgsl"),
            include_str!("../../shaders/compute/product/halve.wgsl"),
            include_str!("../../shaders/compute/product/batched.wgsl"),
        ] {
            for flag in ["VECTORS", "SCALARS"] {
                translate(flag, &expand(text, &[], &[flag]), true);
            }
        }
    }
}
