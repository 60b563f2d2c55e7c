//! Which format each tensor of a file gets: a mix by name, or one format throughout.

use super::Kind;
use crate::quant::{FORMATS, Format};
use Format::{Q3K, Q4K, Q5K, Q6K};
use fault::fault;

/// A choice of formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mix {
    /// A row of [`MIXES`].
    Named(&'static Row),
    /// Every matrix in this format.
    Pure(Format),
}

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// Its number in the key `general.file_type`.
    file_type: u32,
    /// Of most matrices.
    base: Format,
    /// Of value and down projections in the layers that get more bits.
    more: Format,
    /// Of the output head.
    head: Format,
}

/// The mixes with a name of their own. Names and numbers are those of llama.cpp's file types.
pub const MIXES: &[Row] = &[
    Row { name: "q3_k_m", file_type: 12, base: Q3K, more: Q5K, head: Q6K },
    Row { name: "q4_k_m", file_type: 15, base: Q4K, more: Q6K, head: Q6K },
    Row { name: "q5_k_m", file_type: 17, base: Q5K, more: Q6K, head: Q6K },
];

/// The first and last eighth of the layers, and every third of the others.
fn more_bits(layer: usize, layers: usize) -> bool {
    layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2
}

impl Mix {
    /// The mix of that name: a row of [`MIXES`], or a format's name in lower case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let named = MIXES.iter().find(|m| m.name == name).map(Self::Named);
        named.or_else(|| FORMATS.iter().find(|r| r.name.to_lowercase() == name).map(|r| Self::Pure(r.format)))
    }

    /// Every name that [`Mix::from_name`] accepts.
    pub fn names() -> impl Iterator<Item = String> {
        let named = MIXES.iter().map(|m| m.name.to_owned());
        named.chain(FORMATS.iter().map(|r| r.name.to_lowercase()))
    }

    /// The format of a tensor with rows of `cols` weights.
    pub(super) fn format(self, kind: Kind, layer: usize, layers: usize, cols: usize) -> Format {
        let format = match (self, kind) {
            (_, Kind::Small) => Format::F32,
            (Self::Pure(format), _) => format,
            (Self::Named(m), Kind::Head) => m.head,
            (Self::Named(m), Kind::Favoured) if more_bits(layer, layers) && !fault!("synth-mix-flat") => {
                m.more
            }
            (Self::Named(m), Kind::Favoured | Kind::Matrix) => m.base,
        };
        format.for_rows_of(cols)
    }

    /// Its number in the key `general.file_type`: llama.cpp's `LLAMA_FTYPE`.
    pub(super) fn file_type(self) -> u32 {
        match self {
            Self::Named(m) => m.file_type,
            Self::Pure(format) => match format {
                Format::F32 => 0,
                Format::F16 => 1,
                Format::Q4_0 => 2,
                Format::Q4_1 => 3,
                Format::Q8_0 => 7,
                Format::Q5_0 => 8,
                Format::Q5_1 => 9,
                Format::Q2K => 10,
                Format::Q3K => 11,
                Format::Q4K => 14,
                Format::Q5K => 16,
                Format::Q6K => 18,
                Format::IQ4NL => 25,
                Format::IQ4XS => 30,
                Format::BF16 => 32,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Mix, more_bits};
    use crate::quant::Format;
    use crate::synth::Kind;

    #[test]
    fn half_of_48_layers_get_more_bits() {
        let with: Vec<_> = (0..48).filter(|&i| more_bits(i, 48)).collect();
        assert_eq!(with.len(), 24);
        assert_eq!(with[..8], [0, 1, 2, 3, 4, 5, 8, 11]);
        assert_eq!(with[18..], [42, 43, 44, 45, 46, 47]);
    }

    #[test]
    fn rows_that_are_no_whole_blocks_get_smaller_ones() {
        let mix = Mix::from_name("q4_k_m").unwrap();
        assert_eq!(mix.format(Kind::Head, 0, 8, 256), Format::Q6K);
        assert_eq!(mix.format(Kind::Head, 0, 8, 96), Format::Q8_0);
        assert_eq!(mix.format(Kind::Matrix, 0, 8, 96), Format::Q5_0);
        assert_eq!(mix.format(Kind::Matrix, 0, 8, 100), Format::F16);
        assert_eq!(mix.format(Kind::Small, 0, 8, 96), Format::F32);
    }

    #[test]
    fn every_name_is_accepted() {
        for name in Mix::names() {
            assert!(Mix::from_name(&name).is_some(), "{name}");
        }
        assert_eq!(Mix::from_name("q4_k_xl"), None);
    }
}
