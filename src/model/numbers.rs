//! Number types of a model: that of its activations, and how the decoder's maps are held.
//!
//! Quantised weights are ggml's. Where the rows of a map do not fit a block, that map falls back to a type with a smaller
//! block, as llama.cpp does. Pure: the same choice is made at load and in an estimate of the memory.

use candle_core::DType;
use candle_core::quantized::GgmlDType;

/// How a model is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// Activations, norms, tower, projector, and whatever is not quantised.
    pub float: DType,
    pub maps: Maps,
}

/// How the decoder's linear maps and the unembedding are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Maps {
    /// Quantised where the file has them so, else in the float type.
    #[default]
    AsStored,
    /// In the float type, whatever the file has.
    Float,
    /// 8 bits, a scale for every 32.
    Q8_0,
    /// 4 bits with scales and minima for every 32 of 256; the unembedding in 6 bits.
    Q4K,
}

impl From<DType> for Numbers {
    fn from(float: DType) -> Self {
        Self {
            float,
            maps: Maps::Float,
        }
    }
}

impl Maps {
    /// The type that a map with rows of `n_in` is quantised to; `None` for the float type.
    pub fn type_for(self, n_in: usize, is_unembedding: bool) -> Option<GgmlDType> {
        let wanted = match self {
            Self::AsStored | Self::Float => return None,
            Self::Q8_0 => GgmlDType::Q8_0,
            // 4 bits are too coarse for the rows that words are told apart by; llama.cpp takes 6 as well.
            Self::Q4K if is_unembedding => GgmlDType::Q6K,
            Self::Q4K => GgmlDType::Q4K,
        };
        let fits = |dtype: &GgmlDType| n_in.is_multiple_of(dtype.block_size());
        [wanted, GgmlDType::Q8_0].into_iter().find(fits)
    }
}

/// Bytes of a map of `n` numbers.
pub fn n_bytes(n: usize, dtype: GgmlDType) -> u64 {
    (n / dtype.block_size() * dtype.type_size()) as u64
}

/// As the command line writes it: `q8_0`, `q4k`.
pub fn type_name(dtype: GgmlDType) -> String {
    format!("{dtype:?}").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_falls_back() {
        for (maps, n_in, is_unembedding, expected) in [
            (Maps::Q8_0, 4096, false, Some(GgmlDType::Q8_0)),
            (Maps::Q8_0, 4096, true, Some(GgmlDType::Q8_0)),
            (Maps::Q8_0, 48, false, None),
            (Maps::Q4K, 4096, false, Some(GgmlDType::Q4K)),
            (Maps::Q4K, 4096, true, Some(GgmlDType::Q6K)),
            (Maps::Q4K, 640, false, Some(GgmlDType::Q8_0)),
            (Maps::Q4K, 640, true, Some(GgmlDType::Q8_0)),
            (Maps::Q4K, 12, true, None),
            (Maps::Float, 256, false, None),
            (Maps::AsStored, 256, false, None),
        ] {
            assert_eq!(maps.type_for(n_in, is_unembedding), expected);
        }
    }

    #[test]
    fn sizes_are_those_of_ggml() {
        assert_eq!(n_bytes(4096, GgmlDType::Q8_0), 4096 / 32 * 34);
        assert_eq!(n_bytes(4096, GgmlDType::Q4K), 4096 / 256 * 144);
        assert_eq!(type_name(GgmlDType::Q4K), "q4k");
        assert_eq!(type_name(GgmlDType::Q8_0), "q8_0");
    }
}
