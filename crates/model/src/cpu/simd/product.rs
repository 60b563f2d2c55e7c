//! Products of interleaved weights with 8-bit activations, in the sequence that [`crate::cpu::q8`] defines.
//!
//! Two ways to the same bits: [`row`] opens each block in registers for one row of activations; [`open`] opens a tile once
//! into memory that the cache holds, for [`rows`] to multiply with many.

use super::unpack::{Codec, Group, Sink};
use super::words::{Line, Words};
use crate::cpu::q8::{BLOCK, Q8Block};
use crate::cpu::tile::ROWS;
use crate::quant::Format;
use std::marker::PhantomData;

/// A tile opened for [`rows`]: for each 32 columns eight lines of bytes, one or two of scales, none to two of minima.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    /// Whose tile it was.
    pub(super) format: Option<Format>,
    lines: Vec<Aligned>,
    blocks: usize,
    /// The tile itself: all that the twin needs.
    pub(super) raw: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Aligned(Line);

const MAX_LINES: usize = 12;

impl Opened {
    /// Makes room for a tile of `cols` columns in any format.
    fn reserve(&mut self, cols: usize) {
        let lines = cols.div_ceil(BLOCK) * MAX_LINES;
        if self.lines.len() < lines {
            self.lines.resize(lines, Aligned([0; 64]));
        }
    }
}

const fn lines_of(split: bool, min: bool) -> usize {
    8 + (1 + split as usize) * (1 + min as usize)
}

/// The products of one row of activations with whole tiles: `out` has 16 numbers for each.
#[inline(always)]
pub(super) fn row<V: Words, C: Codec>(tiles: &[u8], x: &[Q8Block], out: &mut [f32]) {
    let z = offsets::<V>(C::SPLIT, C::OFFSET);
    let tile_bytes = x.len() / C::GROUPS * C::RECORD;
    if tile_bytes == 0 {
        out.fill(0.0);
        return;
    }
    for (tile, out) in tiles.chunks_exact(tile_bytes).zip(out.as_chunks_mut::<ROWS>().0) {
        for part in 0..V::PARTS {
            let mut sum = Sum::<V, C> { acc: V::f_zero(), x: &[], z, codec: PhantomData };
            for (record, x) in tile.chunks_exact(C::RECORD).zip(x.chunks_exact(C::GROUPS)) {
                sum.x = x;
                C::open(record, part, &mut sum);
            }
            V::f_put(sum.acc, out, part);
        }
    }
}

/// Adds up one row of activations; `x` are those of the block at hand.
struct Sum<'a, V: Words, C> {
    acc: V::F,
    x: &'a [Q8Block],
    z: [V; 2],
    codec: PhantomData<C>,
}

impl<V: Words, C: Codec> Sink<V> for Sum<'_, V, C> {
    #[inline(always)]
    fn group(&mut self, g: usize, group: Group<V>) {
        self.acc = step::<V, C>(self.acc, &group, &self.x[g], self.z);
    }
}

/// What `start` multiplies the sums of the halves with: minus the offset for each half that is summed.
#[inline(always)]
fn offsets<V: Words>(split: bool, offset: i16) -> [V; 2] {
    let z = u32::from(offset.wrapping_neg() as u16);
    if split { [V::splat(z), V::splat(z << 16)] } else { [V::splat(z | z << 16); 2] }
}

#[inline(always)]
fn word(x: &Q8Block, k: usize) -> [i8; 4] {
    x.q.as_chunks::<4>().0[k]
}

/// One block of 32 columns with one row of activations.
#[inline(always)]
fn step<V: Words, C: Codec>(acc: V::F, w: &Group<V>, x: &Q8Block, z: [V; 2]) -> V::F {
    let [a, b] = [w.a, w.b];
    macro_rules! dot {
        ($i:expr; $($k:literal)*) => {{
            let i = $i;
            $(let i = match C::WIDE {
                true => i.dot4::<true>(w.q[$k], word(x, $k)),
                false => i.dot4::<false>(w.q[$k], word(x, $k)),
            };)*
            i
        }};
    }
    let mut t = if C::SPLIT {
        let t = V::f_mul(a[0], dot!(V::start::<false>(z[0], x.halves); 0 1 2 3).to_f());
        V::f_fma(a[1], dot!(V::start::<false>(z[1], x.halves); 4 5 6 7).to_f(), t)
    } else if C::WIDE {
        V::f_mul(a[0], dot!(V::start::<true>(z[0], x.halves); 0 1 2 3 4 5 6 7).to_f())
    } else {
        V::f_mul(a[0], dot!(V::start::<false>(z[0], x.halves); 0 1 2 3 4 5 6 7).to_f())
    };
    if C::MIN && C::SPLIT {
        t = V::f_fnma(b[0], V::f_splat(f32::from(x.halves[0])), t);
        t = V::f_fnma(b[1], V::f_splat(f32::from(x.halves[1])), t);
    } else if C::MIN {
        t = V::f_fnma(b[0], V::f_splat(x.sum), t);
    }
    V::f_fma(t, V::f_splat(x.scale), acc)
}

/// Opens a tile of `blocks` blocks of 32 columns.
#[inline(always)]
pub(super) fn open<V: Words, C: Codec>(tile: &[u8], opened: &mut Opened) {
    let per = lines_of(C::SPLIT, C::MIN);
    let records = tile.len() / C::RECORD;
    opened.reserve(records * C::GROUPS * BLOCK);
    opened.blocks = records * C::GROUPS;
    opened.format = Some(C::FORMAT);
    for part in 0..V::PARTS {
        let lines = opened.lines.chunks_exact_mut(per * C::GROUPS);
        for (record, lines) in tile.chunks_exact(C::RECORD).zip(lines) {
            C::open::<V>(record, part, &mut Keep::<C> { lines, part, codec: PhantomData });
        }
    }
}

/// Writes the groups of a block to memory.
struct Keep<'a, C> {
    lines: &'a mut [Aligned],
    part: usize,
    codec: PhantomData<C>,
}

impl<V: Words, C: Codec> Sink<V> for Keep<'_, C> {
    #[inline(always)]
    fn group(&mut self, g: usize, group: Group<V>) {
        let per = lines_of(C::SPLIT, C::MIN);
        let (lines, part) = (&mut self.lines[g * per..][..per], self.part);
        for (q, line) in group.q.into_iter().zip(&mut *lines) {
            q.store(&mut line.0, part);
        }
        V::f_store(group.a[0], &mut lines[8].0, part);
        if C::SPLIT {
            V::f_store(group.a[1], &mut lines[9].0, part);
        }
        if C::MIN {
            V::f_store(group.b[0], &mut lines[if C::SPLIT { 10 } else { 9 }].0, part);
        }
        if C::MIN && C::SPLIT {
            V::f_store(group.b[1], &mut lines[11].0, part);
        }
    }
}

/// The products of an opened tile with rows of activations, one for each of `out`.
#[inline(always)]
pub(super) fn rows<V: Words, const SPLIT: bool, const MIN: bool, const WIDE: bool>(
    opened: &Opened,
    offset: i16,
    x: &[&[Q8Block]],
    out: &mut [[f32; ROWS]],
) {
    macro_rules! some {
        ($x:expr, $out:expr; $($t:ident)*) => {
            if let (&[$($t),*], [_first, ..]) = ($x, &*$out) {
                few::<V, SPLIT, MIN, WIDE, { 0 $(+ { let _ = stringify!($t); 1 })* }>(
                    opened, offset, [$($t),*], $out);
            }
        };
    }
    let mut groups = x.chunks_exact(8);
    let mut outs = out.chunks_exact_mut(8);
    for (x, out) in (&mut groups).zip(&mut outs) {
        some!(x, out; a b c d e f g h);
    }
    let (x, out) = (groups.remainder(), outs.into_remainder());
    some!(x, out; a);
    some!(x, out; a b);
    some!(x, out; a b c);
    some!(x, out; a b c d);
    some!(x, out; a b c d e);
    some!(x, out; a b c d e f);
    some!(x, out; a b c d e f g);
}

#[inline(always)]
fn few<V: Words, const SPLIT: bool, const MIN: bool, const WIDE: bool, const T: usize>(
    opened: &Opened,
    offset: i16,
    x: [&[Q8Block]; T],
    out: &mut [[f32; ROWS]],
) {
    let z = offsets::<V>(SPLIT, offset);
    let per = lines_of(SPLIT, MIN);
    let blocks = opened.blocks;
    let x = x.map(|x| &x[..blocks]);
    for part in 0..V::PARTS {
        let mut acc = [V::f_zero(); T];
        for (n, lines) in opened.lines.chunks_exact(per).take(blocks).enumerate() {
            let halves = if SPLIT { 2 } else { 1 };
            let mut t = [V::f_zero(); T];
            for h in 0..halves {
                let mut i = [V::splat(0); T];
                for r in 0..T {
                    i[r] = V::start::<WIDE>(z[h], x[r][n].halves);
                }
                for k in 0..8 / halves {
                    let k = k + 4 * h;
                    let q = V::load(&lines[k].0, part);
                    for r in 0..T {
                        i[r] = i[r].dot4::<WIDE>(q, word(&x[r][n], k));
                    }
                }
                let a = V::f_load(&lines[8 + h].0, part);
                for r in 0..T {
                    t[r] = if h == 0 { V::f_mul(a, i[r].to_f()) } else { V::f_fma(a, i[r].to_f(), t[r]) };
                }
            }
            if MIN && SPLIT {
                for r in 0..T {
                    t[r] = V::f_fnma(
                        V::f_load(&lines[10].0, part),
                        V::f_splat(f32::from(x[r][n].halves[0])),
                        t[r],
                    );
                    t[r] = V::f_fnma(
                        V::f_load(&lines[11].0, part),
                        V::f_splat(f32::from(x[r][n].halves[1])),
                        t[r],
                    );
                }
            } else if MIN {
                let b = V::f_load(&lines[9].0, part);
                for r in 0..T {
                    t[r] = V::f_fnma(b, V::f_splat(x[r][n].sum), t[r]);
                }
            }
            for r in 0..T {
                acc[r] = V::f_fma(t[r], V::f_splat(x[r][n].scale), acc[r]);
            }
        }
        for (acc, out) in acc.into_iter().zip(&mut *out) {
            V::f_put(acc, out, part);
        }
    }
}
