//! Two tensors side by side: how far apart they are, where, and what on either side is no finite number.
//!
//! All sums are in f64. Elements that are not finite on either side take no part in them and are counted apart, with
//! the first index; no comparison here drops a NaN. Knows no file, no stage and no threshold.

use fault::fault;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is not finite on one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NonFinite {
    /// How many NaN.
    pub nan: usize,
    /// How many infinities.
    pub inf: usize,
    /// Index of the first of either.
    pub first: Option<usize>,
}

impl NonFinite {
    fn see(&mut self, index: usize, value: f32) {
        if value.is_finite() || fault!("diff-nan-dropped") {
            return;
        }
        if value.is_nan() {
            self.nan += 1;
        } else {
            self.inf += 1;
        }
        self.first.get_or_insert(index);
    }
    /// Whether there is none.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.first.is_none()
    }
}

/// One element of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Element {
    /// Its index in the flattened tensor.
    pub index: usize,
    /// The left value.
    pub left: f32,
    /// The right value.
    pub right: f32,
}

impl Element {
    /// The absolute difference.
    #[must_use]
    pub fn distance(&self) -> f64 {
        (f64::from(self.right) - f64::from(self.left)).abs()
    }
}

/// How many of the worst elements a comparison keeps.
pub const WORST: usize = 8;
/// Decades of the histogram of absolute differences: below 1e-12, 1e-12 .. 1e-11, ..., 1e3 and more.
pub const DECADES: usize = 17;
const FIRST_DECADE: i32 = -12;
/// Lower ends of the decades but the first.
const STEPS: [f64; DECADES - 1] =
    [1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3];

/// How two tensors of the same length compare; the left one is the reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Elements compared, masked ones left out.
    pub elements: usize,
    /// Elements that equal the mask on both sides, left out of everything else.
    pub masked: usize,
    /// What is not finite on the left.
    pub left: NonFinite,
    /// What is not finite on the right.
    pub right: NonFinite,
    /// Elements whose bits are the same.
    pub identical: usize,
    /// Largest absolute difference; 0 when no element is finite on both sides.
    pub max_abs: f64,
    /// Sum of squared differences over the sum of squares of the left side; 0 for zero against zero, infinite for
    /// anything else against zero.
    pub nmse: f64,
    /// Cosine of the angle; 1 for zero against zero, 0 for anything else against zero.
    pub cosine: f64,
    /// Norm of the right side over the norm of the left; 1 for zero against zero.
    pub norm_ratio: f64,
    /// The elements furthest apart, worst first.
    pub worst: Vec<Element>,
    /// How many differences fall into each decade; zero differences are in none.
    pub histogram: [usize; DECADES],
}

impl Comparison {
    /// Compares element by element; `None` when the lengths differ. A cell that equals `mask` on both sides is left out:
    /// attention scores mark what lies in the future by minus infinity.
    #[must_use]
    pub fn of(left: &[f32], right: &[f32], mask: Option<f32>) -> Option<Self> {
        if left.len() != right.len() {
            return None;
        }
        let mut c = Self {
            elements: 0,
            masked: 0,
            left: NonFinite::default(),
            right: NonFinite::default(),
            identical: 0,
            max_abs: 0.0,
            nmse: 0.0,
            cosine: 0.0,
            norm_ratio: 0.0,
            worst: Vec::with_capacity(WORST + 1),
            histogram: [0; DECADES],
        };
        let (mut error, mut dot, mut ll, mut rr) = (0f64, 0f64, 0f64, 0f64);
        for (index, (&l, &r)) in left.iter().zip(right).enumerate() {
            if mask.is_some_and(|m| l == m && r == m) {
                c.masked += 1;
                continue;
            }
            c.elements += 1;
            c.identical += usize::from(l.to_bits() == r.to_bits());
            c.left.see(index, l);
            c.right.see(index, r);
            if !(l.is_finite() && r.is_finite()) {
                continue;
            }
            let (lf, rf) = (f64::from(l), f64::from(r));
            let d = (rf - lf).abs();
            error += d * d;
            dot += lf * rf;
            ll += lf * lf;
            rr += rf * rf;
            if d > 0.0 {
                c.histogram[decade(d)] += 1;
                c.keep(Element { index, left: l, right: r });
            }
        }
        c.max_abs = c.worst.first().map_or(0.0, Element::distance);
        c.nmse = quotient(error, ll, 0.0, f64::INFINITY);
        if fault!("diff-scale-blind") && ll > 0.0 && rr > 0.0 {
            c.nmse = 2.0 - 2.0 * dot / (ll.sqrt() * rr.sqrt());
        }
        c.cosine = if ll > 0.0 && rr > 0.0 {
            (dot / (ll.sqrt() * rr.sqrt())).clamp(-1.0, 1.0)
        } else if ll == rr {
            1.0
        } else {
            0.0
        };
        c.norm_ratio = quotient(rr, ll, 1.0, f64::INFINITY).sqrt();
        Some(c)
    }

    /// The error of values that are finite on both sides, without the rest of a comparison; `None` for others, and where
    /// lengths differ.
    #[must_use]
    pub fn nmse_of_finite(left: &[f32], right: &[f32]) -> Option<f64> {
        /// Sums that need not wait for each other.
        const LANES: usize = 8;
        if left.len() != right.len() {
            return None;
        }
        let (mut error, mut squares, mut finite) = ([0f64; LANES], [0f64; LANES], true);
        for (l, r) in left.chunks(LANES).zip(right.chunks(LANES)) {
            for (i, (&l, &r)) in l.iter().zip(r).enumerate() {
                finite &= l.is_finite() & r.is_finite();
                let (l, r) = (f64::from(l), f64::from(r));
                error[i] += (r - l) * (r - l);
                squares[i] += l * l;
            }
        }
        finite.then(|| quotient(error.iter().sum(), squares.iter().sum(), 0.0, f64::INFINITY))
    }

    /// Keeps the worst elements, worst first; of equal ones the earlier.
    fn keep(&mut self, element: Element) {
        let d = element.distance();
        if self.worst.len() == WORST && self.worst.last().is_some_and(|w| w.distance() >= d) {
            return;
        }
        let place = self.worst.partition_point(|w| w.distance() >= d);
        self.worst.insert(place, element);
        self.worst.truncate(WORST);
    }

    /// The verdict under a bound on the normalized mean squared error.
    #[must_use]
    pub fn verdict(&self, nmse: f64) -> Verdict {
        match (self.left.is_clean(), self.right.is_clean()) {
            (false, false) => Verdict::NanBoth,
            (false, true) => Verdict::NanLeft,
            (true, false) => Verdict::NanRight,
            (true, true) if self.nmse <= nmse => Verdict::Match,
            (true, true) => Verdict::Diverge,
        }
    }
}

fn quotient(over: f64, under: f64, zero_by_zero: f64, by_zero: f64) -> f64 {
    if under > 0.0 {
        over / under
    } else if over == 0.0 {
        zero_by_zero
    } else {
        by_zero
    }
}

/// The histogram's decade of a positive difference.
fn decade(difference: f64) -> usize {
    STEPS.partition_point(|step| *step <= difference)
}

/// The label of a decade: its lower end.
#[must_use]
pub fn decade_label(decade: usize) -> String {
    match decade {
        0 => format!("< 1e{FIRST_DECADE}"),
        n => format!("1e{}", FIRST_DECADE + n as i32 - 1),
    }
}

/// What a comparison comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// Within the bound.
    Match,
    /// Finite on both sides and beyond the bound.
    Diverge,
    /// Not finite on the left alone.
    NanLeft,
    /// Not finite on the right alone.
    NanRight,
    /// Not finite on both sides.
    NanBoth,
    /// One side has no such tensor.
    Missing,
}

impl Verdict {
    /// The verdict's name in tables and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Match => "MATCH",
            Self::Diverge => "DIVERGE",
            Self::NanLeft => "NAN_LEFT",
            Self::NanRight => "NAN_RIGHT",
            Self::NanBoth => "NAN_BOTH",
            Self::Missing => "MISSING",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How the chosen experts of two passes compare, position by position.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RouteComparison {
    /// Positions whose experts are the same in the same order.
    pub equal: usize,
    /// Positions with the same set in another order.
    pub permuted: usize,
    /// Positions whose sets differ.
    pub flipped: Vec<Flip>,
}

/// A position at which two passes chose different experts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Flip {
    /// The position, counted in the recording.
    pub position: usize,
    /// Experts only the left pass chose.
    pub left_only: Vec<u32>,
    /// Experts only the right pass chose.
    pub right_only: Vec<u32>,
    /// By how much the left pass's last chosen logit beat its best one left out, where logits were recorded.
    pub margin: Option<f32>,
    /// Largest difference of the router logits at this position, where they were recorded and finite.
    pub logit_error: Option<f32>,
}

impl Flip {
    /// Whether the margin was so small that the difference of the logits explains the flip: at most four times it.
    /// `None` where the logits were not recorded.
    #[must_use]
    pub fn within_margin(&self) -> Option<bool> {
        // Two logits may each move by the error towards the other; a further factor of two covers that the error was
        // measured on other elements of the same row.
        Some(f64::from(self.margin?) <= 4.0 * f64::from(self.logit_error?))
    }
}

/// Compares choices of `chosen` experts a position.
#[must_use]
pub fn routes(left: &[u32], right: &[u32], chosen: usize) -> Option<RouteComparison> {
    if left.len() != right.len() || chosen == 0 || !left.len().is_multiple_of(chosen) {
        return None;
    }
    let mut out = RouteComparison::default();
    for (position, (l, r)) in left.chunks(chosen).zip(right.chunks(chosen)).enumerate() {
        let without = |a: &[u32], b: &[u32]| a.iter().copied().filter(|e| !b.contains(e)).collect::<Vec<_>>();
        let (left_only, right_only) = (without(l, r), without(r, l));
        if l == r {
            out.equal += 1;
        } else if left_only.is_empty() && right_only.is_empty() {
            out.permuted += 1;
        } else {
            out.flipped.push(Flip { position, left_only, right_only, margin: None, logit_error: None });
        }
    }
    Some(out)
}

/// Brings a right-hand tensor `[positions, chosen, n]` into the left's expert order, so that a permuted choice compares
/// expert by expert. Positions whose sets differ keep their rank order.
pub fn align_experts(values: &mut [f32], left: &[u32], right: &[u32], chosen: usize) {
    if chosen == 0 || left.len() != right.len() || left.is_empty() || !values.len().is_multiple_of(left.len())
    {
        return;
    }
    if fault!("diff-experts-by-rank") {
        return;
    }
    let n = values.len() / left.len();
    let rows = left.chunks_exact(chosen).zip(right.chunks_exact(chosen));
    for ((l, r), row) in rows.zip(values.chunks_exact_mut(chosen * n)) {
        let places: Option<Vec<usize>> = l.iter().map(|e| r.iter().position(|x| x == e)).collect();
        let Some(places) = places else { continue };
        let old = row.to_vec();
        for (rank, place) in places.into_iter().enumerate() {
            row[rank * n..(rank + 1) * n].copy_from_slice(&old[place * n..(place + 1) * n]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(left: &[f32], right: &[f32]) -> Comparison {
        Comparison::of(left, right, None).expect("equal lengths")
    }

    #[test]
    fn zero_against_zero_matches_and_anything_else_against_zero_does_not() {
        let zero = of(&[0.0; 4], &[0.0, -0.0, 0.0, 0.0]);
        assert_eq!((zero.nmse, zero.cosine, zero.norm_ratio), (0.0, 1.0, 1.0));
        assert_eq!(zero.verdict(0.0), Verdict::Match);
        let tiny = of(&[0.0; 4], &[0.0, 0.0, 1e-45, 0.0]);
        assert_eq!((tiny.nmse, tiny.cosine), (f64::INFINITY, 0.0));
        assert_eq!(tiny.verdict(1e6), Verdict::Diverge);
    }

    #[test]
    fn a_scaled_copy_is_told_by_the_norms_though_its_cosine_is_one() {
        let left: Vec<f32> = (0..100).map(|i| i as f32 - 37.0).collect();
        let right: Vec<f32> = left.iter().map(|v| v * 1000.0).collect();
        let c = of(&left, &right);
        assert!((c.cosine - 1.0).abs() < 1e-12 && (c.norm_ratio - 1000.0).abs() < 1e-6);
        assert_eq!(c.verdict(1.0), Verdict::Diverge);
    }

    #[test]
    fn what_is_not_finite_is_counted_and_never_dropped() {
        let c = of(&[1.0, f32::NAN, 2.0, f32::INFINITY], &[1.0, 0.0, 2.0, 0.0]);
        assert_eq!(c.left, NonFinite { nan: 1, inf: 1, first: Some(1) });
        assert_eq!((c.nmse, c.verdict(1.0)), (0.0, Verdict::NanLeft));
        assert_eq!(of(&[1.0], &[f32::NAN]).verdict(1.0), Verdict::NanRight);
        assert_eq!(of(&[f32::NAN], &[f32::NAN]).verdict(1.0), Verdict::NanBoth);
    }

    #[test]
    fn masked_cells_are_left_out_only_where_both_sides_mask() {
        let scores =
            |l: &[f32], r: &[f32]| Comparison::of(l, r, Some(f32::NEG_INFINITY)).expect("equal lengths");
        let masked = scores(&[1.0, f32::NEG_INFINITY], &[1.0, f32::NEG_INFINITY]);
        assert_eq!((masked.masked, masked.elements, masked.verdict(0.0)), (1, 1, Verdict::Match));
        assert_eq!(scores(&[1.0, f32::NEG_INFINITY], &[1.0, 2.0]).verdict(0.0), Verdict::NanLeft);
        assert_eq!(of(&[f32::NEG_INFINITY], &[f32::NEG_INFINITY]).verdict(0.0), Verdict::NanBoth);
    }

    #[test]
    fn denormals_and_large_values_keep_their_weight() {
        // In f32 the squares of these would be zero and infinite.
        let small = of(&[1e-40, 2e-40], &[1e-40, 1e-40]);
        assert!((small.nmse - 0.2).abs() < 1e-3, "{}", small.nmse);
        let large = of(&[1e38, 1e38], &[1e38, 2e38]);
        assert!((large.nmse - 0.5).abs() < 1e-6 && large.max_abs > 9e37);
    }

    #[test]
    fn the_worst_elements_come_first_and_equal_ones_in_order() {
        let left = [0.0; 20];
        let mut right = [0.0f32; 20];
        right[3] = 2.0;
        right[7] = -5.0;
        right[9] = 2.0;
        let c = of(&left, &right);
        assert_eq!(c.worst.iter().map(|e| e.index).collect::<Vec<_>>(), [7, 3, 9]);
        assert_eq!(c.max_abs, 5.0);
        assert_eq!(c.histogram.iter().sum::<usize>(), 3);
    }

    #[test]
    fn lengths_that_differ_do_not_compare() {
        assert_eq!(Comparison::of(&[1.0], &[1.0, 2.0], None), None);
        assert_eq!(routes(&[1, 2], &[1, 2, 3], 1), None);
    }

    #[test]
    fn routes_tell_a_permutation_from_a_flip() {
        let r = routes(&[1, 2, 3, 4, 5, 6], &[1, 2, 4, 3, 5, 7], 2).expect("same shape");
        assert_eq!((r.equal, r.permuted, r.flipped.len()), (1, 1, 1));
        let flip = &r.flipped[0];
        assert_eq!((flip.position, &flip.left_only[..], &flip.right_only[..]), (2, &[6][..], &[7][..]));
    }

    #[test]
    fn aligned_experts_compare_expert_by_expert() {
        let (left, right) = ([1, 2, 5, 6], [2, 1, 5, 7]);
        let mut values = [20.0, 21.0, 10.0, 11.0, 50.0, 51.0, 70.0, 71.0];
        align_experts(&mut values, &left, &right, 2);
        assert_eq!(values, [10.0, 11.0, 20.0, 21.0, 50.0, 51.0, 70.0, 71.0]);
    }
}
