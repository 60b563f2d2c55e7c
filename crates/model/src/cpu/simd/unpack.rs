//! Interleaved blocks of every quantized format, opened: bytes that integer products take, and their scales.
//!
//! The layouts are those of [`crate::quant`]'s structs, word by word; [`super::twin`] reads the structs themselves and
//! is compared with this. A codec knows one block of 16 rows, no matrix.

use super::words::{Line, Words};
use crate::cpu::q8::BLOCK;
use crate::cpu::tile::ROWS;
use crate::quant::{Format, IQ4_VALUES};

/// 32 columns of some rows.
#[derive(Clone, Copy)]
pub(super) struct Group<V: Words> {
    /// Word `k` holds columns `4 k ..`, as unsigned bytes: the weights' integers plus [`Codec::OFFSET`].
    pub q: [V; 8],
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
    /// What was added to the integers to make them unsigned. At 128 the bytes use all eight bits.
    const OFFSET: i16 = 0;

    /// Bytes of one block of 16 rows.
    const RECORD: usize = Self::FORMAT.row().bytes * ROWS;
    /// Groups of 32 columns in one block.
    const GROUPS: usize = Self::FORMAT.row().block / BLOCK;
    /// All eight bits.
    const WIDE: bool = Self::OFFSET == 128;

    /// Passes the groups of one block to `sink`, in order; `record` has [`Codec::RECORD`] bytes.
    fn open<V: Words>(record: &[u8], part: usize, sink: &mut impl Sink<V>);
}

/// Takes the groups of a block. A trait, because a closure is not compiled for its caller's instruction set unless it
/// happens to be inlined.
pub(super) trait Sink<V: Words> {
    /// Group `g` of the block.
    fn group(&mut self, g: usize, group: Group<V>);
}

/// Repeats a block with numbers known to the compiler, so that every index in it is a constant.
macro_rules! each {
    ($i:ident in $($n:literal)*: $body:block) => {$({ let $i: usize = $n; $body })*};
}

/// An array of eight, made the same way.
macro_rules! eight {
    ($i:ident => $body:expr) => { eight!(@ $i $body; 0 1 2 3 4 5 6 7) };
    (@ $i:ident $body:expr; $($n:literal)*) => { [$({ let $i: usize = $n; $body }),*] };
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

/// Sixteen bytes of nibbles: columns 0 to 15 in the low ones, 16 to 31 in the high ones.
#[inline(always)]
fn two_runs<V: Words>(qs: &[Line], part: usize) -> [V; 8] {
    eight!(k => nibble(V::load(&qs[k % 4], part), k >= 4))
}

/// Scales and minima of Q4_K and Q5_K, as the bytes of two words each.
#[inline(always)]
fn six_bits<V: Words>(scales: &[Line], part: usize) -> ([V; 2], [V; 2]) {
    let [s0, s1, s2] = [V::load(&scales[0], part), V::load(&scales[1], part), V::load(&scales[2], part)];
    let (low6, low4, top2) = (V::splat(0x3f3f_3f3f), V::splat(0x0f0f_0f0f), V::splat(0x3030_3030));
    (
        [s0.and(low6), s2.and(low4).or(s0.shr(2).and(top2))],
        [s1.and(low6), s2.shr(4).and(low4).or(s1.shr(2).and(top2))],
    )
}

fn biased(values: [i8; 16]) -> [u8; 16] {
    values.map(|v| (v as u8) ^ 0x80)
}

pub(super) struct Q4_0;
impl Codec for Q4_0 {
    const FORMAT: Format = Format::Q4_0;
    const OFFSET: i16 = 8;
    #[inline(always)]
    fn open<V: Words>(record: &[u8], part: usize, sink: &mut impl Sink<V>) {
        let d = halves::<V>(record, part);
        sink.group(0, Group { q: two_runs(lines(record), part), a: [d; 2], b: [d; 2] });
    }
}

pub(super) struct Q4_1;
impl Codec for Q4_1 {
    const FORMAT: Format = Format::Q4_1;
    const MIN: bool = true;
    #[inline(always)]
    fn open<V: Words>(record: &[u8], part: usize, sink: &mut impl Sink<V>) {
        let l = lines(record);
        let dm = V::load(&l[0], part);
        let b = V::f_mul(dm.high_half(), V::f_splat(-1.0));
        sink.group(0, Group { q: two_runs(&l[1..], part), a: [dm.low_half(); 2], b: [b; 2] });
    }
}

/// [`two_runs`] with a fifth bit from a word.
#[inline(always)]
fn five_bits<V: Words>(high: &Line, qs: &[Line], part: usize) -> [V; 8] {
    let high = V::load(high, part);
    let q = two_runs::<V>(qs, part);
    eight!(k => q[k].or(spread(high.shr(4 * k as i32)).shl(4)))
}

pub(super) struct Q5_0;
impl Codec for Q5_0 {
    const FORMAT: Format = Format::Q5_0;
    const OFFSET: i16 = 16;
    #[inline(always)]
    fn open<V: Words>(record: &[u8], part: usize, sink: &mut impl Sink<V>) {
        let (l, d) = (lines(record), halves::<V>(record, part));
        sink.group(0, Group { q: five_bits(&l[0], &l[1..], part), a: [d; 2], b: [d; 2] });
    }
}

pub(super) struct Q5_1;
impl Codec for Q5_1 {
    const FORMAT: Format = Format::Q5_1;
    const MIN: bool = true;
    #[inline(always)]
    fn open<V: Words>(record: &[u8], part: usize, sink: &mut impl Sink<V>) {
        let l = lines(record);
        let dm = V::load(&l[0], part);
        let b = V::f_mul(dm.high_half(), V::f_splat(-1.0));
        sink.group(0, Group { q: five_bits(&l[1], &l[2..], part), a: [dm.low_half(); 2], b: [b; 2] });
    }
}

pub(super) struct Q8_0;
impl Codec for Q8_0 {
    const FORMAT: Format = Format::Q8_0;
    const OFFSET: i16 = 128;
    #[inline(always)]
    fn open<V: Words>(record: &[u8], part: usize, sink: &mut impl Sink<V>) {
        let (l, d) = (lines(record), halves::<V>(record, part));
        let q = eight!(k => V::load(&l[k], part).xor(V::splat(0x8080_8080)));
        sink.group(0, Group { q, a: [d; 2], b: [d; 2] });
    }
}

pub(super) struct Q2K;
impl Codec for Q2K {
    const FORMAT: Format = Format::Q2K;
    const SPLIT: bool = true;
    const MIN: bool = true;
    #[inline(always)]
    fn open<V: Words>(record: &[u8], part: usize, sink: &mut impl Sink<V>) {
        let l = lines(record);
        let dm = V::load(&l[20], part);
        let (d, dmin) = (dm.low_half(), dm.high_half());
        each!(g in 0 1 2 3 4 5 6 7: {
            let scales = V::load(&l[g / 2], part);
            let (s, t) = (scales.byte((2 * (g % 2)) as i32), scales.byte((2 * (g % 2) + 1) as i32));
            let q = eight!(k => {
                V::load(&l[4 + g / 4 * 8 + k], part).shr(2 * (g % 4) as i32).and(V::splat(0x0303_0303))
            });
            let a = [V::f_mul(d, s.and(V::splat(15)).to_f()), V::f_mul(d, t.and(V::splat(15)).to_f())];
            let b = [V::f_mul(dmin, s.shr(4).to_f()), V::f_mul(dmin, t.shr(4).to_f())];
            sink.group(g, Group { q, a, b });
        });
    }
}

pub(super) struct Q3K;
impl Codec for Q3K {
    const FORMAT: Format = Format::Q3K;
    const SPLIT: bool = true;
    const OFFSET: i16 = 4;
    #[inline(always)]
    fn open<V: Words>(record: &[u8], part: usize, sink: &mut impl Sink<V>) {
        let (l, d) = (lines(record), halves::<V>(record, part));
        let high = V::load(&l[26], part);
        each!(g in 0 1 2 3 4 5 6 7: {
            // Four groups of 16 have their scales in one word.
            let low = nibble(V::load(&l[24 + g / 2 % 2], part), g >= 4);
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
            let q = eight!(k => {
                let low = V::load(&l[8 + g / 4 * 8 + k], part).shr(2 * (g % 4) as i32).and(V::splat(0x0303_0303));
                low.or(V::load(&l[k], part).shr(g as i32).and(V::splat(0x0101_0101)).shl(2))
            });
            sink.group(g, Group { q, a: [V::f_mul(d, s.to_f()), V::f_mul(d, t.to_f())], b: [d; 2] });
        });
    }
}

pub(super) struct Q4K;
impl Codec for Q4K {
    const FORMAT: Format = Format::Q4K;
    const MIN: bool = true;
    #[inline(always)]
    fn open<V: Words>(record: &[u8], part: usize, sink: &mut impl Sink<V>) {
        let l = lines(record);
        let dm = V::load(&l[0], part);
        let (d, dmin) = (dm.low_half(), dm.high_half());
        let (scales, mins) = six_bits::<V>(&l[1..], part);
        each!(g in 0 1 2 3 4 5 6 7: {
            let q = eight!(k => nibble(V::load(&l[4 + g / 2 * 8 + k], part), g % 2 == 1));
            let a = V::f_mul(d, scales[g / 4].byte((g % 4) as i32).to_f());
            let b = V::f_mul(dmin, mins[g / 4].byte((g % 4) as i32).to_f());
            sink.group(g, Group { q, a: [a; 2], b: [b; 2] });
        });
    }
}

pub(super) struct Q5K;
impl Codec for Q5K {
    const FORMAT: Format = Format::Q5K;
    const MIN: bool = true;
    #[inline(always)]
    fn open<V: Words>(record: &[u8], part: usize, sink: &mut impl Sink<V>) {
        let l = lines(record);
        let dm = V::load(&l[0], part);
        let (d, dmin) = (dm.low_half(), dm.high_half());
        let (scales, mins) = six_bits::<V>(&l[1..], part);
        each!(g in 0 1 2 3 4 5 6 7: {
            let q = eight!(k => {
                let high = V::load(&l[4 + k], part);
                let high = if g <= 4 { high.shl(4 - g as i32) } else { high.shr(g as i32 - 4) };
                nibble(V::load(&l[12 + g / 2 * 8 + k], part), g % 2 == 1).or(high.and(V::splat(0x1010_1010)))
            });
            let a = V::f_mul(d, scales[g / 4].byte((g % 4) as i32).to_f());
            let b = V::f_mul(dmin, mins[g / 4].byte((g % 4) as i32).to_f());
            sink.group(g, Group { q, a: [a; 2], b: [b; 2] });
        });
    }
}

pub(super) struct Q6K;
impl Codec for Q6K {
    const FORMAT: Format = Format::Q6K;
    const SPLIT: bool = true;
    const OFFSET: i16 = 32;
    #[inline(always)]
    fn open<V: Words>(record: &[u8], part: usize, sink: &mut impl Sink<V>) {
        let (l, d) = (lines(record), halves::<V>(record, part));
        each!(g in 0 1 2 3 4 5 6 7: {
            let q = eight!(k => {
                let low = V::load(&l[g / 4 * 16 + g % 2 * 8 + k], part);
                let high = V::load(&l[32 + g / 4 * 8 + k], part);
                let high = match g % 4 {
                    0 => high.shl(4),
                    1 => high.shl(2),
                    2 => high,
                    _ => high.shr(2),
                };
                nibble(low, g % 4 >= 2).or(high.and(V::splat(0x3030_3030)))
            });
            let scales = V::load(&l[48 + g / 2], part);
            let (s, t) = (scales.signed_byte((2 * (g % 2)) as i32), scales.signed_byte((2 * (g % 2) + 1) as i32));
            sink.group(g, Group { q, a: [V::f_mul(d, s.to_f()), V::f_mul(d, t.to_f())], b: [d; 2] });
        });
    }
}

pub(super) struct Iq4Nl;
impl Codec for Iq4Nl {
    const FORMAT: Format = Format::IQ4NL;
    const OFFSET: i16 = 128;
    #[inline(always)]
    fn open<V: Words>(record: &[u8], part: usize, sink: &mut impl Sink<V>) {
        let d = halves::<V>(record, part);
        let table = biased(IQ4_VALUES);
        let q = two_runs::<V>(lines(record), part);
        let q = eight!(k => q[k].lookup(&table));
        sink.group(0, Group { q, a: [d; 2], b: [d; 2] });
    }
}

pub(super) struct Iq4Xs;
impl Codec for Iq4Xs {
    const FORMAT: Format = Format::IQ4XS;
    const OFFSET: i16 = 128;
    #[inline(always)]
    fn open<V: Words>(record: &[u8], part: usize, sink: &mut impl Sink<V>) {
        let l = lines(record);
        let (first, low) = (V::load(&l[0], part), V::load(&l[1], part));
        let d = first.low_half();
        let table = biased(IQ4_VALUES);
        each!(g in 0 1 2 3 4 5 6 7: {
            let low = low.shr(4 * g as i32).and(V::splat(15));
            let high = first.shr(16 + 2 * g as i32).and(V::splat(3)).shl(4);
            let a = V::f_mul(d, low.or(high).add(V::splat(-32_i32 as u32)).to_f());
            let q = two_runs::<V>(&l[2 + 4 * g..], part);
            let q = eight!(k => q[k].lookup(&table));
            sink.group(g, Group { q, a: [a; 2], b: [a; 2] });
        });
    }
}
