//! Shapes and bounds by which operations are judged and timed outside of a contract, and a case made of a row.

use super::{Case, Error, Kind};
use crate::backend::Precision;
use crate::quant::Format;

/// How far results may be from their meaning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// The sum of squared differences over the sum of squares.
    Nmse(f64),
    /// The largest difference, over the magnitudes that were added where the operation tells them.
    Largest(f64),
}

impl Bound {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nmse(_) => "nmse",
            Self::Largest(_) => "largest",
        }
    }

    /// The number.
    #[must_use]
    pub fn value(self) -> f64 {
        match self {
            Self::Nmse(bound) | Self::Largest(bound) => bound,
        }
    }

    /// How far results are, NaN when any is no number or there are not equally many.
    #[must_use]
    pub fn error(self, meaning: &[f64], results: &[f64]) -> f64 {
        if meaning.len() != results.len() || meaning.is_empty() {
            return f64::NAN;
        }
        let differences = meaning.iter().zip(results).map(|(m, r)| r - m);
        match self {
            Self::Nmse(_) => {
                let error: f64 = differences.map(|d| d * d).sum();
                let all: f64 = meaning.iter().map(|m| m * m).sum();
                if error == 0.0 { 0.0 } else { error / all }
            }
            Self::Largest(_) => differences.map(f64::abs).fold(0.0, larger),
        }
    }
}

/// The larger of two, NaN when either is.
#[must_use]
pub fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || a >= b { a } else { b }
}

/// Sizes by their names.
pub type Sizes = &'static [(&'static str, usize)];

/// How one operation is judged and timed.
#[derive(Debug)]
pub struct Entry {
    /// The operation.
    pub kind: Kind,
    /// It has weights in a format.
    pub formats: bool,
    /// Shapes that fill no tile and no vector, and some that do.
    pub shapes: &'static [Sizes],
    /// Shapes of a model: a step of one row, and one of many.
    pub timed: &'static [Sizes],
    /// How far results may be from their meaning in `exact`.
    pub exact: Bound,
    /// The same in `fast`.
    pub fast: Bound,
}

impl Entry {
    /// How far results may be from their meaning.
    #[must_use]
    pub fn bound(&self, precision: Precision) -> Bound {
        match precision {
            Precision::Exact => self.exact,
            Precision::Fast => self.fast,
        }
    }
}

/// Rounding of one f32 result: three or four roundings of 6e-8 each, squared.
const ROUNDING: Bound = Bound::Nmse(1e-13);

/// Every operation, once. Widths are whole blocks of 32, so that both precisions take them.
pub const TABLE: &[Entry] = &[
    Entry {
        kind: Kind::Norm,
        formats: false,
        shapes: &[
            &[("rows", 1), ("cols", 32)],
            &[("rows", 3), ("cols", 288)],
            &[("rows", 5), ("cols", 2048)],
        ],
        timed: &[&[("rows", 1), ("cols", 2048)], &[("rows", 64), ("cols", 2048)]],
        exact: ROUNDING,
        fast: ROUNDING,
    },
    Entry {
        kind: Kind::HeadNorm,
        formats: false,
        shapes: &[
            &[("rows", 1), ("heads", 1), ("head_dim", 32)],
            &[("rows", 3), ("heads", 5), ("head_dim", 96)],
        ],
        timed: &[
            &[("rows", 1), ("heads", 32), ("head_dim", 128)],
            &[("rows", 64), ("heads", 32), ("head_dim", 128)],
        ],
        exact: ROUNDING,
        fast: ROUNDING,
    },
    Entry {
        kind: Kind::Rope,
        formats: false,
        shapes: &[
            &[("rows", 1), ("head_dim", 32), ("position", 0)],
            &[("rows", 3), ("head_dim", 96), ("position", 40_000)],
        ],
        timed: &[
            &[("rows", 1), ("head_dim", 128), ("position", 1000)],
            &[("rows", 64), ("head_dim", 128), ("position", 1000)],
        ],
        exact: ROUNDING,
        fast: ROUNDING,
    },
    Entry {
        kind: Kind::Swiglu,
        formats: false,
        shapes: &[&[("rows", 1), ("cols", 32)], &[("rows", 3), ("cols", 288)], &[("rows", 8), ("cols", 768)]],
        timed: &[&[("rows", 8), ("cols", 768)], &[("rows", 512), ("cols", 768)]],
        exact: ROUNDING,
        fast: ROUNDING,
    },
    Entry {
        kind: Kind::TopK,
        formats: false,
        shapes: &[
            &[("rows", 1), ("experts", 8), ("used", 2)],
            &[("rows", 3), ("experts", 37), ("used", 5)],
            &[("rows", 2), ("experts", 128), ("used", 8)],
        ],
        timed: &[
            &[("rows", 1), ("experts", 128), ("used", 8)],
            &[("rows", 64), ("experts", 128), ("used", 8)],
        ],
        // A softmax of terms below 1, about 8 units in the last place; another expert is off by 1.
        exact: Bound::Largest(1e-6),
        fast: Bound::Largest(1e-6),
    },
    Entry {
        kind: Kind::Combine,
        formats: false,
        shapes: &[&[("rows", 1), ("used", 2), ("cols", 32)], &[("rows", 3), ("used", 8), ("cols", 288)]],
        timed: &[&[("rows", 1), ("used", 8), ("cols", 2048)], &[("rows", 64), ("used", 8), ("cols", 2048)]],
        // Weights to 2e-7 and 8 additions, each 6e-8 of the magnitudes added.
        exact: Bound::Largest(1e-6),
        fast: Bound::Largest(1e-6),
    },
    Entry {
        kind: Kind::Attention,
        formats: false,
        shapes: &[
            &[("before", 0), ("rows", 1), ("head_dim", 32)],
            &[("before", 17), ("rows", 2), ("head_dim", 96)],
            &[("before", 300), ("rows", 2), ("head_dim", 64)],
        ],
        timed: &[
            &[("before", 1023), ("rows", 1), ("head_dim", 128)],
            &[("before", 448), ("rows", 64), ("head_dim", 128)],
        ],
        // Sums over up to 300 keys in f32 and an exponential to one unit in the last place.
        exact: Bound::Nmse(1e-11),
        // Keys and values have 11 bits: a score of up to 96 terms near 1 is off by some 1e-3, which is squared.
        fast: Bound::Nmse(1e-6),
    },
    Entry {
        kind: Kind::Product,
        formats: true,
        shapes: &[
            &[("n", 1), ("rows", 37), ("cols", 256), ("experts", 1)],
            &[("n", 9), ("rows", 37), ("cols", 512), ("experts", 1)],
            &[("n", 17), ("rows", 16), ("cols", 256), ("experts", 1)],
            &[("n", 1), ("rows", 37), ("cols", 256), ("experts", 5)],
            &[("n", 9), ("rows", 37), ("cols", 256), ("experts", 5)],
        ],
        timed: &[
            &[("n", 1), ("rows", 4096), ("cols", 2048), ("experts", 1)],
            &[("n", 64), ("rows", 4096), ("cols", 2048), ("experts", 1)],
            &[("n", 1), ("rows", 768), ("cols", 2048), ("experts", 16)],
        ],
        // 16 additions in a lane and 5 between lanes, each 6e-8 of the magnitudes added; a wrong quantum costs 1.5e-5.
        exact: Bound::Largest(2e-6),
        fast: Bound::Largest(2e-6),
    },
    Entry {
        kind: Kind::Dequantize,
        formats: true,
        shapes: &[&[("rows", 1), ("cols", 256)], &[("rows", 37), ("cols", 512)]],
        timed: &[&[("rows", 512), ("cols", 2048)]],
        // The same operations in the same order.
        exact: Bound::Largest(0.0),
        fast: Bound::Largest(0.0),
    },
];

/// A case of a row of the table: ordinary numbers.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// Sizes.
    pub sizes: Sizes,
    /// The weights' format, where there are weights.
    pub format: Option<Format>,
    /// Where it runs, `cpu:exact`: what the activations are multiplied as depends on it.
    pub backend: &'a str,
}

/// Columns of a block of activations in 8 bits.
const QUANTA: usize = 32;

impl Case for Given<'_> {
    fn size(&self, name: &str) -> Result<usize, Error> {
        let find = |name: &str| self.sizes.iter().find(|(size, _)| *size == name).map(|(_, n)| *n);
        // A row of weights is whole blocks.
        let blocks = || Some(find("cols")? / self.format?.row().block.max(QUANTA));
        let found = if name == "blocks" { blocks() } else { find(name) };
        found.ok_or_else(|| Error::Missing { what: "size", name: name.to_owned() })
    }

    fn word(&self, name: &str) -> Result<&str, Error> {
        let format = || self.format.map(|f| f.row().name);
        let found = match name {
            "values" => Some("ordinary"),
            "pairing" => Some("halves"),
            "backend" => Some(self.backend),
            "format" => format(),
            _ => None,
        };
        found.ok_or_else(|| Error::Missing { what: "word", name: name.to_owned() })
    }

    fn truth(&self, name: &str) -> Result<bool, Error> {
        match name {
            "renormalize" => Ok(true),
            _ => Err(Error::Missing { what: "truth value", name: name.to_owned() }),
        }
    }

    fn seed(&self) -> u64 {
        self.sizes.iter().fold(1, |seed, (_, n)| seed * 31 + *n as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::{Bound, Kind, TABLE};

    #[test]
    fn the_table_has_every_operation_once() {
        assert_eq!(TABLE.iter().map(|e| e.kind).collect::<Vec<_>>(), Kind::ALL);
    }

    #[test]
    fn what_is_no_number_is_no_small_error() {
        for bound in [Bound::Nmse(1.0), Bound::Largest(1.0)] {
            assert_eq!(bound.error(&[1.0, 2.0], &[1.0, 2.0]), 0.0);
            assert!(bound.error(&[1.0, 2.0], &[f64::NAN, 2.0]).is_nan());
            assert!(bound.error(&[1.0, 2.0, 3.0], &[1.0, f64::NAN, 9.0]).is_nan());
            assert!(bound.error(&[1.0], &[]).is_nan() && bound.error(&[], &[]).is_nan());
        }
        assert_eq!(Bound::Largest(0.0).error(&[1.0, 2.0], &[1.5, 2.0]), 0.5);
        assert_eq!(Bound::Nmse(0.0).error(&[1.0, 2.0], &[2.0, 2.0]), 0.2);
        assert_eq!(Bound::Nmse(0.0).error(&[0.0], &[1.0]), f64::INFINITY);
    }
}
