//! The weight formats: one table of ids, names and block layouts, and for each format a scalar reference.
//!
//! A row of weights is a whole number of blocks; what a block holds stands in the format's own file. The references are
//! meant to be obviously right; faster code elsewhere is compared with them. This module knows no file format and no
//! model.

mod block;
mod float;
mod iq4_nl;
mod iq4_xs;
mod q2_k;
mod q3_k;
mod q4_0;
mod q4_1;
mod q4_k;
mod q5_0;
mod q5_1;
mod q5_k;
mod q6_k;
mod q8_0;

pub use block::{Block, Half, Visit};
pub(crate) use block::{dequantize as dequantize_blocks, view_mut};
pub use float::{Bf16, F16, F32};
pub use iq4_nl::{Iq4Nl, VALUES as IQ4_VALUES};
pub use iq4_xs::Iq4Xs;
pub use q2_k::Q2K;
pub use q3_k::Q3K;
pub use q4_0::Q4_0;
pub use q4_1::Q4_1;
pub use q4_k::Q4K;
pub(crate) use q4_k::pack_scale_min;
pub use q5_0::Q5_0;
pub use q5_1::Q5_1;
pub use q5_k::Q5K;
pub use q6_k::Q6K;
pub use q8_0::Q8_0;

use fault::fault;

macro_rules! formats {
    ($($name:ident $text:literal $id:literal $block:literal $bytes:literal $layout:ty;)*) => {
        /// A weight format.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Format { $(#[doc = $text] $name,)* }
        /// Every supported format, once.
        pub const FORMATS: &[Row] = &[$(Row {
            format: Format::$name, name: $text, id: $id, block: $block, bytes: $bytes,
            dequantize: block::dequantize::<$layout, $block>,
        },)*];
        $(const _: () = assert!(size_of::<$layout>() == $bytes);)*
        impl Format {
            /// Runs code that is generic over the layout with this format's.
            pub fn visit<V: Visit>(self, visitor: V) -> V::Out {
                match self { $(Self::$name => visitor.visit::<$layout, $block>(),)* }
            }
        }
    };
}

/// One row of the table.
#[derive(Debug)]
pub struct Row {
    /// The format.
    pub format: Format,
    /// Its name, as GGML writes it.
    pub name: &'static str,
    /// Its id in GGUF files.
    pub id: u32,
    /// Weights in one block.
    pub block: usize,
    /// Bytes of one block.
    pub bytes: usize,
    /// Its scalar reference, for whole blocks of matching number.
    dequantize: fn(&[u8], &mut [f32]),
}

// The build reads the same table.
include!("quant/table.rs");

/// GGML's other types, so that a refusal can name them.
const UNSUPPORTED: &[(u32, &str)] = &[
    (9, "Q8_1"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
    (40, "NVFP4"),
];

/// ` (NAME)` for an id that GGML knows and this table does not, else nothing.
pub(crate) fn unsupported_name(id: u32) -> String {
    UNSUPPORTED.iter().find(|(i, _)| *i == id).map(|(_, n)| format!(" ({n})")).unwrap_or_default()
}

/// All names of the table, for messages.
pub(crate) fn names() -> String {
    FORMATS.iter().map(|r| r.name).collect::<Vec<_>>().join(" ")
}

/// Bytes and weights that do not fit each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No whole number of blocks.
    #[error("{weights} weights are no whole number of {} blocks of {}", format.row().name, format.row().block)]
    Blocks {
        /// The format.
        format: Format,
        /// How many weights were asked for.
        weights: usize,
    },
    /// Another number of bytes than the weights take.
    #[error("{weights} weights in {} take {expected} bytes, found {found}", format.row().name)]
    Bytes {
        /// The format.
        format: Format,
        /// How many weights were asked for.
        weights: usize,
        /// The bytes they take.
        expected: usize,
        /// The bytes there are.
        found: usize,
    },
}

impl Format {
    /// The format's row of the table.
    #[must_use]
    pub const fn row(self) -> &'static Row {
        // The enum and the table come from the same rows in the same order.
        &FORMATS[self as usize]
    }
    /// Whether activations in 8 bits in front of its weights have, on a CPU, a scale for each half of a block of 32. Weights
    /// of fewer bits are further off themselves, and a scale more for each 16 columns costs time.
    #[must_use]
    pub const fn by_halves(self) -> bool {
        matches!(self, Self::Q8_0)
    }
    /// The format of that GGUF id.
    #[must_use]
    pub fn from_id(id: u32) -> Option<Self> {
        let id = if fault!("quant-q4k-read-as-q6k") && id == 12 { 14 } else { id };
        FORMATS.iter().find(|r| r.id == id).map(|r| r.format)
    }
    /// Bytes of a row of `cols` weights; `None` when it is no whole number of blocks or does not fit.
    #[must_use]
    pub fn row_bytes(self, cols: usize) -> Option<usize> {
        let row = self.row();
        cols.is_multiple_of(row.block).then(|| (cols / row.block).checked_mul(row.bytes)).flatten()
    }

    /// Writes the weights of whole blocks as f32. The arithmetic is that of the Python package `gguf`
    /// (`gguf.quants.dequantize`), rounding for rounding.
    ///
    /// # Errors
    /// When `out` is no whole number of blocks, or `bytes` not exactly their bytes.
    pub fn dequantize(self, bytes: &[u8], out: &mut [f32]) -> Result<(), Error> {
        let weights = out.len();
        let Some(expected) = self.row_bytes(weights) else {
            return Err(Error::Blocks { format: self, weights });
        };
        if bytes.len() != expected && !fault!("quant-length-unchecked") {
            return Err(Error::Bytes { format: self, weights, expected, found: bytes.len() });
        }
        (self.row().dequantize)(bytes, out);
        Ok(())
    }
}

impl Format {
    /// The first weight that is no finite number, looking at the scales of whole blocks only.
    #[must_use]
    pub fn first_not_finite(self, bytes: &[u8]) -> Option<usize> {
        struct Search<'a>(&'a [u8]);
        impl Visit for Search<'_> {
            type Out = Option<usize>;
            fn visit<B: Block<N>, const N: usize>(self) -> Option<usize> {
                // Runs without a branch in them, because nearly all of them are sound.
                const RUN: usize = 1024;
                let blocks = block::view::<B, N>(self.0);
                let sound = |run: &[B]| run.iter().fold(true, |ok, b| ok & b.is_finite());
                let run = blocks.chunks(RUN).position(|run| !sound(run))?;
                let at = blocks[run * RUN..].iter().position(|b| !b.is_finite())?;
                let block = if fault!("quant-search-forgets-run") { at } else { run * RUN + at };
                let mut weights = [0.0; N];
                blocks[block].dequantize(&mut weights);
                Some(block * N + weights.iter().position(|w| !w.is_finite()).unwrap_or(0))
            }
        }
        self.visit(Search(bytes))
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.row().name)
    }
}
