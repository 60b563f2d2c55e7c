//! Random blocks of every format with a given mean and standard deviation.
//!
//! The bits of a block are random; then its scales are set. A stream of random numbers belongs to a seed, a tensor's
//! name and a chunk, so what a block holds does not depend on which thread draws it.

use crate::quant::{Bf16, F16, F32, Q2K, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0, pack_scale_min};
use crate::quant::{Block, Format, Half, IQ4_VALUES, Iq4Nl, Iq4Xs, view_mut};
use fault::fault;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};
use zerocopy::IntoBytes;

/// Of what size the weights are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Distribution {
    /// Their mean; formats with blocks have mean 0 whatever this says, small tensors are F32.
    pub(super) mean: f32,
    /// Their standard deviation.
    pub(super) deviation: f32,
}

type Random = Xoshiro256PlusPlus;

/// The random numbers of one chunk of one tensor.
pub(super) fn stream(seed: u64, tensor: &str, chunk: u64) -> Random {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(chunk.to_le_bytes());
    hash.update(tensor.as_bytes());
    Random::from_seed(hash.finalize().into())
}

/// Uniform in [0, 1), 24 bits of it.
fn unit(random: &mut Random) -> f32 {
    (random.next_u32() >> 8) as f32 / 16_777_216.0
}

/// Fills whole blocks of `format`.
pub(super) fn fill(format: Format, d: Distribution, mut random: Random, bytes: &mut [u8]) {
    random.fill_bytes(bytes);
    let r = &mut random;
    let s = if fault!("synth-scale-ignored") { 1.0 } else { d.deviation };
    // Standard deviation of uniform integers of 2, 4, 5 and 8 bits: sqrt((n^2 - 1) / 12).
    const BITS2: f32 = 1.118_034;
    const BITS4: f32 = 4.609_772;
    const BITS5: f32 = 9.233_093;
    const BITS6: f32 = 18.472_86;
    const BITS8: f32 = 73.899_7;
    match format {
        Format::F32 => each::<F32, 1>(bytes, r, |b, r| *b = F32::new(number(d, r))),
        Format::F16 => each::<F16, 1>(bytes, r, |b, r| *b = F16(Half::new(number(d, r)))),
        Format::BF16 => each::<Bf16, 1>(bytes, r, |b, r| *b = Bf16::new(number(d, r))),
        Format::Q4_0 => each::<Q4_0, 32>(bytes, r, |b, r| b.d = scale(s / BITS4, r).0),
        Format::Q4_1 => each::<Q4_1, 32>(bytes, r, |b, r| {
            let (d, exact) = scale(s / BITS4, r);
            (b.d, b.m) = (d, Half::new(-7.5 * exact));
        }),
        Format::Q5_0 => each::<Q5_0, 32>(bytes, r, |b, r| b.d = scale(s / BITS5, r).0),
        Format::Q5_1 => each::<Q5_1, 32>(bytes, r, |b, r| {
            let (d, exact) = scale(s / BITS5, r);
            (b.d, b.m) = (d, Half::new(-15.5 * exact));
        }),
        Format::Q8_0 => each::<Q8_0, 32>(bytes, r, |b, r| b.d = scale(s / BITS8, r).0),
        Format::Q2K => each::<Q2K, 256>(bytes, r, |b, r| {
            // Scale and minimum of a group are the same, 8 to 15, of root mean square 11.73.
            for group in &mut b.scales {
                let scale = *group & 7 | 8;
                *group = scale | scale << 4;
            }
            let (d, exact) = scale(s / (BITS2 * 11.73), r);
            (b.d, b.dmin) = (d, Half::new(1.5 * exact));
        }),
        Format::Q3K => each::<Q3K, 256>(bytes, r, |b, r| {
            // Three bits, -4 to 3, have root mean square 2.345.
            b.d = scale(s / (BITS6 * 2.345), r).0;
        }),
        Format::Q4K => each::<Q4K, 256>(bytes, r, |b, r| {
            (b.d, b.dmin, b.scales) = k_scales(s, BITS4, 7.5, b.scales, r);
        }),
        Format::Q5K => each::<Q5K, 256>(bytes, r, |b, r| {
            (b.d, b.dmin, b.scales) = k_scales(s, BITS5, 15.5, b.scales, r);
        }),
        Format::Q6K => each::<Q6K, 256>(bytes, r, |b, r| b.d = scale(s / (BITS8 * BITS6), r).0),
        Format::IQ4NL => each::<Iq4Nl, 32>(bytes, r, |b, r| b.d = scale(s / iq4(), r).0),
        Format::IQ4XS => each::<Iq4Xs, 256>(bytes, r, |b, r| b.d = scale(s / (iq4() * BITS6), r).0),
    }
}

fn each<B: Block<N> + IntoBytes, const N: usize>(
    bytes: &mut [u8],
    random: &mut Random,
    mut set: impl FnMut(&mut B, &mut Random),
) {
    view_mut::<B, N>(bytes).iter_mut().for_each(|block| set(block, random));
}

/// A number of that distribution: uniform, so that its bits are the same wherever it is drawn.
fn number(d: Distribution, random: &mut Random) -> f32 {
    // The deviation of a uniform number in [-1, 1) is 1 / sqrt(3).
    d.mean + d.deviation * 1.732_050_8 * (2.0 * unit(random) - 1.0)
}

/// A scale near `s`, as a half and before rounding: blocks differ by up to a quarter, as those of real files do.
fn scale(s: f32, random: &mut Random) -> (Half, f32) {
    let s = s * (0.75 + 0.5 * unit(random));
    (Half::new(s), s)
}

/// Scales of Q4_K and Q5_K: a group's scale is 32 to 63, of root mean square 48.39, and its minimum the same, so that
/// `d scale q - d middle scale` is centred.
fn k_scales(s: f32, bits: f32, middle: f32, raw: [u8; 12], random: &mut Random) -> (Half, Half, [u8; 12]) {
    let scales = std::array::from_fn(|group| raw[group] & 31 | 32);
    let (d, exact) = scale(s / (bits * 48.39), random);
    (d, Half::new(middle * exact), pack_scale_min(scales, scales))
}

/// Root mean square of the values of IQ4.
fn iq4() -> f32 {
    let squares: i32 = IQ4_VALUES.iter().map(|&v| i32::from(v) * i32::from(v)).sum();
    (squares as f32 / 16.0).sqrt()
}

#[cfg(test)]
mod tests {
    use super::{Distribution, fill, stream};
    use crate::quant::FORMATS;

    #[test]
    fn every_format_has_the_wanted_mean_and_deviation() {
        for row in FORMATS {
            let deviation = 0.022;
            let mut bytes = vec![0; 256 * 512 / row.block * row.bytes];
            fill(row.format, Distribution { mean: 0.0, deviation }, stream(1, "t", 0), &mut bytes);
            let mut weights = vec![0.0; 256 * 512];
            row.format.dequantize(&bytes, &mut weights).unwrap();
            let n = weights.len() as f64;
            let mean = weights.iter().map(|&w| f64::from(w)).sum::<f64>() / n;
            let rms = (weights.iter().map(|&w| f64::from(w) * f64::from(w)).sum::<f64>() / n).sqrt();
            // Formats without a minimum are off centre by half a step: of 8 at 3 bits, 0.5 / 2.345.
            let centre = f64::from(deviation) * 0.22;
            assert!(mean.abs() < centre, "{}: mean {mean}", row.name);
            // The scales' spread adds 1 %, their rounding to halves below 1e-4 another.
            assert!((rms / f64::from(deviation) - 1.0).abs() < 0.03, "{}: rms {rms}", row.name);
            assert!(weights.iter().all(|w| w.is_finite()), "{}", row.name);
        }
    }

    #[test]
    fn streams_differ_by_seed_tensor_and_chunk() {
        let draw = |seed, name, chunk| {
            let mut bytes = [0; 144];
            let d = Distribution { mean: 0.0, deviation: 1.0 };
            fill(crate::quant::Format::Q4K, d, stream(seed, name, chunk), &mut bytes);
            bytes
        };
        let base = draw(1, "a", 0);
        assert_eq!(draw(1, "a", 0), base);
        assert!([draw(2, "a", 0), draw(1, "b", 0), draw(1, "a", 1)].iter().all(|b| *b != base));
    }
}
