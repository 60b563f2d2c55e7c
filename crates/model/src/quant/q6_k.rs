//! Q6_K: 256 weights of 6 bits, offset 32, in 16 groups of 16, each with an 8-bit scale.

use super::{Block, Half};
use fault::fault;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `w = (d scale) (q - 32)` per group.
#[derive(Debug, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Q6K {
    /// Low four bits: two halves of 128 weights in 64 bytes each. Byte `i` of a half holds weight `i` in the low nibble
    /// and weight `i + 64` in the high one.
    pub ql: [u8; 128],
    /// High two bits: two halves in 32 bytes each; byte `i` of a half holds those of weights `i`, `i + 32`, `i + 64`,
    /// `i + 96`, lowest bits first.
    pub qh: [u8; 64],
    /// Scale of each group.
    pub scales: [i8; 16],
    /// Scale of the scales.
    pub d: Half,
}

impl Block<256> for Q6K {
    fn is_finite(&self) -> bool {
        self.d.is_finite()
    }
    fn dequantize(&self, out: &mut [f32; 256]) {
        let d = self.d.get();
        let (ql, _) = self.ql.as_chunks::<32>();
        let (qh, _) = self.qh.as_chunks::<32>();
        let (runs, _) = out.as_chunks_mut::<32>();
        for (run, out) in runs.iter_mut().enumerate() {
            let (half, part) = (run / 4, run % 4);
            let (low, high) = (&ql[half * 2 + part % 2], &qh[half]);
            for (i, out) in out.iter_mut().enumerate() {
                let q = low[i] >> (part / 2 * 4) & 15 | (high[i] >> (part * 2) & 3) << 4;
                let scale = self.scales[run * 2 + i / 16];
                let scale =
                    if fault!("q6k-scale-unsigned") { scale.unsigned_abs().into() } else { f32::from(scale) };
                *out = d * scale * f32::from(q as i8 - 32);
            }
        }
    }
}
