//! The scalar arithmetic that every backend repeats bit for bit: exponential, lane sums, rotation tables.
//!
//! Each function is written with explicit fused multiply-adds and a fixed order, so that a vectorized copy, a CUDA
//! kernel and this file give the same bits. It knows no tensor and no backend, and calls no C library for a result
//! that it rounds to f32 (`f64` transcendentals are used for the rotation tables only, where 29 spare bits absorb
//! the differences between libraries).

use crate::config::Rope;
use fault::fault;

/// Lanes of a [`tree_sum`].
pub const SUM_LANES: usize = 128;
/// Lanes of a [`dot`]: one warp of a GPU, two registers of AVX-512.
pub const DOT_LANES: usize = 32;
/// Keys whose weighted values are summed before they join the rest of an attention row.
pub const KEY_CHUNK: usize = 256;

/// Coefficients of `r^2 .. r^6` in `exp(r) = 1 + r + ...`, minimax for the relative error on
/// `|r| <= ln 2 / 2 * 1.0001` (Remez; 3.1e-9 before rounding).
const EXP: [f32; 5] = [0.499_999_94, 0.166_665_21, 0.041_668_39, 0.008_368_717, 0.001_381_459_9];
/// ln 2 = `LN2_HI + LN2_LO` to 48 bits.
const LN2_HI: f32 = std::f32::consts::LN_2;
const LN2_LO: f32 = -1.904_654_2e-9;
/// Adding and subtracting it rounds to an integer, ties to even, while `|x| < 2^22`.
const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23

/// `e^x`, within one unit in the last place; overflows to infinity above 88.73 and to 0 below -103.98. NaN gives NaN.
#[inline(always)]
#[must_use]
pub fn exp(x: f32) -> f32 {
    // Outside, the result is infinite or 0 in any case; comparisons, not min and max, so that NaN passes.
    let x = if x < -105.0 { -105.0 } else { x };
    let x = if x > 89.0 { 89.0 } else { x };
    let n = x.mul_add(std::f32::consts::LOG2_E, ROUND) - ROUND;
    let r = n.mul_add(-LN2_LO, n.mul_add(-LN2_HI, x));
    let p = r.mul_add(EXP[4], EXP[3]);
    let p = r.mul_add(p, EXP[2]);
    let p = r.mul_add(p, EXP[1]);
    let p = r.mul_add(p, EXP[0]);
    let y = (r * r).mul_add(p, r) + 1.0;
    // 2^n in two factors: n reaches -151, where one factor would be subnormal and round twice. NaN casts to 0, and `y`
    // is NaN then.
    let n = n as i32;
    let half = n >> 1;
    y * exp2(half) * exp2(n - half)
}

/// `2^n` for `-126 <= n <= 127`.
#[inline(always)]
fn exp2(n: i32) -> f32 {
    f32::from_bits(((n + 127) << 23) as u32)
}

/// `x / (1 + e^-x)`.
#[inline(always)]
#[must_use]
pub fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// Adds lanes in a fixed tree: the upper half onto the lower, until one is left.
#[inline(always)]
#[must_use]
pub fn halve<const N: usize>(mut lanes: [f32; N]) -> f32 {
    let mut half = N / 2;
    while half > 0 {
        for l in 0..half {
            lanes[l] += lanes[l + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// The sum of `x`, lane by lane.
#[inline(always)]
#[must_use]
pub fn tree_sum(x: &[f32]) -> f32 {
    let mut lanes = [0.0; SUM_LANES];
    for chunk in x.chunks(SUM_LANES) {
        for (s, v) in lanes.iter_mut().zip(chunk) {
            *s += v;
        }
    }
    halve(lanes)
}

/// The sum of the squares of `x`, lane by lane.
#[inline(always)]
#[must_use]
pub fn sum_squares(x: &[f32]) -> f32 {
    let mut lanes = [0.0; SUM_LANES];
    for chunk in x.chunks(SUM_LANES) {
        for (s, v) in lanes.iter_mut().zip(chunk) {
            *s = v.mul_add(*v, *s);
        }
    }
    halve(lanes)
}

/// `w . x`: lane `l` adds `w[l] x[l]`, `w[l + 32] x[l + 32]`, ... in order, then lanes are halved. A last, partial chunk is
/// filled up with zeros.
#[inline(always)]
#[must_use]
pub fn dot(w: &[f32], x: &[f32]) -> f32 {
    let mut lanes = [0.0; DOT_LANES];
    for (w, x) in w.chunks(DOT_LANES).zip(x.chunks(DOT_LANES)) {
        for (l, s) in lanes.iter_mut().enumerate() {
            let at = |v: &[f32]| v.get(l).copied().unwrap_or(0.0);
            *s = at(w).mul_add(at(x), *s);
        }
    }
    halve(lanes)
}

/// `o[i] = (x[i] / sqrt(mean square + eps)) * w[i]`, the quotient as a product with the reciprocal.
#[inline(always)]
pub fn norm(o: &mut [f32], x: &[f32], w: &[f32], eps: f32) {
    let scale = norm_scale(x, eps);
    for ((o, x), w) in o.iter_mut().zip(x).zip(w) {
        *o = (x * scale) * w;
    }
}

/// [`norm`] in place.
#[inline(always)]
pub fn norm_in_place(x: &mut [f32], w: &[f32], eps: f32) {
    let scale = norm_scale(x, eps);
    for (x, w) in x.iter_mut().zip(w) {
        *x = (*x * scale) * w;
    }
}

#[inline(always)]
fn norm_scale(x: &[f32], eps: f32) -> f32 {
    1.0 / (sum_squares(x) / x.len() as f32 + eps).sqrt()
}

/// The largest element; NaN if there is one, minus infinity if there is none.
#[inline(always)]
#[must_use]
pub fn max(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; DOT_LANES];
    for chunk in x.chunks(DOT_LANES) {
        for (m, v) in lanes.iter_mut().zip(chunk) {
            *m = larger(*m, *v);
        }
    }
    let mut half = DOT_LANES / 2;
    while half > 0 {
        for l in 0..half {
            lanes[l] = larger(lanes[l], lanes[l + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// The larger of two, NaN if either is.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    // `!(b <= a)` holds for a NaN `b`; a NaN `a` stays because no comparison with it holds.
    if a.is_nan() || b <= a { a } else { b }
}

/// Replaces scores by `e^(x - largest)` and returns their sum, the denominator of their softmax.
#[inline(always)]
pub fn exponentials(x: &mut [f32]) -> f32 {
    let largest = max(x);
    for v in x.iter_mut() {
        *v = exp(*v - largest);
    }
    tree_sum(x)
}

/// Cosines and sines of every pair of a head at every position, made in f64 and rounded once.
#[derive(Debug, Clone, Default)]
pub struct RopeTable {
    /// Radians per position, `[pairs]`.
    steps: Vec<f64>,
    /// `[positions, pairs]`
    cos: Vec<f32>,
    /// `[positions, pairs]`
    sin: Vec<f32>,
}

impl RopeTable {
    /// An empty table; [`RopeTable::reserve`] fills it.
    #[must_use]
    pub fn new(rope: &Rope) -> Self {
        let steps = (0..rope.dims / 2).map(|j| {
            let exponent = -((2 * j) as f64) / rope.dims as f64;
            let factor = rope.factors.get(j).filter(|_| !fault!("rope-factors-ignored"));
            let factor = factor.map_or(1.0, |&f| f64::from(f));
            rope.base.powf(exponent) / factor * rope.scale
        });
        Self { steps: steps.collect(), cos: Vec::new(), sin: Vec::new() }
    }

    /// Pairs of one head.
    #[must_use]
    pub fn pairs(&self) -> usize {
        self.steps.len()
    }

    /// Positions it holds.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.cos.len().checked_div(self.steps.len()).unwrap_or(0)
    }

    /// Makes it hold at least `positions` positions.
    pub fn reserve(&mut self, positions: usize) {
        for position in self.positions()..positions {
            for step in &self.steps {
                let (sin, cos) = (position as f64 * step).sin_cos();
                self.cos.push(cos as f32);
                self.sin.push(sin as f32);
            }
        }
    }

    /// Cosines and sines of one position, `[pairs]` each; `None` past the end.
    #[must_use]
    pub fn row(&self, position: usize) -> Option<(&[f32], &[f32])> {
        let at = position.checked_mul(self.pairs())?;
        let range = at..at.checked_add(self.pairs())?;
        Some((self.cos.get(range.clone())?, self.sin.get(range)?))
    }

    /// All cosines, `[positions, pairs]`.
    #[must_use]
    pub fn cosines(&self) -> &[f32] {
        &self.cos
    }

    /// All sines, `[positions, pairs]`.
    #[must_use]
    pub fn sines(&self) -> &[f32] {
        &self.sin
    }
}

/// Rotates one pair: `(a cos - b sin, b cos + a sin)`, one product rounded, the other fused.
#[inline(always)]
#[must_use]
pub fn rotate(a: f32, b: f32, cos: f32, sin: f32) -> (f32, f32) {
    (a.mul_add(cos, -(b * sin)), b.mul_add(cos, a * sin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Pairing;

    /// Distance in representable numbers; signs and infinities included.
    fn ulps(a: f32, b: f32) -> u32 {
        let key = |x: f32| {
            let bits = x.to_bits() as i32;
            if bits < 0 { i32::MIN.wrapping_sub(bits) } else { bits }
        };
        key(a).abs_diff(key(b))
    }

    #[test]
    fn exp_is_within_one_ulp_of_the_rounded_f64() {
        let mut worst = (0, 0.0);
        // Every 61st float (a prime, so that all mantissa patterns occur): 70 million would take long in every run.
        for bits in (0..=u32::MAX).step_by(61 * 17) {
            let x = f32::from_bits(bits);
            if x.is_nan() {
                assert!(exp(x).is_nan());
                continue;
            }
            let distance = ulps(exp(x), f64::from(x).exp() as f32);
            if distance > worst.0 {
                worst = (distance, x);
            }
        }
        assert!(worst.0 <= 1, "{} ulp at {}", worst.0, worst.1);
    }

    #[test]
    fn exp_of_the_edges() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f32::INFINITY), f32::INFINITY);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(88.8), f32::INFINITY);
        assert!(exp(88.7).is_finite());
        // Subnormal results.
        for x in [-88.0, -95.0, -103.0, -103.9, -104.1] {
            assert!(ulps(exp(x), f64::from(x).exp() as f32) <= 1, "{x}");
        }
        assert!(exp(f32::NAN).is_nan());
        assert_eq!(silu(-200.0), 0.0);
        assert_eq!(silu(0.0), 0.0);
    }

    #[test]
    fn sums_follow_the_lanes() {
        // 2^24 + 1 rounds back to 2^24: only the stated order gives this value.
        let mut x = vec![0.0_f32; 3 * SUM_LANES + 1];
        x[0] = 16_777_216.0;
        x[SUM_LANES] = 1.0;
        x[2 * SUM_LANES] = 1.0;
        x[1] = 1.0;
        // Lane 0 swallows both ones; lane 1 holds one, which lane 0 swallows in the end too.
        assert_eq!(tree_sum(&x), 16_777_216.0);
        x[1 + SUM_LANES] = 1.0;
        assert_eq!(tree_sum(&x), 16_777_218.0);
        let ones = vec![1.0; DOT_LANES + 5];
        assert_eq!(dot(&ones, &ones), (DOT_LANES + 5) as f32);
        assert_eq!(tree_sum(&[]), 0.0);
    }

    #[test]
    fn nan_survives_the_maximum() {
        let mut x = vec![0.5_f32; 70];
        for at in [0, 1, 33, 69] {
            x[at] = f32::NAN;
            assert!(max(&x).is_nan(), "at {at}");
            assert!(exponentials(&mut x.clone()).is_nan(), "at {at}");
            x[at] = 0.5;
        }
        x[40] = 7.0;
        assert_eq!(max(&x), 7.0);
        assert_eq!(max(&[]), f32::NEG_INFINITY);
    }

    #[test]
    fn rotation_tables_are_rounded_from_f64() {
        let rope = Rope { base: 1e7, dims: 8, pairing: Pairing::Halves, factors: vec![], scale: 0.5 };
        let mut table = RopeTable::new(&rope);
        table.reserve(3);
        table.reserve(70_001);
        assert_eq!(table.positions(), 70_001);
        for (position, j) in [(0, 0), (2, 1), (70_000, 0), (70_000, 3)] {
            let angle = position as f64 * 0.5 * 1e7_f64.powf(-2.0 * f64::from(j) / 8.0);
            let (cos, sin) = table.row(position).unwrap();
            assert_eq!(cos[j as usize], angle.cos() as f32);
            assert_eq!(sin[j as usize], angle.sin() as f32);
        }
        assert!(table.row(70_001).is_none());
        assert!(table.row(usize::MAX).is_none());
        let scaled = RopeTable::new(&Rope { factors: vec![1.0, 2.0, 4.0, 8.0], scale: 1.0, ..rope });
        assert_eq!(scaled.steps[1], 1e7_f64.powf(-0.25) / 2.0);
    }
}
