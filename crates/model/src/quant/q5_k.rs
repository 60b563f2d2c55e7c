//! Q5_K: 256 weights of 5 bits in 8 groups of 32, each with a 6-bit scale and a 6-bit minimum.

use super::q4_k::scale_min;
use super::{Block, Half};
use fault::fault;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `w = (d scale) q - (dmin min)` per group.
#[derive(Debug, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Q5K {
    /// Scale of the scales.
    pub d: Half,
    /// Scale of the minima.
    pub dmin: Half,
    /// Scales and minima, packed as in Q4_K.
    pub scales: [u8; 12],
    /// Bit 4 of the weights: bit `g` of byte `i` belongs to weight `i` of group `g`.
    pub qh: [u8; 32],
    /// Low four bits: four quarters of 64 weights in 32 bytes each. Low nibbles: the quarter's first group; high
    /// nibbles: its second.
    pub qs: [u8; 128],
}

impl Q5K {
    /// Scale and minimum of a group, 6 bits each.
    #[inline]
    #[must_use]
    pub fn scale_min(&self, group: usize) -> (u8, u8) {
        scale_min(&self.scales, group)
    }
}

/// Bit 4 of a weight of a group.
fn bit4(high: u8, group: usize) -> u8 {
    if fault!("q5k-high-bit-dropped") { 0 } else { (high >> group & 1) << 4 }
}

impl Block<256> for Q5K {
    fn is_finite(&self) -> bool {
        self.d.is_finite() & self.dmin.is_finite()
    }
    fn dequantize(&self, out: &mut [f32; 256]) {
        let (d, dmin) = (self.d.get(), self.dmin.get());
        let (quarters, _) = self.qs.as_chunks::<32>();
        let (groups, _) = out.as_chunks_mut::<32>();
        for (group, out) in groups.iter_mut().enumerate() {
            let (scale, min) = self.scale_min(group);
            let (scale, min) = (d * f32::from(scale), dmin * f32::from(min));
            let shift = group % 2 * 4;
            for ((out, &q), &high) in out.iter_mut().zip(&quarters[group / 2]).zip(&self.qh) {
                *out = scale * f32::from(q >> shift & 15 | bit4(high, group)) - min;
            }
        }
    }
}
