//! Products in f32: rows of weights are dequantized once for all activations that meet them. Knows no format beyond its
//! table row.

use super::matmul::Unit;
use super::pool::Part;
use super::{Mat, Scratch, simd};
use fault::fault;

/// Numbers that a tile of dequantized weights may hold when many activations meet it: half of a second-level cache.
const TILE: usize = 1 << 16;
/// The same when few do: a first-level cache.
const SMALL_TILE: usize = 1 << 13;
/// How many are few.
const FEW: usize = 4;
/// Activations of one call.
const CHUNK: usize = 48;

/// Outputs of one unit.
pub(super) fn step(w: &Mat, rows: usize) -> usize {
    let most = if rows <= FEW { SMALL_TILE } else { TILE };
    (most / w.cols().max(1)).clamp(2, 32)
}

/// The outputs of a unit.
pub(super) fn products(unit: Unit<'_>, scratch: &mut Scratch, out: &mut Part<'_, f32>) {
    let Unit { level, w, matrix, first, rows, x } = unit;
    let (outputs, cols) = (out.width(), w.cols());
    let Scratch { floats, sums, bytes, .. } = scratch;
    let Some(bytes) = w.rows_of(matrix, first, outputs, bytes) else { return };
    floats.resize(outputs * cols, 0.0);
    simd::dequantize(level, w.format(), bytes, floats);
    if let [row] = rows {
        return simd::dots(level, floats, cols, &[x.act.row(x.row(*row))], out.row(0), outputs);
    }
    sums.resize(outputs * CHUNK, 0.0);
    for (c, rows) in rows.chunks(CHUNK).enumerate() {
        let mut inputs: [&[f32]; CHUNK] = [&[]; CHUNK];
        for (input, &row) in inputs.iter_mut().zip(rows) {
            *input = x.act.row(x.row(row));
        }
        simd::dots(level, floats, cols, &inputs[..rows.len()], sums, outputs);
        if fault!("matmul-order-by-rows") {
            // What another order of summation does: the last bit moves when rows are computed together.
            sums.iter_mut().for_each(|s| *s = s.next_up());
        }
        for (i, sums) in sums.chunks_exact(outputs).take(rows.len()).enumerate() {
            out.row(c * CHUNK + i).copy_from_slice(sums);
        }
    }
}
