//! Dot products of many rows with many rows, and their transpose: the order of each sum is that of one alone.

use super::lanes::Lanes;
use crate::numerics::DOT_LANES;

#[inline(always)]
pub(super) fn dots<V: Lanes>(w: &[f32], cols: usize, x: &[&[f32]], out: &mut [f32], stride: usize) {
    let mut done = 0;
    while done < x.len() && cols > 0 {
        let (out, rest) = (&mut out[done * stride..], &x[done..]);
        done += match rest {
            [a, b, c, ..] if V::MANY => block::<V, 4, 3>(w, cols, [a, b, c], out, stride),
            [a, b, ..] => block::<V, 2, 2>(w, cols, [a, b], out, stride),
            [a] => block::<V, 2, 1>(w, cols, [a], out, stride),
            [] => return,
        };
    }
}

/// All rows of `w`, `R` at a time, with `C` activations; returns `C`.
#[inline(always)]
fn block<V: Lanes, const R: usize, const C: usize>(
    w: &[f32],
    cols: usize,
    x: [&[f32]; C],
    out: &mut [f32],
    stride: usize,
) -> usize {
    let mut groups = w.chunks_exact(R * cols);
    let mut row = 0;
    for group in &mut groups {
        let sums = cell::<V, R, C>(group, cols, x);
        for (c, sums) in sums.iter().enumerate() {
            out[c * stride + row..][..R].copy_from_slice(sums);
        }
        row += R;
    }
    for single in groups.remainder().chunks_exact(cols) {
        let sums = cell::<V, 1, C>(single, cols, x);
        for (c, sums) in sums.iter().enumerate() {
            out[c * stride + row] = sums[0];
        }
        row += 1;
    }
    C
}

/// `R` rows with `C` activations; `[c][r]`.
#[inline(always)]
fn cell<V: Lanes, const R: usize, const C: usize>(w: &[f32], cols: usize, x: [&[f32]; C]) -> [[f32; R]; C] {
    let whole = cols / DOT_LANES;
    let mut sums = [[V::zero(); R]; C];
    let ws: [&[[f32; DOT_LANES]]; R] =
        std::array::from_fn(|r| &w[r * cols..][..cols].as_chunks::<DOT_LANES>().0[..whole]);
    let xs: [&[[f32; DOT_LANES]]; C] =
        std::array::from_fn(|c| &x[c][..cols].as_chunks::<DOT_LANES>().0[..whole]);
    for k in 0..whole {
        let mut lanes = [V::zero(); C];
        for c in 0..C {
            lanes[c] = V::load(&xs[c][k]);
        }
        for r in 0..R {
            let weights = V::load(&ws[r][k]);
            for c in 0..C {
                sums[c][r] = sums[c][r].fma(weights, lanes[c]);
            }
        }
    }
    if whole * DOT_LANES < cols {
        for r in 0..R {
            let weights = V::load(&padded(&w[r * cols..][..cols]));
            for c in 0..C {
                sums[c][r] = sums[c][r].fma(weights, V::load(&padded(&x[c][..cols])));
            }
        }
    }
    let mut out = [[0.0; R]; C];
    for c in 0..C {
        for r in 0..R {
            out[c][r] = sums[c][r].halve();
        }
    }
    out
}

/// The last, partial chunk, filled up with zeros.
#[inline(always)]
fn padded(x: &[f32]) -> [f32; DOT_LANES] {
    let tail = x.as_chunks::<DOT_LANES>().1;
    let mut lanes = [0.0; DOT_LANES];
    lanes[..tail.len()].copy_from_slice(tail);
    lanes
}

#[inline(always)]
pub(super) fn weigh<V: Lanes>(o: &mut [f32], e: &[f32], v: &[f32]) {
    let width = o.len();
    let (chunks, tail) = o.as_chunks_mut::<DOT_LANES>();
    let start = chunks.len() * DOT_LANES;
    for (i, chunk) in chunks.iter_mut().enumerate() {
        let mut sum = V::load(chunk);
        for (e, v) in e.iter().zip(v.chunks_exact(width)) {
            if let Some(v) = v[i * DOT_LANES..].first_chunk() {
                sum = sum.fma(V::splat(*e), V::load(v));
            }
        }
        sum.store(chunk);
    }
    if !tail.is_empty() {
        for (e, v) in e.iter().zip(v.chunks_exact(width)) {
            for (o, v) in tail.iter_mut().zip(&v[start..]) {
                *o = e.mul_add(*v, *o);
            }
        }
    }
}
