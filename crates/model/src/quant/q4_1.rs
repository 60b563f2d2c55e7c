//! Q4_1: 32 weights of 4 bits, scale and minimum.

use super::{Block, Half};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `w = d q + m`.
#[derive(Debug, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Q4_1 {
    /// Scale.
    pub d: Half,
    /// Minimum.
    pub m: Half,
    /// Low nibbles: weights 0 to 15; high nibbles: 16 to 31.
    pub qs: [u8; 16],
}

impl Block<32> for Q4_1 {
    fn is_finite(&self) -> bool {
        self.d.is_finite() & self.m.is_finite()
    }
    fn dequantize(&self, out: &mut [f32; 32]) {
        let (d, m) = (self.d.get(), self.m.get());
        for (i, &q) in self.qs.iter().enumerate() {
            out[i] = d * f32::from(q & 15) + m;
            out[i + 16] = d * f32::from(q >> 4) + m;
        }
    }
}
