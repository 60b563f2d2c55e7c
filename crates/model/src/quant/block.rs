//! What every format's block is: a plain struct of bytes with a scalar reference.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A block of `N` weights, viewed in place. It has no padding and no alignment, and every bit pattern is valid.
pub trait Block<const N: usize>: FromBytes + Immutable + KnownLayout + Unaligned {
    /// Whether its weights are finite: they are exactly when its scales are.
    fn is_finite(&self) -> bool;
    /// Writes the block's weights, in order.
    fn dequantize(&self, out: &mut [f32; N]);
}

/// Code that is generic over a block's layout: what [`super::Format::visit`] runs.
pub trait Visit {
    /// What it gives back.
    type Out;
    /// Runs it for blocks `B` of `N` weights.
    fn visit<B: Block<N>, const N: usize>(self) -> Self::Out;
}

/// The blocks that make up `bytes`; the caller checked that they are whole.
pub(crate) fn view<B: Block<N>, const N: usize>(bytes: &[u8]) -> &[B] {
    let whole = bytes.len() / size_of::<B>() * size_of::<B>();
    <[B]>::ref_from_bytes(&bytes[..whole]).unwrap_or_default()
}

/// The same, to be written.
pub(crate) fn view_mut<B: Block<N> + IntoBytes, const N: usize>(bytes: &mut [u8]) -> &mut [B] {
    let whole = bytes.len() / size_of::<B>() * size_of::<B>();
    <[B]>::mut_from_bytes(&mut bytes[..whole]).unwrap_or_default()
}

#[inline]
pub(crate) fn dequantize<B: Block<N>, const N: usize>(bytes: &[u8], out: &mut [f32]) {
    let (out, _) = out.as_chunks_mut::<N>();
    for (block, out) in view::<B, N>(bytes).iter().zip(out) {
        block.dequantize(out);
    }
}

/// An IEEE half float, little-endian, at any address.
#[derive(Debug, Clone, Copy, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Half([u8; 2]);

impl Half {
    /// The nearest half, ties to even.
    #[inline]
    #[must_use]
    pub fn new(value: f32) -> Self {
        Self(half::f16::from_f32(value).to_le_bytes())
    }
    /// Its value, exactly.
    #[inline]
    #[must_use]
    pub fn get(self) -> f32 {
        half::f16::from_le_bytes(self.0).to_f32()
    }

    /// Whether it is neither NaN nor infinite.
    #[inline]
    #[must_use]
    pub fn is_finite(self) -> bool {
        u16::from_le_bytes(self.0) & 0x7C00 != 0x7C00
    }
}
