//! Products of interleaved weights with activations in 8 bits, tile by tile. Knows no format: what bytes mean is a
//! codec's affair.

use super::matmul::{Input, Unit};
use super::pool::Part;
use super::q8::Q8Block;
use super::simd::{self, Level, Opened};
use super::tile::{self, ROWS};
use super::{Mat, Scratch};

/// Bytes of weights in one unit, about: some microseconds of work, so that threads end together.
const UNIT: usize = 1 << 16;
/// Tiles of one unit at most: opened, they and a [`CHUNK`] of activations share a second-level cache.
const TILES: usize = 4;
/// Activations that opened tiles are multiplied with before the next ones are fetched.
const CHUNK: usize = 64;

/// Outputs of one unit.
pub(super) fn step(w: &Mat) -> usize {
    (UNIT / (ROWS * w.row_bytes()).max(1)).clamp(1, TILES) * ROWS
}

/// The outputs of a unit; its first row begins a tile.
pub(super) fn products(unit: Unit<'_>, scratch: &mut Scratch, out: &mut Part<'_, f32>) {
    let Unit { level, w, matrix, first, rows, x } = unit;
    let Some((tiles, rest)) = w.tiles(matrix) else { return };
    let (tile_bytes, outputs) = (ROWS * w.row_bytes(), out.width());
    let tiles = tiles.get(first * w.row_bytes()..).unwrap_or_default();
    let whole = (outputs / ROWS).min(tiles.len() / tile_bytes);
    let tiles = &tiles[..whole * tile_bytes];
    let Scratch { opened, padded, tile, .. } = scratch;
    if let [row] = rows {
        simd::row_products(level, w.format(), tiles, x.blocks(*row), &mut out.row(0)[..whole * ROWS]);
    } else {
        opened.resize_with(whole.max(opened.len()), Opened::default);
        for (tile, opened) in tiles.chunks_exact(tile_bytes).zip(&mut *opened) {
            simd::open(level, w.format(), tile, opened);
        }
        many(level, &opened[..whole], rows, x, out, 0);
    }
    if whole * ROWS < outputs {
        // The rows behind the last tile, filled up to one with zeros.
        padded.clear();
        padded.extend_from_slice(rest);
        padded.resize(tile_bytes, 0);
        tile.resize(tile_bytes, 0);
        tile::interleave(w.format(), padded, tile);
        opened.resize_with(opened.len().max(1), Opened::default);
        simd::open(level, w.format(), tile, &mut opened[0]);
        many(level, &opened[..1], rows, x, out, whole * ROWS);
    }
}

/// Opened tiles with many activations; the outputs from `at` on, as many as there are.
fn many(level: Level, opened: &[Opened], rows: &[u32], x: Input<'_>, out: &mut Part<'_, f32>, at: usize) {
    let mut sums = [[0.0; ROWS]; CHUNK];
    for (c, rows) in rows.chunks(CHUNK).enumerate() {
        let mut inputs: [&[Q8Block]; CHUNK] = [&[]; CHUNK];
        for (input, &row) in inputs.iter_mut().zip(rows) {
            *input = x.blocks(row);
        }
        for (t, opened) in opened.iter().enumerate() {
            simd::products(level, opened, &inputs[..rows.len()], &mut sums[..rows.len()]);
            for (i, sums) in sums[..rows.len()].iter().enumerate() {
                let row = &mut out.row(c * CHUNK + i)[at + t * ROWS..];
                let n = row.len().min(ROWS);
                row[..n].copy_from_slice(&sums[..n]);
            }
        }
    }
}
