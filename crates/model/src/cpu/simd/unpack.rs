//! Interleaved blocks of every quantized format, opened: bytes that integer products take, and their scales.
//!
//! The layouts are those of [`crate::quant`]'s structs, word by word; [`super::twin`] reads the structs themselves and
//! is compared with this. A codec knows one block of 16 rows, no matrix.

use super::words::{Line, Words};
use crate::cpu::q8::BLOCK;
use crate::cpu::tile::ROWS;
use crate::quant::{Format, IQ4_VALUES};

/// The scales and minima of 32 columns of some rows.
#[derive(Clone, Copy)]
pub(super) struct Scales<V: Words> {
    /// The scale, or one for each half.
    pub a: [V::F; 2],
    /// The minimum, or one for each half.
    pub b: [V::F; 2],
}

/// How a format is opened.
pub(super) trait Codec {
    /// The format.
    const FORMAT: Format;
    /// A scale for each half of 32 columns, not one for all.
    const SPLIT: bool = false;
    /// Weights have minima.
    const MIN: bool = false;
    /// Bits of a weight's integer, made unsigned by adding half of their range if there is no minimum.
    const BITS: u32;
    /// Activations have a scale for each half of 32 columns.
    const HALVES: bool = Self::FORMAT.by_halves();
    /// Groups next to each other whose words are made of the same lines: they are best opened together.
    const TOGETHER: usize = 1;

    /// What was added to the integers to make them unsigned.
    const OFFSET: i16 = offset(Self::MIN, Self::BITS);
    /// Bytes of one block of 16 rows.
    const RECORD: usize = Self::FORMAT.row().bytes * ROWS;
    /// Groups of 32 columns in one block.
    const GROUPS: usize = Self::FORMAT.row().block / BLOCK;

    /// What all groups of a block have in common, opened once.
    type Head<V: Words>: Copy;

    /// `record` has [`Codec::RECORD`] bytes.
    fn head<V: Words>(record: &[u8], part: usize) -> Self::Head<V>;
    /// The scales of a group.
    fn scales<V: Words>(record: &[u8], part: usize, head: Self::Head<V>, group: usize) -> Scales<V>;
    /// Columns `4 k ..` of a group, as unsigned bytes: the weights' integers plus [`Codec::OFFSET`].
    fn word<V: Words>(record: &[u8], part: usize, group: usize, k: usize) -> V;
}

/// What makes integers of so many bits unsigned; those of weights with minima are.
pub(super) const fn offset(min: bool, bits: u32) -> i16 {
    if min { 0 } else { 1 << (bits - 1) }
}

/// The lines of a record, and what lies behind them.
#[inline(always)]
fn lines(record: &[u8]) -> &[Line] {
    record.as_chunks().0
}

/// The half floats behind the lines.
#[inline(always)]
fn halves<V: Words>(record: &[u8], part: usize) -> V::F {
    match record.last_chunk() {
        Some(halves) => V::load_halves(halves, part),
        None => V::f_zero(),
    }
}

#[inline(always)]
fn nibble<V: Words>(word: V, high: bool) -> V {
    (if high { word.shr(4) } else { word }).and(V::splat(0x0f0f_0f0f))
}

/// Four bits, one for each byte: bit 0 goes to bit 0 of byte 0, bit 1 to that of byte 1, ...
#[inline(always)]
fn spread<V: Words>(bits: V) -> V {
    bits.and(V::splat(15)).mul(V::splat(1 | 1 << 7 | 1 << 14 | 1 << 21)).and(V::splat(0x0101_0101))
}

/// Word `k` of sixteen bytes of nibbles: columns 0 to 15 in the low ones, 16 to 31 in the high ones.
#[inline(always)]
fn two_runs<V: Words>(qs: &[Line], part: usize, k: usize) -> V {
    nibble(V::load(&qs[k % 4], part), k >= 4)
}

/// [`two_runs`] with a fifth bit from a word.
#[inline(always)]
fn five_bits<V: Words>(high: &Line, qs: &[Line], part: usize, k: usize) -> V {
    let high = spread(V::load(high, part).shr(4 * k as i32));
    two_runs::<V>(qs, part, k).or(high.shl(4))
}

/// The scales and minima of blocks of 32 columns that begin with both.
#[inline(always)]
fn scale_and_min<V: Words>(line: &Line, part: usize) -> Scales<V> {
    let dm = V::load(line, part);
    Scales { a: [dm.low_half(); 2], b: [V::f_mul(dm.high_half(), V::f_splat(-1.0)); 2] }
}

/// The head of Q4_K and Q5_K: scale and minimum of the block, and the groups' scales and minima as the bytes of two words
/// each.
#[derive(Clone, Copy)]
pub(super) struct SixBits<V: Words> {
    d: V::F,
    dmin: V::F,
    scales: [V; 2],
    mins: [V; 2],
}

impl<V: Words> SixBits<V> {
    #[inline(always)]
    fn new(record: &[u8], part: usize) -> Self {
        let l = lines(record);
        let dm = V::load(&l[0], part);
        let [s0, s1, s2] = [V::load(&l[1], part), V::load(&l[2], part), V::load(&l[3], part)];
        let (low6, low4, top2) = (V::splat(0x3f3f_3f3f), V::splat(0x0f0f_0f0f), V::splat(0x3030_3030));
        Self {
            d: dm.low_half(),
            dmin: dm.high_half(),
            scales: [s0.and(low6), s2.and(low4).or(s0.shr(2).and(top2))],
            mins: [s1.and(low6), s2.shr(4).and(low4).or(s1.shr(2).and(top2))],
        }
    }

    #[inline(always)]
    fn scales(self, g: usize) -> Scales<V> {
        let byte = (g % 4) as i32;
        let a = V::f_mul(self.d, self.scales[g / 4].byte(byte).to_f());
        let b = V::f_mul(self.dmin, self.mins[g / 4].byte(byte).to_f());
        Scales { a: [a; 2], b: [b; 2] }
    }
}

/// The values of IQ4_NL and IQ4_XS plus 128.
const BIASED: [u8; 16] = {
    let mut biased = [0; 16];
    let mut i = 0;
    while i < 16 {
        biased[i] = (IQ4_VALUES[i] as u8) ^ 0x80;
        i += 1;
    }
    biased
};

/// A block with one scale and nothing else that its groups share.
macro_rules! one_scale {
    () => {
        type Head<V: Words> = V::F;
        #[inline(always)]
        fn head<V: Words>(record: &[u8], part: usize) -> V::F {
            halves::<V>(record, part)
        }
        #[inline(always)]
        fn scales<V: Words>(_: &[u8], _: usize, d: V::F, _: usize) -> Scales<V> {
            Scales { a: [d; 2], b: [d; 2] }
        }
    };
}

/// A block of 32 columns that begins with its scale and minimum.
macro_rules! one_scale_and_min {
    () => {
        type Head<V: Words> = Scales<V>;
        #[inline(always)]
        fn head<V: Words>(record: &[u8], part: usize) -> Scales<V> {
            scale_and_min(&lines(record)[0], part)
        }
        #[inline(always)]
        fn scales<V: Words>(_: &[u8], _: usize, head: Scales<V>, _: usize) -> Scales<V> {
            head
        }
    };
}

pub(super) struct Q4_0;
impl Codec for Q4_0 {
    const FORMAT: Format = Format::Q4_0;
    const BITS: u32 = 4;
    one_scale!();
    #[inline(always)]
    fn word<V: Words>(record: &[u8], part: usize, _: usize, k: usize) -> V {
        two_runs(lines(record), part, k)
    }
}

pub(super) struct Q4_1;
impl Codec for Q4_1 {
    const FORMAT: Format = Format::Q4_1;
    const MIN: bool = true;
    const BITS: u32 = 4;
    one_scale_and_min!();
    #[inline(always)]
    fn word<V: Words>(record: &[u8], part: usize, _: usize, k: usize) -> V {
        two_runs(&lines(record)[1..], part, k)
    }
}

pub(super) struct Q5_0;
impl Codec for Q5_0 {
    const FORMAT: Format = Format::Q5_0;
    const BITS: u32 = 5;
    one_scale!();
    #[inline(always)]
    fn word<V: Words>(record: &[u8], part: usize, _: usize, k: usize) -> V {
        let l = lines(record);
        five_bits(&l[0], &l[1..], part, k)
    }
}

pub(super) struct Q5_1;
impl Codec for Q5_1 {
    const FORMAT: Format = Format::Q5_1;
    const MIN: bool = true;
    const BITS: u32 = 5;
    one_scale_and_min!();
    #[inline(always)]
    fn word<V: Words>(record: &[u8], part: usize, _: usize, k: usize) -> V {
        let l = lines(record);
        five_bits(&l[1], &l[2..], part, k)
    }
}

pub(super) struct Q8_0;
impl Codec for Q8_0 {
    const FORMAT: Format = Format::Q8_0;
    const BITS: u32 = 8;
    one_scale!();
    #[inline(always)]
    fn word<V: Words>(record: &[u8], part: usize, _: usize, k: usize) -> V {
        V::load(&lines(record)[k], part).xor(V::splat(0x8080_8080))
    }
}

pub(super) struct Q2K;
impl Codec for Q2K {
    const FORMAT: Format = Format::Q2K;
    const SPLIT: bool = true;
    const MIN: bool = true;
    const BITS: u32 = 2;
    const TOGETHER: usize = 4;
    /// The scale and the minimum of the block.
    type Head<V: Words> = (V::F, V::F);
    #[inline(always)]
    fn head<V: Words>(record: &[u8], part: usize) -> (V::F, V::F) {
        let dm = V::load(&lines(record)[20], part);
        (dm.low_half(), dm.high_half())
    }
    #[inline(always)]
    fn scales<V: Words>(record: &[u8], part: usize, (d, dmin): (V::F, V::F), g: usize) -> Scales<V> {
        let scales = V::load(&lines(record)[g / 2], part);
        let (s, t) = (scales.byte((2 * (g % 2)) as i32), scales.byte((2 * (g % 2) + 1) as i32));
        let a = [V::f_mul(d, s.and(V::splat(15)).to_f()), V::f_mul(d, t.and(V::splat(15)).to_f())];
        let b = [V::f_mul(dmin, s.shr(4).to_f()), V::f_mul(dmin, t.shr(4).to_f())];
        Scales { a, b }
    }
    #[inline(always)]
    fn word<V: Words>(record: &[u8], part: usize, g: usize, k: usize) -> V {
        V::load(&lines(record)[4 + g / 4 * 8 + k], part).shr(2 * (g % 4) as i32).and(V::splat(0x0303_0303))
    }
}

pub(super) struct Q3K;
impl Codec for Q3K {
    const FORMAT: Format = Format::Q3K;
    const SPLIT: bool = true;
    const BITS: u32 = 3;
    const TOGETHER: usize = 4;
    /// The scale of the block.
    type Head<V: Words> = V::F;
    #[inline(always)]
    fn head<V: Words>(record: &[u8], part: usize) -> V::F {
        halves::<V>(record, part)
    }
    #[inline(always)]
    fn scales<V: Words>(record: &[u8], part: usize, d: V::F, g: usize) -> Scales<V> {
        let l = lines(record);
        // Four groups of 16 have their scales in one word.
        let (low, high) = (nibble(V::load(&l[24 + g / 2 % 2], part), g >= 4), V::load(&l[26], part));
        let top = match g / 2 {
            0 => high.shl(4),
            1 => high.shl(2),
            2 => high,
            _ => high.shr(2),
        };
        let scales = low.or(top.and(V::splat(0x3030_3030)));
        let offset = V::splat(-32_i32 as u32);
        let s = scales.byte((2 * (g % 2)) as i32).add(offset);
        let t = scales.byte((2 * (g % 2) + 1) as i32).add(offset);
        Scales { a: [V::f_mul(d, s.to_f()), V::f_mul(d, t.to_f())], b: [d; 2] }
    }
    #[inline(always)]
    fn word<V: Words>(record: &[u8], part: usize, g: usize, k: usize) -> V {
        let l = lines(record);
        let low = V::load(&l[8 + g / 4 * 8 + k], part).shr(2 * (g % 4) as i32).and(V::splat(0x0303_0303));
        low.or(V::load(&l[k], part).shr(g as i32).and(V::splat(0x0101_0101)).shl(2))
    }
}

pub(super) struct Q4K;
impl Codec for Q4K {
    const FORMAT: Format = Format::Q4K;
    const MIN: bool = true;
    const BITS: u32 = 4;
    const TOGETHER: usize = 2;
    type Head<V: Words> = SixBits<V>;
    #[inline(always)]
    fn head<V: Words>(record: &[u8], part: usize) -> SixBits<V> {
        SixBits::new(record, part)
    }
    #[inline(always)]
    fn scales<V: Words>(_: &[u8], _: usize, head: SixBits<V>, g: usize) -> Scales<V> {
        head.scales(g)
    }
    #[inline(always)]
    fn word<V: Words>(record: &[u8], part: usize, g: usize, k: usize) -> V {
        nibble(V::load(&lines(record)[4 + g / 2 * 8 + k], part), g % 2 == 1)
    }
}

pub(super) struct Q5K;
impl Codec for Q5K {
    const FORMAT: Format = Format::Q5K;
    const MIN: bool = true;
    const BITS: u32 = 5;
    const TOGETHER: usize = 2;
    type Head<V: Words> = SixBits<V>;
    #[inline(always)]
    fn head<V: Words>(record: &[u8], part: usize) -> SixBits<V> {
        SixBits::new(record, part)
    }
    #[inline(always)]
    fn scales<V: Words>(_: &[u8], _: usize, head: SixBits<V>, g: usize) -> Scales<V> {
        head.scales(g)
    }
    #[inline(always)]
    fn word<V: Words>(record: &[u8], part: usize, g: usize, k: usize) -> V {
        let l = lines(record);
        let high = V::load(&l[4 + k], part);
        let high = if g <= 4 { high.shl(4 - g as i32) } else { high.shr(g as i32 - 4) };
        nibble(V::load(&l[12 + g / 2 * 8 + k], part), g % 2 == 1).or(high.and(V::splat(0x1010_1010)))
    }
}

pub(super) struct Q6K;
impl Codec for Q6K {
    const FORMAT: Format = Format::Q6K;
    const SPLIT: bool = true;
    const BITS: u32 = 6;
    const TOGETHER: usize = 4;
    /// The scale of the block.
    type Head<V: Words> = V::F;
    #[inline(always)]
    fn head<V: Words>(record: &[u8], part: usize) -> V::F {
        halves::<V>(record, part)
    }
    #[inline(always)]
    fn scales<V: Words>(record: &[u8], part: usize, d: V::F, g: usize) -> Scales<V> {
        let scales = V::load(&lines(record)[g / 2], part);
        let (s, t) = (scales.signed_byte((2 * (g % 2)) as i32), scales.signed_byte((2 * (g % 2) + 1) as i32));
        Scales { a: [V::f_mul(d, s.to_f()), V::f_mul(d, t.to_f())], b: [d; 2] }
    }
    #[inline(always)]
    fn word<V: Words>(record: &[u8], part: usize, g: usize, k: usize) -> V {
        let l = &lines(record)[4 + g / 4 * 24 + 3 * k..];
        let (low, high) = (V::load(&l[g % 2], part), V::load(&l[2], part));
        let high = match g % 4 {
            0 => high.shl(4),
            1 => high.shl(2),
            2 => high,
            _ => high.shr(2),
        };
        nibble(low, g % 4 >= 2).or(high.and(V::splat(0x3030_3030)))
    }
}

pub(super) struct Iq4Nl;
impl Codec for Iq4Nl {
    const FORMAT: Format = Format::IQ4NL;
    const BITS: u32 = 8;
    one_scale!();
    #[inline(always)]
    fn word<V: Words>(record: &[u8], part: usize, _: usize, k: usize) -> V {
        two_runs::<V>(lines(record), part, k).lookup(&BIASED)
    }
}

pub(super) struct Iq4Xs;
impl Codec for Iq4Xs {
    const FORMAT: Format = Format::IQ4XS;
    const BITS: u32 = 8;
    /// The scale of the block, and the high and low bits of the groups' scales.
    type Head<V: Words> = (V::F, V, V);
    #[inline(always)]
    fn head<V: Words>(record: &[u8], part: usize) -> (V::F, V, V) {
        let l = lines(record);
        let (first, low) = (V::load(&l[0], part), V::load(&l[1], part));
        (first.low_half(), first, low)
    }
    #[inline(always)]
    fn scales<V: Words>(_: &[u8], _: usize, (d, first, low): (V::F, V, V), g: usize) -> Scales<V> {
        let low = low.shr(4 * g as i32).and(V::splat(15));
        let high = first.shr(16 + 2 * g as i32).and(V::splat(3)).shl(4);
        let a = V::f_mul(d, low.or(high).add(V::splat(-32_i32 as u32)).to_f());
        Scales { a: [a; 2], b: [a; 2] }
    }
    #[inline(always)]
    fn word<V: Words>(record: &[u8], part: usize, g: usize, k: usize) -> V {
        two_runs::<V>(&lines(record)[2 + 4 * g..], part, k).lookup(&BIASED)
    }
}
