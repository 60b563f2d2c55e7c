//! How well a model predicts a text, and how far its predictions are from logits that were saved: perplexity,
//! Kullback-Leibler divergence, and how often both would choose the same token.
//!
//! A text longer than the window is cut into windows that know nothing of each other. All sums are in f64. A row of logits
//! that is no distribution takes part in no mean; it is counted apart.

pub mod saved;

use crate::Error;
use crate::bench::Summary;
use crate::session::{Out, Session};
use crate::trace::Number;
use fault::fault;
use saved::{Saved, Writer};
use serde::Serialize;
use std::ops::Range;

/// Natural logarithms of a softmax, in f64.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LogSoftmax {
    values: Vec<f64>,
    best: u32,
}

impl LogSoftmax {
    /// Takes up a row of logits, `[vocab]`; false when it is no distribution: a NaN, an infinity above, or nothing but
    /// infinities below. What was held before is gone in any case.
    #[must_use]
    pub fn take(&mut self, logits: &[f32]) -> bool {
        self.values.clear();
        let (mut best, mut most) = (0, f32::NEG_INFINITY);
        for (i, &logit) in (0..).zip(logits) {
            if logit.is_nan() && !fault!("eval-nan-ignored") {
                return false;
            }
            // The first of equal ones, as the greedy choice takes it.
            if logit > most {
                (best, most) = (i, logit);
            }
        }
        if !most.is_finite() {
            return false;
        }
        self.best = best;
        // Without the largest taken off, an exponential of 89 and more is no f32, one of 710 no f64.
        let shift = if fault!("eval-softmax-unshifted") { 0.0 } else { f64::from(most) };
        let normal = sum(0..logits.len(), &|i| (f64::from(logits[i]) - shift).exp()).ln();
        // First the largest off, which loses nothing.
        self.values.extend(logits.iter().map(|x| (f64::from(*x) - shift) - normal));
        true
    }

    /// Tokens that it is over.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The logarithm of a token's probability; `None` of a token that is none.
    #[must_use]
    pub fn of(&self, token: u32) -> Option<f64> {
        self.values.get(token as usize).copied()
    }

    /// The most likely token, the first of equal ones.
    #[must_use]
    pub fn best(&self) -> u32 {
        self.best
    }

    /// `KL(self || other) = sum of p (ln p - ln q)` in nats, `self` being p: infinite where p is possible and q is not. Both
    /// are over the same tokens. Rounding leaves some 1e-15, of either
    /// sign.
    #[must_use]
    pub fn divergence(&self, other: &Self) -> f64 {
        let (p, q) = if fault!("eval-divergence-reversed") { (other, self) } else { (self, other) };
        sum(0..p.values.len().min(q.values.len()), &|i| {
            let (p, q) = (p.values[i], q.values[i]);
            // What is impossible weighs nothing, however far it is.
            if p == f64::NEG_INFINITY { 0.0 } else { p.exp() * (p - q) }
        })
    }
}

/// The sum of terms by halves, so that rounding grows with the logarithm of how many there are.
fn sum(range: Range<usize>, term: &impl Fn(usize) -> f64) -> f64 {
    if range.len() <= 32 {
        return range.map(term).sum();
    }
    let middle = range.start + range.len() / 2;
    sum(range.start..middle, term) + sum(middle..range.end, term)
}

/// Where windows begin and what of them is scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// Tokens of a window.
    pub length: usize,
    /// Positions at the start of each that are computed but not scored.
    pub skip: usize,
}

/// A mean with its standard error, and what lies around it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The mean.
    pub mean: Number,
    /// The mean's standard error: the deviation over the square root of how many there are.
    pub error: Number,
    /// The middle one.
    pub median: Number,
    /// What 99 of 100 stay at or under.
    pub p99: Number,
    /// The largest.
    pub largest: Number,
    /// The token of the text after which it is that large.
    pub at: usize,
}

impl Spread {
    /// That of numbers and the tokens they belong to; `None` when there are none.
    #[must_use]
    pub fn of(numbers: &[(usize, f64)]) -> Option<Self> {
        let values: Vec<f64> = numbers.iter().map(|(_, v)| *v).collect();
        let Summary { mean, deviation, median } = Summary::of(&values)?;
        let mut sorted = numbers.to_vec();
        sorted.sort_by(|a, b| a.1.total_cmp(&b.1));
        let (at, largest) = *sorted.last()?;
        let p99 = sorted[(sorted.len() * 99).div_ceil(100).saturating_sub(1)].1;
        // Beside an infinity there is no deviation.
        let error = deviation / (values.len() as f64).sqrt();
        let [mean, error, median, p99, largest] = [mean, error, median, p99, largest].map(Number);
        Some(Self { mean, error, median, p99, largest, at })
    }
}

/// How well tokens were predicted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Prediction {
    /// Tokens that were predicted.
    pub tokens: usize,
    /// The mean negative logarithm of a token's probability, in nats.
    pub nll: Number,
    /// Its standard error.
    pub nll_error: Number,
    /// Its exponential.
    pub perplexity: Number,
}

impl Prediction {
    fn of(nlls: &[f64]) -> Option<Self> {
        let Summary { mean, deviation, .. } = Summary::of(nlls)?;
        let error = deviation / (nlls.len() as f64).sqrt();
        Some(Self {
            tokens: nlls.len(),
            nll: Number(mean),
            nll_error: Number(error),
            perplexity: Number(mean.exp()),
        })
    }
}

/// Rows that are no distribution.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// How many.
    pub rows: usize,
    /// The token of the text after which the first is.
    pub first: Option<usize>,
}

impl Broken {
    fn see(&mut self, at: usize) {
        self.rows += 1;
        self.first.get_or_insert(at);
    }
}

/// How predictions are against saved ones.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Against {
    /// Positions compared.
    pub positions: usize,
    /// `KL(saved || here)` in nats; none when no position could be compared.
    pub kl: Option<Spread>,
    /// Positions at which both have the same most likely token.
    pub agree: usize,
    /// The same as a share.
    pub agreement: Option<f64>,
    /// How well the saved logits predict the text.
    pub saved: Option<Prediction>,
    /// Saved rows that are no distribution.
    pub broken: Broken,
}

/// What an evaluation found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Tokens of the text.
    pub tokens: usize,
    /// Windows they were cut into.
    pub windows: usize,
    /// Tokens of a window.
    pub window: usize,
    /// Positions at the start of each that were not scored.
    pub skip: usize,
    /// Positions that were scored.
    pub scored: usize,
    /// How well the model predicts the text; none when no scored position has a token after it.
    pub prediction: Option<Prediction>,
    /// Rows of the model that are no distribution.
    pub broken: Broken,
    /// How it is against saved logits.
    pub against: Option<Against>,
}

/// What is done with the logits beside scoring.
pub struct Logits<'a> {
    /// What they are compared with: of the same tokens.
    pub against: Option<&'a Saved>,
    /// Where they go.
    pub save: Option<&'a mut Writer>,
}

/// Computes a text, window by window, and scores what comes out; `each` hears after every part how many tokens are done, and
/// may end it.
///
/// # Errors
/// What the session or the writer reports; [`Error::Stopped`] when `each` ended it.
pub fn evaluate(
    session: &mut Session,
    tokens: &[u32],
    windows: Windows,
    mut logits: Logits<'_>,
    mut each: impl FnMut(usize) -> bool,
) -> Result<Report, Error> {
    let vocab = session.config().vocab;
    let most = session.rows_at_once(Out::All);
    let mut scores = Scores::default();
    let mut done = 0;
    for window in tokens.chunks(windows.length.max(1)) {
        session.rewind(0)?;
        let first = done;
        for part in window.chunks(most) {
            session.run(part, Out::All)?;
            let rows = session.logits()?;
            if let Some(writer) = &mut logits.save {
                writer.append(&rows)?;
            }
            for (row, at) in rows.chunks_exact(vocab).zip(done..) {
                if at - first >= windows.skip {
                    let next = window.get(at - first + 1).copied();
                    scores.row(at, row, next, logits.against)?;
                }
            }
            done += part.len();
            if !each(done) {
                return Err(Error::Stopped);
            }
        }
    }
    Ok(scores.report(tokens.len(), windows, logits.against.is_some()))
}

/// What was seen so far.
#[derive(Default)]
struct Scores {
    here: LogSoftmax,
    there: LogSoftmax,
    row: Vec<f32>,
    scored: usize,
    nll: Vec<f64>,
    saved_nll: Vec<f64>,
    kl: Vec<(usize, f64)>,
    agree: usize,
    broken: Broken,
    saved_broken: Broken,
}

impl Scores {
    fn row(
        &mut self,
        at: usize,
        row: &[f32],
        next: Option<u32>,
        against: Option<&Saved>,
    ) -> Result<(), Error> {
        self.scored += 1;
        let whole = self.here.take(row);
        let nll = |d: &LogSoftmax| next.and_then(|t| d.of(t)).map(|log| -log);
        if whole {
            self.nll.extend(nll(&self.here));
        } else {
            self.broken.see(at);
        }
        let Some(saved) = against else { return Ok(()) };
        saved.row(at, &mut self.row)?;
        if self.there.take(&self.row) {
            self.saved_nll.extend(nll(&self.there));
            if whole {
                self.kl.push((at, self.there.divergence(&self.here)));
                self.agree += usize::from(self.there.best() == self.here.best());
            }
        } else {
            self.saved_broken.see(at);
        }
        Ok(())
    }

    fn report(self, tokens: usize, windows: Windows, compared: bool) -> Report {
        let Windows { length, skip } = windows;
        let positions = self.kl.len();
        let against = compared.then(|| Against {
            positions,
            kl: Spread::of(&self.kl),
            agree: self.agree,
            agreement: (positions > 0).then(|| self.agree as f64 / positions as f64),
            saved: Prediction::of(&self.saved_nll),
            broken: self.saved_broken,
        });
        Report {
            tokens,
            windows: tokens.div_ceil(length.max(1)),
            window: length,
            skip,
            scored: self.scored,
            prediction: Prediction::of(&self.nll),
            broken: self.broken,
            against,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LogSoftmax, Spread};
    use crate::trace::Number;

    #[test]
    fn rows_that_are_no_distribution_are_refused() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        for row in [&[0.0, nan][..], &[nan], &[inf, 0.0], &[-inf, -inf], &[]] {
            assert!(!LogSoftmax::default().take(row), "{row:?}");
        }
        let mut d = LogSoftmax::default();
        assert!(d.take(&[-inf, 0.0, 0.0]));
        assert_eq!((d.best(), d.of(0), d.of(1)), (1, Some(f64::NEG_INFINITY), Some(-(2f64.ln()))));
        assert_eq!(d.of(3), None);
    }

    #[test]
    fn what_cannot_be_is_infinitely_far() {
        let (mut p, mut q) = (LogSoftmax::default(), LogSoftmax::default());
        assert!(p.take(&[0.0, 0.0]) && q.take(&[0.0, f32::NEG_INFINITY]));
        assert_eq!(p.divergence(&q), f64::INFINITY);
        // The other way round one of two equal chances became certain.
        assert_eq!(q.divergence(&p), 2f64.ln());
    }

    #[test]
    fn a_spread_names_its_largest() {
        let numbers: Vec<(usize, f64)> = (0..200).map(|i| (i, f64::from((i * 37 % 200) as u32))).collect();
        let spread = Spread::of(&numbers).unwrap();
        assert_eq!((spread.mean, spread.median), (Number(99.5), Number(99.5)));
        assert_eq!((spread.p99, spread.largest), (Number(197.0), Number(199.0)));
        assert_eq!(numbers[spread.at].1, 199.0);
        assert_eq!(Spread::of(&[]), None);
    }
}
