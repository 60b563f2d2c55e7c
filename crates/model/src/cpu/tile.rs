//! Rows of weights interleaved by sixteen, so that one register holds the same columns of sixteen rows.
//!
//! A tile is 16 rows. Its blocks follow each other as in a row; within one, the 4-byte words of the 16 rows' blocks lie
//! side by side (one word of rows 0 to 15, another word of rows 0 to 15, ...), and after them, in formats whose blocks are
//! two bytes longer than whole words, the 16 half floats that hold the blocks' scale. Words come in the order in which
//! products need them, which is the blocks' own order or nearly so but in Q6_K: a processor fetches ahead what is read in
//! order, and a product of one row of activations takes as long as fetching the weights. That is a permutation of bytes:
//! nothing is widened, and [`row`] gives back what was there. Rows that fill no tile stay as they were, behind the tiles.
//!
//! It knows where a format keeps its odd half float and the order of its words, and nothing else about what blocks mean.

use crate::quant::{self, Format};
use std::mem::offset_of;

/// Rows of a tile.
pub const ROWS: usize = 16;
const WORD: usize = 4;

/// Whether rows of this format are interleaved; plain numbers are not.
#[must_use]
pub fn interleaves(format: Format) -> bool {
    format.row().block > 1
}

/// Where the half float lies that makes blocks two bytes longer than whole words.
fn odd_half(format: Format) -> Option<usize> {
    (format.row().bytes % WORD == 2).then_some(match format {
        Format::Q6K => offset_of!(quant::Q6K, d),
        Format::Q3K => offset_of!(quant::Q3K, d),
        _ => 0,
    })
}

/// The word of a block that lies at a place of a tile.
fn word_at(format: Format, place: usize) -> usize {
    /// The first words of the high bits and of the scales.
    const HIGH: usize = offset_of!(quant::Q6K, qh) / WORD;
    const SCALES: usize = offset_of!(quant::Q6K, scales) / WORD;
    match (format, place) {
        // The scales, and for each half of the columns three words at a time: two of low bits, and the high bits of both.
        (Format::Q6K, 0..4) => SCALES + place,
        (Format::Q6K, _) => {
            let (half, k, which) = ((place - 4) / 24, (place - 4) % 24 / 3, (place - 4) % 3);
            if which < 2 { half * 16 + which * 8 + k } else { HIGH + half * 8 + k }
        }
        _ => place,
    }
}

/// Where the word at a place of a tile starts in its block.
fn word_start(format: Format, place: usize) -> usize {
    let (odd, start) = (odd_half(format), word_at(format, place) * WORD);
    if odd.is_some_and(|at| at <= start) { start + 2 } else { start }
}

/// Interleaves 16 rows of whole blocks; `rows` and `tile` have the same length.
pub fn interleave(format: Format, rows: &[u8], tile: &mut [u8]) {
    let bytes = format.row().bytes;
    let (odd, words) = (odd_half(format), bytes / WORD);
    let row_bytes = rows.len() / ROWS;
    for (index, record) in tile.chunks_exact_mut(ROWS * bytes).enumerate() {
        let (planes, halves) = record.split_at_mut(words * WORD * ROWS);
        for (place, plane) in planes.chunks_exact_mut(WORD * ROWS).enumerate() {
            let start = index * bytes + word_start(format, place);
            for (lane, to) in plane.chunks_exact_mut(WORD).enumerate() {
                to.copy_from_slice(&rows[lane * row_bytes + start..][..WORD]);
            }
        }
        for (lane, to) in halves.chunks_exact_mut(2).enumerate() {
            let start = index * bytes + odd.unwrap_or(0);
            to.copy_from_slice(&rows[lane * row_bytes + start..][..2]);
        }
    }
}

/// Writes row `lane` of a tile as the file had it.
pub fn row(format: Format, tile: &[u8], lane: usize, out: &mut [u8]) {
    let bytes = format.row().bytes;
    for (record, out) in tile.chunks_exact(ROWS * bytes).zip(out.chunks_exact_mut(bytes)) {
        block(format, record, lane, out);
    }
}

/// Writes one block of row `lane`: `record` is that block of all 16 rows.
pub(super) fn block(format: Format, record: &[u8], lane: usize, out: &mut [u8]) {
    let (odd, words) = (odd_half(format), format.row().bytes / WORD);
    let (planes, halves) = record.split_at(words * WORD * ROWS);
    for (place, plane) in planes.chunks_exact(WORD * ROWS).enumerate() {
        out[word_start(format, place)..][..WORD].copy_from_slice(&plane[lane * WORD..][..WORD]);
    }
    if let Some(at) = odd {
        out[at..][..2].copy_from_slice(&halves[lane * 2..][..2]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::FORMATS;

    #[test]
    fn a_tile_is_a_permutation_that_row_undoes() {
        for format in FORMATS.iter().filter(|f| interleaves(f.format)) {
            let row_bytes = format.bytes * 3;
            let mut state = 7_u32;
            let rows: Vec<u8> = (0..ROWS * row_bytes)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                })
                .collect();
            let mut tile = vec![0; rows.len()];
            interleave(format.format, &rows, &mut tile);
            let mut back = vec![0; row_bytes];
            for (lane, want) in rows.chunks_exact(row_bytes).enumerate() {
                row(format.format, &tile, lane, &mut back);
                assert_eq!(back, want, "{} row {lane}", format.name);
            }
            let (mut a, mut b) = (rows, tile);
            a.sort_unstable();
            b.sort_unstable();
            assert_eq!(a, b, "{}: a byte was lost or doubled", format.name);
        }
    }

    #[test]
    fn words_of_low_and_high_bits_alternate() {
        let mut rows = vec![0; ROWS * 210];
        for block in rows.chunks_exact_mut(210) {
            for (i, byte) in block.iter_mut().enumerate() {
                *byte = i as u8;
            }
        }
        let mut tile = vec![0; rows.len()];
        interleave(Format::Q6K, &rows, &mut tile);
        let starts: Vec<u8> = tile.chunks_exact(64).map(|line| line[0]).collect();
        assert_eq!(starts[..10], [192, 196, 200, 204, 0, 32, 128, 4, 36, 132]);
        assert_eq!(starts[25..31], [28, 60, 156, 64, 96, 160]);
        assert_eq!(tile[52 * 64..][..2], [208, 209]);
    }

    #[test]
    fn words_lie_side_by_side() {
        let mut rows = vec![0; ROWS * 18];
        for lane in 0..ROWS {
            // A half float, then the words.
            rows[lane * 18] = 200 + lane as u8;
            rows[lane * 18 + 2] = lane as u8;
            rows[lane * 18 + 6] = 100 + lane as u8;
        }
        let mut tile = vec![0; rows.len()];
        interleave(Format::Q4_0, &rows, &mut tile);
        for lane in 0..ROWS {
            assert_eq!(tile[lane * 4], lane as u8);
            assert_eq!(tile[64 + lane * 4], 100 + lane as u8);
            assert_eq!(tile[256 + lane * 2], 200 + lane as u8);
        }
    }
}
