//! Q3_K: 256 weights of 3 bits in 16 groups of 16, each with a 6-bit scale.

use super::{Block, Half};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `w = (d (scale - 32)) (q - 4)` per group, with `q` of 3 bits.
#[derive(Debug, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Q3K {
    /// Bit 2 of the weights: bit `j` of byte `i` belongs to weight `32 j + i`.
    pub hmask: [u8; 32],
    /// Low two bits: two halves of 128 weights in 32 bytes each; byte `i` of a half holds weights `i`, `i + 32`,
    /// `i + 64`, `i + 96`, lowest bits first.
    pub qs: [u8; 64],
    /// Scales of 6 bits. Low four: group `g < 8` in the low nibble of byte `g`, `g >= 8` in the high nibble of byte
    /// `g - 8`. High two: bits `2 (g / 4)` of byte `8 + g % 4`.
    pub scales: [u8; 12],
    /// Scale of the scales.
    pub d: Half,
}

impl Q3K {
    /// The scale of a group, offset included: -32 to 31.
    #[inline]
    #[must_use]
    pub fn scale(&self, group: usize) -> i8 {
        let low = self.scales[group % 8] >> (group / 8 * 4) & 15;
        let high = self.scales[8 + group % 4] >> (group / 4 * 2) & 3;
        (low | high << 4) as i8 - 32
    }
}

impl Block<256> for Q3K {
    fn is_finite(&self) -> bool {
        self.d.is_finite()
    }
    fn dequantize(&self, out: &mut [f32; 256]) {
        let d = self.d.get();
        for (i, out) in out.iter_mut().enumerate() {
            let low = self.qs[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3;
            let high = self.hmask[i % 32] >> (i / 32) & 1;
            *out = d * f32::from(self.scale(i / 16)) * f32::from((low | high << 2) as i8 - 4);
        }
    }
}
