//! What one tensor looks like in a few numbers, gathered while it streams by.

use super::number::Number;
use fault::fault;
use serde::{Deserialize, Serialize};

/// Statistics of a tensor. Elements that are not finite are counted and left out of the rest; so are masked ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stats {
    /// Elements, masked ones left out.
    pub count: u64,
    /// Smallest finite element; NaN when there is none.
    pub min: Number,
    /// Largest finite element; NaN when there is none.
    pub max: Number,
    /// Mean of the finite elements; NaN when there is none.
    pub mean: Number,
    /// Root of the mean square of the finite elements; NaN when there is none.
    pub rms: Number,
    /// How many are NaN.
    pub nan: u64,
    /// How many are infinite.
    pub inf: u64,
    /// Index of the first that is not finite, in the flattened tensor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_not_finite: Option<u64>,
    /// Cells that lie in the future of their position.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub masked: u64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Statistics being gathered.
#[derive(Debug, Clone)]
pub(super) struct Gather {
    seen: u64,
    finite: u64,
    min: [f32; LANES],
    max: [f32; LANES],
    sum: [f64; LANES],
    squares: [f64; LANES],
    nan: u64,
    inf: u64,
    masked: u64,
    first_not_finite: Option<u64>,
}

impl Default for Gather {
    fn default() -> Self {
        Self {
            seen: 0,
            finite: 0,
            min: [f32::INFINITY; LANES],
            max: [f32::NEG_INFINITY; LANES],
            sum: [0.0; LANES],
            squares: [0.0; LANES],
            nan: 0,
            inf: 0,
            masked: 0,
            first_not_finite: None,
        }
    }
}

/// Elements whose sums are kept apart, so that they need not wait for each other. As many as the compiler vectorizes with
/// its sums in memory: of fewer it makes single numbers, which take twice as long.
const LANES: usize = 32;

impl Gather {
    /// Takes in the next elements.
    pub(super) fn add(&mut self, values: &[f32]) {
        let (chunks, tail) = values.as_chunks::<LANES>();
        let Self { min, max, sum, squares, .. } = self;
        let mut odd = chunks.len();
        for (i, chunk) in chunks.iter().enumerate() {
            // Exponents of all ones are NaN and infinity; rare, so what follows one goes the slow way.
            if chunk.iter().fold(false, |odd, v| odd | !v.is_finite()) {
                odd = i;
                break;
            }
            for l in 0..LANES {
                let (v, wide) = (chunk[l], f64::from(chunk[l]));
                sum[l] += wide;
                squares[l] += wide * wide;
                min[l] = if v < min[l] { v } else { min[l] };
                max[l] = if v > max[l] { v } else { max[l] };
            }
        }
        self.seen += (odd * LANES) as u64;
        self.finite += (odd * LANES) as u64;
        for chunk in &chunks[odd..] {
            self.slow(chunk);
        }
        if !fault!("stats-drop-tail") {
            self.slow(tail);
        }
    }

    /// Up to [`LANES`] elements.
    fn slow(&mut self, values: &[f32]) {
        for (l, &v) in values.iter().enumerate() {
            let index = self.seen;
            self.seen += 1;
            if v.is_finite() {
                self.finite += 1;
                self.sum[l] += f64::from(v);
                self.squares[l] += f64::from(v) * f64::from(v);
                self.min[l] = if v < self.min[l] { v } else { self.min[l] };
                self.max[l] = if v > self.max[l] { v } else { self.max[l] };
            } else {
                if v.is_nan() {
                    self.nan += 1;
                } else {
                    self.inf += 1;
                }
                self.first_not_finite.get_or_insert(index);
            }
        }
    }

    /// Counts the next elements as masked.
    pub(super) fn skip(&mut self, masked: usize) {
        self.seen += masked as u64;
        self.masked += masked as u64;
    }

    /// The statistics of everything taken in.
    pub(super) fn finish(&self) -> Stats {
        let n = self.finite as f64;
        let known = |v: f64| Number(if self.finite > 0 { v } else { f64::NAN });
        Stats {
            count: self.seen - self.masked,
            min: known(self.min.iter().copied().fold(f32::INFINITY, |a, b| if b < a { b } else { a }).into()),
            max: known(
                self.max.iter().copied().fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a }).into(),
            ),
            mean: known(self.sum.iter().sum::<f64>() / n),
            rms: known((self.squares.iter().sum::<f64>() / n).sqrt()),
            nan: self.nan,
            inf: self.inf,
            first_not_finite: self.first_not_finite,
            masked: self.masked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(values: &[f32]) -> Stats {
        let mut gather = Gather::default();
        // Pieces of any size give the same.
        let (a, b) = values.split_at(values.len() / 3);
        gather.add(a);
        gather.add(b);
        gather.finish()
    }

    #[test]
    fn finite_elements_are_measured() {
        let values: Vec<f32> = (0..100).map(|i| i as f32 - 20.0).collect();
        let s = stats(&values);
        assert_eq!((s.count, s.nan, s.inf), (100, 0, 0));
        assert_eq!((s.min.0, s.max.0, s.mean.0), (-20.0, 79.0, 29.5));
        let mean_square: f64 = values.iter().map(|v| f64::from(v * v)).sum::<f64>() / 100.0;
        assert!((s.rms.0 - mean_square.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn what_is_not_finite_is_counted_apart() {
        let mut values = vec![1.0_f32; 50];
        values[17] = f32::NAN;
        values[33] = f32::INFINITY;
        values[49] = f32::NEG_INFINITY;
        let s = stats(&values);
        assert_eq!((s.count, s.nan, s.inf, s.first_not_finite), (50, 1, 2, Some(17)));
        assert_eq!((s.mean.0, s.rms.0), (1.0, 1.0));
        let mut gather = Gather::default();
        gather.skip(7);
        gather.add(&[1.0, f32::NAN]);
        let s = gather.finish();
        assert_eq!((s.count, s.masked, s.first_not_finite), (2, 7, Some(8)));
        let s = stats(&[f32::NAN; 3]);
        assert!(s.min.0.is_nan() && s.max.0.is_nan() && s.mean.0.is_nan() && s.rms.0.is_nan());
        assert!(stats(&[]).min.0.is_nan());
    }
}
