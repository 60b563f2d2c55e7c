//! Q8_0: 32 weights of 8 bits, one scale.

use super::{Block, Half};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `w = d q`.
#[derive(Debug, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Q8_0 {
    /// Scale.
    pub d: Half,
    /// The weights.
    pub qs: [i8; 32],
}

impl Block<32> for Q8_0 {
    fn is_finite(&self) -> bool {
        self.d.is_finite()
    }
    fn dequantize(&self, out: &mut [f32; 32]) {
        let d = self.d.get();
        for (out, &q) in out.iter_mut().zip(&self.qs) {
            *out = d * f32::from(q);
        }
    }
}
