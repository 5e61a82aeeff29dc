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
    let nibble = |(i, byte): (usize, &u8)| (u32::from(*byte) >> shift & 15) << (4 * i);
    bytes.iter().enumerate().map(nibble).sum()
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
