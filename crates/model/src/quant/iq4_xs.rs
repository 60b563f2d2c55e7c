//! IQ4_XS: 256 weights of 4 bits that index a fixed table, in 8 groups of 32, each with a 6-bit scale.

use super::iq4_nl::VALUES;
use super::{Block, Half};
use fault::fault;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `w = (d (scale - 32)) VALUES[q]` per group.
#[derive(Debug, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Iq4Xs {
    /// Scale of the scales.
    pub d: Half,
    /// High two bits of the scales: bits `2 g` of this little-endian word.
    pub scales_h: [u8; 2],
    /// Low four bits of the scales: group `g` in byte `g / 2`, even groups in the low nibble.
    pub scales_l: [u8; 4],
    /// 16 bytes per group. Low nibbles: its weights 0 to 15; high nibbles: 16 to 31.
    pub qs: [u8; 128],
}

impl Iq4Xs {
    /// The scale of a group, offset included: -32 to 31.
    #[inline]
    #[must_use]
    pub fn scale(&self, group: usize) -> i8 {
        let low = self.scales_l[group / 2] >> (group % 2 * 4) & 15;
        let high = (u16::from_le_bytes(self.scales_h) >> (2 * group) & 3) as u8;
        let offset = if fault!("iq4xs-scale-offset") { 31 } else { 32 };
        (low | high << 4) as i8 - offset
    }
}

impl Block<256> for Iq4Xs {
    fn is_finite(&self) -> bool {
        self.d.is_finite()
    }
    fn dequantize(&self, out: &mut [f32; 256]) {
        let d = self.d.get();
        let (bytes, _) = self.qs.as_chunks::<16>();
        let (groups, _) = out.as_chunks_mut::<32>();
        for (group, (out, bytes)) in groups.iter_mut().zip(bytes).enumerate() {
            let scale = d * f32::from(self.scale(group));
            for (i, &q) in bytes.iter().enumerate() {
                out[i] = scale * f32::from(VALUES[usize::from(q & 15)]);
                out[i + 16] = scale * f32::from(VALUES[usize::from(q >> 4)]);
            }
        }
    }
}
