//! Q4_K: 256 weights of 4 bits in 8 groups of 32, each with a 6-bit scale and a 6-bit minimum.

use super::{Block, Half};
use fault::fault;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `w = (d scale) q - (dmin min)` per group.
#[derive(Debug, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Q4K {
    /// Scale of the scales.
    pub d: Half,
    /// Scale of the minima.
    pub dmin: Half,
    /// Scales and minima: `scale_min`.
    pub scales: [u8; 12],
    /// Four quarters of 64 weights in 32 bytes each. Low nibbles: the quarter's first group; high nibbles: its second.
    pub qs: [u8; 128],
}

/// Scale and minimum of group `g`, shared with Q5_K.
///
/// Groups 0 to 3: low six bits of bytes `g` and `g + 4`. Groups 4 to 7: low four bits are the low and the high nibble of
/// byte `g + 4`; high two bits are the high two bits of bytes `g - 4` and `g`.
#[inline]
pub(super) fn scale_min(scales: &[u8; 12], group: usize) -> (u8, u8) {
    if group < 4 {
        (scales[group] & 63, scales[group + 4] & 63)
    } else {
        let low = scales[group + 4];
        (low & 15 | scales[group - 4] >> 6 << 4, low >> 4 | scales[group] >> 6 << 4)
    }
}

/// The packed form of scales and minima of 6 bits each: the inverse of [`scale_min`].
pub(crate) fn pack_scale_min(scales: [u8; 8], mins: [u8; 8]) -> [u8; 12] {
    let mut out = [0; 12];
    for g in 0..4 {
        out[g] = scales[g] & 63 | scales[g + 4] >> 4 << 6;
        out[g + 4] = mins[g] & 63 | mins[g + 4] >> 4 << 6;
        out[g + 8] = scales[g + 4] & 15 | mins[g + 4] << 4;
    }
    out
}

impl Q4K {
    /// Scale and minimum of a group, 6 bits each.
    #[inline]
    #[must_use]
    pub fn scale_min(&self, group: usize) -> (u8, u8) {
        scale_min(&self.scales, group)
    }
}

impl Block<256> for Q4K {
    fn is_finite(&self) -> bool {
        self.d.is_finite() & (fault!("q4k-minimum-not-looked-at") | self.dmin.is_finite())
    }
    fn dequantize(&self, out: &mut [f32; 256]) {
        let (d, dmin) = (self.d.get(), self.dmin.get());
        let (quarters, _) = self.qs.as_chunks::<32>();
        let (groups, _) = out.as_chunks_mut::<32>();
        for (group, out) in groups.iter_mut().enumerate() {
            let (scale, min) = self.scale_min(group);
            let (scale, min) = (d * f32::from(scale), dmin * f32::from(min));
            let shift = if fault!("q4k-nibble-swap") { 4 - group % 2 * 4 } else { group % 2 * 4 };
            for (out, &q) in out.iter_mut().zip(&quarters[group / 2]) {
                *out = scale * f32::from(q >> shift & 15) - min;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{pack_scale_min, scale_min};

    #[test]
    fn packed_scales_are_read_back() {
        let scales = [63, 0, 17, 32, 63, 48, 15, 1];
        let mins = [0, 63, 31, 16, 47, 63, 16, 33];
        let packed = pack_scale_min(scales, mins);
        for g in 0..8 {
            assert_eq!(scale_min(&packed, g), (scales[g], mins[g]));
        }
    }
}
