//! F32, F16, BF16: one number is one block.

use super::{Block, Half};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// IEEE single, little-endian.
#[derive(Debug, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct F32([u8; 4]);

impl F32 {
    /// A number as it stands in a file.
    #[inline]
    #[must_use]
    pub fn new(value: f32) -> Self {
        Self(value.to_le_bytes())
    }
}

impl Block<1> for F32 {
    #[inline]
    fn is_finite(&self) -> bool {
        u32::from_le_bytes(self.0) & 0x7F80_0000 != 0x7F80_0000
    }
    #[inline]
    fn dequantize(&self, out: &mut [f32; 1]) {
        *out = [f32::from_le_bytes(self.0)];
    }
}

/// IEEE half, little-endian.
#[derive(Debug, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct F16(pub Half);

impl Block<1> for F16 {
    #[inline]
    fn is_finite(&self) -> bool {
        self.0.is_finite()
    }
    #[inline]
    fn dequantize(&self, out: &mut [f32; 1]) {
        *out = [self.0.get()];
    }
}

/// The upper half of an IEEE single, little-endian.
#[derive(Debug, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Bf16([u8; 2]);

impl Bf16 {
    /// The nearest number of this format, ties to even.
    #[inline]
    #[must_use]
    pub fn new(value: f32) -> Self {
        Self(half::bf16::from_f32(value).to_le_bytes())
    }
}

impl Block<1> for Bf16 {
    #[inline]
    fn is_finite(&self) -> bool {
        u16::from_le_bytes(self.0) & 0x7F80 != 0x7F80
    }
    #[inline]
    fn dequantize(&self, out: &mut [f32; 1]) {
        let [low, high] = self.0;
        *out = [f32::from_le_bytes([0, 0, low, high])];
    }
}
