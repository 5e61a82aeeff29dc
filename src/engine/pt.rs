//! One tensor of numbers from a file of PyTorch's `torch.save`, as the reference keeps its mean vectors in.
//!
//! The file is a zip archive without compression: the numbers lie raw in `*/data/0`, and `*/data.pkl` says what they are.
//! The pickle is never run; it is only compared with what `torch.save` of one tensor writes. Everything else is refused.

use candle_core::{DType, Device, Tensor};

/// What the reason of a refusal ends with.
const WANTED: &str = "one tensor as torch.save(tensor, …) writes it is needed";

/// A tensor's storage begins like this in the pickle.
const REBUILD: &[u8] = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n";

/// The types that a tensor may have, by their name in the pickle.
const STORAGES: [(&[u8], DType); 4] = [
    (b"ctorch\nFloatStorage\n", DType::F32),
    (b"ctorch\nDoubleStorage\n", DType::F64),
    (b"ctorch\nHalfStorage\n", DType::F16),
    (b"ctorch\nBFloat16Storage\n", DType::BF16),
];

/// Whether the bytes are a zip archive at all.
pub(super) fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
}

/// The file's only tensor, flat, in the order of its storage and in f32. `[n]`
///
/// # Errors
/// Why it is no such file, in words that follow its name.
pub(super) fn tensor(bytes: &[u8]) -> Result<Tensor, String> {
    let entries = entries(bytes).ok_or_else(|| format!("not a whole zip archive; {WANTED}"))?;
    let find = |ending: &str| {
        let mut found = entries.iter().filter(|(name, _)| name.ends_with(ending));
        match (found.next(), found.next()) {
            (Some((_, content)), None) => Ok(*content),
            _ => Err(format!("it has not exactly one entry {ending}; {WANTED}")),
        }
    };
    let pickle = find("/data.pkl")?;
    let data = find("/data/0")?;
    let n_storages = entries.iter().filter(|(name, _)| name.contains("/data/"));
    if n_storages.count() != 1 || !pickle.starts_with(REBUILD) {
        return Err(format!("it holds something else than one tensor; {WANTED}"));
    }
    if find("/byteorder").is_ok_and(|order| order != b"little") {
        return Err("its numbers are big-endian; save it on another machine".to_owned());
    }
    let named = |storage: &&(&[u8], DType)| pickle.windows(storage.0.len()).any(|w| w == storage.0);
    let Some((_, dtype)) = STORAGES.iter().find(named) else {
        return Err(format!("its numbers are no floats; {WANTED}"));
    };
    let n = data.len() / dtype.size_in_bytes();
    if n * dtype.size_in_bytes() != data.len() {
        return Err(format!("its numbers are cut off; {WANTED}"));
    }
    Tensor::from_raw_buffer(data, *dtype, &[n], &Device::Cpu)
        .and_then(|tensor| tensor.to_dtype(DType::F32))
        .map_err(|e| e.to_string())
}

/// Names and contents of an archive whose entries are stored as they are; `None` for any other file.
fn entries(bytes: &[u8]) -> Option<Vec<(String, &[u8])>> {
    let end = bytes.windows(4).rposition(|w| w == b"PK\x05\x06")?;
    // The record that ends an archive has 22 bytes.
    bytes.get(end..end + 22)?;
    let (n, mut at) = (u16_at(bytes, end + 10)?, u32_at(bytes, end + 16)?);
    let mut entries = Vec::new();
    for _ in 0..n {
        let is_stored = u16_at(bytes, at + 10)? == 0;
        if bytes.get(at..at + 4)? != b"PK\x01\x02" || !is_stored {
            return None;
        }
        let size = u32_at(bytes, at + 24)?;
        let [name, extra, comment] = [28, 30, 32].map(|field| u16_at(bytes, at + field));
        let (name, skipped) = (name?, extra? + comment?);
        let local = u32_at(bytes, at + 42)?;
        let text = String::from_utf8_lossy(bytes.get(at + 46..at + 46 + name)?).into_owned();
        let start = local + 30 + u16_at(bytes, local + 26)? + u16_at(bytes, local + 28)?;
        entries.push((text, bytes.get(start..start.checked_add(size)?)?));
        at += 46 + name + skipped;
    }
    Some(entries)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    let [a, b] = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
    Some(usize::from(u16::from_le_bytes([a, b])))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    let four: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(four)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const F32: &[u8] = include_bytes!("../../tests/golden/mean-f32.pt");
    const F16: &[u8] = include_bytes!("../../tests/golden/mean-f16.pt");

    #[test]
    fn reads_what_torch_saved() {
        // torch.save(torch.arange(8) / 4), as float and as half of shape [1, 8].
        let wanted: Vec<f32> = (0..8).map(|i| i as f32 / 4.0).collect();
        assert_eq!(numbers(F32).unwrap(), wanted);
        assert_eq!(numbers(F16).unwrap(), wanted);
        assert!(is_zip(F32) && !is_zip(b"not a zip"));
    }

    #[test]
    fn refuses_everything_else_without_running_it() {
        // Another class in the pickle, of the same length.
        let evil = replaced(F32, b"_rebuild_tensor_v2", b"_rebuild_tensor_xx");
        assert!(numbers(&evil).unwrap_err().contains("something else"));
        let ints = replaced(F32, b"FloatStorage", b"Int64Storage");
        assert!(numbers(&ints).unwrap_err().contains("no floats"));
        let two = replaced(F32, b"/version", b"/data/1 ");
        assert!(numbers(&two).unwrap_err().contains("something else"));
        for n in 0..F32.len() {
            // No cut makes it panic, and none makes it a whole file.
            assert!(numbers(&F32[..n]).is_err(), "{n}");
        }
        for at in 0..F32.len() {
            let mut spoilt = F32.to_vec();
            spoilt[at] ^= 0xff;
            let _no_panic = numbers(&spoilt);
        }
    }

    fn numbers(bytes: &[u8]) -> Result<Vec<f32>, String> {
        tensor(bytes).map(|tensor| tensor.to_vec1().unwrap())
    }

    fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
        assert_eq!(from.len(), to.len());
        let mut out = bytes.to_vec();
        for at in 0..=out.len() - from.len() {
            if &out[at..at + from.len()] == from {
                out[at..at + from.len()].copy_from_slice(to);
            }
        }
        out
    }
}
