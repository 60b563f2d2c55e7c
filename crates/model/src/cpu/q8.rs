//! Activations in 8 bits: what `fast` precision multiplies weights with, and the exact meaning of such a product.
//!
//! A row of activations is cut into blocks of 32 columns. Each block holds `d = amax / 127` and `q = rint(x / d)`, both
//! divisions correctly rounded, ties to even, `q` clamped to -127 ..= 127; a block whose `amax` is 0 (or so small that
//! `d` is) holds zeros. A block with an infinity or a NaN in it holds zeros and a `d` that is not finite, so that every
//! product with it is NaN. In front of weights whose own error is far below that of 8 bits
//! ([`by_halves`](crate::quant::Format::by_halves)) all this is true of each half of a block, which has its own `d`: the
//! largest of 16 numbers is smaller than that of 32, and with it the error, which is three quarters then.
//!
//! # The product
//! A weight of a quantized format is `a q - b`, where `q` is an integer and `a` and `b` belong to its block of 32 columns
//! or, in some formats, to each half of one (products of a half float and a small integer, exact in f32). The dot
//! product of a row of weights with a row of activations is defined by this sequence, each line one rounding:
//! ```text
//! acc = 0
//! for each block of 32 columns, in order:
//!     i[h] = sum over the half of (weight q) * (activation q)      integers, exact
//!     t = a * (i[0] + i[1])                                        formats with one scale a block, or
//!     t = a[0] * i[0];  t = fma(a[1], i[1], t)                     formats with a scale a half
//!     t = fma(-b, s, t)                                            formats with minima; s = sum of the block's q
//!     t = fma(-b[0], s[0], t);  t = fma(-b[1], s[1], t)            formats with a minimum a half; s[h] = sum of the half's q
//!     acc = fma(t, d, acc)
//! ```
//! and where activations have a scale a half, which weights with one scale a block and no minima may ask for, each half is
//! a block:
//! ```text
//!     t = a * i[0];  acc = fma(t, d[0], acc)
//!     t = a * i[1];  acc = fma(t, d[1], acc)
//! ```
//! It depends on the columns alone, not on how many rows of either side are computed together or by whom.

/// Columns of a block.
pub const BLOCK: usize = 32;

/// 32 activations.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[repr(C, align(16))]
pub struct Q8Block {
    /// The integers, -127 ..= 127.
    pub q: [i8; BLOCK],
    /// `d`: what one step of `q` is worth in the first and in the second half; the same where they share a scale.
    pub scales: [f32; 2],
    /// The sum of all `q`.
    pub sum: f32,
    /// The sums of the first and of the second 16 `q`.
    pub halves: [i16; 2],
}

/// Writes `x` as blocks with one scale; `x` has 32 elements for each.
#[inline(always)]
pub(super) fn quantize(x: &[f32], out: &mut [Q8Block]) {
    for (x, out) in x.as_chunks::<BLOCK>().0.iter().zip(out) {
        let mut q = [0; BLOCK];
        let scale = quanta(x, &mut q);
        *out = block(q, [scale; 2]);
    }
}

/// Writes `x` as blocks with a scale for each half; `x` has 32 elements for each.
#[inline(always)]
pub(super) fn quantize_halves(x: &[f32], out: &mut [Q8Block]) {
    for (x, out) in x.as_chunks::<BLOCK>().0.iter().zip(out) {
        let (mut q, mut scales) = ([0; BLOCK], [0.0; 2]);
        let halves = x.as_chunks::<16>().0.iter().zip(q.as_chunks_mut::<16>().0);
        for (scale, (x, q)) in scales.iter_mut().zip(halves) {
            *scale = quanta(x, q);
        }
        *out = block(q, scales);
    }
}

#[inline(always)]
fn block(q: [i8; BLOCK], scales: [f32; 2]) -> Q8Block {
    let mut halves = [0_i16; 2];
    for (sum, q) in halves.iter_mut().zip(q.as_chunks::<16>().0) {
        *sum = q.iter().map(|&q| i16::from(q)).sum();
    }
    Q8Block { q, scales, sum: f32::from(halves[0] + halves[1]), halves }
}

/// Numbers that share a scale, which it returns.
#[inline(always)]
fn quanta<const N: usize>(x: &[f32; N], q: &mut [i8; N]) -> f32 {
    // The order of the bits of non-negative floats is that of the numbers, NaN above infinity: no NaN is lost.
    let amax = x.iter().fold(0, |m, v| m.max(v.to_bits() & 0x7fff_ffff));
    let scale = f32::from_bits(amax) / 127.0;
    let usable = scale > 0.0 && scale < f32::INFINITY;
    let divisor = if usable { scale } else { 1.0 };
    let keep = if usable { !0 } else { 0 };
    for (q, x) in q.iter_mut().zip(x) {
        *q = (rint(x / divisor) & keep) as i8;
    }
    scale
}

/// The nearest integer, ties to even, clamped to -127 ..= 127.
#[inline(always)]
fn rint(y: f32) -> i32 {
    /// Adding it to `|y| < 2^22` rounds `y` to an integer, which the low bits of the sum then hold.
    const SHIFT: f32 = 12_582_912.0; // 1.5 * 2^23
    // A scale that is subnormal may be rounded so far that quotients pass 127.
    let y = if y < -127.0 { -127.0 } else { y };
    let y = if y > 127.0 { 127.0 } else { y };
    (y + SHIFT).to_bits() as i32 - SHIFT.to_bits() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(x: [f32; BLOCK]) -> Q8Block {
        let mut out = [Q8Block::default()];
        quantize(&x, &mut out);
        out[0]
    }

    fn by_half(x: [f32; BLOCK]) -> Q8Block {
        let mut out = [Q8Block::default()];
        quantize_halves(&x, &mut out);
        out[0]
    }

    /// xorshift; the tests need spread, not quality.
    fn random(state: &mut u64) -> f32 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        ((*state >> 40) as f32 / 8_388_608.0 - 1.0) * 3.0
    }

    #[test]
    fn blocks_follow_the_definition() {
        let scale = |x: &[f32]| x.iter().fold(0.0, |m: f32, v| if v.abs() > m { v.abs() } else { m }) / 127.0;
        let mut state = 1;
        for _ in 0..2000 {
            let x: [f32; BLOCK] = std::array::from_fn(|_| random(&mut state));
            for (got, scales) in [(one(x), [scale(&x); 2]), (by_half(x), [scale(&x[..16]), scale(&x[16..])])]
            {
                assert_eq!(got.scales, scales);
                for (i, (q, x)) in got.q.iter().zip(x).enumerate() {
                    assert_eq!(f32::from(*q), (x / scales[i / 16]).round_ties_even());
                }
                for (sum, q) in got.halves.iter().zip(got.q.as_chunks::<16>().0) {
                    assert_eq!(*sum, q.iter().map(|&q| i16::from(q)).sum::<i16>());
                }
                assert_eq!(got.sum, got.q.iter().map(|&q| f32::from(q)).sum::<f32>());
            }
        }
    }

    #[test]
    fn ties_go_to_even() {
        let mut x = [0.0; BLOCK];
        x[0] = 127.0;
        (x[1], x[2], x[3], x[4]) = (0.5, 1.5, -2.5, 126.5);
        assert_eq!(one(x).q[..5], [127, 0, 2, -2, 126]);
    }

    #[test]
    fn edges() {
        assert_eq!(one([0.0; BLOCK]), Q8Block::default());
        assert_eq!(one([-0.0; BLOCK]).q, [0; BLOCK]);
        let tiny = one([f32::from_bits(190); BLOCK]);
        assert_eq!(
            (tiny.scales, tiny.q[0]),
            ([f32::from_bits(1); 2], 127),
            "190 / 127 rounds down to one subnormal step"
        );
        assert_eq!(one([f32::from_bits(3); BLOCK]), Q8Block::default(), "a scale of 0");
        assert_eq!(one([f32::MAX; BLOCK]).q, [127; BLOCK]);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in 0..BLOCK {
                let mut x = [1.0; BLOCK];
                x[at] = bad;
                let got = one(x);
                assert!(!got.scales[0].is_finite() && got.q == [0; BLOCK] && (got.scales[0] * 0.0).is_nan());
                // The other half is as it was.
                let (got, half) = (by_half(x), at / 16);
                assert!((got.scales[half] * 0.0).is_nan() && got.scales[1 - half] == 1.0 / 127.0);
                assert!((0..BLOCK).all(|i| got.q[i] == if i / 16 == half { 0 } else { 127 }));
            }
        }
    }
}
