//! 32 numbers in as many registers as they take: what kernels are written over.
//!
//! A type's operations need its instruction set. The types stay inside `simd`, whose dispatch names each of them only
//! in code compiled for that set and reached after the processor was asked.

use crate::numerics::{self, DOT_LANES};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// 32 lanes of f32.
pub(super) trait Lanes: Copy {
    /// Whether twelve sums and their operands fit into the registers.
    const MANY: bool;
    /// Zeros.
    fn zero() -> Self;
    /// The same number in every lane.
    fn splat(x: f32) -> Self;
    /// From memory.
    fn load(x: &[f32; DOT_LANES]) -> Self;
    /// To memory.
    fn store(self, o: &mut [f32; DOT_LANES]);
    /// `self + a * b`, fused.
    fn fma(self, a: Self, b: Self) -> Self;
    /// The lanes' sum: [`numerics::halve`].
    #[inline(always)]
    fn halve(self) -> f32 {
        let mut lanes = [0.0; DOT_LANES];
        self.store(&mut lanes);
        numerics::halve(lanes)
    }
}

/// One number at a time.
#[derive(Clone, Copy)]
pub(super) struct Scalar([f32; DOT_LANES]);

impl Lanes for Scalar {
    const MANY: bool = false;
    #[inline(always)]
    fn zero() -> Self {
        Self([0.0; DOT_LANES])
    }
    #[inline(always)]
    fn splat(x: f32) -> Self {
        Self([x; DOT_LANES])
    }
    #[inline(always)]
    fn load(x: &[f32; DOT_LANES]) -> Self {
        Self(*x)
    }
    #[inline(always)]
    fn store(self, o: &mut [f32; DOT_LANES]) {
        *o = self.0;
    }
    #[inline(always)]
    fn fma(mut self, a: Self, b: Self) -> Self {
        for ((s, a), b) in self.0.iter_mut().zip(a.0).zip(b.0) {
            *s = a.mul_add(b, *s);
        }
        self
    }
}

/// Two registers of 16.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(super) struct Avx512(__m512, __m512);

// Registers are fields, not an array: the compiler keeps arrays of them in memory.
#[cfg(target_arch = "x86_64")]
impl Lanes for Avx512 {
    const MANY: bool = true;
    #[inline(always)]
    fn zero() -> Self {
        // SAFETY: the type is used in code compiled for AVX-512 only.
        unsafe { Self(_mm512_setzero_ps(), _mm512_setzero_ps()) }
    }
    #[inline(always)]
    fn splat(x: f32) -> Self {
        // SAFETY: as in `zero`.
        unsafe { Self(_mm512_set1_ps(x), _mm512_set1_ps(x)) }
    }
    #[inline(always)]
    fn load(x: &[f32; DOT_LANES]) -> Self {
        let p = x.as_ptr();
        // SAFETY: as in `zero`; the array holds 32 numbers, and the loads need no alignment.
        unsafe { Self(_mm512_loadu_ps(p), _mm512_loadu_ps(p.add(16))) }
    }
    #[inline(always)]
    fn store(self, o: &mut [f32; DOT_LANES]) {
        let p = o.as_mut_ptr();
        // SAFETY: as in `zero`; the array holds 32 numbers, and the stores need no alignment.
        unsafe {
            _mm512_storeu_ps(p, self.0);
            _mm512_storeu_ps(p.add(16), self.1);
        }
    }
    #[inline(always)]
    fn fma(self, a: Self, b: Self) -> Self {
        // SAFETY: as in `zero`.
        unsafe { Self(_mm512_fmadd_ps(a.0, b.0, self.0), _mm512_fmadd_ps(a.1, b.1, self.1)) }
    }
}

/// Four registers of 8.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(super) struct Avx2(__m256, __m256, __m256, __m256);

#[cfg(target_arch = "x86_64")]
impl Lanes for Avx2 {
    const MANY: bool = false;
    #[inline(always)]
    fn zero() -> Self {
        Self::splat(0.0)
    }
    #[inline(always)]
    fn splat(x: f32) -> Self {
        // SAFETY: the type is used in code compiled for AVX2 only.
        let x = unsafe { _mm256_set1_ps(x) };
        Self(x, x, x, x)
    }
    #[inline(always)]
    fn load(x: &[f32; DOT_LANES]) -> Self {
        let p = x.as_ptr();
        // SAFETY: as in `splat`; the array holds 32 numbers, and the loads need no alignment.
        unsafe {
            Self(
                _mm256_loadu_ps(p),
                _mm256_loadu_ps(p.add(8)),
                _mm256_loadu_ps(p.add(16)),
                _mm256_loadu_ps(p.add(24)),
            )
        }
    }
    #[inline(always)]
    fn store(self, o: &mut [f32; DOT_LANES]) {
        let p = o.as_mut_ptr();
        // SAFETY: as in `splat`; the array holds 32 numbers, and the stores need no alignment.
        unsafe {
            _mm256_storeu_ps(p, self.0);
            _mm256_storeu_ps(p.add(8), self.1);
            _mm256_storeu_ps(p.add(16), self.2);
            _mm256_storeu_ps(p.add(24), self.3);
        }
    }
    #[inline(always)]
    fn fma(self, a: Self, b: Self) -> Self {
        // SAFETY: as in `splat`.
        unsafe {
            Self(
                _mm256_fmadd_ps(a.0, b.0, self.0),
                _mm256_fmadd_ps(a.1, b.1, self.1),
                _mm256_fmadd_ps(a.2, b.2, self.2),
                _mm256_fmadd_ps(a.3, b.3, self.3),
            )
        }
    }
}
