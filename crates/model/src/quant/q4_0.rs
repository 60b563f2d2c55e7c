//! Q4_0: 32 weights of 4 bits, offset 8, one scale.

use super::{Block, Half};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `w = d (q - 8)`.
#[derive(Debug, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Q4_0 {
    /// Scale.
    pub d: Half,
    /// Low nibbles: weights 0 to 15; high nibbles: 16 to 31.
    pub qs: [u8; 16],
}

impl Block<32> for Q4_0 {
    fn is_finite(&self) -> bool {
        self.d.is_finite()
    }
    fn dequantize(&self, out: &mut [f32; 32]) {
        let d = self.d.get();
        for (i, &q) in self.qs.iter().enumerate() {
            out[i] = d * f32::from((q & 15) as i8 - 8);
            out[i + 16] = d * f32::from((q >> 4) as i8 - 8);
        }
    }
}
