//! Q2_K: 256 weights of 2 bits in 16 groups of 16, each with a 4-bit scale and a 4-bit minimum.

use super::{Block, Half};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `w = (d scale) q - (dmin min)` per group.
#[derive(Debug, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Q2K {
    /// Group `g`: scale in the low nibble, minimum in the high one.
    pub scales: [u8; 16],
    /// Two halves of 128 weights in 32 bytes each; byte `i` of a half holds weights `i`, `i + 32`, `i + 64`, `i + 96`,
    /// lowest bits first.
    pub qs: [u8; 64],
    /// Scale of the scales.
    pub d: Half,
    /// Scale of the minima.
    pub dmin: Half,
}

impl Block<256> for Q2K {
    fn is_finite(&self) -> bool {
        self.d.is_finite() & self.dmin.is_finite()
    }
    fn dequantize(&self, out: &mut [f32; 256]) {
        let (d, dmin) = (self.d.get(), self.dmin.get());
        for (i, out) in out.iter_mut().enumerate() {
            let group = self.scales[i / 16];
            let (scale, min) = (d * f32::from(group & 15), dmin * f32::from(group >> 4));
            let q = self.qs[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3;
            *out = scale * f32::from(q) - min;
        }
    }
}
