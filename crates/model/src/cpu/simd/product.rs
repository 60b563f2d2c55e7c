//! Products of interleaved weights with 8-bit activations, in the sequence that [`crate::cpu::q8`] defines.
//!
//! Two ways to the same bits: [`row`] opens each block in registers for one row of activations; [`open`] opens a tile once
//! into memory that the cache holds, for [`rows`] to multiply with many.

use super::unpack::{self, Codec};
use super::words::{self, Line, Words};
use crate::cpu::q8::{BLOCK, Q8Block};
use crate::cpu::tile::ROWS;
use crate::quant::Format;

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

/// Repeats a block with numbers known to the compiler, so that every index in it is a constant.
macro_rules! each {
    ($i:ident in $($n:literal)*: $body:block) => {$({ let $i: usize = $n; $body })*};
}

/// The products of one row of activations with whole tiles: `out` has 16 numbers for each.
#[inline(always)]
pub(super) fn row<V: Words, C: Codec>(tiles: &[u8], x: &[Q8Block], out: &mut [f32]) {
    let z = offsets::<V>(C::SPLIT || C::HALVES, C::OFFSET);
    let tile_bytes = x.len() / C::GROUPS * C::RECORD;
    if tile_bytes == 0 {
        out.fill(0.0);
        return;
    }
    for (tile, out) in tiles.chunks_exact(tile_bytes).zip(out.as_chunks_mut::<ROWS>().0) {
        let mut acc = [V::f_zero(); 2];
        for (record, x) in tile.chunks_exact(C::RECORD).zip(x.chunks_exact(C::GROUPS)) {
            // With lengths that are constants, no index below is checked when this runs, nor takes time to compile.
            let (record, x) = (&record[..C::RECORD], &x[..C::GROUPS]);
            // Both parts of some lines, then the next lines: memory is read once, in order, at an even pace.
            let heads = [C::head::<V>(record, 0), C::head::<V>(record, V::PARTS - 1)];
            each!(g in 0 1 2 3 4 5 6 7: {
                if g < C::GROUPS && g.is_multiple_of(C::TOGETHER) {
                    acc[0] = groups::<V, C>(acc[0], record, 0, heads[0], g, x, z);
                    if V::PARTS == 2 {
                        acc[1] = groups::<V, C>(acc[1], record, 1, heads[1], g, x, z);
                    }
                }
            });
        }
        V::f_put(acc[0], out, 0);
        if V::PARTS == 2 {
            V::f_put(acc[1], out, 1);
        }
    }
}

/// [`Codec::TOGETHER`] groups from `first` on with one row of activations. Word by word: what they share is read once.
#[inline(always)]
fn groups<V: Words, C: Codec>(
    mut acc: V::F,
    record: &[u8],
    part: usize,
    head: C::Head<V>,
    first: usize,
    x: &[Q8Block],
    z: [V; 2],
) -> V::F {
    let run = words::run(C::BITS).min(if C::SPLIT || C::HALVES { 4 } else { 8 });
    let mut t = [V::f_zero(); 4];
    let (mut sums, mut runs) = ([V::splat(0); 4], [V::splat(0); 4]);
    each!(k in 0 1 2 3 4 5 6 7: {
        each!(n in 0 1 2 3: {
            if n < C::TOGETHER {
                let (g, sum, running) = (first + n, &mut sums[n], &mut runs[n]);
                if k == 0 {
                    *sum = start(C::BITS, C::OFFSET, z[0], &x[g]);
                }
                if (C::SPLIT || C::HALVES) && k == 4 {
                    t[n] = V::f_mul(C::scales::<V>(record, part, head, g).a[0], sum.to_f());
                    *sum = start(C::BITS, C::OFFSET, z[1], &x[g]);
                }
                if k.is_multiple_of(run) {
                    *running = V::begin(*sum);
                }
                let q = C::word(record, part, g, k);
                *running = running.dot4(C::BITS, q, word(&x[g], k)).settled();
                if (k + 1).is_multiple_of(run) {
                    *sum = running.end(*sum).settled();
                }
            }
        });
    });
    each!(n in 0 1 2 3: {
        if n < C::TOGETHER {
            let x = &x[first + n];
            let s = C::scales::<V>(record, part, head, first + n);
            if C::HALVES {
                acc = V::f_fma(t[n], V::f_splat(x.scales[0]), acc);
            }
            let mut t = if C::SPLIT {
                V::f_fma(s.a[1], sums[n].to_f(), t[n])
            } else {
                V::f_mul(s.a[0], sums[n].to_f())
            };
            if C::MIN && C::SPLIT {
                t = V::f_fnma(s.b[0], V::f_splat(f32::from(x.halves[0])), t);
                t = V::f_fnma(s.b[1], V::f_splat(f32::from(x.halves[1])), t);
            } else if C::MIN {
                t = V::f_fnma(s.b[0], V::f_splat(x.sum), t);
            }
            acc = V::f_fma(t, V::f_splat(x.scales[1]), acc);
        }
    });
    acc
}

/// What `start` multiplies the sums of the halves with: minus the offset for each half that is summed.
#[inline(always)]
fn offsets<V: Words>(split: bool, offset: i16) -> [V; 2] {
    let z = u32::from(offset.wrapping_neg() as u16);
    if split { [V::splat(z), V::splat(z << 16)] } else { [V::splat(z | z << 16); 2] }
}

/// What a sum of products begins with.
#[inline(always)]
fn start<V: Words>(bits: u32, offset: i16, z: V, x: &Q8Block) -> V {
    if offset == 0 { V::splat(0) } else { V::start(bits, z, x.halves) }
}

#[inline(always)]
fn word(x: &Q8Block, k: usize) -> [i8; 4] {
    x.q.as_chunks::<4>().0[k]
}

/// Opens a tile of `blocks` blocks of 32 columns.
#[inline(always)]
pub(super) fn open<V: Words, C: Codec>(tile: &[u8], opened: &mut Opened) {
    let per = lines_of(C::SPLIT, C::MIN);
    let records = tile.len() / C::RECORD;
    opened.reserve(records * C::GROUPS * BLOCK);
    opened.blocks = records * C::GROUPS;
    opened.format = Some(C::FORMAT);
    let lines = opened.lines.chunks_exact_mut(per * C::GROUPS);
    for (record, lines) in tile.chunks_exact(C::RECORD).zip(lines) {
        let (record, lines) = (&record[..C::RECORD], &mut lines[..per * C::GROUPS]);
        keep::<V, C>(record, 0, lines);
        if V::PARTS == 2 {
            keep::<V, C>(record, 1, lines);
        }
    }
}

/// Writes the groups of a block to memory.
#[inline(always)]
fn keep<V: Words, C: Codec>(record: &[u8], part: usize, lines: &mut [Aligned]) {
    let per = lines_of(C::SPLIT, C::MIN);
    let head = C::head::<V>(record, part);
    each!(first in 0 1 2 3 4 5 6 7: {
        if first < C::GROUPS && first.is_multiple_of(C::TOGETHER) {
            each!(k in 0 1 2 3 4 5 6 7: {
                each!(n in 0 1 2 3: {
                    if n < C::TOGETHER {
                        let g = first + n;
                        C::word::<V>(record, part, g, k).store(&mut lines[g * per + k].0, part);
                    }
                });
            });
        }
    });
    each!(g in 0 1 2 3 4 5 6 7: {
        if g < C::GROUPS {
            let s = C::scales::<V>(record, part, head, g);
            let lines = &mut lines[g * per + 8..(g + 1) * per];
            V::f_store(s.a[0], &mut lines[0].0, part);
            if C::SPLIT {
                V::f_store(s.a[1], &mut lines[1].0, part);
            }
            if C::MIN {
                V::f_store(s.b[0], &mut lines[if C::SPLIT { 2 } else { 1 }].0, part);
            }
            if C::MIN && C::SPLIT {
                V::f_store(s.b[1], &mut lines[3].0, part);
            }
        }
    });
}

/// The products of an opened tile with rows of activations, one for each of `out`.
#[inline(always)]
pub(super) fn rows<V: Words, const SPLIT: bool, const MIN: bool, const BITS: u32, const HALVES: bool>(
    opened: &Opened,
    x: &[&[Q8Block]],
    out: &mut [[f32; ROWS]],
) {
    macro_rules! some {
        ($x:expr, $out:expr; $($t:ident)*) => {
            if let (&[$($t),*], [_first, ..]) = ($x, &*$out) {
                few::<V, SPLIT, MIN, BITS, HALVES, { 0 $(+ { let _ = stringify!($t); 1 })* }>(opened, [$($t),*], $out);
            }
        };
    }
    let mut groups = x.chunks_exact(V::ROWS);
    let mut outs = out.chunks_exact_mut(V::ROWS);
    for (x, out) in (&mut groups).zip(&mut outs) {
        some!(x, out; a b c d e f);
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
fn few<V: Words, const SPLIT: bool, const MIN: bool, const BITS: u32, const HALVES: bool, const T: usize>(
    opened: &Opened,
    x: [&[Q8Block]; T],
    out: &mut [[f32; ROWS]],
) {
    let offset = unpack::offset(MIN, BITS);
    let z = offsets::<V>(SPLIT || HALVES, offset);
    let per = lines_of(SPLIT, MIN);
    let blocks = opened.blocks;
    let x = x.map(|x| &x[..blocks]);
    let halves = if SPLIT || HALVES { 2 } else { 1 };
    let run = words::run(BITS).min(8 / halves);
    for part in 0..V::PARTS {
        let mut acc = [V::f_zero(); T];
        for (n, lines) in opened.lines.chunks_exact(per).take(blocks).enumerate() {
            let mut t = [V::f_zero(); T];
            for h in 0..halves {
                let mut i = [V::splat(0); T];
                for r in 0..T {
                    i[r] = start(BITS, offset, z[h], &x[r][n]);
                }
                for first in (h * 4..h * 4 + 8 / halves).step_by(run) {
                    if run < 8 {
                        // The words of a short run stay in registers, and a run does not outlive its row.
                        let mut q = [V::splat(0); 8];
                        for (q, line) in q.iter_mut().zip(&lines[first..first + run]) {
                            *q = V::load(&line.0, part);
                        }
                        for r in 0..T {
                            let mut sum = V::begin(i[r]);
                            for (k, q) in q[..run].iter().enumerate() {
                                sum = sum.dot4(BITS, *q, word(&x[r][n], first + k));
                            }
                            i[r] = sum.end(i[r]).settled();
                        }
                    } else {
                        let mut runs = i.map(V::begin);
                        for (k, line) in lines.iter().enumerate().skip(first).take(run) {
                            let q = V::load(&line.0, part);
                            for r in 0..T {
                                runs[r] = runs[r].dot4(BITS, q, word(&x[r][n], k));
                            }
                        }
                        for r in 0..T {
                            i[r] = runs[r].end(i[r]);
                        }
                    }
                }
                let a = V::f_load(&lines[if SPLIT { 8 + h } else { 8 }].0, part);
                for r in 0..T {
                    if HALVES {
                        acc[r] = V::f_fma(V::f_mul(a, i[r].to_f()), V::f_splat(x[r][n].scales[h]), acc[r]);
                    } else if h == 0 {
                        t[r] = V::f_mul(a, i[r].to_f());
                    } else {
                        t[r] = V::f_fma(a, i[r].to_f(), t[r]);
                    }
                }
            }
            if HALVES {
                continue;
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
                acc[r] = V::f_fma(t[r], V::f_splat(x[r][n].scales[1]), acc[r]);
            }
        }
        for (acc, out) in acc.into_iter().zip(&mut *out) {
            V::f_put(acc, out, part);
        }
    }
}
