//! Attention over half-float keys and values, up to 256 positions and one head of them at a time.
//!
//! The steps, for every query head that shares the key head:
//! - [`scores`]: `s = (q . k) * scale`, the product summed over the dimensions in order by `fma`.
//! - [`weights`]: with `m` the largest score of the chunk, `e = exp(s - m)`; their sum in 16 lanes (lane `l` adds
//!   positions `l`, `l + 16`, ... in order), which are then halved.
//! - [`values`]: `o = sum over positions, in order by fma, of e v`, then joined to the chunks before: with `M` the largest
//!   score so far and `M' = max(M, m)`, `out = fma(o, exp(m - M'), out * exp(M - M'))`, the denominators likewise.
//!
//! Chunks start at multiples of 256 positions. So a row's result depends on its own position alone, not on the rows beside
//! it, and chunks are joined in order whoever computes them.
//!
//! Keys lie transposed (for each 16 positions, the first dimension of all of them, the second, ...), values row by row,
//! 16 dimensions to a register.

use super::words::{Halves, Words};
use crate::numerics;

/// Positions of a chunk.
pub(crate) const CHUNK: usize = numerics::KEY_CHUNK;
/// Positions or dimensions side by side.
pub(crate) const LANES: usize = 16;

/// The state of one query head's softmax.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Softmax {
    /// The largest score so far.
    pub max: f32,
    /// The sum of the exponentials so far, relative to `max`.
    pub sum: f32,
}

impl Softmax {
    /// Nothing seen.
    pub(crate) const START: Self = Self { max: f32::NEG_INFINITY, sum: 0.0 };

    /// Joins the largest score of further positions and the sum of their exponentials relative to it. Returns by what to
    /// scale the values so far and the new ones.
    #[inline(always)]
    pub(crate) fn join(&mut self, max: f32, sum: f32) -> (f32, f32) {
        let all = if max > self.max { max } else { self.max };
        let step = (numerics::exp(self.max - all), numerics::exp(max - all));
        *self = Self { max: all, sum: sum.mul_add(step.1, self.sum * step.0) };
        step
    }
}

/// Query heads of a plane of scores.
#[inline(always)]
pub(super) fn group_of(scores: &[f32]) -> usize {
    (scores.len() / CHUNK).max(1)
}

/// Scaled scores, `[heads, 256]`, of query heads `q`, `[heads, head_dim]`, with the first `n` of `keys`,
/// `[16, head_dim]` of 16 positions each. Scores from `n` on are left undefined.
#[inline(always)]
pub(super) fn scores<V: Words>(q: &[f32], keys: &[Halves], n: usize, scale: f32, out: &mut [f32]) {
    let head_dim = q.len() / group_of(out);
    if head_dim == 0 {
        return;
    }
    let mut done = 0;
    while done < q.len() / head_dim {
        let (q, out) = (&q[done * head_dim..], &mut out[done * CHUNK..]);
        done += match q.len() / head_dim {
            8.. if V::PARTS == 1 => score_some::<V, 8>(q, head_dim, keys, n, scale, out),
            4.. => score_some::<V, 4>(q, head_dim, keys, n, scale, out),
            2.. => score_some::<V, 2>(q, head_dim, keys, n, scale, out),
            _ => score_some::<V, 1>(q, head_dim, keys, n, scale, out),
        };
    }
}

/// The first `R` heads.
#[inline(always)]
fn score_some<V: Words, const R: usize>(
    q: &[f32],
    head_dim: usize,
    keys: &[Halves],
    n: usize,
    scale: f32,
    out: &mut [f32],
) -> usize {
    // Two registers of positions at a time, so that enough sums are under way.
    let mut start = 0;
    while start < n {
        let wide = n - start > LANES;
        let first = &keys[start / LANES * head_dim..][..head_dim];
        let second = if wide { &keys[(start / LANES + 1) * head_dim..][..head_dim] } else { first };
        for part in 0..V::PARTS {
            let mut a = [V::f_zero(); R];
            let mut b = [V::f_zero(); R];
            for d in 0..head_dim {
                let (k, l) = (V::load_halves(&first[d], part), V::load_halves(&second[d], part));
                for r in 0..R {
                    let q = V::f_splat(q[r * head_dim + d]);
                    a[r] = V::f_fma(q, k, a[r]);
                    b[r] = V::f_fma(q, l, b[r]);
                }
            }
            for r in 0..R {
                let (out, _) =
                    out[r * CHUNK + start..][..LANES * (1 + usize::from(wide))].as_chunks_mut::<LANES>();
                V::f_put(V::f_mul(a[r], V::f_splat(scale)), &mut out[0], part);
                if wide {
                    V::f_put(V::f_mul(b[r], V::f_splat(scale)), &mut out[1], part);
                }
            }
        }
        start += 2 * LANES;
    }
    R
}

/// Turns the first `n` scores of each head into exponentials, keeps count in `softmax`, and says in `step` by what to
/// scale the values so far and the new ones. Exponentials past `n`, up to the next multiple of 16, are 0.
#[inline(always)]
pub(super) fn weights(scores: &mut [f32], n: usize, softmax: &mut [Softmax], step: &mut [(f32, f32)]) {
    for ((scores, softmax), step) in scores.chunks_exact_mut(CHUNK).zip(softmax).zip(step) {
        let (scores, _) = scores.as_chunks_mut::<LANES>();
        let scores = &mut scores[..n.div_ceil(LANES)];
        if let Some(last) = scores.last_mut() {
            for (l, s) in last.iter_mut().enumerate() {
                if l > (n - 1) % LANES {
                    *s = f32::NEG_INFINITY;
                }
            }
        }
        // A NaN may lose here; its exponential is NaN all the same, and with it the sum.
        let mut lanes = [f32::NEG_INFINITY; LANES];
        for chunk in &*scores {
            for (m, s) in lanes.iter_mut().zip(chunk) {
                *m = if *s > *m { *s } else { *m };
            }
        }
        let max = lanes.iter().fold(f32::NEG_INFINITY, |m, s| if *s > m { *s } else { m });
        let mut lanes = [0.0; LANES];
        for chunk in scores {
            for (sum, s) in lanes.iter_mut().zip(chunk) {
                *s = numerics::exp(*s - max);
                *sum += *s;
            }
        }
        *step = softmax.join(max, numerics::halve(lanes));
    }
}

/// Adds the first `n` of `values`, `[256, head_dim / 16]` of 16 dimensions each, weighted, to `out`, `[heads, head_dim]`,
/// both scaled by `step`.
#[inline(always)]
pub(super) fn values<V: Words>(
    weights: &[f32],
    values: &[Halves],
    n: usize,
    step: &[(f32, f32)],
    out: &mut [f32],
) {
    let head_dim = out.len() / step.len().max(1);
    if head_dim == 0 {
        return;
    }
    let mut done = 0;
    while done < step.len() {
        let (weights, step, out) = (&weights[done * CHUNK..], &step[done..], &mut out[done * head_dim..]);
        done += match step.len() {
            8.. if V::PARTS == 1 => value_some::<V, 8>(weights, values, n, step, out, head_dim),
            4.. => value_some::<V, 4>(weights, values, n, step, out, head_dim),
            2.. => value_some::<V, 2>(weights, values, n, step, out, head_dim),
            _ => value_some::<V, 1>(weights, values, n, step, out, head_dim),
        };
    }
}

/// The first `R` heads.
#[inline(always)]
fn value_some<V: Words, const R: usize>(
    weights: &[f32],
    values: &[Halves],
    n: usize,
    step: &[(f32, f32)],
    out: &mut [f32],
    head_dim: usize,
) -> usize {
    let lines = head_dim / LANES;
    let (weights, values) = (&weights[..R * CHUNK], &values[..n * lines]);
    let mut line = 0;
    while line < lines {
        let wide = line + 1 < lines;
        let next = line + usize::from(wide);
        for part in 0..V::PARTS {
            let mut a = [V::f_zero(); R];
            let mut b = [V::f_zero(); R];
            for (key, values) in values.chunks_exact(lines).enumerate().take(CHUNK) {
                let (v, w) = (V::load_halves(&values[line], part), V::load_halves(&values[next], part));
                for r in 0..R {
                    let e = V::f_splat(weights[r * CHUNK + key]);
                    a[r] = V::f_fma(e, v, a[r]);
                    b[r] = V::f_fma(e, w, b[r]);
                }
            }
            for r in 0..R {
                let (old, new) = (V::f_splat(step[r].0), V::f_splat(step[r].1));
                let (out, _) = out[r * head_dim + line * LANES..][..LANES * (1 + usize::from(wide))]
                    .as_chunks_mut::<LANES>();
                let was = V::f_get(&out[0], part);
                V::f_put(V::f_fma(a[r], new, V::f_mul(was, old)), &mut out[0], part);
                if wide {
                    let was = V::f_get(&out[1], part);
                    V::f_put(V::f_fma(b[r], new, V::f_mul(was, old)), &mut out[1], part);
                }
            }
        }
        line += 2;
    }
    R
}
