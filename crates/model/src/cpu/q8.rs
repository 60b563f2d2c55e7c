//! Activations in 8 bits: what `fast` precision multiplies weights with, and the exact meaning of such a product.
//!
//! A row of activations is cut into blocks of 32 columns. Each block holds `d = amax / 127` and `q = rint(x / d)`, both
//! divisions correctly rounded, ties to even, `q` clamped to -127 ..= 127; a block whose `amax` is 0 (or so small that
//! `d` is) holds zeros. A block with an infinity or a NaN in it holds zeros and a `d` that is not finite, so that every
//! product with it is NaN.
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
//! It depends on the columns alone, not on how many rows of either side are computed together or by whom.

/// Columns that share a scale.
pub const BLOCK: usize = 32;

/// 32 activations.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[repr(C, align(16))]
pub struct Q8Block {
    /// The integers, -127 ..= 127.
    pub q: [i8; BLOCK],
    /// `d`: what one step of `q` is worth.
    pub scale: f32,
    /// The sum of all `q`.
    pub sum: f32,
    /// The sums of the first and of the second 16 `q`.
    pub halves: [i16; 2],
}

/// Writes `x` as blocks; `x` has 32 elements for each.
#[inline(always)]
pub(super) fn quantize(x: &[f32], out: &mut [Q8Block]) {
    for (x, out) in x.as_chunks::<BLOCK>().0.iter().zip(out) {
        *out = block(x);
    }
}

#[inline(always)]
fn block(x: &[f32; BLOCK]) -> Q8Block {
    // The order of the bits of non-negative floats is that of the numbers, NaN above infinity: no NaN is lost.
    let amax = x.iter().fold(0, |m, v| m.max(v.to_bits() & 0x7fff_ffff));
    let scale = f32::from_bits(amax) / 127.0;
    let usable = scale > 0.0 && scale < f32::INFINITY;
    let divisor = if usable { scale } else { 1.0 };
    let keep = if usable { !0 } else { 0 };
    let mut q = [0_i8; BLOCK];
    for (q, x) in q.iter_mut().zip(x) {
        *q = (rint(x / divisor) & keep) as i8;
    }
    let mut halves = [0_i16; 2];
    for (sum, q) in halves.iter_mut().zip(q.as_chunks::<16>().0) {
        *sum = q.iter().map(|&q| i16::from(q)).sum();
    }
    Q8Block { q, scale, sum: f32::from(halves[0] + halves[1]), halves }
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

    /// xorshift; the tests need spread, not quality.
    fn random(state: &mut u64) -> f32 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        ((*state >> 40) as f32 / 8_388_608.0 - 1.0) * 3.0
    }

    #[test]
    fn blocks_follow_the_definition() {
        let mut state = 1;
        for _ in 0..2000 {
            let x: [f32; BLOCK] = std::array::from_fn(|_| random(&mut state));
            let amax = x.iter().fold(0.0, |m: f32, v| if v.abs() > m { v.abs() } else { m });
            let got = one(x);
            assert_eq!(got.scale, amax / 127.0);
            for (q, x) in got.q.iter().zip(x) {
                assert_eq!(f32::from(*q), (x / got.scale).round_ties_even());
            }
            assert_eq!(got.halves[0], got.q[..16].iter().map(|&q| i16::from(q)).sum::<i16>());
            assert_eq!(got.sum, got.q.iter().map(|&q| f32::from(q)).sum::<f32>());
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
            (tiny.scale, tiny.q[0]),
            (f32::from_bits(1), 127),
            "190 / 127 rounds down to one subnormal step"
        );
        assert_eq!(one([f32::from_bits(3); BLOCK]), Q8Block::default(), "a scale of 0");
        assert_eq!(one([f32::MAX; BLOCK]).q, [127; BLOCK]);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in 0..BLOCK {
                let mut x = [1.0; BLOCK];
                x[at] = bad;
                let got = one(x);
                assert!(!got.scale.is_finite() && got.q == [0; BLOCK] && (got.scale * 0.0).is_nan());
            }
        }
    }
}
