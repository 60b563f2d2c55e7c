//! 32-bit words of sixteen rows, in as many registers as they take: what the integer kernels are written over.
//!
//! As with [`super::lanes`], a type's operations need its instruction set, and the types stay inside `simd`.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// A line of a tile: one word of each of 16 rows.
pub(super) type Line = [u8; 64];

/// 16 half floats, little-endian.
pub(crate) type Halves = [u8; 32];

/// One word of each of `16 / PARTS` rows; `part` says which of the 16.
pub(super) trait Words: Copy {
    /// As many f32.
    type F: Copy;
    /// Registers that make up a line.
    const PARTS: usize;
    /// How many rows of activations an opened tile is multiplied with at once, 6 or 8: their sums stay in registers.
    const ROWS: usize;

    fn load(line: &Line, part: usize) -> Self;
    fn store(self, line: &mut Line, part: usize);
    fn splat(word: u32) -> Self;
    fn and(self, o: Self) -> Self;
    fn or(self, o: Self) -> Self;
    fn xor(self, o: Self) -> Self;
    fn add(self, o: Self) -> Self;
    /// The low 32 bits of the product.
    fn mul(self, o: Self) -> Self;
    fn shl(self, bits: i32) -> Self;
    fn shr(self, bits: i32) -> Self;
    /// Keeps the sign.
    fn sar(self, bits: i32) -> Self;
    /// Replaces every byte, which is below 16, by that entry of a table.
    fn lookup(self, table: &[u8; 16]) -> Self;
    /// The words as signed integers.
    fn to_f(self) -> Self::F;
    /// The half floats in the low halves of the words.
    fn low_half(self) -> Self::F;
    /// Half floats of 16 rows.
    fn load_halves(halves: &Halves, part: usize) -> Self::F;

    /// `sum of z * halves` as the first value of a sum of products, `z` and `halves` being pairs of 16-bit integers. With
    /// bytes of eight bits, [`Words::dot4`] takes care of their offset itself where it has to, and this may be 0.
    fn start(bits: u32, z: Self, halves: [i16; 2]) -> Self;
    /// Begins a run of up to [`run`] words, to be added to `sum`.
    fn begin(sum: Self) -> Self;
    /// Adds to a run the products of each row's four bytes, unsigned and below `2^bits`, with the four of `x`, signed and
    /// not -128. Bytes of eight bits carry an offset of 128.
    fn dot4(self, bits: u32, q: Self, x: [i8; 4]) -> Self;
    /// `sum` with a run added: an integer for each row.
    fn end(self, sum: Self) -> Self;
    /// The same, computed here: the compiler neither moves what comes before behind this nor adds in another order, where
    /// it would keep in memory what there are too few registers for.
    fn settled(self) -> Self;

    fn f_zero() -> Self::F;
    fn f_splat(x: f32) -> Self::F;
    fn f_load(line: &Line, part: usize) -> Self::F;
    fn f_store(x: Self::F, line: &mut Line, part: usize);
    fn f_get(x: &[f32; 16], part: usize) -> Self::F;
    fn f_put(x: Self::F, out: &mut [f32; 16], part: usize);
    fn f_mul(a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`, fused.
    fn f_fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// `c - a * b`, fused.
    fn f_fnma(a: Self::F, b: Self::F, c: Self::F) -> Self::F;

    /// Byte `index` of every word.
    #[inline(always)]
    fn byte(self, index: i32) -> Self {
        if index == 3 { self.shr(24) } else { self.shr(8 * index).and(Self::splat(0xff)) }
    }
    /// Byte `index` of every word, signed.
    #[inline(always)]
    fn signed_byte(self, index: i32) -> Self {
        self.shl(24 - 8 * index).sar(24)
    }
    /// The half floats in the high halves of the words.
    #[inline(always)]
    fn high_half(self) -> Self::F {
        self.shr(16).low_half()
    }
}

/// Words that one run holds, so that its sums of pairs fit 16 bits where there is no instruction that adds four products
/// in 32 bits: `2 * (2^bits - 1) * 127` each.
pub(super) const fn run(bits: u32) -> usize {
    let words = i16::MAX as usize / (2 * ((1 << bits) - 1) * 127);
    if words == 0 {
        1
    } else if words > 8 {
        8
    } else {
        words
    }
}

/// One register of 16 words.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(super) struct Avx512(__m512i);

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn pair(halves: [i16; 2]) -> i32 {
    i32::from(halves[0]) & 0xffff | i32::from(halves[1]) << 16
}

// SAFETY, for every block of this implementation: the type is used in code compiled for AVX-512 with VNNI only; what is
// read or written is an array of the register's size, and no load or store needs alignment.
#[cfg(target_arch = "x86_64")]
impl Words for Avx512 {
    type F = __m512;
    const PARTS: usize = 1;
    const ROWS: usize = 8;

    #[inline(always)]
    fn load(line: &Line, _: usize) -> Self {
        // SAFETY: 64 bytes of an array; see above.
        Self(unsafe { _mm512_loadu_si512(line.as_ptr().cast()) })
    }
    #[inline(always)]
    fn store(self, line: &mut Line, _: usize) {
        // SAFETY: 64 bytes of an array; see above.
        unsafe { _mm512_storeu_si512(line.as_mut_ptr().cast(), self.0) }
    }
    #[inline(always)]
    fn splat(word: u32) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_set1_epi32(word as i32) })
    }
    #[inline(always)]
    fn and(self, o: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_and_si512(self.0, o.0) })
    }
    #[inline(always)]
    fn or(self, o: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_or_si512(self.0, o.0) })
    }
    #[inline(always)]
    fn xor(self, o: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_xor_si512(self.0, o.0) })
    }
    #[inline(always)]
    fn add(self, o: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_add_epi32(self.0, o.0) })
    }
    #[inline(always)]
    fn mul(self, o: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_mullo_epi32(self.0, o.0) })
    }
    #[inline(always)]
    fn shl(self, bits: i32) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_sll_epi32(self.0, _mm_cvtsi32_si128(bits)) })
    }
    #[inline(always)]
    fn shr(self, bits: i32) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_srl_epi32(self.0, _mm_cvtsi32_si128(bits)) })
    }
    #[inline(always)]
    fn sar(self, bits: i32) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_sra_epi32(self.0, _mm_cvtsi32_si128(bits)) })
    }
    #[inline(always)]
    fn lookup(self, table: &[u8; 16]) -> Self {
        // SAFETY: 16 bytes of an array; see above.
        Self(unsafe {
            let table = _mm512_broadcast_i32x4(_mm_loadu_si128(table.as_ptr().cast()));
            _mm512_shuffle_epi8(table, self.0)
        })
    }
    #[inline(always)]
    fn to_f(self) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_cvtepi32_ps(self.0) }
    }
    #[inline(always)]
    fn low_half(self) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_cvtph_ps(_mm512_cvtepi32_epi16(self.0)) }
    }
    #[inline(always)]
    fn load_halves(halves: &Halves, _: usize) -> __m512 {
        // SAFETY: 32 bytes of an array; see above.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(halves.as_ptr().cast())) }
    }
    #[inline(always)]
    fn start(_: u32, z: Self, halves: [i16; 2]) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_dpwssd_epi32(_mm512_setzero_si512(), z.0, _mm512_set1_epi32(pair(halves))) })
    }
    #[inline(always)]
    fn begin(sum: Self) -> Self {
        sum
    }
    #[inline(always)]
    fn dot4(self, _: u32, q: Self, x: [i8; 4]) -> Self {
        let x = i32::from_le_bytes(zerocopy::transmute!(x));
        // SAFETY: see above.
        Self(unsafe { _mm512_dpbusd_epi32(self.0, q.0, _mm512_set1_epi32(x)) })
    }
    #[inline(always)]
    fn end(self, _: Self) -> Self {
        self
    }
    #[inline(always)]
    fn settled(self) -> Self {
        self
    }
    #[inline(always)]
    fn f_zero() -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_setzero_ps() }
    }
    #[inline(always)]
    fn f_splat(x: f32) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    fn f_load(line: &Line, _: usize) -> __m512 {
        // SAFETY: 64 bytes of an array; see above.
        unsafe { _mm512_loadu_ps(line.as_ptr().cast()) }
    }
    #[inline(always)]
    fn f_store(x: __m512, line: &mut Line, _: usize) {
        // SAFETY: 64 bytes of an array; see above.
        unsafe { _mm512_storeu_ps(line.as_mut_ptr().cast(), x) }
    }
    #[inline(always)]
    fn f_get(x: &[f32; 16], _: usize) -> __m512 {
        // SAFETY: 16 numbers of an array; see above.
        unsafe { _mm512_loadu_ps(x.as_ptr()) }
    }
    #[inline(always)]
    fn f_put(x: __m512, out: &mut [f32; 16], _: usize) {
        // SAFETY: 16 numbers of an array; see above.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), x) }
    }
    #[inline(always)]
    fn f_mul(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    fn f_fma(a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn f_fnma(a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_fnmadd_ps(a, b, c) }
    }
}

/// One of two registers of 8 words.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(super) struct Avx2(__m256i);

// SAFETY, for every block of this implementation: the type is used in code compiled for AVX2, FMA and F16C only, with
// `part` 0 or 1; what is read or written is half of an array of twice the register's size, and no load or store needs
// alignment.
#[cfg(target_arch = "x86_64")]
impl Words for Avx2 {
    type F = __m256;
    const PARTS: usize = 2;
    const ROWS: usize = 6;

    #[inline(always)]
    fn load(line: &Line, part: usize) -> Self {
        let half: &[u8; 32] = &line.as_chunks().0[part];
        // SAFETY: 32 bytes of an array; see above.
        Self(unsafe { _mm256_loadu_si256(half.as_ptr().cast()) })
    }
    #[inline(always)]
    fn store(self, line: &mut Line, part: usize) {
        let half: &mut [u8; 32] = &mut line.as_chunks_mut().0[part];
        // SAFETY: 32 bytes of an array; see above.
        unsafe { _mm256_storeu_si256(half.as_mut_ptr().cast(), self.0) }
    }
    #[inline(always)]
    fn splat(word: u32) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_set1_epi32(word as i32) })
    }
    #[inline(always)]
    fn and(self, o: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_and_si256(self.0, o.0) })
    }
    #[inline(always)]
    fn or(self, o: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_or_si256(self.0, o.0) })
    }
    #[inline(always)]
    fn xor(self, o: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_xor_si256(self.0, o.0) })
    }
    #[inline(always)]
    fn add(self, o: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_add_epi32(self.0, o.0) })
    }
    #[inline(always)]
    fn mul(self, o: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_mullo_epi32(self.0, o.0) })
    }
    #[inline(always)]
    fn shl(self, bits: i32) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_sll_epi32(self.0, _mm_cvtsi32_si128(bits)) })
    }
    #[inline(always)]
    fn shr(self, bits: i32) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_srl_epi32(self.0, _mm_cvtsi32_si128(bits)) })
    }
    #[inline(always)]
    fn sar(self, bits: i32) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_sra_epi32(self.0, _mm_cvtsi32_si128(bits)) })
    }
    #[inline(always)]
    fn lookup(self, table: &[u8; 16]) -> Self {
        // SAFETY: 16 bytes of an array; see above.
        Self(unsafe {
            let table = _mm256_broadcastsi128_si256(_mm_loadu_si128(table.as_ptr().cast()));
            _mm256_shuffle_epi8(table, self.0)
        })
    }
    #[inline(always)]
    fn to_f(self) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_cvtepi32_ps(self.0) }
    }
    #[inline(always)]
    fn low_half(self) -> __m256 {
        // SAFETY: see above.
        unsafe {
            // Saturation cannot happen: the words are below 2^16 after the mask. Packing works within each 128 bits.
            let low = _mm256_and_si256(self.0, _mm256_set1_epi32(0xffff));
            let packed = _mm256_permute4x64_epi64::<0b1000>(_mm256_packus_epi32(low, low));
            _mm256_cvtph_ps(_mm256_castsi256_si128(packed))
        }
    }
    #[inline(always)]
    fn load_halves(halves: &Halves, part: usize) -> __m256 {
        let half: &[u8; 16] = &halves.as_chunks().0[part];
        // SAFETY: 16 bytes of an array; see above.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(half.as_ptr().cast())) }
    }
    #[inline(always)]
    fn start(bits: u32, z: Self, halves: [i16; 2]) -> Self {
        // SAFETY: see above.
        Self(unsafe {
            if bits == 8 {
                _mm256_setzero_si256()
            } else {
                _mm256_madd_epi16(z.0, _mm256_set1_epi32(pair(halves)))
            }
        })
    }
    #[inline(always)]
    fn begin(_: Self) -> Self {
        Self::splat(0)
    }
    // A run holds sums of pairs, in 16 bits.
    #[inline(always)]
    fn dot4(self, bits: u32, q: Self, x: [i8; 4]) -> Self {
        let x = i32::from_le_bytes(zerocopy::transmute!(x));
        // SAFETY: see above.
        Self(unsafe {
            let x = _mm256_set1_epi32(x);
            // The sum of a pair saturates: 2 * 127 * 127 fits, and 2 * 128 * 127 does; 2 * 255 * 127 would not, so bytes
            // of eight bits are made signed and their signs moved to `x`.
            let pairs = if bits == 8 {
                let q = _mm256_xor_si256(q.0, _mm256_set1_epi8(-128));
                _mm256_maddubs_epi16(_mm256_abs_epi8(q), _mm256_sign_epi8(x, q))
            } else {
                _mm256_maddubs_epi16(q.0, x)
            };
            _mm256_add_epi16(self.0, pairs)
        })
    }
    #[inline(always)]
    fn end(self, sum: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_add_epi32(sum.0, _mm256_madd_epi16(self.0, _mm256_set1_epi16(1))) })
    }
    #[inline(always)]
    fn settled(self) -> Self {
        #[target_feature(enable = "avx2")]
        #[inline]
        fn settled(mut x: __m256i) -> __m256i {
            // SAFETY: no instruction at all, between a register and itself.
            unsafe {
                std::arch::asm!("/* {0} */", inout(ymm_reg) x, options(nomem, nostack, preserves_flags))
            };
            x
        }
        // SAFETY: see above.
        Self(unsafe { settled(self.0) })
    }
    #[inline(always)]
    fn f_zero() -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_setzero_ps() }
    }
    #[inline(always)]
    fn f_splat(x: f32) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_set1_ps(x) }
    }
    #[inline(always)]
    fn f_load(line: &Line, part: usize) -> __m256 {
        let half: &[u8; 32] = &line.as_chunks().0[part];
        // SAFETY: 32 bytes of an array; see above.
        unsafe { _mm256_loadu_ps(half.as_ptr().cast()) }
    }
    #[inline(always)]
    fn f_store(x: __m256, line: &mut Line, part: usize) {
        let half: &mut [u8; 32] = &mut line.as_chunks_mut().0[part];
        // SAFETY: 32 bytes of an array; see above.
        unsafe { _mm256_storeu_ps(half.as_mut_ptr().cast(), x) }
    }
    #[inline(always)]
    fn f_get(x: &[f32; 16], part: usize) -> __m256 {
        let half: &[f32; 8] = &x.as_chunks().0[part];
        // SAFETY: 8 numbers of an array; see above.
        unsafe { _mm256_loadu_ps(half.as_ptr()) }
    }
    #[inline(always)]
    fn f_put(x: __m256, out: &mut [f32; 16], part: usize) {
        let half: &mut [f32; 8] = &mut out.as_chunks_mut().0[part];
        // SAFETY: 8 numbers of an array; see above.
        unsafe { _mm256_storeu_ps(half.as_mut_ptr(), x) }
    }
    #[inline(always)]
    fn f_mul(a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    fn f_fma(a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn f_fnma(a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_fnmadd_ps(a, b, c) }
    }
}
