//! Q5_0: 32 weights of 5 bits, offset 16, one scale.

use super::{Block, Half};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `w = d (q - 16)`.
#[derive(Debug, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Q5_0 {
    /// Scale.
    pub d: Half,
    /// Bit `i` of this little-endian word is bit 4 of weight `i`.
    pub qh: [u8; 4],
    /// Low four bits. Low nibbles: weights 0 to 15; high nibbles: 16 to 31.
    pub qs: [u8; 16],
}

impl Block<32> for Q5_0 {
    fn is_finite(&self) -> bool {
        self.d.is_finite()
    }
    fn dequantize(&self, out: &mut [f32; 32]) {
        let d = self.d.get();
        let high = u32::from_le_bytes(self.qh);
        let bit4 = |i: usize| ((high >> i & 1) << 4) as u8;
        for (i, &q) in self.qs.iter().enumerate() {
            out[i] = d * f32::from((q & 15 | bit4(i)) as i8 - 16);
            out[i + 16] = d * f32::from((q >> 4 | bit4(i + 16)) as i8 - 16);
        }
    }
}
