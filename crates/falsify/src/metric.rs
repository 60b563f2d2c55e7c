//! The metrics: from two operands to the number that a claim bounds.
//!
//! Everything is accumulated in f64. No metric drops a NaN: under `forbid` a NaN on either side makes the value
//! NaN, which no bound holds; under `match` a NaN on both sides of one element is a pair that agrees and one on
//! one side makes the value NaN. Two operands of different lengths are as far apart as the bound can say. An exact
//! match of zeros is a match, and an infinity agrees with itself alone.

use crate::operand::{Element, View};
use contract::claim::{Better, Metric, NanPolicy};
use contract::evidence::tally::Reading;
use fault::fault;

/// What two operands have that the metric cannot take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MetricError {
    #[error("{metric} compares {wanted}, not {found}")]
    Kind { metric: &'static str, wanted: &'static str, found: String },
    #[error("{metric} is measured, not compared: call `claim.measure(\"{metric}\", value, unit)`")]
    Measured { metric: &'static str },
}

/// The reading of a metric over all elements of two operands.
pub(crate) fn read(
    metric: Metric,
    policy: NanPolicy,
    expected: View<'_>,
    actual: View<'_>,
) -> Result<Reading, MetricError> {
    let pair = Pair { metric, policy, expected, actual };
    if metric == Metric::Finite {
        return pair.finite();
    }
    pair.check_kinds()?;
    if let Some(reading) = pair.length_mismatch() {
        return Ok(reading);
    }
    if let Some(reading) = pair.nan_refusal() {
        return Ok(reading);
    }
    Ok(match metric {
        Metric::Bitwise => pair.count(|at| !pair.same_bits(at)),
        Metric::Count | Metric::Predicate => pair.count(|at| !pair.same_value(at)),
        Metric::Ulp => pair.largest(|at| pair.ulp(at)),
        Metric::MaxAbs => pair.largest(|at| pair.distance(at)),
        Metric::RelL2 => {
            let (difference, reference) = pair.squares();
            pair.whole(quotient(difference, reference).sqrt())
        }
        Metric::Nmse => {
            let (difference, reference) = pair.squares();
            pair.whole(quotient(difference, reference))
        }
        Metric::Cosine => pair.whole(pair.cosine()),
        Metric::Kl => pair.whole(pair.divergence()),
        Metric::Argmax => pair.argmax(),
        Metric::TopkSet => pair.set_difference(),
        Metric::Sum => pair.whole(pair.sums()),
        Metric::Throughput | Metric::Latency | Metric::Memory | Metric::Ratio | Metric::Finite => {
            return Err(MetricError::Measured { metric: metric.info().name });
        }
    })
}

/// The reading of `finite` over one operand.
pub(crate) fn finite(actual: View<'_>) -> Result<Reading, MetricError> {
    Pair { metric: Metric::Finite, policy: NanPolicy::Forbid, expected: actual, actual }.finite_of(&[actual])
}

/// Two operands under one metric. After [`Pair::check_kinds`] and [`Pair::length_mismatch`] they have elements
/// that the metric takes, and, except for sums, equally many.
struct Pair<'a> {
    metric: Metric,
    policy: NanPolicy,
    expected: View<'a>,
    actual: View<'a>,
}

impl Pair<'_> {
    fn check_kinds(&self) -> Result<(), MetricError> {
        let (e, a) = (&self.expected, &self.actual);
        let metric = self.metric.info().name;
        let fail = |wanted| {
            let found = if e.kind() == a.kind() {
                e.kind().to_owned()
            } else {
                format!("{} with {}", e.kind(), a.kind())
            };
            Err(MetricError::Kind { metric, wanted, found })
        };
        match self.metric {
            Metric::Bitwise if !same_type(e, a) => fail("operands of one type"),
            Metric::Count | Metric::Predicate
                if e.kind() != a.kind() && !(e.is_number() && a.is_number()) =>
            {
                fail("numbers with numbers and texts with texts")
            }
            Metric::Ulp if !(e.is_float() && a.is_float()) => fail("floating-point numbers"),
            Metric::MaxAbs | Metric::RelL2 | Metric::Nmse | Metric::Cosine | Metric::Sum | Metric::Argmax
                if !(e.is_number() && a.is_number()) =>
            {
                fail("numbers")
            }
            Metric::Kl if !(e.is_float() && a.is_float()) => fail("logits in floating point"),
            Metric::TopkSet if !matches!((e, a), (View::Int(_), View::Int(_))) => fail("indices"),
            Metric::Throughput | Metric::Latency | Metric::Memory | Metric::Ratio => {
                Err(MetricError::Measured { metric })
            }
            _ => Ok(()),
        }
    }

    fn elements(&self) -> u64 {
        self.actual.len().max(self.expected.len()) as u64
    }

    fn nan(&self) -> u64 {
        self.expected.nan() + self.actual.nan()
    }

    /// The value that is worse than every other one that the metric can have.
    fn furthest(&self) -> f64 {
        match self.metric.info().better {
            Some(Better::Larger) => f64::NEG_INFINITY,
            Some(Better::Smaller) | None => f64::INFINITY,
        }
    }

    fn length_mismatch(&self) -> Option<Reading> {
        let (e, a) = (self.expected.len(), self.actual.len());
        let total = self.metric == Metric::Sum && e == 1;
        if e == a || total || fault!("comparison-ignores-length") {
            return None;
        }
        let detail = Some(format!("expected {e} elements, got {a}"));
        Some(Reading {
            value: self.furthest(),
            elements: self.elements(),
            element: None,
            nan: self.nan(),
            detail,
        })
    }

    /// The reading NaN, when the policy refuses a NaN that the operands hold.
    fn nan_refusal(&self) -> Option<Reading> {
        if self.nan() == 0 || fault!("comparison-launders-nan") {
            return None;
        }
        // The shorter operand is the one number of an expected sum.
        let count = self.actual.len();
        let refused = (0..count).find(|at| {
            let actual = is_nan(&self.actual, *at);
            let expected = is_nan(&self.expected, *at);
            match self.policy {
                NanPolicy::Forbid => actual || expected,
                NanPolicy::Match => actual != expected,
            }
        });
        // A sum with a NaN has no value that could match.
        let refused = refused.or((self.metric == Metric::Sum).then_some(0))?;
        let detail = Some(self.detail(refused));
        let element = Some(refused as u64);
        Some(Reading { value: f64::NAN, elements: self.elements(), element, nan: self.nan(), detail })
    }

    fn detail(&self, at: usize) -> String {
        let element = |view: &View<'_>| match view {
            _ if at >= view.len() => "nothing".to_owned(),
            View::Text(text) => {
                let from = (0..=at).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
                Element::Text(&text[from..]).to_string()
            }
            view => view.element(at).to_string(),
        };
        format!("expected {}, got {}", element(&self.expected), element(&self.actual))
    }

    /// The elements whose pair is compared: all but the NaN that agree.
    fn compared(&self) -> impl Iterator<Item = usize> + '_ {
        let count = self.actual.len().min(self.expected.len());
        (0..count).filter(|at| !is_nan(&self.actual, *at) || !is_nan(&self.expected, *at))
    }

    fn whole(&self, value: f64) -> Reading {
        Reading { value, elements: self.elements(), element: None, nan: self.nan(), detail: None }
    }

    /// How many elements violate, and the first of them.
    fn count(&self, violates: impl Fn(usize) -> bool) -> Reading {
        let mut count = 0_u32;
        let mut first = None;
        for at in self.compared() {
            if violates(at) {
                count += 1;
                first.get_or_insert(at);
            }
        }
        Reading {
            value: f64::from(count),
            elements: self.elements(),
            element: first.map(|at| at as u64),
            nan: self.nan(),
            detail: first.map(|at| self.detail(at)),
        }
    }

    /// The largest value over the elements, and where it is first reached. A NaN value stays.
    fn largest(&self, value: impl Fn(usize) -> f64) -> Reading {
        let mut largest: Option<(f64, usize)> = None;
        for at in self.compared() {
            let v = value(at);
            if largest.is_none_or(|(seen, _)| !seen.is_nan() && (v.is_nan() || v > seen)) {
                largest = Some((v, at));
            }
        }
        let Some((value, at)) = largest else { return self.whole(0.0) };
        let detail = (value != 0.0).then(|| self.detail(at));
        Reading { value, elements: self.elements(), element: Some(at as u64), nan: self.nan(), detail }
    }

    fn numbers(&self, at: usize) -> (f64, f64) {
        // The kinds were checked, so there is no element that is no number.
        (self.expected.number(at).unwrap_or(f64::NAN), self.actual.number(at).unwrap_or(f64::NAN))
    }

    fn same_bits(&self, at: usize) -> bool {
        match (&self.expected, &self.actual) {
            (View::F32(e), View::F32(a)) => e[at].to_bits() == a[at].to_bits(),
            (View::F64(e), View::F64(a)) => e[at].to_bits() == a[at].to_bits(),
            (e, a) => e.element(at) == a.element(at),
        }
    }

    fn same_value(&self, at: usize) -> bool {
        match (self.expected.element(at), self.actual.element(at)) {
            (Element::Float(_), _) | (_, Element::Float(_)) => {
                let (e, a) = self.numbers(at);
                e == a
            }
            (e, a) => e == a,
        }
    }

    /// The distance in representable numbers of the actual operand's type, to which the expected one is rounded.
    /// The two zeros are one number; an infinity is no neighbour of anything but itself.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "rounding to the actual operand's type is the definition"
    )]
    #[expect(clippy::cast_precision_loss, reason = "a distance above 2^53 is far beyond any bound")]
    fn ulp(&self, at: usize) -> f64 {
        let (e, a) = self.numbers(at);
        if e == a {
            return 0.0;
        }
        if matches!(self.actual, View::F32(_)) {
            let (e, a) = (e as f32, a as f32);
            if e == a {
                return 0.0;
            }
            if e.is_infinite() || a.is_infinite() {
                return f64::INFINITY;
            }
            f64::from(ordered32(e).abs_diff(ordered32(a)))
        } else {
            if e.is_infinite() || a.is_infinite() {
                return f64::INFINITY;
            }
            ordered64(e).abs_diff(ordered64(a)) as f64
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "the difference is exact, its report is a double")]
    fn distance(&self, at: usize) -> f64 {
        if let (Element::Int(e), Element::Int(a)) = (self.expected.element(at), self.actual.element(at)) {
            return e.abs_diff(a) as f64;
        }
        let (e, a) = self.numbers(at);
        distance(e, a)
    }

    /// The sum of squared differences and the sum of squares of the expected operand, both divided by one square
    /// that keeps them from overflowing and vanishing. Equal infinities are left out: their difference is none and
    /// as a reference they would hide every other one.
    fn squares(&self) -> (f64, f64) {
        let finite = || {
            let pairs = self.compared().map(|at| self.numbers(at));
            let reference =
                |e: f64, a: f64| if fault!("error-relative-to-actual") { a.abs() } else { e.abs() };
            pairs
                .filter(|(e, a)| e.is_finite() || e != a)
                .map(move |(e, a)| (distance(e, a), reference(e, a)))
        };
        let mut scale = 0.0_f64;
        for (d, e) in finite() {
            if d.is_infinite() {
                return (f64::INFINITY, 1.0);
            }
            for v in [d, e] {
                if v > scale {
                    scale = v;
                }
            }
        }
        if scale == 0.0 {
            return (0.0, 0.0);
        }
        finite().fold((0.0, 0.0), |sums, (d, e)| {
            let (d, e) = (d / scale, e / scale);
            (sums.0 + d * d, sums.1 + e * e)
        })
    }

    /// Two zero vectors point the same way; a zero vector and another do not. Infinities have no direction.
    fn cosine(&self) -> f64 {
        let (mut scale_e, mut scale_a) = (0.0_f64, 0.0_f64);
        for at in self.compared() {
            let (e, a) = self.numbers(at);
            if e.abs() > scale_e {
                scale_e = e.abs();
            }
            if a.abs() > scale_a {
                scale_a = a.abs();
            }
        }
        match (scale_e == 0.0, scale_a == 0.0) {
            (true, true) => return 1.0,
            (true, false) | (false, true) => return 0.0,
            (false, false) => {}
        }
        if scale_e.is_infinite() || scale_a.is_infinite() {
            return f64::NAN;
        }
        let (mut dot, mut norm_e, mut norm_a) = (0.0, 0.0, 0.0);
        for at in self.compared() {
            let (e, a) = self.numbers(at);
            let (e, a) = (e / scale_e, a / scale_a);
            dot += e * a;
            norm_e += e * e;
            norm_a += a * a;
        }
        let cosine: f64 = dot / (norm_e.sqrt() * norm_a.sqrt());
        // Rounding may leave [-1, 1]; NaN passes through a clamp.
        cosine.clamp(-1.0, 1.0)
    }

    /// KL(softmax(expected) || softmax(actual)) in nats. A logit of minus infinity is a probability of zero.
    fn divergence(&self) -> f64 {
        let (log_e, log_a) = (self.log_sum_exp(|pair| pair.0), self.log_sum_exp(|pair| pair.1));
        let mut divergence = 0.0;
        for at in self.compared() {
            let (e, a) = self.numbers(at);
            let (log_p, log_q) = (e - log_e, a - log_a);
            let p = log_p.exp();
            // A term of zero probability is zero, whatever the other side says of it.
            if p != 0.0 {
                divergence += p * (log_p - log_q);
            }
        }
        // The divergence is at least zero; a rounding below it is none.
        if divergence < 0.0 { 0.0 } else { divergence }
    }

    fn log_sum_exp(&self, side: impl Fn((f64, f64)) -> f64) -> f64 {
        let mut max = f64::NEG_INFINITY;
        for at in self.compared() {
            let v = side(self.numbers(at));
            if v > max {
                max = v;
            }
        }
        let mut sum = 0.0;
        for at in self.compared() {
            // Infinite logits make this NaN, and so the divergence.
            sum += (side(self.numbers(at)) - max).exp();
        }
        max + sum.ln()
    }

    /// Ties go to the lowest index on both sides.
    fn argmax(&self) -> Reading {
        let of = |side: fn((f64, f64)) -> f64| {
            let mut best: Option<(f64, usize)> = None;
            for at in self.compared() {
                let v = side(self.numbers(at));
                if best.is_none_or(|(seen, _)| v > seen) {
                    best = Some((v, at));
                }
            }
            best.map(|(_, at)| at)
        };
        let (e, a) = (of(|pair| pair.0), of(|pair| pair.1));
        let differs = e != a;
        let index = |at: Option<usize>| at.map_or_else(|| "none".to_owned(), |at| at.to_string());
        let detail = differs.then(|| format!("expected index {}, got {}", index(e), index(a)));
        let value = f64::from(u8::from(differs));
        Reading { value, elements: self.elements(), element: a.map(|at| at as u64), nan: self.nan(), detail }
    }

    /// How many indices, counted as often as they occur, are on one side only; half of what is on either.
    fn set_difference(&self) -> Reading {
        let sorted = |view: &View<'_>| {
            let mut indices: Vec<i128> = (0..view.len())
                .filter_map(|at| if let Element::Int(v) = view.element(at) { Some(v) } else { None })
                .collect();
            indices.sort_unstable();
            indices
        };
        let (e, a) = (sorted(&self.expected), sorted(&self.actual));
        let missing = without(&e, &a);
        let extra = without(&a, &e);
        let detail = (!missing.is_empty() || !extra.is_empty())
            .then(|| format!("only expected {missing:?}, only got {extra:?}"));
        let count = u32::try_from(missing.len().max(extra.len())).unwrap_or(u32::MAX);
        let value = f64::from(count);
        Reading { value, elements: self.elements(), element: None, nan: 0, detail }
    }

    fn sums(&self) -> f64 {
        let sum = |view: &View<'_>| {
            // Neumaier's compensation: the claim is about the sum and not about its rounding here.
            let (mut sum, mut lost) = (0.0_f64, 0.0_f64);
            for at in 0..view.len() {
                let v = view.number(at).unwrap_or(f64::NAN);
                let next = sum + v;
                lost += if sum.abs() >= v.abs() { (sum - next) + v } else { (v - next) + sum };
                sum = next;
            }
            if sum.is_finite() { sum + lost } else { sum }
        };
        distance(sum(&self.expected), sum(&self.actual))
    }

    fn finite(&self) -> Result<Reading, MetricError> {
        self.finite_of(&[self.expected, self.actual])
    }

    fn finite_of(&self, views: &[View<'_>]) -> Result<Reading, MetricError> {
        let (mut value, mut elements, mut nan, mut first) = (0_u32, 0, 0, None);
        for view in views {
            if !view.is_float() {
                let found = view.kind().to_owned();
                return Err(MetricError::Kind { metric: "finite", wanted: "floating-point numbers", found });
            }
            elements += view.len() as u64;
            nan += view.nan();
            for at in 0..view.len() {
                let v = view.number(at).unwrap_or(f64::NAN);
                if !v.is_finite() {
                    value += 1;
                    first.get_or_insert((at, v));
                }
            }
        }
        let (element, detail) = first.map(|(at, v)| (at as u64, format!("got {v}"))).unzip();
        Ok(Reading { value: f64::from(value), elements, element, nan, detail })
    }
}

/// The elements of the sorted `a` that the sorted `b` does not have.
fn without(a: &[i128], b: &[i128]) -> Vec<i128> {
    let mut rest = b.iter().peekable();
    let mut only = Vec::new();
    for v in a {
        while rest.next_if(|other| *other < v).is_some() {}
        if rest.next_if(|other| *other == v).is_none() {
            only.push(*v);
        }
    }
    only
}

fn is_nan(view: &View<'_>, at: usize) -> bool {
    match view {
        View::F32(v) => v.get(at).is_some_and(|x| x.is_nan()),
        View::F64(v) => v.get(at).is_some_and(|x| x.is_nan()),
        _ => false,
    }
}

fn same_type(e: &View<'_>, a: &View<'_>) -> bool {
    match (e, a) {
        (View::Int(e), View::Int(a)) => std::mem::discriminant(e) == std::mem::discriminant(a),
        _ => e.kind() == a.kind(),
    }
}

/// The absolute difference; equal infinities differ by nothing.
fn distance(e: f64, a: f64) -> f64 {
    if e == a { 0.0 } else { (e - a).abs() }
}

/// Nothing out of nothing is nothing; something out of nothing is infinitely much.
fn quotient(difference: f64, reference: f64) -> f64 {
    if difference == 0.0 { 0.0 } else { difference / reference }
}

/// The place of a finite number on the line of all of them: neighbours differ by one, the zeros share a place.
fn ordered32(v: f32) -> i32 {
    let magnitude = (v.to_bits() & 0x7fff_ffff).cast_signed();
    if v.is_sign_negative() { -magnitude } else { magnitude }
}

/// As [`ordered32`].
fn ordered64(v: f64) -> i64 {
    let magnitude = (v.to_bits() & 0x7fff_ffff_ffff_ffff).cast_signed();
    if v.is_sign_negative() { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests;
