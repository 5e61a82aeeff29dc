//! ggml's blocks as the card wants them: quants in pieces of 16 that are aligned loads, scales apart. Values do not change.

/// Blocks of 34 bytes (an f16 scale, 32 signed bytes) as bytes + 128 and as scales, two in a word, rows of whole words.
pub(super) fn repack_q8_0(bytes: &[u8], n_in: usize) -> (Vec<u32>, Vec<u32>) {
    let blocks = n_in / 32;
    let mut quants = Vec::with_capacity(bytes.len() / 34 * 8);
    let mut scales = Vec::with_capacity(bytes.len() / 34 / 2 + 1);
    for row in bytes.chunks_exact(blocks * 34) {
        for pair in row.chunks(68) {
            let scale = |at: usize| match pair.get(at..at + 2) {
                Some(scale) => u32::from(u16::from_le_bytes([scale[0], scale[1]])),
                None => 0,
            };
            scales.push(scale(0) | scale(34) << 16);
            for block in pair.chunks_exact(34) {
                quants.extend(
                    block[2..]
                        .chunks_exact(4)
                        .map(|four| word(four) ^ 0x8080_8080),
                );
            }
        }
    }
    (quants, scales)
}

/// Blocks of 144 bytes (two f16, 12 bytes of scales, 128 of nibbles) as nibbles in order and as 5 words of scales.
pub(super) fn repack_q4k(bytes: &[u8]) -> (Vec<u32>, Vec<u32>) {
    let mut quants = Vec::with_capacity(bytes.len() / 144 * 32);
    let mut scales = Vec::with_capacity(bytes.len() / 144 * 5);
    for block in bytes.chunks_exact(144) {
        scales.push(word(&block[..4]));
        for pair in 0..4 {
            let ((s0, m0), (s1, m1)) = (
                scale(&block[4..16], 2 * pair),
                scale(&block[4..16], 2 * pair + 1),
            );
            scales.push(u32::from_le_bytes([s0, m0, s1, m1]));
        }
        for half in block[16..].chunks_exact(32) {
            quants.extend(half.chunks_exact(8).map(|eight| nibbles(eight, 0)));
            quants.extend(half.chunks_exact(8).map(|eight| nibbles(eight, 4)));
        }
    }
    (quants, scales)
}

/// The low or the high nibbles of 8 bytes, the first lowest.
fn nibbles(bytes: &[u8], shift: u32) -> u32 {
    let (low, high) = (u64::from(word(&bytes[..4])), u64::from(word(&bytes[4..8])));
    let apart = (low | high << 32) >> shift & 0x0f0f_0f0f_0f0f_0f0f;
    let apart = (apart | apart >> 4) & 0x00ff_00ff_00ff_00ff;
    let apart = (apart | apart >> 8) & 0x0000_ffff_0000_ffff;
    (apart | apart >> 16) as u32
}

/// The scale and the offset of 6 bits of the sub-block `j` of 8.
fn scale(packed: &[u8], j: usize) -> (u8, u8) {
    if j < 4 {
        return (packed[j] & 63, packed[j + 4] & 63);
    }
    let low = packed[j + 4];
    (
        (low & 15) | (packed[j - 4] >> 6) << 4,
        (low >> 4) | (packed[j] >> 6) << 4,
    )
}

fn word(four: &[u8]) -> u32 {
    u32::from_le_bytes([four[0], four[1], four[2], four[3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nibbles_are_in_order() {
        let bytes = [0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe];
        assert_eq!(nibbles(&bytes, 0), 0xeca8_6420);
        assert_eq!(nibbles(&bytes, 4), 0xfdb9_7531);
    }

    #[test]
    fn an_odd_number_of_blocks_has_a_last_scale_of_its_own() {
        let mut row = vec![0u8; 3 * 34];
        for (i, block) in row.chunks_exact_mut(34).enumerate() {
            block[0] = i as u8 + 1;
            block[2] = 0x80;
        }
        let (quants, scales) = repack_q8_0(&row, 96);
        assert_eq!(scales, [0x0002_0001, 3]);
        assert_eq!(
            (quants.len(), quants[0], quants[1]),
            (24, 0x8080_8000, 0x8080_8080)
        );
    }
}
