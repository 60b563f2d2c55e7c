//! Vector kernels, each written once and compiled for every instruction set; which one runs is decided when the backend
//! is made. It knows slices of numbers, no plane, no tensor and no model.
//!
//! A kernel is safe Rust, generic over its registers (`Lanes`) where the compiler would not find them by itself. The
//! order of operations and every fusion are explicit, so all versions of a kernel give the same bits; [`Level::SCALAR`]
//! is the twin that the others are tested against. What is `unsafe` here is the calling of a version, which needs
//! instructions that the processor was asked for, and the registers' own instructions.
#![expect(unsafe_code, reason = "the SIMD fence")]

mod attend;
mod dot;
mod elementwise;
mod lanes;
mod product;
mod twin;
mod unpack;
mod words;

use super::q8::{self, Q8Block};
use super::tile::ROWS;
use crate::numerics;
use crate::quant::{self, Block, Format, Visit};
pub(crate) use attend::{CHUNK, LANES as HALF_LANES, Softmax};
pub(crate) use product::Opened;
use std::fmt;
use unpack::Codec;
pub(crate) use words::Halves;

/// An instruction set that this processor has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Level(Kind);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// With VNNI: processors that lack it run as AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// One number at a time, on every processor.
    pub const SCALAR: Self = Self(Kind::Scalar);

    /// All that this processor has, best first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut levels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c");
            let avx512 = avx2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vnni");
            if avx512 {
                levels.push(Self(Kind::Avx512));
            }
            if avx2 {
                levels.push(Self(Kind::Avx2));
            }
        }
        levels.push(Self::SCALAR);
        levels
    }

    /// The best that this processor has.
    #[must_use]
    pub fn best() -> Self {
        Self::available()[0]
    }

    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => "avx512",
        }
    }
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Compiles a kernel for every instruction set. `plain` bodies are left to the compiler to vectorize; `lanes` and `words`
/// bodies are generic over their registers; those of `words` have a twin of their own in [`twin`].
macro_rules! versions {
    ($($(#[$doc:meta])* $kind:ident fn $name:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty)? = $($body:ident)::+;)*) => {$(
        $(#[$doc])*
        pub(crate) fn $name(level: Level, $($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
            fn avx512($($arg: $ty),*) $(-> $ret)? {
                versions!(@run $kind Avx512 $name, $($body)::+, $($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            fn avx2($($arg: $ty),*) $(-> $ret)? {
                versions!(@run $kind Avx2 $name, $($body)::+, $($arg),*)
            }
            match level.0 {
                Kind::Scalar => versions!(@run $kind Scalar $name, $($body)::+, $($arg),*),
                // SAFETY: `Level::available` makes this value only after the processor reported these features.
                #[cfg(target_arch = "x86_64")]
                Kind::Avx2 => unsafe { avx2($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                Kind::Avx512 => unsafe { avx512($($arg),*) },
            }
        }
    )*};
    (@run plain $v:ident $name:ident, $($body:ident)::+, $($arg:ident),*) => { $($body)::+($($arg),*) };
    (@run lanes $v:ident $name:ident, $($body:ident)::+, $($arg:ident),*) => { $($body)::+::<lanes::$v>($($arg),*) };
    (@run words Scalar $name:ident, $($body:ident)::+, $($arg:ident),*) => { twin::$name($($arg),*) };
    (@run words $v:ident $name:ident, $($body:ident)::+, $($arg:ident),*) => { $($body)::+::<words::$v>($($arg),*) };
}

versions! {
    /// Root-mean-square norm: [`numerics::norm`].
    plain fn norm(o: &mut [f32], x: &[f32], w: &[f32], eps: f32) = numerics::norm;
    /// The same in place.
    plain fn norm_in_place(x: &mut [f32], w: &[f32], eps: f32) = numerics::norm_in_place;
    /// Scores to exponentials and their sum: [`numerics::exponentials`].
    plain fn exponentials(x: &mut [f32]) -> f32 = numerics::exponentials;
    /// `x[i] += y[i]`.
    plain fn add(x: &mut [f32], y: &[f32]) = elementwise::add;
    /// `o[i] += a * y[i]`, fused.
    plain fn add_scaled(o: &mut [f32], a: f32, y: &[f32]) = elementwise::add_scaled;
    /// `x[i] *= a`.
    plain fn scale(x: &mut [f32], a: f32) = elementwise::scale;
    /// `o[i] = step.1 * y[i] + step.0 * o[i]`, the first product fused.
    plain fn join(o: &mut [f32], y: &[f32], step: (f32, f32)) = elementwise::join;
    /// `x[i] /= a`.
    plain fn divide(x: &mut [f32], a: f32) = elementwise::divide;
    /// `o[i] = silu(gate[i])`.
    plain fn silu(o: &mut [f32], gate: &[f32]) = elementwise::silu;
    /// `h[i] = silu(gate[i]) * up[i]`.
    plain fn swiglu(h: &mut [f32], gate: &[f32], up: &[f32]) = elementwise::swiglu;
    /// Rotates pairs `(i, i + n)` of a head of `2 n` elements.
    plain fn rotate_halves(head: &mut [f32], cos: &[f32], sin: &[f32]) = elementwise::rotate_halves;
    /// Rotates pairs `(2 i, 2 i + 1)`.
    plain fn rotate_neighbours(head: &mut [f32], cos: &[f32], sin: &[f32]) = elementwise::rotate_neighbours;
    /// Products of every row of `w`, `[rows, cols]`, with every `x`: `out[i * stride + r] = w[r] . x[i]`, each in the
    /// order of [`numerics::dot`].
    lanes fn dots(w: &[f32], cols: usize, x: &[&[f32]], out: &mut [f32], stride: usize) = dot::dots;
    /// `o += sum over t of e[t] v[t]`, rows of `o.len()`, each column in order of `t` on its own accumulator.
    lanes fn weigh(o: &mut [f32], e: &[f32], v: &[f32]) = dot::weigh;
    /// Activations in 8 bits: [`q8`]. `x` has 32 numbers for each block of `out`.
    plain fn quantize(x: &[f32], out: &mut [Q8Block]) = q8::quantize;
    /// The same with a scale for each half of a block.
    plain fn quantize_halves(x: &[f32], out: &mut [Q8Block]) = q8::quantize_halves;
    /// Scaled scores of queries with up to 256 keys of one head: [`attend::scores`].
    words fn scores(q: &[f32], keys: &[Halves], n: usize, scale: f32, out: &mut [f32]) = attend::scores;
    /// Scores to exponentials: [`attend::weights`].
    plain fn weights(scores: &mut [f32], n: usize, softmax: &mut [Softmax], step: &mut [(f32, f32)]) = attend::weights;
    /// Values weighted by exponentials, joined to what came before: [`attend::values`].
    words fn values(weights: &[f32], values: &[Halves], n: usize, step: &[(f32, f32)], out: &mut [f32]) = attend::values;
}

/// Runs `$body` with `$c` as the codec of a format; formats of plain numbers have none.
macro_rules! codec {
    ($format:expr, $c:ident => $body:expr) => {
        codec!(@ $format, $c, $body; Q4_0 Q4_0, Q4_1 Q4_1, Q5_0 Q5_0, Q5_1 Q5_1, Q8_0 Q8_0, Q2K Q2K, Q3K Q3K, Q4K Q4K,
            Q5K Q5K, Q6K Q6K, IQ4NL Iq4Nl, IQ4XS Iq4Xs)
    };
    (@ $format:expr, $c:ident, $body:expr; $($name:ident $codec:ident),*) => {
        match $format {
            $(Format::$name => { type $c = unpack::$codec; $body })*
            Format::F32 | Format::F16 | Format::BF16 => {}
        }
    };
}

/// The products of one row of activations with whole tiles, as [`q8`] defines them: `out` has 16 numbers for each tile.
/// Nothing happens for formats that are not interleaved.
pub(crate) fn row_products(level: Level, format: Format, tiles: &[u8], x: &[Q8Block], out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
    fn avx512<C: Codec>(tiles: &[u8], x: &[Q8Block], out: &mut [f32]) {
        product::row::<words::Avx512, C>(tiles, x, out);
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn avx2<C: Codec>(tiles: &[u8], x: &[Q8Block], out: &mut [f32]) {
        product::row::<words::Avx2, C>(tiles, x, out);
    }
    match level.0 {
        Kind::Scalar => {
            let (out, _) = out.as_chunks_mut::<ROWS>();
            let tile_bytes = (tiles.len() / out.len().max(1)).max(1);
            for (tile, out) in tiles.chunks_exact(tile_bytes).zip(out) {
                twin::products(format, tile, &[x], std::slice::from_mut(out));
            }
        }
        // SAFETY: `Level::available` makes this value only after the processor reported these features.
        #[cfg(target_arch = "x86_64")]
        Kind::Avx2 => codec!(format, C => unsafe { avx2::<C>(tiles, x, out) }),
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Kind::Avx512 => codec!(format, C => unsafe { avx512::<C>(tiles, x, out) }),
    }
}

/// Opens a tile for [`products`].
pub(crate) fn open(level: Level, format: Format, tile: &[u8], opened: &mut Opened) {
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
    fn avx512<C: Codec>(tile: &[u8], opened: &mut Opened) {
        product::open::<words::Avx512, C>(tile, opened);
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn avx2<C: Codec>(tile: &[u8], opened: &mut Opened) {
        product::open::<words::Avx2, C>(tile, opened);
    }
    match level.0 {
        Kind::Scalar => {
            opened.format = Some(format);
            opened.raw.clear();
            opened.raw.extend_from_slice(tile);
        }
        // SAFETY: `Level::available` makes this value only after the processor reported these features.
        #[cfg(target_arch = "x86_64")]
        Kind::Avx2 => codec!(format, C => unsafe { avx2::<C>(tile, opened) }),
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Kind::Avx512 => codec!(format, C => unsafe { avx512::<C>(tile, opened) }),
    }
}

/// The products of an opened tile with rows of activations, one for each of `out`; the same bits as [`row_products`].
pub(crate) fn products(level: Level, opened: &Opened, x: &[&[Q8Block]], out: &mut [[f32; ROWS]]) {
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
    fn avx512<const SPLIT: bool, const MIN: bool, const BITS: u32, const HALVES: bool>(
        opened: &Opened,
        x: &[&[Q8Block]],
        out: &mut [[f32; ROWS]],
    ) {
        product::rows::<words::Avx512, SPLIT, MIN, BITS, HALVES>(opened, x, out);
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn avx2<const SPLIT: bool, const MIN: bool, const BITS: u32, const HALVES: bool>(
        opened: &Opened,
        x: &[&[Q8Block]],
        out: &mut [[f32; ROWS]],
    ) {
        product::rows::<words::Avx2, SPLIT, MIN, BITS, HALVES>(opened, x, out);
    }
    // What the bytes of an opened tile mean is the same for many formats; a kernel is compiled once for each meaning.
    macro_rules! meaning {
        ($rows:ident, $c:ident) => {
            match ($c::HALVES, $c::SPLIT, $c::MIN, $c::BITS) {
                (true, ..) => $rows::<false, false, 8, true>(opened, x, out),
                (_, false, false, 4) => $rows::<false, false, 4, false>(opened, x, out),
                (_, false, false, 5) => $rows::<false, false, 5, false>(opened, x, out),
                (_, false, false, _) => $rows::<false, false, 8, false>(opened, x, out),
                (_, false, true, 4) => $rows::<false, true, 4, false>(opened, x, out),
                (_, false, true, _) => $rows::<false, true, 5, false>(opened, x, out),
                (_, true, false, 3) => $rows::<true, false, 3, false>(opened, x, out),
                (_, true, false, _) => $rows::<true, false, 6, false>(opened, x, out),
                (_, true, true, _) => $rows::<true, true, 2, false>(opened, x, out),
            }
        };
    }
    let Some(format) = opened.format else { return };
    match level.0 {
        Kind::Scalar => twin::products(format, &opened.raw, x, out),
        // SAFETY: `Level::available` makes this value only after the processor reported these features.
        #[cfg(target_arch = "x86_64")]
        Kind::Avx2 => codec!(format, C => unsafe { meaning!(avx2, C) }),
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Kind::Avx512 => codec!(format, C => unsafe { meaning!(avx512, C) }),
    }
}

/// Writes the weights of whole blocks as f32, bit for bit as [`Format::dequantize`]; lengths that do not fit each other
/// are cut to what does.
pub(crate) fn dequantize(level: Level, format: Format, bytes: &[u8], out: &mut [f32]) {
    struct Run<'a> {
        level: Level,
        bytes: &'a [u8],
        out: &'a mut [f32],
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
    fn avx512<B: Block<N>, const N: usize>(bytes: &[u8], out: &mut [f32]) {
        quant::dequantize_blocks::<B, N>(bytes, out);
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn avx2<B: Block<N>, const N: usize>(bytes: &[u8], out: &mut [f32]) {
        quant::dequantize_blocks::<B, N>(bytes, out);
    }
    impl Visit for Run<'_> {
        type Out = ();
        fn visit<B: Block<N>, const N: usize>(self) {
            match self.level.0 {
                Kind::Scalar => quant::dequantize_blocks::<B, N>(self.bytes, self.out),
                // SAFETY: `Level::available` makes this value only after the processor reported these features.
                #[cfg(target_arch = "x86_64")]
                Kind::Avx2 => unsafe { avx2::<B, N>(self.bytes, self.out) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                Kind::Avx512 => unsafe { avx512::<B, N>(self.bytes, self.out) },
            }
        }
    }
    format.visit(Run { level, bytes, out });
}

#[cfg(test)]
mod tests;
