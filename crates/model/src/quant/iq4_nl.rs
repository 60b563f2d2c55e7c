//! IQ4_NL: 32 weights of 4 bits that index a fixed table, one scale.

use super::{Block, Half};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The table, shared with IQ4_XS: GGML's `kvalues_iq4nl`.
pub const VALUES: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// `w = d VALUES[q]`.
#[derive(Debug, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Iq4Nl {
    /// Scale.
    pub d: Half,
    /// Low nibbles: weights 0 to 15; high nibbles: 16 to 31.
    pub qs: [u8; 16],
}

impl Block<32> for Iq4Nl {
    fn is_finite(&self) -> bool {
        self.d.is_finite()
    }
    fn dequantize(&self, out: &mut [f32; 32]) {
        let d = self.d.get();
        for (i, &q) in self.qs.iter().enumerate() {
            out[i] = d * f32::from(VALUES[usize::from(q & 15)]);
            out[i + 16] = d * f32::from(VALUES[usize::from(q >> 4)]);
        }
    }
}
