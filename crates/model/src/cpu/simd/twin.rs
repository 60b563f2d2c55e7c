//! What [`super::product`] and [`super::attend`] compute, one number at a time: products read from the formats' own
//! structs, attention straight from its definition.

use super::attend::{CHUNK, LANES, group_of};
use super::words::Halves;
use crate::cpu::q8::{BLOCK, Q8Block};
use crate::cpu::tile::{self, ROWS};
use crate::quant::{self, Block, Format, IQ4_VALUES};
use half::f16;

/// 32 columns of one row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Group {
    /// The integers.
    pub q: [i8; BLOCK],
    /// The scale, or one for each half.
    pub a: Scales,
    /// The minimum, or one for each half.
    pub b: Option<Scales>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scales {
    One(f32),
    Two(f32, f32),
}

/// Group `g` of one block.
pub(super) fn group(format: Format, block: &[u8], g: usize) -> Option<Group> {
    use Scales::{One, Two};
    fn view<B: Block<N>, const N: usize>(bytes: &[u8]) -> Option<&B> {
        B::ref_from_bytes(bytes).ok()
    }
    /// Nibble `i` of 16 bytes, the low ones first.
    fn nibble(qs: &[u8], i: usize) -> u8 {
        qs[i % 16] >> (i / 16 * 4) & 15
    }
    let q = |value: &dyn Fn(usize) -> u8, offset: i8| std::array::from_fn(|i| value(i) as i8 - offset);
    Some(match format {
        Format::F32 | Format::F16 | Format::BF16 => return None,
        Format::Q4_0 => {
            let w = view::<quant::Q4_0, 32>(block)?;
            Group { q: q(&|i| nibble(&w.qs, i), 8), a: One(w.d.get()), b: None }
        }
        Format::Q4_1 => {
            let w = view::<quant::Q4_1, 32>(block)?;
            Group { q: q(&|i| nibble(&w.qs, i), 0), a: One(w.d.get()), b: Some(One(-w.m.get())) }
        }
        Format::Q5_0 => {
            let w = view::<quant::Q5_0, 32>(block)?;
            let high = u32::from_le_bytes(w.qh);
            let value = |i| nibble(&w.qs, i) | ((high >> i & 1) << 4) as u8;
            Group { q: q(&value, 16), a: One(w.d.get()), b: None }
        }
        Format::Q5_1 => {
            let w = view::<quant::Q5_1, 32>(block)?;
            let high = u32::from_le_bytes(w.qh);
            let value = |i| nibble(&w.qs, i) | ((high >> i & 1) << 4) as u8;
            Group { q: q(&value, 0), a: One(w.d.get()), b: Some(One(-w.m.get())) }
        }
        Format::Q8_0 => {
            let w = view::<quant::Q8_0, 32>(block)?;
            Group { q: w.qs, a: One(w.d.get()), b: None }
        }
        Format::Q2K => {
            let w = view::<quant::Q2K, 256>(block)?;
            let value = |i| w.qs[g / 4 * 32 + i] >> (g % 4 * 2) & 3;
            let (s, t) = (w.scales[2 * g], w.scales[2 * g + 1]);
            let a = |s| w.d.get() * f32::from(s & 15);
            let b = |s| w.dmin.get() * f32::from(s >> 4);
            Group { q: q(&value, 0), a: Two(a(s), a(t)), b: Some(Two(b(s), b(t))) }
        }
        Format::Q3K => {
            let w = view::<quant::Q3K, 256>(block)?;
            let value = |i| w.qs[g / 4 * 32 + i] >> (g % 4 * 2) & 3 | (w.hmask[i] >> g & 1) << 2;
            let a = |h| w.d.get() * f32::from(w.scale(2 * g + h));
            Group { q: q(&value, 4), a: Two(a(0), a(1)), b: None }
        }
        Format::Q4K => {
            let w = view::<quant::Q4K, 256>(block)?;
            let value = |i| w.qs[g / 2 * 32 + i] >> (g % 2 * 4) & 15;
            let (s, m) = w.scale_min(g);
            let (a, b) = (w.d.get() * f32::from(s), w.dmin.get() * f32::from(m));
            Group { q: q(&value, 0), a: One(a), b: Some(One(b)) }
        }
        Format::Q5K => {
            let w = view::<quant::Q5K, 256>(block)?;
            let value = |i| w.qs[g / 2 * 32 + i] >> (g % 2 * 4) & 15 | (w.qh[i] >> g & 1) << 4;
            let (s, m) = w.scale_min(g);
            let (a, b) = (w.d.get() * f32::from(s), w.dmin.get() * f32::from(m));
            Group { q: q(&value, 0), a: One(a), b: Some(One(b)) }
        }
        Format::Q6K => {
            let w = view::<quant::Q6K, 256>(block)?;
            let value = |i| {
                let low = w.ql[g / 4 * 64 + g % 2 * 32 + i] >> (g % 4 / 2 * 4) & 15;
                low | (w.qh[g / 4 * 32 + i] >> (g % 4 * 2) & 3) << 4
            };
            let a = |h| w.d.get() * f32::from(w.scales[2 * g + h]);
            Group { q: q(&value, 32), a: Two(a(0), a(1)), b: None }
        }
        Format::IQ4NL => {
            let w = view::<quant::Iq4Nl, 32>(block)?;
            let q = std::array::from_fn(|i| IQ4_VALUES[usize::from(nibble(&w.qs, i))]);
            Group { q, a: One(w.d.get()), b: None }
        }
        Format::IQ4XS => {
            let w = view::<quant::Iq4Xs, 256>(block)?;
            let q = std::array::from_fn(|i| IQ4_VALUES[usize::from(nibble(&w.qs[16 * g..], i))]);
            Group { q, a: One(w.d.get() * f32::from(w.scale(g))), b: None }
        }
    })
}

/// One block of 32 columns: the sequence that [`q8`] defines.
fn step(format: Format, acc: f32, w: &Group, x: &Q8Block) -> f32 {
    let dot = |range: std::ops::Range<usize>| {
        let terms = w.q[range.clone()].iter().zip(&x.q[range]).map(|(w, x)| i32::from(*w) * i32::from(*x));
        terms.sum::<i32>() as f32
    };
    if let (true, Scales::One(a)) = (format.by_halves(), w.a) {
        let acc = (a * dot(0..16)).mul_add(x.scales[0], acc);
        return (a * dot(16..32)).mul_add(x.scales[1], acc);
    }
    let t = match w.a {
        Scales::One(a) => a * dot(0..32),
        Scales::Two(a, b) => b.mul_add(dot(16..32), a * dot(0..16)),
    };
    let sum = |h: usize| f32::from(x.halves[h]);
    let t = match w.b {
        None => t,
        Some(Scales::One(m)) => (-m).mul_add(x.sum, t),
        Some(Scales::Two(m, n)) => (-n).mul_add(sum(1), (-m).mul_add(sum(0), t)),
    };
    t.mul_add(x.scales[0], acc)
}

/// The products of rows of activations with whole tiles; row `r` of `x` writes `out[r]`.
pub(super) fn products(format: Format, tile: &[u8], x: &[&[Q8Block]], out: &mut [[f32; ROWS]]) {
    let row = format.row();
    let (record_bytes, groups) = (row.bytes * ROWS, row.block / BLOCK);
    // No block is longer.
    let mut buffer = [0; 256];
    let block = &mut buffer[..row.bytes];
    for lane in 0..ROWS {
        for out in &mut *out {
            out[lane] = 0.0;
        }
        for (n, record) in tile.chunks_exact(record_bytes).enumerate() {
            tile::block(format, record, lane, block);
            for g in 0..groups {
                let Some(group) = group(format, block, g) else { return };
                for (x, out) in x.iter().zip(&mut *out) {
                    out[lane] = step(format, out[lane], &group, &x[n * groups + g]);
                }
            }
        }
    }
}

fn half(halves: &Halves, i: usize) -> f32 {
    f16::from_le_bytes([halves[2 * i], halves[2 * i + 1]]).to_f32()
}

/// [`super::attend::scores`].
pub(super) fn scores(q: &[f32], keys: &[Halves], n: usize, scale: f32, out: &mut [f32]) {
    let head_dim = q.len() / group_of(out);
    for (q, out) in q.chunks_exact(head_dim.max(1)).zip(out.chunks_exact_mut(CHUNK)) {
        for (key, out) in out.iter_mut().take(n).enumerate() {
            let keys = &keys[key / LANES * head_dim..][..head_dim];
            let dot = q.iter().zip(keys).fold(0.0, |s, (q, k)| q.mul_add(half(k, key % LANES), s));
            *out = dot * scale;
        }
    }
}

/// [`super::attend::values`].
pub(super) fn values(weights: &[f32], values: &[Halves], n: usize, step: &[(f32, f32)], out: &mut [f32]) {
    let head_dim = out.len() / step.len().max(1);
    for ((weights, out), (old, new)) in
        weights.chunks_exact(CHUNK).zip(out.chunks_exact_mut(head_dim.max(1))).zip(step)
    {
        for (d, out) in out.iter_mut().enumerate() {
            let value = |key: usize| half(&values[key * (head_dim / LANES) + d / LANES], d % LANES);
            let sum = (0..n).fold(0.0, |s: f32, key| weights[key].mul_add(value(key), s));
            *out = sum.mul_add(*new, *out * old);
        }
    }
}
